package app_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"uaol/app"
	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/providers/instance"
	"uaol/providers/tlsfiles/tlsfilestest"
	"uaol/services"
	"uaol/services/gateway/console"
)

// described lists the operations of the document, as "GET /path/{name}".
func described(t *testing.T) map[string]bool {
	t.Helper()
	text, err := json.Marshal(api.Document("UAOL", "1", app.Operations()))
	require.NoError(t, err)
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(text, &document))
	require.Regexp(t, `^3\.1\.`, document.OpenAPI)
	found := map[string]bool{}
	for path, operations := range document.Paths {
		for method := range operations {
			found[strings.ToUpper(method)+" "+path] = true
		}
	}
	return found
}

// undescribed are routes that are no operations: pages, what monitoring asks, and
// the document itself.
var undescribed = map[string]bool{
	"GET /": true, "HEAD /": true, "GET /docs": true, "GET /openapi.json": true, "GET /health": true, "GET /livez": true, "GET /readyz": true,
}

// ofOurOwn reports routes for other processes and commands of ours, and the console's pages.
func ofOurOwn(route string) bool {
	_, path, _ := strings.Cut(route, " ")
	return path == console.Prefix || strings.HasPrefix(path, console.Prefix+"/") || strings.Contains(route, " /internal/") || route == "GET "+instance.Path
}

// TestTheDocumentAndTheRoutesAgree: a process that runs everything serves what is
// described and nothing else, and of the seven each serves only what is described,
// all of them together all of it.
func TestTheDocumentAndTheRoutesAgree(t *testing.T) {
	t.Parallel()
	want := described(t)
	require.Greater(t, len(want), 100)
	together := map[string]bool{}
	sets := [][]services.Name{app.Services()}
	for _, name := range app.Services() {
		sets = append(sets, []services.Name{name})
	}
	for _, set := range sets {
		var engine *gin.Engine
		process := fx.New(app.Options(config.Of(settings(t, unreachable)), set...), fx.Populate(&engine), fx.NopLogger)
		require.NoError(t, process.Err())
		served := map[string]bool{}
		for _, route := range engine.Routes() {
			parts := strings.Split(route.Path, "/")
			for i, part := range parts {
				if name, ok := strings.CutPrefix(part, ":"); ok {
					parts[i] = "{" + name + "}"
				}
			}
			served[route.Method+" "+strings.Join(parts, "/")] = true
		}
		for route := range served {
			method, path, _ := strings.Cut(route, " ")
			bare := len(set) == 1 && set[0] == services.Auth && (want[method+" /auth"+path]) // on its own port, where no gateway adds a prefix
			require.True(t, want[route] || undescribed[route] || ofOurOwn(route) || bare, "%v serves %s, which is not described", set, route)
		}
		whole := len(set) == len(app.Services()) || set[0] == services.Gateway // which passes all on
		for route := range want {
			together[route] = together[route] || served[route] && set[0] != services.Gateway
			require.True(t, !whole || served[route], "%v does not serve %s", set, route)
		}
	}
	for route := range want {
		if strings.HasPrefix(route, "GET /services") || route == "GET /configuration" || strings.Contains(route, " /chat") {
			continue // the gateway's own
		}
		require.True(t, together[route], "no service serves %s", route)
	}
}

// running is a process of the wiring tests, which needs no database.
func running(t *testing.T, change map[string]string) (*httpserver.Server, *config.Environment) {
	t.Helper()
	values := settings(t, unreachable)
	values["UAOL_MIGRATE"] = "false"
	for name, value := range change {
		values[name] = value
	}
	env := config.Of(values)
	var server *httpserver.Server
	process := fxtest.New(t, app.Options(env, services.Gateway), pretendPing(), fx.Populate(&server), fx.NopLogger)
	process.RequireStart()
	t.Cleanup(process.RequireStop)
	return server, env.With(map[string]string{"UAOL_ADDR": server.Addr().String()})
}

func askOnce(t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	response, err := client.Get(url)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response
}

// TestTLS: 1.3 at least, HTTP/2 too, a new certificate without a restart; and this
// machine's own commands believe the certificate in the file and no other.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir, authority := t.TempDir(), tlsfilestest.NewAuthority(t)
	files := authority.Issue(t, dir, "first")
	server, env := running(t, map[string]string{"UAOL_TLS_CERT": files.Cert, "UAOL_TLS_KEY": files.Key})
	client := func(change func(*tls.Config)) *http.Client {
		secure := &tls.Config{RootCAs: authority.Pool()} //nolint:gosec // the server decides
		if change != nil {
			change(secure)
		}
		return &http.Client{Transport: &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true, DisableKeepAlives: true}, Timeout: 20 * time.Second}
	}
	url := "https://" + server.Addr().String() + "/livez"
	first := askOnce(t, client(nil), url)
	require.Equal(t, "HTTP/2.0", first.Proto)
	require.EqualValues(t, tls.VersionTLS13, first.TLS.Version)
	require.Equal(t, "max-age=31536000", first.Header.Get("Strict-Transport-Security"))
	_, err := client(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }).Get(url)
	require.ErrorContains(t, err, "protocol version")

	local, err := app.LocalClient(env)
	require.NoError(t, err)
	ready, err := app.ReadyURL(env, services.Gateway)
	require.NoError(t, err)
	require.Equal(t, "https://"+server.Addr().String()+"/readyz", ready)
	require.NotNil(t, askOnce(t, local, ready).TLS)
	stranger := tlsfilestest.NewAuthority(t).Issue(t, t.TempDir(), "stranger")
	other, err := app.LocalClient(env.With(map[string]string{"UAOL_TLS_CERT": stranger.Cert, "UAOL_TLS_KEY": stranger.Key}))
	require.NoError(t, err)
	_, err = other.Get(ready)
	require.ErrorContains(t, err, "another certificate than its file holds")

	authority.Issue(t, dir, "first") // anew
	require.Eventually(t, func() bool {
		return askOnce(t, client(nil), url).TLS.PeerCertificates[0].SerialNumber.Cmp(first.TLS.PeerCertificates[0].SerialNumber) != 0
	}, 20*time.Second, 50*time.Millisecond)
}

// TestConnectionsAreBounded: one too many waits until another ends.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	server, _ := running(t, map[string]string{"UAOL_MAX_CONNECTIONS": "1"})
	held, err := net.Dial("tcp", server.Addr().String())
	require.NoError(t, err)
	defer func() { _ = held.Close() }()
	_, err = io.WriteString(held, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	_, err = io.ReadFull(held, make([]byte, 15)) // it is served, and stays open
	require.NoError(t, err)
	waiting := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 500 * time.Millisecond}
	_, err = waiting.Get("http://" + server.Addr().String() + "/livez")
	require.Error(t, err)
	require.NoError(t, held.Close())
	waiting.Timeout = 20 * time.Second
	require.Equal(t, http.StatusOK, askOnce(t, waiting, "http://"+server.Addr().String()+"/livez").StatusCode)
}

// TestDocsStandAlone: the page names nothing of anybody else's, and its policy would
// let nothing in.
func TestDocsStandAlone(t *testing.T) {
	t.Parallel()
	server, _ := running(t, nil)
	response, err := http.Get("http://" + server.Addr().String() + "/docs")
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/html; charset=utf-8", response.Header.Get("Content-Type"))
	policy := response.Header.Values("Content-Security-Policy")
	require.Len(t, policy, 1)
	require.Contains(t, policy[0], "default-src 'none'")
	require.NotContains(t, policy[0], "unsafe")
	require.NotRegexp(t, `(src|href|url)\s*[=(]\s*["']?(https?:)?//`, string(text))
	require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(`, string(text[strings.Index(string(text), "no innerHTML")+len("no innerHTML"):]))
}

// TestTheGatewayIsAloneWithCertificates: beside it, services could not be shown those of
// other processes.
func TestTheGatewayIsAloneWithCertificates(t *testing.T) {
	t.Parallel()
	files := tlsfilestest.NewAuthority(t).Issue(t, t.TempDir(), "uaol")
	values := settings(t, unreachable)
	values["UAOL_PEER_TLS_CERT"], values["UAOL_PEER_TLS_KEY"], values["UAOL_PEER_TLS_CA"] = files.Cert, files.Key, files.CA
	for _, test := range []struct {
		set  []services.Name
		good bool
	}{
		{app.Services(), true},
		{[]services.Name{services.Gateway}, true},
		{[]services.Name{services.Auth, services.Registry}, true},
		{[]services.Name{services.Gateway, services.Auth}, false},
	} {
		err := fx.New(app.Options(config.Of(values), test.set...), fx.NopLogger).Err()
		if test.good {
			require.NoError(t, err, "%v", test.set)
			continue
		}
		var fault *config.Fault
		require.ErrorAs(t, err, &fault, "%v", test.set)
		require.Equal(t, "UAOL_PEER_TLS_CERT", fault.Variable)
	}
}
