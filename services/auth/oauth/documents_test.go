package oauth

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/egress"
)

// site is a server that has a program's document.
type site struct {
	*httptest.Server
	asked atomic.Int64
	id    string // the document's URL

	mu    sync.Mutex
	serve http.HandlerFunc
}

func startSite(t testing.TB) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		serve := s.serve
		s.mu.Unlock()
		serve(w, r)
	}))
	t.Cleanup(s.Close)
	s.id = s.URL + "/client.json"
	s.says(s.document(nil))
	return s
}

func (s *site) document(changes map[string]any) string {
	said := map[string]any{"client_id": s.id, "client_name": "Notes", "redirect_uris": []string{"http://127.0.0.1/callback"}, "grant_types": []string{"authorization_code", "refresh_token"}}
	for name, value := range changes {
		said[name] = value
	}
	text, _ := json.Marshal(said)
	return string(text)
}

// says lets it answer with a text; headers come in pairs.
func (s *site) says(text string, headers ...string) {
	s.does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		_, _ = w.Write([]byte(text))
	})
}

func (s *site) does(serve http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = serve
}

// fetching is what fetches from a site, which an operator may have opened.
func (s *site) fetching(t testing.TB, open bool) *documents {
	t.Helper()
	var cfg egress.Config
	if open {
		cfg.Allow = []string{strings.TrimPrefix(s.URL, "https://")}
	}
	policy, err := egress.New(cfg)
	require.NoError(t, err)
	transport := policy.Transport()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.RootCAs = roots
	d := newDocuments(transport)
	t.Cleanup(d.close)
	return d
}

func TestDocumentsOfPrograms(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	d := s.fetching(t, true)
	client, err := d.client(t.Context(), s.id)
	require.NoError(t, err)
	require.Equal(t, Client{ID: s.id, Name: "Notes", Redirects: []string{"http://127.0.0.1/callback"}, Refreshes: true, Method: methodNone}, client)
	require.Equal(t, strings.TrimPrefix(s.URL, "https://"), client.Host())
	_, err = d.client(t.Context(), s.id)
	require.NoError(t, err)
	require.EqualValues(t, 1, s.asked.Load(), "it is kept")

	for name, test := range map[string]struct {
		text    string
		headers []string
		does    http.HandlerFunc
		want    string
	}{
		"another id":        {text: s.document(map[string]any{"client_id": s.id + "x"}), want: "not the URL"},
		"no id":             {text: s.document(map[string]any{"client_id": nil}), want: "not the URL"},
		"the id in capital": {text: s.document(map[string]any{"client_id": strings.ToUpper(s.id)}), want: "not the URL"},
		"no name":           {text: s.document(map[string]any{"client_name": nil}), want: "client_name"},
		"a name that turns": {text: s.document(map[string]any{"client_name": "a\u202eb"}), want: "client_name"},
		"no redirects":      {text: s.document(map[string]any{"redirect_uris": nil}), want: "redirect_uris"},
		"a bad redirect":    {text: s.document(map[string]any{"redirect_uris": []string{"http://app.example.com/"}}), want: "redirect_uris[0]"},
		"a secret":          {text: s.document(map[string]any{"client_secret": "x"}), want: "client_secret"},
		"a secret's end":    {text: s.document(map[string]any{"client_secret_expires_at": 0}), want: "client_secret"},
		"a secret's way":    {text: s.document(map[string]any{"token_endpoint_auth_method": "client_secret_post"}), want: "must be none"},
		"a key's way":       {text: s.document(map[string]any{"token_endpoint_auth_method": "private_key_jwt"}), want: "must be none"},
		"no JSON":           {text: "<html>", want: "JSON"},
		"a list":            {text: "[]", want: "JSON"},
		"too long":          {text: s.document(map[string]any{"x": strings.Repeat("x", documentSize)}), want: "larger"},
		"a page":            {text: s.document(nil), headers: []string{"Content-Type", "text/html"}, want: "application/json"},
		"no type":           {text: s.document(nil), headers: []string{"Content-Type", "x"}, want: "application/json"},
		"not found":         {does: http.NotFound, want: "status 404"},
		"elsewhere": {does: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.URL+"/other.json", http.StatusFound)
		}, want: "status 302"},
		"cut short": {does: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		}, want: "could not be read"},
	} {
		if s.says(test.text, test.headers...); test.does != nil {
			s.does(test.does)
		}
		fresh := s.fetching(t, true)
		for range 2 { // what is bad is not kept
			before := s.asked.Load()
			_, err := fresh.client(t.Context(), s.id)
			var refusal *Refusal
			require.ErrorAs(t, err, &refusal, name)
			require.Equal(t, codeInvalidClient, refusal.Code, name)
			require.Contains(t, refusal.Description, test.want, name)
			require.Equal(t, before+1, s.asked.Load(), name)
		}
	}
	s.says(s.document(nil), "Content-Type", "application/cimd+json; charset=utf-8")
	_, err = s.fetching(t, true).client(t.Context(), s.id)
	require.NoError(t, err)

	// Addresses that are closed are not asked, and nothing is said of what is there.
	before := s.asked.Load()
	_, err = s.fetching(t, false).client(t.Context(), s.id)
	require.ErrorContains(t, err, "can't be reached from here")
	require.Equal(t, before, s.asked.Load())
	for _, id := range []string{
		"http://app.example.com/client.json", "https://app.example.com", "https://app.example.com/", "https://app.example.com/a/../b", "https://app.example.com/./b",
		"https://app.example.com/%2e%2e/b", "https://u@app.example.com/c", "https://app.example.com/c#", "https:///c", "https://app.example.com/" + strings.Repeat("c", maxURL), "https://app.example.com/a b",
	} {
		_, err := d.client(t.Context(), id)
		var refusal *Refusal
		require.ErrorAs(t, err, &refusal, id)
		require.Contains(t, refusal.Description, "client_id", id)
	}
}

func TestDocumentsAreKeptAsTheirServersSay(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]time.Duration{
		"": documentLife, "public": documentLife, "max-age=60": time.Minute, "public, Max-Age=\"60\"": time.Minute, "max-age=0": 0, "no-store": 0, "no-cache": 0,
		"max-age=60, no-store": 0, "max-age=99999999": documentMost, "max-age=-1": documentLife, "max-age=x": documentLife, "max-age=999999999999999999999": documentLife,
	} {
		require.Equal(t, want, lifeOf(http.Header{"Cache-Control": {said}}), said)
	}
	s := startSite(t)
	s.says(s.document(nil), "Cache-Control", "no-store")
	d := s.fetching(t, true)
	for i := range 3 {
		_, err := d.client(t.Context(), s.id)
		require.NoError(t, err)
		require.EqualValues(t, i+1, s.asked.Load())
	}
}

// TestOneFetchServesAllWhoWait, and who leaves does not end it.
func TestOneFetchServesAllWhoWait(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	asked, goOn := make(chan struct{}), make(chan struct{})
	s.does(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-goOn
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(s.document(nil)))
	})
	d := s.fetching(t, true)
	results := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := d.client(t.Context(), s.id)
			results <- err
		}()
	}
	<-asked
	close(goOn)
	var failures error
	for range 3 {
		failures = errors.Join(failures, <-results)
	}
	require.NoError(t, failures)
	require.EqualValues(t, 1, s.asked.Load())
}
