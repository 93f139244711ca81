package billing

import (
	"context"
	"math"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// settled is what came of a settlement.
type settled struct {
	Hold
	Fresh   int64 `db:"fresh"`   // of the charges, what was not paid before
	Refused bool  `db:"refused"` // the hold is closed, or too small for that
}

// answer is what its asker hears.
func (s settled) answer() (Hold, error) {
	if s.Refused {
		return Hold{}, services.Errorf(services.Conflict, "The hold %s is closed or too small for %d more", s.ID, s.Fresh)
	}
	return s.Hold, nil
}

// writeSettlements pays what was not paid before out of the holds, for each hold all of
// it or nothing. Holds that do not exist have no answer. A hold that is asked for
// twice in a batch is asked for once; the second is left for another.
//
// It violates journal_once when another statement has paid the same meanwhile,
// and is to be tried again: then it sees that.
func (r *Repository) writeSettlements(ctx context.Context, batch []SettleRequest) (map[int]settled, error) {
	at := make(map[uuid.UUID]int, len(batch))
	var holds, operations, tools, facts []string
	var amounts []int64
	var lasts []bool
	for _, i := range inOrder(batch, func(in SettleRequest) uuid.UUID { return in.HoldID }) {
		in := batch[i]
		if _, twice := at[in.HoldID]; twice {
			continue
		}
		at[in.HoldID] = i
		seen := make(map[string]bool, len(in.Charges))
		for _, c := range in.Charges {
			if seen[c.Operation] {
				continue
			}
			seen[c.Operation] = true
			holds, operations = append(holds, in.HoldID.String()), append(operations, c.Operation)
			tools, facts, amounts = append(tools, c.Tool.String()), append(facts, c.Facts.text()), append(amounts, c.Amount)
			lasts = append(lasts, in.Last)
		}
	}
	rows, err := postgres.All[settled](ctx, r.pool, `
		WITH found AS MATERIALIZED (
			SELECT h.hold_id, h.organization_id, h.spender_id, h.job_id, h.owner = 'call' OR c.last AS last, h.state, h.amount AS held, h.settled,
				c.operation, c.amount, c.facts, c.place, nullif(c.tool_id::uuid, '00000000-0000-0000-0000-000000000000') AS tool_id
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $7::boolean[])
				WITH ORDINALITY AS c (hold_id, operation, tool_id, facts, amount, last, place)
			CROSS JOIN LATERAL (
				SELECT o.hold_id, o.organization_id, o.spender_id, o.job_id, o.owner, o.state, o.amount, o.settled
				FROM uaol_billing.holds o WHERE o.hold_id = c.hold_id::uuid FOR UPDATE) h
		), looked AS MATERIALIZED (
			SELECT f.*, (SELECT j.seq FROM uaol_billing.journal j
				WHERE j.organization_id = f.organization_id AND j.operation_id = f.operation AND j.kind = 'settle') IS NOT NULL AS paid
			FROM found f
		), weighed AS (
			SELECT l.*, sum(CASE WHEN paid THEN 0 ELSE amount END) OVER (PARTITION BY hold_id) AS due FROM looked l
		), payable AS (
			SELECT * FROM weighed WHERE NOT paid AND state = 'open' AND due <= held - settled
		), paying AS (
			SELECT a.organization_id, a.available, a.last_seq, s.amount, s.entries, clock_timestamp() AS at FROM uaol_billing.accounts a
			JOIN (SELECT organization_id, sum(amount)::bigint AS amount, count(*) AS entries FROM payable GROUP BY organization_id) s
				ON s.organization_id = a.organization_id
			ORDER BY a.organization_id FOR UPDATE OF a
		), moved AS (
			UPDATE uaol_billing.accounts a SET held = a.held - p.amount, revenue = a.revenue + p.amount, last_seq = a.last_seq + p.entries,
				stale = greatest(a.stale - p.amount, 0), monthly = greatest(a.monthly - greatest(p.amount - a.stale, 0), 0)
			FROM paying p WHERE a.organization_id = p.organization_id
		), side AS (
			SELECT organization_id, available, last_seq, at, NULL::text AS operation, NULL::uuid AS hold_id, NULL::uuid AS spender_id, NULL::uuid AS job_id,
				NULL::uuid AS tool_id, NULL::text AS facts, NULL::bigint AS amount, 0::bigint AS place FROM paying
			UNION ALL
			SELECT organization_id, NULL, NULL, NULL, operation, hold_id, spender_id, job_id, tool_id, facts, amount, place FROM payable
		), noted AS (
			INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, hold_id, spender_id, tool_id, job_id, facts, created_at)
			SELECT organization_id, seq, operation, 'settle', amount, balance, hold_id, spender_id, tool_id, job_id, facts, at FROM (
				SELECT s.organization_id, s.operation, s.amount, s.hold_id, s.spender_id, s.tool_id, s.job_id, s.facts,
					max(s.last_seq) OVER o + row_number() OVER o - 1 AS seq, max(s.available) OVER o AS balance, max(s.at) OVER o AS at
				FROM side s WINDOW o AS (PARTITION BY s.organization_id ORDER BY s.place ROWS UNBOUNDED PRECEDING)) n
			WHERE operation IS NOT NULL
		), paid AS (
			UPDATE uaol_billing.holds h SET settled = h.settled + p.amount,
				state = CASE WHEN p.last AND h.settled + p.amount = h.amount THEN 'closed' ELSE h.state END,
				memo = CASE WHEN p.last AND h.settled + p.amount = h.amount THEN '' ELSE h.memo END
			FROM (SELECT hold_id, sum(amount)::bigint AS amount, bool_or(last) AS last FROM payable GROUP BY hold_id) p WHERE h.hold_id = p.hold_id
		), told AS (
			INSERT INTO uaol_billing.outbox (event_id, type, subject, organization_id, data, created_at)
			SELECT gen_random_uuid(), 'credits.charged', organization_id::text, organization_id,
				jsonb_build_object('amount', amount, 'charges', entries, 'available', available), at FROM paying WHERE $8
		)
		SELECT hold_id, held AS amount, (settled + CASE WHEN fits THEN due ELSE 0 END)::bigint AS settled,
			state = 'open' AND NOT (fits AND last AND settled + due = held) AS open,
			least(due, $6)::bigint AS fresh, due > 0 AND NOT fits AS refused
		FROM (SELECT DISTINCT hold_id, held, settled, state, last, due, due > 0 AND state = 'open' AND due <= held - settled AS fits FROM weighed) w`,
		holds, operations, tools, facts, amounts, int64(math.MaxInt64), lasts, r.told)
	if err != nil {
		return nil, err
	}
	done := make(map[int]settled, len(rows))
	for _, s := range rows {
		done[at[s.ID]] = s
	}
	return done, nil
}
