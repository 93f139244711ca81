package jobs

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/llm"
	"uaol/providers/logging"
	"uaol/providers/peers"
	"uaol/providers/telemetry"
	"uaol/providers/workers"
	"uaol/services"
	"uaol/services/auth/modelkeys"
	"uaol/services/billing"
	"uaol/services/registry"
)

// Module runs the jobs service in this process.
var Module = fx.Module("jobs",
	logging.Named("jobs"),
	events.Owner(services.Jobs),
	config.For[Config](),
	fx.Provide(fx.Private, repository, service, models, NewEngine, NewHandler, NewArchiver),
	fx.Provide(fx.Private, NewCallbacks, NewCallbacksHandler),
	fx.Provide(callbackRoutes, callbacks),
	fx.Provide(fx.Private, NewScheduler),
	fx.Provide(schedules),
	fx.Provide(local, runner, routes, engine, heartbeats, timers, archiver, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// Remote reaches the jobs service in another process.
var Remote = fx.Module("jobs-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) billing.JobDirectory { return c }, func(c *Client) Runner { return c }, fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func local(s *Service) billing.JobDirectory { return s }

func runner(s *Service) Runner { return s }

func keeper(s *Service) services.Custody {
	return services.Custody{Service: services.Jobs, Keeper: s}
}

// remoteKeeper is there without an address too: then auth says what it can't do.
func remoteKeeper(cfg ClientConfig, tokens *peers.Tokens) services.Custody {
	client, err := NewClient(cfg, tokens)
	return services.Custody{Service: services.Jobs, Keeper: client, Missing: err}
}

func routes(h *Handler, pool *pgxpool.Pool, outlet events.Outlet) httpserver.Out {
	operations := append(h.operations(),
		api.Internal("/internal/jobs/ended", h.service.Ended),
		api.Internal("/internal/jobs/runnable", h.service.Runnable),
		api.Internal("/internal/jobs/begin", h.service.Begin),
		api.Internal("/internal/jobs/standing", h.service.Standing),
		api.Internal("/internal/jobs/answer", done(h.service.Answer)),
		api.Internal("/internal/jobs/stop", done(h.service.Stop)),
		api.Internal("/internal/jobs/export", h.service.Export),
		api.Internal("/internal/jobs/erase", services.ErasedBy(h.service)))
	operations = append(operations, events.NewOutbox(services.Jobs).Operations(services.Jobs, pool)...)
	operations = append(operations, events.NewOutbox(services.Jobs).Administration(pool, outlet)...)
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Jobs, Operations: operations}}
}

// done is a use case without a result in the form of an internal operation.
func done[In any](do func(context.Context, In) error) func(context.Context, In) (struct{}, error) {
	return func(ctx context.Context, in In) (struct{}, error) { return struct{}{}, do(ctx, in) }
}

func callbackRoutes(h *CallbacksHandler) httpserver.Out {
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Jobs, Operations: h.operations()}}
}

func callbacks(c *Callbacks) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "jobs-callbacks", Run: c.Run}}
}

func engine(e *Engine, tracer telemetry.Tracer, metrics *prometheus.Registry) workers.Out {
	e.Watched(tracer, metrics)
	return workers.Out{Worker: workers.Worker{Name: "jobs-engine", Run: e.Run}}
}

func heartbeats(e *Engine) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "jobs-heartbeat", Run: e.Heartbeat}}
}

func schedules(s *Scheduler) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "jobs-schedules", Run: workers.Every(schedulesEvery, s.Round)}}
}

func timers(e *Engine) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "jobs-timers", Run: e.Timers}}
}

func repository(pool *pgxpool.Pool, outlet events.Outlet, lifecycle fx.Lifecycle) *Repository {
	r := NewRepository(pool).Telling(outlet.Open())
	lifecycle.Append(fx.StopHook(r.Close))
	return r
}

func service(repository *Repository, engine *Engine, catalog registry.Catalog, meter billing.Meter, policy *egress.Policy, bus *events.Bus, log *zap.Logger, lifecycle fx.Lifecycle) *Service {
	s := NewService(repository, engine, catalog, meter, policy, bus, log)
	lifecycle.Append(fx.StopHook(s.Close))
	return s
}

func models(keys modelkeys.Keys, client *llm.Client) Models {
	return Models{Keys: keys, Client: client}
}

func archiver(a *Archiver) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "jobs-archive", Run: workers.Every(archiveEvery, a.Round)}}
}
