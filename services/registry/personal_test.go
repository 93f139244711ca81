package registry

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// TestKeeper runs the interface's contract over both of its bodies.
func TestKeeper(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		keeperContract(t, b, b.service)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		url := peerstest.Serve(t, routes(b.handler, nil, b.pool, events.Outlet{}).Routes.Operations...)
		custody := remoteKeeper(ClientConfig{URL: url}, peerstest.Tokens(t))
		require.NoError(t, custody.Missing)
		keeperContract(t, b, custody.Keeper)
	})
	custody := remoteKeeper(ClientConfig{}, peerstest.Tokens(t))
	require.ErrorContains(t, custody.Missing, "UAOL_REGISTRY_URL is not set", "an address that is missing stops nobody's start")
}

// exported is all that a keeper hands out, by name, and in how many parts.
func exported(t *testing.T, keeper services.Keeper, who services.Person) (names []string, parts int) {
	t.Helper()
	in := services.ExportRequest{Person: who}
	for {
		part, err := keeper.Export(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, "tools", part.Section)
		for _, item := range part.Items {
			var tool Tool
			require.NoError(t, json.Unmarshal(item, &tool))
			names = append(names, tool.Name)
		}
		if parts++; part.Next == "" {
			return names, parts
		}
		in.After = part.Next
	}
}

func keeperContract(t *testing.T, b *bench, keeper services.Keeper) {
	ctx, ada, bob := t.Context(), user(), user()
	team := uuid.New()
	inTeam := func(caller services.Caller) services.Caller { caller.Organization = team; return caller }
	never, approved, disabled, changed := b.register(t, ada, "never"), b.register(t, ada, "approved"), b.register(t, ada, "disabled"), b.register(t, ada, "changed")
	hers, his, bobs := b.register(t, inTeam(ada), "hers in the team"), b.register(t, inTeam(bob), "his in the team"), b.register(t, bob, "bob's")
	for _, tool := range []Tool{approved, changed, hers, his, bobs} {
		require.NoError(t, b.service.Approve(ctx, ada, tool.ID, Decision{Unpinned: true, Reason: "as I like it"})) // she is an admin too
	}
	b.servers.serve(toolURL, method("a", ""))
	require.NoError(t, b.service.Approve(ctx, ada, approved.ID, Decision{}))
	require.NoError(t, b.service.Disable(ctx, admin(), disabled.ID, Decision{}))
	price := int64(7)
	_, err := b.service.Update(ctx, ada, changed.ID, Change{Price: &price}) // it waits for approval again
	require.NoError(t, err)

	who := services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}, Shared: []uuid.UUID{team}}
	names, parts := exported(t, keeper, who)
	require.Equal(t, []string{"never", "approved", "disabled", "changed", "hers in the team"}, names)
	require.Equal(t, 3, parts, "of each organisation, and an empty one at the end")
	_, err = keeper.Export(ctx, services.ExportRequest{Person: who, After: "!"})
	require.Equal(t, peerstest.Parts{Kind: services.Invalid, Message: "This is not where an export goes on", Details: "null"}, peerstest.PartsOf(t, err))
	names, _ = exported(t, keeper, services.Person{Account: uuid.New(), Organizations: []uuid.UUID{uuid.New()}})
	require.Empty(t, names)

	for range 2 { // it may be repeated
		require.NoError(t, keeper.Erase(ctx, services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}}))
		tools, err := b.service.repository.byIDs(ctx, []uuid.UUID{never.ID, approved.ID, disabled.ID, changed.ID})
		require.NoError(t, err)
		require.Len(t, tools, 2, "two were never approved")
		for _, tool := range tools {
			require.Equal(t, Tool{
				ID: tool.ID, Slug: tool.Slug, Name: "Erased tool", Tags: []string{}, Visibility: Public, Price: tool.Price, Prices: map[string]int64{}, Protocol: "mcp",
				Status: Disabled, Version: tool.Version, Health: Health{Status: Unknown}, CreatedAt: tool.CreatedAt, UpdatedAt: tool.UpdatedAt, revision: tool.revision,
			}, tool)
			require.Regexp(t, `^[0-9a-f]{24}$`, tool.Slug)
		}
		require.Equal(t, []string{"tool.registered", "tool.approved", "tool.approved", "tool.disabled"}, b.outbox(t, approved.ID))
		require.Empty(t, b.traces(t, ada.Account.String()))
		require.Empty(t, b.traces(t, ada.Organization.String()))
		var methods int
		require.NoError(t, b.pool.QueryRow(ctx, `SELECT count(*) FROM uaol_registry.methods WHERE tool_id = $1`, approved.ID).Scan(&methods))
		require.Zero(t, methods)
	}
	b.consistent(t)
	for _, tool := range []Tool{his, bobs} {
		got, err := b.service.Tool(ctx, tool.ID)
		require.NoError(t, err)
		require.Equal(t, Approved, got.Status)
		require.Equal(t, bob.Account, got.Developer)
	}
	got, err := b.service.Tool(ctx, hers.ID)
	require.NoError(t, err)
	require.Equal(t, Approved, got.Status, "the team's tools go on")
	require.Equal(t, team, got.Organization)
	require.Equal(t, uuid.Nil, got.Developer)

	b.pool.Close()
	for _, err := range []error{keeper.Erase(ctx, who), func() error { _, err := keeper.Export(ctx, services.ExportRequest{Person: who}); return err }()} {
		require.True(t, services.Is(err, services.Unavailable), "%v", err)
	}
}

// traces finds the columns in which an id stands, but for those of events.
func (b *bench) traces(t testing.TB, id string) (found []string) {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = 'uaol_registry' AND table_name NOT IN ('schema_migrations', 'outbox')`)
	require.NoError(t, err)
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Table, Column string }])
	require.NoError(t, err)
	require.Greater(t, len(columns), 50)
	for _, c := range columns {
		var n int
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM uaol_registry.`+c.Table+` WHERE position($1 IN `+c.Column+`::text) > 0`, id).Scan(&n))
		if n > 0 {
			found = append(found, c.Table+"."+c.Column)
		}
	}
	return found
}

// TestExportOfMany goes on where it was, also among tools of one moment.
func TestExportOfMany(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := user()
	_, err := b.pool.Exec(t.Context(), `
		INSERT INTO uaol_registry.tools (tool_id, organization_id, developer_id, slug, name, gateway_url, protocol, credit_cost_per_call, status, created_at)
		SELECT gen_random_uuid(), $1, $2, 's' || n, 't' || n, 'https://x', 'mcp', 1, 'Pending', now() + (n / 150) * interval '1 microsecond'
		FROM generate_series(1, 450) n`, owner.Organization, owner.Account)
	require.NoError(t, err)
	names, parts := exported(t, b.service, services.Person{Account: owner.Account, Organizations: []uuid.UUID{owner.Organization}})
	require.Len(t, names, 450)
	require.Equal(t, 4, parts)
	once := map[string]bool{}
	for _, name := range names {
		once[name] = true
	}
	require.Len(t, once, 450)
}
