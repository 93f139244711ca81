package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"uaol/services/auth/oidc"
)

const (
	clientID     = "uaol"
	clientSecret = "the client's secret at the provider"
	personal     = "9188040d-6c67-4c5b-b112-36a304b66dad" // Microsoft's tenant of personal accounts
	workTenant   = "0b3f9f4e-4a3c-4a5e-8a57-111111111111"
)

// person is somebody with an account at a provider.
type person struct {
	subject, email string
	verified       bool
	claims         map[string]any // further ones of the ID token
}

var ada = person{subject: "ada", email: "ada@example.com", verified: true}

// provider is a real OpenID provider, with a layer before it that gives it a
// vendor's manners, and can lie.
type provider struct {
	URL    string // its issuer
	server *httptest.Server

	flavour string // one of oidc.Names
	tenant  string // of Microsoft's people
	op      *op.Provider
	storage *storage.Storage
	apple   *ecdsa.PrivateKey

	mu     sync.Mutex
	person person                                            // who signs in next
	lie    func(claims jwt.MapClaims)                        // about the ID token
	sign   func(claims jwt.MapClaims) string                 // instead of the provider's own signature
	fail   func(w http.ResponseWriter, r *http.Request) bool // answers itself
	forget bool                                              // the refresh token
	asked  map[string]int                                    // requests by path
	tokens []map[string]any                                  // answers of the token endpoint
}

func startProvider(t testing.TB, flavour string) *provider {
	t.Helper()
	p := &provider{flavour: flavour, tenant: personal, person: ada, asked: map[string]int{}}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.URL = "http://" + p.server.Listener.Addr().String()
	if flavour == "outlook" {
		p.URL += "/common/v2.0"
	}
	var err error
	p.apple, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return p
}

// open begins to serve; the client's redirect URI is known only then.
func (p *provider) open(t testing.TB, redirect string) {
	t.Helper()
	client := storage.WebClient(clientID, clientSecret, redirect)
	p.storage = storage.NewStorageWithClients(p, map[string]*storage.Client{clientID: client})
	var err error
	p.op, err = op.NewProvider(&op.Config{
		CryptoKey: sha256.Sum256([]byte("a test")), CryptoKeyId: "1", CodeMethodS256: true, AuthMethodPost: true, GrantTypeRefreshToken: true,
	}, p.storage, op.StaticIssuer(p.URL), op.WithAllowInsecure())
	require.NoError(t, err)
	p.server.Start()
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
}

// GetUserByID, GetUserByUsername and ExampleClientID are the provider's users.
func (p *provider) GetUserByID(id string) *storage.User { return p.GetUserByUsername(id) }

func (p *provider) GetUserByUsername(name string) *storage.User {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name != p.person.subject {
		return nil
	}
	return &storage.User{ID: name, Username: name, Password: "secret", Email: p.person.email, EmailVerified: p.person.verified}
}

func (p *provider) ExampleClientID() string { return "nobody" }

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	r.URL.Path = strings.TrimPrefix(r.URL.Path, "/common/v2.0")
	p.mu.Lock()
	p.asked[r.URL.Path]++
	fail := p.fail
	p.mu.Unlock()
	if fail != nil && fail(w, r) {
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		p.discovery(w, r)
	case "/authorize":
		p.authorize(w, r)
	case "/login/username":
		p.logIn(w, r)
	case "/oauth/token":
		p.token(w, r)
	case "/revoke":
		if p.checkApple(w, r) {
			p.op.ServeHTTP(w, r)
		}
	default:
		p.op.ServeHTTP(w, r)
	}
}

func (p *provider) discovery(w http.ResponseWriter, r *http.Request) {
	said := p.pass(w, r)
	switch p.flavour {
	case "outlook":
		said["issuer"] = p.host() + "/{tenantid}/v2.0"
		delete(said, "revocation_endpoint")
	case "icloud":
		delete(said, "userinfo_endpoint")
	}
	_ = json.NewEncoder(w).Encode(said)
}

func (p *provider) host() string { return "http://" + p.server.Listener.Addr().String() }

// pass lets the provider answer a request, and reads the answer.
func (p *provider) pass(w http.ResponseWriter, r *http.Request) (said map[string]any) {
	recorder := httptest.NewRecorder()
	p.op.ServeHTTP(recorder, r)
	if json.Unmarshal(recorder.Body.Bytes(), &said) != nil {
		said = map[string]any{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(recorder.Code)
	return said
}

// authorize takes what a vendor's own dialect asks for.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("code_challenge_method") != "S256" {
		http.Error(w, "PKCE is missing", http.StatusBadRequest)
		return
	}
	switch p.flavour {
	case "icloud":
		if query.Get("response_mode") != "form_post" || query.Get("scope") != "name email" {
			http.Error(w, "not as Apple wants it", http.StatusBadRequest)
			return
		}
		query.Set("scope", "openid email offline_access")
	case "google":
		if query.Get("access_type") == "offline" {
			query.Set("scope", query.Get("scope")+" offline_access")
		}
	}
	r.URL.RawQuery = query.Encode()
	p.op.ServeHTTP(w, r)
}

// logIn stands for the page on which the person enters a password.
func (p *provider) logIn(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("authRequestID")
	if err := p.storage.CheckUsernamePassword(p.who().subject, "secret", id); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, op.AuthCallbackURL(p.op)(op.ContextWithIssuer(r.Context(), p.URL), id), http.StatusFound)
}

func (p *provider) who() person {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.person
}

// set changes the provider between requests.
func (p *provider) set(change func(*provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// checkApple refuses client secrets that Apple would refuse.
func (p *provider) checkApple(w http.ResponseWriter, r *http.Request) bool {
	if p.flavour != "icloud" {
		return true
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	var claims jwt.RegisteredClaims
	token, err := jwt.ParseWithClaims(r.Form.Get("client_secret"), &claims, func(*jwt.Token) (any, error) { return &p.apple.PublicKey, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer("TEAM"), jwt.WithSubject(clientID), jwt.WithAudience(p.URL), jwt.WithExpirationRequired())
	if err != nil || token.Header["kid"] != "KEY" || time.Until(claims.ExpiresAt.Time) > time.Hour {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		return false
	}
	form := maps.Clone(r.PostForm)
	form.Set("client_secret", clientSecret)
	r.Form, r.PostForm, r.Body = nil, nil, io.NopCloser(strings.NewReader(form.Encode()))
	r.ContentLength = int64(len(form.Encode()))
	return true
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	if !p.checkApple(w, r) {
		return
	}
	said := p.pass(w, r)
	if raw, ok := said["id_token"].(string); ok {
		said["id_token"] = p.retold(raw)
	}
	p.set(func(p *provider) {
		if p.forget {
			delete(said, "refresh_token")
		}
		p.tokens = append(p.tokens, said)
	})
	_ = json.NewEncoder(w).Encode(said)
}

// retold is an ID token with what the vendor says besides, and with the lie.
func (p *provider) retold(raw string) string {
	var claims jwt.MapClaims
	_, _, err := jwt.NewParser().ParseUnverified(raw, &claims)
	if err != nil {
		return err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.flavour {
	case "google":
		claims["email"], claims["email_verified"] = p.person.email, p.person.verified
	case "icloud":
		claims["email"], claims["email_verified"] = p.person.email, map[bool]string{true: "true", false: "false"}[p.person.verified]
	case "outlook":
		claims["email"], claims["tid"], claims["iss"] = p.person.email, p.tenant, p.host()+"/"+p.tenant+"/v2.0"
	}
	maps.Copy(claims, p.person.claims)
	if p.lie != nil {
		p.lie(claims)
	}
	if p.sign != nil {
		return p.sign(claims)
	}
	return p.signed(claims)
}

// signed writes a token with the provider's own key.
func (p *provider) signed(claims jwt.MapClaims) string {
	key, err := p.storage.SigningKey(context.Background())
	if err != nil {
		return err.Error()
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key.Key()},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", key.ID()))
	if err != nil {
		return err.Error()
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return err.Error()
	}
	made, err := signer.Sign(text)
	if err != nil {
		return err.Error()
	}
	compact, err := made.CompactSerialize()
	if err != nil {
		return err.Error()
	}
	return compact
}

func (p *provider) privateKey() *rsa.PrivateKey {
	key, err := p.storage.SigningKey(context.Background())
	if err != nil {
		return nil
	}
	private, _ := key.Key().(*rsa.PrivateKey)
	return private
}

// publicKey is the provider's in PEM, as it stands on many a page.
func (p *provider) publicKey() []byte {
	der, err := x509.MarshalPKIXPublicKey(&p.privateKey().PublicKey)
	if err != nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func (p *provider) applesKey(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.apple)
	require.NoError(t, err)
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return strings.ReplaceAll(string(block), "\n", `\n`)
}

// frontend is where people come back to.
const frontend = "http://frontend.test"

// world is auth with one provider, on a port that browsers reach.
type world struct {
	*bench
	provider *provider
	app      string // its URL
}

func startWorld(t testing.TB, flavour string, changes ...func(*Config, *oidc.Config)) *world {
	t.Helper()
	return openWorld(t, startProvider(t, flavour), changes...)
}

func openWorld(t testing.TB, p *provider, changes ...func(*Config, *oidc.Config)) *world {
	t.Helper()
	w := &world{provider: p}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.engine.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	w.app = server.URL
	redirect := w.app + "/auth/" + p.flavour + "/callback"
	cfg := oidc.Config{
		Frontend: frontend + ", https://other.test/", Scopes: "openid email profile offline_access", GroupsClaim: "groups",
		GoogleRedirect: redirect, OutlookRedirect: redirect, AppleRedirect: redirect, Redirect: redirect,
	}
	switch p.flavour {
	case "google":
		cfg.GoogleIssuer, cfg.GoogleID, cfg.GoogleSecret = p.URL, clientID, clientSecret
	case "outlook":
		cfg.OutlookIssuer, cfg.OutlookID, cfg.OutlookSecret = p.URL, clientID, clientSecret
	case "icloud":
		cfg.AppleIssuer, cfg.AppleID, cfg.AppleSecret, cfg.AppleTeam, cfg.AppleKey = p.URL, clientID, p.applesKey(t), "TEAM", "KEY"
	case "oidc":
		cfg.Issuer, cfg.ID, cfg.Secret = p.URL, clientID, clientSecret
	}
	w.bench = setup(t, func(c *Config) {
		c.Registration = Open
		for _, change := range changes {
			change(c, &cfg)
		}
	})
	require.NoError(t, cfg.Check())
	w.signInWith(t, cfg)
	p.open(t, redirect)
	return w
}

// browser keeps cookies, as people's browsers do.
type browser struct {
	t    testing.TB
	http *http.Client
	bare *http.Client // the same without cookies: what other sites' posts come with
	last *http.Response
}

func (w *world) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{DisableKeepAlives: true}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t: t,
		http: &http.Client{Transport: transport, Jar: jar, CheckRedirect: stay},
		bare: &http.Client{Transport: transport, CheckRedirect: stay},
	}
}

// get asks for a page and gives what it leads to; "" when it is one to stay on.
func (b *browser) get(page string) (leads, text string) {
	b.t.Helper()
	response, err := b.http.Get(page)
	require.NoError(b.t, err)
	return b.read(page, response)
}

func (b *browser) read(page string, response *http.Response) (leads, text string) {
	b.t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	b.last = response
	to := response.Header.Get("Location")
	if to == "" {
		return "", string(body)
	}
	base, err := url.Parse(page)
	require.NoError(b.t, err)
	next, err := base.Parse(to)
	require.NoError(b.t, err)
	return next.String(), string(body)
}

var (
	formForm  = regexp.MustCompile(`<form method="post" action="([^"]+)">`)
	inputForm = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// post sends a page's form to another site, which gets none of its own cookies.
func (b *browser) post(page, text string) (leads string) {
	b.t.Helper()
	action := formForm.FindStringSubmatch(text)
	require.NotNil(b.t, action, "%s is no form: %s", page, text)
	form := url.Values{"user": {`{"name":{"firstName":"Ada"}}`}}
	for _, input := range inputForm.FindAllStringSubmatch(text, -1) {
		form.Set(input[1], input[2])
	}
	response, err := b.bare.PostForm(action[1], form)
	require.NoError(b.t, err)
	leads, _ = b.read(action[1], response)
	return leads
}

// until follows pages until one is wanted.
func (b *browser) until(page string, wanted func(string) bool) string {
	b.t.Helper()
	for range 10 {
		leads, text := b.get(page)
		if leads == "" {
			leads = b.post(page, text)
		}
		if wanted(leads) {
			return leads
		}
		require.NotEmpty(b.t, leads, "%s leads nowhere: %s", page, text)
		page = leads
	}
	b.t.Fatalf("the way does not end: %s", page)
	return ""
}

// signIn goes all the way, and gives what the frontend is told.
func (b *browser) signIn(w *world, query string) url.Values {
	b.t.Helper()
	end := b.until(w.app+"/auth/"+w.provider.flavour+query, func(page string) bool { return strings.Contains(page, "/auth/callback?") })
	require.True(b.t, strings.HasPrefix(end, frontend+"/auth/callback?") || strings.HasPrefix(end, "https://other.test/auth/callback?"), end)
	return told(b.t, end)
}

// back goes as far as the provider's answer, and gives the page it leads to.
func (b *browser) back(w *world) *url.URL {
	b.t.Helper()
	page := b.until(w.app+"/auth/"+w.provider.flavour, func(page string) bool { return strings.HasPrefix(page, w.app) })
	to, err := url.Parse(page)
	require.NoError(b.t, err)
	return to
}

func told(t testing.TB, page string) url.Values {
	t.Helper()
	u, err := url.Parse(page)
	require.NoError(t, err)
	return u.Query()
}

// as signs a person in and gives the account's id.
func (w *world) as(t testing.TB, who person) (account, token string) {
	t.Helper()
	w.provider.set(func(p *provider) { p.person = who })
	said := w.browser(t).signIn(w, "")
	require.Empty(t, said.Get("error"))
	require.NotEmpty(t, said.Get("token"))
	return w.me(t, said.Get("token")), said.Get("token")
}

// refused tries to sign a person in, and gives the message.
func (w *world) refused(t testing.TB, who person, query string) string {
	t.Helper()
	w.provider.set(func(p *provider) { p.person = who })
	before := w.sessions(t)
	said := w.browser(t).signIn(w, query)
	require.Empty(t, said.Get("token"))
	require.NotEmpty(t, said.Get("error"))
	require.Equal(t, before, w.sessions(t), "there is no new session")
	return said.Get("error")
}

func (w *world) sessions(t testing.TB) int {
	t.Helper()
	return w.count(t, `SELECT count(*) FROM uaol_auth.sessions`)
}

// me is the account that a token belongs to.
func (w *world) me(t testing.TB, token string) string {
	t.Helper()
	me := w.do(t, http.MethodGet, "/auth/me", "", "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusOK, me.Status, me.Text)
	return me.Body.Data.ID
}
