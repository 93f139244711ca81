package acceptance

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"uaol/acceptance/world"
)

// programs are let in through the gateway, wherever auth runs: what they find there names
// the address at which they asked, and the page's cookies come through.
func programs(t *testing.T, s *suite) {
	address := email()
	registered := s.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": address, "password": "correct horse"})
	require.Equal(t, http.StatusCreated, registered.Status, registered)
	me := s.nobody().As(registered.Text("data.token"))

	resource := s.nobody().Do(t, http.MethodGet, "/.well-known/oauth-protected-resource/mcp", nil)
	require.Equal(t, s.nobody().Base+"/mcp", resource.Text("resource"), resource)
	server := s.nobody().Do(t, http.MethodGet, "/.well-known/oauth-authorization-server", nil)
	require.Equal(t, resource.Text("authorization_servers.0"), server.Text("issuer"), server)
	require.Equal(t, s.nobody().Base+"/oauth/token", server.Text("token_endpoint"), server)
	program := s.nobody().Do(t, http.MethodPost, "/oauth/register", object{"client_name": "A program", "redirect_uris": []string{"http://127.0.0.1/back"},
		"grant_types": []string{"authorization_code", "refresh_token"}})
	require.Equal(t, http.StatusCreated, program.Status, program)

	verifier := oauth2.GenerateVerifier()
	query := url.Values{
		"response_type": {"code"}, "client_id": {program.Text("client_id")}, "redirect_uri": {"http://127.0.0.1:8765/back"}, "state": {"s"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}, "resource": {resource.Text("resource")},
	}
	to := s.nobody().Allow(t, "/oauth/authorize?"+query.Encode(), address, "correct horse")
	require.Equal(t, server.Text("issuer"), to.Query().Get("iss"))

	asked := s.nobody().With("Content-Type", "application/x-www-form-urlencoded")
	request, err := http.NewRequest(http.MethodPost, "http://x", nil)
	require.NoError(t, err)
	request.SetBasicAuth(program.Text("client_id"), program.Text("client_secret"))
	asked = asked.With("Authorization", request.Header.Get("Authorization"))
	tokens := asked.Do(t, http.MethodPost, "/oauth/token", world.Raw(url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "code_verifier": {verifier}}.Encode()))
	require.Equal(t, http.StatusOK, tokens.Status, tokens)
	fresh := asked.Do(t, http.MethodPost, "/oauth/token", world.Raw(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Text("refresh_token")}}.Encode()))
	require.Equal(t, http.StatusOK, fresh.Status, fresh)
	refused(t, s.nobody().As(fresh.Text("access_token")).Do(t, http.MethodGet, "/auth/me", nil), http.StatusUnauthorized, "AUTHENTICATION_ERROR", "it is for /mcp alone")

	grants := me.Do(t, http.MethodGet, "/auth/grants", nil)
	require.Equal(t, "A program", grants.Text("data.0.clientName"), grants)
	require.Equal(t, http.StatusOK, me.Do(t, http.MethodDelete, "/auth/grants/"+grants.Text("data.0.id"), nil).Status)
	over := asked.Do(t, http.MethodPost, "/oauth/token", world.Raw(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fresh.Text("refresh_token")}}.Encode()))
	require.Equal(t, "invalid_grant", over.Text("error"), over)
}
