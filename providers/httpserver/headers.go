package httpserver

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/services"
)

// always is what every answer says to browsers: take it for what it is called,
// execute and frame nothing of it, tell nobody where it came from, and let no
// other site's page embed it. Pages and files say otherwise of themselves.
var always = []struct {
	name  string
	value []string // shared by all answers: replaced, never changed
}{
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"X-Frame-Options", []string{"DENY"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
}

// aYear of HTTPS alone. Other names below ours are not ours to speak for.
const aYear = "max-age=31536000"

// guarded puts the headers on every answer, before a handler may replace them.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		for _, one := range always {
			header[one.name] = one.value
		}
		if host, secure := strings.CutPrefix(services.OriginFrom(r.Context()).URL, "https://"); secure && !isLocalhost(host) {
			header["Strict-Transport-Security"] = []string{aYear}
		}
		next.ServeHTTP(w, r)
	})
}

// isLocalhost spares the other servers of a developer's machine, which share that name.
func isLocalhost(host string) bool {
	name := strings.TrimSuffix((&url.URL{Host: host}).Hostname(), ".")
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// crossOrigin lets pages of these origins call the API. None of them gets the
// browser's own credentials along: callers name theirs in headers, so that even *
// gives nobody more than a terminal has.
func crossOrigin(origins []string) *cors.Cors {
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{api.GuestHeader, api.RequestHeader, "Retry-After", "RateLimit", "RateLimit-Policy", "WWW-Authenticate", "Mcp-Session-Id", "X-Call-Id", "X-Credits"},
		MaxAge:         600,
	})
}

const originsWanted = "origins such as https://app.example.com, separated by commas, or *"

// checkOrigins refuses what no browser sends, which would open nothing, and what
// opens more than it seems to.
func checkOrigins(origins []string) error {
	for _, origin := range origins {
		if origin = strings.TrimSpace(origin); origin == "*" && len(origins) == 1 {
			return nil
		}
		host, secure := strings.CutPrefix(origin, "https://")
		if !secure {
			host = strings.TrimPrefix(origin, "http://")
		}
		pattern, wild := strings.CutPrefix(host, "*.")
		u, err := url.Parse("https://" + pattern)
		if host == origin || err != nil || u.Hostname() == "" || u.Host != pattern || strings.Contains(pattern, "*") ||
			wild && !strings.Contains(pattern, ".") { // *.com
			return &config.Fault{Variable: "UAOL_CORS_ORIGINS", Value: origin, Want: originsWanted}
		}
	}
	return nil
}
