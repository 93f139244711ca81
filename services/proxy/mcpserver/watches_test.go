package mcpserver_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// TestResourcesAreFollowed: each pair of eras; what changes at a tool's server is told to
// those who follow it, under the address that it has here.
func TestResourcesAreFollowed(t *testing.T) {
	t.Parallel()
	b := together(t)
	for _, era := range eras {
		for tool, box := range map[string]*toolbox{"new": b.boxes[stateless], "old": b.boxes[sessions]} {
			t.Run(era+" "+tool, func(t *testing.T) {
				changed := make(chan string, 100)
				client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
					ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) { changed <- r.Params.URI },
				})
				user := b.user(t)
				session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
					Endpoint: user.Base + "/mcp", HTTPClient: &http.Client{Transport: headers{user.Header}},
				}, &mcp.ClientSessionOptions{ProtocolVersion: era})
				require.NoError(t, err)
				defer func() { _ = session.Close() }()
				uri := tool + "+test://static"
				require.NoError(t, session.Subscribe(t.Context(), &mcp.SubscribeParams{URI: uri}))
				require.Equal(t, "test://static", receive(t, box.subscribed))
				tell := func() {
					require.NoError(t, box.server.ResourceUpdated(t.Context(), &mcp.ResourceUpdatedNotificationParams{URI: "test://static"}))
				}
				world.Until(t, "the change is told", func() bool {
					tell()
					select {
					case got := <-changed:
						require.Equal(t, uri, got)
						return true
					default:
						return false
					}
				})
				require.NoError(t, session.Unsubscribe(t.Context(), &mcp.UnsubscribeParams{URI: uri}))
			})
		}
	}
}

// TestSubscriptionsComeToTheOtherReplica: the stream is at one, the request comes to the
// other.
func TestSubscriptionsComeToTheOtherReplica(t *testing.T) {
	t.Parallel()
	b := twoReplicas(t)
	user := b.user(t)
	one, other := raw{b.at(user, 0), "/mcp"}, raw{b.at(user, 1), "/mcp"}
	session := initialized(t, one)
	events, end := one.listen(t, session)
	defer end()
	const about = `,"params":{"uri":"old+test://static"}}`
	require.Equal(t, "{}", other.post(t, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe"`+about, session).at("result"))
	receive(t, b.boxes[sessions].subscribed)
	world.Until(t, "the change is told", func() bool {
		require.NoError(t, b.boxes[sessions].server.ResourceUpdated(t.Context(), &mcp.ResourceUpdatedNotificationParams{URI: "test://static"}))
		select {
		case event := <-events:
			return rpc{object: event}.at("params.uri") == "old+test://static"
		default:
			return false
		}
	})
	require.Equal(t, "{}", other.post(t, `{"jsonrpc":"2.0","id":2,"method":"resources/unsubscribe"`+about, session).at("result"))
	for body, code := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"none+x://y"}}`: "-32002",
		`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe"}`:                               "-32002",
	} {
		require.Equal(t, code, other.post(t, body, session).at("error.code"), body)
	}
	require.Equal(t, "-32600", other.post(t, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe"`+about, nil).at("error.code"))
}

// TestListsThatChange: of prompts, when a tool is disabled or its server has others.
func TestListsThatChange(t *testing.T) {
	t.Parallel()
	b := together(t)
	c := raw{b.user(t), "/mcp"}
	session := initialized(t, c)
	events, end := c.listen(t, session)
	defer end()
	_, slug := b.register(t, "third", newServerOf(t, 1), 0)
	require.Equal(t, "third", slug)
	require.Equal(t, "notifications/tools/list_changed", receive(t, events)["method"])
}
