package events

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/workers"
	"uaol/services"
)

type ownerParams struct {
	fx.In
	Pool   *pgxpool.Pool
	Outlet Outlet
	Bus    *Bus
	Counts *Counts
	Log    *zap.Logger
}

type loops struct {
	fx.Out
	Workers []workers.Worker `group:"workers,flatten"`
}

// Owner is what a service with an outbox adds to its module: the loops that publish
// and prune it.
func Owner(service services.Name) fx.Option {
	return fx.Provide(func(p ownerParams) loops {
		outbox := NewOutbox(service)
		if !p.Outlet.Open() {
			return loops{Workers: []workers.Worker{outbox.Pruner(p.Pool)}}
		}
		return loops{Workers: []workers.Worker{
			NewRelay(outbox, p.Pool, p.Outlet, p.Bus, p.Counts, p.Log).Worker(),
			outbox.pruning(func(ctx context.Context) error { return outbox.PrunePublished(ctx, p.Pool, p.Counts, p.Log) }),
		}}
	})
}
