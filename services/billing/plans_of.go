package billing

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/postgres"
)

// Plans implements Meter.
func (s *Service) Plans(ctx context.Context, in PlansRequest) ([]Plan, error) {
	tiers, err := s.repository.tiers(ctx, in.Organizations)
	if err != nil {
		return nil, err
	}
	plans := make([]Plan, len(in.Organizations))
	for i, organization := range in.Organizations {
		tier, ok := tiers[organization]
		if !ok {
			tier = Free
		}
		plans[i] = s.plans[tier]
	}
	return plans, nil
}

type tierRow struct {
	Organization uuid.UUID `db:"organization_id"`
	Tier         Tier      `db:"tier"`
}

func (r *Repository) tiers(ctx context.Context, organizations []uuid.UUID) (map[uuid.UUID]Tier, error) {
	rows, err := postgres.All[tierRow](ctx, r.pool, `
		SELECT organization_id, tier FROM uaol_billing.accounts WHERE organization_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(organizations))
	tiers := make(map[uuid.UUID]Tier, len(rows))
	for _, row := range rows {
		tiers[row.Organization] = row.Tier
	}
	return tiers, err
}
