package credentials

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/keyring"
	"uaol/providers/postgres"
	"uaol/services"
)

// Rotated counts what was sealed anew.
type Rotated struct {
	Secrets int
	Grants  int
}

// Rotate seals everything with the current secret that an older one sealed. It
// may be cut short and repeated.
func Rotate(ctx context.Context, pool *pgxpool.Pool, ring *keyring.Ring) (rotated Rotated, err error) {
	r := NewRepository(pool)
	rotated.Secrets, err = reseal(ctx, ring, r.outdatedSecrets, func(k kept) string { return k.bond() }, func(k kept) []byte { return k.Sealed }, r.replaceSecret)
	if err == nil {
		rotated.Grants, err = reseal(ctx, ring, r.outdatedGrants, oldGrant.bond, func(g oldGrant) []byte { return g.Sealed }, r.replaceGrant)
	}
	if err == nil {
		_, err = reseal(ctx, ring, r.outdatedConsents, oldConsent.bond, func(c oldConsent) []byte { return c.Sealed }, r.replaceConsent)
	}
	return rotated, err
}

// reseal goes through a table's outdated rows, some at a time.
func reseal[T any](ctx context.Context, ring *keyring.Ring, outdated func(ctx context.Context, current []byte, after T) ([]T, error),
	bond func(T) string, sealed func(T) []byte, replace func(ctx context.Context, old T, sealed []byte) error,
) (n int, err error) {
	var after T
	for {
		rows, err := outdated(ctx, ring.Current(), after)
		if err != nil || len(rows) == 0 {
			return n, err
		}
		for _, old := range rows {
			plain, err := ring.Open(sealed(old), bond(old))
			if err != nil {
				return n, services.Errorf(services.Conflict, "%s cannot be opened: %v", bond(old), err)
			}
			if err := replace(ctx, old, ring.Seal(plain, bond(old))); err != nil {
				return n, err
			}
			n, after = n+1, old
		}
	}
}

// outdatedSecrets gives secrets that the current secret did not seal, in order.
// Values that another backend keeps are not ours to seal.
func (r *Repository) outdatedSecrets(ctx context.Context, current []byte, after kept) ([]kept, error) {
	return postgres.All[kept](ctx, r.pool, `
		SELECT `+keptColumns+` FROM uaol_registry.secrets
		WHERE length(sealed) > 0 AND substring(sealed FROM 1 FOR $1) <> $2
			AND (tool_id, scope, holder_id, name, origin) > ($3::uuid, $4::text, $5::uuid, $6::text, $7::text)
		ORDER BY tool_id, scope, holder_id, name, origin LIMIT 100`, len(current), current, after.Tool, string(after.Scope), after.Holder, after.Name, after.Origin)
}

// The three replace nothing that was written anew meanwhile.

func (r *Repository) replaceSecret(ctx context.Context, old kept, sealed []byte) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_registry.secrets SET sealed = $7 WHERE tool_id = $1 AND scope = $2 AND holder_id = $3 AND name = $4 AND origin = $5 AND sealed = $6`,
		old.Tool, old.Scope, old.Holder, old.Name, old.Origin, old.Sealed, sealed)
	return err
}

type oldGrant struct {
	Tool   uuid.UUID `db:"tool_id"`
	Scope  Scope     `db:"scope"`
	Holder uuid.UUID `db:"holder_id"`
	Bound  string    `db:"bound"`
	Sealed []byte    `db:"sealed"`
}

func (g oldGrant) bond() string {
	return grant{Tool: g.Tool, Scope: g.Scope, Holder: g.Holder, Bound: g.Bound}.bond()
}

func (r *Repository) outdatedGrants(ctx context.Context, current []byte, after oldGrant) ([]oldGrant, error) {
	return postgres.All[oldGrant](ctx, r.pool, `
		SELECT tool_id, scope, holder_id, bound, sealed FROM uaol_registry.grants
		WHERE length(sealed) > 0 AND substring(sealed FROM 1 FOR $1) <> $2 AND (tool_id, scope, holder_id) > ($3::uuid, $4::text, $5::uuid)
		ORDER BY tool_id, scope, holder_id LIMIT 100`, len(current), current, after.Tool, string(after.Scope), after.Holder)
}

func (r *Repository) replaceGrant(ctx context.Context, old oldGrant, sealed []byte) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_registry.grants SET sealed = $5 WHERE tool_id = $1 AND scope = $2 AND holder_id = $3 AND sealed = $4`,
		old.Tool, old.Scope, old.Holder, old.Sealed, sealed)
	return err
}

type oldConsent struct {
	Hash   string `db:"hash"`
	Sealed []byte `db:"sealed"`
}

func (c oldConsent) bond() string { return consentBond(c.Hash) }

func (r *Repository) outdatedConsents(ctx context.Context, current []byte, after oldConsent) ([]oldConsent, error) {
	return postgres.All[oldConsent](ctx, r.pool, `
		SELECT hash, sealed FROM uaol_registry.authorizations WHERE substring(sealed FROM 1 FOR $1) <> $2 AND hash > $3
		ORDER BY hash LIMIT 100`, len(current), current, after.Hash)
}

func (r *Repository) replaceConsent(ctx context.Context, old oldConsent, sealed []byte) error {
	_, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_registry.authorizations SET sealed = $3 WHERE hash = $1 AND sealed = $2`, old.Hash, old.Sealed, sealed)
	return err
}
