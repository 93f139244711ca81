package billing

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/maypok86/otter/v2"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// spender is who spends: an account, with a key or with none, in an organisation.
type spender struct{ organization, account, key uuid.UUID }

func spenderOf(c services.Caller) spender { return spender{c.Organization, c.Account, c.Key} }

// spenders finds the ids under which the journal knows spenders. An id never
// changes and is forgotten by forgetting whose it was, so it can be remembered.
type spenders struct {
	pool  *pgxpool.Pool
	known *otter.Cache[spender, uuid.UUID]
}

const spendersKnown = 50_000 // about 5 MB

func newSpenders(pool *pgxpool.Pool) *spenders {
	return &spenders{pool: pool, known: otter.Must(&otter.Options[spender, uuid.UUID]{MaximumSize: spendersKnown})}
}

// id gives a spender's id and makes one for a new spender. Of several that are made
// at once, with salts of their own, the one that is in the table counts.
func (s *spenders) id(ctx context.Context, who spender) (uuid.UUID, error) {
	if id, ok := s.known.GetIfPresent(who); ok {
		return id, nil
	}
	fresh := chain.NewSpender(who.organization, who.account, who.key)
	if _, err := postgres.Exec(ctx, s.pool, `
		INSERT INTO uaol_billing.spenders (spender_id, organization_id, account_id, key_id, salt) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (organization_id, account_id, key_id) WHERE salt IS NOT NULL DO NOTHING`,
		fresh.ID(), who.organization, who.account, who.key, []byte(fresh.Salt)); err != nil {
		return uuid.Nil, err
	}
	id, err := postgres.Value[uuid.UUID](ctx, s.pool, `
		SELECT spender_id FROM uaol_billing.spenders
		WHERE organization_id = $1 AND account_id = $2 AND key_id = $3 AND salt IS NOT NULL`,
		who.organization, who.account, who.key)
	if err == nil {
		s.known.Set(who, id)
	}
	return id, err
}
