package registry

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/providers/peers"
	"uaol/providers/upstream"
	"uaol/providers/workers"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// Module runs the registry in this process.
var Module = fx.Module("registry",
	logging.Named("registry"),
	fx.Provide(fx.Private, NewRepository, inspector, wallet, NewService, NewHandler, credentials.NewService, credentials.NewHandler),
	fx.Provide(local, routes, outbox, catalog, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// Remote reaches the registry in another process.
var Remote = fx.Module("registry-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(remote, catalog, fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func inspector(c *upstream.Client) Inspector { return c }

func wallet(s *credentials.Service) Wallet { return s }

func local(s *Service, pool *pgxpool.Pool, p cacheParams) (*Cache, error) {
	outbox := events.NewOutbox(services.Registry)
	return p.keep(NewCache(s, func(ctx context.Context, in events.RecentRequest) ([]events.Event, error) {
		return outbox.Recent(ctx, pool, in)
	}, p.Bus))
}

func remote(c *Client, p cacheParams) (*Cache, error) { return p.keep(NewCache(c, c.Recent, p.Bus)) }

type cacheParams struct {
	fx.In
	Bus       *events.Bus
	Metrics   *prometheus.Registry
	Log       *zap.Logger
	Lifecycle fx.Lifecycle
}

// keep ties the cache's loop to the process's life. It is no contribution to the
// group of workers: that would build it, and want the registry's address, in
// processes that never ask for a tool.
func (p cacheParams) keep(c *Cache) (*Cache, error) {
	p.Lifecycle.Append(fx.StopHook(c.Close))
	workers.Attach(p.Lifecycle, p.Log, workers.Worker{Name: "registry-follower", Run: c.Run})
	return c, p.Metrics.Register(c)
}

func catalog(c *Cache) Catalog { return c }

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

func routes(h *Handler, c *credentials.Handler, pool *pgxpool.Pool) httpserver.Out {
	operations := slices.Concat(h.operations(), h.importOperations(), c.Operations())
	operations = append(operations,
		api.Internal("/internal/registry/tools", h.service.Tools),
		api.Internal("/internal/registry/offers", h.service.Offers),
		api.Internal("/internal/registry/inspect", h.service.Inspect),
		api.Internal("/internal/registry/credentials", h.service.Credentials),
		api.Internal("/internal/registry/export", h.service.Export),
		api.Internal("/internal/registry/erase", services.ErasedBy(h.service)))
	operations = append(operations, events.NewOutbox(services.Registry).Operations(services.Registry, pool)...)
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Registry, Operations: operations}}
}
