package auth

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services/auth/oidc"
)

// inGroups is ada as a member of groups; nil says nothing about them.
func inGroups(groups any) person {
	who := ada
	if groups != nil {
		who.claims = map[string]any{"groups": groups}
	}
	return who
}

func (b *bench) role(t testing.TB, organization uuid.UUID) string {
	t.Helper()
	return b.text(t, `SELECT coalesce((SELECT m.role FROM uaol_auth.members m JOIN uaol_auth.accounts a ON a.account_id = m.account_id
		WHERE m.organization_id = $1 AND a.email = 'ada@example.com'), 'none')`, organization)
}

func TestGroupsGiveRolesAndTakeThemBack(t *testing.T) {
	t.Parallel()
	team, other := newID(), newID()
	w := startWorld(t, "oidc", func(_ *Config, cfg *oidc.Config) {
		cfg.GroupRoles = "ops=admin, eng=" + team.String() + ":member, leads=" + team.String() + ":admin, eng=" + other.String() + ":viewer, gone=" + newID().String() + ":owner"
	})
	for _, id := range []uuid.UUID{team, other} {
		w.execute(t, `INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, 'a team', false)`, id)
	}
	admin := func() int { return w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`) }
	changes := func() int {
		return w.count(t, `SELECT count(*) FROM uaol_auth.outbox WHERE type = 'user.access_changed'`)
	}

	_, token := w.as(t, inGroups([]string{"eng", "ops", "gone", "unknown"}))
	require.Equal(t, 1, admin())
	require.Equal(t, "member", w.role(t, team))
	require.Equal(t, "viewer", w.role(t, other))
	require.Equal(t, 1, changes())
	require.Equal(t, http.StatusOK, w.do(t, http.MethodGet, "/audit", "", "Authorization", "Bearer "+token).Status)

	w.as(t, inGroups([]string{"eng", "ops"}))
	require.Equal(t, 1, changes(), "nothing has changed")

	w.as(t, inGroups([]string{"eng", "leads"}))
	require.Zero(t, admin(), "an admin no more")
	require.Equal(t, "admin", w.role(t, team), "the highest counts")
	require.Equal(t, http.StatusForbidden, w.do(t, http.MethodGet, "/audit", "", "Authorization", "Bearer "+token).Status, "at once, for all sessions")

	w.as(t, inGroups("eng"))
	require.Equal(t, "member", w.role(t, team))

	w.as(t, inGroups(nil))
	require.Equal(t, "none", w.role(t, team), "no claim is no group")
	require.Equal(t, "none", w.role(t, other))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.group_roles`))
}

func TestGroupsTakeBackOnlyWhatTheyGave(t *testing.T) {
	t.Parallel()
	team, personal := newID(), newID()
	w := startWorld(t, "oidc", func(_ *Config, cfg *oidc.Config) {
		cfg.GroupRoles = "ops=admin,eng=" + team.String() + ":member,own=" + personal.String() + ":owner"
	})
	w.execute(t, `INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, 'a team', false), ($2, 'somebody', true)`, team, personal)
	account, _ := w.as(t, ada)
	hand := func(role string) {
		w.execute(t, `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, $3)
			ON CONFLICT (organization_id, account_id) DO UPDATE SET role = excluded.role`, team, account, role)
	}
	in, out := inGroups([]string{"ops", "eng", "own"}), inGroups([]string{})

	w.execute(t, `UPDATE uaol_auth.accounts SET admin = true`) // by hand
	hand("viewer")
	w.as(t, in)
	require.Equal(t, "member", w.role(t, team), "raised")
	require.Equal(t, "none", w.role(t, personal), "a personal organisation has no members")
	w.as(t, out)
	require.Equal(t, "viewer", w.role(t, team), "as it was before")
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`))

	hand("owner")
	w.as(t, in)
	require.Equal(t, "owner", w.role(t, team), "not lowered")
	w.as(t, out)
	require.Equal(t, "owner", w.role(t, team))

	w.execute(t, `DELETE FROM uaol_auth.members`)
	w.as(t, in)
	hand("admin") // somebody decided so since
	w.as(t, out)
	require.Equal(t, "admin", w.role(t, team))
}

func TestWithAGroupsRoleGoesWhatWasMadeWithIt(t *testing.T) {
	t.Parallel()
	team := newID()
	w := startWorld(t, "oidc", func(_ *Config, cfg *oidc.Config) { cfg.GroupRoles = "eng=" + team.String() + ":admin" })
	w.execute(t, `INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, 'a team', false)`, team)
	in, out := inGroups([]string{"eng"}), inGroups([]string{})
	account, token := w.as(t, in)
	invite := func() {
		w.execute(t, `INSERT INTO uaol_auth.invitations (invitation_id, organization_id, email, role, hash, invited_by, expires_at)
			VALUES ($1, $2, 'friend@example.com', 'admin', $3, $4, now() + interval '1 day')`, newID(), team, keyHash(newKey()), account)
	}
	invite()
	made := w.do(t, http.MethodPost, "/auth/keys", `{"name":"team"}`, "Authorization", "Bearer "+token, "X-Organization", team.String())
	require.Equal(t, http.StatusCreated, made.Status, made.Text)
	key := made.Body.Data.APIKey
	login := w.do(t, http.MethodPost, "/auth/login", `{"apiKey":"`+key+`"}`).Body.Data.Token
	require.True(t, w.counts(t, key))
	require.True(t, w.counts(t, login))
	w.as(t, out)
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.invitations`))
	w.as(t, in) // who comes back begins anew
	require.False(t, w.counts(t, key))
	require.False(t, w.counts(t, login))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE key_id IS NOT NULL`))

	w.as(t, out)
	w.execute(t, `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, 'member')`, team, account)
	w.as(t, in)
	invite()
	w.as(t, out)
	require.Equal(t, "member", w.role(t, team))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.invitations`))
}

func TestWhatGroupsGaveEndsWithTheIdentity(t *testing.T) {
	t.Parallel()
	team := newID()
	w := startWorld(t, "oidc", func(_ *Config, cfg *oidc.Config) { cfg.GroupRoles = "ops=admin,eng=" + team.String() + ":member" })
	w.execute(t, `INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, 'a team', false)`, team)
	_, token := w.as(t, inGroups([]string{"ops", "eng"}))
	w.execute(t, `UPDATE uaol_auth.accounts SET password_hash = 'x'`)
	require.Equal(t, http.StatusOK, w.request(t, token, http.MethodDelete, "/auth/identities/"+w.identityID(t).String()).Status)
	require.Equal(t, "none", w.role(t, team))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`))

	// An account that is reclaimed loses what the former identity's groups gave.
	unproved := inGroups([]string{"ops", "eng"})
	unproved.subject, unproved.email, unproved.verified = "mallory", "other@example.com", false
	w.as(t, unproved)
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`))
	w.as(t, person{subject: "owner", email: "other@example.com", verified: true})
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.members`))
}

func TestWhoReclaimsWithAnotherProviderDoesNotGetGroupsRoles(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	account, _, _ := w.register(t, ada.email, "a long password")
	w.execute(t, `UPDATE uaol_auth.accounts SET admin = true`) // as the groups of an identity gave it
	w.execute(t, `INSERT INTO uaol_auth.group_roles (account_id, organization_id, role) VALUES ($1, $2, 'admin')`, account, uuid.Nil)
	w.as(t, ada)
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`))
}

func TestOnlyTheGenericProvidersGroupsCount(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google", func(_ *Config, cfg *oidc.Config) { cfg.GroupRoles = "ops=admin" })
	w.as(t, inGroups([]string{"ops"}))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`))
}
