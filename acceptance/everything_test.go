package acceptance

import (
	"net/url"
	"os"
	"path/filepath"
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

// TestFilesThroughTheReferenceServer registers MCP's own file server, has it
// approved, and writes and reads a file by it.
func TestFilesThroughTheReferenceServer(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	endpoint := everything.StartBehind(t, everything.Filesystem, nil, dir)
	u, err := url.Parse(endpoint)
	require.NoError(t, err)
	w := world.Together(t, world.Settings{"TOOL_EGRESS_ALLOW": u.Host})
	visitor, admin := world.New(w.Gateway), world.New(w.Gateway).As(w.AdminKey)
	ada := visitor.As(visitor.Do(t, "POST", "/auth/register", object{"email": "ada@example.com"}).Text("data.token"))
	tool := ada.Do(t, "POST", "/tools", object{"name": "files", "gateway_url": endpoint, "credit_cost_per_call": 2}).Text("data.tool_id")
	refused(t, call(t, ada, tool, "read_text_file", object{"path": dir}), 404, "NOT_FOUND")
	require.Equal(t, 200, admin.Do(t, "POST", "/tools/"+tool+"/approve", nil).Status)

	note := filepath.Join(dir, "note.txt")
	wrote := call(t, ada, tool, "write_file", object{"path": note, "content": "héllo\n<b>&"})
	require.Equal(t, 200, wrote.Status, wrote)
	kept, err := os.ReadFile(note)
	require.NoError(t, err)
	require.Equal(t, "héllo\n<b>&", string(kept))
	read := call(t, ada, tool, "read_text_file", object{"path": note})
	require.Equal(t, "héllo\n<b>&", read.Text("data.content.0.text"), read)
	require.Equal(t, true, read.At("untrusted"))
	faulty(t, call(t, ada, tool, "read_text_file", object{"path": 7}), "body.params.path")

	outside := call(t, ada, tool, "read_text_file", object{"path": "/etc/hostname"})
	require.Equal(t, true, outside.At("data.isError"), outside)
	require.Equal(t, 9996, credits(t, ada), "what failed is not charged")
}
