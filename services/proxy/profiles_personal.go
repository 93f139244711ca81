package proxy

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// exportedProfile is a profile of the MCP endpoint as its maker gets it.
type exportedProfile struct {
	ID          uuid.UUID     `json:"profileId" db:"profile_id"`
	Name        string        `json:"name" db:"name"`
	Description string        `json:"description" db:"description"`
	Tools       string        `json:"tools" db:"definition"`
	CreatedAt   services.Time `json:"createdAt" db:"created_at"`
}

func (c *Calls) exportProfiles(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "profiles", func(h services.Holding, after *place) ([]exportedProfile, error) {
		if after == nil {
			after = &place{}
		}
		return c.repository.heldProfiles(ctx, h, *after, exportPage)
	}, func(p exportedProfile) place { return place{p.CreatedAt.Time, p.ID} })
}

// eraseProfiles removes those of organisations that end; the others stay, as nobody's.
func (c *Calls) eraseProfiles(ctx context.Context, who services.Person) error {
	err := batches(eraseBatch, func(limit int) (int64, error) { return c.repository.removeProfiles(ctx, who.Organizations, limit) })
	if err != nil {
		return err
	}
	return batches(eraseBatch, func(limit int) (int64, error) { return c.repository.disownProfiles(ctx, who.Account, limit) })
}

func (r *Repository) heldProfiles(ctx context.Context, h services.Holding, after place, limit int) ([]exportedProfile, error) {
	return postgres.All[exportedProfile](ctx, r.pool, `
		SELECT profile_id, name, description, definition, created_at FROM uaol_proxy.profiles
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR account_id = $2::uuid) AND (created_at, profile_id) > ($3::timestamptz, $4::uuid)
		ORDER BY created_at, profile_id LIMIT $5`, h.Organization, h.Maker, after.At, after.ID, limit)
}

func (r *Repository) removeProfiles(ctx context.Context, organizations []uuid.UUID, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.profiles WHERE profile_id IN (
			SELECT profile_id FROM uaol_proxy.profiles WHERE organization_id = ANY ($1::text[]::uuid[]) ORDER BY profile_id LIMIT $2)`,
		postgres.UUIDs(organizations), limit)
}

func (r *Repository) disownProfiles(ctx context.Context, account uuid.UUID, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		UPDATE uaol_proxy.profiles SET account_id = '00000000-0000-0000-0000-000000000000' WHERE profile_id IN (
			SELECT profile_id FROM uaol_proxy.profiles WHERE account_id = $1 ORDER BY profile_id LIMIT $2)`, account, limit)
}
