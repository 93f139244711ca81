package auth

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/mail/mailtest"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth/oidc"
)

// linked makes a sign-in link with some credentials, which must succeed.
func (b *bench) linked(t testing.TB, headers ...string) (link signInLinkBody) {
	t.Helper()
	got := b.do(t, "POST", "/auth/links", "", headers...)
	require.Equal(t, http.StatusCreated, got.Status, got.Text)
	require.NoError(t, json.Unmarshal([]byte(got.Text), &struct{ Data *signInLinkBody }{&link}))
	return link
}

// enters signs in by a link.
func (b *bench) enters(t testing.TB, secret string) answer {
	t.Helper()
	return b.do(t, "POST", "/auth/login", `{"link":"`+secret+`"}`)
}

// entered is the token of a sign-in by a link, which must succeed.
func (b *bench) entered(t testing.TB, secret string) string {
	t.Helper()
	got := b.enters(t, secret)
	require.Equal(t, http.StatusOK, got.Status, got.Text)
	require.NotEmpty(t, got.Body.Data.Token)
	return got.Body.Data.Token
}

func TestSignInLinks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	link := b.linked(t, bearer(ada.Token)...)
	require.Regexp(t, `^lnk_[A-Za-z2-7]{34}$`, link.Secret)
	require.Equal(t, "http://example.com/console/enter?link="+link.Secret, link.URL, "at what this client calls us")
	require.WithinDuration(t, time.Now().Add(10*time.Minute), link.ExpiresAt.Time, 5*time.Second)
	require.NotContains(t, b.dump(t), link.Secret, "only its hash is stored")

	token := b.entered(t, link.Secret)
	me := b.do(t, "GET", "/auth/me", "", bearer(token)...)
	require.Equal(t, ada.Account.ID.String(), me.Body.Data.ID)
	sessions, err := b.service.Sessions(t.Context(), ada.Account.Caller())
	require.NoError(t, err)
	require.Equal(t, "link", sessions[0].Method)
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.links`))
	for action, count := range map[string]int{"link.create": 1, "session.begin": 1} {
		require.Equal(t, count, b.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = $1 AND outcome = 'done' AND account_id = $2`, action, ada.Account.ID), action)
	}

	// Used, wrong, old, and of another kind: the same answer.
	old, reset := b.linked(t, "X-API-Key", ada.Key), newSecret()
	require.Equal(t, 1, b.count(t, `WITH aged AS (UPDATE uaol_auth.links SET expires_at = now() RETURNING 1) SELECT count(*) FROM aged`))
	require.NoError(t, b.repository.addLink(t.Context(), ada.Account.ID, resetPassword, "ada@example.com", reset))
	fresh := b.linked(t, "X-API-Key", ada.Key)
	refusals := map[string]bool{}
	for _, secret := range []string{link.Secret, newSecret(), "x", old.Secret, reset, ada.Key, ada.Token[:200]} {
		got := b.enters(t, secret)
		require.Equal(t, http.StatusUnauthorized, got.Status, got.Text)
		refusals[got.Text] = true
	}
	require.Len(t, refusals, 1)
	got := b.do(t, "POST", "/auth/password/reset", `{"token":"`+fresh.Secret+`","password":"battery staple"}`)
	require.Equal(t, http.StatusBadRequest, got.Status, "it is good for one thing")
	got = b.do(t, "POST", "/auth/email/confirm", `{"token":"`+fresh.Secret+`"}`)
	require.Equal(t, http.StatusBadRequest, got.Status, "it is good for one thing")
	got = b.do(t, "POST", "/auth/login", `{"apiKey":"uaol_wrong","link":"`+fresh.Secret+`"}`)
	require.Equal(t, http.StatusUnauthorized, got.Status, "a key counts first")
	b.entered(t, fresh.Secret)

	require.NoError(t, NewHousekeeper(Config{AuditDays: 1}, b.repository).Sweep(t.Context()))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.links WHERE purpose = 'sign-in'`), "the old one is swept")
}

// TestASignInLinkLeadsToThePublicAddress that the operator has set.
func TestASignInLinkLeadsToThePublicAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.public = "https://uaol.test"
	b.signInWith(t, oidc.Config{Frontend: "http://localhost:8080"})
	link := b.linked(t, "X-API-Key", b.made(t, "ada@example.com").Key)
	require.Equal(t, "https://uaol.test/console/enter?link="+link.Secret, link.URL)
}

func TestASignInLinkIsUsedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	link := b.linked(t, bearer(ada.Token)...)
	before := b.count(t, `SELECT count(*) FROM uaol_auth.sessions`)
	var mu sync.Mutex
	var group sync.WaitGroup
	ends := map[int]int{}
	for range 20 {
		group.Go(func() {
			got := b.enters(t, link.Secret)
			mu.Lock()
			defer mu.Unlock()
			ends[got.Status]++
		})
	}
	group.Wait()
	require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 19}, ends)
	require.Equal(t, before+1, b.count(t, `SELECT count(*) FROM uaol_auth.sessions`))
}

// TestWhoMayMakeASignInLink: people, with what reaches all of their account's.
func TestWhoMayMakeASignInLink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	team := b.team(t, map[uuid.UUID]services.OrgRole{ada.Account.ID: services.OrgOwner})
	verified, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: ada.Token, Organization: team.String()})
	require.NoError(t, err)
	_, teams, err := b.service.AddKey(t.Context(), verified.Caller, KeyRequest{Name: "for the team"})
	require.NoError(t, err)
	teamToken, err := b.service.Login(t.Context(), teams, "", "")
	require.NoError(t, err)
	_, narrow, err := b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "narrow", Scopes: []string{"account:read", "jobs:write"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, b.asks(t, "X-API-Key", teams))
	guest, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "mine"})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		headers []string
		status  int
	}{
		"nobody":                         {nil, http.StatusUnauthorized},
		"a guest":                        {[]string{"X-Guest-Id", guest.GuestID}, http.StatusUnauthorized},
		"a wrong key":                    {[]string{"X-API-Key", "uaol_wrong"}, http.StatusUnauthorized},
		"an organisation's key":          {[]string{"X-API-Key", teams}, http.StatusForbidden},
		"a sign-in with that":            {bearer(teamToken), http.StatusForbidden},
		"a key without the scope":        {[]string{"X-API-Key", narrow}, http.StatusForbidden},
		"a sign-in, for an organisation": {append(bearer(ada.Token), "X-Organization", team.String()), http.StatusCreated},
		"a personal key":                 {[]string{"X-API-Key", ada.Key}, http.StatusCreated},
	} {
		got := b.do(t, "POST", "/links", "", test.headers...)
		require.Equal(t, test.status, got.Status, "%s: %s", name, got.Text)
	}
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM uaol_auth.links`))

	// A program has no address and no console, whatever its key.
	program := services.Caller{Account: newID(), Organization: team, Role: services.RoleUser, OrgRole: services.OrgOwner}
	b.execute(t, `INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, name) VALUES ($1, $2, 'service', 'robot')`, program.Account, team)
	_, err = b.service.Link(t.Context(), program)
	require.Equal(t, services.Forbidden, services.KindOf(err), err)
}

// TestASignInByALinkIsNoMoreThanItsKey: it has the key's scopes, and the link and the
// sign-in end with the key, also when the link was made in a sign-in with that key.
func TestASignInByALinkIsNoMoreThanItsKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	scopes := []string{"account:read", "account:write", "jobs:read"}
	for name, end := range map[string]func(key Key){
		"revoked": func(key Key) { require.NoError(t, b.service.RevokeKey(t.Context(), ada.Account.Caller(), key.ID)) },
		"regenerated": func(key Key) {
			_, _, err := b.service.RegenerateKey(t.Context(), ada.Account.Caller(), key.ID)
			require.NoError(t, err)
		},
		"expired": func(key Key) {
			b.execute(t, `UPDATE uaol_auth.api_keys SET expires_at = now() WHERE key_id = $1`, key.ID)
			b.bus.Publish(accessChanged(ada.Account.ID, uuid.Nil)) // three seconds later, so to say
		},
	} {
		key, secret, err := b.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: name, Scopes: scopes})
		require.NoError(t, err)
		signedIn, err := b.service.Login(t.Context(), secret, "", "")
		require.NoError(t, err)
		for _, credentials := range [][]string{{"X-API-Key", secret}, bearer(signedIn)} {
			token := b.entered(t, b.linked(t, credentials...).Secret)
			verified, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: token})
			require.NoError(t, err)
			require.Equal(t, services.Scopes("account:read account:write jobs:read"), verified.Caller.Scopes)
			require.Equal(t, key.ID, verified.Caller.Key)
			got := b.do(t, "POST", "/auth/keys", `{"name":"wider"}`, bearer(token)...)
			require.Equal(t, http.StatusForbidden, got.Status, got.Text)
			verified, err = b.service.Verify(t.Context(), VerifyRequest{Bearer: b.entered(t, b.linked(t, bearer(token)...).Secret)})
			require.NoError(t, err, "a link of a link's sign-in")
			require.Equal(t, key.ID, verified.Caller.Key)
		}
		token, unused := b.entered(t, b.linked(t, "X-API-Key", secret).Secret), b.linked(t, "X-API-Key", secret)
		require.Equal(t, http.StatusOK, b.asks(t, bearer(token)...))
		end(key)
		require.Equal(t, http.StatusUnauthorized, b.asks(t, bearer(token)...), name)
		require.Equal(t, http.StatusUnauthorized, b.enters(t, unused.Secret).Status, name)
	}
	require.Equal(t, http.StatusOK, b.asks(t, bearer(ada.Token)...))
}

// TestASignInByALinkIsNoMoreThanTheOneItWasMadeIn: it ends no later, the link ends with
// it, and does not make it a fresh one.
func TestASignInByALinkIsNoMoreThanTheOneItWasMadeIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	b.execute(t, `UPDATE uaol_auth.sessions SET expires_at = now() + interval '5 minutes'`)
	b.entered(t, b.linked(t, bearer(ada.Token)...).Secret)
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE expires_at < now() + interval '6 minutes'`))
	b.entered(t, b.linked(t, "X-API-Key", ada.Key).Secret)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE expires_at > now() + interval '50 minutes'`), "a key lasts")

	unused := b.linked(t, bearer(ada.Token)...)
	require.Equal(t, http.StatusOK, b.do(t, "POST", "/auth/logout", "", bearer(ada.Token)...).Status)
	require.Equal(t, http.StatusUnauthorized, b.enters(t, unused.Secret).Status)

	// Without a password, a young sign-in is the proof of who it is.
	bob, err := b.service.Register(t.Context(), RegisterRequest{Email: "bob@example.com"})
	require.NoError(t, err)
	b.linked(t, bearer(bob.Token)...)
	b.age(t, bob.Account.ID)
	got := b.do(t, "POST", "/auth/links", "", bearer(bob.Token)...)
	require.Equal(t, http.StatusForbidden, got.Status, got.Text)
	require.Equal(t, "SIGN_IN_AGAIN", got.Body.Error.Code)
	b.linked(t, "X-API-Key", bob.Key)
	carol := b.made(t, "carol@example.com")
	b.age(t, carol.Account.ID)
	b.linked(t, bearer(carol.Token)...)
}

// TestEndedCredentialsMakeNoLink, in the moment in which another process still takes them
// for good.
func TestEndedCredentialsMakeNoLink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	signedIn, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: ada.Token})
	require.NoError(t, err)
	withKey, err := b.service.Verify(t.Context(), VerifyRequest{APIKey: ada.Key})
	require.NoError(t, err)
	require.NoError(t, b.service.Logout(t.Context(), signedIn.Caller))
	require.NoError(t, b.service.RevokeKey(t.Context(), ada.Account.Caller(), withKey.Caller.Key))
	for _, caller := range []services.Caller{signedIn.Caller, withKey.Caller} {
		_, err = b.service.Link(t.Context(), caller)
		require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
	}
}

// TestSignInLinksEndWithSignIns, whatever ends these.
func TestSignInLinksEndWithSignIns(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, b *bench, server *mailtest.Server, ada Registered) answer{
		"all sign-ins end": func(t *testing.T, b *bench, _ *mailtest.Server, ada Registered) answer {
			return b.do(t, "DELETE", "/auth/sessions", "", bearer(ada.Token)...)
		},
		"another password": func(t *testing.T, b *bench, _ *mailtest.Server, ada Registered) answer {
			return b.do(t, "PUT", "/users/password", `{"currentPassword":"correct horse","newPassword":"battery staple"}`, bearer(ada.Token)...)
		},
		"a reset": func(t *testing.T, b *bench, server *mailtest.Server, _ Registered) answer {
			b.execute(t, `UPDATE uaol_auth.accounts SET email_verified_at = now()`)
			require.Equal(t, http.StatusOK, b.do(t, "POST", "/auth/password/forgot", `{"email":"ada@example.com"}`).Status)
			_, _, secret := next(t, server)
			return b.do(t, "POST", "/auth/password/reset", `{"token":"`+secret+`","password":"battery staple"}`)
		},
		"the account's end": func(t *testing.T, b *bench, _ *mailtest.Server, ada Registered) answer {
			return b.do(t, "DELETE", "/users/account", `{"password":"correct horse"}`, bearer(ada.Token)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, server := mailing(t)
			ada, bob := b.made(t, "ada@example.com"), b.made(t, "bob@example.com")
			next(t, server)
			next(t, server)
			links := []signInLinkBody{b.linked(t, bearer(ada.Token)...), b.linked(t, "X-API-Key", ada.Key)}
			of, err := LinkFor(t.Context(), b.repository, "ada@example.com")
			require.NoError(t, err)
			others := b.linked(t, bearer(bob.Token)...)
			got := end(t, b, server, ada)
			require.Equal(t, http.StatusOK, got.Status, got.Text)
			for _, secret := range []string{links[0].Secret, links[1].Secret, of.Secret} {
				require.Equal(t, http.StatusUnauthorized, b.enters(t, secret).Status)
			}
			b.entered(t, others.Secret)
		})
	}
}

// TestALinkThatIsBeingUsedEndsWithSignIns: whoever ends all sign-ins while a link begins
// another ends that one, too.
func TestALinkThatIsBeingUsedEndsWithSignIns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	signedIn, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: ada.Token})
	require.NoError(t, err)
	b.using(t, b.linked(t, "X-API-Key", ada.Key), func(uuid.UUID) error { return b.service.EndOtherSessions(t.Context(), signedIn.Caller) })
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.sessions`))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.links`))
}

// TestALinkThatIsBeingUsedEndsWithItsKey: revoking the key waits, and holds up nothing
// that the sign-in needs.
func TestALinkThatIsBeingUsedEndsWithItsKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	b.using(t, b.linked(t, "X-API-Key", ada.Key), func(key uuid.UUID) error { return b.service.RevokeKey(t.Context(), ada.Account.Caller(), key) })
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE key_id IS NOT NULL`))
}

// using is in the midst of a sign-in by a link when somebody ends something, and goes on
// when that waits.
func (b *bench) using(t *testing.T, link signInLinkBody, end func(key uuid.UUID) error) {
	t.Helper()
	ended := make(chan error, 1)
	require.NoError(t, postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error {
		used, err := b.repository.useLink(t.Context(), tx, link.Secret, signInLink)
		require.NoError(t, err)
		require.NotNil(t, used.Key)
		go func() { ended <- end(*used.Key) }()
		require.Eventually(t, func() bool {
			return b.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 1
		}, time.Minute, time.Millisecond)
		_, err = postgres.Exec(t.Context(), tx, `SELECT 1 FROM uaol_auth.api_keys WHERE key_id = $1 FOR UPDATE NOWAIT`, *used.Key)
		require.NoError(t, err)
		in := b.service.session(t.Context(), used.ID, "link", used.Key)
		return b.repository.addSession(t.Context(), tx, in)
	}))
	require.NoError(t, <-ended)
}

// TestWrongLinksAreCounted with their address's other failed sign-ins; right ones are not.
func TestWrongLinksAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	here := services.WithOrigin(t.Context(), from(t, "192.0.2.7"))
	there := services.WithOrigin(t.Context(), from(t, "192.0.2.8"))
	caller := ada.Account.Caller()
	for range 3 {
		link, err := b.service.Link(t.Context(), caller)
		require.NoError(t, err)
		_, err = b.service.LoginByLink(here, link.Secret)
		require.NoError(t, err)
	}
	link, err := b.service.Link(t.Context(), caller)
	require.NoError(t, err)
	for i := range 101 {
		_, err := b.service.LoginByLink(here, newSecret())
		want := map[bool]services.Kind{true: services.Unauthenticated, false: services.Limited}[i < 100]
		require.Equal(t, want, services.KindOf(err), "%d: %v", i, err)
	}
	_, err = b.service.LoginByLink(here, link.Secret)
	require.Equal(t, services.Limited, services.KindOf(err), "also the right one, or limiting would tell")
	_, err = b.service.Login(here, "", "ada@example.com", "correct horse")
	require.Equal(t, services.Limited, services.KindOf(err))
	_, err = b.service.LoginByLink(there, link.Secret)
	require.NoError(t, err, "it was not used up")
}

// TestALinkForSomebody is what an operator's command makes, of an account that there is.
func TestALinkForSomebody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	link, err := LinkFor(t.Context(), b.repository, " Ada@Example.com")
	require.NoError(t, err)
	require.Equal(t, "http://localhost:3000/console/enter?link="+link.Secret, link.URL("http://localhost:3000"))
	verified, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: b.entered(t, link.Secret)})
	require.NoError(t, err)
	require.Equal(t, ada.Account.ID, verified.Caller.Account)
	require.Empty(t, verified.Caller.Scopes)
	acts, err := postgres.All[services.Act](t.Context(), b.pool, `SELECT `+actColumns+` FROM uaol_auth.audit WHERE action = 'link.create'`)
	require.NoError(t, err)
	require.Len(t, acts, 1)
	require.Equal(t, ada.Account.ID, acts[0].Account)
	require.Equal(t, "uaol on the server", acts[0].UserAgent)

	_, err = LinkFor(t.Context(), b.repository, "nobody@example.com")
	require.Equal(t, "there is no account with the e-mail address nobody@example.com", api.MessageOf(err))
	_, err = LinkFor(t.Context(), b.repository, "nobody")
	require.EqualError(t, err, "that is not an e-mail address")
}
