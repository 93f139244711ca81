package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"uaol/services"
	"uaol/services/auth/oauth"
)

var challengeForm = regexp.MustCompile(`^Bearer resource_metadata="([^"]+)", scope="([^"]+)"$`)

// TestAProgramFindsItsWayIn knowing nothing but the resource's address, as MCP's
// authorization has it, and uses what it got.
func TestAProgramFindsItsWayIn(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")

	refused := send(t, plain(), http.MethodPost, w.url+"/mcp", "")
	require.Equal(t, http.StatusUnauthorized, refused.status)
	challenge := challengeForm.FindStringSubmatch(refused.header.Get("WWW-Authenticate"))
	require.NotNil(t, challenge, refused.header.Get("WWW-Authenticate"))
	require.Equal(t, w.url+"/.well-known/oauth-protected-resource/mcp", challenge[1])

	var resource oauth.ProtectedResource
	require.NoError(t, json.Unmarshal([]byte(send(t, plain(), http.MethodGet, challenge[1], "").text), &resource))
	require.Equal(t, w.url+"/mcp", resource.Resource)
	require.Equal(t, []string{w.url}, resource.AuthorizationServers)
	require.Equal(t, []string{challenge[2]}, resource.ScopesSupported)

	var server oauth.AuthorizationServer
	got := send(t, plain(), http.MethodGet, resource.AuthorizationServers[0]+"/.well-known/oauth-authorization-server", "")
	require.Contains(t, got.header.Get("Content-Type"), "application/json")
	require.NoError(t, json.Unmarshal([]byte(got.text), &server))
	require.Equal(t, w.url, server.Issuer)
	require.Equal(t, []string{"S256"}, server.ChallengeMethods)
	require.Equal(t, []string{"code"}, server.ResponseTypesSupported)
	require.Equal(t, []string{"authorization_code", "refresh_token"}, server.GrantTypesSupported)
	require.True(t, server.Iss)
	require.True(t, server.Documents)

	got = send(t, plain(), http.MethodPost, server.RegistrationEndpoint, `{"client_name":"Notes","redirect_uris":["http://localhost/back?from=uaol"],
		"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none"}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusCreated, got.status, got.text)
	id, _ := got.json(t)["client_id"].(string)
	require.NotContains(t, got.text, "client_secret")

	client := oauth2.Config{ClientID: id, RedirectURL: "http://localhost:5173/back?from=uaol", Scopes: []string{challenge[2], "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: server.AuthorizationEndpoint, TokenURL: server.TokenEndpoint}}
	verifier, state := oauth2.GenerateVerifier(), "a state & more"
	v := w.visitor(t)
	page := v.open(client.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("resource", resource.Resource)))
	require.Equal(t, http.StatusOK, page.status, page.text)
	require.Contains(t, page.text, "<strong>Notes</strong>")
	consent := v.signIn(page, "Ada@Example.com", "correct horse")
	for _, told := range []string{"<strong>Notes</strong>", "localhost:5173", "ada@example.com", resource.Resource, "nobody has checked", "this computer itself"} {
		require.Contains(t, consent.text, told)
	}
	back := v.decide(consent, "allow", ada.Account.Organization.String())
	require.Equal(t, http.StatusSeeOther, back.status, back.text)
	require.Equal(t, "no-store", back.header.Get("Cache-Control"))
	to, err := url.Parse(back.header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "http://localhost:5173/back", to.Scheme+"://"+to.Host+to.Path)
	for name, want := range map[string]string{"state": state, "iss": server.Issuer, "from": "uaol"} {
		require.Equal(t, []string{want}, to.Query()[name])
	}

	// Nobody says how the client shows who it is: x/oauth2 tries.
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, plain())
	tokens, err := client.Exchange(ctx, to.Query().Get("code"), oauth2.VerifierOption(verifier), oauth2.SetAuthURLParam("resource", resource.Resource))
	require.NoError(t, err)
	require.Equal(t, "Bearer", tokens.TokenType)
	require.Equal(t, "mcp:write", tokens.Extra("scope"))
	require.InDelta(t, 900, tokens.Extra("expires_in"), 0)

	var who whoCalls
	called := w.call(t, "/mcp", tokens.AccessToken)
	require.Equal(t, http.StatusOK, called.status, called.text)
	require.NoError(t, json.Unmarshal([]byte(called.text), &who))
	require.Equal(t, ada.Account.ID, who.Account)
	require.Equal(t, ada.Account.Organization, who.Organization)
	require.Equal(t, services.Scopes("mcp:write"), who.Scopes)
	require.Equal(t, services.RoleUser, who.Role)
	require.True(t, who.Personal)

	tokens.Expiry = tokens.Expiry.AddDate(-1, 0, 0)
	fresh, err := client.TokenSource(ctx, tokens).Token()
	require.NoError(t, err)
	require.NotEqual(t, tokens.AccessToken, fresh.AccessToken)
	require.NotEqual(t, tokens.RefreshToken, fresh.RefreshToken)
	require.Equal(t, http.StatusOK, w.call(t, "/mcp", fresh.AccessToken).status)

	// None of the secrets stands in the database.
	dump := w.dump(t)
	for _, secret := range []string{tokens.AccessToken, tokens.RefreshToken, fresh.AccessToken, fresh.RefreshToken, to.Query().Get("code")} {
		require.NotContains(t, dump, secret)
	}

	list := w.request(t, ada.Token, http.MethodGet, "/auth/grants")
	require.Equal(t, http.StatusOK, list.Status, list.Text)
	var grants struct{ Data []oauth.Grant }
	require.NoError(t, json.Unmarshal([]byte(list.Text), &grants))
	require.Len(t, grants.Data, 1)
	require.Equal(t, "Notes", grants.Data[0].ClientName)
	require.Equal(t, []string{"mcp:write"}, grants.Data[0].Scopes)
	require.Contains(t, w.request(t, ada.Token, http.MethodGet, "/auth/sessions").Text, `"method":"oauth"`)

	bob := w.made(t, "bob@example.com")
	path := "/auth/grants/" + grants.Data[0].ID.String()
	require.Equal(t, http.StatusNotFound, w.request(t, bob.Token, http.MethodDelete, path).Status, "it is not his")
	require.Equal(t, http.StatusNotFound, w.request(t, ada.Token, http.MethodDelete, "/auth/grants/"+uuid.NewString()).Status)
	require.Equal(t, http.StatusOK, w.call(t, "/mcp", fresh.AccessToken).status)
	require.Equal(t, http.StatusOK, w.request(t, ada.Token, http.MethodDelete, path).Status)
	require.Equal(t, http.StatusUnauthorized, w.call(t, "/mcp", fresh.AccessToken).status, "at once")
	require.JSONEq(t, `{"success":true,"data":[]}`, w.request(t, ada.Token, http.MethodGet, "/auth/grants").Text)
	_, err = client.TokenSource(ctx, &oauth2.Token{RefreshToken: fresh.RefreshToken}).Token()
	require.ErrorContains(t, err, "invalid_grant")

	for _, action := range []string{"client.register", "session.begin", "grant.create", "grant.end"} {
		require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = $1 AND outcome = 'done'`, action), action)
	}
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'grant.create' AND account_id = $1 AND organization_id = $2 AND details ->> 'client' = $3`,
		ada.Account.ID, ada.Account.Organization, id))
}

// request is a request with somebody's token.
func (w *town) request(t testing.TB, token, method, path string) answer {
	t.Helper()
	return w.do(t, method, path, "", "Authorization", "Bearer "+token)
}

// TestMetadataOfResources: each is described at its own path, and nothing else is.
func TestMetadataOfResources(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	for path, resource := range map[string]string{
		"": "", "/mcp": "/mcp", "/mcp/p/mine": "/mcp/p/mine", "/mcp/t/0199c0de-0000-7000-8000-000000000001": "/mcp/t/0199c0de-0000-7000-8000-000000000001",
		"/mcp/search": "/mcp/search", "/mcp/p/mine/search": "/mcp/p/mine/search", "/mcp/p/search": "/mcp/p/search",
	} {
		got := send(t, plain(), http.MethodGet, w.url+"/.well-known/oauth-protected-resource"+path, "")
		require.Equal(t, http.StatusOK, got.status, got.text)
		require.Equal(t, w.url+resource, got.json(t)["resource"])
	}
	for _, path := range []string{"/jobs", "/mcp/x/mine", "/mcp/p", "/mcp/p/a%22b", "/mcp/p/-x", "/mcp/search/x", "/mcp/t/mine/search", "/mcp/p/-x/search", "/mcp/p/mine/search/search", "/mcp/p/mine/x"} {
		got := send(t, plain(), http.MethodGet, w.url+"/.well-known/oauth-protected-resource"+path, "")
		require.Equal(t, http.StatusNotFound, got.status, path)
	}

	// Credentials that are bad here are not asked for, and refuse nobody.
	got := send(t, plain(), http.MethodGet, w.url+"/.well-known/oauth-authorization-server", "", "Authorization", "Bearer bad")
	require.Equal(t, http.StatusOK, got.status)

	public := openTown(t, func(b *bench) {
		b.public = "https://uaol.example.com"
		b.oauthConfig.Registration, b.oauthConfig.Issuers = "off", []string{"https://login.example.com"}
	})
	got = send(t, plain(), http.MethodGet, public.url+"/.well-known/oauth-authorization-server", "")
	require.Equal(t, "https://uaol.example.com", got.json(t)["issuer"])
	require.NotContains(t, got.json(t), "registration_endpoint")
	got = send(t, plain(), http.MethodGet, public.url+"/.well-known/oauth-protected-resource/mcp", "")
	require.Equal(t, []any{"https://uaol.example.com", "https://login.example.com"}, got.json(t)["authorization_servers"])
	got = send(t, plain(), http.MethodPost, public.url+"/mcp", "")
	require.Equal(t, `Bearer resource_metadata="https://uaol.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp:write"`, got.header.Get("WWW-Authenticate"))
}

// TestATokenIsForOneResource, and for what lies below it, and for nothing else, whatever
// it was shown for a moment before.
func TestATokenIsForOneResource(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ada := w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	whole := p.letIn(t, ada).AccessToken
	p.resource = w.url + "/mcp/p/mine"
	part := p.letIn(t, ada).AccessToken
	tool := "/mcp/t/0199c0de-0000-7000-8000-000000000001"
	p.resource = w.url + tool
	one := p.letIn(t, ada).AccessToken
	p.resource = w.url + "/mcp/search"
	search := p.letIn(t, ada).AccessToken
	p.resource = w.url + "/mcp/p/mine/search"
	partSearch := p.letIn(t, ada).AccessToken
	_, limited, err := w.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "jobs", Scopes: []string{"jobs:write"}})
	require.NoError(t, err)
	_, fitting, err := w.service.AddKey(t.Context(), ada.Account.Caller(), KeyRequest{Name: "mcp", Scopes: []string{"mcp:write"}})
	require.NoError(t, err)

	tokens := map[string]string{"whole": whole, "part": part, "tool": one, "search": search, "part's search": partSearch, "session": ada.Token, "key": ada.Key, "key for it": fitting, "key for jobs": limited, "nonsense": "uat_nonsense"}
	for _, test := range []struct {
		path string
		open map[string]int // all others are refused with 401
	}{
		{"/mcp", map[string]int{"whole": 200, "session": 200, "key": 200, "key for it": 200, "key for jobs": 403}},
		{"/mcp/p/mine", map[string]int{"whole": 200, "part": 200, "session": 200, "key": 200, "key for it": 200, "key for jobs": 403}},
		{"/mcp/p/m%69ne", map[string]int{"whole": 200, "part": 200, "session": 200, "key": 200, "key for it": 200, "key for jobs": 403}},
		{"/mcp/p/others", map[string]int{"whole": 200, "session": 200, "key": 200, "key for it": 200, "key for jobs": 403}},
		{"/mcp/search", map[string]int{"whole": 200, "search": 200, "session": 200, "key": 200, "key for it": 200, "key for jobs": 403}},
		{"/mcp/p/mine/search", map[string]int{"whole": 200, "part": 200, "part's search": 200, "session": 200, "key": 200, "key for it": 200, "key for jobs": 403}},
		{"/mcp/p/others/search", map[string]int{"whole": 200, "session": 200, "key": 200, "key for it": 200, "key for jobs": 403}},
		{"/mcp/p/search", map[string]int{"whole": 200, "session": 200, "key": 200, "key for it": 200, "key for jobs": 403}},
		{tool, map[string]int{"whole": 200, "tool": 200, "session": 200, "key": 200, "key for it": 200, "key for jobs": 403}},
		{"/mcpx", map[string]int{"session": 200, "key": 200, "key for it": 403, "key for jobs": 403}},
		{"/auth/keys", map[string]int{"session": 400, "key": 400, "key for it": 403, "key for jobs": 403}}, // a key needs a name
	} {
		for round := range 2 { // the second one from memory
			for name, token := range tokens {
				want, ok := test.open[name]
				if !ok {
					want = http.StatusUnauthorized
				}
				got := w.call(t, test.path, token)
				require.Equal(t, want, got.status, "%s at %s, round %d: %s", name, test.path, round, got.text)
				says := got.header.Get("WWW-Authenticate")
				metadata := `resource_metadata="` + w.url + `/.well-known/oauth-protected-resource` + unescaped(t, test.path) + `", scope="mcp:write"`
				switch {
				case test.path == "/mcpx" || test.path == "/auth/keys" || want == 200:
					require.Empty(t, says)
				case want == http.StatusUnauthorized:
					require.Equal(t, `Bearer error="invalid_token", `+metadata, says)
				default:
					require.Equal(t, `Bearer error="insufficient_scope", `+metadata, says)
				}
			}
		}
	}

	// Nor does it count where the same server is called otherwise.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/mcp", nil)
	require.NoError(t, err)
	request.Host = "other.example.com"
	request.Header.Set("Authorization", "Bearer "+whole)
	response, err := plain().Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.Contains(t, response.Header.Get("WWW-Authenticate"), `"http://other.example.com/`)
}

func unescaped(t testing.TB, path string) string {
	t.Helper()
	plain, err := url.PathUnescape(path)
	require.NoError(t, err)
	return plain
}
