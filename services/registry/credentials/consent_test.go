package credentials

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/egress"
	"uaol/services"
)

// TestConsent is the whole way, at a real authorization server.
func TestConsent(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	owner, ada := user(), user()
	tool := b.oauthTool(t, owner, p)
	require.Equal(t, Required{ToolID: tool.ID, Authorize: true}, b.required(t, tool, ada))

	page := b.begin(t, ada, tool, ofUser)
	asked, err := url.Parse(page)
	require.NoError(t, err)
	require.Equal(t, "S256", asked.Query().Get("code_challenge_method"))
	require.Equal(t, public+callbackPath, asked.Query().Get("redirect_uri"))
	back := visit(t, page)
	var done struct {
		Data struct {
			Tool uuid.UUID `json:"tool_id"`
			Connection
		}
	}
	a := b.finish(t, ada, back)
	require.Equal(t, http.StatusOK, a.Status, a.Text)
	require.NoError(t, json.Unmarshal([]byte(a.Text), &done))
	require.Equal(t, tool.ID, done.Data.Tool)
	require.True(t, done.Data.Connected && done.Data.Current)
	require.Equal(t, 1, p.asked("authorization_code"))
	c := b.carried(t, tool, ada)
	require.Regexp(t, `^Bearer \S{20,}$`, c.Headers["Authorization"])
	require.False(t, c.ExpiresAt.IsZero())

	var connection Connection
	b.do(t, ada, http.MethodGet, "/tools/"+tool.ID.String()+"/authorization", "", &connection)
	require.True(t, connection.Connected && connection.Current)
	require.Equal(t, ofUser, connection.Scope)
	require.Contains(t, connection.Scopes, "offline_access")
	require.NotNil(t, connection.ExpiresAt)

	// It is ada's alone, and the browser's way back works once.
	require.True(t, b.required(t, tool, user()).Authorize)
	require.True(t, b.required(t, tool, services.Caller{}).Authorize)
	again := b.finish(t, ada, back)
	require.Equal(t, http.StatusBadRequest, again.Status)
	require.Equal(t, "CONSENT_UNKNOWN", again.Error.Code)
	require.Equal(t, 1, p.asked("authorization_code"))

	// The state is kept hashed; tokens and secrets show nowhere.
	state := asked.Query().Get("state")
	token := strings.TrimPrefix(c.Headers["Authorization"], "Bearer ")
	second := b.begin(t, ada, tool, ofUser)
	for _, text := range []string{state, token, secretly, mustQuery(t, second, "state")} {
		require.Empty(t, b.traces(t, text))
		for _, entry := range b.logged.All() {
			require.NotContains(t, fmt.Sprint(entry.Message, entry.ContextMap()), text)
		}
		told, err := json.Marshal([]any{b.happened, b.auditor.acts})
		require.NoError(t, err)
		require.NotContains(t, string(told), text)
	}
	var connects []services.Act
	for _, act := range b.auditor.acts {
		if act.Action == "tool.connect" && act.Outcome != services.Attempted {
			connects = append(connects, act)
		}
	}
	require.Len(t, connects, 2)
	require.Equal(t, services.Done, connects[0].Outcome)
	require.Equal(t, ada.Account, connects[0].Account)
	require.Equal(t, tool.ID.String(), connects[0].Details["toolId"])
	require.Equal(t, services.Refused, connects[1].Outcome)

	require.Equal(t, http.StatusOK, b.do(t, ada, http.MethodDelete, "/tools/"+tool.ID.String()+"/authorization", "", nil).Status)
	require.True(t, b.required(t, tool, ada).Authorize)
}

func mustQuery(t testing.TB, page, name string) string {
	t.Helper()
	u, err := url.Parse(page)
	require.NoError(t, err)
	return u.Query().Get(name)
}

// TestConsentsOfScopes: an organisation's counts for its members, the tool's own
// for all, the nearest before the others.
func TestConsentsOfScopes(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	owner, ada := user(), user()
	tool := b.oauthTool(t, owner, p)
	bob := colleague(ada, services.OrgMember)
	a := b.do(t, bob, http.MethodPost, "/tools/"+tool.ID.String()+"/authorize", `{"scope":"organization"}`, nil)
	require.Equal(t, http.StatusForbidden, a.Status, a.Text)
	a = b.do(t, ada, http.MethodPost, "/tools/"+tool.ID.String()+"/authorize", `{"scope":"tool"}`, nil)
	require.Equal(t, http.StatusForbidden, a.Status, a.Text)
	held := func(caller services.Caller) string { return b.carried(t, tool, caller).Headers["Authorization"] }

	b.consent(t, owner, tool, ofTool)
	tools := held(services.Caller{})
	require.Equal(t, tools, held(bob))
	b.consent(t, ada, tool, ofOrganization)
	organizations := held(bob)
	require.NotEqual(t, tools, organizations)
	b.consent(t, bob, tool, ofUser)
	require.NotEqual(t, organizations, held(bob))
	require.Equal(t, organizations, held(ada))
	require.Equal(t, tools, held(user()))
}

// TestAConsentIsItsBeginnersAlone: whoever has another person's browser give a
// consent gets nothing of it, and gives nothing.
func TestAConsentIsItsBeginnersAlone(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, mallory, ada := b.oauthTool(t, user(), p), user(), user()
	colleague := colleague(mallory, services.OrgOwner)
	for name, test := range map[string]struct {
		page    services.Caller // whose page it is
		visitor services.Caller // in whose browser it is opened
	}{
		"mallory's page, opened by ada":             {mallory, ada},
		"mallory's page, opened by a colleague":     {mallory, colleague},
		"ada's page, in mallory's hands":            {ada, mallory},
		"ada's page, opened by nobody who is known": {ada, services.Caller{}},
		"mallory's own answer, passed on to ada":    {mallory, ada},
	} {
		back := visit(t, b.begin(t, test.page, tool, ofUser))
		for range 2 {
			a := b.finish(t, test.visitor, back)
			want, code := http.StatusBadRequest, "CONSENT_UNKNOWN"
			if !test.visitor.Known() {
				want, code = http.StatusUnauthorized, "AUTHENTICATION_ERROR"
			}
			require.Equal(t, want, a.Status, "%s: %s", name, a.Text)
			require.Equal(t, code, a.Error.Code, name)
		}
		require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.grants`), name)
		require.Zero(t, p.asked("authorization_code"), "the code was not shown: %s", name)
		require.Equal(t, 1, b.count(t, `DELETE FROM uaol_registry.authorizations WHERE account_id = $1 RETURNING 1`, test.page.Account), "and it is still there for whom it belongs to")
	}
}

// TestWhatWasLostMeanwhileCounts: between the beginning and the end of a consent
// somebody loses a role, or works for another organisation.
func TestWhatWasLostMeanwhileCounts(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	demoted, elsewhere := ada, ada
	demoted.OrgRole = services.OrgMember
	elsewhere.Organization = uuid.New()
	for want, now := range map[int]services.Caller{http.StatusForbidden: demoted, http.StatusConflict: elsewhere, http.StatusOK: ada} {
		a := b.finish(t, now, visit(t, b.begin(t, ada, tool, ofOrganization)))
		require.Equal(t, want, a.Status, a.Text)
	}
	require.Equal(t, 1, p.asked("authorization_code"))
}

func TestAStateCountsOnce(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	back := visit(t, b.begin(t, ada, tool, ofUser))
	var group sync.WaitGroup
	var mu sync.Mutex
	ends := map[int]int{}
	for range 8 {
		group.Go(func() {
			a := b.finish(t, ada, back)
			mu.Lock()
			defer mu.Unlock()
			ends[a.Status]++
		})
	}
	group.Wait()
	require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusBadRequest: 7}, ends)
	require.Equal(t, 1, p.asked("authorization_code"))
}

func TestWhatComesBackIsChecked(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	owner, ada := user(), user()
	for name, test := range map[string]struct {
		change func(tool *Tool, query url.Values)
		error  string // of the browser's address
		asked  bool   // whether the code was shown to the server
	}{
		"an error":            {func(_ *Tool, q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, "access_denied", false},
		"an odd error":        {func(_ *Tool, q url.Values) { q.Del("code"); q.Set("error", "<script>") }, "unknown_error", false},
		"no code":             {func(_ *Tool, q url.Values) { q.Del("code") }, "no consent", false},
		"another's code":      {func(_ *Tool, q url.Values) { q.Set("code", "guessed") }, "refused the code", true},
		"a guessed state":     {func(_ *Tool, q url.Values) { q.Set("state", "guessed") }, "never begun", false},
		"no state":            {func(_ *Tool, q url.Values) { q.Del("state") }, "body.state", false},
		"the tool moved":      {func(tool *Tool, _ url.Values) { tool.GatewayURL = "https://evil.example.com" }, "has changed", false},
		"its server moved":    {func(tool *Tool, _ url.Values) { tool.OAuth.TokenURL += "/evil" }, "has changed", false},
		"it takes no consent": {func(tool *Tool, _ url.Values) { tool.OAuth = nil }, "has changed", false},
		"the tool is hidden":  {func(tool *Tool, _ url.Values) { b.tools.hides[tool.ID] = true }, "Tool not found", false},
	} {
		tool := b.oauthTool(t, owner, p)
		before := p.asked("authorization_code")
		back, err := url.Parse(visit(t, b.begin(t, ada, tool, ofUser)))
		require.NoError(t, err)
		changed, query := tool, back.Query()
		oauth := *tool.OAuth
		changed.OAuth = &oauth
		test.change(&changed, query)
		b.put(changed)
		a := b.finish(t, ada, back.Path+"?"+query.Encode())
		require.GreaterOrEqual(t, a.Status, 400, name)
		require.Contains(t, a.Error.Message, test.error, name)
		require.Equal(t, test.asked, p.asked("authorization_code") > before, name)
		require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.grants WHERE tool_id = $1`, tool.ID), name)
	}
}

func TestAConsentEndsAfterTenMinutes(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	back := visit(t, b.begin(t, ada, tool, ofUser))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_registry.authorizations WHERE expires_at BETWEEN now() + interval '9 minutes' AND now() + interval '10 minutes'`))
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_registry.authorizations SET expires_at = expires_at - interval '10 minutes'`)
	require.NoError(t, err)
	a := b.finish(t, ada, back)
	require.Equal(t, http.StatusBadRequest, a.Status, a.Text)
	require.Equal(t, "CONSENT_UNKNOWN", a.Error.Code)
	require.Zero(t, p.asked("authorization_code"))
	require.NoError(t, b.service.repository.Prune(t.Context()))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.authorizations`))
}

// TestAGrantGoesOnlyWhereItWasGivenFor: neither the token to another address,
// nor the refresh token to another server.
func TestAGrantGoesOnlyWhereItWasGivenFor(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	evil := startScript(t)
	tool := b.oauthTool(t, user(), p)
	ada := user()
	b.consent(t, ada, tool, ofUser)
	for name, change := range map[string]func(*Tool){
		"the tool's address":   func(tool *Tool) { tool.GatewayURL = evil.URL },
		"the token's endpoint": func(tool *Tool) { tool.OAuth.TokenURL = evil.URL + "/token" },
		"the client":           func(tool *Tool) { tool.OAuth.ClientID = "another" },
		"the resource":         func(tool *Tool) { tool.OAuth.Resource = evil.URL },
		"to be discovered":     func(tool *Tool) { tool.OAuth.TokenURL, tool.OAuth.AuthorizeURL = "", "" },
	} {
		moved := tool
		oauth := *tool.OAuth
		moved.OAuth = &oauth
		change(&moved)
		for _, spent := range []bool{false, true} {
			if spent {
				b.due(t, true)
			}
			_, err := b.service.For(t.Context(), moved, ada)
			require.Equal(t, CodeRequired, asError(t, err).Code, name)
			require.ErrorContains(t, err, "consent again", name)
		}
		connection, err := b.service.Connection(t.Context(), ada, moved)
		require.NoError(t, err)
		require.True(t, connection.Connected && !connection.Current, name)
	}
	require.Empty(t, evil.seen)
	moved := tool
	moved.GatewayURL += "/v2"
	require.NotEmpty(t, b.carried(t, moved, ada).Headers["Authorization"], "another path is the same place")
}

// TestDiscovery reads what servers say of themselves, and believes only what
// hangs together.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, ada := user(), user()
	metadata := func(s *script, changes ...func(map[string]any)) map[string]any {
		said := map[string]any{
			"issuer": s.URL + "/as", "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t",
			"code_challenge_methods_supported": []string{"plain", "S256"}, "authorization_response_iss_parameter_supported": true,
		}
		for _, change := range changes {
			change(said)
		}
		return said
	}
	const (
		resourceAt = "/.well-known/oauth-protected-resource"
		serverAt   = "/.well-known/oauth-authorization-server"
		openidAt   = "/.well-known/openid-configuration"
	)
	named := func(s *script) map[string]any {
		return map[string]any{"resource": s.URL + "/mcp", "authorization_servers": []string{s.URL + "/as"}}
	}
	own := func(said map[string]any) { said["issuer"] = strings.TrimSuffix(fmt.Sprint(said["issuer"]), "/as") }
	for name, test := range map[string]struct {
		write    func(s *script)
		resource string // after the server's URL; "-" when it is refused
	}{
		"for the path":  {func(s *script) { s.answer(resourceAt+"/mcp", named(s)); s.answer(serverAt+"/as", metadata(s)) }, "/mcp"},
		"for the host":  {func(s *script) { s.answer(resourceAt, named(s)); s.answer(serverAt+"/as", metadata(s)) }, "/mcp"},
		"OpenID, first": {func(s *script) { s.answer(resourceAt, named(s)); s.answer(openidAt+"/as", metadata(s)) }, "/mcp"},
		"OpenID, after": {func(s *script) { s.answer(resourceAt, named(s)); s.answer("/as"+openidAt, metadata(s)) }, "/mcp"},
		"a wider resource": {func(s *script) {
			s.answer(resourceAt, map[string]any{"resource": s.URL, "authorization_servers": []string{s.URL + "/as"}})
			s.answer(serverAt+"/as", metadata(s))
		}, ""},
		"of before RFC 9728": {func(s *script) { s.answer(serverAt, metadata(s, own)) }, "/mcp"},
		"nothing":            {func(*script) {}, "-"},
		"another's resource": {func(s *script) {
			s.answer(resourceAt, map[string]any{"resource": "https://bank.example.com/mcp", "authorization_servers": []string{s.URL + "/as"}})
			s.answer(serverAt+"/as", metadata(s))
		}, "-"},
		"another path's resource": {func(s *script) {
			s.answer(resourceAt, map[string]any{"resource": s.URL + "/mc", "authorization_servers": []string{s.URL + "/as"}})
			s.answer(serverAt+"/as", metadata(s))
		}, "-"},
		"no server": {func(s *script) { s.answer(resourceAt, map[string]any{"resource": s.URL + "/mcp"}) }, "-"},
		"another issuer": {func(s *script) {
			s.answer(resourceAt, named(s))
			s.answer(serverAt+"/as", metadata(s, func(said map[string]any) { said["issuer"] = "https://bank.example.com" }))
		}, "-"},
		"no PKCE": {func(s *script) {
			s.answer(resourceAt, named(s))
			s.answer(serverAt+"/as", metadata(s, func(said map[string]any) { said["code_challenge_methods_supported"] = []string{"plain"} }))
		}, "-"},
		"a script for a page": {func(s *script) {
			s.answer(resourceAt, named(s))
			s.answer(serverAt+"/as", metadata(s, func(said map[string]any) { said["authorization_endpoint"] = "javascript:alert(1)" }))
		}, "-"},
		"no endpoints": {func(s *script) {
			s.answer(resourceAt, named(s))
			s.answer(serverAt+"/as", metadata(s, func(said map[string]any) { delete(said, "token_endpoint") }))
		}, "-"},
		"a flood": {func(s *script) {
			s.answer(resourceAt, named(s))
			s.answer(serverAt+"/as", metadata(s, func(said map[string]any) { said["x"] = strings.Repeat("x", maxAnswer) }))
		}, "-"},
		"a redirect elsewhere": {func(s *script) {
			other := startScript(t)
			other.answer(resourceAt+"/mcp", named(s))
			s.answer(serverAt+"/as", metadata(s))
			away := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
			redirects := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, away+r.URL.Path, http.StatusFound) }
			s.answer(resourceAt+"/mcp", redirects)
			s.answer(resourceAt, redirects)
		}, "-"},
	} {
		s := startScript(t)
		test.write(s)
		tool := b.tool(t, owner, func(tool *Tool) {
			tool.GatewayURL, tool.Inject = s.URL+"/mcp", Injection{}
			tool.OAuth = &OAuth{Grant: authorizationCode, ClientID: clientID}
		})
		page, err := b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
		if test.resource == "-" {
			require.Equal(t, services.Upstream, services.KindOf(err), name)
			require.ErrorContains(t, err, "discovered", name)
			continue
		}
		require.NoError(t, err, name)
		require.True(t, strings.HasPrefix(page, s.URL+"/a?"), page)
		require.Equal(t, s.URL+test.resource, mustQuery(t, page, "resource"), name)
		require.Equal(t, clientID, mustQuery(t, page, "client_id"))

		// The answer must be this server's (RFC 9207), and the code goes to it.
		s.answer("/t", map[string]any{"access_token": "token-of-" + clientID, "token_type": "bearer", "expires_in": 600})
		_, err = b.service.Finish(t.Context(), ada, b.tools, Return{State: mustQuery(t, page, "state"), Code: "a-code", Issuer: "https://evil.example.com"})
		require.Equal(t, "ISSUER_MISMATCH", asError(t, err).Code, name)
		page, err = b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
		require.NoError(t, err, name)
		_, err = b.service.Finish(t.Context(), ada, b.tools, Return{State: mustQuery(t, page, "state"), Code: "a-code"})
		require.Equal(t, "ISSUER_MISMATCH", asError(t, err).Code, "it said that it names itself: %s", name)
		require.Zero(t, s.asked("/t"), "no code was shown")
		page, err = b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
		require.NoError(t, err, name)
		issuer := s.URL + "/as"
		if name == "of before RFC 9728" {
			issuer = s.URL
		}
		_, err = b.service.Finish(t.Context(), ada, b.tools, Return{State: mustQuery(t, page, "state"), Code: "a-code", Issuer: issuer})
		require.NoError(t, err, name)
		form, _ := s.form(t)
		require.Equal(t, "a-code", form.Get("code"))
		require.Equal(t, clientID, form.Get("client_id"), "a public client names itself")
		require.NotEmpty(t, form.Get("code_verifier"))
		require.Equal(t, s.URL+test.resource, form.Get("resource"), name)
		require.Equal(t, "Bearer token-of-"+clientID, b.carried(t, tool, ada).Headers["Authorization"])
	}
}

// TestAnIssuerThatIsNamedCounts also where the server did not announce it.
func TestAnIssuerThatIsNamedCounts(t *testing.T) {
	t.Parallel()
	b, s := setup(t), startScript(t)
	ada := user()
	s.answer("/.well-known/oauth-authorization-server", map[string]any{
		"issuer": s.URL, "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t", "code_challenge_methods_supported": []string{"S256"},
	})
	s.answer("/t", map[string]any{"access_token": "x"})
	tool := b.tool(t, user(), func(tool *Tool) {
		tool.GatewayURL, tool.Inject = s.URL+"/mcp", Injection{}
		tool.OAuth = &OAuth{Grant: authorizationCode, ClientID: clientID}
	})
	for issuer, code := range map[string]string{"https://evil.example.com": "ISSUER_MISMATCH", s.URL: "", "": ""} {
		page, err := b.service.Authorize(t.Context(), ada, tool, AuthorizeRequest{Scope: ofUser})
		require.NoError(t, err)
		_, err = b.service.Finish(t.Context(), ada, b.tools, Return{State: mustQuery(t, page, "state"), Code: "a-code", Issuer: issuer})
		if code == "" {
			require.NoError(t, err, issuer)
			continue
		}
		require.Equal(t, code, asError(t, err).Code, issuer)
	}
}

// TestAuthorizationServersAreOutside: what a definition or a server's metadata
// names is asked through the egress policy.
func TestAuthorizationServersAreOutside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	closed, err := egress.New(egress.Config{})
	require.NoError(t, err)
	b.service.policy = closed
	s := startScript(t)
	owner := user()
	s.answer("/t", map[string]any{"access_token": "x"})
	tool := b.tool(t, owner, func(tool *Tool) {
		tool.Inject = Injection{}
		tool.OAuth = &OAuth{Grant: clientCredentials, ClientID: clientID, TokenURL: s.URL + "/t"}
	})
	b.give(t, owner, tool, ofTool, clientSecret, secretly)
	_, err = b.service.For(t.Context(), tool, owner)
	require.Equal(t, services.Unavailable, services.KindOf(err))
	discovered := b.tool(t, owner, func(tool *Tool) {
		tool.GatewayURL, tool.Inject = s.URL+"/mcp", Injection{}
		tool.OAuth = &OAuth{Grant: authorizationCode, ClientID: clientID}
	})
	_, err = b.service.Authorize(t.Context(), owner, discovered, AuthorizeRequest{Scope: ofUser})
	require.Error(t, err)
	require.Empty(t, s.seen)

	// A tool's own exception opens just that host and port.
	tool.Allow = []string{strings.TrimPrefix(s.URL, "http://")}
	require.Equal(t, "Bearer x", b.carried(t, tool, owner).Headers["Authorization"])
}

func TestNoConsentWhereNoneIsTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := user()
	for _, oauth := range []*OAuth{nil, {Grant: clientCredentials, ClientID: "x", TokenURL: "https://as.example.com/t"}} {
		tool := b.tool(t, owner, func(tool *Tool) { tool.OAuth = oauth })
		_, err := b.service.Authorize(t.Context(), owner, tool, AuthorizeRequest{Scope: ofUser})
		require.Equal(t, services.Conflict, services.KindOf(err))
	}
	require.Equal(t, http.StatusNotFound, b.do(t, owner, http.MethodPost, "/tools/"+uuid.NewString()+"/authorize", "{}", nil).Status)
}

// TestAConsentLeadsBackToWhereItBegan: the frontend, or the console. The authorization
// server sends all to the one address that it knows, and no other page is taken.
func TestAConsentLeadsBackToWhereItBegan(t *testing.T) {
	t.Parallel()
	b, p := setup(t), startProvider(t)
	tool, ada := b.oauthTool(t, user(), p), user()
	path := "/tools/" + tool.ID.String() + "/authorize"
	for body, page := range map[string]string{`{}`: frontend + "/tools/consent", `{"return_to":"/console"}`: public + "/console/tools/consent"} {
		var begun struct{ AuthorizeURL string }
		a := b.do(t, ada, http.MethodPost, path, body, &begun)
		require.Equal(t, http.StatusOK, a.Status, a.Text)
		require.Equal(t, public+callbackPath, mustQuery(t, begun.AuthorizeURL, "redirect_uri"))
		a = b.do(t, services.Caller{}, http.MethodGet, visit(t, begun.AuthorizeURL), "", nil)
		require.Equal(t, http.StatusFound, a.Status, a.Text)
		require.True(t, strings.HasPrefix(a.To, page+"?"), a.To)
		back := map[string]string{"state": mustQuery(t, a.To, "state"), "code": mustQuery(t, a.To, "code"), "iss": mustQuery(t, a.To, "iss")}
		text, err := json.Marshal(back)
		require.NoError(t, err)
		a = b.do(t, ada, http.MethodPost, "/tools/oauth/finish", string(text), nil)
		require.Equal(t, http.StatusOK, a.Status, a.Text)
	}
	for _, elsewhere := range []string{"https://evil.test", "/console/", "/console/../x", "//console", "console."} {
		a := b.do(t, ada, http.MethodPost, path, fmt.Sprintf(`{"return_to":%q}`, elsewhere), nil)
		require.Equal(t, http.StatusBadRequest, a.Status, a.Text)
		require.Contains(t, string(a.Error.Details), "body.return_to")
	}
}
