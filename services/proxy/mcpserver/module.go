package mcpserver

import (
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/httpserver"
	"uaol/providers/keyring"
	"uaol/providers/logging"
	"uaol/providers/workers"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/jobs"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// Module runs the endpoint where the proxy runs: what tools say and ask in the middle of
// a call then has no further way to go.
var Module = fx.Module("mcp",
	logging.Named("mcp"),
	fx.Provide(fx.Private, NewRepository, endpoint, NewHandler),
	fx.Provide(routes, sweeper),
)

func endpoint(cfg httpserver.Config, calls *proxy.Service, catalog registry.Catalog, meter billing.Meter, ring *keyring.Ring, repository *Repository, once *proxy.Once, runner jobs.Runner, log *zap.Logger, lifecycle fx.Lifecycle) *Endpoint {
	e := NewEndpoint(cfg, calls, catalog, meter, ring, repository, once, runner, log)
	lifecycle.Append(fx.StopHook(e.Close))
	return e
}

func routes(h *Handler) httpserver.Out {
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Proxy, Operations: h.operations()}}
}

// sweepEvery is how often is forgotten what nobody waits for any more.
const sweepEvery = 5 * time.Minute

func sweeper(e *Endpoint) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "mcp-sweeper", Run: workers.Every(sweepEvery, e.Sweep)}}
}
