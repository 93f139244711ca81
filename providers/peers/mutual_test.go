package peers_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/peers"
	"uaol/providers/peers/peerstest"
	"uaol/providers/tlsfiles"
	"uaol/providers/tlsfiles/tlsfilestest"
	"uaol/services"
)

// mutual is a process that has a certificate.
func mutual(t *testing.T, files tlsfiles.Files) *peers.Tokens {
	t.Helper()
	tokens, err := peers.NewTokens(peers.Config{Secret: peerstest.Secret, Cert: files.Cert, Key: files.Key, CA: files.CA}, false, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(tokens.Close)
	return tokens
}

// TestMutualTLS: services of ours show certificates of one authority. Whoever has a
// token and no such certificate is refused, and so is a server without one; ordinary
// operations of the same listener are open to all.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	gin.SetMode(gin.ReleaseMode)
	ours, theirs := tlsfilestest.NewAuthority(t), tlsfilestest.NewAuthority(t)
	operation := api.Internal("/internal/billing/double", func(_ context.Context, in number) (number, error) { return number{2 * in.N}, nil })
	serve := func(files tlsfiles.Files, tls bool) string {
		engine := gin.New()
		api.Mount(engine, api.Guards{Service: mutual(t, files)}, true, operation)
		engine.GET("/open", func(*gin.Context) {})
		server := httptest.NewUnstartedServer(engine)
		server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
		if !tls {
			server.Start()
		} else {
			pair, err := tlsfiles.Open(files, zap.NewNop())
			require.NoError(t, err)
			server.TLS = pair.ServerConfig()
			server.StartTLS()
		}
		t.Cleanup(server.Close)
		return server.URL
	}
	call := func(url string, tokens *peers.Tokens) error {
		p, err := peers.New(services.Billing, "UAOL_BILLING_URL", url, tokens)
		require.NoError(t, err)
		got, err := peers.Call[number, number](t.Context(), p, "double", number{4})
		if err == nil {
			require.Equal(t, number{8}, got)
		}
		return err
	}
	dir := t.TempDir()
	url := serve(ours.Issue(t, dir, "billing"), true)
	require.NoError(t, call(url, mutual(t, ours.Issue(t, dir, "jobs"))))

	err := call(url, mutual(t, theirs.Issue(t, t.TempDir(), "jobs")))
	require.True(t, services.Is(err, services.Unavailable), err)
	require.ErrorContains(t, err, "unknown authority", "it does not believe the server")
	err = call(serve(theirs.Issue(t, t.TempDir(), "billing"), true), mutual(t, ours.Issue(t, dir, "proxy")))
	require.ErrorContains(t, err, "unknown authority")

	err = call(serve(ours.Issue(t, dir, "plain"), false), mutual(t, ours.Issue(t, dir, "auth")))
	require.ErrorContains(t, err, "UAOL_PEER_TLS_CA", "nobody has shown anything on a plain connection")

	// With a token alone.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ours.Pool()}, DisableKeepAlives: true}}
	token, err := peerstest.Tokens(t).Sign(services.Billing, ada)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/internal/billing/double", strings.NewReader(`{"N":1}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	response, err = client.Get(url + "/open")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}
