package httpserver

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
)

func ask(trusted proxies, origins []string, r *http.Request) http.Header {
	w := httptest.NewRecorder()
	edge(trusted, usual, origins, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
		}
		w.WriteHeader(http.StatusTeapot)
	})).ServeHTTP(w, r)
	return w.Header()
}

// TestEveryAnswerIsGuarded, those to preflights too; what a page says of itself counts.
func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	preflight := request("192.0.2.1:1", "Origin", "https://app.example.com", "Access-Control-Request-Method", "PUT")
	preflight.Method = http.MethodOptions
	for name, r := range map[string]*http.Request{"ordinary": request("192.0.2.1:1"), "preflight": preflight} {
		header := ask(nil, []string{"*"}, r)
		for _, one := range always {
			require.Equal(t, one.value, header.Values(one.name), name)
		}
		require.Empty(t, header.Get("Strict-Transport-Security"), name)
	}
	page := request("192.0.2.1:1")
	page.URL.Path = "/page"
	require.Equal(t, []string{"default-src 'self'"}, ask(nil, nil, page).Values("Content-Security-Policy"))
}

// TestHTTPSAloneIsSaidOverHTTPS, and not on a developer's machine.
func TestHTTPSAloneIsSaidOverHTTPS(t *testing.T) {
	t.Parallel()
	trusted := proxies{netip.MustParsePrefix("192.0.2.0/24")}
	said := func(r *http.Request) string { return ask(trusted, nil, r).Get("Strict-Transport-Security") }
	require.Equal(t, aYear, said(request("192.0.2.1:1", "X-Forwarded-Proto", "https")))
	require.Empty(t, said(request("198.51.100.1:1", "X-Forwarded-Proto", "https")), "a stranger's word")
	direct := httptest.NewRequest("GET", "https://uaol.example.com/", nil)
	require.Equal(t, aYear, said(direct))
	for _, host := range []string{"localhost:3000", "localhost", "a.localhost"} {
		direct.Host = host
		require.Empty(t, said(direct), host)
	}
}

// TestOriginsAreListed: pages of others get no leave, and nobody's browser sends
// its own credentials along.
func TestOriginsAreListed(t *testing.T) {
	t.Parallel()
	listed := []string{"https://app.example.com", "https://*.dev.example.com"}
	for origin, want := range map[string]string{
		"https://app.example.com": "https://app.example.com", "https://x.dev.example.com": "https://x.dev.example.com",
		"https://app.example.com.evil.com": "", "https://evil.com": "", "http://app.example.com": "", "null": "", "https://dev.example.com": "",
	} {
		header := ask(nil, listed, request("192.0.2.1:1", "Origin", origin))
		require.Equal(t, want, header.Get("Access-Control-Allow-Origin"), origin)
		require.Empty(t, header.Get("Access-Control-Allow-Credentials"))
		require.Contains(t, header.Values("Vary"), "Origin", "a cache keeps the answers apart")
	}
	all := ask(nil, []string{"*"}, request("192.0.2.1:1", "Origin", "https://evil.com"))
	require.Equal(t, "*", all.Get("Access-Control-Allow-Origin"))
	require.Empty(t, all.Get("Access-Control-Allow-Credentials"))
	require.Contains(t, all.Get("Access-Control-Expose-Headers"), "Ratelimit")
}

func TestOriginsAreRead(t *testing.T) {
	t.Parallel()
	for value, good := range map[string]bool{
		"": true, "*": true, "https://a.example.com": true, "http://localhost:8080,https://a.example.com:8443": true, "https://*.example.com": true,
		"https://a.example.com/": false, "a.example.com": false, "*,https://a.example.com": false, "null": false, "https://*": false, "https://*.com": false,
		"https://a.*.com": false, "ftp://a.example.com": false, "https://a.example.com/x": false, "https://u@a.example.com": false, "https://": false,
	} {
		_, err := config.Parse[Config](config.Of(map[string]string{"UAOL_CORS_ORIGINS": value}))
		if good {
			require.NoError(t, err, value)
		} else {
			require.ErrorContains(t, err, "UAOL_CORS_ORIGINS holds ", value)
		}
	}
}

func TestHalfAPairIsRefused(t *testing.T) {
	t.Parallel()
	for given, missing := range map[string]string{"UAOL_TLS_CERT": "UAOL_TLS_KEY", "UAOL_TLS_KEY": "UAOL_TLS_CERT"} {
		_, err := config.Parse[Config](config.Of(map[string]string{given: "/x.pem"}))
		require.ErrorContains(t, err, missing+" is not set; want the path of a PEM file, because the other")
	}
	_, err := config.Parse[Config](config.Of(map[string]string{"UAOL_MAX_CONNECTIONS": "0"}))
	require.ErrorContains(t, err, "UAOL_MAX_CONNECTIONS")
}
