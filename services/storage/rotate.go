package storage

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/keyring"
	"uaol/providers/postgres"
	"uaol/services"
)

// RotateSecrets seals the secrets of contents with the current secret that an older
// one sealed, and counts them; the contents themselves stay as they are. It may be cut
// short and repeated.
func RotateSecrets(ctx context.Context, r *Repository, ring *keyring.Ring) (rotated int, err error) {
	after := uuid.Nil
	for {
		old, err := r.outdated(ctx, ring.Current(), after)
		if err != nil || len(old) == 0 {
			return rotated, err
		}
		for _, c := range old {
			secret, err := ring.Open(c.Secret, bond(c.ID))
			if err != nil {
				return rotated, services.Errorf(services.Conflict, "the secret of the content %s cannot be opened: %v", c.ID, err)
			}
			if err := r.reseal(ctx, c, ring.Seal(secret, bond(c.ID))); err != nil {
				return rotated, err
			}
			rotated, after = rotated+1, c.ID
		}
	}
}

func (r *Repository) outdated(ctx context.Context, current []byte, after uuid.UUID) ([]content, error) {
	return postgres.All[content](ctx, r.pool, `
		SELECT `+contentColumns+` FROM uaol_storage.contents
		WHERE content_id > $2 AND secret IS NOT NULL AND substring(secret FROM 1 FOR length($1::bytea)) <> $1 ORDER BY content_id LIMIT 500`, current, after)
}

func (r *Repository) reseal(ctx context.Context, c content, sealed []byte) error {
	_, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_storage.contents SET secret = $3 WHERE content_id = $1 AND secret = $2`, c.ID, c.Secret, sealed)
	return err
}
