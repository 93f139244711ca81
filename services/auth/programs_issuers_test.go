package auth

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/egress"
	"uaol/providers/peers/peerstest"
	"uaol/services"
	"uaol/services/auth/oidc"
)

// TestTokensOfOtherIssuers count where the operator accepts their issuer, they were
// given for this resource, and their person has signed in here with it.
func TestTokensOfOtherIssuers(t *testing.T) {
	t.Parallel()
	w := startWorld(t, "oidc")
	account, session := w.as(t, ada)
	policy, err := egress.New(egress.Config{Allow: []string{strings.TrimPrefix(w.provider.URL, "http://")}})
	require.NoError(t, err)
	issuers := oidc.NewIssuers([]string{w.provider.URL}, policy)
	t.Cleanup(issuers.Close)
	town := &town{bench: w.bench, url: w.app}
	said := func(changes jwt.MapClaims) jwt.MapClaims {
		claims := jwt.MapClaims{"iss": w.provider.URL, "sub": "ada", "aud": w.app + "/mcp", "exp": time.Now().Add(time.Hour).Unix(), "scope": "openid mcp:write"}
		maps.Copy(claims, changes)
		return claims
	}
	good := w.provider.signed(said(nil))
	require.Equal(t, http.StatusUnauthorized, town.call(t, "/mcp", good).status, "nobody accepts that issuer yet")
	w.service.Accept(issuers)

	got := town.call(t, "/mcp", good)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Contains(t, got.text, `"account":"`+account+`"`)
	for name, test := range map[string]struct {
		path    string
		changes jwt.MapClaims
		status  int
	}{
		"a part, with the whole's":         {"/mcp/p/mine", nil, 200},
		"a part, with its own":             {"/mcp/p/mine", jwt.MapClaims{"aud": []string{"x", w.app + "/mcp/p/mine"}}, 200},
		"the whole, with a part's":         {"/mcp", jwt.MapClaims{"aud": w.app + "/mcp/p/mine"}, 401},
		"another part's":                   {"/mcp/p/mine", jwt.MapClaims{"aud": w.app + "/mcp/p/other"}, 401},
		"a part's search, with the part's": {"/mcp/p/mine/search", jwt.MapClaims{"aud": w.app + "/mcp/p/mine"}, 200},
		"the search, with a part's":        {"/mcp/search", jwt.MapClaims{"aud": w.app + "/mcp/p/mine"}, 401},
		"the whole, with the search's":     {"/mcp", jwt.MapClaims{"aud": w.app + "/mcp/search"}, 401},
		"what is between, but no resource": {"/mcp/p/mine", jwt.MapClaims{"aud": w.app + "/mcp/p"}, 401},
		"for another server":               {"/mcp", jwt.MapClaims{"aud": "https://other.example.com/mcp"}, 401},
		"for a client":                     {"/mcp", jwt.MapClaims{"aud": clientID}, 401},
		"for nobody":                       {"/mcp", jwt.MapClaims{"aud": ""}, 401},
		"for no list":                      {"/mcp", jwt.MapClaims{"aud": []string{}}, 401},
		"expired":                          {"/mcp", jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}, 401},
		"not yet":                          {"/mcp", jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}, 401},
		"another issuer's":                 {"/mcp", jwt.MapClaims{"iss": "https://other.example.com"}, 401},
		"about nobody":                     {"/mcp", jwt.MapClaims{"sub": ""}, 401},
		"about somebody unknown":           {"/mcp", jwt.MapClaims{"sub": "mallory"}, 403},
		"without the scope":                {"/mcp", jwt.MapClaims{"scope": "openid"}, 403},
		"without any scope":                {"/mcp", jwt.MapClaims{"scope": nil}, 403},
		"its scopes in another claim":      {"/mcp", jwt.MapClaims{"scope": nil, "scp": []string{"openid", "mcp:write"}}, 200},
		"where it is no resource of ours":  {"/mcpx", nil, 401},
		"about the account":                {"/auth/me", nil, 401},
	} {
		got := town.call(t, test.path, w.provider.signed(said(test.changes)))
		if test.path == "/auth/me" {
			got.status = w.asks(t, bearer(w.provider.signed(said(nil)))...)
		}
		require.Equal(t, test.status, got.status, "%s: %s", name, got.text)
	}
	for name, token := range map[string]string{
		"without a signature":             by(jwt.SigningMethodNone, said(nil), jwt.UnsafeAllowNoneSignatureType),
		"signed with the client's secret": by(jwt.SigningMethodHS256, said(nil), []byte(clientSecret)),
		"signed with the public key":      by(jwt.SigningMethodHS256, said(nil), w.provider.publicKey()),
		"changed after it was signed":     changed(w.provider.signed(said(nil)), w.provider.signed(said(jwt.MapClaims{"exp": time.Now().Add(2 * time.Hour).Unix()}))),
	} {
		require.Equal(t, http.StatusUnauthorized, town.call(t, "/mcp", token).status, name)
	}

	unknown := town.call(t, "/mcp", w.provider.signed(said(jwt.MapClaims{"sub": "mallory"})))
	require.Contains(t, unknown.text, "ACCOUNT_NOT_LINKED")
	require.Contains(t, unknown.text, "sign in with it here once")
	narrow := town.call(t, "/mcp", w.provider.signed(said(jwt.MapClaims{"scope": "openid"})))
	require.Contains(t, narrow.header.Get("WWW-Authenticate"), `error="insufficient_scope"`)

	// Organisations are chosen as with a sign-in; nobody decides about the platform.
	id := uuid.MustParse(account)
	team := w.team(t, map[uuid.UUID]services.OrgRole{id: services.OrgMember})
	w.admin(t, id)
	inTeam := town.call(t, "/mcp", good, "X-Organization", team.String())
	require.Equal(t, http.StatusOK, inTeam.status, inTeam.text)
	require.Contains(t, inTeam.text, `"organization":"`+team.String()+`"`)
	require.Contains(t, inTeam.text, `"role":"user"`)
	require.Equal(t, http.StatusForbidden, town.call(t, "/mcp", good, "X-Organization", uuid.NewString()).status)

	// Whoever is unlinked is nobody any more; an issuer that is away is no bad token.
	w.execute(t, `DELETE FROM uaol_auth.identities`)
	w.authenticator.known.InvalidateAll()
	require.Equal(t, http.StatusForbidden, town.call(t, "/mcp", good).status)
	require.NotEmpty(t, session)
	w.provider.set(func(p *provider) {
		p.fail = func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusBadGateway); return true }
	})
	away := oidc.NewIssuers([]string{w.provider.URL}, policy)
	t.Cleanup(away.Close)
	w.service.Accept(away)
	require.Equal(t, http.StatusServiceUnavailable, town.call(t, "/mcp", good).status)

	// And one at an address that is closed to us is not asked at all.
	closed, err := egress.New(egress.Config{})
	require.NoError(t, err)
	blocked := oidc.NewIssuers([]string{w.provider.URL}, closed)
	t.Cleanup(blocked.Close)
	w.service.Accept(blocked)
	before := w.provider.asked["/.well-known/openid-configuration"]
	require.Equal(t, http.StatusServiceUnavailable, town.call(t, "/mcp", good).status)
	require.Equal(t, before, w.provider.asked["/.well-known/openid-configuration"])
}

// changed is a token with another one's claims.
func changed(token, other string) string {
	parts := strings.Split(token, ".")
	parts[1] = strings.Split(other, ".")[1]
	return strings.Join(parts, ".")
}

// TestAccessTokensAcrossProcesses: a process without auth asks for which resource a
// token is shown, and the answer is the same.
func TestAccessTokensAcrossProcesses(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	made := w.made(t, "ada@example.com")
	p := w.registered(t, nil)
	p.resource = w.url + "/mcp/p/mine"
	token := p.letIn(t, made).AccessToken
	url := peerstest.Serve(t, routes(w.routes()).Routes.Operations...)
	client, err := NewClient(ClientConfig{URL: url}, peerstest.Tokens(t))
	require.NoError(t, err)
	t.Cleanup(client.peer.Close)
	elsewhere := NewAuthenticator(client, w.bus)
	t.Cleanup(elsewhere.Close)
	family := w.url + "/mcp"
	for _, from := range []*Authenticator{w.authenticator, elsewhere} {
		caller, _, err := from.Authenticate(t.Context(), services.Credentials{Bearer: token, Resource: family + "/p/mine", Family: family})
		require.NoError(t, err)
		require.Equal(t, made.Account.ID, caller.Account)
		for name, c := range map[string]services.Credentials{
			"no resource": {Bearer: token}, "the whole": {Bearer: token, Resource: family, Family: family},
			"another part": {Bearer: token, Resource: family + "/p/other", Family: family}, "as an API key": {APIKey: token, Resource: family + "/p/mine", Family: family},
			"a path that runs into the token": {Bearer: "mine " + token, Resource: family + "/p/", Family: family},
		} {
			_, _, err := from.Authenticate(t.Context(), c)
			require.Equal(t, services.Unauthenticated, services.KindOf(err), name)
		}
	}
}
