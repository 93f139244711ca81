package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/peers"
	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// TestEachHeaderStandsOnce: what both the gateway and a service say about an answer
// is the service's to say.
func TestEachHeaderStandsOnce(t *testing.T) {
	t.Parallel()
	service := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "sandbox")
		w.Header().Set("X-Content-Type-Options", "nosniff")
	})
	tokens := peerstest.Tokens(t)
	t.Cleanup(tokens.Close)
	peer, err := peers.New(services.Storage, "UAOL_STORAGE_URL", service.URL, tokens)
	require.NoError(t, err)
	f := newForwarder(peer, zap.NewNop())
	engine := gin.New()
	engine.GET("/x", func(c *gin.Context) {
		for name, value := range map[string]string{"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			c.Header(name, value)
		}
		f.pass(c, false)
	})
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, []string{"sandbox"}, w.Header().Values("Content-Security-Policy"))
	require.Equal(t, []string{"nosniff"}, w.Header().Values("X-Content-Type-Options"))
	require.Equal(t, []string{"no-referrer"}, w.Header().Values("Referrer-Policy"))
}
