package httpserver

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"uaol/providers/telemetry"
)

// TestObservingAllocatesNothing: where nothing is exported a request that is counted
// costs no memory more than one that is not.
func TestObservingAllocatesNothing(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	measure := func(handlers ...gin.HandlerFunc) float64 {
		engine := gin.New()
		engine.Use(handlers...)
		engine.GET("/tools/:toolId", func(*gin.Context) {})
		request, writer := httptest.NewRequest(http.MethodGet, "/tools/7", nil), httptest.NewRecorder()
		return testing.AllocsPerRun(1000, func() { engine.ServeHTTP(writer, request) })
	}
	bare := measure(func(c *gin.Context) { c.Next() })
	observed := measure(newObserver(telemetry.Tracer{}, prometheus.NewRegistry()).observe)
	require.Equal(t, bare, observed) //nolint:testifylint // whole numbers
}
