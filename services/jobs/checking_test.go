package jobs

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services/jobs/workflow"
)

// TestCheck: what a job would be, its dependencies though nobody said them, and nothing made.
func TestCheck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 7)
	found, err := b.service.Check(t.Context(), b.caller, CheckRequest{Definition: json.RawMessage(fmt.Sprintf(`{"steps": [
		{"id": "say", "tool_id": %[1]q, "action": "do", "parameters": {"a": "{{get.result}}"}},
		{"id": "get", "tool_id": %[1]q, "action": "do", "parameters": {"q": "{{input.question}}"}},
		{"id": "each", "tool_id": %[1]q, "action": "do", "for_each": {"items": "{{get.result.list}}"}},
		{"id": "nap", "kind": "sleep", "duration": "1s", "depends_on": ["say"]}]}`, tool))})
	require.NoError(t, err)
	require.Empty(t, found.Faults)
	require.True(t, found.Valid)
	require.Equal(t, []CheckedStep{
		{ID: "say", Kind: workflow.Tool, Action: "do", DependsOn: []string{"get"}, Credits: 7},
		{ID: "get", Kind: workflow.Tool, Action: "do", DependsOn: []string{}, Credits: 7},
		{ID: "each", Kind: workflow.Tool, Action: "do", DependsOn: []string{"get"}, Credits: 7, Each: true},
		{ID: "nap", Kind: workflow.Sleep, DependsOn: []string{"say"}},
	}, found.Steps)
	require.EqualValues(t, 14, found.Credits, "the two whose number is known")
	require.True(t, found.More, "for_each is held for when it is reached")
	require.Contains(t, string(found.Input), `"question"`)

	jobs, err := b.service.List(t.Context(), b.caller, "", forever, newestAsked.Job, 10)
	require.NoError(t, err)
	require.Empty(t, jobs, "nothing is made")
}

func TestCheckTellsAllFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, bad := range []string{``, `null`, `{}`, `{"steps":[{"id":"a!"},{"id":"b","action":"x","depends_on":["z"]}]}`} {
		found, err := b.service.Check(t.Context(), b.caller, CheckRequest{Definition: json.RawMessage(bad)})
		require.NoError(t, err, bad)
		require.False(t, found.Valid, bad)
		_, want := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: "x", Definition: json.RawMessage(bad)})
		require.Equal(t, faultsOf(t, want), found.Faults, bad)
	}
}
