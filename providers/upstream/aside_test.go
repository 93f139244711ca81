package upstream

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// asksAside has a tool whose questions are on no call's stream, as servers ask that do
// not say which call they are about.
func asksAside(t *testing.T) (box *toolbox, asking chan struct{}) {
	t.Helper()
	box, asking = newToolbox(t), make(chan struct{})
	box.add("asks aside", nil, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		schema := map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}}
		answer, err := r.Session.Elicit(t.Context(), &mcp.ElicitParams{Message: "Who?", RequestedSchema: schema})
		if err != nil {
			return text("refused: " + err.Error()), nil
		}
		name, _ := answer.Content["name"].(string)
		return text(name), nil
	})
	return box, asking
}

// talker calls as somebody who answers with her name.
func talker(t *testing.T, c *Client, target Target, who string) (said string) {
	pass, err := c.Admit(t.Context(), target, 0)
	if err != nil {
		return err.Error()
	}
	defer pass.Done()
	talk := &Talk{Can: `{"elicitation":{"form":{}}}`, Who: who, Answer: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`{"action":"accept","content":{"name":"` + who + `"}}`), nil
	}}
	answer, err := pass.Call(t.Context(), Ask{Method: "asks aside", Talk: talk})
	if err != nil {
		return err.Error()
	}
	defer answer.Close()
	return textOf(t, answer.Result)
}

// TestWhatIsAskedAsideIsAnswered by the only person who can have been meant.
func TestWhatIsAskedAsideIsAnswered(t *testing.T) {
	t.Parallel()
	box, asking := asksAside(t)
	close(asking)
	c, target := client(t, Limits{}), targetAt(serve(t, box.http(nil)).URL, ProtocolMCP)
	for _, who := range []string{"ada", "bob", "ada"} {
		require.Equal(t, who, talker(t, c, target, who))
	}
}

// TestNobodyIsAskedInAnothersPlace: two people call, and the question may be of either.
func TestNobodyIsAskedInAnothersPlace(t *testing.T) {
	t.Parallel()
	box, asking := asksAside(t)
	c, target := client(t, Limits{}), targetAt(serve(t, box.http(nil)).URL, ProtocolMCP)
	on := sync.OnceFunc(func() { close(asking) })
	t.Cleanup(on)
	type outcome struct{ who, said string }
	done := make(chan outcome, 2)
	for _, who := range []string{"ada", "bob"} {
		go func() { done <- outcome{who, talker(t, c, target, who)} }()
	}
	require.Eventually(t, func() bool { return box.calls.Load() == 2 }, 10*time.Second, 5*time.Millisecond)
	asking <- struct{}{} // one of them asks while both are under way
	require.Contains(t, (<-done).said, "refused: ")
	on()
	last := <-done
	require.Equal(t, last.who, last.said, "who is alone is meant")
}

// TestAServerThatSaysNothingAside is called all the same.
func TestAServerThatSaysNothingAside(t *testing.T) {
	t.Parallel()
	box := newToolbox(t)
	handler := box.http(nil)
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	c, target := client(t, Limits{}), targetAt(server.URL, ProtocolMCP)
	err := ask(t, c, target, Ask{Method: "echo", Talk: &Talk{Can: Everything, Who: "ada", Answer: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
		return nil, nil
	}}})
	require.NoError(t, err)
}

// TestNoStreamAsideWithoutUse: who can't be asked needs none, and the stateless protocol
// has neither that nor sessions, whatever a server says in its headers.
func TestNoStreamAsideWithoutUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options *mcp.StreamableHTTPOptions
		can     Capabilities
		streams bool
	}{
		{"somebody who can be asked", nil, Everything, true},
		{"somebody who can't", nil, "", false},
		{"without sessions", &mcp.StreamableHTTPOptions{Stateless: true}, Everything, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			handler := newToolbox(t).http(c.options)
			streams, ids := make(chan struct{}, 10), make(chan string, 100)
			server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					streams <- struct{}{}
				}
				if id := r.Header.Get("Mcp-Session-Id"); id != "" {
					ids <- id
				}
				if c.options != nil {
					w.Header().Set("Mcp-Session-Id", "7")
				}
				handler.ServeHTTP(w, r)
			}))
			client, target := client(t, Limits{}), targetAt(server.URL, ProtocolMCP)
			require.NoError(t, ask(t, client, target, Ask{Method: "echo", Talk: &Talk{Can: c.can, Who: "ada", Answer: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
				return nil, nil
			}}}))
			require.Equal(t, c.streams, len(streams) > 0)
			require.Equal(t, c.options == nil, len(ids) > 0)
		})
	}
}

// TestTheOldestCallIsAsked of those that one person has under way.
func TestTheOldestCallIsAsked(t *testing.T) {
	t.Parallel()
	a := newAside(t.Context())
	ada := &Talk{Can: Everything, Who: "ada", Answer: func(context.Context, string, json.RawMessage) (json.RawMessage, error) { return nil, nil }}
	calls := map[int64]*request{7: {talk: ada}, 5: {talk: ada}, 3: {talk: &Talk{Can: "", Who: "bob", Answer: ada.Answer}}, 1: {}, 9: {talk: ada}}
	for id, r := range calls {
		defer a.begins(t.Context(), id, r)()
	}
	oldest, ok := a.asked(Elicit)
	require.True(t, ok)
	require.Same(t, calls[5], oldest.r, "who can't be asked does not count")
}
