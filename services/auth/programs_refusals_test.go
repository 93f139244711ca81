package auth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"uaol/services"
)

// TestRequestsThatNobodyHearsOf: while the program or its address is not known to be
// good, whoever sits there is told, and sent nowhere.
func TestRequestsThatNobodyHearsOf(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	p := w.registered(t, map[string]any{"redirect_uris": []string{callback, "https://app.example.com/back?x=1"}})
	for name, changes := range map[string][]string{
		"no client":                {"client_id", "-"},
		"an unknown client":        {"client_id", "uci_unknown"},
		"a NUL in the client":      {"client_id", "uci_\x00"},
		"no redirect, of two":      {"redirect_uri", "-"},
		"an unknown redirect":      {"redirect_uri", "https://evil.example.com/callback"},
		"another path":             {"redirect_uri", "http://127.0.0.1/callback/x"},
		"another loopback":         {"redirect_uri", "http://localhost/callback"},
		"another query":            {"redirect_uri", "https://app.example.com/back?x=2"},
		"more of a query":          {"redirect_uri", "https://app.example.com/back?x=1&y=2"},
		"another scheme":           {"redirect_uri", "http://app.example.com/back?x=1"},
		"another port":             {"redirect_uri", "https://app.example.com:8443/back?x=1"},
		"a longer host":            {"redirect_uri", "https://app.example.com.evil.example.com/back?x=1"},
		"a user before the host":   {"redirect_uri", "https://app.example.com@evil.example.com/back?x=1"},
		"a loopback with a user":   {"redirect_uri", "http://127.0.0.1@evil.example.com/callback"},
		"a fragment":               {"redirect_uri", callback + "#x"},
		"a script":                 {"redirect_uri", "javascript:alert(1)"},
		"a path that climbs":       {"redirect_uri", "http://127.0.0.1/x/../callback"},
		"a redirect that is long":  {"redirect_uri", "https://app.example.com/" + strings.Repeat("x", 2100)},
		"a request that is longer": {"state", strings.Repeat("x", 4100)},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.visitor(t).open(p.request(oauth2.GenerateVerifier(), changes...))
			require.Equal(t, http.StatusBadRequest, got.status, got.text)
			require.Empty(t, got.header.Get("Location"))
			require.Contains(t, got.header.Get("Content-Type"), "text/html")
			require.NotContains(t, got.text, "<form")
		})
	}
	for name, query := range map[string]string{
		"nothing": "", "what is no query": "client_id=%zz", "two clients": "client_id=a&client_id=b",
		"two redirects": "client_id=" + p.ClientID + "&redirect_uri=" + url.QueryEscape(callback) + "&redirect_uri=" + url.QueryEscape(callback),
	} {
		got := w.visitor(t).open(w.url + "/oauth/authorize?" + query)
		require.Equal(t, http.StatusBadRequest, got.status, name)
		require.Empty(t, got.header.Get("Location"), name)
	}
}

// TestRequestsThatAreRefused: the program hears why, who says so, and its state.
func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	p := w.registered(t, nil)
	for name, test := range map[string]struct {
		changes []string
		code    string
	}{
		"no response type":         {[]string{"response_type", "-"}, "unsupported_response_type"},
		"a token at once":          {[]string{"response_type", "token"}, "unsupported_response_type"},
		"a fragment":               {[]string{"response_mode", "fragment"}, "invalid_request"},
		"no challenge":             {[]string{"code_challenge", "-"}, "invalid_request"},
		"an empty challenge":       {[]string{"code_challenge", ""}, "invalid_request"},
		"no method":                {[]string{"code_challenge_method", "-"}, "invalid_request"},
		"a plain challenge":        {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"a challenge that is none": {[]string{"code_challenge", strings.Repeat("x", 42)}, "invalid_request"},
		"another server":           {[]string{"resource", "https://other.example.com/mcp"}, "invalid_target"},
		"another resource of ours": {[]string{"resource", w.url + "/jobs"}, "invalid_target"},
		"a resource with a query":  {[]string{"resource", w.url + "/mcp?x"}, "invalid_target"},
		"what begins alike":        {[]string{"resource", w.url + "/mcpx"}, "invalid_target"},
		"a host that begins alike": {[]string{"resource", w.url + ".example.com/mcp"}, "invalid_target"},
		"a path that climbs":       {[]string{"resource", w.url + "/mcp/p/../../jobs"}, "invalid_target"},
		"a scope that is none":     {[]string{"scope", "admin"}, "invalid_scope"},
		"a request object":         {[]string{"request", "x.y.z"}, "request_not_supported"},
		"a request elsewhere":      {[]string{"request_uri", "https://app.example.com/r"}, "request_uri_not_supported"},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.visitor(t).open(p.request(oauth2.GenerateVerifier(), test.changes...))
			require.Equal(t, http.StatusFound, got.status, got.text)
			require.True(t, strings.HasPrefix(got.header.Get("Location"), p.RedirectURL+"?"), got.header.Get("Location"))
			query := told(t, got.header.Get("Location"))
			require.Equal(t, []string{test.code}, query["error"])
			require.Equal(t, []string{"its state"}, query["state"])
			require.Equal(t, []string{w.url}, query["iss"])
			require.NotContains(t, query, "code")
		})
	}
	for name, more := range map[string]string{"two states": "&state=x", "two challenges": "&code_challenge=x"} {
		got := w.visitor(t).open(p.request(oauth2.GenerateVerifier()) + more)
		require.Equal(t, "invalid_request", told(t, got.header.Get("Location")).Get("error"), name)
	}
	two := "&resource=" + url.QueryEscape(w.url+"/mcp/p/x")
	require.Equal(t, "invalid_target", told(t, w.visitor(t).open(p.request(oauth2.GenerateVerifier())+two).header.Get("Location")).Get("error"))

	// What means the same is taken, and what need not be said.
	for name, changes := range map[string][]string{
		"no resource": {"resource", "-"}, "the server's own address": {"resource", w.url}, "with a slash": {"resource", w.url + "/mcp/"},
		"in capitals": {"resource", strings.Replace(w.url, "http", "HTTP", 1) + "/mcp"}, "no scope": {"scope", "-"}, "a scope more": {"scope", "openid mcp:write"},
		"refresh tokens alone": {"scope", "offline_access"}, "no redirect, of one": {"redirect_uri", "-"}, "no state": {"state", "-"}, "its mode": {"response_mode", "query"},
		"just as it is registered": {"redirect_uri", callback},
	} {
		got := w.visitor(t).open(p.request(oauth2.GenerateVerifier(), changes...))
		require.Equal(t, http.StatusOK, got.status, "%s: %s", name, got.header.Get("Location"))
	}
}

// TestCodes: each counts once, for a minute, for the program and the proof that it was
// asked for with, and for the address that it was sent to.
func TestCodes(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	other := w.registered(t, nil)
	verifier := oauth2.GenerateVerifier()
	for name, test := range map[string]struct {
		change  []string
		code    string
		before  string // SQL
		program *program
	}{
		"another program's":                 {program: other, code: "invalid_grant"},
		"no verifier":                       {change: []string{"code_verifier", "-"}, code: "invalid_grant"},
		"another verifier":                  {change: []string{"code_verifier", oauth2.GenerateVerifier()}, code: "invalid_grant"},
		"the challenge as verifier":         {change: []string{"code_verifier", oauth2.S256ChallengeFromVerifier(verifier)}, code: "invalid_grant"},
		"a short verifier":                  {change: []string{"code_verifier", "x"}, code: "invalid_grant"},
		"another redirect":                  {change: []string{"redirect_uri", "http://127.0.0.1:1/callback"}, code: "invalid_grant"},
		"another resource":                  {change: []string{"resource", w.url + "/mcp/p/mine"}, code: "invalid_target"},
		"a resource that is none":           {change: []string{"resource", "https://other.example.com"}, code: "invalid_target"},
		"an unknown code":                   {change: []string{"code", "uac_unknown"}, code: "invalid_grant"},
		"no code":                           {change: []string{"code", "-"}, code: "invalid_grant"},
		"another way":                       {change: []string{"grant_type", "password"}, code: "unsupported_grant_type"},
		"no way":                            {change: []string{"grant_type", "-"}, code: "invalid_request"},
		"a code that is too old":            {before: `UPDATE uaol_auth.oauth_grants SET code_expires_at = now()`, code: "invalid_grant"},
		"a code whose grant has ended":      {before: `UPDATE uaol_auth.sessions SET expires_at = now() WHERE method = 'oauth'`, code: "invalid_grant"},
		"a code of who has been signed out": {before: `DELETE FROM uaol_auth.sessions WHERE method = 'oauth'`, code: "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			w.execute(t, `DELETE FROM uaol_auth.sessions WHERE method = 'oauth'`) // whatever the one before has left
			code := p.code(t, ada, verifier)
			if test.before != "" {
				w.execute(t, test.before)
			}
			as := p
			if test.program != nil {
				as = test.program
			}
			fields := []string{"grant_type", "authorization_code", "code", code, "code_verifier", verifier, "redirect_uri", p.RedirectURL, "resource", p.resource}
			refusedWith(t, as.form(t, "/oauth/token", append(fields, test.change...)...), http.StatusBadRequest, test.code)
			require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_tokens`))
			if test.before == "" { // whoever guesses takes nothing away
				_, err := p.redeem(t, code, verifier)
				require.NoError(t, err)
			}
		})
	}

	// An address that was not said need not be said again, nor a resource.
	got := p.form(t, "/oauth/token", "grant_type", "authorization_code", "code", p.code(t, ada, verifier), "code_verifier", verifier)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))

	// Bodies that are no form, or say something twice.
	for name, headers := range map[string][]string{"json": {"Content-Type", "application/json"}, "none": nil} {
		refusedWith(t, send(t, plain(), http.MethodPost, w.url+"/oauth/token", "grant_type=x", headers...), http.StatusBadRequest, "invalid_request", name)
	}
	for _, body := range []string{"client_id=" + p.ClientID + "&client_id=x", "%zz"} {
		refusedWith(t, send(t, plain(), http.MethodPost, w.url+"/oauth/token", body, "Content-Type", "application/x-www-form-urlencoded"), http.StatusBadRequest, "invalid_request", body)
	}
	huge := send(t, plain(), http.MethodPost, w.url+"/oauth/token", strings.Repeat("x", 70<<10), "Content-Type", "application/x-www-form-urlencoded")
	refusedWith(t, huge, http.StatusRequestEntityTooLarge, "invalid_request")
}

// TestACodeThatIsUsedTwiceEndsWhatItGave, at once and everywhere.
func TestACodeThatIsUsedTwiceEndsWhatItGave(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	spared := p.letIn(t, ada)
	verifier := oauth2.GenerateVerifier()
	code := p.code(t, ada, verifier)
	tokens, err := p.redeem(t, code, verifier)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.call(t, "/mcp", tokens.AccessToken).status)
	_, err = p.redeem(t, code, verifier)
	require.ErrorContains(t, err, "invalid_grant")
	require.Equal(t, http.StatusUnauthorized, w.call(t, "/mcp", tokens.AccessToken).status)
	refusedWith(t, p.form(t, "/oauth/token", "grant_type", "refresh_token", "refresh_token", tokens.RefreshToken), http.StatusBadRequest, "invalid_grant")
	require.Equal(t, http.StatusOK, w.call(t, "/mcp", spared.AccessToken).status, "another grant of hers")
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'grant.reuse' AND account_id = $1`, ada.Account.ID))
	require.Equal(t, http.StatusOK, w.asks(t, "Authorization", "Bearer "+ada.Token), "her own sign-in goes on")
}

// TestProgramsProveWhoTheyAre in the way that they have registered for.
func TestProgramsProveWhoTheyAre(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams, oauth2.AuthStyleAutoDetect} {
		p := w.registered(t, map[string]any{"token_endpoint_auth_method": "client_secret_basic"})
		require.NotEmpty(t, p.ClientSecret)
		require.NotContains(t, w.dump(t), p.ClientSecret)
		p.Endpoint.AuthStyle = style
		require.Equal(t, http.StatusOK, w.call(t, "/mcp", p.letIn(t, ada).AccessToken).status)
	}
	p := w.registered(t, map[string]any{"token_endpoint_auth_method": "client_secret_post"})
	open := w.registered(t, nil)
	basic := func(id, secret string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
	}
	form := func(pairs ...string) string {
		values := url.Values{"grant_type": {"authorization_code"}, "code": {"uac_x"}}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		return values.Encode()
	}
	for name, test := range map[string]struct {
		body    string
		headers []string
		status  int
		code    string
	}{
		"good, in the form":           {form("client_id", p.ClientID, "client_secret", p.ClientSecret), nil, 400, "invalid_grant"},
		"good, in the header":         {form(), basic(p.ClientID, p.ClientSecret), 400, "invalid_grant"},
		"good, named twice alike":     {form("client_id", p.ClientID), basic(p.ClientID, p.ClientSecret), 400, "invalid_grant"},
		"good, without a secret":      {form("client_id", open.ClientID), nil, 400, "invalid_grant"},
		"good, an empty secret":       {form(), basic(open.ClientID, ""), 400, "invalid_grant"},
		"nobody":                      {form(), nil, 401, "invalid_client"},
		"somebody unknown":            {form("client_id", "uci_x"), nil, 401, "invalid_client"},
		"no secret":                   {form("client_id", p.ClientID), nil, 401, "invalid_client"},
		"a wrong secret":              {form("client_id", p.ClientID, "client_secret", "x"), nil, 401, "invalid_client"},
		"a wrong secret, in header":   {form(), basic(p.ClientID, "x"), 401, "invalid_client"},
		"no secret, in header":        {form(), basic(p.ClientID, ""), 401, "invalid_client"},
		"a secret where there's none": {form("client_id", open.ClientID, "client_secret", "x"), nil, 401, "invalid_client"},
		"another's secret":            {form("client_id", open.ClientID, "client_secret", p.ClientSecret), nil, 401, "invalid_client"},
		"two ways":                    {form("client_secret", p.ClientSecret), basic(p.ClientID, p.ClientSecret), 400, "invalid_request"},
		"two clients":                 {form("client_id", open.ClientID), basic(p.ClientID, p.ClientSecret), 400, "invalid_request"},
		"another scheme":              {form(), []string{"Authorization", "Bearer x"}, 401, "invalid_client"},
		"what is no header":           {form(), []string{"Authorization", "Basic !"}, 401, "invalid_client"},
	} {
		got := send(t, plain(), http.MethodPost, w.url+"/oauth/token", test.body, append(test.headers, "Content-Type", "application/x-www-form-urlencoded")...)
		refusedWith(t, got, test.status, test.code, name)
		asked := test.status == http.StatusUnauthorized && len(test.headers) > 0
		require.Equal(t, asked, got.header.Get("WWW-Authenticate") != "", name)
	}
}

// TestRefreshTokens: each counts once, and of one that is shown again all ends; but an
// answer that got lost can be asked for again.
func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	refresh := func(t testing.TB, token string, more ...string) (access, next string, got reply) {
		t.Helper()
		got = p.form(t, "/oauth/token", append([]string{"grant_type", "refresh_token", "refresh_token", token}, more...)...)
		body := got.json(t)
		access, _ = body["access_token"].(string)
		next, _ = body["refresh_token"].(string)
		return access, next, got
	}
	opens := func(token string) bool { return w.call(t, "/mcp", token).status == http.StatusOK }
	later := func() { // than an answer could be on its way
		w.execute(t, `UPDATE uaol_auth.oauth_tokens SET replaced_at = replaced_at - interval '11 seconds'`)
	}

	t.Run("one after the other", func(t *testing.T) {
		token := p.letIn(t, ada).RefreshToken
		for range 3 {
			access, next, got := refresh(t, token)
			require.Equal(t, http.StatusOK, got.status, got.text)
			require.True(t, opens(access))
			require.NotEqual(t, token, next)
			token = next
			later()
		}
	})
	t.Run("used again later", func(t *testing.T) {
		first := p.letIn(t, ada).RefreshToken
		access, second, _ := refresh(t, first)
		require.True(t, opens(access))
		later()
		_, _, got := refresh(t, first)
		refusedWith(t, got, http.StatusBadRequest, "invalid_grant")
		require.False(t, opens(access), "the whole family ends")
		_, _, got = refresh(t, second)
		refusedWith(t, got, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("used again at once, after the next one", func(t *testing.T) {
		first := p.letIn(t, ada).RefreshToken
		_, second, _ := refresh(t, first)
		access, _, _ := refresh(t, second)
		require.True(t, opens(access))
		_, _, got := refresh(t, first)
		refusedWith(t, got, http.StatusBadRequest, "invalid_grant")
		require.False(t, opens(access))
	})
	t.Run("an answer that got lost", func(t *testing.T) {
		first := p.letIn(t, ada).RefreshToken
		_, lost, _ := refresh(t, first)
		_, _, got := refresh(t, first)
		require.Equal(t, http.StatusOK, got.status)
		access, next, _ := refresh(t, first)
		require.True(t, opens(access))
		later()
		access, _, got = refresh(t, next)
		require.Equal(t, http.StatusOK, got.status)
		require.True(t, opens(access))
		_, _, got = refresh(t, lost) // somebody had it after all
		refusedWith(t, got, http.StatusBadRequest, "invalid_grant")
		require.False(t, opens(access))
	})
	t.Run("two that ask at once", func(t *testing.T) {
		first := p.letIn(t, ada).RefreshToken
		answers := make(chan string, 2)
		for range 2 {
			go func() {
				_, next, _ := refresh(t, first)
				answers <- next
			}()
		}
		a, b := <-answers, <-answers
		require.NotEmpty(t, a)
		require.NotEmpty(t, b)
		access, _, got := refresh(t, b) // whichever is kept
		require.Equal(t, http.StatusOK, got.status)
		require.True(t, opens(access))
	})
	t.Run("refusals", func(t *testing.T) {
		token := p.letIn(t, ada).RefreshToken
		other := w.registered(t, nil)
		got := other.form(t, "/oauth/token", "grant_type", "refresh_token", "refresh_token", token)
		refusedWith(t, got, http.StatusBadRequest, "invalid_grant", "another program's")
		for name, test := range map[string]struct {
			more []string
			code string
		}{
			"more scope":       {[]string{"scope", "admin"}, "invalid_scope"},
			"another resource": {[]string{"resource", w.url + "/mcp/p/x"}, "invalid_target"},
			"an unknown one":   {[]string{"refresh_token", "urt_x"}, "invalid_grant"},
			"none":             {[]string{"refresh_token", "-"}, "invalid_grant"},
		} {
			_, _, got := refresh(t, token, test.more...)
			refusedWith(t, got, http.StatusBadRequest, test.code, name)
		}
		_, next, got := refresh(t, token, "scope", "mcp:write offline_access", "resource", w.url+"/mcp")
		require.Equal(t, http.StatusOK, got.status, "it was taken from nobody: %s", got.text)
		w.execute(t, `UPDATE uaol_auth.oauth_tokens SET expires_at = now() WHERE kind = 'refresh'`)
		_, _, got = refresh(t, next)
		refusedWith(t, got, http.StatusBadRequest, "invalid_grant", "too old")
	})
	t.Run("who did not ask for them gets none", func(t *testing.T) {
		short := w.registered(t, map[string]any{"grant_types": []string{"authorization_code"}})
		tokens := short.letIn(t, ada)
		require.Empty(t, tokens.RefreshToken)
		require.True(t, opens(tokens.AccessToken))
	})
	t.Run("access tokens are short-lived", func(t *testing.T) {
		tokens := p.letIn(t, ada)
		w.authenticator.known.InvalidateAll()
		w.execute(t, `UPDATE uaol_auth.oauth_tokens SET expires_at = now() WHERE kind = 'access'`)
		require.False(t, opens(tokens.AccessToken))
		access, _, _ := refresh(t, tokens.RefreshToken)
		require.True(t, opens(access))
	})
}

// TestWhatEndsAGrant ends its tokens at once, as it ends the tokens of sign-ins.
func TestWhatEndsAGrant(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, w *town, ada Registered, team string){
		"a new password": func(t *testing.T, w *town, ada Registered, _ string) {
			got := w.do(t, "PUT", "/users/password", `{"currentPassword":"correct horse","newPassword":"battery staple"}`, bearer(ada.Token)...)
			require.Equal(t, 200, got.Status, got.Text)
		},
		"all sign-ins ended": func(t *testing.T, w *town, ada Registered, _ string) {
			require.Equal(t, 200, w.do(t, "DELETE", "/auth/sessions", "", bearer(ada.Token)...).Status)
		},
		"its session ended": func(t *testing.T, w *town, ada Registered, _ string) {
			id := w.text(t, `SELECT session_id::text FROM uaol_auth.sessions WHERE method = 'oauth'`)
			require.Equal(t, 200, w.do(t, "DELETE", "/auth/sessions/"+id, "", bearer(ada.Token)...).Status)
		},
		"the account deleted": func(t *testing.T, w *town, ada Registered, _ string) {
			require.Equal(t, 200, w.do(t, "DELETE", "/users/account", `{"password":"correct horse"}`, bearer(ada.Token)...).Status)
			require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_grants`))
		},
		"the organisation left": func(t *testing.T, w *town, ada Registered, team string) {
			w.execute(t, `DELETE FROM uaol_auth.members WHERE organization_id = $1::text::uuid`, team)
			w.authenticator.known.InvalidateAll()
		},
		"left and come back": func(t *testing.T, w *town, ada Registered, team string) {
			w.execute(t, `UPDATE uaol_auth.members SET created_at = now() + interval '1 second' WHERE organization_id = $1::text::uuid`, team)
			w.authenticator.known.InvalidateAll()
		},
		"the organisation ended": func(t *testing.T, w *town, ada Registered, team string) {
			w.execute(t, `DELETE FROM uaol_auth.organizations WHERE organization_id = $1::text::uuid`, team)
			w.authenticator.known.InvalidateAll()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openTown(t)
			ada := w.made(t, "ada@example.com")
			team := w.team(t, map[uuid.UUID]services.OrgRole{ada.Account.ID: services.OrgMember})
			p := w.registered(t, nil)
			verifier := oauth2.GenerateVerifier()
			v := w.visitor(t)
			back := v.decide(v.signIn(v.open(p.request(verifier)), "ada@example.com", "correct horse"), "allow", team.String())
			tokens, err := p.redeem(t, told(t, back.header.Get("Location")).Get("code"), verifier)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, w.call(t, "/mcp", tokens.AccessToken).status)
			end(t, w, ada, team.String())
			require.Equal(t, http.StatusUnauthorized, w.call(t, "/mcp", tokens.AccessToken).status)
		})
	}
}

// TestATokenIsForOneOrganization: for the one that was chosen, with the role there; and
// for nobody who decides about the platform.
func TestATokenIsForOneOrganization(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	team := w.team(t, map[uuid.UUID]services.OrgRole{ada.Account.ID: services.OrgViewer})
	foreign := w.team(t, map[uuid.UUID]services.OrgRole{w.made(t, "bob@example.com").Account.ID: services.OrgOwner})
	w.admin(t, ada.Account.ID)
	p := w.registered(t, nil)
	verifier := oauth2.GenerateVerifier()
	v := w.visitor(t)
	consent := v.signIn(v.open(p.request(verifier)), "ada@example.com", "correct horse")
	require.Contains(t, consent.text, "Team")
	require.Contains(t, consent.text, "as its viewer")
	require.NotContains(t, consent.text, "checked>", "of several she chooses")

	for name, organization := range map[string]string{"another's": foreign.String(), "one that is not there": uuid.NewString()} {
		require.Equal(t, http.StatusForbidden, v.decide(consent, "allow", organization).status, name)
	}
	require.Equal(t, http.StatusBadRequest, v.decide(consent, "allow", "").status)
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_grants`))
	back := v.decide(consent, "allow", team.String())
	tokens, err := p.redeem(t, told(t, back.header.Get("Location")).Get("code"), verifier)
	require.NoError(t, err)

	got := w.call(t, "/mcp", tokens.AccessToken)
	require.Equal(t, http.StatusForbidden, got.status, "a viewer may not call")
	require.Empty(t, got.header.Get("WWW-Authenticate"), "and no other token would help")
	w.execute(t, `UPDATE uaol_auth.members SET role = 'member' WHERE organization_id = $1::text::uuid`, team.String())
	w.authenticator.known.InvalidateAll()
	got = w.call(t, "/mcp", tokens.AccessToken)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Contains(t, got.text, `"organization":"`+team.String()+`"`)
	require.Contains(t, got.text, `"role":"user"`, "not the platform's admin")
	require.Equal(t, http.StatusOK, w.call(t, "/mcp", tokens.AccessToken, "X-Organization", team.String()).status)
	require.Equal(t, http.StatusForbidden, w.call(t, "/mcp", tokens.AccessToken, "X-Organization", ada.Account.Organization.String()).status)
}

// TestTokensAreRevokedByTheirProgram: a refresh token with all that came of it.
func TestTokensAreRevokedByTheirProgram(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	p, other := w.registered(t, nil), w.registered(t, nil)
	tokens := p.letIn(t, ada)
	opens := func(token string) bool { return w.call(t, "/mcp", token).status == http.StatusOK }
	require.True(t, opens(tokens.AccessToken))

	refusedWith(t, other.form(t, "/oauth/revoke", "token", tokens.RefreshToken), http.StatusBadRequest, "invalid_request", "another's")
	refusedWith(t, p.form(t, "/oauth/revoke"), http.StatusBadRequest, "invalid_request", "no token")
	refusedWith(t, p.form(t, "/oauth/revoke", "client_id", "-", "token", tokens.RefreshToken), http.StatusUnauthorized, "invalid_client")
	require.True(t, opens(tokens.AccessToken))
	require.Equal(t, http.StatusOK, p.form(t, "/oauth/revoke", "token", "urt_unknown").status)

	require.Equal(t, http.StatusOK, p.form(t, "/oauth/revoke", "token", tokens.AccessToken, "token_type_hint", "refresh_token").status)
	require.False(t, opens(tokens.AccessToken), "at once")
	got := p.form(t, "/oauth/token", "grant_type", "refresh_token", "refresh_token", tokens.RefreshToken)
	require.Equal(t, http.StatusOK, got.status, "the grant goes on")
	access, _ := got.json(t)["access_token"].(string)
	next, _ := got.json(t)["refresh_token"].(string)
	require.True(t, opens(access))
	require.Equal(t, http.StatusOK, p.form(t, "/oauth/revoke", "token", next).status)
	require.False(t, opens(access))
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_grants`))
	require.Equal(t, http.StatusOK, p.form(t, "/oauth/revoke", "token", next).status, "it has ended")
}

// TestRegistration: what programs may say of themselves, and how often.
func TestRegistration(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	register := func(body string) reply {
		return send(t, plain(), http.MethodPost, w.url+"/oauth/register", body, "Content-Type", "application/json")
	}
	for body, code := range map[string]string{
		`{`: "invalid_client_metadata", `[]`: "invalid_client_metadata", ``: "invalid_client_metadata",
		`{"client_name":" ","redirect_uris":["http://localhost/x"]}`: "invalid_client_metadata",
		`{"redirect_uris":["https://%E2%80%AE.example.com/x"]}`:      "invalid_client_metadata",
		`{}`:                             "invalid_redirect_uri",
		`{"redirect_uris":["http://["]}`: "invalid_redirect_uri",
		`{"redirect_uris":["cursor://callback"]}`:                                                                   "invalid_redirect_uri",
		`{"client_name":"` + strings.Repeat("x", 101) + `","redirect_uris":["http://localhost/x"]}`:                 "invalid_client_metadata",
		`{"client_name":"x\u202ey","redirect_uris":["http://localhost/x"]}`:                                         "invalid_client_metadata",
		`{"client_name":"x\ny","redirect_uris":["http://localhost/x"]}`:                                             "invalid_client_metadata",
		`{"client_name":"x\u0000","redirect_uris":["http://localhost/x"]}`:                                          "invalid_client_metadata",
		`{"client_name":"x","redirect_uris":["http://localhost/x"],"grant_types":["client_credentials"]}`:           "invalid_client_metadata",
		`{"client_name":"x","redirect_uris":["http://localhost/x"],"response_types":["token"]}`:                     "invalid_client_metadata",
		`{"client_name":"x","redirect_uris":["http://localhost/x"],"token_endpoint_auth_method":"private_key_jwt"}`: "invalid_client_metadata",
		`{"client_name":"x"}`:                                                                                      "invalid_redirect_uri",
		`{"client_name":"x","redirect_uris":[]}`:                                                                   "invalid_redirect_uri",
		`{"client_name":"x","redirect_uris":["http://app.example.com/x"]}`:                                         "invalid_redirect_uri",
		`{"client_name":"x","redirect_uris":["http://localhost/x","javascript:alert(1)"]}`:                         "invalid_redirect_uri",
		`{"client_name":"x","redirect_uris":["cursor://callback"]}`:                                                "invalid_redirect_uri",
		`{"client_name":"x","redirect_uris":["https://app.example.com/#x"]}`:                                       "invalid_redirect_uri",
		`{"client_name":"x","redirect_uris":["https://app.example.com/?code=x"]}`:                                  "invalid_redirect_uri",
		`{"client_name":"x","redirect_uris":["https://u:p@app.example.com/"]}`:                                     "invalid_redirect_uri",
		`{"client_name":"x","redirect_uris":["` + strings.Repeat(`https://a.example.com/","`, 20) + `https://a"]}`: "invalid_redirect_uri",
	} {
		refusedWith(t, register(body), http.StatusBadRequest, code, body)
	}
	refusedWith(t, send(t, plain(), http.MethodPost, w.url+"/oauth/register", `{}`), http.StatusBadRequest, "invalid_request", "no type")
	require.Zero(t, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_clients`))

	got := register(`{"client_name":" Notes ","redirect_uris":["https://app.example.com/x"],"logo_uri":"https://app.example.com/x.png"}`)
	require.Equal(t, http.StatusCreated, got.status, got.text)
	body := got.json(t)
	require.Equal(t, "Notes", body["client_name"])
	require.Equal(t, "client_secret_basic", body["token_endpoint_auth_method"], "as the RFC has it")
	require.Equal(t, []any{"authorization_code"}, body["grant_types"])
	require.NotEmpty(t, body["client_secret"])
	require.InDelta(t, 0, body["client_secret_expires_at"], 0)
	require.NotContains(t, body, "logo_uri")
	got = register(`{"redirect_uris":["https://app.example.com:8443/x","http://localhost/x"]}`)
	require.Equal(t, http.StatusCreated, got.status, got.text)
	require.Equal(t, "app.example.com", got.json(t)["client_name"], "it has no name, and is shown by its first address")

	// An address may not fill the table, and what nobody uses goes.
	last := got.status
	for i := 0; i < 30 && last == http.StatusCreated; i++ {
		last = register(`{"client_name":"x","redirect_uris":["https://app.example.com/x"]}`).status
	}
	require.Equal(t, http.StatusTooManyRequests, last)
	require.Equal(t, 30, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_clients`))
	w.execute(t, `UPDATE uaol_auth.oauth_clients SET created_at = now() - interval '25 hours'`)
	w.execute(t, `UPDATE uaol_auth.oauth_clients SET used_at = created_at WHERE client_id = $1`, body["client_id"])
	sweep := func() int {
		require.NoError(t, NewHousekeeper(Config{AuditDays: 1}, w.repository).Sweep(t.Context()))
		return w.count(t, `SELECT count(*) FROM uaol_auth.oauth_clients`)
	}
	require.Equal(t, 1, sweep(), "the one that somebody has let in")
	w.execute(t, `UPDATE uaol_auth.oauth_clients SET used_at = now() - interval '91 days'`)
	require.Zero(t, sweep())

	closed := openTown(t, func(b *bench) { b.oauthConfig.Registration = "off" })
	got = send(t, plain(), http.MethodPost, closed.url+"/oauth/register", `{"client_name":"x","redirect_uris":["https://app.example.com/x"]}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusForbidden, got.status, got.text)
	require.Zero(t, closed.count(t, `SELECT count(*) FROM uaol_auth.oauth_clients`))
}

// TestWhatIsOverIsForgotten: codes that nobody came with, and tokens.
func TestWhatIsOverIsForgotten(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	p.code(t, ada, oauth2.GenerateVerifier())
	require.JSONEq(t, `{"success":true,"data":[]}`, w.request(t, ada.Token, http.MethodGet, "/auth/grants").Text, "nobody is in yet")
	kept := p.letIn(t, ada)
	require.Equal(t, 2, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_grants`))
	w.execute(t, `UPDATE uaol_auth.sessions SET expires_at = expires_at - interval '2 minutes' WHERE method = 'oauth'`)
	w.execute(t, `UPDATE uaol_auth.oauth_tokens SET expires_at = now() WHERE kind = 'access'`)
	require.NoError(t, NewHousekeeper(Config{AuditDays: 1}, w.repository).Sweep(t.Context()))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_grants`))
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.oauth_tokens`))
	got := p.form(t, "/oauth/token", "grant_type", "refresh_token", "refresh_token", kept.RefreshToken)
	require.Equal(t, http.StatusOK, got.status, got.text)
}
