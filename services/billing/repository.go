package billing

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is billing's SQL.
type Repository struct{ pool *pgxpool.Pool }

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository { return &Repository{pool: pool} }

type account struct {
	Tier      Tier  `db:"tier"`
	Available int64 `db:"available"`
	Held      int64 `db:"held"`
	Granted   bool  `db:"granted"`
}

// account reads an account and whether the given grant is its last one. In a
// closed one nothing is available.
func (r *Repository) account(ctx context.Context, organization uuid.UUID, grant string) (account, error) {
	return postgres.One[account](ctx, r.pool, `
		SELECT tier, CASE WHEN closed_at IS NULL THEN available ELSE 0 END AS available, held, granted = $2 AS granted
		FROM uaol_billing.accounts a WHERE organization_id = $1`, organization, grant)
}

// grant gives credits once per (organization, grant), opening the account if
// there is none.
func (r *Repository) grant(ctx context.Context, organization uuid.UUID, tier Tier, grant string, credits int64) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_billing.accounts (organization_id, tier, available, held) VALUES ($1, $2, 0, 0)
			ON CONFLICT (organization_id) DO NOTHING`, organization, tier); err != nil {
			return err
		}
		fresh, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held) VALUES ($1, $2, 'grant', $3, 0)
			ON CONFLICT (organization_id, operation_id, kind) DO NOTHING`, organization, grant, credits)
		if err != nil {
			return err
		}
		if fresh == 0 { // given before: only to be noted
			credits = 0
		}
		_, err = postgres.Exec(ctx, tx, `
			UPDATE uaol_billing.accounts SET available = available + $2, granted = $3 WHERE organization_id = $1`, organization, credits, grant)
		return err
	})
}

// hold moves credits from available to held, counts them against the caps that
// apply and notes the hold, in one statement that does all of it or, when there
// is too little, nothing; it violates caps_hold when a cap would be exceeded.
// It moves nothing either, and is to be tried again, when a cap was set while it
// waited for the account: it can't see that one. The time is taken under the
// account's lock, so that holds never go back to a period that is over.
func (r *Repository) hold(ctx context.Context, in HoldRequest) (moved bool, err error) {
	n, err := postgres.Exec(ctx, r.pool, `
		WITH moved AS (
			UPDATE uaol_billing.accounts SET available = available - $4, held = held + $4
			WHERE organization_id = $2 AND available >= $4 AND closed_at IS NULL
				AND caps_set = (SELECT s.caps_set FROM uaol_billing.accounts s WHERE s.organization_id = $2)
			RETURNING organization_id, $3::uuid AS account_id, $7::uuid AS key_id, caps_set, clock_timestamp() AS at
		), noted AS (
			INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held, account_id)
			SELECT organization_id, $1::uuid::text, 'hold', -$4::bigint, $4::bigint, account_id FROM moved
		), counted AS (
			UPDATE uaol_billing.caps c SET
				period_start = greatest(c.period_start, `+capPeriod+`),
				ceiling = CASE WHEN c.period_start < `+capPeriod+` THEN c.amount ELSE c.ceiling END,
				spent = CASE WHEN c.period_start < `+capPeriod+` THEN 0 ELSE c.spent END + $4
			FROM moved x WHERE x.caps_set > 0 AND `+capApplies+`
		)
		INSERT INTO uaol_billing.holds (hold_id, organization_id, account_id, key_id, owner, amount, expires_at, created_at, memo)
		SELECT $1::uuid, organization_id, account_id, key_id, $5, $4::bigint, now() + $6 * interval '1 second', at, $8::text FROM moved`,
		in.ID, in.Caller.Organization, in.Caller.Account, in.Amount, in.Owner, int64(in.Lifetime/time.Second), in.key(), in.Memo)
	return n > 0, err
}

type holdRow struct {
	Hold
	Organization uuid.UUID `db:"organization_id"`
}

const selectHold = `SELECT hold_id, organization_id, amount, settled, state = 'open' AS open FROM uaol_billing.holds WHERE hold_id = $1`

func (r *Repository) findHold(ctx context.Context, id uuid.UUID) (holdRow, error) {
	return postgres.One[holdRow](ctx, r.pool, selectHold, id)
}

// settle notes each charge once and takes the sum of the new ones out of the hold.
func (r *Repository) settle(ctx context.Context, in SettleRequest) (Hold, error) {
	var settled Hold
	err := postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		hold, err := postgres.One[holdRow](ctx, tx, selectHold+" FOR UPDATE", in.HoldID)
		if err != nil {
			return err
		}
		fresh, err := insertCharges(ctx, tx, hold.Organization, in.Charges)
		if err != nil {
			return err
		}
		settled = hold.Hold
		if fresh == 0 {
			return nil
		}
		if !hold.Open || fresh > hold.Amount-hold.Settled {
			return services.Errorf(services.Conflict, "The hold %s is closed or too small for %d more", in.HoldID, fresh)
		}
		settled.Settled += fresh
		if _, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_billing.holds SET settled = settled + $2,
				state = CASE WHEN owner = 'call' AND settled + $2 = amount THEN 'closed' ELSE state END,
				memo = CASE WHEN owner = 'call' AND settled + $2 = amount THEN '' ELSE memo END
			WHERE hold_id = $1`, in.HoldID, fresh); err != nil {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `UPDATE uaol_billing.accounts SET held = held - $2 WHERE organization_id = $1`, hold.Organization, fresh)
		return err
	})
	return settled, err
}

// insertCharges notes the charges that were not noted before and adds them up.
func insertCharges(ctx context.Context, tx pgx.Tx, organization uuid.UUID, charges []Charge) (fresh int64, err error) {
	operations, amounts := make([]string, len(charges)), make([]int64, len(charges))
	for i, c := range charges {
		operations[i], amounts[i] = c.Operation, c.Amount
	}
	amountsNew, err := postgres.Values[int64](ctx, tx, `
		INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held)
		SELECT $1, charge.operation, 'settle', 0, -charge.amount
		FROM unnest($2::text[], $3::bigint[]) AS charge (operation, amount)
		ON CONFLICT (organization_id, operation_id, kind) DO NOTHING
		RETURNING -held`, organization, operations, amounts)
	for _, amount := range amountsNew {
		fresh += min(amount, math.MaxInt64-fresh) // a sum beyond the range is too much for any hold
	}
	return fresh, err
}

// release closes an open hold and gives its rest back, to the account and to
// the caps of the period in which it was made, in one statement.
func (r *Repository) release(ctx context.Context, id uuid.UUID) error {
	return seeing(func() error {
		_, err := postgres.Exec(ctx, r.pool, `
			WITH closed AS (
				UPDATE uaol_billing.holds SET state = 'closed', memo = '' WHERE hold_id = $1 AND state = 'open'
				RETURNING hold_id, organization_id, account_id, key_id, created_at AS at, amount - settled AS rest
			), moved AS (
				UPDATE uaol_billing.accounts a SET held = a.held - closed.rest, available = a.available + closed.rest, `+capsSeen+`
				FROM closed WHERE a.organization_id = closed.organization_id
				RETURNING a.caps_set
			), counted AS (
				UPDATE uaol_billing.caps c SET spent = c.spent - x.rest, ceiling = greatest(c.amount, c.spent - x.rest)
				FROM closed x CROSS JOIN moved
				WHERE moved.caps_set > 0 AND `+capApplies+` AND c.period_start = `+capPeriod+`
			)
			INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held, account_id)
			SELECT organization_id, hold_id::text, 'release', rest, -rest, account_id FROM closed WHERE rest > 0`, id)
		return err
	})
}

type expired struct {
	ID     uuid.UUID `db:"hold_id"`
	Owner  Owner     `db:"owner"`
	Amount int64     `db:"amount"`
}

// expired lists open holds that are the sweeper's to end, oldest first: jobs'
// when their time is up, calls' an hour later.
func (r *Repository) expired(ctx context.Context, limit int) ([]expired, error) {
	return postgres.All[expired](ctx, r.pool, `
		SELECT hold_id, owner, amount - settled AS amount FROM uaol_billing.holds
		WHERE state = 'open' AND expires_at <= CASE owner WHEN 'call' THEN now() - interval '1 hour' ELSE now() END AND expires_at <= now()
		ORDER BY expires_at LIMIT $1`, limit)
}

func (r *Repository) abandoned(ctx context.Context, in AbandonedRequest) ([]AbandonedHold, error) {
	return postgres.All[AbandonedHold](ctx, r.pool, `
		SELECT hold_id, amount, settled, true AS open, organization_id, account_id, memo, created_at FROM uaol_billing.holds
		WHERE state = 'open' AND expires_at <= now() AND owner = $1 ORDER BY expires_at LIMIT $2`, in.Owner, in.Limit)
}

// prolong lets the sweeper pass over holds whose owner still needs them.
func (r *Repository) prolong(ctx context.Context, ids []string, by time.Duration) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_billing.holds SET expires_at = now() + $2 * interval '1 second'
		WHERE hold_id = ANY ($1::text[]::uuid[]) AND state = 'open'`, ids, int64(by/time.Second))
	return err
}
