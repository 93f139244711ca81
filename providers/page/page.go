// Package page serves pages of ours that are one document each: their style and
// script stand in it.
package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// Page is a document and what browsers are told of it.
type Page struct {
	body   []byte
	header http.Header
}

// New puts style and script into the frame, at /*style*/ and /*script*/. The page's
// policy knows them by their hashes, so that no other inline code runs, and lets it
// ask nobody but the server that it came from.
func New(frame, style, script string) Page {
	body := strings.NewReplacer("/*style*/", style, "/*script*/", script).Replace(frame)
	policy := []string{
		"default-src 'none'", "connect-src 'self'", "img-src data:", // the icon
		"script-src '" + digest(script) + "'", "style-src '" + digest(style) + "'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		"require-trusted-types-for 'script'", "trusted-types 'none'", // no innerHTML, even by mistake
	}
	return Page{body: []byte(body), header: http.Header{
		"Content-Type":                 {"text/html; charset=utf-8"},
		"Content-Security-Policy":      {strings.Join(policy, "; ")},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Cache-Control":                {"no-cache"}, // kept, but asked for each time
		"Etag":                         {`"` + digest(body) + `"`},
	}}
}

// Form is what browsers are told of a page that is made for one request and has forms,
// no script, and this style. They may lead to our own pages and to those of the targets,
// such as https://app.example.com, and nowhere else. Nobody keeps such a page. Whoever
// opened it in a window of its own goes on knowing that window: programs wait for it.
func Form(style string, targets ...string) http.Header {
	policy := []string{
		"default-src 'none'", "style-src '" + digest(style) + "'", "base-uri 'none'",
		"form-action " + strings.Join(append([]string{"'self'"}, targets...), " "), "frame-ancestors 'none'",
	}
	return http.Header{
		"Content-Type":                 {"text/html; charset=utf-8"},
		"Content-Security-Policy":      {strings.Join(policy, "; ")},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Cache-Control":                {"no-store"},
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// ServeHTTP implements http.Handler.
func (p Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.body))
}
