package registry

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/providers/peers"
	"uaol/providers/workers"
	"uaol/services"
)

// Module runs the registry in this process.
var Module = fx.Module("registry",
	logging.Named("registry"),
	fx.Provide(fx.Private, NewRepository, NewService, NewHandler),
	fx.Provide(local, routes, outbox, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// Remote reaches the registry in another process.
var Remote = fx.Module("registry-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(func(c *Client) Catalog { return c }, fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func local(s *Service) Catalog { return s }

func keeper(s *Service) services.Custody {
	return services.Custody{Service: services.Registry, Keeper: s}
}

// remoteKeeper is there without an address too: then auth says what it can't do.
func remoteKeeper(cfg ClientConfig, tokens *peers.Tokens) services.Custody {
	client, err := NewClient(cfg, tokens)
	return services.Custody{Service: services.Registry, Keeper: client, Missing: err}
}

func outbox(pool *pgxpool.Pool) workers.Out {
	return workers.Out{Worker: events.NewOutbox(services.Registry).Pruner(pool)}
}

func routes(h *Handler, pool *pgxpool.Pool) httpserver.Out {
	operations := append(h.operations(),
		api.Internal("/internal/registry/tools", h.service.Tools),
		api.Internal("/internal/registry/export", h.service.Export),
		api.Internal("/internal/registry/erase", services.ErasedBy(h.service)),
		events.NewOutbox(services.Registry).Operation(services.Registry, pool))
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Registry, Operations: operations}}
}
