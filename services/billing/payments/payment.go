package payments

import (
	"context"
	"encoding/json"
	"math/bits"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v85"

	"uaol/providers/postgres"
	"uaol/services"
)

// payment is a payment's row.
type payment struct {
	ID           string     `db:"payment_id" json:"payment"`
	Organization *uuid.UUID `db:"organization_id" json:"-"`
	Credits      int64      `db:"credits" json:"credits"`
	Amount       int64      `db:"amount" json:"amount"`
	Currency     string     `db:"currency" json:"currency"`
	Paid         bool       `db:"paid" json:"paid"`
	RefundSeen   int64      `db:"refund_seen" json:"-"`
	Refunded     int64      `db:"refunded" json:"refunded"`
	Disputed     int64      `db:"disputed" json:"disputed"`
	Credited     int64      `db:"credited" json:"-"`
}

const paymentColumns = `payment_id, organization_id, credits, amount, currency, paid, refund_seen, refunded, disputed, credited`

// reversal is a refund or a dispute: money that goes back, or might.
type reversal struct {
	ID     string `db:"reversal_id"`
	Kind   string `db:"kind"`
	Amount int64  `db:"amount"`
	Status string `db:"status"`
	Told   string `db:"told"`
}

const (
	kindRefund  = "refund"
	kindDispute = "dispute"
)

// holds reports whether it keeps the money back. An inquiry (warning_…) does not,
// nor a dispute that was won or prevented.
func (r reversal) holds() bool {
	if r.Kind == kindRefund {
		return !refundIsOver(r.Status)
	}
	switch stripe.DisputeStatus(r.Status) {
	case stripe.DisputeStatusNeedsResponse, stripe.DisputeStatusUnderReview, stripe.DisputeStatusLost:
		return true
	}
	return false
}

// gather adds what an event says to a payment's row and brings the ledger to
// where the row says it should be. Nothing in here depends on the order in which
// events come.
func (s *Service) gather(ctx context.Context, tx pgx.Tx, event stripe.Event, f facts) error {
	p, err := lockPayment(ctx, tx, f.payment)
	if err != nil {
		return err
	}
	if p.Organization == nil {
		p.Organization = f.organization
	}
	// Each is said once or always the same; the greater one is both.
	p.Credits, p.Amount, p.Currency = max(p.Credits, f.credits), max(p.Amount, f.amount), max(p.Currency, f.currency)
	p.Paid = p.Paid || f.paid
	p.RefundSeen = max(p.RefundSeen, f.refundSeen)
	if f.reversal != nil {
		if err := noteReversal(ctx, tx, p.ID, *f.reversal); err != nil {
			return err
		}
	}
	reversals, err := postgres.All[reversal](ctx, tx, `
		SELECT reversal_id, kind, amount, status, told FROM uaol_billing.reversals WHERE payment_id = $1`, p.ID)
	if err != nil {
		return err
	}
	p.sum(reversals)
	if err := s.settle(ctx, tx, event, &p); err != nil {
		return err
	}
	_, err = postgres.Exec(ctx, tx, `
		UPDATE uaol_billing.payments SET organization_id = $2, credits = $3, amount = $4, currency = $5, paid = $6,
			refund_seen = $7, refunded = $8, disputed = $9, credited = $10 WHERE payment_id = $1`,
		p.ID, p.Organization, p.Credits, p.Amount, p.Currency, p.Paid, p.RefundSeen, p.Refunded, p.Disputed, p.Credited)
	return err
}

// settle gives or takes what the journal lacks. A payment without credits is a
// subscription's: its refunds are written down and take nothing back, because
// the month's credits end with the month and the tier with the subscription,
// which whoever refunds decides on separately.
func (s *Service) settle(ctx context.Context, tx pgx.Tx, event stripe.Event, p *payment) error {
	delta := p.worth() - p.Credited
	if p.Organization == nil || delta == 0 {
		return nil
	}
	text, err := json.Marshal(struct {
		payment
		Event string           `json:"event"`
		Type  stripe.EventType `json:"type"`
	}{*p, event.ID, event.Type})
	if err != nil {
		return err
	}
	operation := "payment/" + p.ID + "/" + event.ID
	if delta > 0 {
		err = s.ledger.Purchase(ctx, tx, *p.Organization, operation, delta, string(text))
	} else {
		err = s.ledger.TakeBack(ctx, tx, *p.Organization, operation, -delta, string(text))
	}
	p.Credited += delta
	return err
}

// sum adds up what went back. Single refunds say most, but not every endpoint
// gets their events; what a charge says of all together still counts refunds that
// failed later.
func (p *payment) sum(reversals []reversal) {
	var failed int64
	p.Refunded, p.Disputed = 0, 0
	for _, r := range reversals {
		switch {
		case r.Kind == kindRefund && r.holds():
			p.Refunded += r.Amount
		case r.Kind == kindRefund:
			failed += r.Amount
		case r.holds():
			p.Disputed += r.Amount
		}
	}
	p.Refunded = max(p.Refunded, p.RefundSeen-failed)
}

// worth is how many credits a payment has bought: without the share whose money
// went back, rounded up, so that several small refunds take no less than one large.
func (p *payment) worth() int64 {
	back := p.Refunded + p.Disputed
	switch {
	case !p.Paid:
		return 0
	case back == 0:
		return p.Credits
	case back >= p.Amount:
		return 0
	}
	high, low := bits.Mul64(uint64(p.Credits), uint64(back))
	share, rest := bits.Div64(high, low, uint64(p.Amount)) // back < amount, so it fits
	if rest > 0 {
		share++
	}
	return p.Credits - int64(share)
}

// lockPayment gives a payment's row, new if need be, to this transaction alone.
func lockPayment(ctx context.Context, tx pgx.Tx, id string) (payment, error) {
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_billing.payments (payment_id) VALUES ($1) ON CONFLICT (payment_id) DO NOTHING`, id); err != nil {
		return payment{}, err
	}
	return postgres.One[payment](ctx, tx, `SELECT `+paymentColumns+` FROM uaol_billing.payments WHERE payment_id = $1 FOR UPDATE`, id)
}

// noteReversal keeps the word that counts most, under the payment's lock.
func noteReversal(ctx context.Context, tx pgx.Tx, payment string, r reversal) error {
	told, err := postgres.Values[string](ctx, tx, `SELECT told FROM uaol_billing.reversals WHERE reversal_id = $1`, r.ID)
	if err != nil || slices.ContainsFunc(told, func(t string) bool { return t >= r.Told }) {
		return err
	}
	_, err = postgres.Exec(ctx, tx, `
		INSERT INTO uaol_billing.reversals (reversal_id, payment_id, kind, amount, status, told) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (reversal_id) DO UPDATE SET amount = excluded.amount, status = excluded.status, told = excluded.told`,
		r.ID, payment, r.Kind, r.Amount, r.Status, r.Told)
	return err
}

// ownerOf is the organisation whose customer it is; nil when it is nobody's we know.
func ownerOf(ctx context.Context, tx pgx.Tx, customer string) (*uuid.UUID, error) {
	id, err := postgres.Value[uuid.UUID](ctx, tx, `SELECT organization_id FROM uaol_billing.customers WHERE customer_id = $1`, customer)
	if services.Is(err, services.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &id, nil
}
