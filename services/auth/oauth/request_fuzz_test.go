package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzRequest: whatever is sent, an answer goes to an address that was registered and
// nowhere else, and what is taken has a proof and a resource of ours.
func FuzzRequest(f *testing.F) {
	const base, challenge = "https://uaol.example.com", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636's
	good := url.Values{"client_id": {"x"}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:8080/callback"}, "state": {"s"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "resource": {base + "/mcp"}, "scope": {Scope}}
	f.Add(good.Encode())
	f.Add("redirect_uri=https://app.example.com/x%3Fa=b&response_type=token")
	f.Add("redirect_uri=https://app.example.com@evil.com/x%3Fa=b&response_type=code")
	f.Add("redirect_uri=http://127.0.0.1:8080%2f..%2fcallback&resource=https://uaol.example.com/mcp/p/x")
	f.Add("%zz;&&==")
	client := Client{ID: "x", Redirects: []string{"http://127.0.0.1/callback", "https://app.example.com/x?a=b"}}
	service := &Service{public: base}
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := readQuery(raw)
		if err != nil {
			return
		}
		request, err := client.request(query, base)
		to, told := service.Told(t.Context(), err)
		if err == nil {
			to = answer(request.Redirect, request.State, base, url.Values{"code": {"c"}})
		}
		if err == nil || told {
			u, parseErr := url.Parse(to)
			if parseErr != nil || strings.ContainsAny(to, "\r\n") {
				t.Fatalf("%q leads to %q", raw, to)
			}
			own := u.Scheme == "http" && u.Hostname() == "127.0.0.1" && u.Path == "/callback" && u.User == nil ||
				u.Scheme == "https" && u.Host == "app.example.com" && u.Path == "/x" && u.User == nil && u.Query().Get("a") == "b"
			if !own || !slices.Equal(u.Query()["iss"], []string{base}) || len(u.Query()["code"])+len(u.Query()["error"]) != 1 {
				t.Fatalf("%q leads to %q", raw, to)
			}
		}
		if err == nil && (!isChallenge(request.Challenge) || request.Scopes != Scope || !strings.HasPrefix(request.Resource, base+Family)) {
			t.Fatalf("%q was taken as %+v", raw, request)
		}
	})
}

// FuzzBasic: what is no header of the form that RFC 6749 has is refused, and nothing
// panics.
func FuzzBasic(f *testing.F) {
	f.Add("Basic dWNpX3g6dWNzX3g=")
	f.Add("Basic JTo=")
	f.Add("basic Og==")
	f.Fuzz(func(t *testing.T, header string) {
		id, secret, ok := basic(http.Header{"Authorization": {header}})
		if !ok && (id != "" || secret != "") && strings.Contains(id, ":") {
			t.Fatalf("%q gave %q", header, id)
		}
	})
}

// FuzzDocument: what is taken from a document has an address to answer to, a name that
// can be shown, and no secret.
func FuzzDocument(f *testing.F) {
	const id = "https://app.example.com/client.json"
	f.Add(`{"client_id":"` + id + `","client_name":"x","redirect_uris":["http://localhost/x"]}`)
	f.Add(`{"client_id":"` + id + `","client_name":"x","redirect_uris":[],"client_secret":"x"}`)
	f.Add(`[{}]`)
	f.Fuzz(func(t *testing.T, text string) {
		client, err := readDocument(id, []byte(text))
		if err != nil {
			return
		}
		_, shown := shownName(client.Name)
		if client.ID != id || client.Method != methodNone || client.Secret != nil || !shown || len(client.Redirects) == 0 {
			t.Fatalf("%q was taken as %+v", text, client)
		}
		for _, redirect := range client.Redirects {
			if redirectFault(redirect) != "" {
				t.Fatalf("%q was taken with %q", text, redirect)
			}
		}
	})
}
