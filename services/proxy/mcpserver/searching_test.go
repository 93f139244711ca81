package mcpserver_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// TestSearch: two methods in the place of all, by which the others are found and called.
func TestSearch(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, era := range eras {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			user, heard := b.user(t), &hearing{}
			save(t, user, "Weekly report", b.echoStep("a", "{{input.week}}"))
			session := connect(t, user, "/mcp/search", era, heard)
			listed, err := session.ListTools(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, listed.Tools, 2)
			call := func(name string, arguments map[string]any) *mcp.CallToolResult {
				t.Helper()
				got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
				require.NoError(t, err)
				return got
			}
			var found struct {
				Tools []mcp.Tool
				Of    int
			}
			require.NoError(t, json.Unmarshal([]byte(textOf(t, call("search_tools", map[string]any{"query": "reports of a week", "limit": 2}))), &found))
			require.Equal(t, 13, found.Of)
			require.NotEmpty(t, found.Tools)
			require.LessOrEqual(t, len(found.Tools), 2)
			require.Equal(t, "workflow__weekly-report", found.Tools[0].Name)
			require.EqualValues(t, 7, found.Tools[0].Meta["uaol/credits"])

			require.Contains(t, textOf(t, call("call_tool", map[string]any{"name": "workflow__weekly-report", "arguments": map[string]any{"week": "42"}})), "42")
			require.JSONEq(t, `{"text":"x"}`, textOf(t, call("call_tool", map[string]any{"name": "new__echo", "arguments": map[string]any{"text": "x"}})))
			require.Equal(t, "accept Ada", textOf(t, call("call_tool", map[string]any{"name": "new__ask"})), "it asks, too")
			require.Equal(t, "accept Ada", textOf(t, call("old__ask", nil)), "all can be called by their names")
			require.Equal(t, "9972", credits(t, user))
			for _, arguments := range []map[string]any{{}, {"query": ""}, {"query": 7}, {"query": "x", "limit": 0}, {"query": "x", "limit": 51}} {
				require.True(t, call("search_tools", arguments).IsError, arguments)
			}
			for _, arguments := range []map[string]any{{}, {"name": "call_tool"}, {"name": "old__none"}} {
				_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "call_tool", Arguments: arguments})
				require.Error(t, err, arguments)
			}
		})
	}
	user := b.user(t)
	answer := user.Do(t, http.MethodPost, "/profiles", object{"name": "few", "tools": []object{{"tool": "old", "methods": []string{"echo"}, "prefix": ""}}})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	session := connect(t, user, "/mcp/p/few/search", stateless, nil)
	got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "search_tools", Arguments: map[string]any{"query": "echo"}})
	require.NoError(t, err)
	require.Contains(t, textOf(t, got), `"of":1`)
	require.Contains(t, textOf(t, got), `"name":"echo"`)
}
