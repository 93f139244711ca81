package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"uaol/services/auth/oidc"
)

var styleForm = regexp.MustCompile(`(?s)<style>(.*)</style>`)

// TestThePageIsClosed to scripts, frames, caches and forms that lead elsewhere, whatever
// it shows.
func TestThePageIsClosed(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	v := w.visitor(t)
	signIn := v.open(p.request(oauth2.GenerateVerifier()))
	wrong := v.post("/oauth/sign-in", "ticket", ticketOf(t, signIn), "email", "ada@example.com", "password", "wrong horse")
	require.Equal(t, http.StatusUnauthorized, wrong.status)
	require.Contains(t, wrong.text, `role="alert"`)
	require.Contains(t, wrong.text, `value="ada@example.com"`)
	require.NotContains(t, wrong.text, "wrong horse")
	consent := v.signIn(wrong, "ada@example.com", "correct horse")
	failed := v.open(w.url + "/oauth/authorize")
	for name, page := range map[string]reply{"sign-in": signIn, "wrong": wrong, "consent": consent, "failed": failed} {
		style := styleForm.FindStringSubmatch(page.text)
		require.NotNil(t, style, name)
		sum := sha256.Sum256([]byte(style[1]))
		policy := page.header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", name)
		require.Contains(t, policy, "frame-ancestors 'none'", name)
		require.Contains(t, policy, "base-uri 'none'", name)
		require.NotContains(t, policy, "script-src", name)
		require.NotContains(t, policy, "unsafe", name)
		require.Len(t, page.header.Values("Content-Security-Policy"), 1, name)
		require.Equal(t, "DENY", page.header.Get("X-Frame-Options"), name)
		require.Equal(t, "no-store", page.header.Get("Cache-Control"), name)
		require.Equal(t, "no-referrer", page.header.Get("Referrer-Policy"), name)
		require.NotContains(t, page.text, "<script", name)
		require.Contains(t, page.text, `<html lang="en">`, name)
		require.Contains(t, page.text, `name="viewport"`, name)
	}
	require.Contains(t, signIn.header.Get("Content-Security-Policy"), "form-action 'self';")
	require.Contains(t, consent.header.Get("Content-Security-Policy"), "form-action 'self' http://127.0.0.1:49152;")
	require.Equal(t, 3, strings.Count(signIn.text, "<input")) // two of which have labels
	require.Equal(t, 2, strings.Count(signIn.text, "<label"))
}

// TestAProgramWithoutAName is shown by where it is sent to.
func TestAProgramWithoutAName(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	w.made(t, "ada@example.com")
	p := w.registered(t, map[string]any{"client_name": nil, "redirect_uris": []string{"https://app.example.com/back", callback}})
	v := w.visitor(t)
	consent := v.signIn(v.open(p.request(oauth2.GenerateVerifier())), "ada@example.com", "correct horse")
	require.Contains(t, consent.text, "<strong>app.example.com</strong> wants to use UAOL")
	require.Contains(t, consent.text, "nobody has checked")
}

// TestStrangersWordsStayText: names, states and addresses show as they were written.
func TestStrangersWordsStayText(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	team := `"><script>alert(1)</script>`
	w.execute(t, `WITH o AS (INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES (gen_random_uuid(), $1, false) RETURNING organization_id)
		INSERT INTO uaol_auth.members (organization_id, account_id, role) SELECT organization_id, $2, 'owner' FROM o`, team, ada.Account.ID)
	for _, name := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'-alert(1)-'`, `{{.Ticket}}`, `</title><script>alert(1)</script>`, `</style><script>`} {
		p := w.registered(t, map[string]any{"client_name": name, "redirect_uris": []string{`https://app.example.com/?x="onload=alert(1)`}})
		p.RedirectURL = `https://app.example.com/?x="onload=alert(1)`
		v := w.visitor(t)
		page := v.open(p.request(oauth2.GenerateVerifier(), "state", `"><script>alert(1)</script>`))
		consent := v.signIn(page, "ada@example.com", "correct horse")
		failed := v.open(p.request(oauth2.GenerateVerifier(), "client_id", `<script>alert(1)</script>`))
		wrong := v.post("/oauth/sign-in", "ticket", ticketOf(t, page), "email", `"><script>alert(1)</script>`, "password", "x")
		for _, shown := range []reply{page, consent, failed, wrong} {
			require.NotContains(t, shown.text, "<script", name)
			require.NotContains(t, shown.text, "<img", name)
			require.NotContains(t, shown.text, `"onload`, name)
		}
		back := v.decide(consent, "deny", "")
		require.Equal(t, http.StatusSeeOther, back.status)
		to := back.header.Get("Location")
		require.True(t, strings.HasPrefix(to, `https://app.example.com/?x="onload=alert(1)&`), to)
		require.Equal(t, `"><script>alert(1)</script>`, told(t, to).Get("state"))
	}
}

// TestFormsOfOthersCountForNothing: a decision is taken only in the browser that was
// shown the page, from who has signed in there, and once.
func TestFormsOfOthersCountForNothing(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada, mallory := w.made(t, "ada@example.com"), w.made(t, "mallory@example.com")
	home := ada.Account.Organization.String()
	p := w.registered(t, nil)
	evil := w.registered(t, map[string]any{"client_name": "Evil"})
	v, other := w.visitor(t), w.visitor(t)
	page := v.open(p.request(oauth2.GenerateVerifier()))
	consent := v.signIn(page, "ada@example.com", "correct horse")
	theirs := other.signIn(other.open(evil.request(oauth2.GenerateVerifier())), "mallory@example.com", "correct horse")
	bare := w.visitor(t)
	forms := func() int { return w.count(t, `SELECT count(*) FROM uaol_auth.oauth_grants`) }

	for name, got := range map[string]reply{
		"another browser's page":       v.post("/oauth/authorize", "ticket", ticketOf(t, theirs), "decision", "allow", "organization", home),
		"this page elsewhere":          other.post("/oauth/authorize", "ticket", ticketOf(t, consent), "decision", "allow", "organization", home),
		"a browser without cookies":    bare.post("/oauth/authorize", "ticket", ticketOf(t, consent), "decision", "allow", "organization", home),
		"no ticket":                    v.post("/oauth/authorize", "decision", "allow", "organization", home),
		"a broken ticket":              v.post("/oauth/authorize", "ticket", ticketOf(t, consent)+"A", "decision", "allow", "organization", home),
		"the ticket of the sign-in":    v.post("/oauth/authorize", "ticket", ticketOf(t, page), "decision", "allow", "organization", home),
		"a sign-in elsewhere":          other.post("/oauth/sign-in", "ticket", ticketOf(t, page), "email", "ada@example.com", "password", "correct horse"),
		"a sign-in without its ticket": v.post("/oauth/sign-in", "email", "ada@example.com", "password", "correct horse"),
	} {
		require.Equal(t, http.StatusForbidden, got.status, name)
		require.Empty(t, got.header.Get("Location"), name)
		require.Contains(t, got.text, "begin again", name)
	}
	for name, decision := range map[string]string{"no decision": "", "another decision": "yes"} {
		require.Equal(t, http.StatusBadRequest, v.decide(consent, decision, home).status, name)
	}
	require.Zero(t, forms())

	// Of who signs in as somebody else, earlier pages count no more.
	require.Equal(t, http.StatusSeeOther, v.decide(consent, "leave", "").status)
	require.Equal(t, http.StatusForbidden, v.decide(consent, "allow", home).status)
	again := v.signIn(v.open(p.request(oauth2.GenerateVerifier())), "mallory@example.com", "correct horse")
	require.Contains(t, again.text, "mallory@example.com")
	require.Equal(t, http.StatusForbidden, v.decide(consent, "allow", home).status)

	// A page whose person's sign-ins have been ended counts for nothing, and none counts twice.
	w.execute(t, `DELETE FROM uaol_auth.sessions WHERE account_id = $1 AND expires_at < now() + interval '11 minutes'`, mallory.Account.ID)
	require.Equal(t, http.StatusForbidden, v.decide(again, "allow", mallory.Account.Organization.String()).status)
	require.Zero(t, forms())
	last := v.signIn(v.open(p.request(oauth2.GenerateVerifier())), "ada@example.com", "correct horse")
	require.Equal(t, http.StatusSeeOther, v.decide(last, "allow", home).status)
	require.Equal(t, http.StatusForbidden, v.decide(last, "allow", home).status)
	require.Equal(t, 1, forms())
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE account_id = $1 AND method = 'password'`, ada.Account.ID)+
		w.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE account_id = $1 AND method = 'register'`, ada.Account.ID), "the page's own have ended")
}

// TestWhoTakesTooLongSignsInAgain: what was shown until then counts no more.
func TestWhoTakesTooLongSignsInAgain(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	v := w.visitor(t)
	consent := v.signIn(v.open(p.request(oauth2.GenerateVerifier())), "ada@example.com", "correct horse")
	w.execute(t, `UPDATE uaol_auth.sessions SET expires_at = now() WHERE method = 'password'`)
	require.Equal(t, http.StatusForbidden, v.decide(consent, "allow", ada.Account.Organization.String()).status)
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_grants`))
	again := v.open(p.request(oauth2.GenerateVerifier()))
	require.Equal(t, http.StatusOK, again.status)
	require.NotContains(t, again.text, `value="allow"`)
	require.NotContains(t, again.text, "ada@example.com")
}

// TestWhoDoesNotAllowGivesNothing but an answer.
func TestWhoDoesNotAllowGivesNothing(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	v := w.visitor(t)
	back := v.decide(v.signIn(v.open(p.request(oauth2.GenerateVerifier())), "ada@example.com", "correct horse"), "deny", "")
	require.Equal(t, http.StatusSeeOther, back.status)
	query := told(t, back.header.Get("Location"))
	require.Equal(t, url.Values{"error": {"access_denied"}, "state": {"its state"}, "iss": {w.url}}, query)
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_grants`))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE method = 'password'`))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'grant.create' AND outcome = 'refused' AND details ->> 'code' = 'access_denied'`))
	require.Contains(t, v.open(p.request(oauth2.GenerateVerifier())).text, "Password", "nobody is signed in any more")
}

// TestGuessesOnThePageAreCounted like those elsewhere.
func TestGuessesOnThePageAreCounted(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	v := w.visitor(t)
	ticket := ticketOf(t, v.open(p.request(oauth2.GenerateVerifier())))
	try := func(password string) reply {
		return v.post("/oauth/sign-in", "ticket", ticket, "email", "ada@example.com", "password", password)
	}
	for range 10 {
		require.Equal(t, http.StatusUnauthorized, try("wrong horse").status)
	}
	got := try("correct horse")
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Contains(t, got.text, "Too many failed sign-ins")
	got = send(t, plain(), http.MethodPost, w.url+"/auth/login", `{"email":"ada@example.com","password":"correct horse"}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusTooManyRequests, got.status, "the same count")
}

// TestTheCookieOfThePage holds nothing that can be read, for this browser alone.
func TestTheCookieOfThePage(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	p := w.registered(t, nil)
	got := w.visitor(t).open(p.request(oauth2.GenerateVerifier()))
	cookies := (&http.Response{Header: got.header}).Cookies()
	require.Len(t, cookies, 1)
	require.Equal(t, "uaol_oauth", cookies[0].Name)
	require.True(t, cookies[0].HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, cookies[0].SameSite)
	require.Equal(t, "/", cookies[0].Path)
	require.Equal(t, 600, cookies[0].MaxAge)
	require.Empty(t, cookies[0].Domain)

	secure := openTown(t, func(b *bench) { b.public = "https://uaol.example.com" })
	p = secure.registered(t, nil)
	p.resource = "https://uaol.example.com/mcp"
	got = secure.visitor(t).open(p.request(oauth2.GenerateVerifier()))
	require.Equal(t, http.StatusOK, got.status, got.text)
	cookies = (&http.Response{Header: got.header}).Cookies()
	require.Equal(t, "__Host-uaol_oauth", cookies[0].Name)
	require.True(t, cookies[0].Secure)
}

// TestPeopleSignInOnThePageWithAProvider, and its token goes to nobody.
func TestPeopleSignInOnThePageWithAProvider(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "google")
	town := &town{bench: w.bench, url: w.app}
	p := town.registered(t, nil)
	verifier := oauth2.GenerateVerifier()
	v := town.visitor(t)
	page := v.open(p.request(verifier))
	require.Contains(t, page.text, "Sign in with Google")
	require.NotContains(t, page.text, "Microsoft")
	link := regexp.MustCompile(`href="([^"]+)"`).FindStringSubmatch(page.text)
	require.NotNil(t, link)
	base, err := url.Parse(w.app + "/oauth/authorize")
	require.NoError(t, err)
	at, err := base.Parse(strings.ReplaceAll(link[1], "&amp;", "&"))
	require.NoError(t, err)

	b := &browser{t: t, http: v.http, bare: plain()}
	consentPage := b.until(at.String(), func(page string) bool { return strings.HasPrefix(page, w.app+"/oauth/authorize?") })
	require.NotContains(t, consentPage, "token=")
	consent := v.open(consentPage)
	require.Contains(t, consent.text, "ada@example.com")
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE method = 'google' AND expires_at < now() + interval '11 minutes'`), "it is for the page alone")
	home := w.text(t, `SELECT organization_id::text FROM uaol_auth.accounts WHERE email = 'ada@example.com'`)
	back := v.decide(consent, "allow", home)
	tokens, err := p.redeem(t, told(t, back.header.Get("Location")).Get("code"), verifier)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, town.call(t, "/mcp", tokens.AccessToken).status)
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.sessions WHERE method = 'google'`))

	// What goes wrong there is said on the page, once.
	w.provider.set(func(p *provider) { p.person = person{subject: "eve", email: "ada@example.com"} })
	other := town.visitor(t)
	b = &browser{t: t, http: other.http, bare: plain()}
	consentPage = b.until(at.String(), func(page string) bool { return strings.HasPrefix(page, w.app+"/oauth/authorize?") })
	said := other.open(consentPage)
	require.Contains(t, said.text, "has not verified that it is yours")
	require.NotContains(t, said.text, `value="allow"`)
	require.NotContains(t, other.open(consentPage).text, "has not verified")

	// Nowhere else can be gone back to that way.
	for _, to := range []string{"%zz", strings.Repeat("x", 5000)} {
		got := send(t, plain(), http.MethodGet, w.app+"/auth/google?authorize="+url.QueryEscape(to), "")
		require.Equal(t, http.StatusBadRequest, got.status, got.text)
	}

	// A provider that leads back to another address of ours is not offered.
	w.signInWith(t, oidc.Config{Frontend: frontend, GoogleIssuer: w.provider.URL, GoogleID: clientID, GoogleSecret: clientSecret, GoogleRedirect: "https://uaol.test/auth/google/callback"})
	require.NotContains(t, town.visitor(t).open(p.request(verifier)).text, "Google")
}
