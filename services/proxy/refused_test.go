package proxy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/registry"
	"uaol/services/registry/credentials"
)

// issuer is the shelf with tokens: it has one, and another for who says that it
// was refused.
type issuer struct {
	*shelf
	mu       sync.Mutex
	tokens   []string // the one in force, and those to come
	renewals int
	fails    error // of a renewal
}

func (i *issuer) Credentials(_ context.Context, in registry.CredentialsRequest) (credentials.Carried, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	carried := func() credentials.Carried {
		return credentials.Carried{Headers: map[string]string{"Authorization": "Bearer " + i.tokens[0]}, Identity: i.tokens[0]}
	}
	if in.Refused == "" || in.Refused != carried().Token() {
		return carried(), nil
	}
	i.renewals++
	if i.fails != nil {
		return credentials.Carried{}, i.fails
	}
	if len(i.tokens) > 1 {
		i.tokens = i.tokens[1:]
	}
	return carried(), nil
}

// TestARefusedTokenIsRenewedAndTheCallRepeated, once.
func TestARefusedTokenIsRenewedAndTheCallRepeated(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tokens   []string
		takes    string // the token that the server takes
		fails    error
		calls    int // that reach the server
		renewals int
		code     string
	}{
		"it is taken":                      {[]string{"a"}, "a", nil, 1, 0, ""},
		"withdrawn, another is taken":      {[]string{"a", "b"}, "b", nil, 2, 1, ""},
		"every one is refused":             {[]string{"a", "b", "c"}, "none", nil, 2, 1, CodeTokenRefused},
		"there is no other":                {[]string{"a"}, "none", nil, 1, 1, CodeTokenRefused},
		"the consent has ended":            {[]string{"a"}, "none", services.Errorf(services.Invalid, "consent again").WithCode(credentials.CodeRequired), 1, 1, credentials.CodeRequired},
		"the authorization server is away": {[]string{"a"}, "none", services.Errorf(services.Unavailable, "try again"), 1, 1, "UNAVAILABLE"},
	} {
		for _, protocol := range []string{"rest", "mcp"} {
			t.Run(name+", "+protocol, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				address, err := url.Parse(map[string]string{"rest": b.box.odd, "mcp": b.box.mcp}[protocol])
				require.NoError(t, err)
				method := map[string]string{"rest": "fine", "mcp": "echo"}[protocol]
				behind := &httputil.ReverseProxy{
					Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = address.Scheme, address.Host },
					Transport: &http.Transport{DisableKeepAlives: true},
				}
				var mu sync.Mutex
				var seen []string
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					seen = append(seen, r.Header.Get("Authorization"))
					mu.Unlock()
					if r.Header.Get("Authorization") != "Bearer "+test.takes {
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					behind.ServeHTTP(w, r)
				}))
				t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
				tool := b.offer(t, 7, server.URL+address.Path, protocol, func(o *registry.Offer) {
					o.OAuth = &credentials.OAuth{Grant: "client_credentials", ClientID: "x"}
				})
				tokens := &issuer{shelf: b.shelf, tokens: test.tokens, fails: test.fails}
				b.serve(t, tokens, b.meter, nil)
				err = b.call(t, tool, method, "{}")
				record := b.records(t)[0]
				if test.code == "" {
					require.NoError(t, err)
					require.EqualValues(t, 7, b.spent(t))
					require.Equal(t, Succeeded, record.Outcome)
				} else {
					require.Equal(t, test.code, record.Code, "%v", err)
					require.Zero(t, b.spent(t))
					require.Equal(t, Failed, record.Outcome)
					require.EqualValues(t, 1, b.entries(t, "hold"))
					require.EqualValues(t, 1, b.entries(t, "release"))
				}
				require.Equal(t, test.renewals, tokens.renewals)
				if protocol != "mcp" { // which opens a session with several requests
					require.Len(t, seen, test.calls)
				}
				require.NotContains(t, seen, "Bearer c")
				if test.code == "" && test.renewals > 0 { // the next call begins with the new token
					before := len(seen)
					require.NoError(t, b.call(t, tool, method, "{}"))
					for _, token := range seen[before:] {
						require.Equal(t, "Bearer "+test.takes, token)
					}
					require.Equal(t, test.renewals, tokens.renewals)
				}
			})
		}
	}
}

// TestAnotherTokenIsForOAuthAlone: a key of the owner's that is refused is refused.
func TestAnotherTokenIsForOAuthAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	tool := b.offer(t, 7, server.URL, "rest", func(o *registry.Offer) {
		o.Inject = credentials.Injection{Headers: map[string]string{"Authorization": "Bearer {{secret.KEY}}"}}
	})
	tokens := &issuer{shelf: b.shelf, tokens: []string{"a", "b"}}
	b.serve(t, tokens, b.meter, nil)
	require.Equal(t, services.Upstream, services.KindOf(b.call(t, tool, "fine", "{}")))
	require.Equal(t, 1, calls)
	require.Zero(t, tokens.renewals)
	require.Zero(t, b.spent(t))
}

// TestAConsentThatDoesNotCoverACall: whoever called hears what to consent to, and pays
// nothing.
func TestAConsentThatDoesNotCoverACall(t *testing.T) {
	t.Parallel()
	for grant, code := range map[string]string{"authorization_code": credentials.CodeRequired, "client_credentials": "UPSTREAM_ERROR"} {
		b := setup(t)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="write"`)
			w.WriteHeader(http.StatusForbidden)
		}))
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		tool := b.offer(t, 7, server.URL, "rest", func(o *registry.Offer) { o.OAuth = &credentials.OAuth{Grant: grant, ClientID: "x"} })
		b.serve(t, &issuer{shelf: b.shelf, tokens: []string{"a"}}, b.meter, nil)
		err := b.call(t, tool, "fine", "{}")
		record := b.records(t)[0]
		require.Equal(t, code, record.Code, "%v", err)
		require.Equal(t, Failed, record.Outcome)
		require.Zero(t, b.spent(t))
		if code == credentials.CodeRequired {
			var refused *services.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, credentials.Required{ToolID: tool, Authorize: true, Scopes: []string{"write"}}, refused.Details)
		}
	}
}
