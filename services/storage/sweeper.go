package storage

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing"
)

const (
	sweepEvery = 10 * time.Minute
	sweepBatch = 200
)

// Sweeper removes what uploads and removals that were cut short have left, and files
// that are older than their organisation's plan keeps them. Several may run at once.
type Sweeper struct{ service *Service }

// NewSweeper makes a Sweeper.
func NewSweeper(service *Service) *Sweeper { return &Sweeper{service: service} }

// Sweep goes once through everything.
func (w *Sweeper) Sweep(ctx context.Context) error {
	return errors.Join(w.service.repository.expire(ctx), w.settle(ctx), w.retire(ctx))
}

// settle removes what is leaving. What a store does not let go of is tried again
// another time.
func (w *Sweeper) settle(ctx context.Context) error {
	for {
		if paused, err := w.service.repository.paused(ctx); err != nil || paused {
			return err
		}
		all, err := w.service.repository.unsettled(ctx, sweepBatch)
		if err != nil {
			return err
		}
		failed := 0
		for _, c := range all {
			if err := w.service.discard(ctx, c); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				failed++
				w.service.log.Warn("a content could not be removed", zap.Stringer("content", c.ID), zap.Error(err))
			}
		}
		if len(all) < sweepBatch || failed > 0 {
			return nil
		}
	}
}

// retire removes files that have outlived their plan.
func (w *Sweeper) retire(ctx context.Context) error {
	var after uuid.UUID
	for {
		organizations, err := w.service.repository.holders(ctx, after, sweepBatch)
		if err != nil || len(organizations) == 0 {
			return err
		}
		after = organizations[len(organizations)-1]
		plans, err := w.service.meter.Plans(ctx, billing.PlansRequest{Organizations: organizations})
		if err != nil {
			return err
		}
		for i, organization := range organizations {
			if plans[i].FileDays > 0 {
				if err := w.retireOf(ctx, organization, plans[i].FileDays); err != nil {
					return err
				}
			}
		}
	}
}

func (w *Sweeper) retireOf(ctx context.Context, organization uuid.UUID, days int64) error {
	for {
		ids, err := w.service.repository.older(ctx, organization, days, sweepBatch)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := w.service.remove(ctx, organization, id); err != nil && !services.Is(err, services.NotFound) {
				return err
			}
		}
		if len(ids) < sweepBatch {
			return nil
		}
	}
}

// holders gives organisations that have files, in the order of their ids.
func (r *Repository) holders(ctx context.Context, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT organization_id FROM uaol_storage.usage WHERE organization_id > $1 AND files > 0 ORDER BY organization_id LIMIT $2`, after, limit)
}
