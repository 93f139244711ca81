package acceptance

import (
	"crypto/tls"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/providers/tlsfiles/tlsfilestest"
	"uaol/services"
)

// TestServicesShowCertificates: seven processes that believe only each other, from an
// account to a result, and again once all certificates were replaced by another
// authority's; nothing is restarted.
func TestServicesShowCertificates(t *testing.T) {
	t.Parallel()
	authority := tlsfilestest.NewAuthority(t)
	files := authority.Issue(t, t.TempDir(), "uaol")
	tools := world.StartTools(t, "127.0.0.1")
	fleet := world.StartFleet(t, world.Settings{"TOOL_EGRESS_ALLOW": tools.Host(),
		"UAOL_PEER_TLS_CERT": files.Cert, "UAOL_PEER_TLS_KEY": files.Key, "UAOL_PEER_TLS_CA": files.CA}, 1)
	s := &suite{world: fleet.World, tools: tools}
	scenario(t, s)

	outsider := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, DisableKeepAlives: true}}
	billing := fleet.URLs[services.Billing]
	for path, status := range map[string]int{"/readyz": http.StatusOK, "/internal/billing/plans": http.StatusUnauthorized} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, billing+path, nil)
		require.NoError(t, err)
		if path != "/readyz" {
			request.Method = http.MethodPost
		}
		response, err := outsider.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, status, response.StatusCode, path)
	}

	others := tlsfilestest.NewAuthority(t).Issue(t, t.TempDir(), "uaol")
	require.NoError(t, os.Rename(others.CA, files.CA))
	require.NoError(t, os.Rename(others.Cert, files.Cert))
	require.NoError(t, os.Rename(others.Key, files.Key))
	changed := time.Now()
	world.Until(t, "outsiders do not know the new authority", func() bool {
		response, err := outsider.Get(billing + "/readyz")
		if err != nil {
			return true
		}
		require.NoError(t, response.Body.Close())
		return false
	})
	world.Until(t, "services know each other", func() bool { // files are looked at each second
		return time.Since(changed) > 1100*time.Millisecond && s.admin().Do(t, http.MethodGet, "/credits/balance", nil).Status == http.StatusOK
	})
	scenario(t, s)
}
