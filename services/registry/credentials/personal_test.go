package credentials

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"uaol/providers/keyring"
	"uaol/services"
)

func token(seconds int64) *oauth2.Token { return &oauth2.Token{AccessToken: "x", ExpiresIn: seconds} }

// TestErase removes what somebody gave, wherever it is kept, and what belongs to
// their tools; nothing else.
func TestErase(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	b, p := setup(t, v.config), startProvider(t)
	ada, bob := user(), user()
	adas, bobs := b.tool(t, ada), b.oauthTool(t, bob, p)
	withBoth := bobs
	withBoth.Inject = adas.Inject
	b.put(withBoth)
	for _, who := range []services.Caller{ada, bob} {
		for _, scope := range []Scope{ofUser, ofOrganization} {
			for _, tool := range []Tool{adas, withBoth} {
				b.give(t, who, tool, scope, "KEY", "x")
			}
		}
		b.consent(t, who, withBoth, ofUser)
		b.begin(t, who, withBoth, ofUser)
	}
	b.give(t, ada, adas, ofTool, "KEY", "x")
	require.Equal(t, 10, b.count(t, `SELECT count(*) FROM uaol_registry.secrets`))
	inDatabase := onDatabase(t, b.pool) // as it was before the Vault
	inDatabase.give(t, ada, adas, ofTool, "ZONE", "x")

	who := services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}}
	for range 2 { // it may be repeated
		require.NoError(t, b.service.Erase(t.Context(), who))
		require.Equal(t, 3, b.count(t, `SELECT count(*) FROM uaol_registry.secrets`), "bob's two for his own tool, and its client's secret")
		require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.secrets WHERE tool_id = $1`, adas.ID))
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_registry.grants`))
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_registry.authorizations`))
		require.Len(t, v.paths(), 3)
	}
	require.Empty(t, b.traces(t, ada.Account.String()+"/"))
	require.Equal(t, "k x", b.carried(t, withBoth, bobsWithZone(t, b, bob, withBoth)).Headers["X-Key"])
}

func bobsWithZone(t *testing.T, b *bench, bob services.Caller, tool Tool) services.Caller {
	t.Helper()
	b.give(t, bob, tool, ofUser, "ZONE", "z")
	return bob
}

// TestExport names what there is, and says no more.
func TestExport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := user()
	tool := b.tool(t, user())
	b.give(t, ada, tool, ofUser, "KEY", "plain-text")
	b.give(t, ada, tool, ofOrganization, "ZONE", "plain-text")
	b.give(t, user(), tool, ofUser, "KEY", "another's")
	in := services.ExportRequest{Person: services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}}}
	var items []string
	for {
		part, err := b.service.Export(t.Context(), in)
		require.NoError(t, err)
		for _, item := range part.Items {
			items = append(items, string(item))
		}
		if in.After = part.Next; part.Next == "" {
			break
		}
	}
	require.Len(t, items, 2)
	require.Contains(t, items[0], `"scope":"user","name":"KEY"`)
	require.Contains(t, items[1], `"scope":"organization","name":"ZONE"`)
	require.NotContains(t, items[0]+items[1], "plain")
}

func TestRotate(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	owner := user()
	tool := b.oauthTool(t, owner, p, func(tool *Tool) { tool.GatewayURL = "https://weather.example.com/mcp" })
	withKey := tool
	withKey.Inject = Injection{Headers: map[string]string{"X-Key": "{{secret.KEY}}"}}
	b.put(withKey)
	moved := withKey
	moved.GatewayURL = "https://new.example.com/mcp"
	var people []services.Caller
	for range 60 {
		ada := user()
		b.give(t, ada, moved, ofUser, "KEY", "ada's there")
		b.give(t, ada, withKey, ofUser, "KEY", "ada's")
		b.give(t, ada, withKey, ofOrganization, "KEY", "hers")
		people = append(people, ada)
	}
	b.consent(t, people[0], withKey, ofUser)
	back := visit(t, b.begin(t, people[1], withKey, ofUser))
	elsewhere := onDatabase(t, b.pool, startVault(t).config) // has values that are not ours to seal
	elsewhere.give(t, user(), withKey, ofUser, "KEY", "in a vault")
	const anew = "the encryption secret that takes its place, 32 or more"
	both := ringOf(t, keyring.Config{Secret: anew, Previous: sealedWith})
	n, err := Rotate(t.Context(), b.pool, both)
	require.NoError(t, err)
	require.Equal(t, Rotated{Secrets: 181, Grants: 1}, n)
	n, err = Rotate(t.Context(), b.pool, both)
	require.NoError(t, err)
	require.Zero(t, n, "it may be repeated")

	// The old secret can go.
	ring := ringOf(t, keyring.Config{Secret: anew})
	b.service.ring, b.store.index.ring = ring, ring
	require.Equal(t, "ada's", b.carried(t, withKey, people[0]).Headers["X-Key"])
	require.Equal(t, 200, b.finish(t, people[1], back).Status)
	_, err = Rotate(t.Context(), b.pool, ringOf(t, keyring.Config{Secret: sealedWith}))
	require.ErrorContains(t, err, "ENCRYPTION_SECRET_PREVIOUS")
}
