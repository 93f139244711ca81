package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// clock is the database's: seals of all processes are by one.
func clock(ctx context.Context, q postgres.Querier) (time.Time, error) {
	return postgres.Value[time.Time](ctx, q, `SELECT clock_timestamp()`)
}

// tip is the last seal; one without a number when there is none.
func tip(ctx context.Context, q postgres.Querier) (chain.Seal, error) {
	seal, err := postgres.One[chain.Seal](ctx, q, `
		SELECT number, previous, root, entries, sealed_at, key_id, signature FROM uaol_billing.seals ORDER BY number DESC LIMIT 1`)
	if services.Is(err, services.NotFound) {
		return chain.Seal{}, nil
	}
	return seal, err
}

// recent names the organisations with entries of that time.
func recent(ctx context.Context, q postgres.Querier, back time.Duration) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, q, `
		SELECT DISTINCT organization_id FROM uaol_billing.journal WHERE created_at > now() - $1 * interval '1 second'`,
		int64(back/time.Second)+1)
}

// behind names the organisations whose accounts know of more entries than are sealed.
func behind(ctx context.Context, q postgres.Querier) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, q, `
		SELECT a.organization_id FROM uaol_billing.accounts a WHERE a.last_seq > coalesce(
			(SELECT max(r.last_seq) FROM uaol_billing.seal_ranges r WHERE r.organization_id = a.organization_id), 0)`)
}

// unsealedEntry is an entry with the number of the last one of its organisation
// that is sealed.
type unsealedEntry struct {
	chain.Entry
	Sealed int64 `db:"sealed"`
}

func (e unsealedEntry) place() Finding {
	return Finding{Organization: e.Organization, Seq: e.Seq}
}

// unsealed gives entries that are not sealed, as many as asked for. An
// organisation's entries get their numbers under the lock of its account: once
// one is seen, so are all before it.
func unsealed(ctx context.Context, q postgres.Querier, organizations []uuid.UUID, most int) ([]unsealedEntry, error) {
	return postgres.All[unsealedEntry](ctx, q, `
		SELECT `+entryColumns+`, s.sealed
		FROM unnest($1::text[]::uuid[]) AS w (organization_id)
		CROSS JOIN LATERAL (
			SELECT coalesce(max(r.last_seq), 0) AS sealed FROM uaol_billing.seal_ranges r WHERE r.organization_id = w.organization_id) s
		CROSS JOIN LATERAL (
			SELECT j.* FROM uaol_billing.journal j
			WHERE j.organization_id = w.organization_id AND j.seq > s.sealed ORDER BY j.seq LIMIT $2) e
		LIMIT $2`, postgres.UUIDs(organizations), most)
}

// write writes a seal with its ranges; false when its number is taken.
func write(ctx context.Context, pool *pgxpool.Pool, seal chain.Seal, ranges []chain.Range) (bool, error) {
	ids, firsts, lasts, digests := make([]uuid.UUID, len(ranges)), make([]int64, len(ranges)), make([]int64, len(ranges)), make([][]byte, len(ranges))
	for i, r := range ranges {
		ids[i], firsts[i], lasts[i], digests[i] = r.Organization, r.First, r.Last, r.Digest
	}
	err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_billing.seals (number, previous, root, entries, sealed_at, key_id, signature) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			seal.Number, []byte(seal.Previous), []byte(seal.Root), seal.Entries, seal.SealedAt, []byte(seal.KeyID), []byte(seal.Signature)); err != nil {
			return err
		}
		_, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_billing.seal_ranges (organization_id, first_seq, last_seq, digest, number)
			SELECT r.organization_id::uuid, r.first_seq, r.last_seq, r.digest, $5
			FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[]) AS r (organization_id, first_seq, last_seq, digest)`,
			postgres.UUIDs(ids), firsts, lasts, digests, seal.Number)
		return err
	})
	if postgres.Violates(err, "seals_pkey") {
		return false, nil
	}
	return err == nil, err
}
