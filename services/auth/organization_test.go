package auth

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// team makes a shared organisation with these members.
func (b *bench) team(t testing.TB, members map[uuid.UUID]services.OrgRole) uuid.UUID {
	t.Helper()
	id := uuid.New()
	_, err := b.pool.Exec(t.Context(), `INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, 'Team', false)`, id)
	require.NoError(t, err)
	for account, role := range members {
		_, err = b.pool.Exec(t.Context(), `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, $3)`, id, account, string(role))
		require.NoError(t, err)
	}
	return id
}

// TestWhichOrganization a request is for: the one it names, the key's, the
// personal one.
func TestWhichOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.made(t, "ada@example.com"), b.made(t, "bob@example.com")
	team := b.team(t, map[uuid.UUID]services.OrgRole{ada.Account.ID: services.OrgViewer})
	foreign := b.team(t, map[uuid.UUID]services.OrgRole{bob.Account.ID: services.OrgOwner})
	personal := ada.Account.Organization

	verified, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: ada.Token, Organization: team.String()})
	require.NoError(t, err)
	acting := verified.Caller
	require.Equal(t, services.OrgViewer, acting.OrgRole)
	_, teamKey, err := b.service.AddKey(t.Context(), acting, KeyRequest{Name: "for the team"})
	require.NoError(t, err)
	teamToken, err := b.service.Login(t.Context(), teamKey, "", "")
	require.NoError(t, err)

	const mine, theirs, refused, unknown = "personal owner", "team viewer", "403", "401"
	for name, test := range map[string]struct {
		in   VerifyRequest
		want string
	}{
		"token":                         {VerifyRequest{Bearer: ada.Token}, mine},
		"token, personal":               {VerifyRequest{Bearer: ada.Token, Organization: personal.String()}, mine},
		"token, upper case":             {VerifyRequest{Bearer: ada.Token, Organization: strings.ToUpper(team.String())}, theirs},
		"token, team":                   {VerifyRequest{Bearer: ada.Token, Organization: team.String()}, theirs},
		"token, foreign team":           {VerifyRequest{Bearer: ada.Token, Organization: foreign.String()}, refused},
		"token, another's personal one": {VerifyRequest{Bearer: ada.Token, Organization: bob.Account.Organization.String()}, refused},
		"token, nobody's":               {VerifyRequest{Bearer: ada.Token, Organization: uuid.NewString()}, refused},
		"key":                           {VerifyRequest{APIKey: ada.Key}, mine},
		"key, personal":                 {VerifyRequest{APIKey: ada.Key, Organization: personal.String()}, mine},
		"key, team":                     {VerifyRequest{APIKey: ada.Key, Organization: team.String()}, refused},
		"the team's key":                {VerifyRequest{APIKey: teamKey}, theirs},
		"the team's key, team":          {VerifyRequest{APIKey: teamKey, Organization: team.String()}, theirs},
		"the team's key, personal":      {VerifyRequest{APIKey: teamKey, Organization: personal.String()}, refused},
		"its token":                     {VerifyRequest{Bearer: teamToken}, theirs},
		"its token, personal":           {VerifyRequest{Bearer: teamToken, Organization: personal.String()}, refused},
		"its token, foreign team":       {VerifyRequest{Bearer: teamToken, Organization: foreign.String()}, refused},
		"a guest, team":                 {VerifyRequest{Guest: true, GuestID: "g", Organization: team.String()}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := b.service.Verify(t.Context(), test.in)
			switch test.want {
			case refused:
				require.Equal(t, services.Forbidden, services.KindOf(err), err)
				require.NotContains(t, err.Error(), "Team")
			case mine:
				require.NoError(t, err)
				require.Equal(t, personal, got.Caller.Organization)
				require.Equal(t, services.OrgOwner, got.Caller.OrgRole)
				require.True(t, got.Caller.Personal)
			case theirs:
				require.NoError(t, err)
				require.Equal(t, team, got.Caller.Organization)
				require.Equal(t, services.OrgViewer, got.Caller.OrgRole)
				require.False(t, got.Caller.Personal, "or its credits would begin like a person's")
			}
		})
	}

	// A place in the organisation that is gone takes the key along.
	_, err = b.pool.Exec(t.Context(), `DELETE FROM uaol_auth.members WHERE account_id = $1`, ada.Account.ID)
	require.NoError(t, err)
	for _, in := range []VerifyRequest{{APIKey: teamKey}, {Bearer: teamToken}, {Bearer: teamKey}} {
		_, err = b.service.Verify(t.Context(), in)
		require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
	}
	_, err = b.service.Login(t.Context(), teamKey, "", "")
	require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
	_, err = b.service.Verify(t.Context(), VerifyRequest{Bearer: ada.Token, Organization: team.String()})
	require.Equal(t, services.Forbidden, services.KindOf(err), err)

	// Coming back does not bring the key back.
	_, err = b.pool.Exec(t.Context(), `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, 'owner')`, team, ada.Account.ID)
	require.NoError(t, err)
	_, err = b.service.Verify(t.Context(), VerifyRequest{APIKey: teamKey})
	require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
	_, err = b.service.Verify(t.Context(), VerifyRequest{Bearer: ada.Token, Organization: team.String()})
	require.NoError(t, err)

	for _, header := range []string{"team", team.String() + "0", "{" + team.String() + "}", "urn:uuid:" + team.String(), strings.ReplaceAll(team.String(), "-", "")} {
		got := b.do(t, "GET", "/auth/me", "", "X-API-Key", ada.Key, "X-Organization", header)
		require.Equal(t, http.StatusBadRequest, got.Status, got.Text)
		require.Contains(t, string(got.Body.Error.Details), "header.X-Organization")
	}
}

// TestAuditLog holds who did what from where, and is read by platform admins.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	admin, err := b.service.EnsureAdmin(t.Context(), "root@example.com", "")
	require.NoError(t, err)
	registered := b.do(t, "POST", "/auth/register", `{"email":"ada@example.com","password":"correct horse"}`, "User-Agent", "a browser")
	ada := registered.Body.Data.User
	for range 2 {
		b.do(t, "POST", "/auth/login", `{"email":"ada@example.com","password":"wrong horse"}`)
	}
	login := b.do(t, "POST", "/auth/login", `{"email":"ada@example.com","password":"correct horse"}`)
	b.do(t, "POST", "/auth/keys", `{"name":"x"}`, "X-API-Key", ada.APIKey)
	b.do(t, "POST", "/auth/logout", "", "Authorization", "Bearer "+login.Body.Data.Token)

	list := func(query string) string {
		got := b.do(t, "GET", "/audit"+query, "", "X-API-Key", admin)
		require.Equal(t, 200, got.Status, got.Text)
		return got.Text
	}
	all := list("")
	for _, action := range []string{"account.register", "session.begin", "key.create", "session.end"} {
		require.Contains(t, all, `"action":"`+action+`"`)
	}
	require.NotContains(t, all, "attempted", "each has its outcome")
	for _, secret := range []string{"ada@example.com", "horse", ada.APIKey, ada.APIKey[9:], login.Body.Data.Token} {
		require.NotContains(t, all, secret)
	}
	require.Contains(t, all, `"address":"192.0.2.1","userAgent":"a browser"`)
	require.Equal(t, 3, strings.Count(list("?action=session.begin"), `"action":`))
	require.Equal(t, 2, strings.Count(list("?action=session.begin"), `"outcome":"refused"`))
	require.Equal(t, 4, strings.Count(list("?account="+ada.ID), `"action":`))
	require.Equal(t, 2, strings.Count(list("?limit=2"), `"action":`))
	require.Contains(t, list("?limit=2"), `"nextCursor"`)
	require.NotContains(t, list("?since=2100-01-01T00:00:00Z"), `"action":`)
	require.NotContains(t, list("?until=2020-01-01T00:00:00Z"), `"action":`)

	export := b.raw(t, "GET", "/audit/export", "X-API-Key", admin)
	require.Equal(t, "application/x-ndjson", export.Header().Get("Content-Type"))
	lines := strings.Split(strings.TrimSpace(export.Body.String()), "\n")
	require.Len(t, lines, 6+2, "with its own attempt, and the admin's making")
	for _, line := range lines {
		require.Regexp(t, `^\{"id":".*"action":".*"outcome":".*\}$`, line)
	}
	require.Equal(t, 400, b.raw(t, "GET", "/audit/export?since=yesterday", "X-API-Key", admin).Code)
	for _, path := range []string{"/audit", "/audit/export"} {
		require.Equal(t, 403, b.raw(t, "GET", path, "X-API-Key", ada.APIKey).Code)
		require.Equal(t, 401, b.raw(t, "GET", path).Code)
	}

	// An entry with an outcome is never changed again.
	acts, err := b.audit.List(t.Context(), Filter{Action: "key.create"}, services.Now().Add(1e9), uuid.Max, 10)
	require.NoError(t, err)
	require.Len(t, acts, 1)
	forged := acts[0]
	forged.Outcome, forged.Account = services.Refused, uuid.New()
	require.NoError(t, b.audit.Record(t.Context(), forged))
	again, err := b.audit.List(t.Context(), Filter{Action: "key.create"}, services.Now().Add(1e9), uuid.Max, 10)
	require.NoError(t, err)
	require.Equal(t, acts, again)

	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.audit SET created_at = now() - interval '366 days' WHERE action = 'key.create'`)
	require.NoError(t, err)
	require.NoError(t, NewHousekeeper(Config{AuditDays: 365}, b.repository).Sweep(t.Context()))
	require.NotContains(t, list(""), "key.create")
}

// TestAnOrganizationsKey reaches the organisation, and nothing else of the
// account that it was made by.
func TestAnOrganizationsKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET admin = true WHERE account_id = $1`, ada.Account.ID)
	require.NoError(t, err)
	team := b.team(t, map[uuid.UUID]services.OrgRole{ada.Account.ID: services.OrgOwner})
	acting, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: ada.Token, Organization: team.String()})
	require.NoError(t, err)
	_, secret, err := b.service.AddKey(t.Context(), acting.Caller, KeyRequest{Name: "ci"})
	require.NoError(t, err)
	token, err := b.service.Login(t.Context(), secret, "", "")
	require.NoError(t, err)
	keys, err := b.service.Keys(t.Context(), ada.Account.Caller())
	require.NoError(t, err)
	for _, credential := range [][]string{{"X-API-Key", secret}, {"Authorization", "Bearer " + token}} {
		for _, route := range []string{
			"GET /auth/keys", "POST /auth/keys", "GET /auth/api-key", "POST /auth/api-key/regenerate", "POST /auth/keys/" + keys[1].ID.String() + "/regenerate",
			"DELETE /auth/keys/" + keys[1].ID.String(), "GET /auth/sessions", "DELETE /auth/sessions", "GET /users/profile", "PUT /users/password",
			"POST /users/email", "GET /users/export", "DELETE /users/account", "GET /auth/identities", "GET /audit", "GET /audit/export",
		} {
			method, path, _ := strings.Cut(route, " ")
			got := b.do(t, method, path, "", credential...)
			require.Equal(t, 403, got.Status, "%s: %s", route, got.Text)
		}
		require.Equal(t, 200, b.asks(t, credential...), "who is calling")
	}
	require.Equal(t, 200, b.do(t, "GET", "/audit", "", "Authorization", "Bearer "+ada.Token, "X-Organization", team.String()).Status, "a person stays an admin")
	require.Equal(t, 200, b.asks(t, "X-API-Key", ada.Key))
	require.Equal(t, 200, b.do(t, "POST", "/auth/logout", "", "Authorization", "Bearer "+token).Status)
	require.Equal(t, 401, b.asks(t, "Authorization", "Bearer "+token))
}
