package events

import (
	"context"
	"strings"
	"time"

	"go.uber.org/zap"

	"uaol/providers/postgres"
	"uaol/providers/workers"
)

const (
	// kept is how long an event stays in its outbox. Readers are seconds behind; a
	// process that stood still for longer has missed something.
	kept = 7 * 24 * time.Hour
	// keptForBroker is how long one stays that its broker has not got.
	keptForBroker = 30 * 24 * time.Hour

	pruned = 5000 // in one statement
)

// Prune drops events that have been kept long enough, some thousand at a time.
func (o Outbox) Prune(ctx context.Context, q postgres.Querier) error {
	_, err := o.prune(ctx, q, "created_at < now() - $1 * interval '1 second'", kept)
	return err
}

// PrunePublished drops what the broker has got and was kept long enough, and counts
// what it never got and is dropped after all.
func (o Outbox) PrunePublished(ctx context.Context, q postgres.Querier, counts *Counts, log *zap.Logger) error {
	if _, err := o.prune(ctx, q, "created_at < now() - $1 * interval '1 second' AND published_at IS NOT NULL", kept); err != nil {
		return err
	}
	lost, err := o.prune(ctx, q, "created_at < now() - $1 * interval '1 second' AND published_at IS NULL", keptForBroker)
	if lost > 0 {
		counts.lost.WithLabelValues(string(o.service)).Add(float64(lost))
		log.Named("events").Warn("events were dropped that no broker has ever got", zap.String("service", string(o.service)), zap.Int64("events", lost))
	}
	return err
}

func (o Outbox) prune(ctx context.Context, q postgres.Querier, which string, after time.Duration) (dropped int64, err error) {
	for {
		n, err := postgres.Exec(ctx, q, "DELETE FROM "+o.table+" WHERE event_id IN (SELECT event_id FROM "+o.table+
			" WHERE "+which+" ORDER BY created_at, event_id LIMIT $2)", int64(after/time.Second), pruned)
		dropped += n
		if err != nil || n < pruned {
			return dropped, err
		}
	}
}

// Pruner is the loop that every owner of an outbox runs. Several may run at
// once: what one has dropped another does not find.
func (o Outbox) Pruner(q postgres.Querier) workers.Worker {
	return o.pruning(func(ctx context.Context) error { return o.Prune(ctx, q) })
}

func (o Outbox) pruning(f func(ctx context.Context) error) workers.Worker {
	return workers.Worker{Name: strings.TrimPrefix(o.table, "uaol_"), Run: workers.Every(time.Hour, f)}
}
