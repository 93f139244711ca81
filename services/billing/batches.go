package billing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// The three statements below write what came at once: one statement, one update
// of each account's row. An account that all its callers share (a hot one) is so
// written as often as batches are, not as often as there are calls. They take
// what needs no second look and leave the rest, untouched, to the statements for
// one: accounts with caps, without room for all of the batch, closed or never
// opened; ids seen before. Nobody is refused here.
//
// Rows are locked in the order of their ids, holds before accounts, by these and
// by the statements for one. So none waits for another in a circle.

// alone tells failures that one member's data may have brought upon a batch:
// then each is written alone, and the others are none the worse. A database that
// is away is everybody's failure, and what came of the batch is not known.
func alone(err error) bool {
	return err != nil && !services.Is(err, services.Unavailable)
}

func (r *Repository) holdAll(ctx context.Context, batch []HoldRequest) (map[int]Hold, error) {
	at := make(map[uuid.UUID]int, len(batch))
	var (
		ids, organizations, accounts, keys, owners, memos []string
		amounts, lifetimes                                []int64
	)
	for i, in := range batch {
		if _, twice := at[in.ID]; twice {
			continue // it finds the first one's when it is alone
		}
		at[in.ID] = i
		ids = append(ids, in.ID.String())
		organizations = append(organizations, in.Caller.Organization.String())
		accounts = append(accounts, in.Caller.Account.String())
		keys = append(keys, in.Caller.Key.String())
		owners = append(owners, string(in.Owner))
		memos = append(memos, in.Memo)
		amounts = append(amounts, in.Amount)
		lifetimes = append(lifetimes, int64(in.Lifetime/time.Second))
	}
	moved, err := postgres.Values[uuid.UUID](ctx, r.pool, `
		WITH wanted AS (
			SELECT w.hold_id::uuid AS hold_id, w.organization_id::uuid AS organization_id, w.account_id::uuid AS account_id,
				nullif(w.key_id, '00000000-0000-0000-0000-000000000000')::uuid AS key_id, w.owner, w.memo, w.amount, w.lifetime
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
				AS w (hold_id, organization_id, account_id, key_id, owner, memo, amount, lifetime)
			WHERE NOT EXISTS (SELECT 1 FROM uaol_billing.holds h WHERE h.hold_id = w.hold_id::uuid)
		), roomy AS (
			SELECT a.organization_id, s.amount::bigint AS amount FROM uaol_billing.accounts a
			JOIN (SELECT organization_id, sum(amount) AS amount FROM wanted GROUP BY organization_id) s ON s.organization_id = a.organization_id
			WHERE a.available >= s.amount AND a.closed_at IS NULL AND a.caps_set = 0
			ORDER BY a.organization_id FOR UPDATE OF a
		), moved AS (
			UPDATE uaol_billing.accounts a SET available = a.available - r.amount, held = a.held + r.amount
			FROM roomy r WHERE a.organization_id = r.organization_id
			RETURNING a.organization_id
		), noted AS (
			INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held, account_id)
			SELECT w.organization_id, w.hold_id::text, 'hold', -w.amount, w.amount, w.account_id
			FROM wanted w JOIN moved m ON m.organization_id = w.organization_id
		)
		INSERT INTO uaol_billing.holds (hold_id, organization_id, account_id, key_id, owner, amount, memo, expires_at, created_at)
		SELECT w.hold_id, w.organization_id, w.account_id, w.key_id, w.owner, w.amount, w.memo,
			now() + w.lifetime * interval '1 second', clock_timestamp()
		FROM wanted w JOIN moved m ON m.organization_id = w.organization_id
		RETURNING hold_id`,
		ids, organizations, accounts, keys, owners, memos, amounts, lifetimes)
	if alone(err) {
		return nil, nil
	}
	done := make(map[int]Hold, len(moved))
	for _, id := range moved {
		done[at[id]] = Hold{ID: id, Amount: batch[at[id]].Amount, Open: true}
	}
	return done, err
}

// whole reports whether a settlement is that of a call: of one charge, under the
// hold's own id. Only those are written together.
func (in SettleRequest) whole() bool {
	return len(in.Charges) == 1 && in.Charges[0].Operation == in.HoldID.String()
}

func (r *Repository) settleAll(ctx context.Context, batch []SettleRequest) (map[int]Hold, error) {
	at := make(map[uuid.UUID]int, len(batch))
	var ids []string
	var amounts []int64
	for i, in := range batch {
		if _, twice := at[in.HoldID]; twice {
			continue
		}
		at[in.HoldID] = i
		ids, amounts = append(ids, in.HoldID.String()), append(amounts, in.Charges[0].Amount)
	}
	settled, err := postgres.All[Hold](ctx, r.pool, `
		WITH charge AS (
			SELECT c.hold_id::uuid AS hold_id, c.amount FROM unnest($1::text[], $2::bigint[]) AS c (hold_id, amount)
		), found AS (
			SELECT h.hold_id, h.organization_id, h.state, h.amount - h.settled AS rest FROM uaol_billing.holds h
			WHERE h.hold_id = ANY ($1::text[]::uuid[]) ORDER BY h.hold_id FOR UPDATE
		), noted AS (
			INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held)
			SELECT f.organization_id, f.hold_id::text, 'settle', 0, -c.amount
			FROM found f JOIN charge c ON c.hold_id = f.hold_id WHERE f.state = 'open' AND c.amount <= f.rest
			ON CONFLICT (organization_id, operation_id, kind) DO NOTHING
			RETURNING organization_id, operation_id, -held AS amount
		), paying AS (
			SELECT a.organization_id, s.amount::bigint AS amount FROM uaol_billing.accounts a
			JOIN (SELECT organization_id, sum(amount) AS amount FROM noted GROUP BY organization_id) s ON s.organization_id = a.organization_id
			ORDER BY a.organization_id FOR UPDATE OF a
		), moved AS (
			UPDATE uaol_billing.accounts a SET held = a.held - p.amount FROM paying p WHERE a.organization_id = p.organization_id
		)
		UPDATE uaol_billing.holds h SET settled = h.settled + n.amount,
			state = CASE WHEN h.owner = 'call' AND h.settled + n.amount = h.amount THEN 'closed' ELSE h.state END,
			memo = CASE WHEN h.owner = 'call' AND h.settled + n.amount = h.amount THEN '' ELSE h.memo END
		FROM noted n WHERE h.hold_id = n.operation_id::uuid
		RETURNING h.hold_id, h.amount, h.settled, h.state = 'open' AS open`, ids, amounts)
	return byPlace(settled, at, err)
}

func (r *Repository) releaseAll(ctx context.Context, batch []ReleaseRequest) (map[int]Hold, error) {
	at := make(map[uuid.UUID]int, len(batch))
	var ids []string
	for i, in := range batch {
		if _, twice := at[in.HoldID]; twice {
			continue
		}
		at[in.HoldID] = i
		ids = append(ids, in.HoldID.String())
	}
	released, err := postgres.All[Hold](ctx, r.pool, `
		WITH found AS (
			SELECT h.hold_id, h.organization_id FROM uaol_billing.holds h
			WHERE h.hold_id = ANY ($1::text[]::uuid[]) AND h.state = 'open' ORDER BY h.hold_id FOR UPDATE
		), uncapped AS (
			SELECT a.organization_id FROM uaol_billing.accounts a
			WHERE a.organization_id IN (SELECT organization_id FROM found) AND a.caps_set = 0
			ORDER BY a.organization_id FOR UPDATE
		), closed AS (
			UPDATE uaol_billing.holds h SET state = 'closed', memo = ''
			FROM found f JOIN uncapped u ON u.organization_id = f.organization_id
			WHERE h.hold_id = f.hold_id
			RETURNING h.hold_id, h.organization_id, h.account_id, h.amount, h.settled
		), moved AS (
			UPDATE uaol_billing.accounts a SET held = a.held - c.rest, available = a.available + c.rest
			FROM (SELECT organization_id, sum(amount - settled)::bigint AS rest FROM closed GROUP BY organization_id) c
			WHERE a.organization_id = c.organization_id
		), noted AS (
			INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held, account_id)
			SELECT organization_id, hold_id::text, 'release', amount - settled, settled - amount, account_id FROM closed WHERE amount > settled
		)
		SELECT hold_id, amount, settled, false AS open FROM closed`, ids)
	return byPlace(released, at, err)
}

// byPlace gives the holds to those of a batch that asked for them.
func byPlace(holds []Hold, at map[uuid.UUID]int, err error) (map[int]Hold, error) {
	if alone(err) {
		return nil, nil
	}
	done := make(map[int]Hold, len(holds))
	for _, h := range holds {
		done[at[h.ID]] = h
	}
	return done, err
}
