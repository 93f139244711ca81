package registry

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/keyring"
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
	events.Owner(services.Registry),
	config.For[Config](),
	config.For[credentials.Config](),
	fx.Provide(fx.Private, NewRepository, inspector, wallet, configured, shown, NewHandler),
	fx.Provide(fx.Private, store, credentials.NewRepository, credentials.NewService, credentialed, credentials.NewHandler),
	fx.Provide(fx.Private, NewSubregistry),
	fx.Provide(storeKeeper, consentPruner, subregistry, watch),
	fx.Provide(local, routes, catalog, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// Remote reaches the registry in another process.
var Remote = fx.Module("registry-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(remote, catalog, fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func inspector(c *upstream.Client) Inspector { return c }

func wallet(s *credentials.Service) Wallet { return s }

// store looks for its backend when the process starts.
func store(cfg credentials.Config, ring *keyring.Ring, log *zap.Logger, lifecycle fx.Lifecycle) (*credentials.Store, error) {
	s, err := credentials.NewStore(cfg, ring, log)
	if err == nil {
		lifecycle.Append(fx.StartHook(s.Start))
	}
	return s, err
}

func credentialed(s *Service) credentials.Tools { return s }

func shown(c *Cache, lifecycle fx.Lifecycle) *Showcase {
	s := NewShowcase(c)
	lifecycle.Append(fx.StopHook(s.Close))
	return s
}

func configured(cfg Config, r *Repository, p *egress.Policy, i Inspector, w Wallet, bus *events.Bus) *Service {
	return NewService(r, p, i, w, bus).With(cfg)
}

func watch(s *Service, log *zap.Logger) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "tool-watch", Run: NewWatch(s, log).Run}}
}

func storeKeeper(s *credentials.Store) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "secrets-store", Run: s.Run}}
}

func consentPruner(r *credentials.Repository) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "consents", Run: workers.Every(time.Hour, r.Prune)}}
}

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
	workers.Attach(p.Lifecycle, p.Log, p.Metrics, workers.Worker{Name: "registry-follower", Run: c.Run})
	return c, p.Metrics.Register(c)
}

func catalog(c *Cache) Catalog { return c }

func keeper(s *Service, c *credentials.Service) services.Custody {
	return services.Custody{Service: services.Registry, Keeper: everything{s, c}}
}

// remoteKeeper is there without an address too: then auth says what it can't do.
func remoteKeeper(cfg ClientConfig, tokens *peers.Tokens) services.Custody {
	client, err := NewClient(cfg, tokens)
	return services.Custody{Service: services.Registry, Keeper: client, Missing: err}
}

func routes(h *Handler, c *credentials.Handler, pool *pgxpool.Pool, outlet events.Outlet) httpserver.Out {
	people := everything{h.service, c.Service()}
	operations := slices.Concat(h.operations(), h.importOperations(), c.Operations())
	operations = append(operations,
		api.Internal("/internal/registry/tools", h.service.Tools),
		api.Internal("/internal/registry/offers", h.service.Offers),
		api.Internal("/internal/registry/callable", h.service.Callable),
		api.Internal("/internal/registry/visible", h.service.Visible),
		api.Internal("/internal/registry/inspect", h.service.Inspect),
		api.Internal("/internal/registry/credentials", h.service.Credentials),
		api.Internal("/internal/registry/export", people.Export),
		api.Internal("/internal/registry/erase", services.ErasedBy(people)))
	operations = append(operations, events.NewOutbox(services.Registry).Operations(services.Registry, pool)...)
	operations = append(operations, events.NewOutbox(services.Registry).Administration(pool, outlet)...)
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Registry, Operations: operations}}
}

func subregistry(r *Subregistry) httpserver.Out {
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Registry, Operations: r.operations()}}
}
