package mcpserver_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// TestListsAndCalls: clients of both eras list and call tools of both.
func TestListsAndCalls(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, era := range eras {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			user := b.user(t)
			session := connect(t, user, "/mcp", era, nil)
			listed, err := session.ListTools(t.Context(), nil)
			require.NoError(t, err)
			var names []string
			for _, tool := range listed.Tools {
				names = append(names, tool.Name)
				require.EqualValues(t, 7, tool.Meta["uaol/credits"], tool.Name)
			}
			require.Equal(t, []string{"new__ask", "new__echo", "new__link", "new__progress", "new__sample", "new__slow", "old__ask", "old__echo", "old__link", "old__progress", "old__sample", "old__slow"}, names)
			for _, name := range []string{"new__echo", "old__echo"} {
				got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: map[string]any{"text": "hello ü"}})
				require.NoError(t, err)
				require.JSONEq(t, `{"text":"hello ü"}`, textOf(t, got))
				require.EqualValues(t, 7, got.Meta["uaol/credits"])
				require.NotEmpty(t, got.Meta["uaol/call"])
			}
			require.Equal(t, []string{"echo success", "echo success"}, outcomes(t, user, 2))
			require.Equal(t, "9986", credits(t, user))
		})
	}
}

func TestOneToolHasItsOwnNames(t *testing.T) {
	t.Parallel()
	b := together(t)
	session := connect(t, b.user(t), "/mcp/t/"+b.boxes[sessions].id, stateless, nil)
	listed, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, listed.Tools, 6)
	require.Equal(t, "ask", listed.Tools[0].Name)
	got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "x"}})
	require.NoError(t, err)
	require.JSONEq(t, `{"text":"x"}`, textOf(t, got))
	answer := b.user(t).Do(t, http.MethodPost, "/mcp/t/00000000-0000-0000-0000-000000000000", object{})
	require.Equal(t, http.StatusNotFound, answer.Status)
}

// TestQuestions: each pair of eras, with a tool that asks.
func TestQuestions(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, client := range eras {
		for _, tool := range []string{"new__ask", "old__ask"} {
			t.Run(client+" "+tool, func(t *testing.T) {
				t.Parallel()
				user, heard := b.user(t), &hearing{}
				session := connect(t, user, "/mcp", client, heard)
				got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
				require.NoError(t, err)
				require.Equal(t, "accept Ada", textOf(t, got))
				asked, _, _ := heard.all()
				require.Equal(t, []string{"Who?"}, asked)
				require.Equal(t, "9993", credits(t, user), "rounds of questions cost nothing")
				if tool == "new__ask" {
					require.Equal(t, []string{"ask success", "ask asked"}, outcomes(t, user, 2))
				} else {
					require.Equal(t, []string{"ask success"}, outcomes(t, user, 1))
				}
			})
		}
	}
}

// TestSampling: each pair of eras, with a tool that asks the client's model.
func TestSampling(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, client := range eras {
		for _, tool := range []string{"new__sample", "old__sample"} {
			t.Run(client+" "+tool, func(t *testing.T) {
				t.Parallel()
				session := connect(t, b.user(t), "/mcp", client, &hearing{})
				got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
				require.NoError(t, err)
				require.Contains(t, textOf(t, got), "Paris")
			})
		}
	}
}

// TestNobodyIsAskedWhoCannotBe: a client that can't be asked is not.
func TestNobodyIsAskedWhoCannotBe(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, client := range eras {
		user := b.user(t)
		session := connect(t, user, "/mcp", client, nil)
		got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "old__ask"})
		require.NoError(t, err)
		require.Contains(t, textOf(t, got), "not answered")
	}
}

// TestProgressAndLogs pass on what tools tell while they are at work.
func TestProgressAndLogs(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, client := range eras {
		for _, tool := range []string{"new__progress", "old__progress"} {
			t.Run(client+" "+tool, func(t *testing.T) {
				t.Parallel()
				heard := &hearing{}
				session := connect(t, b.user(t), "/mcp", client, heard)
				params := &mcp.CallToolParams{Name: tool, Meta: mcp.Meta{"progressToken": "mine"}}
				if client == stateless {
					params.Meta["io.modelcontextprotocol/logLevel"] = "info"
				}
				got, err := session.CallTool(t.Context(), params)
				require.NoError(t, err)
				require.Equal(t, "done", textOf(t, got))
				require.Eventually(t, func() bool {
					_, progress, logs := heard.all()
					return len(progress) == 3 && len(logs) == 3
				}, patience, patience/1000, "%+v", heard)
				_, progress, logs := heard.all()
				require.Equal(t, []string{"mine 0", "mine 1", "mine 2"}, progress)
				require.Equal(t, []string{"info step 0", "info step 1", "info step 2"}, logs)
			})
		}
	}
}

// TestCancellation reaches the tool.
func TestCancellation(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, client := range eras {
		for era, tool := range map[string]string{stateless: "new__slow", sessions: "old__slow"} {
			t.Run(client+" "+tool, func(t *testing.T) {
				session := connect(t, b.user(t), "/mcp", client, nil)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() {
					_, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool})
					done <- err
				}()
				receive(t, b.boxes[era].entered)
				cancel()
				receive(t, b.boxes[era].left)
				require.Error(t, receive(t, done))
			})
		}
	}
}
