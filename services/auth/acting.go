package auth

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Acting implements services.Standing.
func (s *Service) Acting(ctx context.Context, in services.ActingRequest) (services.Caller, error) {
	found, err := s.repository.byAccount(ctx, in)
	verified, err := found.verified(err, &in.Organization, "The account is gone, or its API key counts no more")
	if services.Is(err, services.Unauthenticated) {
		err = services.Errorf(services.Forbidden, "The account is gone, or its API key counts no more")
	}
	return verified.Caller, err
}

// byAccount finds an account as its credentials would: with its role in an
// organisation, and with a key only while that counts.
func (r *Repository) byAccount(ctx context.Context, in services.ActingRequest) (credential, error) {
	return postgres.One[credential](ctx, r.pool, `
		SELECT NULL::uuid AS session_id, `+credentialColumns+`
		FROM uaol_auth.accounts a
		LEFT JOIN uaol_auth.api_keys k ON k.key_id = $3::uuid AND k.account_id = a.account_id`+membership+`
		WHERE a.account_id = $2 AND ($3::uuid = $4::uuid OR (k.key_id IS NOT NULL AND `+keyCounts+`))`,
		in.Organization, in.Account, in.Key, uuid.Nil)
}
