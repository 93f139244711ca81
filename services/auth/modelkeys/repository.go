package modelkeys

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
)

// Repository is the keys' SQL.
type Repository struct{ pool *pgxpool.Pool }

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository { return &Repository{pool: pool} }

const columns = `provider, is_default, masked, created_at, updated_at`

// set stores a key. Changes of one organisation's keys wait for each other at
// its row: at most one of them is the default.
func (r *Repository) set(ctx context.Context, organization uuid.UUID, provider string, sealed []byte, masked string, isDefault bool) (key ModelKey, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, organization); err != nil {
			return err
		}
		if isDefault {
			if err := clearDefault(ctx, tx, organization); err != nil {
				return err
			}
		}
		var err error
		key, err = postgres.One[ModelKey](ctx, tx, `
			INSERT INTO uaol_auth.provider_keys AS k (organization_id, provider, sealed, masked, is_default)
			SELECT $1::uuid, $2, $3, $4, $5::boolean OR NOT EXISTS (SELECT 1 FROM uaol_auth.provider_keys o WHERE o.organization_id = $1::uuid)
			ON CONFLICT (organization_id, provider) DO UPDATE SET sealed = excluded.sealed, masked = excluded.masked,
				is_default = k.is_default OR excluded.is_default, updated_at = now()
			RETURNING `+columns, organization, provider, sealed, masked, isDefault)
		return err
	})
	return key, err
}

func lock(ctx context.Context, tx pgx.Tx, organization uuid.UUID) error {
	_, err := postgres.Value[uuid.UUID](ctx, tx, `
		SELECT organization_id FROM uaol_auth.organizations WHERE organization_id = $1 FOR UPDATE`, organization)
	return err
}

func clearDefault(ctx context.Context, tx pgx.Tx, organization uuid.UUID) error {
	_, err := postgres.Exec(ctx, tx, `UPDATE uaol_auth.provider_keys SET is_default = false WHERE organization_id = $1 AND is_default`, organization)
	return err
}

func (r *Repository) all(ctx context.Context, organization uuid.UUID) ([]ModelKey, error) {
	return postgres.All[ModelKey](ctx, r.pool, `SELECT `+columns+` FROM uaol_auth.provider_keys WHERE organization_id = $1`, organization)
}

func (r *Repository) setDefault(ctx context.Context, organization uuid.UUID, provider string) (found bool, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, organization); err != nil {
			return err
		}
		exists, err := postgres.Value[bool](ctx, tx, `
			SELECT EXISTS (SELECT 1 FROM uaol_auth.provider_keys WHERE organization_id = $1 AND provider = $2)`, organization, provider)
		if found = exists; err != nil || !found {
			return err
		}
		if err := clearDefault(ctx, tx, organization); err != nil {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `
			UPDATE uaol_auth.provider_keys SET is_default = true, updated_at = now() WHERE organization_id = $1 AND provider = $2`, organization, provider)
		return err
	})
	return found, err
}

func (r *Repository) delete(ctx context.Context, organization uuid.UUID, provider string) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_auth.provider_keys WHERE organization_id = $1 AND provider = $2`, organization, provider)
	return err
}

// find gives the organisation's key of a provider; of any, its default or the
// first stored. Kind NotFound when there is none.
func (r *Repository) find(ctx context.Context, organization uuid.UUID, provider string) (row, error) {
	return postgres.One[row](ctx, r.pool, `
		SELECT organization_id, provider, sealed FROM uaol_auth.provider_keys
		WHERE organization_id = $1 AND ($2::text = '' OR provider = $2::text)
		ORDER BY is_default DESC, created_at, provider LIMIT 1`, organization, provider)
}

type row struct {
	Organization uuid.UUID `db:"organization_id"`
	Provider     string    `db:"provider"`
	Sealed       []byte    `db:"sealed"`
}

// outdated gives keys that the current secret did not seal, in order.
func (r *Repository) outdated(ctx context.Context, current []byte, after row) ([]row, error) {
	return postgres.All[row](ctx, r.pool, `
		SELECT organization_id, provider, sealed FROM uaol_auth.provider_keys
		WHERE substring(sealed FROM 1 FOR $1) <> $2 AND (organization_id, provider) > ($3::uuid, $4::text)
		ORDER BY organization_id, provider LIMIT 100`, len(current), current, after.Organization, after.Provider)
}

// replace changes nothing when the key was set anew meanwhile.
func (r *Repository) replace(ctx context.Context, old row, sealed []byte) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_auth.provider_keys SET sealed = $4 WHERE organization_id = $1 AND provider = $2 AND sealed = $3`,
		old.Organization, old.Provider, old.Sealed, sealed)
	return err
}
