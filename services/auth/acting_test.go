package auth

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// TestStanding runs the interface's contract over both of its bodies.
func TestStanding(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"local", "remote"} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var standing services.Standing = b.service
			if body == "remote" {
				client, err := NewClient(ClientConfig{URL: peerstest.Serve(t, routes(b.routes()).Routes.Operations...)}, peerstest.Tokens(t))
				require.NoError(t, err)
				t.Cleanup(client.peer.Close)
				standing = client
			}
			standingContract(t, b, standing)
		})
	}
}

func standingContract(t *testing.T, b *bench, standing services.Standing) {
	ctx := t.Context()
	ada, bob := b.made(t, "ada@example.com"), b.made(t, "bob@example.com")
	home := ada.Account.Caller()
	shared := b.team(t, map[uuid.UUID]services.OrgRole{home.Account: services.OrgViewer, bob.Account.ID: services.OrgOwner})
	inTeam := home
	inTeam.Organization, inTeam.OrgRole, inTeam.Personal = shared, services.OrgViewer, false
	key, _, err := b.service.AddKey(ctx, home, KeyRequest{Name: "ci", Scopes: []string{"jobs:write"}})
	require.NoError(t, err)
	withKey := home
	withKey.Key, withKey.Scopes = key.ID, "jobs:write"
	gone := peerstest.Parts{Kind: services.Forbidden, Message: "The account is gone, or its API key counts no more", Details: "null"}
	stranger := peerstest.Parts{Kind: services.Forbidden, Message: "You are not a member of this organisation", Details: "null"}
	asked := func(in services.ActingRequest, want services.Caller, refusal peerstest.Parts) {
		t.Helper()
		got, err := standing.Acting(ctx, in)
		require.Equal(t, refusal, peerstest.PartsOf(t, err))
		require.Equal(t, want, got)
	}
	own := services.ActingRequest{Account: home.Account, Organization: home.Organization}
	team := services.ActingRequest{Account: home.Account, Organization: shared}
	keyed := services.ActingRequest{Account: home.Account, Organization: home.Organization, Key: key.ID}
	asked(own, home, peerstest.Parts{})
	asked(team, inTeam, peerstest.Parts{})
	asked(keyed, withKey, peerstest.Parts{})
	asked(services.ActingRequest{Account: uuid.New(), Organization: home.Organization}, services.Caller{}, gone)
	asked(services.ActingRequest{Account: home.Account, Organization: bob.Account.Organization}, services.Caller{}, stranger)
	asked(services.ActingRequest{Account: bob.Account.ID, Organization: bob.Account.Organization, Key: key.ID}, services.Caller{}, gone)

	require.NoError(t, b.service.RevokeKey(ctx, home, key.ID))
	asked(keyed, services.Caller{}, gone)
	asked(own, home, peerstest.Parts{})
	b.execute(t, `DELETE FROM uaol_auth.members WHERE account_id = $1`, home.Account)
	asked(team, services.Caller{}, stranger)
	b.execute(t, `DELETE FROM uaol_auth.api_keys WHERE account_id = $1`, home.Account)
	require.NoError(t, err)
	b.execute(t, `UPDATE uaol_auth.accounts SET admin = true WHERE account_id = $1`, home.Account)
	admin := home
	admin.Role = services.RoleAdmin
	asked(own, admin, peerstest.Parts{})
}
