package jobs

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/providers/workers"
	"uaol/services"
	"uaol/services/billing"
)

// Module runs the jobs service in this process.
var Module = fx.Module("jobs",
	logging.Named("jobs"),
	fx.Provide(fx.Private, NewRepository, NewService, NewEngine, NewHandler),
	fx.Provide(local, routes, engine, heartbeats),
)

// Remote reaches the jobs service in another process.
var Remote = fx.Module("jobs-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) billing.JobDirectory { return c }),
)

func local(s *Service) billing.JobDirectory { return s }

func routes(h *Handler, pool *pgxpool.Pool) httpserver.Out {
	operations := append(h.operations(),
		api.Internal("/internal/jobs/ended", h.service.Ended),
		events.NewOutbox(services.Jobs).Operation(services.Jobs, pool))
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Jobs, Operations: operations}}
}

func engine(e *Engine) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "jobs-engine", Run: e.Run}}
}

func heartbeats(e *Engine) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "jobs-heartbeat", Run: e.Heartbeat}}
}
