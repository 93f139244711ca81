package workflow

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func parsed(t require.TestingT, steps ...string) *Definition {
	d, err := Parse(json.RawMessage(definitionOf(steps...)))
	require.NoError(t, err)
	return d
}

func TestKindFaults(t *testing.T) {
	t.Parallel()
	a := func(members string) string { return definitionOf(`{"id":"a",` + members + `}`) }
	const s0 = "steps[0]"
	const wait = "must be a duration such as 90s, 36h or 2d, from 0s to 365d, or exactly one reference"
	const until = "must be a time such as 2030-01-31T00:00:00Z, or exactly one reference"
	const oneOfTwo = "must have a duration or until, and not both"
	for name, c := range map[string]struct {
		text string
		want faults
	}{
		"unknown kind": {a(`"kind":"loop"`), faults{{s0 + ".kind", `must be "tool", "llm", "approval", "sleep" or "workflow"`}}},
		"kind a list":  {a(`"kind":[]`), faults{{s0 + ".kind", `must be "tool", "llm", "approval", "sleep" or "workflow"`}}},
		"members of other kinds": {definitionOf(tool("a", `,"prompt":"x","until":"x","input":1,"message":[],"version":0`)), faults{
			{s0 + ".prompt", `is not for a step of the kind "tool"`}, {s0 + ".message", `is not for a step of the kind "tool"`},
			{s0 + ".until", `is not for a step of the kind "tool"`}, {s0 + ".version", `is not for a step of the kind "tool"`},
			{s0 + ".input", `is not for a step of the kind "tool"`}}},
		"a tool's members in a prompt": {a(`"kind":"llm","prompt":"x","tool_id":"` + aTool + `","idempotency_key":"x"`), faults{
			{s0 + ".tool_id", `is not for a step of the kind "llm"`}, {s0 + ".idempotency_key", `is not for a step of the kind "llm"`}}},
		"for_each where there is none": {a(`"kind":"sleep","duration":"{{item}}","for_each":{"items":["1s"]}`), faults{
			{s0 + ".for_each", `is not for a step of the kind "sleep"`}, {s0 + ".duration", "{{item}} means nothing outside a step with for_each"}}},

		"no prompt": {a(`"kind":"llm"`), faults{{s0 + ".prompt", "must be a text that is not empty"}}},
		"an llm's members": {a(`"kind":"llm","prompt":"","system":1,"model":{},"provider":"x","max_tokens":1.5,"temperature":2.1,"price":3`), faults{
			{s0 + ".provider", `must be "openai", "anthropic" or "gemini"`}, {s0 + ".model", "must be a text that is not empty"},
			{s0 + ".system", "must be a text that is not empty"}, {s0 + ".prompt", "must be a text that is not empty"},
			{s0 + ".max_tokens", "must be a whole number from 1 to 1000000"}, {s0 + ".temperature", "must be a number from 0 to 2"},
			{s0 + ".price", "is not for a definition to say"}}},

		"a sleep without end":          {a(`"kind":"sleep"`), faults{{s0, oneOfTwo}}},
		"with two ends":                {a(`"kind":"sleep","duration":"1s","until":"2030-01-01T00:00:00Z"`), faults{{s0, oneOfTwo}}},
		"backwards":                    {a(`"kind":"sleep","duration":"-1s"`), faults{{s0 + ".duration", wait}}},
		"for too long":                 {a(`"kind":"sleep","duration":"366d"`), faults{{s0 + ".duration", wait}}},
		"for half a day":               {a(`"kind":"sleep","duration":"0.5d"`), faults{{s0 + ".duration", wait}}},
		"for a number":                 {a(`"kind":"sleep","duration":90`), faults{{s0 + ".duration", wait}}},
		"for a reference and a unit":   {a(`"kind":"sleep","duration":"{{input.n}}s"`), faults{{s0 + ".duration", wait}}},
		"until no time":                {a(`"kind":"sleep","until":"tomorrow"`), faults{{s0 + ".until", until}}},
		"until a reference that fails": {a(`"kind":"sleep","until":"{{b.result}}"`), faults{{s0 + ".until", "{{b.result}} refers to no step of this workflow"}}},

		"a child's members": {a(`"kind":"workflow","version":0`), faults{
			{s0 + ".workflow_id", "must be a workflow's id"}, {s0 + ".version", "must be a whole number from 1"}}},

		"approval of nothing": {a(`"kind":"approval"`), faults{{s0 + ".message", "must be a text that is not empty, or approves must name a step"}}},
		"an approval's members": {a(`"kind":"approval","approves":7,"message":"","expires_in":"31d"`), faults{
			{s0 + ".message", "must be a text that is not empty"},
			{s0 + ".expires_in", "must be a duration such as 90s, 36h or 2d, from 1s to 30d"}, {s0 + ".approves", "must be a step's id"}}},
		"approval of no step": {a(`"kind":"approval","approves":"b"`), faults{{s0 + ".approves", `there is no step "b"`}}},
		"approval of itself":  {a(`"kind":"approval","approves":"a"`), faults{{s0 + ".approves", `"a" is no step of the kind "tool"`}}},
		"approval of a loop": {definitionOf(`{"id":"a","kind":"approval","approves":"b"}`, tool("b", `,"for_each":{"items":[]}`)), faults{
			{s0 + ".approves", `"b" has for_each: its calls cannot be shown as one`}}},
		"two approvals": {definitionOf(tool("b", ""), `{"id":"x","kind":"approval","approves":"b"}`, `{"id":"y","kind":"approval","approves":"b"}`), faults{
			{"steps[2].approves", `"b" is approved by the step "x" already`}}},
		"approval of a compensation": {definitionOf(tool("b", `,"on_error":{"compensate":"c"}`), tool("c", ""), `{"id":"x","kind":"approval","approves":"c"}`), faults{
			{"steps[2].approves", `"c" is a compensation step, which waits for nobody`}}},
		"approval by a compensation": {definitionOf(tool("b", `,"on_error":{"compensate":"x"}`), `{"id":"x","kind":"approval","approves":"b"}`), faults{
			{"steps[1].approves", "is not for a compensation step, for which nobody waits"}}},
		"approval in a circle": {definitionOf(tool("b", ""), `{"id":"x","kind":"approval","approves":"b","depends_on":["b"]}`), faults{
			{"steps", "these steps wait for each other: b, x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, c.text, c.want)
		})
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	d := parsed(t,
		`{"id":"ask","kind":"llm","provider":"openai","model":"m","system":"be kind","prompt":"about {{input.x}}","max_tokens":1000000,"temperature":0}`,
		`{"id":"plain","kind":"llm","prompt":"x"}`,
		`{"id":"nap","kind":"sleep","duration":"{{ask.result.for}}"}`,
		`{"id":"run","kind":"workflow","workflow_id":"`+aTool+`","version":3,"input":["{{nap.status}}",1]}`,
		`{"id":"bare","kind":"workflow","workflow_id":"`+aTool+`","input":false}`,
		`{"id":"wait","kind":"approval","message":"{{run.result}}?","expires_in":"30d"}`)
	ask, plain := d.Steps[0].LLM, d.Steps[1].LLM
	require.Equal(t, "openai m", ask.Provider+" "+ask.Model)
	require.Equal(t, 1_000_000, ask.MaxTokens)
	require.Zero(t, *ask.Temperature)
	text, err := ask.Prompt.Text(Scope{Input: json.RawMessage(`{"x":"cats"}`)})
	require.NoError(t, err)
	require.Equal(t, "about cats", text)
	require.Equal(t, &Prompt{Prompt: plain.Prompt}, plain)
	require.Nil(t, d.Steps[1].Tool)
	require.Equal(t, []int{0}, d.Steps[2].Needs)
	require.Equal(t, uuid.MustParse(aTool), d.Steps[3].Child.WorkflowID)
	require.EqualValues(t, 3, d.Steps[3].Child.Version)
	require.Equal(t, []int{2}, d.Steps[3].Needs)
	input, ok := d.Steps[4].Child.Input.Constant()
	require.True(t, ok)
	require.Equal(t, "false", string(input))
	require.Equal(t, none, d.Steps[5].Approval.Approves)
	require.Equal(t, 30*day, d.Steps[5].Approval.ExpiresIn)
	require.Equal(t, []int{3}, d.Steps[5].Needs)
}

// The person who approves sees the very call, so the approval waits for all
// that the call is made of.
func TestApproval(t *testing.T) {
	t.Parallel()
	d := parsed(t,
		tool("pay", `,"parameters":{"sum":"{{price.result}}","note":"{{ok.result.comment}}"},"depends_on":["stock"],"when":"steps.rate.result > 1"`),
		tool("price", ""), tool("stock", ""), tool("rate", ""), tool("other", ""),
		`{"id":"ok","kind":"approval","approves":"pay","depends_on":["other"]}`)
	pay, ok := d.Steps[0], d.Steps[5]
	require.Equal(t, []int{1, 2, 3, 5}, pay.Needs)
	require.Equal(t, 5, pay.ApprovedBy)
	require.Equal(t, []int{1, 2, 3, 4}, ok.Needs)
	require.Equal(t, []int{0}, ok.NeededBy)
	require.Equal(t, 0, ok.Approval.Approves)
	require.Equal(t, 24*time.Hour, ok.Approval.ExpiresIn)
	require.Nil(t, ok.Approval.Message)
	require.Equal(t, none, ok.ApprovedBy)
}

func TestPauseEnds(t *testing.T) {
	t.Parallel()
	from := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		member, input string
		want          time.Time
		fails         string
	}{
		"seconds":          {`"duration":"90s"`, ``, from.Add(90 * time.Second), ""},
		"days":             {`"duration":"2d"`, ``, from.Add(48 * time.Hour), ""},
		"a year":           {`"duration":"365d"`, ``, from.Add(365 * day), ""},
		"a reference":      {`"duration":"{{input.for}}"`, `{"for":"1h30m"}`, from.Add(90 * time.Minute), ""},
		"not a duration":   {`"duration":"{{input.for}}"`, `{"for":90}`, time.Time{}, `the pause "90" must be a duration such as 90s, 36h or 2d, from 0s to 365d`},
		"not there":        {`"duration":"{{input.for}}"`, `{}`, time.Time{}, `{{input.for}}: the input has no "for" there`},
		"a time":           {`"until":"2030-01-02T01:00:00+01:00"`, ``, from.Add(day), ""},
		"a time that was":  {`"until":"2029-01-01T00:00:00Z"`, ``, from, ""},
		"a time too far":   {`"until":"2031-01-02T00:00:00Z"`, ``, time.Time{}, "the pause would end more than 365 days from now"},
		"a referred time":  {`"until":"{{input}}"`, `"2030-01-01T00:00:01Z"`, from.Add(time.Second), ""},
		"a referred error": {`"until":"{{input}}"`, `"2s"`, time.Time{}, `the pause "2s" must be a time such as 2030-01-31T00:00:00Z`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parsed(t, `{"id":"a","kind":"sleep",`+c.member+`}`)
			end, err := d.Steps[0].Sleep.End(Scope{Input: json.RawMessage(c.input)}, from)
			if c.fails != "" {
				require.EqualError(t, err, c.fails)
				return
			}
			require.NoError(t, err)
			require.True(t, c.want.Equal(end), "%v", end)
		})
	}
}
