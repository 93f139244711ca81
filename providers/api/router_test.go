package api_test

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

	"uaol/providers/api"
	"uaol/providers/health"
	"uaol/providers/httpserver"
	"uaol/providers/limits"
	"uaol/providers/telemetry"
	"uaol/services"
)

type nobody struct{}

func (nobody) Authenticate(context.Context, services.Credentials) (services.Caller, string, error) {
	return services.Caller{}, "", nil
}

func (nobody) VerifyPeer(*http.Request) error { return nil }

func (nobody) VerifyService(string, string) (services.Caller, error) { return services.Caller{}, nil }

func (nobody) VerifyOrigin(string) (services.Origin, error) { return services.Origin{}, nil }

func (nobody) Record(context.Context, services.Act) error { return nil }

// TestUnroutedAndPanics: what no operation answers has the contract's words too.
func TestUnroutedAndPanics(t *testing.T) {
	t.Parallel()
	limiter, err := limits.New(limits.Config{PerMinute: 100}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, limiter.Close()) })
	var engine *gin.Engine
	app := fxtest.New(t,
		fx.Provide(httpserver.NewRouter, health.New,
			func() (services.Authenticator, api.ServiceGuard, services.Auditor) {
				return nobody{}, nobody{}, nobody{}
			},
			func() httpserver.Out {
				panics := func(context.Context, services.Caller, *struct{}) (api.Message, error) { panic("hunter2") }
				raw := func(c *gin.Context, _ services.Caller) { panic("hunter2") }
				return httpserver.Out{Routes: httpserver.Routes{Service: services.Auth, Operations: []api.Operation{
					api.Get("/panic", "Panic", panics, api.Allow(api.Public)),
					api.Raw("GET", "/raw", "Panic", raw, api.Allow(api.Public)),
					api.Internal("/internal/auth/panic", func(context.Context, struct{}) (struct{}, error) { panic("hunter2") }),
				}}}
			}),
		fx.Supply(httpserver.Config{}, httpserver.Identity{Set: []services.Name{services.Auth}}, limiter, zap.NewNop(), prometheus.NewRegistry(), telemetry.Tracer{}),
		fx.Populate(&engine), fx.NopLogger)
	app.RequireStart()
	defer app.RequireStop()
	for _, test := range []struct {
		method, path  string
		status        int
		code, message string
	}{
		{"GET", "/nothing", 404, "NOT_FOUND", "Cannot GET /nothing"},
		{"GET", "/panic/", 404, "NOT_FOUND", "Cannot GET /panic/"},
		{"GET", "/<script>", 404, "NOT_FOUND", `Cannot GET /\u003cscript\u003e`},
		{"POST", "/panic", 405, "METHOD_NOT_ALLOWED", "Cannot POST /panic"},
		{"DELETE", "/raw", 405, "METHOD_NOT_ALLOWED", "Cannot DELETE /raw"},
		{"GET", "/panic", 500, "INTERNAL_ERROR", "An internal error occurred"},
		{"GET", "/raw", 500, "INTERNAL_ERROR", "An internal error occurred"},
		{"POST", "/internal/auth/panic", 500, "INTERNAL_ERROR", "An internal error occurred"},
	} {
		request := httptest.NewRequest(test.method, "/", strings.NewReader(""))
		request.URL.Path = test.path
		recorder := httptest.NewRecorder()
		engine.ServeHTTP(recorder, request)
		require.Equal(t, test.status, recorder.Code, recorder.Body)
		require.Contains(t, recorder.Body.String(), `{"success":false,"error":{"code":"`+test.code+`","message":"`+test.message+`"}}`)
		require.NotEmpty(t, recorder.Header().Get(api.RequestHeader))
		if test.status == http.StatusMethodNotAllowed {
			require.NotEmpty(t, recorder.Header().Get("Allow"))
		}
	}
}
