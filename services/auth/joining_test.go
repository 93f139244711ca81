package auth

import (
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/auth/oidc"
)

// register makes an account in the ordinary way, and gives its id, key and token.
func (b *bench) register(t testing.TB, email, password string, headers ...string) (account, key, token string) {
	t.Helper()
	made := b.do(t, http.MethodPost, "/auth/register", `{"email":"`+email+`","password":"`+password+`"}`, headers...)
	require.Equal(t, http.StatusCreated, made.Status, made.Text)
	return made.Body.Data.User.ID, made.Body.Data.User.APIKey, made.Body.Data.Token
}

// counts reports whether a token or key is good for anything.
func (b *bench) counts(t testing.TB, credential string) bool {
	t.Helper()
	return b.do(t, http.MethodGet, "/auth/me", "", "Authorization", "Bearer "+credential).Status == http.StatusOK
}

func TestAVerifiedAddressJoinsAVerifiedAccount(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	account, key, token := w.register(t, ada.email, "a long password")
	w.execute(t, `UPDATE uaol_auth.accounts SET email_verified_at = now()`)
	joined, _ := w.as(t, ada)
	require.Equal(t, account, joined)
	require.True(t, w.counts(t, key), "nothing of it is taken away")
	require.True(t, w.counts(t, token))
	require.Equal(t, http.StatusOK, w.do(t, http.MethodPost, "/auth/login", `{"email":"ada@example.com","password":"a long password"}`).Status)
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.outbox WHERE type = 'user.identity_linked'`))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.outbox WHERE type = 'user.reclaimed'`))
}

// Mallory registers somebody else's address first, and prepares every way back
// that there is. When the owner comes, none of them works any more.
func TestAPreRegisteredAddressGivesNothingAway(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "oidc")
	account, key, token := w.register(t, ada.email, "mallory's password")
	login := w.do(t, http.MethodPost, "/auth/login", `{"apiKey":"`+key+`"}`).Body.Data.Token
	second := w.do(t, http.MethodPost, "/auth/keys", `{"name":"second"}`, "Authorization", "Bearer "+key).Body.Data.APIKey
	require.NotEmpty(t, second)
	model := w.do(t, http.MethodPost, "/api-keys", `{"provider":"openai","apiKey":"sk-mallory-0123456789abcdef"}`, "Authorization", "Bearer "+key)
	require.Equal(t, http.StatusOK, model.Status, model.Text)
	for _, credential := range []string{key, second, token, login} {
		require.True(t, w.counts(t, credential))
	}
	// An identity of Mallory's own, links, an organisation with a program, and
	// invitations: what other routes make, straight in the tables.
	own, shared, program := newID(), newID(), newID()
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT organization_id FROM uaol_auth.accounts WHERE account_id = $1`, account).Scan(&own))
	other, otherKey, _ := w.register(t, "accomplice@example.com", "another password")
	w.execute(t, `INSERT INTO uaol_auth.identities (identity_id, account_id, provider, issuer, subject) VALUES ($1, $2, 'oidc', $3, 'mallory')`, newID(), account, w.provider.URL)
	for _, purpose := range []string{"verify", "email", "reset"} {
		w.execute(t, `INSERT INTO uaol_auth.links (hash, account_id, purpose, email, expires_at) VALUES ($1, $2, $3, 'mallory@example.com', now() + interval '1 day')`, keyHash(purpose), account, purpose)
	}
	w.execute(t, `INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, 'Mallory and friends', false)`, shared)
	w.execute(t, `INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, name) VALUES ($1, $2, 'service', 'program')`, program, shared)
	w.execute(t, `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, 'owner'), ($1, $3, 'member'), ($1, $4, 'admin'), ($5, $3, 'owner')`, shared, account, other, program, own)
	programKey := newKey()
	_, err := w.repository.addKey(t.Context(), w.pool, storedKey{account: program, organization: shared, name: "program", secret: programKey})
	require.NoError(t, err)
	require.True(t, w.counts(t, programKey))
	for _, organization := range []*uuid.UUID{nil, &shared} {
		w.execute(t, `INSERT INTO uaol_auth.invitations (invitation_id, organization_id, email, role, hash, invited_by, expires_at)
			VALUES ($1, $2, 'mallory@example.com', 'owner', $3, $4, now() + interval '1 day')`, newID(), organization, keyHash(newKey()), account)
	}
	w.execute(t, `INSERT INTO uaol_auth.invitations (invitation_id, organization_id, email, role, hash, invited_by, expires_at)
		VALUES ($1, $2, 'mallory@example.com', 'owner', $3, $4, now() + interval '1 day')`, newID(), shared, keyHash(newKey()), program)
	w.execute(t, `INSERT INTO uaol_auth.provider_keys (organization_id, provider, sealed, masked, is_default) VALUES ($1, 'openai', 'x', 'x', true)`, shared)

	joined, adas := w.as(t, ada)
	require.Equal(t, account, joined, "it is the address's account")
	require.True(t, w.counts(t, adas))

	for name, credential := range map[string]string{"key": key, "second key": second, "token": token, "token of the key": login, "program's key": programKey} {
		require.False(t, w.counts(t, credential), name)
	}
	require.Equal(t, http.StatusUnauthorized, w.do(t, http.MethodPost, "/auth/login", `{"email":"ada@example.com","password":"mallory's password"}`).Status)
	require.Equal(t, http.StatusUnauthorized, w.do(t, http.MethodPost, "/auth/login", `{"apiKey":"`+key+`"}`).Status)
	mallorys, _ := w.as(t, person{subject: "mallory", email: "mallory@example.com", verified: true})
	require.NotEqual(t, account, mallorys, "Mallory's identity leads elsewhere now")
	require.Equal(t, http.StatusForbidden, w.do(t, http.MethodGet, "/auth/me", "", "X-API-Key", otherKey, "X-Organization", own.String()).Status)
	for what, left := range map[string]string{
		"links":                            `SELECT count(*) FROM uaol_auth.links WHERE account_id = $1`,
		"keys":                             `SELECT count(*) FROM uaol_auth.api_keys WHERE account_id = $1`,
		"invitations":                      `SELECT count(*) FROM uaol_auth.invitations WHERE $1::uuid IS NOT NULL`,
		"provider keys":                    `SELECT count(*) FROM uaol_auth.provider_keys WHERE $1::uuid IS NOT NULL`,
		"passwords":                        `SELECT count(*) FROM uaol_auth.accounts WHERE account_id = $1 AND password_hash IS NOT NULL`,
		"guests in their own organisation": `SELECT count(*) FROM uaol_auth.members m JOIN uaol_auth.accounts a ON a.organization_id = m.organization_id WHERE a.account_id = $1 AND a.kind = 'user'`,
	} {
		require.Zero(t, w.count(t, left, account), what)
	}
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE account_id = $1`, account), "Ada's alone")
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.identities WHERE account_id = $1 AND subject = 'ada'`, account))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE account_id = $1 AND email_verified_at IS NOT NULL`, account))
	require.Equal(t, 2, w.count(t, `SELECT count(*) FROM uaol_auth.members WHERE organization_id = $1 AND account_id IN ($2, $3)`, shared, account, other), "who else is in it stays")
	require.Equal(t, `["`+shared.String()+`"]`, w.text(t, `SELECT data ->> 'organizations' FROM uaol_auth.outbox WHERE type = 'user.reclaimed' AND subject = $1`, account), "and is told of")
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'session.begin' AND details ->> 'reclaimed' = 'true'`))

	again, _ := w.as(t, ada)
	require.Equal(t, account, again)
	require.True(t, w.counts(t, adas), "it happens once")
}

func TestWhoReclaimsKeepsWhatOthersDecide(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	account, _, _ := w.register(t, ada.email, "a long password")
	other, _, _ := w.register(t, "other@example.com", "a long password")
	shared, program := newID(), newID()
	w.execute(t, `INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, 'A team', false)`, shared)
	w.execute(t, `INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, name) VALUES ($1, $2, 'service', 'program')`, program, shared)
	w.execute(t, `INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, 'admin'), ($1, $3, 'owner'), ($1, $4, 'member')`, shared, account, other, program)
	key := newKey()
	_, err := w.repository.addKey(t.Context(), w.pool, storedKey{account: program, organization: shared, name: "program", secret: key})
	require.NoError(t, err)
	w.execute(t, `INSERT INTO uaol_auth.provider_keys (organization_id, provider, sealed, masked, is_default) VALUES ($1, 'openai', 'x', 'x', true)`, shared)
	w.as(t, ada)
	require.True(t, w.counts(t, key))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.provider_keys`))
}

func TestAnUnverifiedAddressJoinsNothing(t *testing.T) {
	t.Parallel()
	for _, flavour := range []string{"google", "icloud", "oidc"} {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, flavour)
			victim, _, _ := w.register(t, "victim@example.com", "a long password")
			mallory := person{subject: "mallory", email: "victim@example.com"}
			for _, verified := range []string{"NULL", "now()"} {
				w.execute(t, `UPDATE uaol_auth.accounts SET email_verified_at = `+verified)
				require.Equal(t, errUnverified.Message, w.refused(t, mallory, ""))
			}
			require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.identities`))
			require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE account_id = $1 AND password_hash IS NOT NULL`, victim))

			// It makes a new account, which is not verified, and whose owner may come yet.
			mallory.email = "other@example.com"
			account, token := w.as(t, mallory)
			require.NotEqual(t, victim, account)
			require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE account_id = $1 AND email_verified_at IS NULL`, account))
			owner, _ := w.as(t, person{subject: "owner", email: "OTHER@example.com", verified: true})
			require.Equal(t, account, owner)
			require.False(t, w.counts(t, token))
			require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.identities`), "Mallory's is gone")
		})
	}
}

// What was under way when the owner came does not outlive it.
func TestAReclaimedAccountsRequestsUnderWayFail(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	_, key, token := w.register(t, ada.email, "mallory's password")
	compared, err := w.service.byPassword(t.Context(), ada.email, "mallory's password")
	require.NoError(t, err)
	withToken, err := w.service.Verify(t.Context(), VerifyRequest{Bearer: token})
	require.NoError(t, err)
	withKey, err := w.service.Verify(t.Context(), VerifyRequest{APIKey: key})
	require.NoError(t, err)
	found, err := w.repository.byKey(t.Context(), keyHash(key), nil)
	require.NoError(t, err)

	w.as(t, ada)
	_, err = w.service.signIn(t.Context(), compared, "password", nil)
	require.True(t, services.Is(err, services.Unauthenticated), err)
	_, err = w.service.signIn(t.Context(), found.Account, "key", found.KeyID)
	require.Error(t, err)
	for _, caller := range []services.Caller{withToken.Caller, withKey.Caller} {
		_, _, err = w.service.AddKey(t.Context(), caller, KeyRequest{Name: "late"})
		require.True(t, services.Is(err, services.Unauthenticated), err)
	}
	require.Equal(t, 1, w.sessions(t))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.api_keys`))
}

func TestAnAddressThatIsVerifiedLaterCounts(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	unproved := ada
	unproved.verified = false
	account, token := w.as(t, unproved)
	other := ada
	other.email = "else@example.com"
	w.as(t, other)
	w.as(t, unproved)
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE email_verified_at IS NULL`), "another address proves nothing")
	again, _ := w.as(t, ada)
	require.Equal(t, account, again)
	require.True(t, w.counts(t, token))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE email_verified_at IS NOT NULL`))
}

// Whoever runs a tenant at Microsoft can write any address into its people's
// e-mail claims ("nOAuth").
func TestMicrosoftsAddressesAreTrustedOnlyWhenVerified(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tenant, configured string
		claims             map[string]any
		joins              bool
	}{
		"another tenant's":                        {tenant: workTenant},
		"that says verified itself":               {tenant: workTenant, claims: map[string]any{"email_verified": true}},
		"with a false owner":                      {tenant: workTenant, claims: map[string]any{"xms_edov": false}},
		"with a verified domain owner":            {tenant: workTenant, claims: map[string]any{"xms_edov": true}, joins: true},
		"with a verified domain owner, as a text": {tenant: workTenant, claims: map[string]any{"xms_edov": "1"}, joins: true},
		"of a personal account":                   {tenant: personal, joins: true},
		"of the operator's tenant":                {tenant: workTenant, configured: workTenant, joins: true},
		"of all work accounts":                    {tenant: workTenant, configured: "organizations"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, "outlook", func(_ *Config, cfg *oidc.Config) { cfg.OutlookTenant = c.configured })
			victim, _, token := w.register(t, ada.email, "a long password")
			w.execute(t, `UPDATE uaol_auth.accounts SET email_verified_at = now()`)
			w.provider.set(func(p *provider) { p.tenant = c.tenant })
			who := person{subject: "mallory", email: ada.email, verified: true, claims: c.claims}
			if c.joins {
				account, _ := w.as(t, who)
				require.Equal(t, victim, account)
				return
			}
			require.Equal(t, errUnverified.Message, w.refused(t, who, ""))
			require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.identities`))
			require.True(t, w.counts(t, token))
		})
	}
}

func TestMicrosoftsIssuerIsTheTenants(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		configured string
		lie        func(w *world, claims map[string]any)
	}{
		"another tenant than the issuer": {lie: func(_ *world, c map[string]any) { c["tid"] = workTenant }},
		"no tenant":                      {lie: func(_ *world, c map[string]any) { delete(c, "tid") }},
		"the place of the tenant": {lie: func(w *world, c map[string]any) {
			c["tid"] = "{tenantid}"
			c["iss"] = w.provider.host() + "/{tenantid}/v2.0"
		}},
		"a tenant with a path":            {lie: func(w *world, c map[string]any) { c["tid"] = "x/y"; c["iss"] = w.provider.host() + "/x/y/v2.0" }},
		"not the tenant that was chosen":  {configured: workTenant, lie: func(*world, map[string]any) {}},
		"a domain without its own issuer": {configured: "contoso.example", lie: func(*world, map[string]any) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, "outlook", func(_ *Config, cfg *oidc.Config) { cfg.OutlookTenant = c.configured })
			w.provider.set(func(p *provider) { p.lie = func(claims jwt.MapClaims) { c.lie(w, claims) } })
			require.Equal(t, "The provider's answer could not be verified; please begin again", w.refused(t, ada, ""))
		})
	}
}

func TestMicrosoftsDiscoverySpeaksForItsHostAlone(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "outlook")
	w.provider.set(func(p *provider) {
		p.fail = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/.well-known/openid-configuration" {
				_, _ = rw.Write([]byte(`{"issuer":"https://evil.test/{tenantid}/v2.0","authorization_endpoint":"https://evil.test/a","token_endpoint":"https://evil.test/t","jwks_uri":"https://evil.test/k"}`))
				return true
			}
			return false
		}
	})
	require.Equal(t, http.StatusServiceUnavailable, w.do(t, http.MethodGet, "/auth/outlook", "").Status)
}

func TestUserinfoIsAboutWhoSignsIn(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "oidc")
	w.provider.set(func(p *provider) {
		p.fail = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/userinfo" {
				rw.Header().Set("Content-Type", "application/json")
				_, _ = rw.Write([]byte(`{"sub":"somebody else","email":"victim@example.com","email_verified":true}`))
			}
			return r.URL.Path == "/userinfo"
		}
	})
	require.Equal(t, "The provider's answer could not be verified; please begin again", w.refused(t, ada, ""))
}

func TestSigningInKeepsToRegistration(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google", func(c *Config, _ *oidc.Config) { c.Registration = ByInvitation })
	require.Equal(t, "Registration needs an invitation", w.refused(t, ada, ""))
	invite := func(email string) (secret string) {
		secret = newKey()
		w.execute(t, `INSERT INTO uaol_auth.invitations (invitation_id, email, role, hash, invited_by, expires_at)
			VALUES ($1, $2, 'member', $3, $4, now() + interval '1 day')`, newID(), email, keyHash(secret), newID())
		return secret
	}
	const wrong = "The invitation is not for this e-mail address, or no longer valid"
	require.Equal(t, wrong, w.refused(t, ada, "?invitation="+invite("else@example.com")))
	require.Equal(t, wrong, w.refused(t, ada, "?invitation=nonsense"))
	said := w.browser(t).signIn(w, "?invitation="+invite(ada.email))
	require.NotEmpty(t, said.Get("token"), said)
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.invitations`), "it is used up")
	w.as(t, ada) // who has an account signs in without one

	w = startWorld(t, "google", func(c *Config, _ *oidc.Config) { c.Registration = Closed })
	require.Equal(t, "Registration is closed", w.refused(t, ada, ""))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
}

func TestSigningInCountsNewAccounts(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google", func(c *Config, _ *oidc.Config) { c.Signups = 2 })
	for _, name := range []string{"a", "b"} {
		w.as(t, person{subject: name, email: name + "@example.com", verified: true})
	}
	require.Equal(t, errTooManyAccounts.Message, w.refused(t, person{subject: "c", email: "c@example.com", verified: true}, ""))
	w.as(t, person{subject: "a", email: "a@example.com", verified: true})
}

func TestAGuestKeepsWhatItMade(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	guest, err := w.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "my guest"})
	require.NoError(t, err)
	w.provider.set(func(p *provider) { p.person = ada })
	token := w.browser(t).signIn(w, "?guest="+url.QueryEscape("my guest")).Get("token")
	require.Equal(t, guest.Caller.Account.String(), w.me(t, token))
	require.Equal(t, guest.Caller.Organization.String(), w.text(t, `SELECT organization_id::text FROM uaol_auth.accounts WHERE email = 'ada@example.com'`))
	other, err := w.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "my guest"})
	require.NoError(t, err)
	require.NotEqual(t, guest.Caller.Account, other.Caller.Account, "the guest's session is over")
	w.mu.Lock()
	defer w.mu.Unlock()
	var types []string
	for _, e := range w.happened {
		types = append(types, e.Type)
	}
	require.Equal(t, []string{"user.registered", accessChangedType, "user.identity_linked"}, types)
}

func TestWithoutAnAddressThereIsNoAccount(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	for _, email := range []string{"", "no address", "a@b\\x00"} {
		require.Equal(t, errNoEmail.Message, w.refused(t, person{subject: "ada", email: email, verified: true}, ""))
	}
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
	w.as(t, ada)
	nameless := ada
	nameless.email = ""
	w.as(t, nameless) // who is known needs none
}

func TestFirstSignInsAtOnceMakeOneAccount(t *testing.T) {
	t.Parallel()
	for range 3 {
		w := startWorld(t, "google")
		const most = 6
		var pages [most]*url.URL
		var browsers [most]*browser
		for i := range most {
			browsers[i] = w.browser(t)
			pages[i] = browsers[i].back(w)
		}
		var group sync.WaitGroup
		tokens := make(chan string, most)
		for i := range most {
			group.Go(func() {
				response, err := browsers[i].http.Get(pages[i].String())
				if err != nil {
					return
				}
				defer response.Body.Close()
				if to, err := url.Parse(response.Header.Get("Location")); err == nil {
					tokens <- to.Query().Get("token")
				}
			})
		}
		group.Wait()
		close(tokens)
		accounts := map[string]int{}
		for token := range tokens {
			require.NotEmpty(t, token)
			accounts[w.me(t, token)]++
		}
		require.Len(t, accounts, 1)
		require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
		require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.organizations`))
		require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.identities`))
		require.Equal(t, most, w.sessions(t))
	}
}

// Tokens and codes are secrets: nothing that is written down has them.
func TestSecretsOfASignInAreNowhere(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	b := w.browser(t)
	back := b.back(w)
	leads, _ := b.get(back.String())
	token := told(t, leads).Get("token")
	require.NotEmpty(t, token)
	dump := w.dump(t)
	for _, secret := range []string{token, back.Query().Get("code"), back.Query().Get("state")} {
		require.NotContains(t, dump, secret)
	}
}
