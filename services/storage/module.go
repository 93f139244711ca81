package storage

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"uaol/providers/blobs"
	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/services"
)

// Module runs storage in this process.
var Module = fx.Module("storage",
	logging.Named("storage"),
	fx.Provide(fx.Private, newStore, NewRepository, NewService, NewHandler),
	fx.Provide(routes),
)

// ClientConfig is where storage runs, for processes that do not run it: the
// gateway passes requests on to it.
type ClientConfig struct {
	URL string `env:"UAOL_STORAGE_URL" want:"the storage service's URL such as http://host:3006" doc:"where storage runs, for a process that does not run it; several addresses separated by commas"`
}

// Remote reaches storage in another process. Nobody calls it there yet but the
// gateway, which forwards whole requests.
var Remote = fx.Module("storage-remote", config.WhenNeeded[ClientConfig]())

func newStore(process config.Process, lifecycle fx.Lifecycle) *blobs.Store {
	store := blobs.New(process)
	lifecycle.Append(fx.StopHook(func(context.Context) error { return store.Close() }))
	return store
}

func routes(h *Handler, pool *pgxpool.Pool) httpserver.Out {
	operations := append(h.operations(), events.NewOutbox(services.Storage).Operation(services.Storage, pool))
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Storage, Operations: operations}}
}
