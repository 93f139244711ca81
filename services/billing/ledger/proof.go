package ledger

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// Proof shows that an entry is sealed. Kind NotFound while it is not.
func Proof(ctx context.Context, pool *pgxpool.Pool, organization uuid.UUID, seq int64) (chain.Inclusion, error) {
	in := chain.Inclusion{Organization: organization, Seq: seq}
	row, err := postgres.One[rangeRow](ctx, pool, `
		SELECT number, first_seq, last_seq, digest FROM uaol_billing.seal_ranges
		WHERE organization_id = $1 AND last_seq >= $2 ORDER BY last_seq LIMIT 1`, organization, seq)
	if services.Is(err, services.NotFound) || err == nil && row.First > seq {
		return in, services.Errorf(services.NotFound, "The entry is not sealed yet")
	}
	if err != nil {
		return in, err
	}
	in.Range = chain.Range{Organization: organization, First: row.First, Last: row.Last, Digest: row.Digest}
	entries, err := postgres.All[chain.Entry](ctx, pool, `
		SELECT `+entryColumns+` FROM uaol_billing.journal e
		WHERE e.organization_id = $1 AND e.seq >= $2 AND e.seq <= $3 ORDER BY e.seq`, organization, row.First, row.Last)
	if err != nil {
		return in, err
	}
	leaves := make([][32]byte, len(entries))
	for i, e := range entries {
		leaves[i] = e.Leaf()
	}
	if in.Path, err = chain.Prove(leaves, int(seq-row.First)); err != nil {
		return in, err
	}
	if in.Seal, err = postgres.One[chain.Seal](ctx, pool, `
		SELECT number, previous, root, entries, sealed_at, key_id, signature FROM uaol_billing.seals WHERE number = $1`, row.Number); err != nil {
		return in, err
	}
	ranges, err := postgres.All[placedRange](ctx, pool, `
		SELECT organization_id, first_seq, last_seq, digest, number FROM uaol_billing.seal_ranges WHERE number = $1 ORDER BY organization_id`, row.Number)
	if err != nil {
		return in, err
	}
	leaves = leaves[:0]
	for i, r := range ranges {
		if r.Organization == organization {
			in.Place = int64(i)
		}
		leaves = append(leaves, chain.Range{Organization: r.Organization, First: r.First, Last: r.Last, Digest: r.Digest}.Leaf())
	}
	in.Ranges = int64(len(ranges))
	in.RangePath, err = chain.Prove(leaves, int(in.Place))
	return in, err
}

type placedRange struct {
	rangeRow
	Organization uuid.UUID `db:"organization_id"`
}
