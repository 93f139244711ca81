package billing

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/postgres"
)

// writeReleases closes open holds and gives their rests back, to the accounts and to
// the caps of the periods in which they were made. Holds that are not open have
// no answer.
//
// What is given back after its month has ended expires, unless other holds of the
// account can still use it up: it stays as long as what is held is enough for it.
// Of what is left then a debt is paid, as of all that comes in.
//
// State <> 'closed' and not = 'open', here and in prolong: the index of open holds
// must not be a way to find those whose ids are known.
func (r *Repository) writeReleases(ctx context.Context, batch []ReleaseRequest) (map[int]Hold, error) {
	at := make(map[uuid.UUID]int, len(batch))
	var ids []string
	for _, i := range inOrder(batch, func(in ReleaseRequest) uuid.UUID { return in.HoldID }) {
		in := batch[i]
		if _, twice := at[in.HoldID]; twice {
			continue
		}
		at[in.HoldID] = i
		ids = append(ids, in.HoldID.String())
	}
	released, err := postgres.All[Hold](ctx, r.pool, `
		WITH found AS MATERIALIZED (
			SELECT h.hold_id, h.organization_id, h.spender_id, h.job_id, h.amount, h.settled, CASE h.settled WHEN 0 THEN h.calls ELSE 0 END AS calls, h.amount - h.settled AS rest, h.created_at AS at
			FROM unnest($1::text[]) AS i (hold_id)
			CROSS JOIN LATERAL (SELECT * FROM uaol_billing.holds o WHERE o.hold_id = i.hold_id::uuid AND o.state <> 'closed' FOR UPDATE) h
		), closed AS (
			UPDATE uaol_billing.holds SET state = 'closed', memo = '' WHERE hold_id = ANY (ARRAY (SELECT f.hold_id FROM found f))
		), getting AS (
			SELECT a.organization_id, a.available, a.last_seq, a.caps_set, s.rest, s.calls, s.entries, s.last,
				greatest(a.stale - (a.held - s.rest), 0) AS ending,
				least(a.debt, a.available + s.rest - greatest(a.stale - (a.held - s.rest), 0)) AS repaid, clock_timestamp() AS at
			FROM (SELECT organization_id, sum(rest)::bigint AS rest, sum(calls)::bigint AS calls, count(*) AS entries, max(hold_id::text) AS last FROM found WHERE rest > 0
				GROUP BY organization_id ORDER BY organization_id) s
			CROSS JOIN LATERAL (SELECT * FROM uaol_billing.accounts WHERE organization_id = s.organization_id FOR UPDATE) a
		), moved AS (
			UPDATE uaol_billing.accounts a SET held = a.held - g.rest, available = a.available + g.rest - g.ending - g.repaid,
				calls_left = a.calls_left + g.calls, expired = a.expired + g.ending, stale = a.stale - g.ending,
				debt = a.debt - g.repaid, monthly = least(a.monthly, a.available + a.held - a.stale - g.repaid),
				last_seq = a.last_seq + g.entries + CASE WHEN g.ending > 0 THEN 1 ELSE 0 END + CASE WHEN g.repaid > 0 THEN 1 ELSE 0 END, `+capsSeen+`
			FROM getting g WHERE a.organization_id = g.organization_id
		), counted AS (
			UPDATE uaol_billing.caps c SET spent = c.spent - d.rest, ceiling = greatest(c.amount, c.spent - d.rest)
			FROM (
				SELECT c.organization_id, c.subject_id, c.scope, c.period, `+capPeriod+` AS start, sum(x.rest)::bigint AS rest
				FROM (SELECT f.organization_id, f.rest, f.at, s.account_id, s.key_id FROM found f
					JOIN getting g ON g.organization_id = f.organization_id AND g.caps_set > 0
					LEFT JOIN uaol_billing.spenders s ON s.spender_id = f.spender_id) x
				JOIN uaol_billing.caps c ON `+capApplies+`
				GROUP BY c.organization_id, c.subject_id, c.scope, c.period, `+capPeriod+`) d
			WHERE c.organization_id = d.organization_id AND c.subject_id = d.subject_id AND c.scope = d.scope AND c.period = d.period
				AND c.period_start = d.start
		), side AS (
			SELECT organization_id, available, last_seq, at, NULL::uuid AS hold_id, NULL::uuid AS spender_id, NULL::uuid AS job_id, 0::bigint AS rest,
				0 AS place FROM getting
			UNION ALL
			SELECT organization_id, NULL, NULL, NULL, hold_id, spender_id, job_id, rest, 1 FROM found WHERE rest > 0
		), noted AS (
			INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, hold_id, spender_id, job_id, created_at)
			SELECT organization_id, seq, hold_id::text, 'release', rest, balance, hold_id, spender_id, job_id, at FROM (
				SELECT s.organization_id, s.hold_id, s.spender_id, s.job_id, s.rest, max(s.at) OVER o AS at,
					max(s.last_seq) OVER o + row_number() OVER o - 1 AS seq, max(s.available) OVER o + sum(s.rest) OVER o AS balance
				FROM side s WINDOW o AS (PARTITION BY s.organization_id ORDER BY s.place, s.hold_id ROWS UNBOUNDED PRECEDING)) n
			WHERE hold_id IS NOT NULL
			UNION ALL
			SELECT g.organization_id, g.last_seq + g.entries + 1, g.last, 'expire', g.ending, g.available + g.rest - g.ending, NULL, NULL, NULL, g.at
			FROM getting g WHERE g.ending > 0
			UNION ALL
			SELECT g.organization_id, g.last_seq + g.entries + CASE WHEN g.ending > 0 THEN 2 ELSE 1 END, g.last, 'repay', g.repaid,
				g.available + g.rest - g.ending - g.repaid, NULL, NULL, NULL, g.at
			FROM getting g WHERE g.repaid > 0
		)
		SELECT hold_id, amount, settled, false AS open FROM found`, ids)
	if err != nil {
		return nil, err
	}
	done := make(map[int]Hold, len(released))
	for _, h := range released {
		done[at[h.ID]] = h
	}
	return done, nil
}
