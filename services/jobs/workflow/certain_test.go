package workflow

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLacks(t *testing.T) {
	t.Parallel()
	const input = `{"n":1,"o":{"list":[{"id":null}]}}`
	for name, c := range map[string]struct {
		steps []string
		want  faults
	}{
		"a member":            {[]string{tool("a", `,"parameters":{"x":["{{input.m}}"]}`)}, faults{{"steps[0].parameters.x[0]", "input has no member m"}}},
		"in a text":           {[]string{tool("a", `,"parameters":{"x":"a {{input.m}}"}`)}, faults{{"steps[0].parameters.x", "input has no member m"}}},
		"further in":          {[]string{tool("a", `,"parameters":{"x":"{{input.o.list.1.id}}"}`)}, faults{{"steps[0].parameters.x", "input.o.list has no member 1"}}},
		"of a number":         {[]string{tool("a", `,"parameters":{"x":"{{input.n.m}}"}`)}, faults{{"steps[0].parameters.x", "input.n has no member m"}}},
		"what is there":       {[]string{tool("a", `,"parameters":{"x":"{{input.o.list.0.id}} {{input}} {{input.n}}"}`)}, nil},
		"two":                 {[]string{tool("a", `,"parameters":{"x":"{{input.m}} {{input.k}}"}`)}, faults{{"steps[0].parameters.x", "input has no member m"}, {"steps[0].parameters.x", "input has no member k"}}},
		"with a condition":    {[]string{tool("a", `,"when":"has(input.m)","parameters":{"x":"{{input.m}}"}`)}, nil},
		"after a condition":   {[]string{tool("a", `,"when":"has(input.m)"`), tool("b", `,"depends_on":["a"]`), tool("c", `,"parameters":{"x":"{{input.m}}","y":"{{b.status}}"}`)}, nil},
		"beside a condition":  {[]string{tool("a", `,"when":"has(input.m)"`), tool("b", `,"parameters":{"x":"{{input.m}}"}`)}, faults{{"steps[1].parameters.x", "input has no member m"}}},
		"gone on without":     {[]string{tool("a", `,"on_error":"continue","parameters":{"x":"{{input.m}}"}`)}, nil},
		"a compensation":      {[]string{tool("a", `,"on_error":{"compensate":"b"}`), tool("b", `,"parameters":{"x":"{{input.m}}"}`)}, nil},
		"of each item":        {[]string{tool("a", `,"for_each":{"items":"{{input.o.list}}"},"parameters":{"x":"{{input.m}}"}`)}, nil},
		"the items":           {[]string{tool("a", `,"for_each":{"items":"{{input.m}}"}`)}, faults{{"steps[0].for_each.items", "input has no member m"}}},
		"a key":               {[]string{tool("a", `,"idempotency_key":"k-{{input.m}}"`)}, faults{{"steps[0].idempotency_key", "input has no member m"}}},
		"a prompt, a moment":  {[]string{`{"id":"a","kind":"llm","prompt":"{{input.m}}"}`, `{"id":"b","kind":"sleep","duration":"{{input.d}}"}`}, faults{{"steps[0].prompt", "input has no member m"}, {"steps[1].duration", "input has no member d"}}},
		"a condition's own":   {[]string{tool("a", `,"when":"input.m == 1"`)}, nil},
		"of a child's, asked": {[]string{`{"id":"a","kind":"workflow","workflow_id":"` + aTool + `","input":{"x":"{{input.m}}"}}`, `{"id":"b","kind":"approval","message":"{{input.k}}?"}`}, faults{{"steps[0].input.x", "input has no member m"}, {"steps[1].message", "input has no member k"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parsed(t, c.steps...)
			var got faults
			for _, f := range d.Lacks(json.RawMessage(input)) {
				got = append(got, fault{f.Path[len(at)+1:], f.Message})
			}
			require.Equal(t, c.want, got)
		})
	}
	d, err := Parse(json.RawMessage(`{"steps":[` + tool("a", "") + `],"output":{"x":"{{input.m}}"}}`))
	require.NoError(t, err)
	require.Equal(t, at+".output.x", d.Lacks(json.RawMessage(`{}`))[0].Path)
	for _, none := range []string{``, `null`, ` `} {
		require.Equal(t, "there is no input, and it reads {{input.m}}", d.Lacks(json.RawMessage(none))[0].Message)
	}
	require.Empty(t, d.Lacks(json.RawMessage(`{"m":null}`)))
	require.Empty(t, d.Lacks(json.RawMessage(`{`)))
}
