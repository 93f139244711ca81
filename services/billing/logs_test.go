package billing

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/api"
	"uaol/providers/health"
	"uaol/providers/httpserver"
	"uaol/providers/limits"
	"uaol/providers/telemetry"
	"uaol/services"
	"uaol/services/billing/payments"
)

// noPeers serves nobody's internal requests.
type noPeers struct{}

func (noPeers) VerifyPeer(*http.Request) error { return nil }

func (noPeers) VerifyService(string, string) (services.Caller, error) {
	return services.Caller{}, services.Errorf(services.Unauthenticated, "nobody")
}

func (noPeers) VerifyOrigin(string) (services.Origin, error) { return services.Origin{}, nil }

// logged is the program's own router with some operations, and its log.
func (s *site) logged(t testing.TB, operations ...api.Operation) (*gin.Engine, *observer.ObservedLogs) {
	t.Helper()
	core, log := observer.New(zapcore.DebugLevel)
	limiter, err := limits.New(limits.Config{PerMinute: 100}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, limiter.Close()) })
	var engine *gin.Engine
	app := fxtest.New(t,
		fx.Provide(httpserver.NewRouter, health.New,
			func() (services.Authenticator, api.ServiceGuard, services.Auditor) { return s, noPeers{}, s },
			func() httpserver.Out {
				return httpserver.Out{Routes: httpserver.Routes{Service: services.Billing, Operations: operations}}
			}),
		fx.Supply(httpserver.Config{}, httpserver.Identity{Set: []services.Name{services.Billing}}, limiter, zap.New(core), prometheus.NewRegistry(), telemetry.Tracer{}),
		fx.Populate(&engine), fx.NopLogger)
	app.RequireStart()
	t.Cleanup(app.RequireStop)
	return engine, log
}

// TestRefusedDeliveriesAreNoErrors in the log: anybody can send them.
func TestRefusedDeliveriesAreNoErrors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	engine, log := (&site{}).logged(t, b.shopping(t, nowhere, payments.Pages{}).operations()...)
	for _, signature := range []string{"", "nonsense", "t=1,v1=00"} {
		request := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/billing/webhook/stripe", strings.NewReader(`{"id":"evt_1"}`))
		request.Header.Set("Stripe-Signature", signature)
		recorder := httptest.NewRecorder()
		engine.ServeHTTP(recorder, request)
		require.Equal(t, http.StatusBadRequest, recorder.Code, recorder.Body)
	}
	require.Equal(t, 3, log.FilterMessage("request").Len())
	for _, e := range log.All() {
		require.Equal(t, zapcore.InfoLevel, e.Level, e.Message)
	}
}

// TestWhatIsNotSetUpIsNoError in the log, whoever asks for it.
func TestWhatIsNotSetUpIsNoError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	engine, log := (&site{caller: user()}).logged(t, b.handler(t).operations()...)
	for path, body := range map[string]string{
		"/billing/webhook/stripe": "{}", "/billing/checkout": `{"pack":"small"}`, "/billing/subscribe": `{"tier":"Pro"}`,
		"/billing/subscription/cancel": "{}", "/billing/portal": "{}",
	} {
		request := httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		engine.ServeHTTP(recorder, request)
		require.Equal(t, http.StatusServiceUnavailable, recorder.Code, recorder.Body)
		require.Contains(t, recorder.Body.String(), "BILLING_NOT_CONFIGURED")
	}
	require.Equal(t, 5, log.FilterMessage("request").FilterLevelExact(zapcore.WarnLevel).Len())
	require.Equal(t, 5, log.Len())
}
