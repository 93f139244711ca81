package storage

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"uaol/providers/api"
	"uaol/providers/blobs"
	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/providers/peers"
	"uaol/providers/workers"
	"uaol/services"
)

// Module runs storage in this process.
var Module = fx.Module("storage",
	logging.Named("storage"),
	fx.Provide(fx.Private, newStore, NewRepository, NewService, NewHandler),
	fx.Provide(routes, outbox, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// Remote reaches storage in another process.
var Remote = fx.Module("storage-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func keeper(s *Service) services.Custody {
	return services.Custody{Service: services.Storage, Keeper: s}
}

// remoteKeeper is there without an address too: then auth says what it can't do.
func remoteKeeper(cfg ClientConfig, tokens *peers.Tokens) services.Custody {
	client, err := NewClient(cfg, tokens)
	return services.Custody{Service: services.Storage, Keeper: client, Missing: err}
}

func outbox(pool *pgxpool.Pool) workers.Out {
	return workers.Out{Worker: events.NewOutbox(services.Storage).Pruner(pool)}
}

func newStore(process config.Process, lifecycle fx.Lifecycle) *blobs.Store {
	store := blobs.New(process)
	lifecycle.Append(fx.StopHook(func(context.Context) error { return store.Close() }))
	return store
}

func routes(h *Handler, pool *pgxpool.Pool) httpserver.Out {
	operations := append(h.operations(),
		api.Internal("/internal/storage/export", h.service.Export),
		api.Internal("/internal/storage/erase", services.ErasedBy(h.service)))
	operations = append(operations, events.NewOutbox(services.Storage).Operations(services.Storage, pool)...)
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Storage, Operations: operations}}
}
