package registry

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/keyring"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// withSecrets lets the bench keep secrets as the product does.
func (b *bench) withSecrets(t *testing.T) *credentials.Service {
	t.Helper()
	ring, err := keyring.New(keyring.Config{Secret: "an encryption secret of a test, 32 characters or more"}, zap.NewNop())
	require.NoError(t, err)
	store, err := credentials.NewStore(credentials.Config{Manager: "database"}, ring, zap.NewNop())
	require.NoError(t, err)
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	keeper := credentials.NewService(credentials.NewRepository(b.pool), store, ring, policy, events.NewBus(), credentials.Config{}, zap.NewNop())
	b.service.wallet = keeper
	return keeper
}

// TestAPendingVersionIsReadWithItsOwnSecrets: they are given before the approval,
// which reads the server with them. Until then, and at its own address, the
// version in force goes on with what it had.
func TestAPendingVersionIsReadWithItsOwnSecrets(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	keeper := b.withSecrets(t)
	give := func(tool Tool, version int64, value string) {
		of, err := b.service.Credentialed(t.Context(), owner, tool.ID, version)
		require.NoError(t, err)
		_, err = keeper.Set(t.Context(), owner, of, credentials.SetRequest{Name: "KEY", Value: value, Scope: "tool"})
		require.NoError(t, err)
	}
	sent := func() (url, key string) {
		last := b.servers.targets[len(b.servers.targets)-1]
		return last.URL, last.Headers.Get("X-Key")
	}
	const moved = "https://moved.example.com/mcp"
	b.servers.serve(toolURL, upstream.Method{Name: "echo"})
	b.servers.serve(moved, upstream.Method{Name: "echo"})
	name, at := "Secretive", toolURL
	inject := credentials.Injection{Headers: map[string]string{"X-Key": "{{secret.KEY}}"}}
	tool, err := b.service.Register(t.Context(), owner, Change{Name: &name, GatewayURL: &at, Inject: &inject})
	require.NoError(t, err)
	require.ErrorContains(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{}), "PUT /tools/"+tool.ID.String()+"/secrets/KEY")
	give(tool, 0, "of the first")
	require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{}))
	url, key := sent()
	require.Equal(t, [2]string{toolURL, "of the first"}, [2]string{url, key})

	at = moved
	_, err = b.service.Update(t.Context(), owner, tool.ID, Change{GatewayURL: &at})
	require.NoError(t, err)
	asked := b.servers.asked()
	require.ErrorContains(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{}), `with "scope": "tool" and "version": 2`)
	require.Equal(t, asked, b.servers.asked(), "the first version's secret did not leave")
	for _, caller := range []services.Caller{user(), colleague(owner)} {
		_, err = b.service.Credentialed(t.Context(), caller, tool.ID, 2)
		if caller.Owns(owner.Organization) {
			require.NoError(t, err)
			continue
		}
		require.Equal(t, services.Conflict, services.KindOf(err), "what waits is its owner's business")
	}
	_, err = b.service.Credentialed(t.Context(), owner, tool.ID, 3)
	require.Equal(t, services.Conflict, services.KindOf(err))

	give(tool, 2, "of the second")
	carried := func(version int64) string {
		c, err := b.service.Credentials(t.Context(), CredentialsRequest{Caller: user(), ToolID: tool.ID, Version: version})
		require.NoError(t, err)
		return c.Headers["X-Key"]
	}
	require.Equal(t, "of the first", carried(1))
	require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{}))
	url, key = sent()
	require.Equal(t, [2]string{moved, "of the second"}, [2]string{url, key})
	require.Equal(t, "of the second", carried(2))
}

func colleague(of services.Caller) services.Caller {
	other := user()
	other.Organization, other.OrgRole, other.Personal = of.Organization, services.OrgMember, false
	return other
}

// TestALookWithOnesOwnSecrets shows what the server lists to who has them. The platform
// has none: what it can't look at itself it does not quarantine.
func TestALookWithOnesOwnSecrets(t *testing.T) {
	t.Parallel()
	b, root := setup(t), admin()
	keeper := b.withSecrets(t)
	b.servers.serve(toolURL, method("echo", "gives it back"))
	name, at := "Secretive", toolURL
	inject := credentials.Injection{Headers: map[string]string{"X-Key": "{{secret.KEY}}"}}
	tool, err := b.service.Register(t.Context(), root, Change{Name: &name, GatewayURL: &at, Inject: &inject})
	require.NoError(t, err)
	of, err := b.service.Credentialed(t.Context(), root, tool.ID, 0)
	require.NoError(t, err)
	_, err = keeper.Set(t.Context(), root, of, credentials.SetRequest{Name: "KEY", Value: "my own", Scope: "user"})
	require.NoError(t, err)
	require.NoError(t, b.service.Approve(t.Context(), root, tool.ID, Decision{}))

	b.servers.serve(toolURL, method("echo", "gives it back; and more"))
	seen, err := b.service.Look(t.Context(), root, tool.ID)
	require.NoError(t, err)
	require.Equal(t, "gives it back; and more", seen.Methods[0].Description)
	require.Empty(t, b.offer(t, tool.ID).Methods[0].Difference)
	_, err = b.service.Look(t.Context(), admin(), tool.ID)
	require.Equal(t, services.Conflict, services.KindOf(err), "somebody else has to give theirs first")
}
