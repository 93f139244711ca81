package gateway

import (
	"github.com/gin-gonic/gin"
	"go.uber.org/fx"

	"uaol/providers/api"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/services"
	"uaol/services/auth"
	"uaol/services/billing"
	"uaol/services/jobs"
	"uaol/services/proxy"
	"uaol/services/registry"
	"uaol/services/storage"
)

// Module runs the gateway in this process.
var Module = fx.Module("gateway",
	logging.Named("gateway"),
	fx.Provide(fx.Private, places, NewUpstreams, NewHandler),
	fx.Provide(routes, page),
)

// Remote is empty: no service ever calls the gateway.
var Remote = fx.Module("gateway-remote")

// addresses are given by the services that do not run in this process.
type addresses struct {
	fx.In
	Auth     auth.ClientConfig     `optional:"true"`
	Registry registry.ClientConfig `optional:"true"`
	Proxy    proxy.ClientConfig    `optional:"true"`
	Jobs     jobs.ClientConfig     `optional:"true"`
	Billing  billing.ClientConfig  `optional:"true"`
	Storage  storage.ClientConfig  `optional:"true"`
}

func places(a addresses) []Place {
	return []Place{
		{services.Auth, "UAOL_AUTH_URL", a.Auth.URL, auth.Operations},
		{services.Registry, "UAOL_REGISTRY_URL", a.Registry.URL, registry.Operations},
		{services.Proxy, "UAOL_PROXY_URL", a.Proxy.URL, proxy.Operations},
		{services.Jobs, "UAOL_JOBS_URL", a.Jobs.URL, jobs.Operations},
		{services.Billing, "UAOL_BILLING_URL", a.Billing.URL, billing.Operations},
		{services.Storage, "UAOL_STORAGE_URL", a.Storage.URL, storage.Operations},
	}
}

// routes end with connections that were opened and not used yet: services that
// stop would wait for them.
func routes(h *Handler, lifecycle fx.Lifecycle) httpserver.Out {
	operations := h.operations()
	for _, u := range h.upstreams {
		f := newForwarder(u.Peer)
		lifecycle.Append(fx.StopHook(f.transport.CloseIdleConnections))
		for _, op := range u.Operations {
			operations = append(operations, op.By(f.serve))
		}
	}
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Gateway, Operations: operations}}
}

func page() httpserver.Extra {
	return httpserver.Extra{Mount: func(engine *gin.Engine) {
		engine.GET("/", servePage)
		engine.HEAD("/", servePage)
	}}
}

// refuse answers like any unknown path.
func refuse(c *gin.Context) {
	api.Fail(c, services.Errorf(services.NotFound, "Cannot %s %s", c.Request.Method, c.Request.URL.Path))
}
