package ledger

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// Prover shows that entries of one organisation are sealed. It keeps what it has
// read of a range for the next entry: those of a job mostly stand in one.
type Prover struct {
	pool         *pgxpool.Pool
	organization uuid.UUID

	about  chain.Inclusion // all but the entry's own part
	leaves [][32]byte      // of the range
}

// NewProver makes a Prover.
func NewProver(pool *pgxpool.Pool, organization uuid.UUID) *Prover {
	return &Prover{pool: pool, organization: organization}
}

// Prove shows that an entry is sealed. Kind NotFound while it is not.
func (p *Prover) Prove(ctx context.Context, seq int64) (in chain.Inclusion, err error) {
	if len(p.leaves) == 0 || seq < p.about.Range.First || seq > p.about.Range.Last {
		if err := p.read(ctx, seq); err != nil {
			return in, err
		}
	}
	in = p.about
	in.Seq = seq
	in.Path, err = chain.Prove(p.leaves, int(seq-in.Range.First))
	return in, err
}

// read reads the range in which an entry stands, and its seal.
func (p *Prover) read(ctx context.Context, seq int64) error {
	p.leaves = nil
	in := chain.Inclusion{Organization: p.organization}
	row, err := postgres.One[rangeRow](ctx, p.pool, `
		SELECT number, first_seq, last_seq, digest FROM uaol_billing.seal_ranges
		WHERE organization_id = $1 AND last_seq >= $2 ORDER BY last_seq LIMIT 1`, p.organization, seq)
	if services.Is(err, services.NotFound) || err == nil && row.First > seq {
		return services.Errorf(services.NotFound, "The entry is not sealed yet")
	}
	if err != nil {
		return err
	}
	in.Range = chain.Range{Organization: p.organization, First: row.First, Last: row.Last, Digest: row.Digest}
	entries, err := postgres.All[chain.Entry](ctx, p.pool, `
		SELECT `+entryColumns+` FROM uaol_billing.journal e
		WHERE e.organization_id = $1 AND e.seq >= $2 AND e.seq <= $3 ORDER BY e.seq`, p.organization, row.First, row.Last)
	if err != nil {
		return err
	}
	if in.Seal, err = postgres.One[chain.Seal](ctx, p.pool, `
		SELECT number, previous, root, entries, sealed_at, key_id, signature FROM uaol_billing.seals WHERE number = $1`, row.Number); err != nil {
		return err
	}
	ranges, err := postgres.All[placedRange](ctx, p.pool, `
		SELECT organization_id, first_seq, last_seq, digest, number FROM uaol_billing.seal_ranges WHERE number = $1 ORDER BY organization_id`, row.Number)
	if err != nil {
		return err
	}
	others := make([][32]byte, len(ranges))
	for i, r := range ranges {
		if r.Organization == p.organization {
			in.Place = int64(i)
		}
		others[i] = chain.Range{Organization: r.Organization, First: r.First, Last: r.Last, Digest: r.Digest}.Leaf()
	}
	in.Ranges = int64(len(ranges))
	if in.RangePath, err = chain.Prove(others, int(in.Place)); err != nil {
		return err
	}
	p.about, p.leaves = in, make([][32]byte, len(entries))
	for i, e := range entries {
		p.leaves[i] = e.Leaf()
	}
	return nil
}

type placedRange struct {
	rangeRow
	Organization uuid.UUID `db:"organization_id"`
}
