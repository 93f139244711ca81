package auth

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// made is somebody who has registered.
func (b *bench) made(t testing.TB, email string) Registered {
	t.Helper()
	made, err := b.service.Register(t.Context(), RegisterRequest{Email: email, Password: "correct horse"})
	require.NoError(t, err)
	return made
}

// asks tells the status that /auth/me answers these headers with.
func (b *bench) asks(t testing.TB, headers ...string) int {
	t.Helper()
	return b.do(t, "GET", "/auth/me", "", headers...).Status
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.made(t, "ada@example.com"), b.made(t, "bob@example.com")
	bearer := []string{"Authorization", "Bearer " + ada.Token}

	got := b.do(t, "GET", "/auth/api-key", "", bearer...)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, ada.Key[:9]+"…", got.Body.Data.APIKey, "masked")
	require.Contains(t, got.Text, "POST /auth/api-key/regenerate")
	require.NotContains(t, got.Text, ada.Key[9:])

	got = b.do(t, "POST", "/auth/keys", `{"name":"ci","scopes":["jobs:write","jobs:read","jobs:read"]}`, bearer...)
	require.Equal(t, http.StatusCreated, got.Status, got.Text)
	ci := got.Body.Data.APIKey
	require.Regexp(t, `^uaol_[A-Za-z2-7]{34}$`, ci)
	require.Contains(t, got.Text, `"scopes":["jobs:read","jobs:write"]`)
	list := b.do(t, "GET", "/auth/keys", "", bearer...)
	require.Contains(t, list.Text, `"name":"ci"`)
	require.NotContains(t, list.Text, ci)
	require.NotContains(t, list.Text, ci[9:])

	// Each is its owner's alone.
	keys, err := b.service.Keys(t.Context(), ada.Account.Caller())
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, path := range []string{"DELETE /auth/keys/" + keys[0].ID.String(), "POST /auth/keys/" + keys[0].ID.String() + "/regenerate", "DELETE /auth/keys/" + uuid.NewString()} {
		method, path, _ := strings.Cut(path, " ")
		got = b.do(t, method, path, "", "X-API-Key", bob.Key)
		require.Equal(t, 404, got.Status, got.Text)
	}
	require.NotContains(t, b.do(t, "GET", "/auth/keys", "", "X-API-Key", bob.Key).Text, "ci")

	// A new one takes an old one's place; what was got with the old one goes too.
	login := b.do(t, "POST", "/auth/login", `{"apiKey":"`+ada.Key+`"}`)
	require.Equal(t, 200, login.Status, login.Text)
	require.Equal(t, 200, b.asks(t, "Authorization", "Bearer "+login.Body.Data.Token))
	got = b.do(t, "POST", "/auth/api-key/regenerate", "", bearer...)
	require.Equal(t, 200, got.Status, got.Text)
	fresh := got.Body.Data.APIKey
	require.NotEqual(t, ada.Key, fresh)
	require.Equal(t, 200, b.asks(t, "X-API-Key", fresh))
	require.Equal(t, 401, b.asks(t, "X-API-Key", ada.Key), "at once in this process")
	require.Equal(t, 401, b.asks(t, "Authorization", "Bearer "+login.Body.Data.Token), "the token that was got with it")
	require.Equal(t, 401, b.do(t, "POST", "/auth/login", `{"apiKey":"`+ada.Key+`"}`).Status)
	require.Equal(t, 200, b.asks(t, bearer...), "other sign-ins go on")

	// Revoked.
	got = b.do(t, "DELETE", "/auth/keys/"+keys[0].ID.String(), "", bearer...)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, 401, b.asks(t, "X-API-Key", ci))
	require.Equal(t, 404, b.do(t, "DELETE", "/auth/keys/"+keys[0].ID.String(), "", bearer...).Status)
	require.Equal(t, 404, b.do(t, "POST", "/auth/keys/"+keys[0].ID.String()+"/regenerate", "", bearer...).Status)

	// Without one named default, regenerating makes it.
	keys, err = b.service.Keys(t.Context(), ada.Account.Caller())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.NoError(t, b.service.RevokeKey(t.Context(), ada.Account.Caller(), keys[0].ID))
	got = b.do(t, "GET", "/auth/api-key", "", bearer...)
	require.Equal(t, 404, got.Status, got.Text)
	got = b.do(t, "POST", "/auth/api-key/regenerate", "", bearer...)
	require.Equal(t, 200, b.asks(t, "X-API-Key", got.Body.Data.APIKey))
}

func TestKeysAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	for name, test := range map[string]struct{ body, path string }{
		"no name":        {`{}`, "body.name"},
		"an empty name":  {`{"name":""}`, "body.name"},
		"a long name":    {`{"name":"` + strings.Repeat("x", 101) + `"}`, "body.name"},
		"a bad scope":    {`{"name":"x","scopes":["everything"]}`, "body.scopes"},
		"a space in one": {`{"name":"x","scopes":["jobs:read jobs:write"]}`, "body.scopes"},
		"an empty scope": {`{"name":"x","scopes":[""]}`, "body.scopes"},
		"no time":        {`{"name":"x","expiresAt":"soon"}`, "body.expiresAt"},
		"the past":       {`{"name":"x","expiresAt":"2020-01-01T00:00:00Z"}`, "body.expiresAt"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(t, "POST", "/auth/keys", test.body, "X-API-Key", ada.Key)
			require.Equal(t, 400, got.Status, got.Text)
			require.Contains(t, string(got.Body.Error.Details), `"path":"`+test.path)
		})
	}
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.api_keys`))

	// A broken NUL or a name that cannot be stored is the client's fault.
	require.Equal(t, 400, b.do(t, "POST", "/auth/keys", `{"name":"a\u0000"}`, "X-API-Key", ada.Key).Status)

	again := services.WithRepeatKey(t.Context(), "again")
	_, _, err := b.service.AddKey(again, ada.Account.Caller(), KeyRequest{Name: "k"})
	require.NoError(t, err)
	for range maxKeys - 2 {
		_, _, err := b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "k"})
		require.NoError(t, err)
	}
	_, _, err = b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "one too many"})
	require.ErrorContains(t, err, "at most 200 keys")
	_, _, err = b.service.AddKey(again, ada.Account.Caller(), KeyRequest{Name: "k"})
	require.ErrorIs(t, err, services.ErrRepeated, "what there is already is no one more")
}

func TestKeysExpire(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	soon := time.Now().Add(time.Hour)
	key, secret, err := b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "short", Expires: &soon})
	require.NoError(t, err)
	token, err := b.service.Login(t.Context(), secret, "", "")
	require.NoError(t, err)
	require.Equal(t, 200, b.asks(t, "X-API-Key", secret))
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.api_keys SET expires_at = now() WHERE key_id = $1`, key.ID)
	require.NoError(t, err)
	b.bus.Publish(accessChanged(ada.Account.ID, uuid.Nil)) // three seconds later, so to say
	require.Equal(t, 401, b.asks(t, "X-API-Key", secret))
	require.Equal(t, 401, b.asks(t, "Authorization", "Bearer "+token), "a token lasts no longer than its key")
	_, err = b.service.Login(t.Context(), secret, "", "")
	require.Equal(t, services.Unauthenticated, services.KindOf(err))
}

// TestScopes narrow what a key opens, and go along into tokens and new keys.
func TestScopes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	narrow := func(scopes ...string) string {
		_, secret, err := b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "narrow", Scopes: scopes})
		require.NoError(t, err)
		return secret
	}
	reader, writer, jobs := narrow("account:read"), narrow("account:read", "account:write"), narrow("jobs:read")
	token, err := b.service.Login(t.Context(), reader, "", "")
	require.NoError(t, err)

	require.Equal(t, 200, b.asks(t, "X-API-Key", reader))
	require.Equal(t, 200, b.asks(t, "Authorization", "Bearer "+token))
	got := b.do(t, "GET", "/auth/me", "", "X-API-Key", jobs)
	require.Equal(t, 403, got.Status, got.Text)
	require.Equal(t, "This API key lacks the scope account:read", got.Body.Error.Message)
	for _, credential := range [][]string{{"X-API-Key", reader}, {"Authorization", "Bearer " + token}} {
		got = b.do(t, "POST", "/auth/keys", `{"name":"wider"}`, credential...)
		require.Equal(t, 403, got.Status, got.Text)
	}
	for body, status := range map[string]int{
		`{"name":"all"}`: 403,
		`{"name":"more","scopes":["account:read","jobs:read"]}`:         403,
		`{"name":"less","scopes":["account:read"]}`:                     201,
		`{"name":"the same","scopes":["account:write","account:read"]}`: 201,
	} {
		got = b.do(t, "POST", "/auth/keys", body, "X-API-Key", writer)
		require.Equal(t, status, got.Status, got.Text)
	}
	got = b.do(t, "POST", "/auth/api-key/regenerate", "", "X-API-Key", writer)
	require.Equal(t, 403, got.Status, "the default key can do everything: %s", got.Text)
	require.Equal(t, 200, b.asks(t, "X-API-Key", ada.Key), "and it still counts")
}

func TestSessions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.made(t, "ada@example.com"), b.made(t, "bob@example.com")
	login := func() string {
		got := b.do(t, "POST", "/auth/login", `{"email":"ada@example.com","password":"correct horse"}`, "User-Agent", "a browser")
		require.Equal(t, 200, got.Status, got.Text)
		return got.Body.Data.Token
	}
	first, second := login(), login()
	sessions, err := b.service.Sessions(t.Context(), ada.Account.Caller())
	require.NoError(t, err)
	require.Len(t, sessions, 3)
	require.Equal(t, "password", sessions[0].Method)
	require.Equal(t, "a browser", sessions[0].UserAgent)
	require.Equal(t, "192.0.2.1", sessions[0].Address)
	require.Equal(t, "register", sessions[2].Method)
	got := b.do(t, "GET", "/auth/sessions", "", "Authorization", "Bearer "+first)
	require.Equal(t, 1, strings.Count(got.Text, `"current":true`), got.Text)

	got = b.do(t, "DELETE", "/auth/sessions/"+sessions[0].ID.String(), "", "X-API-Key", bob.Key)
	require.Equal(t, 404, got.Status, "another's: %s", got.Text)
	require.Equal(t, 200, b.asks(t, "Authorization", "Bearer "+second))
	got = b.do(t, "DELETE", "/auth/sessions/"+sessions[0].ID.String(), "", "Authorization", "Bearer "+first)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, 401, b.asks(t, "Authorization", "Bearer "+second))

	third := login()
	got = b.do(t, "DELETE", "/auth/sessions", "", "Authorization", "Bearer "+third)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, 200, b.asks(t, "Authorization", "Bearer "+third))
	require.Equal(t, 401, b.asks(t, "Authorization", "Bearer "+first))
	require.Equal(t, 401, b.asks(t, "Authorization", "Bearer "+ada.Token))
	require.Equal(t, 200, b.asks(t, "Authorization", "Bearer "+bob.Token))

	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.sessions SET expires_at = now()`)
	require.NoError(t, err)
	b.bus.Publish(accessChanged(ada.Account.ID, uuid.Nil))
	require.Equal(t, 401, b.asks(t, "Authorization", "Bearer "+third), "the row's word counts, not only the token's")
	require.NoError(t, NewHousekeeper(Config{AuditDays: 1}, b.repository).Sweep(t.Context()))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.sessions`))
}

// TestUsageIsNoted after the fact.
func TestUsageIsNoted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.api_keys WHERE last_used_at IS NOT NULL`))
	require.Equal(t, 200, b.asks(t, "X-API-Key", ada.Key))
	require.Equal(t, 200, b.asks(t, "Authorization", "Bearer "+ada.Token))
	require.NoError(t, b.service.NoteUsage(t.Context()))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.api_keys WHERE last_used_at IS NOT NULL`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE last_used_at > created_at`))
	keys, sessions := b.service.used.take()
	require.Empty(t, keys)
	require.Empty(t, sessions)
}

// TestSecretsRotate: tokens signed with a secret that was replaced still count,
// others do not.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	const next = "the next JWT secret, 32 characters or more"
	for previous, status := range map[string]bool{"": false, jwtSecret: true, "another secret of 32 characters or more": false, next: false} {
		s := *b.service
		s.signer = newSigner(next, previous, time.Hour)
		_, err := s.Verify(t.Context(), VerifyRequest{Bearer: ada.Token})
		require.Equal(t, status, err == nil, "%q: %v", previous, err)
		token, err := s.signIn(t.Context(), ada.Account, "password", nil)
		require.NoError(t, err)
		_, err = s.Verify(t.Context(), VerifyRequest{Bearer: token})
		require.NoError(t, err)
		_, err = b.service.Verify(t.Context(), VerifyRequest{Bearer: token})
		require.Error(t, err, "signed with the new one alone")
	}
}

// TestAKeyStaysItself when it is given another secret: spend caps are on its id.
func TestAKeyStaysItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	key, secret, err := b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "capped"})
	require.NoError(t, err)
	again, fresh, err := b.service.RegenerateKey(t.Context(), ada.Account.Caller(), key.ID)
	require.NoError(t, err)
	require.Equal(t, key.ID, again.ID)
	require.NotEqual(t, secret, fresh)
	verified, err := b.service.Verify(t.Context(), VerifyRequest{APIKey: fresh})
	require.NoError(t, err)
	require.Equal(t, key.ID, verified.Caller.Key)
	_, err = b.service.Verify(t.Context(), VerifyRequest{APIKey: secret})
	require.Equal(t, services.Unauthenticated, services.KindOf(err))
}

// TestAKeyOutlastsNotTheOneThatMadeIt.
func TestAKeyOutlastsNotTheOneThatMadeIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	soon, late := time.Now().Add(time.Hour), time.Now().Add(24*time.Hour)
	parent, _, err := b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "short", Expires: &soon})
	require.NoError(t, err)
	caller := ada.Account.Caller()
	caller.Key = parent.ID
	for name, expires := range map[string]*time.Time{"never": nil, "later": &late} {
		child, _, err := b.service.AddKey(t.Context(), caller, KeyRequest{Name: name, Expires: expires})
		require.NoError(t, err)
		require.Equal(t, parent.ExpiresAt, child.ExpiresAt, name)
	}
	sooner := time.Now().Add(time.Minute)
	child, _, err := b.service.AddKey(t.Context(), caller, KeyRequest{Name: "sooner", Expires: &sooner})
	require.NoError(t, err)
	require.WithinDuration(t, sooner, child.ExpiresAt.Time, time.Second)
}

// TestEndedCredentialsMakeNothing that lasts, in the moment in which another
// process still takes them for good.
func TestEndedCredentialsMakeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	signedIn, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: ada.Token})
	require.NoError(t, err)
	withKey, err := b.service.Verify(t.Context(), VerifyRequest{APIKey: ada.Key})
	require.NoError(t, err)
	require.NoError(t, b.service.Logout(t.Context(), signedIn.Caller))
	require.NoError(t, b.service.RevokeKey(t.Context(), ada.Account.Caller(), withKey.Caller.Key))
	other, _, err := b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "other"})
	require.NoError(t, err)
	for _, caller := range []services.Caller{signedIn.Caller, withKey.Caller} {
		_, _, err = b.service.AddKey(t.Context(), caller, KeyRequest{Name: "x"})
		require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
		_, _, err = b.service.RegenerateKey(t.Context(), caller, other.ID)
		require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
		_, err = b.service.RegenerateDefaultKey(t.Context(), caller)
		require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
	}
}
