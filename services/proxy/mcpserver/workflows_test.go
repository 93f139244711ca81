package mcpserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// save saves a workflow of somebody's.
func save(t testing.TB, c world.Client, name string, steps ...any) (id string) {
	t.Helper()
	answer := c.Do(t, http.MethodPost, "/workflows", object{"name": name, "workflow_definition": object{"steps": steps}})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	return answer.Text("data.workflow_id")
}

func (b *bench) echoStep(id, text string, more ...object) object {
	step := object{"id": id, "tool_id": b.boxes[sessions].id, "action": "echo", "parameters": object{"text": text}}
	for _, members := range more {
		for name, value := range members {
			step[name] = value
		}
	}
	return step
}

// TestWorkflowsAreTools: saved workflows are listed with what they read and cost, and
// called as tools are, by clients of both eras.
func TestWorkflowsAreTools(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, era := range eras {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			user, heard := b.user(t), &hearing{}
			id := save(t, user, "Greet, politely!", b.echoStep("first", "hello {{input.whom}}"), b.echoStep("second", "{{first.result.content.0.text}}"))
			session := connect(t, user, "/mcp", era, heard)
			listed, err := session.ListTools(t.Context(), nil)
			require.NoError(t, err)
			tool := listed.Tools[len(listed.Tools)-1]
			require.Equal(t, "workflow__greet-politely", tool.Name)
			require.Equal(t, "Greet, politely!", tool.Title)
			require.EqualValues(t, 14, tool.Meta["uaol/credits"])
			require.Equal(t, map[string]any{"type": "object", "properties": map[string]any{"whom": map[string]any{"description": "Read by the step first"}}, "required": []any{"whom"}}, tool.InputSchema)

			params := &mcp.CallToolParams{Name: tool.Name, Arguments: map[string]any{"whom": "Ada"}, Meta: mcp.Meta{"progressToken": "mine"}}
			got, err := session.CallTool(t.Context(), params)
			require.NoError(t, err)
			require.False(t, got.IsError, textOf(t, got))
			require.Contains(t, textOf(t, got), "hello Ada")
			output, ok := got.StructuredContent.(map[string]any)
			require.True(t, ok)
			require.Contains(t, output, "second")
			require.EqualValues(t, 14, got.Meta["uaol/credits"])
			job := user.Do(t, http.MethodGet, "/jobs/"+got.Meta["uaol/job"].(string), nil)
			require.Equal(t, id, job.Text("data.workflow_id"))
			require.Equal(t, "Success", job.Text("data.status"))
			require.Equal(t, "9986", credits(t, user))
			world.Until(t, "progress is told", func() bool {
				_, progress, _ := heard.all()
				return len(progress) > 0 && progress[len(progress)-1] == "mine 2"
			})

			got, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool.Name})
			require.NoError(t, err)
			require.True(t, got.IsError)
			require.Contains(t, textOf(t, got), "arguments: input has no member whom")
			_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool.Name, Arguments: map[string]any{"whom": "x"}, Meta: mcp.Meta{"uaol/maxCredits": 13}})
			require.ErrorContains(t, err, "costs 14 credits")

			stranger := connect(t, b.user(t), "/mcp", era, nil)
			_, err = stranger.CallTool(t.Context(), params)
			require.ErrorContains(t, err, "Unknown tool")
		})
	}
}

// TestWorkflowsNames: none is called for another, and those that can't run are not
// listed.
func TestWorkflowsNames(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	one, two := save(t, user, "A b", b.echoStep("a", "1")), save(t, user, "a-B", b.echoStep("a", "2"))
	odd := save(t, user, "日本", b.echoStep("a", "3"))
	long := save(t, user, strings.Repeat("x", 100), b.echoStep("a", "4"))
	session := connect(t, user, "/mcp", sessions, nil) // whose clients keep no lists
	names := func() (all []string) {
		listed, err := session.ListTools(t.Context(), nil)
		require.NoError(t, err)
		for _, tool := range listed.Tools {
			if name, ok := strings.CutPrefix(tool.Name, "workflow__"); ok {
				all = append(all, name)
			}
		}
		return all
	}
	require.ElementsMatch(t, []string{"a-b-" + one[24:], "a-b-" + two[24:], odd[24:], strings.Repeat("x", 54)}, names())
	got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "workflow__a-b-" + two[24:]})
	require.NoError(t, err)
	require.Contains(t, textOf(t, got), "2")
	_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "workflow__a-b"})
	require.ErrorContains(t, err, "a-b-"+one[24:])

	answer := user.Do(t, http.MethodPost, "/profiles", object{"name": "mine", "tools": []object{{"tool": "workflow", "methods": []string{odd[24:]}, "names": object{odd[24:]: "japan"}}}})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	mine := connect(t, user, "/mcp/p/mine", sessions, nil)
	listed, err := mine.ListTools(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, listed.Tools, 1)
	got, err = mine.CallTool(t.Context(), &mcp.CallToolParams{Name: "japan"})
	require.NoError(t, err)
	require.Contains(t, textOf(t, got), "3")

	require.Equal(t, http.StatusOK, user.Do(t, http.MethodDelete, "/workflows/"+long, nil).Status)
	world.Until(t, "an archived one is gone", func() bool { return len(names()) == 3 })
	require.Equal(t, http.StatusOK, b.admin.Do(t, http.MethodPost, "/tools/"+b.boxes[sessions].id+"/disable", nil).Status)
	world.Until(t, "those without their tool are gone", func() bool { return len(names()) == 0 })
}

// TestWorkflowsFail: as results, which models can read.
func TestWorkflowsFail(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	save(t, user, "fails", object{"id": "a", "kind": "approval", "message": "sure?", "expires_in": "1s"})
	session := connect(t, user, "/mcp", sessions, nil)
	got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "workflow__fails"})
	require.NoError(t, err)
	require.True(t, got.IsError)
	require.Contains(t, textOf(t, got), "The workflow failed: ")
}

// TestWorkflowsMayComeToATextOnly which is told without quotes.
func TestWorkflowsMayComeToATextOnly(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	definition := object{"output": `"{{input.whom}}" it is`, "steps": []any{b.echoStep("a", "1")}}
	answer := user.Do(t, http.MethodPost, "/workflows", object{"name": "said", "workflow_definition": definition})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	got, err := connect(t, user, "/mcp", sessions, nil).CallTool(t.Context(), &mcp.CallToolParams{Name: "workflow__said", Arguments: map[string]any{"whom": "<Ada>\n"}})
	require.NoError(t, err)
	require.Equal(t, "\"<Ada>\n\" it is", textOf(t, got))
	require.Nil(t, got.StructuredContent)
}

// TestApprovalsAreAsked: of clients of both eras, who decide for exactly one call.
func TestApprovalsAreAsked(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, era := range eras {
		for decision, want := range map[string]string{"approve": "done", "reject": "REJECTED"} {
			t.Run(era+" "+decision, func(t *testing.T) {
				t.Parallel()
				user, heard := b.user(t), &hearing{}
				heard.answer = func(*mcp.ElicitParams) (*mcp.ElicitResult, error) {
					return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"decision": decision}}, nil
				}
				save(t, user, "careful", object{"id": "ask", "kind": "approval", "approves": "act", "message": "Really?"}, b.echoStep("act", "done"))
				session := connect(t, user, "/mcp", era, heard)
				got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "workflow__careful"})
				require.NoError(t, err)
				require.Contains(t, textOf(t, got), want)
				asked, _, _ := heard.all()
				require.Len(t, asked, 1)
				require.Contains(t, asked[0], `Really?`)
				require.Contains(t, asked[0], `echo for 7 credits with {"text":"done"}`)
			})
		}
	}
}

// TestCancelledWorkflows: a client that cancels its call, or leaves where that is the
// same, ends the job.
func TestCancelledWorkflows(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, era := range eras {
		t.Run(era, func(t *testing.T) {
			user := b.user(t)
			save(t, user, "slow", object{"id": "a", "tool_id": b.boxes[sessions].id, "action": "slow"})
			session := connect(t, user, "/mcp", era, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "workflow__slow"})
				done <- err
			}()
			receive(t, b.boxes[sessions].entered)
			cancel()
			require.Error(t, receive(t, done))
			world.Until(t, "the job is cancelled", func() bool {
				return user.Do(t, http.MethodGet, "/jobs", nil).Text("data.0.status") == "Cancelled"
			})
		})
	}
}
