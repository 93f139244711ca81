package ledger

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// page is how many rows are asked for at once.
const page = 4_000

type database struct{ pool *pgxpool.Pool }

// Database gives the books as they stand in the database. An organisation is read
// in one transaction that sees one moment, so that work may go on meanwhile.
func Database(pool *pgxpool.Pool) Source { return database{pool: pool} }

// Read implements Source.
func (d database) Read(ctx context.Context, to Reader) error {
	begun, err := postgres.One[Beginning](ctx, d.pool, `SELECT now() AS at, coalesce(max(number), 0) AS through FROM uaol_billing.seals`)
	if err != nil {
		return err
	}
	if err := to.Begin(begun); err != nil {
		return err
	}
	for from, more := uuid.Nil, true; more; {
		organization, err := nextOrganization(ctx, d.pool, from)
		if services.Is(err, services.NotFound) {
			break
		}
		if err != nil {
			return err
		}
		moment := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		if err := pgx.BeginTxFunc(ctx, d.pool, moment, func(tx pgx.Tx) error {
			return readOrganization(ctx, tx, organization, begun.Through, to)
		}); err != nil {
			return err
		}
		from, more = after(organization)
	}
	return pages(
		func(last chain.Seal) ([]chain.Seal, error) {
			return postgres.All[chain.Seal](ctx, d.pool, `
				SELECT number, previous, root, entries, sealed_at, key_id, signature FROM uaol_billing.seals
				WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3`, last.Number, begun.Through, page)
		}, chain.Seal{Number: math.MinInt64}, to.Seal)
}

// nextOrganization finds the first one, from an id on, of which there is anything:
// what belongs to an organisation without an account must be seen too.
func nextOrganization(ctx context.Context, q postgres.Querier, from uuid.UUID) (uuid.UUID, error) {
	return postgres.Value[uuid.UUID](ctx, q, `
		SELECT x.organization_id FROM (
			(SELECT organization_id FROM uaol_billing.accounts WHERE organization_id >= $1 ORDER BY organization_id LIMIT 1)
			UNION ALL (SELECT organization_id FROM uaol_billing.journal WHERE organization_id >= $1 ORDER BY organization_id LIMIT 1)
			UNION ALL (SELECT organization_id FROM uaol_billing.holds WHERE organization_id >= $1 ORDER BY organization_id LIMIT 1)
			UNION ALL (SELECT organization_id FROM uaol_billing.spenders WHERE organization_id >= $1 ORDER BY organization_id LIMIT 1)
			UNION ALL (SELECT organization_id FROM uaol_billing.seal_ranges WHERE organization_id >= $1 ORDER BY organization_id LIMIT 1)) x
		ORDER BY x.organization_id LIMIT 1`, from)
}

// after is the id that follows, if any does.
func after(id uuid.UUID) (next uuid.UUID, more bool) {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			return id, true
		}
	}
	return id, false
}

type rangeRow struct {
	Number int64       `db:"number"`
	First  int64       `db:"first_seq"`
	Last   int64       `db:"last_seq"`
	Digest chain.Bytes `db:"digest"`
}

type holdRow struct {
	Hold
	CreatedAt time.Time `db:"created_at"`
}

func readOrganization(ctx context.Context, tx pgx.Tx, id uuid.UUID, through int64, to Reader) error {
	organization := Organization{ID: id}
	account, err := postgres.One[chain.Account](ctx, tx, `
		SELECT last_seq, available, held, grants, purchases, transfers, revenue, expired, debt, monthly, stale
		FROM uaol_billing.accounts WHERE organization_id = $1`, id)
	if err == nil {
		organization.Account = &account
	} else if !services.Is(err, services.NotFound) {
		return err
	}
	if err := to.Organization(organization); err != nil {
		return err
	}
	if err := pages(
		func(last rangeRow) ([]rangeRow, error) {
			return postgres.All[rangeRow](ctx, tx, `
				SELECT number, first_seq, last_seq, digest FROM uaol_billing.seal_ranges
				WHERE organization_id = $1 AND last_seq > $2 AND number <= $3 ORDER BY last_seq LIMIT $4`, id, last.Last, through, page)
		}, rangeRow{Last: math.MinInt64}, func(r rangeRow) error {
			return to.Range(Range{Number: r.Number, Range: chain.Range{Organization: id, First: r.First, Last: r.Last, Digest: r.Digest}})
		}); err != nil {
		return err
	}
	if err := pages(
		func(last Spender) ([]Spender, error) {
			return postgres.All[Spender](ctx, tx, `
				SELECT spender_id, account_id, key_id, salt FROM uaol_billing.spenders
				WHERE organization_id = $1 AND spender_id > $2 ORDER BY spender_id LIMIT $3`, id, last.ID, page)
		}, Spender{}, to.Spender); err != nil {
		return err
	}
	if err := pages(
		func(last chain.Entry) ([]chain.Entry, error) {
			return postgres.All[chain.Entry](ctx, tx, `
				SELECT `+entryColumns+` FROM uaol_billing.journal e
				WHERE e.organization_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3`, id, last.Seq, page)
		}, chain.Entry{Seq: math.MinInt64}, to.Entry); err != nil {
		return err
	}
	return pages(
		func(last holdRow) ([]holdRow, error) {
			return postgres.All[holdRow](ctx, tx, `
				SELECT hold_id, spender_id, amount, settled, state, created_at FROM uaol_billing.holds
				WHERE organization_id = $1 AND (created_at, hold_id) > ($2, $3) ORDER BY created_at, hold_id LIMIT $4`,
				id, last.CreatedAt, last.ID, page)
		}, holdRow{}, func(h holdRow) error { return to.Hold(h.Hold) })
}

const entryColumns = `e.organization_id, e.seq, e.operation_id, e.kind, e.amount, e.balance,
	e.hold_id, e.spender_id, e.tool_id, e.job_id, e.facts, e.created_at`

// pages hands over row after row, asking for more with the last one.
func pages[T any](ask func(last T) ([]T, error), last T, give func(T) error) error {
	for {
		rows, err := ask(last)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := give(row); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return nil
		}
		last = rows[len(rows)-1]
	}
}
