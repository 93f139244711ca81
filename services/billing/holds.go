package billing

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// The three statements of holds (here, in settlements.go and in releases.go)
// write many at once: one statement, one update of each account's row. An
// account that all its callers share (a hot one) is so written as often as
// batches are, not as often as there are calls. What does not fit is left
// untouched and is said to be so; nobody is refused here.
//
// Rows are locked in the order of their ids, holds before accounts before caps.
// So none waits for another in a circle.
//
// A batch and the accounts that it is for are brought together by sorting (one
// above the other, then a window over each organisation), not by a join: a
// database has no idea how long an array is, takes it for short and would compare
// each with each; or it knows, and reads all holds there are rather than look each
// up. So those are looked up one by one (LATERAL, or ANY of an array). The arrays of
// settlements are plain parameters: each batch is planned, since the plan of an empty
// journal would be kept while it grows.

// inOrder gives the places of a batch's members in the order of their ids; of those
// with the same one the first comes first.
func inOrder[T any](batch []T, id func(T) uuid.UUID) []int {
	places := make([]int, len(batch))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int {
		x, y := id(batch[a]), id(batch[b])
		return bytes.Compare(x[:], y[:])
	})
	return places
}

// alone tells failures that one member's data may have brought upon a batch:
// then each is written alone, and the others are none the worse. A database that
// is away is everybody's failure, and what came of the batch is not known.
func alone(err error) bool {
	return err != nil && !services.Is(err, services.Unavailable)
}

// asked is a hold with what the statement needs besides.
type asked struct {
	HoldRequest
	spender uuid.UUID
}

// writeHolds moves credits from available to held, counts them against the caps that
// apply and notes the holds, for each account all of it or nothing; it violates
// caps_hold when a cap would be exceeded by what another statement held meanwhile.
// An account is left alone that has too little, or too few calls, owes, is closed, whose month is
// over or one of whose caps is full; and, to be tried again, one whose caps were
// set while the statement waited for it: it can't see those. The time is taken
// under the account's lock, so that holds never go back to a period that is over.
func (r *Repository) writeHolds(ctx context.Context, batch []asked) (map[int]Hold, error) {
	at := make(map[uuid.UUID]int, len(batch))
	n := len(batch)
	ids, organizations, accounts, keys := make([]string, 0, n), make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
	spenders, jobs, owners, memos := make([]string, 0, n), make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
	amounts, lifetimes, calls := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	for i, in := range batch {
		if _, twice := at[in.ID]; twice {
			continue // it finds the first one's when it is alone
		}
		at[in.ID] = i
		ids = append(ids, in.ID.String())
		organizations = append(organizations, in.Caller.Organization.String())
		accounts = append(accounts, in.Caller.Account.String())
		keys = append(keys, in.Caller.Key.String())
		spenders = append(spenders, in.spender.String())
		jobs = append(jobs, in.job().String())
		owners = append(owners, string(in.Owner))
		memos = append(memos, in.Memo)
		amounts = append(amounts, in.Amount)
		lifetimes = append(lifetimes, int64(in.Lifetime/time.Second))
		calls = append(calls, in.calls())
	}
	moved, err := postgres.Values[uuid.UUID](ctx, r.pool, `
		WITH wanted AS (
			SELECT w.hold_id::uuid AS hold_id, w.organization_id::uuid AS organization_id, w.account_id::uuid AS account_id,
				w.key_id::uuid AS key_id, w.spender_id::uuid AS spender_id,
				nullif(w.job_id::uuid, '00000000-0000-0000-0000-000000000000') AS job_id,
				w.owner, w.memo, w.amount, w.lifetime, w.calls, w.place
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])
				WITH ORDINALITY AS w (hold_id, organization_id, account_id, key_id, spender_id, job_id, owner, memo, amount, lifetime, calls, place)
			WHERE (SELECT h.hold_id FROM uaol_billing.holds h WHERE h.hold_id = w.hold_id::uuid) IS NULL
		), needed AS (
			SELECT organization_id, sum(amount) AS amount, sum(calls) AS calls, count(*) AS entries FROM wanted GROUP BY organization_id
		), capped AS (
			SELECT DISTINCT d.organization_id FROM (
				SELECT c.organization_id, CASE WHEN c.period_start < `+capPeriod+` THEN c.amount ELSE c.ceiling - c.spent END AS room, sum(x.amount) AS amount
				FROM (SELECT *, now() AS at FROM wanted) x JOIN uaol_billing.caps c ON `+capApplies+`
				GROUP BY c.organization_id, c.subject_id, c.scope, c.period, x.at) d
			WHERE d.amount > d.room
		), roomy AS (
			SELECT a.organization_id, a.tier, a.available, a.last_seq, a.caps_set, n.amount::bigint AS amount, n.calls::bigint AS calls, n.entries, clock_timestamp() AS at
			FROM uaol_billing.accounts a JOIN needed n ON n.organization_id = a.organization_id
			WHERE a.available >= n.amount AND a.debt = 0 AND a.closed_at IS NULL AND a.renews_at > clock_timestamp()
				AND (a.calls_left IS NULL OR a.calls_left >= n.calls)
				AND a.caps_set = (SELECT s.caps_set FROM uaol_billing.accounts s WHERE s.organization_id = a.organization_id)
				AND NOT EXISTS (SELECT 1 FROM capped c WHERE c.organization_id = a.organization_id)
			ORDER BY a.organization_id FOR UPDATE OF a
		), moved AS (
			UPDATE uaol_billing.accounts a SET available = a.available - r.amount, held = a.held + r.amount, calls_left = a.calls_left - r.calls, last_seq = a.last_seq + r.entries
			FROM roomy r WHERE a.organization_id = r.organization_id
		), side AS (
			SELECT organization_id, available, last_seq, caps_set, at, NULL::uuid AS hold_id, NULL::uuid AS account_id, NULL::uuid AS key_id, NULL::uuid AS spender_id,
				NULL::uuid AS job_id, NULL::text AS owner, NULL::text AS memo, 0::bigint AS amount, 0::bigint AS lifetime, 0::bigint AS calls, 0::bigint AS place FROM roomy
			UNION ALL
			SELECT organization_id, NULL, NULL, NULL, NULL, hold_id, account_id, key_id, spender_id, job_id, owner, memo, amount, lifetime, calls, place FROM wanted
		), placed AS (
			SELECT * FROM (
				SELECT organization_id, hold_id, account_id, key_id, spender_id, job_id, owner, memo, amount, lifetime, calls,
					max(at) OVER o AS at, max(caps_set) OVER o AS caps_set,
					max(last_seq) OVER o + row_number() OVER o - 1 AS seq, max(available) OVER o - sum(amount) OVER o AS balance
				FROM side WINDOW o AS (PARTITION BY organization_id ORDER BY place ROWS UNBOUNDED PRECEDING)) p
			WHERE hold_id IS NOT NULL AND at IS NOT NULL
		), noted AS (
			INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, hold_id, spender_id, job_id, created_at)
			SELECT organization_id, seq, hold_id::text, 'hold', amount, balance, hold_id, spender_id, job_id, at FROM placed
		), counted AS (
			UPDATE uaol_billing.caps c SET
				period_start = greatest(c.period_start, d.start),
				ceiling = CASE WHEN c.period_start < d.start THEN c.amount ELSE c.ceiling END,
				spent = CASE WHEN c.period_start < d.start THEN 0 ELSE c.spent END + d.amount
			FROM (
				SELECT c.organization_id, c.subject_id, c.scope, c.period, `+capPeriod+` AS start, sum(x.amount)::bigint AS amount
				FROM placed x JOIN uaol_billing.caps c ON `+capApplies+`
				WHERE x.caps_set > 0 GROUP BY c.organization_id, c.subject_id, c.scope, c.period, x.at) d
			WHERE c.organization_id = d.organization_id AND c.subject_id = d.subject_id AND c.scope = d.scope AND c.period = d.period
		), told AS (
			INSERT INTO uaol_billing.outbox (event_id, type, subject, organization_id, data, created_at)
			SELECT gen_random_uuid(), 'credits.low', r.organization_id::text, r.organization_id,
				jsonb_build_object('available', r.available - r.amount, 'below', l.credits, 'tier', r.tier), r.at
			FROM roomy r JOIN unnest($12::text[], $13::bigint[]) AS l (tier, credits) ON l.tier = r.tier
			WHERE r.available >= l.credits AND r.available - r.amount < l.credits
		)
		INSERT INTO uaol_billing.holds (hold_id, organization_id, spender_id, job_id, owner, amount, calls, memo, expires_at, created_at)
		SELECT hold_id, organization_id, spender_id, job_id, owner, amount, calls, memo, at + lifetime * interval '1 second', at FROM placed
		RETURNING hold_id`,
		ids, organizations, accounts, keys, spenders, jobs, owners, memos, amounts, lifetimes, calls, r.low.tiers, r.low.credits)
	if err != nil {
		return nil, err
	}
	done := make(map[int]Hold, len(moved))
	for _, id := range moved {
		done[at[id]] = Hold{ID: id, Amount: batch[at[id]].Amount, Open: true}
	}
	return done, nil
}

type holdRow struct {
	Hold
	Organization uuid.UUID `db:"organization_id"`
}

func (r *Repository) findHold(ctx context.Context, id uuid.UUID) (holdRow, error) {
	return postgres.One[holdRow](ctx, r.pool, `
		SELECT hold_id, organization_id, amount, settled, state = 'open' AS open FROM uaol_billing.holds WHERE hold_id = $1`, id)
}

type expired struct {
	ID     uuid.UUID `db:"hold_id"`
	Owner  Owner     `db:"owner"`
	Amount int64     `db:"amount"`
	Job    uuid.UUID `db:"job_id"`
}

// expired lists open holds that are the sweeper's to end, oldest first: jobs'
// when their time is up, calls' an hour later.
func (r *Repository) expired(ctx context.Context, limit int) ([]expired, error) {
	return postgres.All[expired](ctx, r.pool, `
		SELECT hold_id, owner, amount - settled AS amount, coalesce(job_id, hold_id) AS job_id FROM uaol_billing.holds
		WHERE state = 'open' AND expires_at <= CASE owner WHEN 'call' THEN now() - interval '1 hour' ELSE now() END AND expires_at <= now()
		ORDER BY expires_at LIMIT $1`, limit)
}

func (r *Repository) abandoned(ctx context.Context, in AbandonedRequest) ([]AbandonedHold, error) {
	return postgres.All[AbandonedHold](ctx, r.pool, `
		SELECT h.hold_id, h.amount, h.settled, true AS open, h.organization_id,
			coalesce(s.account_id, '00000000-0000-0000-0000-000000000000') AS account_id, h.memo, h.created_at
		FROM uaol_billing.holds h LEFT JOIN uaol_billing.spenders s ON s.spender_id = h.spender_id
		WHERE h.state = 'open' AND h.expires_at <= now() AND h.owner = $1 ORDER BY h.expires_at LIMIT $2`, in.Owner, in.Limit)
}

// prolong lets the sweeper pass over holds whose owner still needs them.
func (r *Repository) prolong(ctx context.Context, ids []string, by time.Duration) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_billing.holds SET expires_at = now() + $2 * interval '1 second'
		WHERE hold_id = ANY ($1::text[]::uuid[]) AND state <> 'closed'`, ids, int64(by/time.Second))
	return err
}
