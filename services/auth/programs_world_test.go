package auth

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/auth/oauth"
	"uaol/services/auth/oidc"
)

// whoCalls answers who a protected resource was asked by.
type whoCalls struct {
	services.Caller
	Path string
}

// protected are operations of a protected resource, as the one that is to come.
func protected() []api.Operation {
	tell := func(ctx context.Context, caller services.Caller, _ *struct{}) (whoCalls, error) {
		return whoCalls{Caller: caller}, nil
	}
	return []api.Operation{
		api.Post("/mcp", "The whole resource", tell, api.Resource("/mcp")),
		api.Get("/mcp", "The whole resource", tell, api.Resource("/mcp")),
		api.Post("/mcp/t/{toolId}", "One tool", tell, api.Resource("/mcp")),
		api.Post("/mcp/p/{profile}", "One profile", tell, api.Resource("/mcp")),
		api.Post("/mcp/search", "Search in the whole", tell, api.Resource("/mcp")),
		api.Post("/mcp/p/{profile}/search", "Search in one profile", tell, api.Resource("/mcp")),
		api.Post("/mcpx", "No part of it", tell),
	}
}

// town is auth on a port, where programs and browsers reach it.
type town struct {
	*bench
	url string
}

// openTown opens one. change is made before the routes are mounted.
func openTown(t testing.TB, changes ...func(*bench)) *town {
	t.Helper()
	w := &town{bench: setup(t, func(c *Config) { c.Registration = Open })}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.engine.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	w.url = server.URL
	if len(changes) > 0 {
		for _, change := range changes {
			change(w.bench)
		}
		w.signInWith(t, oidc.Config{Frontend: "http://localhost:8080"})
	}
	return w
}

// reply is what a program is answered.
type reply struct {
	status int
	header http.Header
	text   string
}

func (r reply) json(t testing.TB) (body map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.text), &body), r.text)
	return body
}

// send sends a request; headers come in pairs.
func send(t testing.TB, client *http.Client, method, address, body string, headers ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{response.StatusCode, response.Header, string(text)}
}

// plain is a program's client: no cookies, no redirects.
func plain() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call asks the resource at a path with a token.
func (w *town) call(t testing.TB, path, token string, headers ...string) reply {
	t.Helper()
	return send(t, plain(), http.MethodPost, w.url+path, "", append(headers, "Authorization", "Bearer "+token)...)
}

const callback = "http://127.0.0.1/callback"

// program is one that is known here, with what it needs to ask.
type program struct {
	*town
	oauth2.Config
	resource string
}

// registered makes a program known, as it says of itself.
func (w *town) registered(t testing.TB, metadata map[string]any) *program {
	t.Helper()
	said := map[string]any{"client_name": "A program", "redirect_uris": []string{callback}, "grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none"}
	for name, value := range metadata {
		said[name] = value
	}
	text, err := json.Marshal(said)
	require.NoError(t, err)
	got := send(t, plain(), http.MethodPost, w.url+"/oauth/register", string(text), "Content-Type", "application/json")
	require.Equal(t, http.StatusCreated, got.status, got.text)
	body := got.json(t)
	p := &program{town: w, resource: w.url + "/mcp"}
	p.ClientID, _ = body["client_id"].(string)
	p.ClientSecret, _ = body["client_secret"].(string)
	p.RedirectURL, p.Scopes = "http://127.0.0.1:49152/callback", []string{"mcp:write"}
	p.Endpoint = oauth2.Endpoint{AuthURL: w.url + "/oauth/authorize", TokenURL: w.url + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}
	return p
}

// request is the page that a program sends a browser to. changes are parameters in
// pairs; "-" takes one away.
func (p *program) request(verifier string, changes ...string) string {
	page, _ := url.Parse(p.AuthCodeURL("its state", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("resource", p.resource)))
	query := page.Query()
	for i := 0; i < len(changes); i += 2 {
		query.Set(changes[i], changes[i+1])
		if changes[i+1] == "-" {
			query.Del(changes[i])
		}
	}
	page.RawQuery = query.Encode()
	return page.String()
}

// redeem gets tokens for a code, as x/oauth2 does it.
func (p *program) redeem(t testing.TB, code, verifier string) (*oauth2.Token, error) {
	t.Helper()
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, plain())
	return p.Exchange(ctx, code, oauth2.VerifierOption(verifier), oauth2.SetAuthURLParam("resource", p.resource))
}

// form posts to an endpoint of programs; fields come in pairs.
func (p *program) form(t testing.TB, path string, fields ...string) reply {
	t.Helper()
	form := url.Values{"client_id": {p.ClientID}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
		if fields[i+1] == "-" {
			form.Del(fields[i])
		}
	}
	return send(t, plain(), http.MethodPost, p.url+path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// letIn goes all the way for somebody, and gives the tokens.
func (p *program) letIn(t testing.TB, who Registered) *oauth2.Token {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	code := p.code(t, who, verifier)
	tokens, err := p.redeem(t, code, verifier)
	require.NoError(t, err)
	return tokens
}

// code goes as far as the code, for the personal organisation.
func (p *program) code(t testing.TB, who Registered, verifier string) string {
	t.Helper()
	v := p.visitor(t)
	consent := v.signIn(v.open(p.request(verifier)), *who.Account.Email, "correct horse")
	back := v.decide(consent, "allow", who.Account.Organization.String())
	require.Equal(t, http.StatusSeeOther, back.status, back.text)
	query := told(t, back.header.Get("Location"))
	require.NotEmpty(t, query.Get("code"), back.header.Get("Location"))
	return query.Get("code")
}

// visitor is somebody with a browser.
type visitor struct {
	t    testing.TB
	w    *town
	http *http.Client
}

func (w *town) visitor(t testing.TB) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := plain()
	client.Jar = jar
	return &visitor{t: t, w: w, http: client}
}

func (v *visitor) open(page string) reply {
	v.t.Helper()
	return send(v.t, v.http, http.MethodGet, page, "")
}

var ticketForm = regexp.MustCompile(`name="ticket" value="([^"]+)"`)

// ticketOf is what stands hidden in a page's forms.
func ticketOf(t testing.TB, page reply) string {
	t.Helper()
	found := ticketForm.FindStringSubmatch(page.text)
	require.NotNil(t, found, "%d %s", page.status, page.text)
	return html.UnescapeString(found[1])
}

// post sends a form of a page; fields come in pairs.
func (v *visitor) post(path string, fields ...string) reply {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return send(v.t, v.http, http.MethodPost, v.w.url+path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// signIn fills the sign-in page's form, and gives the page that asks for a decision.
func (v *visitor) signIn(page reply, email, password string) reply {
	v.t.Helper()
	got := v.post("/oauth/sign-in", "ticket", ticketOf(v.t, page), "email", email, "password", password)
	require.Equal(v.t, http.StatusSeeOther, got.status, got.text)
	base, err := url.Parse(v.w.url + "/oauth/sign-in")
	require.NoError(v.t, err)
	next, err := base.Parse(got.header.Get("Location"))
	require.NoError(v.t, err)
	consent := v.open(next.String())
	require.Equal(v.t, http.StatusOK, consent.status, consent.text)
	require.Contains(v.t, consent.text, `value="allow"`)
	return consent
}

func (v *visitor) decide(consent reply, decision, organization string) reply {
	v.t.Helper()
	return v.post("/oauth/authorize", "ticket", ticketOf(v.t, consent), "decision", decision, "organization", organization)
}

// refusedWith checks an error of the token endpoint and its like.
func refusedWith(t testing.TB, got reply, status int, code string, about ...any) {
	t.Helper()
	require.Equal(t, status, got.status, "%v: %s", about, got.text)
	require.Equal(t, code, got.json(t)["error"], "%v: %s", about, got.text)
	require.Equal(t, "no-store", got.header.Get("Cache-Control"), about...)
	require.Contains(t, got.header.Get("Content-Type"), "application/json", about...)
}

var _ oauth.Host = (*programs)(nil)
