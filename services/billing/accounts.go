package billing

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// account is an organisation's row, as far as the rules need it.
type account struct {
	Organization uuid.UUID  `db:"organization_id"`
	Tier         Tier       `db:"tier"`
	Holder       Holder     `db:"holder"`
	Available    int64      `db:"available"`
	Held         int64      `db:"held"`
	Revenue      int64      `db:"revenue"`
	Debt         int64      `db:"debt"`
	Monthly      int64      `db:"monthly"`
	RenewsAt     time.Time  `db:"renews_at"`
	PaidFrom     *time.Time `db:"paid_from"`
	PaidUntil    *time.Time `db:"paid_until"`
	CallsLeft    *int64     `db:"calls_left"`
	Closed       bool       `db:"closed"`
	Now          time.Time  `db:"now"` // the database's
}

// due reports whether the account has to be opened for whoever asks, or its
// month is over.
func (a account) due(asks Holder) bool {
	return a.opens(asks) || !a.Now.Before(a.RenewsAt)
}

// opens reports whether the account is new to whoever asks: a guest's becomes a
// user's, and nothing becomes less.
func (a account) opens(asks Holder) bool {
	return a.Holder == "" && asks != "" || a.Holder == HolderGuest && asks == HolderUser
}

const selectAccount = `SELECT organization_id, tier, holder, available, held, revenue, debt, monthly, renews_at, paid_from, paid_until, calls_left,
	closed_at IS NOT NULL AS closed, clock_timestamp() AS now FROM uaol_billing.accounts WHERE organization_id = $1`

func (r *Repository) account(ctx context.Context, organization uuid.UUID) (account, error) {
	return postgres.One[account](ctx, r.pool, selectAccount, organization)
}

// balance is the account as others see it: in a closed one nothing is available.
func (a account) balance() Balance {
	if a.Closed {
		a.Available = 0
	}
	return Balance{Tier: a.Tier, Available: a.Available, Held: a.Held, Debt: a.Debt}
}

// begin makes the row of an account that has none.
func begin(ctx context.Context, q postgres.Querier, organization uuid.UUID) error {
	_, err := postgres.Exec(ctx, q, `
		INSERT INTO uaol_billing.accounts (organization_id, tier, available, held, renews_at) VALUES ($1, $2, 0, 0, '0001-01-01')
		ON CONFLICT (organization_id) DO NOTHING`, organization, Free)
	return err
}

// renew begins a month, or opens the account, unless somebody else just has: it
// counts only for the account as it was seen.
func (r *Repository) renew(ctx context.Context, seen account, next renewal) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		now, err := locked(ctx, tx, seen.Organization)
		if err != nil || now.Holder != seen.Holder || !now.RenewsAt.Equal(seen.RenewsAt) || now.Tier != seen.Tier {
			return err
		}
		return renewIn(ctx, tx, now, next)
	})
}

// renewIn does so in a transaction that has locked the account. What is left of
// the month before ends; of what is held by then nobody can say yet whether it
// is left. A month's credits are used first, so they are the ones that are held:
// what was bought does not end in their place.
func renewIn(ctx context.Context, tx pgx.Tx, a account, next renewal) error {
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_billing.accounts SET tier = $2, holder = $3, renews_at = $4, paid_from = $5, paid_until = $6,
			calls_left = CASE WHEN $7 THEN $8 ELSE calls_left END WHERE organization_id = $1`,
		a.Organization, next.Tier, next.Holder, next.RenewsAt, next.PaidFrom, next.PaidUntil, next.Operation != "", next.Calls); err != nil {
		return err
	}
	if next.Operation == "" {
		return nil
	}
	if next.Once > 0 {
		if _, err := post(ctx, tx, posting{Organization: a.Organization, Operation: next.Operation, Kind: chain.Grant, Amount: next.Once}); err != nil {
			return err
		}
		return payDebt(ctx, tx, a.Organization, next.Operation)
	}
	// A month's credits are given once, also to who leaves a plan and comes back
	// to the calendar in a month that has had its own.
	if _, err := posted(ctx, tx, a.Organization, next.Operation, chain.Grant); err == nil {
		next.Operation, next.Monthly = next.Operation+"/"+uuid.NewString(), 0
	} else if !services.Is(err, services.NotFound) {
		return err
	}
	if next.Monthly == 0 && a.Monthly == 0 && next.Facts == "" {
		return nil
	}
	if _, err := postgres.Exec(ctx, tx, `
		WITH old AS (
			SELECT organization_id, available, last_seq, monthly, monthly - least(monthly, held - stale) AS ending, clock_timestamp() AS at
			FROM uaol_billing.accounts WHERE organization_id = $1 FOR UPDATE
		), moved AS (
			UPDATE uaol_billing.accounts a SET available = a.available - o.ending + $2::bigint, expired = a.expired + o.ending, grants = a.grants + $2::bigint,
				stale = a.stale + o.monthly - o.ending, monthly = $2::bigint, last_seq = a.last_seq + CASE WHEN o.ending > 0 THEN 2 ELSE 1 END
			FROM old o WHERE a.organization_id = o.organization_id
		), told AS (
			INSERT INTO uaol_billing.outbox (event_id, type, subject, organization_id, data, created_at)
			SELECT gen_random_uuid(), 'credits.granted', organization_id::text, organization_id,
				jsonb_build_object('amount', $2::bigint, 'available', available - ending + $2::bigint, 'operation', $3::text, 'expired', ending), at
			FROM old WHERE $2::bigint > 0
		)
		INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, facts, created_at)
		SELECT organization_id, last_seq + 1, $3::text, 'expire', ending, available - ending, '', at FROM old WHERE ending > 0
		UNION ALL
		SELECT organization_id, last_seq + CASE WHEN ending > 0 THEN 2 ELSE 1 END, $3::text, 'grant', $2::bigint, available - ending + $2::bigint, $4::text, at FROM old`,
		a.Organization, next.Monthly, next.Operation, next.Facts); err != nil {
		return err
	}
	return payDebt(ctx, tx, a.Organization, next.Operation)
}

// payDebt pays what is owed out of what has just come in, under the same name.
func payDebt(ctx context.Context, tx pgx.Tx, organization uuid.UUID, operation string) error {
	a, err := locked(ctx, tx, organization)
	if err != nil || a.Debt == 0 || a.Available == 0 {
		return err
	}
	_, err = post(ctx, tx, posting{Organization: organization, Operation: operation, Kind: chain.Repay, Amount: min(a.Debt, a.Available)})
	return err
}

// open gives an account as it is now: opened, and in its present month.
func (s *Service) open(ctx context.Context, organization uuid.UUID, asks Holder) (account, error) {
	for attempt := 0; ; attempt++ {
		a, err := s.repository.account(ctx, organization)
		switch {
		case services.Is(err, services.NotFound) && attempt < 3:
			if err := begin(ctx, s.repository.pool, organization); err != nil {
				return a, err
			}
			continue
		case err != nil || a.Closed || !a.due(asks) || attempt >= 10:
			return a, err
		}
		if err := s.repository.renew(ctx, a, s.plans.next(a, asks)); err != nil {
			return a, err
		}
	}
}
