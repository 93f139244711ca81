package workflow

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestControlFaults(t *testing.T) {
	t.Parallel()
	one := func(members string) string { return definitionOf(tool("a", members)) }
	const s0 = "steps[0]"
	const aList = "must be a list or exactly one reference"
	const handling = `must be "fail", "continue" or {"compensate": a step's id}`
	for name, c := range map[string]struct {
		text string
		want faults
	}{
		"for_each a list":          {one(`,"for_each":[1]`), faults{{s0 + ".for_each", "must be an object, and is a list"}}},
		"for_each without items":   {one(`,"for_each":{}`), faults{{s0 + ".for_each.items", aList}}},
		"items an object":          {one(`,"for_each":{"items":{}}`), faults{{s0 + ".for_each.items", aList}}},
		"items in a text":          {one(`,"for_each":{"items":"x {{input}}"}`), faults{{s0 + ".for_each.items", aList}}},
		"items beyond their limit": {one(`,"for_each":{"items":[1,2,3],"limit":2}`), faults{{s0 + ".for_each.items", "has more than 2 items, the limit"}}},
		"items of items":           {one(`,"for_each":{"items":["{{item}}"]}`), faults{{s0 + ".for_each.items[0]", "{{item}} means nothing outside a step with for_each"}}},
		"for_each limits": {one(`,"for_each":{"items":[],"limit":10001,"parallel":101}`), faults{
			{s0 + ".for_each.limit", "must be a whole number from 1 to 10000"}, {s0 + ".for_each.parallel", "must be a whole number from 1 to 100"}}},
		"an item without for_each": {one(`,"parameters":{"x":"{{item.y}}","y":"n {{index}}"}`), faults{
			{s0 + ".parameters.x", "{{item.y}} means nothing outside a step with for_each"}, {s0 + ".parameters.y", "{{index}} means nothing outside a step with for_each"}}},
		"one key for all items": {one(`,"for_each":{"items":[]},"idempotency_key":"x{{input}}"`), faults{
			{s0 + ".idempotency_key", "must hold {{item}} or {{index}}, else all items have the same key"}}},
		"an empty key": {one(`,"idempotency_key":""`), faults{{s0 + ".idempotency_key", "must be a text that is not empty"}}},

		"retry a number": {one(`,"retry":3`), faults{{s0 + ".retry", "must be an object, and is a number"}}},
		"retry limits": {one(`,"retry":{"attempts":21,"backoff":"0.5ms","factor":0.9,"jitter":"1","maximum":"25h"}`), faults{
			{s0 + ".retry.attempts", "must be a whole number from 1 to 20"}, {s0 + ".retry.backoff", "must be a duration such as 90s, 36h or 2d, from 1ms to 1h"},
			{s0 + ".retry.factor", "must be a number from 1 to 10"}, {s0 + ".retry.jitter", "must be a number from 0 to 1"},
			{s0 + ".retry.maximum", "must be a duration such as 90s, 36h or 2d, from 1ms to 1d"}}},
		"a maximum below": {one(`,"retry":{"backoff":"2s","maximum":"1s"}`), faults{{s0 + ".retry.maximum", "must not be less than backoff"}}},
		"a long timeout":  {one(`,"timeout":"1d1h"`), faults{{s0 + ".timeout", "must be a duration such as 90s, 36h or 2d, from 1ms to 1d"}}},

		"on_error unknown":       {one(`,"on_error":"ignore"`), faults{{s0 + ".on_error", handling}}},
		"on_error compensate":    {one(`,"on_error":"compensate"`), faults{{s0 + ".on_error", handling}}},
		"on_error empty":         {one(`,"on_error":{}`), faults{{s0 + ".on_error", handling}}},
		"compensation not there": {one(`,"on_error":{"compensate":"b"}`), faults{{s0 + ".on_error.compensate", `there is no step "b"`}}},
		"compensation a number":  {one(`,"on_error":{"compensate":1}`), faults{{s0 + ".on_error.compensate", "must be a step's id"}}},
		"compensates itself":     {one(`,"on_error":{"compensate":"a"}`), faults{{s0 + ".on_error.compensate", "a step cannot compensate itself"}}},
		"compensates a compensation": {definitionOf(tool("a", `,"on_error":{"compensate":"b"}`), tool("b", `,"on_error":{"compensate":"c"}`), tool("c", "")), faults{
			{"steps[1].on_error.compensate", "a compensation step cannot have a compensation"}}},
		"others at a compensation": {`{"output":"{{b.status}}","steps":[` + strings.Join([]string{
			tool("a", `,"on_error":{"compensate":"b"}`), tool("b", ""),
			tool("c", `,"depends_on":["b"],"parameters":{"x":"{{b.result}}"},"when":"steps.b.status == 'x'"`)}, ",") + `]}`, faults{
			{"steps[2].parameters.x", "{{b.result}} refers to a compensation step, which runs only after a failure"},
			{"steps[2].depends_on[0]", `"b" is a compensation step, which runs only after a failure`},
			{"steps[2].when", `steps["b"] refers to a compensation step, which runs only after a failure`},
			{"output", "{{b.status}} refers to a compensation step, which runs only after a failure"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, c.text, c.want)
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	s := parsed(t, tool("a", "")).Steps[0]
	require.Equal(t, Retry{Attempts: 1, Backoff: time.Second, Maximum: time.Minute, Factor: 2, Jitter: 0.2}, s.Retry)
	require.Equal(t, Tool, s.Kind)
	require.Equal(t, Fail, s.OnError)
	require.Equal(t, []int{none, none}, []int{s.Compensate, s.ApprovedBy})
	require.False(t, s.Compensation)
	require.Zero(t, s.Timeout)
	require.Nil(t, s.When)
	require.Nil(t, s.ForEach)
	require.Nil(t, s.IdempotencyKey)

	s = parsed(t, tool("a", `,"for_each":{"items":[]},"retry":{"backoff":"10m"},"timeout":"1d","on_error":"continue"`)).Steps[0]
	require.Equal(t, []int{1000, 10}, []int{s.ForEach.Limit, s.ForEach.Parallel})
	require.Equal(t, 10*time.Minute, s.Retry.Maximum)
	require.Equal(t, 24*time.Hour, s.Timeout)
	require.Equal(t, Continue, s.OnError)
}

func TestCompensation(t *testing.T) {
	t.Parallel()
	d := parsed(t,
		tool("book", `,"on_error":{"compensate":"undo"}`),
		tool("pay", `,"depends_on":["book"],"on_error":{"compensate":"undo"}`),
		tool("undo", `,"parameters":{"id":"{{book.result.id}}","why":"{{pay.error}}"}`))
	require.Equal(t, []OnError{Compensate, Compensate, Fail}, []OnError{d.Steps[0].OnError, d.Steps[1].OnError, d.Steps[2].OnError})
	require.Equal(t, []int{2, 2, none}, []int{d.Steps[0].Compensate, d.Steps[1].Compensate, d.Steps[2].Compensate})
	require.Equal(t, []bool{false, false, true}, []bool{d.Steps[0].Compensation, d.Steps[1].Compensation, d.Steps[2].Compensation})
	require.Equal(t, []int{0, 1}, d.Steps[2].Needs)
	require.Empty(t, d.Steps[2].NeededBy)
	require.Equal(t, []int{1, 2}, d.Steps[0].NeededBy)
}

func TestForEachLists(t *testing.T) {
	t.Parallel()
	scope := Scope{Input: json.RawMessage(`{"n":1.50,"list":[null,{"b":1,"a":2},"x"],"o":{}}`)}
	for name, c := range map[string]struct {
		forEach string
		want    []string
		fails   string
	}{
		"a literal":       {`{"items":[1,{"x":"{{input.n}}"},"{{input.o}}"]}`, []string{`1`, `{"x":1.50}`, `{}`}, ""},
		"a constant":      {`{"items":[[],"a"]}`, []string{`[]`, `"a"`}, ""},
		"nothing":         {`{"items":[]}`, []string{}, ""},
		"a reference":     {`{"items":"{{input.list}}","limit":3}`, []string{`null`, `{"a":2,"b":1}`, `"x"`}, ""},
		"too many":        {`{"items":"{{input.list}}","limit":2}`, nil, "for_each has 3 items, and its limit is 2"},
		"not a list":      {`{"items":"{{input.o}}"}`, nil, "the items of for_each are not a list"},
		"not even there":  {`{"items":"{{input.x}}"}`, nil, `{{input.x}}: the input has no "x" there`},
		"a text of items": {`{"items":"{{input.list.2}}"}`, nil, "the items of for_each are not a list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parsed(t, tool("a", `,"for_each":`+c.forEach+`,"parameters":{"x":"{{item}}"},"idempotency_key":"k-{{index}}"`))
			items, err := d.Steps[0].ForEach.List(scope)
			if c.fails != "" {
				require.EqualError(t, err, c.fails)
				return
			}
			require.NoError(t, err)
			got := []string{}
			for i, item := range items {
				got = append(got, string(item))
				scope := Scope{Item: item, Index: json.RawMessage{byte('0' + i)}}
				filled, err := d.Steps[0].Tool.Parameters.Fill(scope)
				require.NoError(t, err)
				require.JSONEq(t, `{"x":`+string(item)+`}`, string(filled))
				key, err := d.Steps[0].IdempotencyKey.Text(scope)
				require.NoError(t, err)
				require.Equal(t, "k-"+string(scope.Index), key)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestRetryPauses(t *testing.T) {
	t.Parallel()
	r := Retry{Attempts: 5, Backoff: time.Second, Maximum: 5 * time.Second, Factor: 2, Jitter: 0.5}
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 2000: 5 * time.Second} {
		require.Equal(t, want, r.Pause(attempt, 0))
		require.Equal(t, want/4*3, r.Pause(attempt, 0.5))
	}
	rapid.Check(t, func(t *rapid.T) {
		backoff := rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "backoff")
		r := Retry{
			Backoff: time.Duration(backoff), Maximum: time.Duration(rapid.Int64Range(backoff, int64(maxTimeout)).Draw(t, "maximum")),
			Factor: rapid.Float64Range(1, maxFactor).Draw(t, "factor"), Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		attempt, random := rapid.IntRange(1, maxAttempts).Draw(t, "attempt"), rapid.Float64Range(0, 0.999).Draw(t, "random")
		pause := r.Pause(attempt, random)
		require.GreaterOrEqual(t, pause, time.Duration(float64(r.Backoff)*(1-r.Jitter))-1)
		require.LessOrEqual(t, pause, r.Maximum)
		require.GreaterOrEqual(t, r.Pause(attempt+1, random), pause)
	})
}
