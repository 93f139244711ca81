package mcpserver

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

const profileColumns = `profile_id, organization_id, account_id, name, description, definition, created_at, updated_at`

// saveProfile writes a profile down. Kinds: NotFound, Conflict.
func (r *Repository) saveProfile(ctx context.Context, p Profile) (Profile, error) {
	saved, err := r.writeProfile(ctx, p)
	if postgres.Violates(err, "profiles_name") {
		return Profile{}, services.Errorf(services.Conflict, "There is a profile %s already", p.Name)
	}
	if services.Is(err, services.NotFound) {
		return Profile{}, services.Errorf(services.NotFound, "Profile not found")
	}
	return saved, err
}

func (r *Repository) writeProfile(ctx context.Context, p Profile) (Profile, error) {
	if p.ID == uuid.Nil {
		return postgres.One[Profile](ctx, r.pool, `
			INSERT INTO uaol_proxy.profiles (profile_id, organization_id, account_id, name, description, definition)
			VALUES ($1, $2, $3, $4, $5, $6) RETURNING `+profileColumns,
			uuid.Must(uuid.NewV7()), p.Organization, p.Account, p.Name, p.Description, p.Definition)
	}
	return postgres.One[Profile](ctx, r.pool, `
		UPDATE uaol_proxy.profiles SET name = $3, description = $4, definition = $5, updated_at = now()
		WHERE organization_id = $1 AND profile_id = $2 RETURNING `+profileColumns,
		p.Organization, p.ID, p.Name, p.Description, p.Definition)
}

// profile gives a profile by its name or id; kind NotFound.
func (r *Repository) profile(ctx context.Context, organization uuid.UUID, name string) (Profile, error) {
	return postgres.One[Profile](ctx, r.pool, `
		SELECT `+profileColumns+` FROM uaol_proxy.profiles
		WHERE organization_id = $1 AND (name = $2 OR profile_id::text = $2) ORDER BY name = $2 DESC LIMIT 1`, organization, name)
}

// profiles gives an organisation's profiles before a moment and an id, newest first.
func (r *Repository) profiles(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Profile, error) {
	return postgres.All[Profile](ctx, r.pool, `
		SELECT `+profileColumns+` FROM uaol_proxy.profiles
		WHERE organization_id = $1 AND (created_at, profile_id) < ($2::timestamptz, $3::uuid)
		ORDER BY created_at DESC, profile_id DESC LIMIT $4`, organization, before, beforeID, limit)
}

func (r *Repository) removeProfile(ctx context.Context, organization, id uuid.UUID) (int64, error) {
	return postgres.Exec(ctx, r.pool, `DELETE FROM uaol_proxy.profiles WHERE organization_id = $1 AND profile_id = $2`, organization, id)
}
