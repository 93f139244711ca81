package billing

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// Kind says between which two of an organisation's ledger accounts an entry of
// the journal moves its amount; chain lists them.
type Kind = chain.Kind

// change is what an entry of a kind does to what is available: 1, 0 or -1
// times its amount.
func change(k Kind) int64 {
	switch k {
	case chain.Grant, chain.Purchase, chain.Release, chain.Refund, chain.Receive:
		return 1
	case chain.Hold, chain.Deduct, chain.Send, chain.Expire, chain.Return, chain.Repay:
		return -1
	}
	return 0
}

// Facts say what a charge paid for. They stand in the journal with it and are
// sealed with it.
type Facts struct {
	Version  int64  `json:"version,omitempty"`  // of the tool
	Method   string `json:"method,omitempty"`   //
	Pin      string `json:"pin,omitempty"`      // the digest that the method's definition was approved with
	Step     string `json:"step,omitempty"`     // of the job
	Trace    string `json:"trace,omitempty"`    //
	Approval string `json:"approval,omitempty"` // of a person, where the call needed one
	Outcome  string `json:"outcome,omitempty"`  // where it is not known to be a success
}

func (f Facts) text() string {
	if f == (Facts{}) {
		return ""
	}
	text, _ := json.Marshal(f) // texts and a number
	return string(text)
}

// tellsOf is the type of the event that tells of an entry, where one does.
func tellsOf(k Kind) string {
	switch k {
	case chain.Grant:
		return "credits.granted"
	case chain.Purchase:
		return "credits.purchased"
	case chain.Return:
		return "credits.returned"
	case chain.Refund:
		return "credits.refunded"
	case chain.Deduct:
		return "credits.deducted"
	case chain.Send:
		return "credits.sent"
	case chain.Receive:
		return "credits.received"
	}
	return ""
}

// posting is an entry to be made, other than those of holds.
type posting struct {
	Organization uuid.UUID
	Operation    string
	Kind         Kind
	Amount       int64
	Monthly      int64 // of what arrives: ends with the month
	Job          uuid.UUID
	Spender      uuid.UUID
	Facts        string
	Open         bool // only if the account is not closed
}

// post makes an entry and moves its amount, in one statement that does neither
// when the operation was there before, when the account is closed or not there,
// or when there is too little.
func post(ctx context.Context, tx pgx.Tx, p posting) (posted bool, err error) {
	x, available := p.Amount, p.Amount*change(p.Kind)
	by := map[Kind][6]int64{ // grants, purchases, transfers, revenue, expired, debt
		chain.Grant: {x}, chain.Purchase: {0, x}, chain.Receive: {0, 0, x}, chain.Send: {0, 0, -x},
		chain.Deduct: {0, 0, 0, x}, chain.Refund: {0, 0, 0, -x}, chain.Expire: {0, 0, 0, 0, x},
		chain.Return: {0, -x}, chain.Owe: {0, -x, 0, 0, 0, x}, chain.Repay: {0, 0, 0, 0, 0, -x},
	}[p.Kind]
	monthly := p.Monthly
	if p.Kind == chain.Deduct || p.Kind == chain.Send { // the month's credits go first
		monthly = -x
	}
	n, err := postgres.Exec(ctx, tx, `
		WITH moved AS (
			UPDATE uaol_billing.accounts SET last_seq = last_seq + 1, available = available + $2::bigint,
				grants = grants + $3, purchases = purchases + $4, transfers = transfers + $5,
				revenue = revenue + $6, expired = expired + $7, debt = debt + $8,
				monthly = least(greatest(monthly + $9::bigint, 0), available + $2::bigint + held - stale)
			WHERE organization_id = $1 AND available + $2::bigint >= 0 AND revenue + $6 >= 0 AND purchases + $4 >= 0 AND debt + $8 >= 0
				AND (closed_at IS NULL OR NOT $10) AND NOT EXISTS (
					SELECT 1 FROM uaol_billing.journal j WHERE j.organization_id = $1 AND j.operation_id = $11 AND j.kind = $12)
			RETURNING organization_id, last_seq, available
		), told AS (
			INSERT INTO uaol_billing.outbox (event_id, type, subject, organization_id, data, created_at)
			SELECT gen_random_uuid(), $17::text, organization_id::text, organization_id,
				jsonb_build_object('amount', $13::bigint, 'available', available, 'operation', $11::text), clock_timestamp()
			FROM moved WHERE $17::text <> ''
		)
		INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, spender_id, job_id, facts, created_at)
		SELECT organization_id, last_seq, $11, $12, $13, available,
			nullif($14::uuid, '00000000-0000-0000-0000-000000000000'), nullif($15::uuid, '00000000-0000-0000-0000-000000000000'), $16, clock_timestamp()
		FROM moved`,
		p.Organization, available, by[0], by[1], by[2], by[3], by[4], by[5], monthly, p.Open,
		p.Operation, p.Kind, p.Amount, p.Spender, p.Job, p.Facts, tellsOf(p.Kind))
	return n == 1, err
}

// posted gives the amount of an entry that was made before; kind NotFound when
// there is none.
func posted(ctx context.Context, q postgres.Querier, organization uuid.UUID, operation string, kind Kind) (int64, error) {
	return postgres.Value[int64](ctx, q, `
		SELECT amount FROM uaol_billing.journal WHERE organization_id = $1 AND operation_id = $2 AND kind = $3`, organization, operation, kind)
}

// locked reads an account that is about to be written to, so that what follows
// from it in this transaction is true.
func locked(ctx context.Context, tx pgx.Tx, organization uuid.UUID) (account, error) {
	a, err := postgres.One[account](ctx, tx, selectAccount+" FOR UPDATE", organization)
	if services.Is(err, services.NotFound) {
		err = services.Errorf(services.NotFound, "There is no such account")
	}
	return a, err
}
