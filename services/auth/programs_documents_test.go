package auth

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"uaol/providers/egress"
)

// TestAProgramNamedByItsDocument is let in without anybody having registered it, and
// its people see where it is published.
func TestAProgramNamedByItsDocument(t *testing.T) {
	t.Parallel()
	var id, name string
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write([]byte(`{"client_id":"` + id + `","client_name":"` + name + `","redirect_uris":["http://127.0.0.1/callback"],"grant_types":["authorization_code","refresh_token"]}`))
	}))
	t.Cleanup(site.Close)
	id, name = site.URL+"/client.json", "Notes"
	host := strings.TrimPrefix(site.URL, "https://")
	w := openTown(t, func(b *bench) {
		policy, err := egress.New(egress.Config{Allow: []string{host}})
		require.NoError(t, err)
		b.transport = policy.Transport()
		roots := x509.NewCertPool()
		roots.AddCert(site.Certificate())
		b.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	})
	ada := w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	p.ClientID = id
	v := w.visitor(t)
	verifier := oauth2.GenerateVerifier()
	consent := v.signIn(v.open(p.request(verifier)), "ada@example.com", "correct horse")
	require.Contains(t, consent.text, "<dd>"+host+"</dd>")
	require.NotContains(t, consent.text, "nobody has checked")
	back := v.decide(consent, "allow", ada.Account.Organization.String())
	tokens, err := p.redeem(t, told(t, back.header.Get("Location")).Get("code"), verifier)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.call(t, "/mcp", tokens.AccessToken).status)
	require.Contains(t, w.request(t, ada.Token, http.MethodGet, "/auth/grants").Text, `"clientHost":"`+host+`"`)

	// Whatever it says of its addresses later, counts from then on.
	got := v.open(p.request(verifier, "redirect_uri", "https://evil.example.com/callback"))
	require.Equal(t, http.StatusBadRequest, got.status)
	id = site.URL + "/other.json"
	got = v.open(p.request(verifier))
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.text, "not the URL that it was fetched from")

	// Without the operator's leave nothing private is asked.
	closed := openTown(t)
	q := closed.registered(t, nil)
	q.ClientID = site.URL + "/client.json"
	got = closed.visitor(t).open(q.request(verifier))
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.text, "reached from here")
}
