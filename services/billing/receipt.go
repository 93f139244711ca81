package billing

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/api"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
	"uaol/services/billing/ledger"
	"uaol/services/billing/receipts"
)

// Receipts makes receipts for calls and jobs.
type Receipts struct {
	pool *pgxpool.Pool
	key  *chain.Key
}

// NewReceipts makes a Receipts that signs with the ledger's key.
func NewReceipts(pool *pgxpool.Pool, key *chain.Key) *Receipts {
	return &Receipts{pool: pool, key: key}
}

// Receipt gives the receipt of a call or a job of the caller's, or, for who
// decides about the organisation, of any member's. Kind NotFound for all else, and
// for what was free.
func (r *Receipts) Receipt(ctx context.Context, caller services.Caller, id uuid.UUID) (receipts.Receipt, error) {
	organization := caller.Organization
	receipt := receipts.Receipt{ID: id, Organization: organization, Kind: "call", Sealed: true, IssuedAt: time.Now().UTC().Truncate(time.Millisecond)}
	entries, err := postgres.All[chain.Entry](ctx, r.pool, `
		SELECT organization_id, seq, operation_id, kind, amount, balance, hold_id, spender_id, tool_id, job_id, facts, created_at
		FROM uaol_billing.journal WHERE organization_id = $1 AND job_id = $2
		UNION ALL
		SELECT organization_id, seq, operation_id, kind, amount, balance, hold_id, spender_id, tool_id, job_id, facts, created_at
		FROM uaol_billing.journal WHERE organization_id = $1 AND operation_id = $2::uuid::text AND job_id IS NULL AND kind IN ('hold', 'settle', 'release')
		ORDER BY seq`, organization, id)
	if err != nil {
		return receipt, err
	}
	if len(entries) == 0 {
		return receipt, errNoReceipt
	}
	type spenderRow struct {
		Account *uuid.UUID  `db:"account_id"`
		Key     *uuid.UUID  `db:"key_id"`
		Salt    chain.Bytes `db:"salt"`
	}
	if i := slices.IndexFunc(entries, func(e chain.Entry) bool { return e.Spender != nil }); i >= 0 {
		known, err := postgres.One[spenderRow](ctx, r.pool, `
			SELECT account_id, nullif(key_id, '00000000-0000-0000-0000-000000000000') AS key_id, salt FROM uaol_billing.spenders WHERE spender_id = $1`,
			*entries[i].Spender)
		if err != nil && !services.Is(err, services.NotFound) {
			return receipt, err
		}
		receipt.Account, receipt.Key, receipt.Salt = known.Account, known.Key, known.Salt
	}
	if !seesAll(caller) && (receipt.Account == nil || *receipt.Account != caller.Account) {
		return receipt, errNoReceipt
	}
	prover := ledger.NewProver(r.pool, organization)
	for _, e := range entries {
		if e.Job != nil && e.Kind != chain.Refund { // refunds name calls as they name jobs
			receipt.Kind = "job"
		}
		shown := receipts.Entry{Entry: e}
		proof, err := prover.Prove(ctx, e.Seq)
		switch {
		case err == nil:
			shown.Inclusion = &proof
		case services.Is(err, services.NotFound):
			receipt.Sealed = false
		default:
			return receipt, err
		}
		receipt.Entries = append(receipt.Entries, shown)
		switch e.Kind {
		case chain.Hold:
			receipt.Held += e.Amount
		case chain.Release:
			receipt.Released += e.Amount
		case chain.Refund:
			receipt.Refunded += e.Amount
		case chain.Settle, chain.Deduct:
			receipt.Charged += e.Amount
			facts := json.RawMessage(e.Facts)
			if e.Facts == "" {
				facts = json.RawMessage("{}")
			}
			receipt.Charges = append(receipt.Charges, receipts.Charge{Operation: e.Operation, Tool: e.Tool, Credits: e.Amount, Facts: facts, At: e.CreatedAt.UTC()})
		}
	}
	receipt.Open = receipt.Held > receipt.Released+receipt.Charged
	return receipt.Sign(r.key)
}

var errNoReceipt = services.Errorf(services.NotFound, "Receipt not found: only the caller's own calls and jobs have one here, and what was free has none")

type receiptInput struct {
	ID uuid.UUID `path:"receiptId" format:"uuid" doc:"of a call or of a job"`
}

func (h *Handler) receipt(ctx context.Context, caller services.Caller, in *receiptInput) (api.Data[receipts.Receipt], error) {
	receipt, err := h.receipts.Receipt(ctx, caller, in.ID)
	return api.OK(receipt), err
}

type keyBody struct {
	PublicKey chain.Public `json:"publicKey"`
}

func (h *Handler) receiptKey(context.Context, services.Caller, *struct{}) (api.Data[keyBody], error) {
	return api.OK(keyBody{PublicKey: h.receipts.key.Public()}), nil
}
