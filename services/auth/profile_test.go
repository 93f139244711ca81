package auth

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// login is a sign-in with a password.
func (b *bench) login(t testing.TB, email, password string) (token string, status int) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"email": email, "password": password})
	require.NoError(t, err)
	got := b.do(t, "POST", "/login", string(body))
	return got.Body.Data.Token, got.Status
}

// age makes all sign-ins of an account older than what counts as fresh.
func (b *bench) age(t testing.TB, account uuid.UUID) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.sessions SET created_at = now() - interval '11 minutes' WHERE account_id = $1`, account)
	require.NoError(t, err)
}

func TestProfile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	for _, prefix := range []string{"/users", "/auth/users"} {
		got := b.do(t, "GET", prefix+"/profile", "", bearer(ada.Token)...)
		require.Equal(t, 200, got.Status, got.Text)
		require.JSONEq(t, `{"success":true,"data":{"id":"`+ada.Account.ID.String()+`","email":"ada@example.com","subscriptionTier":"Free",
			"credits":"10000","createdAt":"`+ada.Account.CreatedAt.String()+`","name":null,"emailVerified":false}}`, got.Text)
		require.JSONEq(t, `{"success":true,"data":{"credits":"10000"}}`, b.do(t, "GET", prefix+"/credits", "", bearer(ada.Token)...).Text)
		require.JSONEq(t, `{"success":true,"data":{"tier":"Free"}}`, b.do(t, "GET", prefix+"/subscription", "", bearer(ada.Token)...).Text)
		require.Equal(t, 401, b.do(t, "GET", prefix+"/profile", "").Status)
		require.Equal(t, 401, b.do(t, "GET", prefix+"/profile", "", "X-Guest-Id", "g").Status, "a guest has none")
	}

	for body, want := range map[string]string{
		`{"email":"ada@example.com"}`:                  "Profile updated successfully",
		`{"email":" ADA@example.com "}`:                "Profile updated successfully",
		`{}`:                                           "Profile updated successfully",
		`{"name":"  Ada Lovelace "}`:                   "Profile updated successfully",
		`{"name":"Ada\nLovelace"}`:                     "",
		`{"email":"not an address"}`:                   "",
		`{"email":"new@example.com"}`:                  "", // the password is needed
		`{"email":""}`:                                 "",
		`{"name":"` + string(make([]byte, 101)) + `"}`: "",
	} {
		got := b.do(t, "PUT", "/users/profile", body, bearer(ada.Token)...)
		if want == "" {
			require.Equal(t, 400, got.Status, "%s: %s", body, got.Text)
			continue
		}
		require.Equal(t, 200, got.Status, "%s: %s", body, got.Text)
		require.JSONEq(t, `{"success":true,"message":"`+want+`"}`, got.Text)
	}
	require.Contains(t, b.do(t, "GET", "/users/profile", "", bearer(ada.Token)...).Text, `"name":"Ada Lovelace"`)
	require.Equal(t, 200, b.do(t, "PUT", "/users/profile", `{"name":""}`, bearer(ada.Token)...).Status)
	require.Contains(t, b.do(t, "GET", "/users/profile", "", bearer(ada.Token)...).Text, `"name":null`)
}

// TestNobodyTakesATier is the original's fault 4: any user could.
func TestNobodyTakesATier(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, root := b.made(t, "ada@example.com"), b.made(t, "root@example.com")
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET admin = true WHERE account_id = $1`, root.Account.ID)
	require.NoError(t, err)
	for _, token := range []string{ada.Token, root.Token} {
		for _, tier := range []string{"Free", "Pro", "Enterprise"} {
			got := b.do(t, "PUT", "/users/subscription", `{"tier":"`+tier+`"}`, bearer(token)...)
			require.Equal(t, http.StatusForbidden, got.Status, got.Text)
		}
		for _, body := range []string{`{"tier":"Gold"}`, `{}`, `{"tier":7}`} {
			got := b.do(t, "PUT", "/users/subscription", body, bearer(token)...)
			require.Equal(t, 400, got.Status, got.Text)
			require.Contains(t, string(got.Body.Error.Details), `"path":"body.tier"`)
			if body != `{"tier":7}` {
				require.Equal(t, "Invalid subscription tier", got.Body.Error.Message)
			}
		}
		require.Contains(t, b.do(t, "GET", "/users/subscription", "", bearer(token)...).Text, `"tier":"Free"`)
	}
}

func TestPasswordChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	other, status := b.login(t, "ada@example.com", "correct horse")
	require.Equal(t, 200, status)
	withKey, err := b.service.Login(t.Context(), ada.Key, "", "")
	require.NoError(t, err)
	require.NoError(t, b.repository.addLink(t.Context(), ada.Account.ID, resetPassword, "ada@example.com", newSecret()))

	for body, path := range map[string]string{
		`{"newPassword":"battery staple"}`:                                 "body.currentPassword",
		`{"currentPassword":"","newPassword":"battery staple"}`:            "body.currentPassword",
		`{"currentPassword":"wrong horse","newPassword":"battery staple"}`: "body.currentPassword",
		`{"currentPassword":"correct horse","newPassword":"short"}`:        "body.newPassword",
		`{"currentPassword":"correct horse"}`:                              "body.newPassword",
	} {
		got := b.do(t, "PUT", "/users/password", body, bearer(ada.Token)...)
		require.Equal(t, 400, got.Status, got.Text)
		require.Contains(t, string(got.Body.Error.Details), `"path":"`+path+`"`, body)
	}
	require.Equal(t, 200, b.asks(t, bearer(other)...), "what failed ended nothing")

	got := b.do(t, "PUT", "/users/password", `{"currentPassword":"correct horse","newPassword":"battery staple"}`, bearer(ada.Token)...)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, 200, b.asks(t, bearer(ada.Token)...), "the sign-in that asked goes on")
	require.Equal(t, 401, b.asks(t, bearer(other)...))
	require.Equal(t, 401, b.asks(t, bearer(withKey)...), "a sign-in with a key is one too")
	require.Equal(t, 200, b.asks(t, "X-API-Key", ada.Key), "keys stay")
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.links`))
	_, status = b.login(t, "ada@example.com", "correct horse")
	require.Equal(t, 401, status)
	_, status = b.login(t, "ada@example.com", "battery staple")
	require.Equal(t, 200, status)
}

// TestPasswordGuessesAreLimited at a stolen sign-in as at the door.
func TestPasswordGuessesAreLimited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	for range 10 {
		got := b.do(t, "PUT", "/users/password", `{"currentPassword":"wrong horse","newPassword":"battery staple"}`, bearer(ada.Token)...)
		require.Equal(t, 400, got.Status, got.Text)
	}
	for _, request := range [][3]string{
		{"PUT", "/users/password", `{"currentPassword":"correct horse","newPassword":"battery staple"}`},
		{"POST", "/users/email", `{"email":"new@example.com","password":"correct horse"}`},
		{"DELETE", "/users/account", `{"password":"correct horse"}`},
	} {
		got := b.do(t, request[0], request[1], request[2], bearer(ada.Token)...)
		require.Equal(t, http.StatusTooManyRequests, got.Status, got.Text)
	}
	require.Equal(t, 200, b.asks(t, bearer(ada.Token)...))
}

// TestTheFirstPassword needs proof of another kind.
func TestTheFirstPassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, test := range map[string]struct {
		headers func(made Registered, scoped string) []string
		old     bool // the sign-in
		status  int
		code    string
	}{
		"a fresh sign-in":      {func(made Registered, _ string) []string { return bearer(made.Token) }, false, 200, ""},
		"an old sign-in":       {func(made Registered, _ string) []string { return bearer(made.Token) }, true, 403, "SIGN_IN_AGAIN"},
		"an API key":           {func(made Registered, _ string) []string { return []string{"X-API-Key", made.Key} }, true, 200, ""},
		"an API key as bearer": {func(made Registered, _ string) []string { return bearer(made.Key) }, true, 200, ""},
		"an old sign-in with an API key": {func(made Registered, _ string) []string {
			token, err := b.service.Login(t.Context(), made.Key, "", "")
			require.NoError(t, err)
			b.age(t, made.Account.ID)
			return bearer(token)
		}, true, 403, "SIGN_IN_AGAIN"},
		"an API key with scopes": {func(_ Registered, scoped string) []string { return []string{"X-API-Key", scoped} }, false, 403, "AUTHORIZATION_ERROR"},
		"a fresh sign-in with a key with scopes": {func(_ Registered, scoped string) []string {
			token, err := b.service.Login(t.Context(), scoped, "", "")
			require.NoError(t, err)
			return bearer(token)
		}, false, 403, "AUTHORIZATION_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := b.service.Register(t.Context(), RegisterRequest{Email: uuid.NewString() + "@example.com"})
			require.NoError(t, err)
			_, scoped, err := b.service.AddKey(t.Context(), made.Account.Caller(), KeyRequest{Name: "scoped", Scopes: []string{"account:read", "account:write"}})
			require.NoError(t, err)
			if test.old {
				b.age(t, made.Account.ID)
			}
			got := b.do(t, "PUT", "/users/password", `{"newPassword":"battery staple"}`, test.headers(made, scoped)...)
			require.Equal(t, test.status, got.Status, got.Text)
			require.Equal(t, test.code, got.Body.Error.Code)
			_, status := b.login(t, *made.Account.Email, "battery staple")
			require.Equal(t, test.status == 200, status == 200)
		})
	}
}

// TestScopesDoNotReachTheAccount: whoever can sign in as somebody is not held by
// a key's scopes any more.
func TestScopesDoNotReachTheAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	_, scoped, err := b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "scoped", Scopes: []string{"account:read", "account:write"}})
	require.NoError(t, err)
	for _, request := range [][3]string{
		{"PUT", "/users/password", `{"currentPassword":"correct horse","newPassword":"battery staple"}`},
		{"POST", "/users/email", `{"email":"new@example.com","password":"correct horse"}`},
		{"PUT", "/users/profile", `{"email":"new@example.com","password":"correct horse"}`},
		{"DELETE", "/users/account", `{"password":"correct horse"}`},
		{"GET", "/users/export", ""},
	} {
		got := b.do(t, request[0], request[1], request[2], "X-API-Key", scoped)
		require.Equal(t, 403, got.Status, got.Text)
		require.Contains(t, got.Body.Error.Message, "scopes")
	}
	require.Equal(t, 200, b.do(t, "GET", "/users/profile", "", "X-API-Key", scoped).Status)
}

// TestTwoPasswordChangesAtOnce: one of them wins, and the other is told.
func TestTwoPasswordChangesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	var group sync.WaitGroup
	errs := make([]error, 2)
	for i, password := range []string{"battery staple", "another horse"} {
		group.Go(func() {
			errs[i] = b.profiles.profiles.SetPassword(t.Context(), ada.Account.Caller(), "correct horse", password)
		})
	}
	group.Wait()
	won := 0
	for i, password := range []string{"battery staple", "another horse"} {
		_, status := b.login(t, "ada@example.com", password)
		require.Equal(t, errs[i] == nil, status == 200)
		if errs[i] == nil {
			won++
		} else {
			require.Contains(t, []services.Kind{services.Conflict, services.Invalid}, services.KindOf(errs[i]))
		}
	}
	require.Equal(t, 1, won)
}

// TestServiceAccountsHaveNoProfile: they are told so, and nothing is done.
func TestServiceAccountsHaveNoProfile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	team := b.team(t, map[uuid.UUID]services.OrgRole{ada.Account.ID: services.OrgOwner})
	id, secret := uuid.New(), newKey()
	for _, sql := range []string{
		`INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, name) VALUES ($1, $2, 'service', 'robot')`,
		`INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($2, $1, 'admin')`,
	} {
		_, err := b.pool.Exec(t.Context(), sql, id, team)
		require.NoError(t, err)
	}
	_, err := b.repository.addKey(t.Context(), b.pool, storedKey{account: id, organization: team, name: "k", secret: secret})
	require.NoError(t, err)
	for _, request := range [][3]string{
		{"PUT", "/users/profile", `{"name":"HAL"}`},
		{"PUT", "/users/profile", `{}`},
		{"PUT", "/users/password", `{"newPassword":"battery staple"}`},
		{"POST", "/users/email", `{"email":"new@example.com"}`},
		{"DELETE", "/users/account", `{"confirm":"new@example.com"}`},
		{"GET", "/users/export", ""},
	} {
		got := b.do(t, request[0], request[1], request[2], "X-API-Key", secret)
		require.Equal(t, 403, got.Status, "%s: %s", request[1], got.Text)
		require.Contains(t, got.Body.Error.Message, "belongs to an organisation")
	}
	require.Equal(t, "robot", b.text(t, `SELECT name FROM uaol_auth.accounts WHERE account_id = $1`, id))
	require.Equal(t, 200, b.asks(t, "X-API-Key", secret), "who is calling")
}
