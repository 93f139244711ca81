package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/services/auth/oidc"
)

func TestPeopleSignInWithEachProvider(t *testing.T) {
	t.Parallel()
	for _, flavour := range oidc.Names {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, flavour)
			account, token := w.as(t, ada)
			require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE email = 'ada@example.com' AND email_verified_at IS NOT NULL`))
			require.Equal(t, flavour, w.text(t, `SELECT method FROM uaol_auth.sessions`))
			again, other := w.as(t, ada)
			require.Equal(t, account, again, "the second sign-in is the same account's")
			require.NotEqual(t, token, other)
			require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.identities WHERE provider = $1`, flavour))
			require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.sign_ins`), "what was begun is used up")
			require.Equal(t, 2, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'session.begin' AND outcome = 'done' AND account_id = $1 AND details ->> 'provider' = $2`, account, flavour))
			require.Equal(t, 1, w.provider.asked["/.well-known/openid-configuration"], "discovery is not repeated")
		})
	}
}

func TestASignInsCookieAndHeaders(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	b := w.browser(t)
	page, _ := b.get(w.app + "/auth/google?return_to=https://other.test")
	require.True(t, strings.HasPrefix(page, w.provider.URL+"/authorize?"), page)
	require.Equal(t, "no-store", b.last.Header.Get("Cache-Control"))
	require.Equal(t, "no-referrer", b.last.Header.Get("Referrer-Policy"))
	require.Len(t, b.last.Cookies(), 1)
	cookie := b.last.Cookies()[0]
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	require.Equal(t, "/", cookie.Path)
	require.Equal(t, 600, cookie.MaxAge)
	require.False(t, cookie.Secure)
	query := told(t, page)
	require.Equal(t, "S256", query.Get("code_challenge_method"))
	for _, secret := range []string{query.Get("state"), cookie.Value} {
		require.NotEmpty(t, secret)
		require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.sign_ins s WHERE s::text LIKE '%' || $1 || '%'`, secret), "only its hash is stored")
	}
	end := b.until(page, func(page string) bool {
		return strings.Contains(page, "/auth/callback?") && !strings.HasPrefix(page, w.app)
	})
	require.True(t, strings.HasPrefix(end, "https://other.test/auth/callback?token="), end)
	require.Equal(t, "no-store", b.last.Header.Get("Cache-Control"))
	require.Equal(t, "no-referrer", b.last.Header.Get("Referrer-Policy"))

	w.signInWith(t, oidc.Config{Frontend: frontend, GoogleIssuer: w.provider.URL, GoogleID: clientID, GoogleSecret: clientSecret, GoogleRedirect: "https://uaol.test/auth/google/callback"})
	b.get(w.app + "/auth/google")
	require.True(t, b.last.Cookies()[0].Secure)
	require.Equal(t, "__Host-uaol_sign_in", b.last.Cookies()[0].Name)
}

// Point 12 of what the original gets wrong: OAuth state is not checked.
func TestOAuthStateIsChecked(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	for name, change := range map[string]func(t *testing.T, b *browser, back *url.URL) *browser{
		"tampered": func(_ *testing.T, b *browser, back *url.URL) *browser {
			set(back, "state", back.Query().Get("state")[1:]+"A")
			return b
		},
		"absent": func(_ *testing.T, b *browser, back *url.URL) *browser { set(back, "state", ""); return b },
		"of another browser": func(t *testing.T, _ *browser, _ *url.URL) *browser {
			other := w.browser(t)
			other.get(w.app + "/auth/google") // it has a cookie of its own
			return other
		},
		"of a browser without cookies": func(t *testing.T, _ *browser, _ *url.URL) *browser { return w.browser(t) },
		"of another provider": func(_ *testing.T, b *browser, back *url.URL) *browser {
			back.Path = "/auth/oidc/callback"
			return b
		},
		"used already": func(t *testing.T, b *browser, back *url.URL) *browser {
			leads, _ := b.get(back.String())
			require.NotEmpty(t, told(t, leads).Get("token"))
			return b
		},
		"used already with an error": func(t *testing.T, b *browser, back *url.URL) *browser {
			denied := *back
			denied.RawQuery = url.Values{"state": {back.Query().Get("state")}, "error": {"access_denied"}}.Encode()
			leads, _ := b.get(denied.String())
			require.Equal(t, "OAuth error: access_denied", told(t, leads).Get("error"))
			return b
		},
		"too old": func(t *testing.T, b *browser, _ *url.URL) *browser {
			w.execute(t, `UPDATE uaol_auth.sign_ins SET expires_at = now()`)
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.browser(t)
			back := b.back(w)
			b = change(t, b, back)
			before := w.sessions(t)
			leads, _ := b.get(back.String())
			require.Equal(t, errUnknownSignIn.Message, told(t, leads).Get("error"))
			require.Empty(t, told(t, leads).Get("token"))
			require.True(t, strings.HasPrefix(leads, frontend+"/"))
			require.Equal(t, before, w.sessions(t))
		})
	}
	t.Run("somebody else's try does not use it up", func(t *testing.T) {
		b := w.browser(t)
		back := b.back(w)
		w.browser(t).get(back.String())
		leads, _ := b.get(back.String())
		require.NotEmpty(t, told(t, leads).Get("token"))
	})
}

func TestOneBrowserMaySignInInSeveralTabs(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	b := w.browser(t)
	first, second := b.back(w), b.back(w)
	for _, back := range []*url.URL{first, second} {
		leads, _ := b.get(back.String())
		require.NotEmpty(t, told(t, leads).Get("token"), leads)
	}
}

// set changes a parameter of a page.
func set(page *url.URL, name, value string) {
	query := page.Query()
	query.Set(name, value)
	page.RawQuery = query.Encode()
}

func (b *bench) execute(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// lies are ID tokens that are not right.
var lies = map[string]func(*provider){
	"of another sign-in": func(p *provider) { p.lie = func(c jwt.MapClaims) { c["nonce"] = "another" } },
	"without a nonce":    func(p *provider) { p.lie = func(c jwt.MapClaims) { delete(c, "nonce") } },
	"for another client": func(p *provider) { p.lie = func(c jwt.MapClaims) { c["aud"] = "another"; delete(c, "azp") } },
	"for several clients, made for another": func(p *provider) {
		p.lie = func(c jwt.MapClaims) { c["aud"] = []string{clientID, "another"}; c["azp"] = "another" }
	},
	"for several clients, made for nobody": func(p *provider) {
		p.lie = func(c jwt.MapClaims) { c["aud"] = []string{clientID, "another"}; delete(c, "azp") }
	},
	"of another issuer":        func(p *provider) { p.lie = func(c jwt.MapClaims) { c["iss"] = "https://another.test" } },
	"that expired":             func(p *provider) { p.lie = func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() } },
	"about nobody":             func(p *provider) { p.lie = func(c jwt.MapClaims) { c["sub"] = "" } },
	"for another access token": func(p *provider) { p.lie = func(c jwt.MapClaims) { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" } },
	"that is missing":          func(p *provider) { p.sign = func(jwt.MapClaims) string { return "" } },
	"that is no token":         func(p *provider) { p.sign = func(jwt.MapClaims) string { return "a.b.c" } },
	"without a signature": func(p *provider) {
		p.sign = func(c jwt.MapClaims) string { return by(jwt.SigningMethodNone, c, jwt.UnsafeAllowNoneSignatureType) }
	},
	"signed with the client's secret": func(p *provider) {
		p.sign = func(c jwt.MapClaims) string { return by(jwt.SigningMethodHS256, c, []byte(clientSecret)) }
	},
	"signed with the public key as a secret": func(p *provider) {
		p.sign = func(c jwt.MapClaims) string { return by(jwt.SigningMethodHS256, c, p.publicKey()) }
	},
	"signed with another key": func(p *provider) {
		p.sign = func(c jwt.MapClaims) string {
			key, _ := rsa.GenerateKey(rand.Reader, 2048)
			return by(jwt.SigningMethodRS256, c, key)
		}
	},
	"signed with an algorithm that discovery does not list": func(p *provider) {
		p.sign = func(c jwt.MapClaims) string {
			delete(c, "at_hash")
			return by(jwt.SigningMethodRS512, c, p.privateKey())
		}
	},
	"changed after it was signed": func(p *provider) {
		p.sign = func(c jwt.MapClaims) string {
			parts := strings.Split(p.signed(c), ".")
			c["sub"] = "mallory"
			parts[1] = strings.Split(p.signed(c), ".")[1]
			return strings.Join(parts, ".")
		}
	},
}

func by(method jwt.SigningMethod, claims jwt.MapClaims, key any) string {
	text, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		return err.Error()
	}
	return text
}

// testLies tries every lie on a provider.
func testLies(t *testing.T, flavour string) {
	w := startWorld(t, flavour)
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			w.provider.set(func(p *provider) { p.lie, p.sign = nil, nil; lie(p) })
			require.Equal(t, "The provider's answer could not be verified; please begin again", w.refused(t, ada, ""))
			require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
			require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.identities`))
		})
	}
	require.Equal(t, len(lies), w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'session.begin' AND outcome = 'refused' AND details ->> 'code' = 'AUTHENTICATION_ERROR'`))
	w.provider.set(func(p *provider) { p.lie, p.sign = nil, nil })
	w.as(t, ada) // and the truth is taken
}

// Point 12 of what the original gets wrong: Apple's ID token is not verified.
func TestApplesIDTokenIsVerified(t *testing.T) {
	t.Parallel()
	testLies(t, "icloud")
}

func TestIDTokensAreVerified(t *testing.T) {
	t.Parallel()
	for _, flavour := range []string{"google", "outlook", "oidc"} {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			testLies(t, flavour)
		})
	}
}

// Point 12 of what the original gets wrong: tokens are stored in clear.
func TestProviderTokensAreNotStoredInClear(t *testing.T) {
	t.Parallel()
	for _, flavour := range oidc.Names {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, flavour)
			w.as(t, ada)
			answer := w.provider.tokens[0]
			access, _ := answer["access_token"].(string)
			refresh, _ := answer["refresh_token"].(string)
			require.NotEmpty(t, access)
			require.NotEmpty(t, refresh)
			dump := w.dump(t)
			for _, secret := range []string{access, refresh, answer["id_token"].(string)} {
				require.NotContains(t, dump, secret)
				require.NotContains(t, dump, hex.EncodeToString([]byte(secret)), "bytes are shown in hex")
			}
			id, sealed := w.identity(t)
			plain, err := w.ring.Open(sealed, "identity:"+id.String())
			require.NoError(t, err)
			require.Contains(t, string(plain), access)
			require.Contains(t, string(plain), refresh)
			_, err = w.ring.Open(sealed, "identity:"+newID().String())
			require.Error(t, err, "in another row they are worthless")
		})
	}
}

// dump is every row of auth's tables, as text.
func (b *bench) dump(t testing.TB) (all string) {
	t.Helper()
	tables, err := postgres.Values[string](t.Context(), b.pool, `SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'uaol_auth'`)
	require.NoError(t, err)
	require.Contains(t, tables, "identities")
	for _, table := range tables {
		rows, err := postgres.Values[string](t.Context(), b.pool, `SELECT r::text FROM uaol_auth.`+table+` r`)
		require.NoError(t, err)
		all += strings.Join(rows, "\n")
	}
	return all
}

// identity is the only one there is.
func (b *bench) identity(t testing.TB) (id uuid.UUID, sealed []byte) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT identity_id, tokens FROM uaol_auth.identities`).Scan(&id, &sealed))
	return id, sealed
}

func TestACodeIsRedeemedOnlyOnceAndOnlyByItsSignIn(t *testing.T) {
	t.Parallel()
	for _, flavour := range oidc.Names {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, flavour)
			const refusal = "The provider did not accept the authorization code"

			used := w.browser(t).back(w) // of another browser, and not redeemed yet
			b := w.browser(t)
			mine := b.back(w)
			set(mine, "code", used.Query().Get("code"))
			leads, _ := b.get(mine.String())
			require.Equal(t, refusal, told(t, leads).Get("error"), "PKCE binds a code to who asked for it")
			require.Zero(t, w.sessions(t))

			first := b.back(w)
			leads, _ = b.get(first.String())
			require.NotEmpty(t, told(t, leads).Get("token"))
			again := b.back(w)
			set(again, "code", first.Query().Get("code"))
			leads, _ = b.get(again.String())
			require.Equal(t, refusal, told(t, leads).Get("error"))
			require.Equal(t, 1, w.sessions(t))
		})
	}
}

func TestAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "oidc") // it starts all the same: nothing was asked yet
	require.Empty(t, w.provider.asked)
	down := func(paths ...string) {
		w.provider.set(func(p *provider) {
			p.fail = func(rw http.ResponseWriter, r *http.Request) bool {
				if !slices.Contains(paths, r.URL.Path) {
					return false
				}
				rw.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
		})
	}
	down("/.well-known/openid-configuration")
	require.Equal(t, http.StatusServiceUnavailable, w.do(t, http.MethodGet, "/auth/oidc", "").Status)
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.sign_ins`))
	down() // it is up again, and the next one who comes is served
	w.as(t, ada)
	asked := w.provider.asked["/.well-known/openid-configuration"]
	down("/.well-known/openid-configuration") // what it said is known
	w.as(t, ada)
	require.Equal(t, asked, w.provider.asked["/.well-known/openid-configuration"])
	for _, path := range []string{"/oauth/token", "/userinfo"} {
		down(path)
		w.refused(t, ada, "")
	}

	answers := map[string]string{
		"another issuer": `{"issuer":"https://another.test","authorization_endpoint":"https://another.test/a","token_endpoint":"https://another.test/t","jwks_uri":"https://another.test/k"}`,
		"no endpoints":   `{"issuer":"` + w.provider.URL + `"}`,
		"no JSON":        `<html>`,
		"too long":       `{"issuer":"` + w.provider.URL + `","authorization_endpoint":"` + w.provider.URL + `/authorize","token_endpoint":"` + w.provider.URL + `/t","x":"` + strings.Repeat("x", 2<<20) + `"}`,
	}
	for name, answer := range answers {
		t.Run("discovery gives "+name, func(t *testing.T) {
			w.signInWith(t, oidc.Config{Frontend: frontend, Issuer: w.provider.URL, ID: clientID, Scopes: "openid"})
			w.provider.set(func(p *provider) {
				p.fail = func(rw http.ResponseWriter, _ *http.Request) bool { _, _ = rw.Write([]byte(answer)); return true }
			})
			require.Equal(t, http.StatusServiceUnavailable, w.do(t, http.MethodGet, "/auth/oidc", "").Status)
		})
	}
}

func TestAProvidersErrorIsShownAsACodeAlone(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	for said, shown := range map[string]string{
		"access_denied":             "OAuth error: access_denied",
		"<script>alert(1)</script>": "OAuth error: unknown_error",
		"a b":                       "OAuth error: unknown_error",
		"x\r\nSet-Cookie: a=b":      "OAuth error: unknown_error",
		strings.Repeat("a", 61):     "OAuth error: unknown_error",
	} {
		leads, _ := w.browser(t).get(w.app + "/auth/google/callback?error_description=evil&error=" + url.QueryEscape(said))
		require.Equal(t, frontend+"/auth/callback?error="+component(shown), leads)
	}
	require.Zero(t, w.sessions(t))
	require.Equal(t, 5, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'session.begin' AND outcome = 'refused'`))
}

func TestSignInLeadsOnlyToConfiguredFrontends(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	for _, elsewhere := range []string{
		"https://evil.test", "//evil.test", "/\\evil.test", frontend + ".evil.test", frontend + "@evil.test", frontend + "/auth", frontend + "?x=",
		"https://frontend.test", "HTTP://FRONTEND.TEST", "javascript:alert(1)", frontend + ",https://other.test", " " + frontend, frontend + "\r\n",
	} {
		answer := w.do(t, http.MethodGet, "/auth/google?return_to="+url.QueryEscape(elsewhere), "")
		require.Equal(t, http.StatusBadRequest, answer.Status, elsewhere)
		require.Contains(t, answer.Text, "query.return_to")
	}
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.sign_ins`))

	// A callback believes nobody, and what is no frontend any more is not used.
	b := w.browser(t)
	leads, _ := b.get(w.app + "/auth/google/callback?return_to=https://evil.test&error=x")
	require.True(t, strings.HasPrefix(leads, frontend+"/auth/callback?error="))
	back := b.back(w)
	w.execute(t, `UPDATE uaol_auth.sign_ins SET return_to = 'https://evil.test'`)
	leads, _ = b.get(back.String())
	require.True(t, strings.HasPrefix(leads, frontend+"/auth/callback?token="), leads)
	require.NotEmpty(t, w.browser(t).signIn(w, "?return_to=https://other.test/").Get("token"))
}

func TestWhatASignInTakesIsChecked(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	for query, path := range map[string]string{
		"guest=" + strings.Repeat("g", 129):      "query.guest",
		"guest=%ff":                              "query.guest",
		"guest=a%00":                             "query.guest",
		"invitation=" + strings.Repeat("i", 201): "query.invitation",
	} {
		answer := w.do(t, http.MethodGet, "/auth/google?"+query, "")
		require.Equal(t, http.StatusBadRequest, answer.Status, query)
		require.Contains(t, answer.Text, path)
	}
}

func TestApplesPostIsHandedOverToTheBrowser(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "icloud")
	b := w.browser(t)
	response, err := b.bare.PostForm(w.app+"/auth/icloud/callback", url.Values{
		"state": {"s&x=y"}, "code": {"c"}, "user": {"ada"}, "id_token": {"secret"}, "error": {"user_cancelled_authorize"},
	})
	require.NoError(t, err)
	leads, _ := b.read(w.app, response)
	require.Equal(t, http.StatusSeeOther, response.StatusCode)
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	require.Equal(t, w.app+"/auth/icloud/callback?code=c&error=user_cancelled_authorize&state=s%26x%3Dy", leads)

	none := w.do(t, http.MethodPost, "/auth/icloud/callback", "")
	require.Equal(t, http.StatusUnauthorized, none.Status)
	require.Equal(t, "Missing authorization code", none.Body.Error.Message)
}

func TestProvidersThatAreNotConfigured(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, says := range map[string]string{
		"google":  "Google OAuth is not configured. Please set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET in backend/.env",
		"outlook": "Outlook OAuth is not configured. Please set OUTLOOK_CLIENT_ID and OUTLOOK_CLIENT_SECRET in backend/.env",
		"icloud":  "Apple Sign In is not configured. Please set ICLOUD_CLIENT_ID in backend/.env",
		"oidc":    "OpenID sign-in is not configured. Please set OIDC_ISSUER and OIDC_CLIENT_ID in backend/.env",
	} {
		for _, path := range []string{"/auth/" + name, "/" + name} {
			answer := b.do(t, http.MethodGet, path, "")
			require.Equal(t, http.StatusInternalServerError, answer.Status)
			require.Equal(t, "OAUTH_NOT_CONFIGURED", answer.Body.Error.Code)
			require.Equal(t, says, answer.Body.Error.Message)
		}
	}
	require.JSONEq(t, `{"success":true,"data":[{"provider":"google","configured":false},{"provider":"outlook","configured":false},
		{"provider":"icloud","configured":false},{"provider":"oidc","configured":false}]}`, b.do(t, http.MethodGet, "/auth/oauth-config", "").Text)
	w := startWorld(t, "icloud")
	require.Contains(t, w.do(t, http.MethodGet, "/oauth-config", "").Text, `{"provider":"icloud","configured":true}`)
}

// TestSignInLeadsBackToTheConsole: to the page of ours that it was begun from, and to no
// other of ours.
func TestSignInLeadsBackToTheConsole(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	state := strings.Repeat("aZ09", 5) // the shortest
	page := "/console/sign-in/" + state
	begin := "/auth/google?return_to=" + url.QueryEscape(page)
	w.provider.set(func(p *provider) { p.person = ada })

	b := w.browser(t)
	end := b.until(w.app+begin, func(leads string) bool { return strings.HasPrefix(leads, w.app+"/console/") })
	require.True(t, strings.HasPrefix(b.last.Header.Get("Location"), page+"/auth/callback?token="), "a path, and so on the host that the browser is at: %s", end)
	require.Equal(t, "google", told(t, end).Get("provider"))
	require.Empty(t, told(t, end).Get("error"))
	w.me(t, told(t, end).Get("token"))
	require.Equal(t, "no-store", b.last.Header.Get("Cache-Control"))
	require.Equal(t, "no-referrer", b.last.Header.Get("Referrer-Policy"))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE expires_at > now() + interval '50 minutes'`))

	// An error goes there too; one of nobody's sign-in goes to the frontend.
	leads, _ := b.get(w.app + begin)
	back := url.Values{"state": {told(t, leads).Get("state")}, "error": {"access_denied"}}
	b.get(w.app + "/auth/google/callback?" + back.Encode())
	require.Equal(t, page+"/auth/callback?error="+component("OAuth error: access_denied"), b.last.Header.Get("Location"))
	b.get(w.app + "/auth/google/callback?" + back.Encode())
	require.True(t, strings.HasPrefix(b.last.Header.Get("Location"), frontend+"/auth/callback?error="))

	long := strings.Repeat("a", 64)
	leads, _ = w.browser(t).get(w.app + "/auth/google?return_to=/console/sign-in/" + long)
	require.True(t, strings.HasPrefix(leads, w.provider.URL), leads)
	before := w.count(t, `SELECT count(*) FROM uaol_auth.sign_ins`)
	for _, elsewhere := range []string{
		"/console/sign-in/" + state[1:], "/console/sign-in/" + long + "a", page + "/", page + "//", page + "/x", page + "?x=y", page + "#x", page + "\n", page + "\x00",
		"/console/sign-in/", "/console", "/", "//console/sign-in/" + state, "/" + page, "/\\" + page[1:], "\\" + page[1:], " " + page, page + " ",
		"/console//sign-in/" + state, "/console/./sign-in/" + state, "/x/../console/sign-in/" + state, "/console/sign-in/../../" + state, page + "/..",
		"/console/sign-in/%2f" + state, "/console%2Fsign-in%2F" + state, "/console/sign-in/" + state[1:] + "%", "/console/sign-in/" + state[1:] + "-",
		"/console/sign-in/" + state[1:] + "é", "/Console/sign-in/" + state, "https://evil.test" + page, "//evil.test" + page, w.app + page, frontend + page,
		"javascript:alert(1)//" + page, "console/sign-in/" + state,
	} {
		answer := w.do(t, http.MethodGet, "/auth/google?return_to="+url.QueryEscape(elsewhere), "")
		require.Equal(t, http.StatusBadRequest, answer.Status, "%q", elsewhere)
		require.Contains(t, answer.Text, "query.return_to")
	}
	require.Equal(t, before, w.count(t, `SELECT count(*) FROM uaol_auth.sign_ins`))

	// Nor is one that stands in the database believed.
	b = w.browser(t)
	held := b.back(w)
	w.execute(t, `UPDATE uaol_auth.sign_ins SET return_to = '//evil.test' || $1`, page)
	leads, _ = b.get(held.String())
	require.True(t, strings.HasPrefix(leads, frontend+"/auth/callback?token="), leads)
}
