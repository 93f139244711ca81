package registry

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/providers/peers/peerstest"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// TestCatalog runs the interface's contract over both of its bodies.
func TestCatalog(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		callableContract(t, b, b.service)
		catalogContract(t, b, b.service)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		url := peerstest.Serve(t, routes(b.handler, nil, b.pool, events.Outlet{}).Routes.Operations...)
		client, err := NewClient(ClientConfig{URL: url}, peerstest.Tokens(t))
		require.NoError(t, err)
		t.Cleanup(client.peer.Close)
		callableContract(t, b, client)
		catalogContract(t, b, client)
	})
}

func catalogContract(t *testing.T, b *bench, catalog Catalog) {
	ctx, owner := t.Context(), user()
	pending, approved, disabled := b.register(t, owner, "Pending"), b.register(t, owner, "Approved"), b.register(t, owner, "Disabled")
	require.NoError(t, b.service.Approve(ctx, admin(), approved.ID, Decision{Unpinned: true}))
	require.NoError(t, b.service.Disable(ctx, admin(), disabled.ID, Decision{}))

	for name, ids := range map[string][]uuid.UUID{"none": nil, "empty": {}, "unknown": {uuid.New(), uuid.Nil}} {
		got, err := catalog.Tools(ctx, ToolsRequest{IDs: ids})
		require.NoError(t, err, name)
		require.Empty(t, got, name)
	}
	got, err := catalog.Tools(ctx, ToolsRequest{IDs: []uuid.UUID{pending.ID, uuid.New(), approved.ID, disabled.ID, approved.ID}})
	require.NoError(t, err)
	require.Len(t, got, 3, "each that exists, once")
	statuses := map[uuid.UUID]Status{}
	for _, tool := range got {
		statuses[tool.ID] = tool.Status
		require.Equal(t, uuid.Nil, tool.Organization)
		require.Equal(t, owner.Account, tool.Developer)
		want, err := b.service.Tool(ctx, tool.ID)
		require.NoError(t, err)
		require.Equal(t, asJSON(t, want), asJSON(t, tool))
	}
	require.Equal(t, map[uuid.UUID]Status{pending.ID: Pending, approved.ID: Approved, disabled.ID: Disabled}, statuses)

	b.servers.serve(toolURL, method("echo", "says it again"))
	offered := b.offered(t, owner, toolURL, method("echo", "says it again"))
	offers, err := catalog.Offers(ctx, ToolsRequest{IDs: []uuid.UUID{pending.ID, approved.ID, uuid.New(), disabled.ID, offered.ID}})
	require.NoError(t, err)
	require.Len(t, offers, 2, "those that are approved")
	byID := map[uuid.UUID]Offer{}
	for _, o := range offers {
		byID[o.ToolID] = o
	}
	require.False(t, byID[approved.ID].Pinned)
	require.Equal(t, asJSON(t, b.offer(t, offered.ID)), asJSON(t, byID[offered.ID]))
	require.True(t, byID[offered.ID].Pinned)
	require.Equal(t, owner.Organization, byID[offered.ID].Organization)
	offers, err = catalog.Offers(ctx, ToolsRequest{})
	require.NoError(t, err)
	require.Empty(t, offers)

	b.servers.serve(toolURL, method("echo", "says something else"))
	offer, err := catalog.Inspect(ctx, InspectRequest{ToolID: offered.ID, Version: 1, Method: "echo"})
	require.NoError(t, err)
	require.Equal(t, changed, offer.Methods[0].Difference)
	_, err = catalog.Inspect(ctx, InspectRequest{ToolID: offered.ID, Version: 2})
	require.Equal(t, peerstest.Parts{Kind: services.Conflict, Message: "The tool Offered has changed since (version 2, now 1)", Details: "null"}, peerstest.PartsOf(t, err))
	_, err = catalog.Inspect(ctx, InspectRequest{ToolID: pending.ID, Version: 1})
	require.True(t, services.Is(err, services.NotFound), err)
	b.servers.behave(toolURL, nil)
	_, err = catalog.Inspect(ctx, InspectRequest{ToolID: offered.ID, Version: 1, Method: "echo"})
	require.True(t, services.Is(err, services.Unavailable), err)

	carried, err := catalog.Credentials(ctx, CredentialsRequest{Caller: owner, ToolID: offered.ID, Version: 1})
	require.NoError(t, err)
	require.Equal(t, credentials.Carried{}, carried, "it takes none")
	_, err = catalog.Credentials(ctx, CredentialsRequest{Caller: owner, ToolID: pending.ID, Version: 1})
	require.True(t, services.Is(err, services.NotFound), err)

	b.pool.Close()
	_, err = catalog.Tools(ctx, ToolsRequest{IDs: []uuid.UUID{approved.ID}})
	require.Equal(t, peerstest.Parts{Kind: services.Unavailable, Message: "The database cannot be reached; try again", Details: "null"}, peerstest.PartsOf(t, err))
}

func unmarshal(t *testing.T, text string, out any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), out), text)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}
