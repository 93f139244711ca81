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
			outbox.pruning(func(ctx context.Context) error {
				lost, err := outbox.PrunePublished(ctx, p.Pool)
				if lost > 0 {
					p.Counts.lost.WithLabelValues(string(service)).Add(float64(lost))
					p.Log.Named("events").Warn("events were dropped that no broker has ever got", zap.String("service", string(service)), zap.Int64("events", lost))
				}
				return err
			}),
		}}
	})
}
