package billing

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services/billing/chain"
)

// OriginalCredits are what a user of the original's had there. They stay until they
// are spent, beside what the plan brings every month.
type OriginalCredits struct {
	User         uuid.UUID
	Organization uuid.UUID // the user's personal one here
	Tier         Tier
	Amount       int64 // 0 to MostOriginal
}

// MostOriginal is the most credits that one account may bring.
const MostOriginal = mostCredits

// operation names the grant: it is made once, whatever the amount has become since.
func (c OriginalCredits) operation() string { return "original/" + c.User.String() }

// KnownCredits is what the books say already of an account that arrives.
type KnownCredits struct {
	Organization uuid.UUID `db:"organization_id"`
	Tier         Tier      `db:"tier"`
	Opened       bool      `db:"opened"`  // somebody has used it
	Closed       bool      `db:"closed"`  // it has ended
	Granted      *int64    `db:"granted"` // what was brought before; nil for nothing
}

// KnownCredits looks at the accounts that are there, by organisation.
func (r *Repository) KnownCredits(ctx context.Context, all []OriginalCredits) (map[uuid.UUID]KnownCredits, error) {
	organizations, operations := make([]string, len(all)), make([]string, len(all))
	for i, c := range all {
		organizations[i], operations[i] = c.Organization.String(), c.operation()
	}
	rows, err := postgres.All[KnownCredits](ctx, r.pool, `
		SELECT a.organization_id, a.tier, a.holder <> '' AS opened, a.closed_at IS NOT NULL AS closed, j.amount AS granted
		FROM unnest($1::text[], $2::text[]) AS x (organization, operation)
		JOIN uaol_billing.accounts a ON a.organization_id = x.organization::uuid
		LEFT JOIN uaol_billing.journal j ON j.organization_id = a.organization_id AND j.operation_id = x.operation AND j.kind = 'grant'`,
		organizations, operations)
	known := make(map[uuid.UUID]KnownCredits, len(rows))
	for _, row := range rows {
		known[row.Organization] = row
	}
	return known, err
}

// BringCredits grants credits that arrive, once each. The entry is made for nothing
// too: it says that the account has its tier. An account that somebody has used
// keeps the tier it has, one that has ended gets nothing.
func (r *Repository) BringCredits(ctx context.Context, all []OriginalCredits) error {
	all = slices.Clone(all) // locked in one order
	slices.SortFunc(all, func(a, b OriginalCredits) int { return slices.Compare(a.Organization[:], b.Organization[:]) })
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		for _, c := range all {
			if err := bring(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func bring(ctx context.Context, tx pgx.Tx, c OriginalCredits) error {
	a, err := existing(ctx, tx, c.Organization)
	if err != nil {
		return err
	}
	made, err := post(ctx, tx, posting{Organization: c.Organization, Operation: c.operation(), Kind: chain.Grant, Amount: c.Amount,
		Facts: reasonFact("brought from the original"), Open: true})
	if err != nil || !made {
		return err
	}
	if a.Holder == "" && a.Tier != c.Tier && a.PaidUntil == nil {
		if _, err := postgres.Exec(ctx, tx, `UPDATE uaol_billing.accounts SET tier = $2 WHERE organization_id = $1`, c.Organization, c.Tier); err != nil {
			return err
		}
	}
	return payDebt(ctx, tx, c.Organization, c.operation())
}
