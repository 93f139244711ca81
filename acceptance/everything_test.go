package acceptance

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/providers/upstream/everything"
)

// TestWorkflowOnTheReferenceServer runs two methods of MCP's own reference
// server in one job, the second one with numbers, the third with a result.
func TestWorkflowOnTheReferenceServer(t *testing.T) {
	t.Parallel()
	endpoint := everything.Start(t)
	u, err := url.Parse(endpoint)
	require.NoError(t, err)
	w := world.Together(t, world.Settings{"TOOL_EGRESS_ALLOW": u.Host})
	visitor, admin := world.New(w.Gateway), world.New(w.Gateway).As(w.AdminKey)

	registered := visitor.Do(t, "POST", "/auth/register", map[string]any{"email": "ada@example.com"})
	ada := visitor.As(registered.Text("data.token"))
	tool := ada.Do(t, "POST", "/tools", map[string]any{"name": "everything", "gateway_url": endpoint, "credit_cost_per_call": 3}).Text("data.tool_id")
	require.Equal(t, 200, admin.Do(t, "POST", "/tools/"+tool+"/approve", nil).Status)

	job := ada.Do(t, "POST", "/jobs", map[string]any{"workflow_definition": map[string]any{"steps": []any{
		map[string]any{"id": "again", "tool_id": tool, "action": "echo", "parameters": map[string]any{"message": "so: {{sum.result.content.0.text}}"}},
		map[string]any{"id": "hello", "tool_id": tool, "action": "echo", "parameters": map[string]any{"message": "hello"}},
		map[string]any{"id": "sum", "tool_id": tool, "action": "get-sum", "parameters": map[string]any{"a": 2, "b": 40}},
	}}})
	require.Equal(t, 201, job.Status, job)
	path := "/jobs/" + job.Text("data.job_id")
	var end world.Answer
	world.Until(t, "the job has ended", func() bool {
		end = ada.Do(t, "GET", path, nil)
		status := end.Text("data.status")
		return status != "Queued" && status != "Running"
	})
	require.Equal(t, "Success", end.Text("data.status"), end)
	require.Equal(t, "Echo: hello", end.Text("data.final_output.hello.content.0.text"))
	require.Contains(t, end.Text("data.final_output.sum.content.0.text"), "42")
	require.Contains(t, end.Text("data.final_output.again.content.0.text"), "so: ")
	require.Equal(t, "9991", ada.Do(t, "GET", "/credits/balance", nil).Text("data.credits"))
}
