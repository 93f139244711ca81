package auth

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/keyring"
	"uaol/services/auth/modelkeys"
)

// Rotated counts what was sealed anew.
type Rotated struct {
	ProviderKeys int `json:"providerKeys"`
	Identities   int `json:"identities"`
}

// RotateSecrets seals everything with the current secret that an older one
// sealed. It may be cut short and repeated.
func RotateSecrets(ctx context.Context, pool *pgxpool.Pool, ring *keyring.Ring) (rotated Rotated, err error) {
	rotated.ProviderKeys, err = modelkeys.Rotate(ctx, modelkeys.NewRepository(pool), ring)
	if err == nil {
		rotated.Identities, err = ResealIdentities(ctx, NewRepository(pool), ring)
	}
	return rotated, err
}
