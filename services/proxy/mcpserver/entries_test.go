package mcpserver_test

import (
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// TestResourcesAndPrompts: what tools have besides methods is listed together, under
// names that say whose it is, and comes from its own tool.
func TestResourcesAndPrompts(t *testing.T) {
	t.Parallel()
	b := together(t)
	dead, _ := b.register(t, "going", b.boxes[sessions].url, 0)
	for _, era := range eras {
		t.Run(era, func(t *testing.T) {
			user := b.user(t)
			session := connect(t, user, "/mcp", era, nil)
			listed, err := session.ListResources(t.Context(), nil)
			require.NoError(t, err)
			var uris []string
			for _, r := range listed.Resources {
				uris = append(uris, r.URI)
			}
			require.Equal(t, []string{"going+test://static", "new+test://static", "old+test://static"}, uris)
			templates, err := session.ListResourceTemplates(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, "new+test://t/{id}", templates.ResourceTemplates[1].URITemplate)
			prompts, err := session.ListPrompts(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, "new__greet", prompts.Prompts[1].Name)
			require.Equal(t, "whom", prompts.Prompts[1].Arguments[0].Name)

			for _, slug := range []string{"new", "old"} {
				read, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: slug + "+test://t/7"})
				require.NoError(t, err)
				require.Equal(t, slug+"+test://t/7", read.Contents[0].URI)
				require.Equal(t, "of test://t/7", read.Contents[0].Text)
				got, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: slug + "__greet", Arguments: map[string]string{"whom": "Ada"}})
				require.NoError(t, err)
				require.Equal(t, "greet Ada", got.Messages[0].Content.(*mcp.TextContent).Text)
				require.Equal(t, slug+"+test://static", got.Messages[1].Content.(*mcp.ResourceLink).URI)
				called, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: slug + "__link"})
				require.NoError(t, err)
				require.Equal(t, slug+"+test://static", called.Content[0].(*mcp.ResourceLink).URI)
				require.Equal(t, slug+"+test://t/1", called.Content[1].(*mcp.EmbeddedResource).Resource.URI)
				for _, ref := range []*mcp.CompleteReference{{Type: "ref/prompt", Name: slug + "__greet"}, {Type: "ref/resource", URI: slug + "+test://t/{id}"}} {
					done, err := session.Complete(t.Context(), &mcp.CompleteParams{Ref: ref, Argument: mcp.CompleteParamsArgument{Name: "whom", Value: "x"}})
					require.NoError(t, err)
					require.Equal(t, "xa", done.Completion.Values[0])
					require.NotContains(t, done.Completion.Values[1], slug)
				}
			}
			_, err = session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "nothing://here"})
			require.Error(t, err)
			_, err = session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "new__none"})
			require.Error(t, err)
			require.Contains(t, outcomes(t, user, 10), "resources/read success", "it is recorded, and costs nothing")
			require.Equal(t, "9986", credits(t, user), "two calls")
		})
	}
	require.Equal(t, http.StatusOK, b.admin.Do(t, http.MethodPost, "/tools/"+dead+"/disable", nil).Status)
}

// TestOneDeadServerLeavesTheRest.
func TestOneDeadServerLeavesTheRest(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	b.boxes[stateless].end()
	session := connect(t, user, "/mcp", stateless, nil)
	listed, err := session.ListPrompts(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, listed.Prompts, 1)
	require.Equal(t, "old__greet", listed.Prompts[0].Name)
	tools, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, tools.Tools, 12, "what is pinned is known")
}

// TestProfiles: a chosen set, with names of its own.
func TestProfiles(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	bare := ""
	chosen := func(tools ...object) object { return object{"name": "mine", "tools": tools} }
	answer := user.Do(t, http.MethodPost, "/profiles", chosen(
		object{"tool": "new", "methods": []string{"echo", "ask"}, "names": object{"echo": "say"}, "prefix": bare},
		object{"tool": b.boxes[sessions].id, "prefix": "two"}))
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	for _, era := range eras {
		session := connect(t, user, "/mcp/p/mine", era, nil)
		listed, err := session.ListTools(t.Context(), nil)
		require.NoError(t, err)
		var names []string
		for _, tool := range listed.Tools {
			names = append(names, tool.Name)
		}
		require.Equal(t, []string{"ask", "say", "two__ask", "two__echo", "two__link", "two__progress", "two__sample", "two__slow"}, names)
		for _, name := range []string{"say", "two__echo"} {
			got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: map[string]any{"text": "x"}})
			require.NoError(t, err)
			require.JSONEq(t, `{"text":"x"}`, textOf(t, got))
		}
		for _, name := range []string{"echo", "progress", "new__echo", "two__none"} {
			_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: map[string]any{"text": "x"}})
			require.Error(t, err, name)
		}
		read, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "test://static"})
		require.NoError(t, err)
		require.Equal(t, "test://static", read.Contents[0].URI)
	}
	for path, body := range map[string]object{
		"body.tools[0].tool":       chosen(object{"tool": "nothing"}),
		"body.tools[0].methods[0]": chosen(object{"tool": "new", "methods": []string{"none"}}),
		"body.tools[0].prefix":     chosen(object{"tool": "new", "prefix": "A B"}),
		"body.tools[0].names":      chosen(object{"tool": "new", "names": object{"echo": "a b"}}),
		"body.tools[1]":            chosen(object{"tool": "new", "prefix": ""}, object{"tool": "old", "prefix": ""}),
		"body.name":                {"name": "A B", "tools": []object{{"tool": "new"}}},
	} {
		answer := user.Do(t, http.MethodPost, "/profiles", body)
		require.Equal(t, http.StatusBadRequest, answer.Status, "%s: %s", path, answer)
		require.Equal(t, path, answer.Text("error.details.0.path"), answer)
	}
	require.Equal(t, http.StatusConflict, user.Do(t, http.MethodPost, "/profiles", chosen(object{"tool": "new"})).Status)
	require.Equal(t, http.StatusNotFound, raw{b.user(t), "/mcp/p/mine"}.post(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil).status)
	changed := user.Do(t, http.MethodPut, "/profiles/mine", object{"name": "other", "tools": []object{{"tool": "old"}}})
	require.Equal(t, http.StatusOK, changed.Status, changed)
	require.Equal(t, "other", user.Do(t, http.MethodGet, "/profiles", nil).Text("data.0.name"))
	require.Equal(t, "old__ask", raw{user, "/mcp/p/other"}.post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil).at("result.tools.0.name"))
	require.Equal(t, http.StatusOK, user.Do(t, http.MethodDelete, "/profiles/other", nil).Status)
	world.Until(t, "it is gone", func() bool {
		return raw{user, "/mcp/p/other"}.post(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil).status == http.StatusNotFound
	})
}

// TestPagesAreInOrder, and hold everything once.
func TestPagesAreInOrder(t *testing.T) {
	t.Parallel()
	b := together(t)
	var many []string
	url := newServerOf(t, 900)
	b.register(t, "many", url, 0)
	user := b.user(t)
	session := connect(t, user, "/mcp", stateless, nil)
	pages := 0
	for cursor := ""; ; pages++ {
		listed, err := session.ListTools(t.Context(), &mcp.ListToolsParams{Cursor: cursor})
		require.NoError(t, err)
		for _, tool := range listed.Tools {
			many = append(many, tool.Name)
		}
		if cursor = listed.NextCursor; cursor == "" {
			break
		}
	}
	require.Equal(t, 1, pages, "after the first")
	require.Len(t, many, 912)
	require.IsIncreasing(t, many)
}
