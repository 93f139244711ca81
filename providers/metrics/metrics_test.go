package metrics

import (
	"io"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"

	"uaol/providers/config"
)

func TestMetricsAreShown(t *testing.T) {
	t.Parallel()
	registry := NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "uaol_test_total", Help: "Of a test."})
	registry.MustRegister(counter)
	counter.Add(3)
	lifecycle := fxtest.NewLifecycle(t)
	server := NewServer(Config{Addr: "127.0.0.1:0"}, config.Checked{}, registry, zap.NewNop(), lifecycle)
	require.Nil(t, server.Addr())
	lifecycle.RequireStart()
	url := "http://" + server.Addr().String()
	get := func(path string) (int, string) {
		response, err := http.Get(url + path)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(text)
	}
	status, text := get("/metrics")
	require.Equal(t, 200, status)
	require.Contains(t, text, "uaol_test_total 3")
	require.Contains(t, text, "go_goroutines")
	status, _ = get("/")
	require.Equal(t, 404, status)
	lifecycle.RequireStop()
	_, err := http.Get(url + "/metrics")
	require.Error(t, err)
}

func TestNoAddressNoListener(t *testing.T) {
	t.Parallel()
	lifecycle := fxtest.NewLifecycle(t)
	server := NewServer(Config{}, config.Checked{}, NewRegistry(), zap.NewNop(), lifecycle)
	lifecycle.RequireStart()
	require.Nil(t, server.Addr())
	lifecycle.RequireStop()
}

func TestATakenAddressStopsTheStart(t *testing.T) {
	t.Parallel()
	first := fxtest.NewLifecycle(t)
	taken := NewServer(Config{Addr: "127.0.0.1:0"}, config.Checked{}, NewRegistry(), zap.NewNop(), first)
	first.RequireStart()
	defer first.RequireStop()
	second := fxtest.NewLifecycle(t)
	NewServer(Config{Addr: taken.Addr().String()}, config.Checked{}, NewRegistry(), zap.NewNop(), second)
	require.ErrorContains(t, second.Start(t.Context()), "UAOL_ADMIN_ADDR")
	cfg := Config{Addr: "9090"}
	require.ErrorContains(t, cfg.Check(), "UAOL_ADMIN_ADDR")
}
