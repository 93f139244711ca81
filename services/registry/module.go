package registry

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/services"
)

// Module runs the registry in this process.
var Module = fx.Module("registry",
	logging.Named("registry"),
	fx.Provide(fx.Private, NewRepository, NewService, NewHandler),
	fx.Provide(local, routes),
)

// Remote reaches the registry in another process.
var Remote = fx.Module("registry-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) Catalog { return c }),
)

func local(s *Service) Catalog { return s }

func routes(h *Handler, pool *pgxpool.Pool) httpserver.Out {
	operations := append(h.operations(),
		api.Internal("/internal/registry/tools", h.service.Tools),
		events.NewOutbox(services.Registry).Operation(services.Registry, pool))
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Registry, Operations: operations}}
}
