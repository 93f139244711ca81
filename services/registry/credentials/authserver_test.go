package credentials

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"uaol/services"
)

const (
	clientID = "uaol"
	secretly = "the-client-secret-of-a-tool"
)

// provider is a real authorization server, with a layer before it that counts
// and can fail.
type provider struct {
	*httptest.Server
	op      *op.Provider
	storage *storage.Storage

	mu   sync.Mutex
	seen []url.Values                                      // forms of token requests
	fail func(w http.ResponseWriter, r *http.Request) bool // answers itself
}

func startProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(func() { p.CloseClientConnections(); p.Close() })
	client := storage.WebClient(clientID, secretly, public+callbackPath)
	p.storage = storage.NewStorageWithClients(p, map[string]*storage.Client{clientID: client})
	var err error
	p.op, err = op.NewProvider(&op.Config{
		CryptoKey: sha256.Sum256([]byte("a test")), CryptoKeyId: "1", CodeMethodS256: true, AuthMethodPost: true, GrantTypeRefreshToken: true,
	}, p.storage, op.StaticIssuer(p.URL), op.WithAllowInsecure())
	require.NoError(t, err)
	return p
}

// GetUserByID, GetUserByUsername and ExampleClientID are the server's people.
func (p *provider) GetUserByID(id string) *storage.User { return p.GetUserByUsername(id) }

func (p *provider) GetUserByUsername(name string) *storage.User {
	return &storage.User{ID: name, Username: name, Password: "secret"}
}

func (p *provider) ExampleClientID() string { return "nobody" }

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/oauth/token" {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		form, _ := url.ParseQuery(string(body))
		p.mu.Lock()
		p.seen = append(p.seen, form)
		fail := p.fail
		p.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if fail != nil && fail(w, r) {
			return
		}
	}
	if r.URL.Path == "/login/username" { // the page on which a person enters a password
		id := r.URL.Query().Get("authRequestID")
		if err := p.storage.CheckUsernamePassword("ada", "secret", id); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, op.AuthCallbackURL(p.op)(op.ContextWithIssuer(r.Context(), p.URL), id), http.StatusFound)
		return
	}
	p.op.ServeHTTP(w, r)
}

// asked counts token requests of a grant type.
func (p *provider) asked(grant string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, form := range p.seen {
		if form.Get("grant_type") == grant {
			n++
		}
	}
	return n
}

func (p *provider) failing(fail func(w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = fail
}

// visit is a browser that says yes to everything, until it comes to our door.
func visit(t testing.TB, page string) (back string) {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for range 10 {
		response, err := client.Get(page)
		require.NoError(t, err)
		text, _ := io.ReadAll(response.Body)
		require.NoError(t, response.Body.Close())
		to, err := response.Request.URL.Parse(response.Header.Get("Location"))
		require.NoError(t, err)
		require.NotEmpty(t, response.Header.Get("Location"), "%s: %s", page, text)
		if strings.HasPrefix(to.String(), public) {
			return strings.TrimPrefix(to.String(), public)
		}
		page = to.String()
	}
	t.Fatal("the server leads nowhere")
	return ""
}

// oauthTool takes consents at the provider.
func (b *bench) oauthTool(t testing.TB, owner services.Caller, p *provider, changes ...func(*Tool)) Tool {
	t.Helper()
	tool := b.tool(t, owner, append([]func(*Tool){func(tool *Tool) {
		tool.Inject = Injection{}
		tool.OAuth = &OAuth{
			Grant: authorizationCode, ClientID: clientID, AuthorizeURL: p.URL + "/authorize", TokenURL: p.URL + "/oauth/token",
			Scopes: []string{"openid", "offline_access"},
		}
	}}, changes...)...)
	b.give(t, owner, tool, ofTool, clientSecret, secretly)
	return tool
}

// consent goes all the way for somebody.
func (b *bench) consent(t testing.TB, caller services.Caller, tool Tool, scope Scope) {
	t.Helper()
	a := b.finish(t, caller, visit(t, b.begin(t, caller, tool, scope)))
	require.Equal(t, http.StatusOK, a.Status, a.Text)
}

// finish is the browser at our door, which sends it to the frontend, and that
// with the credentials of whoever uses it.
func (b *bench) finish(t testing.TB, caller services.Caller, back string) answer {
	t.Helper()
	a := b.do(t, services.Caller{}, http.MethodGet, back, "", nil)
	require.Equal(t, http.StatusFound, a.Status, a.Text)
	to, err := url.Parse(a.To)
	require.NoError(t, err)
	require.Equal(t, frontend+"/tools/consent", strings.TrimSuffix(a.To, "?"+to.RawQuery))
	said := map[string]string{}
	for name := range to.Query() {
		said[name] = to.Query().Get(name)
	}
	text, err := json.Marshal(said)
	require.NoError(t, err)
	return b.do(t, caller, http.MethodPost, "/tools/oauth/finish", string(text), nil)
}

func (b *bench) begin(t testing.TB, caller services.Caller, tool Tool, scope Scope) (page string) {
	t.Helper()
	var body struct{ AuthorizeURL string }
	a := b.do(t, caller, http.MethodPost, "/tools/"+tool.ID.String()+"/authorize", fmt.Sprintf(`{"scope":%q}`, scope), &body)
	require.Equal(t, http.StatusOK, a.Status, a.Text)
	return body.AuthorizeURL
}

// due makes a tool's tokens want renewal; spent also that they count no more.
func (b *bench) due(t testing.TB, spent bool) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_registry.grants SET renew_at = now() - interval '1 second',
		expires_at = CASE WHEN $1 THEN now() - interval '1 second' ELSE expires_at END`, spent)
	require.NoError(t, err)
}

// script is an authorization server that a test writes: metadata and answers by
// path.
type script struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]any // JSON, or a func
	seen  []string       // paths asked for
	forms []url.Values
	basic []string // "id:secret" of requests, or ""
}

func startScript(t testing.TB) *script {
	t.Helper()
	s := &script{pages: map[string]any{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		id, secret, _ := r.BasicAuth()
		s.mu.Lock()
		page, ok := s.pages[r.URL.Path]
		s.seen, s.forms, s.basic = append(s.seen, r.URL.Path), append(s.forms, r.Form), append(s.basic, id+":"+secret)
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if answer, isFunc := page.(func(http.ResponseWriter, *http.Request)); isFunc {
			answer(w, r)
			return
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(page)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *script) answer(path string, page any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = page
}

func (s *script) asked(path string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.seen {
		if p == path {
			n++
		}
	}
	return n
}

// form is the last form that was sent, with the client's name and secret.
func (s *script) form(t testing.TB) (form url.Values, basic string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.forms)
	return s.forms[len(s.forms)-1], s.basic[len(s.basic)-1]
}

func fails(status int, code string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"error":"` + code + `"}`))
	}
}
