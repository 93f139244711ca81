package registry

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// TestAPersonsCredentialsAreKeptWithTheTools: they are in the export, by name,
// and go with the account.
func TestAPersonsCredentialsAreKeptWithTheTools(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ring, err := keyring.New(keyring.Config{Secret: "an encryption secret of a test, 32 characters or more"}, zap.NewNop())
	require.NoError(t, err)
	store, err := credentials.NewStore(credentials.Config{Manager: "database"}, ring, zap.NewNop())
	require.NoError(t, err)
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	secrets := credentials.NewService(credentials.NewRepository(b.pool), store, ring, policy, events.NewBus(), credentials.Config{}, zap.NewNop())
	keeper := everything{b.service, secrets}

	ada, bob := user(), user()
	own, other := b.register(t, ada, "ada's"), b.register(t, bob, "bob's")
	require.NoError(t, b.service.Approve(t.Context(), admin(), own.ID, Decision{Unpinned: true}))
	give := func(caller services.Caller, tool Tool, scope credentials.Scope) {
		t.Helper()
		_, err := secrets.Set(t.Context(), caller, credentials.Tool{
			ID: tool.ID, Organization: caller.Organization, GatewayURL: tool.GatewayURL,
			Inject: credentials.Injection{Env: map[string]string{"A": "{{secret.KEY}}"}},
		}, credentials.SetRequest{Name: "KEY", Value: "plain-text", Scope: scope})
		require.NoError(t, err)
	}
	give(ada, own, "tool")
	give(bob, own, "user")
	give(ada, other, "user")
	give(bob, other, "user")

	who := services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}}
	sections, in := map[string]int{}, services.ExportRequest{Person: who}
	for {
		part, err := keeper.Export(t.Context(), in)
		require.NoError(t, err)
		sections[part.Section] += len(part.Items)
		for _, item := range part.Items {
			require.NotContains(t, string(item), "plain-text")
		}
		if in.After = part.Next; part.Next == "" {
			break
		}
	}
	require.Equal(t, map[string]int{"tools": 1, "toolCredentials": 1}, sections)

	for range 2 { // it may be repeated
		require.NoError(t, keeper.Erase(t.Context(), who))
		var left []string
		rows, err := b.pool.Query(t.Context(), `SELECT tool_id::text || holder_id::text FROM uaol_registry.secrets`)
		require.NoError(t, err)
		for rows.Next() {
			var row string
			require.NoError(t, rows.Scan(&row))
			left = append(left, row)
		}
		require.Equal(t, []string{other.ID.String() + bob.Account.String()}, left)
	}
}
