package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/keyring"
	"uaol/services"
	"uaol/services/auth/oidc"
)

func (w *world) request(t testing.TB, token, method, path string) answer {
	t.Helper()
	return w.do(t, method, path, "", "Authorization", "Bearer "+token)
}

func TestIdentitiesAreListedForTheirAccount(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "oidc")
	_, token := w.as(t, ada)
	_, others := w.as(t, person{subject: "bob", email: "bob@example.com", verified: true})
	list := w.request(t, token, http.MethodGet, "/auth/identities")
	require.Equal(t, http.StatusOK, list.Status)
	var page struct{ Data []Identity }
	require.NoError(t, json.Unmarshal([]byte(list.Text), &page))
	require.Len(t, page.Data, 1)
	require.Equal(t, "oidc", page.Data[0].Provider)
	require.Equal(t, w.provider.URL, page.Data[0].Issuer)
	require.Equal(t, ada.email, *page.Data[0].Email)
	require.WithinDuration(t, time.Now().Add(5*time.Minute), page.Data[0].TokensExpireAt.Time, time.Minute)
	id := page.Data[0].ID.String()
	for _, path := range []string{"/auth/identities/" + id, "/auth/identities/" + newID().String()} {
		require.Equal(t, http.StatusNotFound, w.request(t, others, http.MethodDelete, path).Status, "it is somebody else's")
		require.Equal(t, http.StatusNotFound, w.request(t, others, http.MethodPost, path+"/refresh").Status)
	}
	require.Equal(t, http.StatusBadRequest, w.request(t, token, http.MethodDelete, "/auth/identities/x").Status)
	require.Equal(t, http.StatusUnauthorized, w.do(t, http.MethodGet, "/auth/identities", "").Status)
	require.Equal(t, 2, w.count(t, `SELECT count(*) FROM uaol_auth.identities`))
}

func TestUnlinkingRevokesAtTheProvider(t *testing.T) {
	t.Parallel()
	for flavour, revoked := range map[string]bool{"google": true, "icloud": true, "oidc": true, "outlook": false} {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, flavour)
			_, token := w.as(t, ada)
			_, other := w.as(t, ada)
			id, _ := w.identity(t)
			path := "/auth/identities/" + id.String()

			alone := w.request(t, token, http.MethodDelete, path)
			require.Equal(t, http.StatusConflict, alone.Status, "it is the last way to sign in")
			require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.identities`))
			require.True(t, w.counts(t, other))
			for _, useless := range []string{`{"name":"a","scopes":["jobs:read"]}`, `{"name":"b","expiresAt":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`} {
				require.Equal(t, http.StatusCreated, w.do(t, http.MethodPost, "/auth/keys", useless, "Authorization", "Bearer "+token).Status)
				w.execute(t, `UPDATE uaol_auth.api_keys SET expires_at = now() WHERE expires_at IS NOT NULL`)
				require.Equal(t, http.StatusConflict, w.request(t, token, http.MethodDelete, path).Status)
			}
			require.Equal(t, http.StatusCreated, w.do(t, http.MethodPost, "/auth/keys", `{"name":"c"}`, "Authorization", "Bearer "+token).Status)

			last := w.provider.tokens[len(w.provider.tokens)-1]
			done := w.request(t, token, http.MethodDelete, path)
			require.Equal(t, http.StatusOK, done.Status, done.Text)
			require.JSONEq(t, `{"success":true,"data":{"revoked":`+map[bool]string{true: "true", false: "false"}[revoked]+`}}`, done.Text)
			require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.identities`))
			require.False(t, w.counts(t, other), "what was begun through it is over")
			require.True(t, w.counts(t, token), "but not for who asks")
			require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.outbox WHERE type = 'user.identity_unlinked'`))
			_, err := w.provider.storage.TokenRequestByRefreshToken(t.Context(), last["refresh_token"].(string))
			require.Equal(t, revoked, err != nil, "the provider takes it no more")
			require.Equal(t, map[bool]int{true: 2}[revoked], w.provider.asked["/revoke"])
			require.Equal(t, http.StatusNotFound, w.request(t, token, http.MethodDelete, path).Status)
		})
	}
}

func TestUnlinkingGoesOnWithoutTheProvider(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	_, token := w.as(t, ada)
	id, _ := w.identity(t)
	w.execute(t, `UPDATE uaol_auth.accounts SET password_hash = 'x'`)
	w.provider.set(func(p *provider) {
		p.fail = func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusBadGateway); return true }
	})
	done := w.request(t, token, http.MethodDelete, "/auth/identities/"+id.String())
	require.JSONEq(t, `{"success":true,"data":{"revoked":false}}`, done.Text)
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'identity.unlink' AND outcome = 'done' AND details ->> 'revocation' = 'failed'`))
}

func TestTwoIdentitiesAreNotUnlinkedAtOnce(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	for range 5 {
		account, token := w.as(t, ada)
		second := newID()
		w.execute(t, `INSERT INTO uaol_auth.identities (identity_id, account_id, provider, issuer, subject) VALUES ($1, $2, 'oidc', 'elsewhere', $3)`, second, account, second.String())
		first := w.text(t, `SELECT identity_id::text FROM uaol_auth.identities WHERE provider = 'google'`)
		var group sync.WaitGroup
		statuses := make([]int, 2)
		for i, id := range []string{first, second.String()} {
			group.Go(func() { statuses[i] = w.request(t, token, http.MethodDelete, "/auth/identities/"+id).Status })
		}
		group.Wait()
		require.ElementsMatch(t, []int{http.StatusOK, http.StatusConflict}, statuses)
		require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.identities`))
		w.execute(t, `DELETE FROM uaol_auth.identities`)
	}
}

// held opens the only identity's tokens.
func (w *world) held(t testing.TB) oidc.Tokens {
	t.Helper()
	id, sealed := w.identity(t)
	tokens, ok := w.signIns.open(storedIdentity{ID: id, Tokens: sealed})
	require.True(t, ok)
	return tokens
}

func TestTokensAreRefreshed(t *testing.T) {
	t.Parallel()
	for _, flavour := range oidc.Names {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, flavour)
			_, token := w.as(t, ada)
			before := w.held(t)
			id, _ := w.identity(t)
			w.execute(t, `UPDATE uaol_auth.identities SET tokens_expire_at = now()`)
			done := w.request(t, token, http.MethodPost, "/auth/identities/"+id.String()+"/refresh")
			require.Equal(t, http.StatusOK, done.Status, done.Text)
			after := w.held(t)
			require.NotEqual(t, before.Access, after.Access)
			require.NotContains(t, done.Text, after.Access)
			var body struct{ Data map[string]services.Time }
			require.NoError(t, json.Unmarshal([]byte(done.Text), &body))
			require.Len(t, body.Data, 1, "nothing but the expiry is told")
			require.WithinDuration(t, after.Expiry, body.Data["expiresAt"].Time, time.Second)
			require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.identities WHERE tokens_expire_at > now()`))
		})
	}
}

func TestAnAccessTokenIsReplacedBeforeItExpires(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "oidc")
	account, _ := w.as(t, ada)
	owner, id := uuid.MustParse(account), w.identityID(t)
	first := w.held(t)
	got, err := w.signIns.AccessToken(t.Context(), owner, id)
	require.NoError(t, err)
	require.Equal(t, first.Access, got, "it is good for more than a minute")
	_, err = w.signIns.AccessToken(t.Context(), newID(), id)
	require.True(t, services.Is(err, services.NotFound))

	expiring := first
	expiring.Expiry = time.Now().Add(soon - time.Second)
	w.execute(t, `UPDATE uaol_auth.identities SET tokens = $1`, seal(w.ring, id, expiring))
	entered, answer := make(chan struct{}, 9), make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	t.Cleanup(release)
	w.provider.set(func(p *provider) {
		p.fail = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/oauth/token" {
				entered <- struct{}{}
				<-answer
			}
			return false
		}
	})
	var group sync.WaitGroup
	got = ""
	group.Go(func() { got, _ = w.signIns.AccessToken(t.Context(), owner, id) })
	<-entered
	impatient, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = w.signIns.AccessToken(impatient, owner, id)
	require.ErrorIs(t, err, context.DeadlineExceeded, "who comes meanwhile waits for the same refresh")
	require.Empty(t, entered)
	release()
	group.Wait()
	require.NotEqual(t, first.Access, got)
	require.Equal(t, w.held(t).Access, got)
}

func (w *world) identityID(t testing.TB) uuid.UUID {
	t.Helper()
	id, _ := w.identity(t)
	return id
}

func TestWhatAnotherProcessRefreshedCounts(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "oidc")
	account, _ := w.as(t, ada)
	id, sealed := w.identity(t)
	seen := storedIdentity{ID: id, Account: uuid.MustParse(account), Tokens: sealed}
	theirs := seal(w.ring, id, oidc.Tokens{Access: "theirs", Expiry: time.Now().Add(time.Hour)})

	w.execute(t, `UPDATE uaol_auth.identities SET tokens = $1`, theirs) // before we ask
	got, err := w.signIns.refresh(t.Context(), seen)
	require.NoError(t, err)
	require.Equal(t, "theirs", got.Access)

	w.execute(t, `UPDATE uaol_auth.identities SET tokens = $1`, sealed) // while we ask, for good or ill
	for _, refused := range []bool{false, true} {
		w.provider.set(func(p *provider) {
			p.fail = func(rw http.ResponseWriter, r *http.Request) bool {
				_, _ = w.pool.Exec(r.Context(), `UPDATE uaol_auth.identities SET tokens = $1`, theirs)
				if refused {
					rw.WriteHeader(http.StatusBadRequest)
				}
				return refused
			}
		})
		got, err = w.signIns.refresh(t.Context(), seen)
		require.NoError(t, err)
		require.Equal(t, "theirs", got.Access)
		require.Equal(t, "theirs", w.held(t).Access, "theirs are not written over")
		w.execute(t, `UPDATE uaol_auth.identities SET tokens = $1`, sealed)
	}
}

func TestARefreshThatCannotBe(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "oidc")
	_, token := w.as(t, ada)
	id, sealed := w.identity(t)
	refresh := func() answer { return w.request(t, token, http.MethodPost, "/auth/identities/"+id.String()+"/refresh") }
	for name, tokens := range map[string][]byte{
		"nothing to refresh with": seal(w.ring, id, oidc.Tokens{Access: "a"}),
		"refused":                 seal(w.ring, id, oidc.Tokens{Access: "a", Refresh: "unknown"}),
		"of another identity":     seal(w.ring, newID(), oidc.Tokens{Access: "a", Refresh: "r"}),
		"none":                    nil,
	} {
		w.execute(t, `UPDATE uaol_auth.identities SET tokens = $1`, tokens)
		require.Equal(t, http.StatusConflict, refresh().Status, name)
	}
	// The operator has chosen another provider since: it must not see these tokens.
	w.execute(t, `UPDATE uaol_auth.identities SET tokens = $1, issuer = 'https://former.test'`, sealed)
	asked := w.provider.asked["/oauth/token"]
	require.Equal(t, http.StatusConflict, refresh().Status)
	w.execute(t, `UPDATE uaol_auth.accounts SET password_hash = 'x'`)
	require.JSONEq(t, `{"success":true,"data":{"revoked":false}}`, w.request(t, token, http.MethodDelete, "/auth/identities/"+id.String()).Text)
	require.Equal(t, asked, w.provider.asked["/oauth/token"])
	require.Zero(t, w.provider.asked["/revoke"])
}

func TestARefreshTokenThatIsGivenOnlyOnceIsKept(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	w.as(t, ada)
	first := w.held(t)
	require.NotEmpty(t, first.Refresh)
	w.provider.set(func(p *provider) { p.forget = true })
	w.as(t, ada)
	second := w.held(t)
	require.NotEqual(t, first.Access, second.Access)
	require.Equal(t, first.Refresh, second.Refresh)
}

func TestTokensAreSealedAnew(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "oidc")
	w.as(t, ada)
	w.as(t, person{subject: "bob", email: "bob@example.com", verified: true})
	w.execute(t, `INSERT INTO uaol_auth.identities (identity_id, account_id, provider, issuer, subject)
		SELECT $1, account_id, 'oidc', 'x', 'x' FROM uaol_auth.identities LIMIT 1`, newID()) // without tokens
	done, err := ResealIdentities(t.Context(), w.repository, w.ring)
	require.NoError(t, err)
	require.Zero(t, done, "all are sealed with the current key")

	const secret = "another encryption secret of a test, long enough"
	both, err := keyring.New(keyring.Config{Secret: secret, Previous: encryptionSecret}, zap.NewNop())
	require.NoError(t, err)
	done, err = ResealIdentities(t.Context(), w.repository, both)
	require.NoError(t, err)
	require.Equal(t, 2, done)
	done, err = ResealIdentities(t.Context(), w.repository, both)
	require.NoError(t, err)
	require.Zero(t, done)

	alone, err := keyring.New(keyring.Config{Secret: secret}, zap.NewNop())
	require.NoError(t, err)
	sealed, err := w.repository.sealedAfter(t.Context(), uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, sealed, 2)
	for _, identity := range sealed {
		_, err := alone.Open(identity.Tokens, bond(identity.ID))
		require.NoError(t, err)
	}
	w.execute(t, `UPDATE uaol_auth.identities SET tokens = 'broken' WHERE identity_id = $1`, sealed[0].ID)
	third, err := keyring.New(keyring.Config{Secret: secret + "!", Previous: secret}, zap.NewNop())
	require.NoError(t, err)
	done, err = ResealIdentities(t.Context(), w.repository, third)
	require.ErrorContains(t, err, sealed[0].ID.String())
	require.Equal(t, 1, done, "the others are done all the same")
}
