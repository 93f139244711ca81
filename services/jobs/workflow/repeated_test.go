package workflow

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRepeatedMembers(t *testing.T) {
	t.Parallel()
	const twice = "is given more than once"
	for text, want := range map[string]faults{
		definitionOf(tool("a", `,"action":"done","action":"more"`)):                        {{"steps[0].action", twice}},
		definitionOf(tool("a", `,"parameters":{"x":[{},{"y:":1,"y\u003a":"{{input}}"}]}`)): {{"steps[0].parameters.x[1].y:", twice}},
		`{"steps":[],"steps":[` + tool("a", `,"kind":"tool","kind":null`) + `]}`:           {{"steps", twice}, {"steps[0].kind", twice}},
		`{"steps":[` + tool("a", "") + `],"steps":[]}`:                                     {{"steps", twice}, {"steps", "workflow_definition with steps is required"}},
		`{"steps":[` + tool("a", "") + `],"metadata":{"a":1,"b":"\"","a":2}}`:              {{"metadata.a", twice}},
		`{"steps":[` + tool("a", "") + `],"x":` + strings.Repeat("[", 100) + `{"a":1,"a":1}` + strings.Repeat("]", 100) + `}`: {
			{"x" + strings.Repeat("[0]", maxDepth-1), twice}},
	} {
		refused(t, text, want)
	}
	_, err := Parse(json.RawMessage(`{"steps":[` + tool("a", `,"parameters":{"a":{"a":":\\"},"A":1,"\"":2}`) + `]}`))
	require.NoError(t, err)
}

func TestMembersAreCounted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := drawJSON(3).Draw(t, "value")
		text, err := json.MarshalIndent(value, "", " ")
		require.NoError(t, err)
		require.Equal(t, kept(value), written(text))
	})
}
