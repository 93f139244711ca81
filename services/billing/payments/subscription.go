package payments

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v85"

	"uaol/providers/postgres"
)

// subscription is a subscription's row.
type subscription struct {
	ID           string     `db:"subscription_id"`
	Organization *uuid.UUID `db:"organization_id"`
	Customer     string     `db:"customer_id"`
	Tier         string     `db:"tier"`
	Status       string     `db:"status"`
	Ends         bool       `db:"cancel_at_period_end"`
	PeriodEnd    *time.Time `db:"period_end"`
	Told         string     `db:"told"`
	Ended        bool       `db:"ended"`
}

const subscriptionColumns = `subscription_id, organization_id, customer_id, tier, status, cancel_at_period_end, period_end, told, ended`

// invoice is a paid month's row.
type invoice struct {
	ID       string    `db:"invoice_id"`
	Tier     string    `db:"tier"`
	Amount   int64     `db:"amount"`
	Currency string    `db:"currency"`
	From     time.Time `db:"period_from"`
	Until    time.Time `db:"period_until"`
}

// subscribed adds what an event says to a subscription's row and brings the
// ledger to where that says it should be, in whatever order events come.
func (s *Service) subscribed(ctx context.Context, tx pgx.Tx, w word) error {
	sub, err := lockSubscription(ctx, tx, w.id)
	if err != nil {
		return err
	}
	if sub.Organization == nil {
		sub.Organization = w.organization
	}
	sub.Customer = cmp.Or(sub.Customer, w.customer)
	if sub.Organization == nil {
		if sub.Organization, err = ownerOf(ctx, tx, sub.Customer); err != nil {
			return err
		}
	}
	if w.state != nil && w.state.told > sub.Told {
		sub.Status, sub.Ends, sub.Told = w.state.status, w.state.ends, w.state.told
		sub.PeriodEnd = cmp.Or(w.state.periodEnd, sub.PeriodEnd)
		sub.Tier = cmp.Or(w.tier, sub.Tier)
	}
	sub.Tier = cmp.Or(sub.Tier, w.tier)
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_billing.subscriptions SET organization_id = $2, customer_id = $3, tier = $4, status = $5,
			cancel_at_period_end = $6, period_end = $7, told = $8 WHERE subscription_id = $1`,
		sub.ID, sub.Organization, sub.Customer, sub.Tier, sub.Status, sub.Ends, sub.PeriodEnd, sub.Told); err != nil {
		return err
	}
	if w.invoice != nil {
		if err := addInvoice(ctx, tx, sub.ID, *w.invoice); err != nil {
			return err
		}
	}
	if sub.Organization == nil {
		return nil // it counts once somebody says whose it is
	}
	return s.count(ctx, tx, sub)
}

// count tells the ledger of months that were paid and of a subscription that is
// over. Only canceled is over: while Stripe collects, or has given up collecting
// but left the subscription as unpaid, the tier lasts as long as the period that
// was paid for, which the ledger knows.
func (s *Service) count(ctx context.Context, tx pgx.Tx, sub subscription) error {
	all, err := lockAll(ctx, tx, *sub.Organization)
	if err != nil {
		return err
	}
	fresh, ever, err := s.countMonths(ctx, tx, sub)
	if err != nil {
		return err
	}
	// One that never was paid gave no tier that could be taken away. One whose last
	// invoice comes after its end has given it anew.
	if sub.Status != string(stripe.SubscriptionStatusCanceled) || !ever || (sub.Ended && !fresh) {
		return nil
	}
	for _, other := range all {
		// The tier is that one's now. Without a status its own event is still to come.
		if other.ID != sub.ID && (isLive(other.Status) || other.Status == "") {
			return nil
		}
	}
	if err := s.ledger.Unsubscribed(ctx, tx, *sub.Organization); err != nil {
		return err
	}
	_, err = postgres.Exec(ctx, tx, `UPDATE uaol_billing.subscriptions SET ended = true WHERE subscription_id = $1`, sub.ID)
	return err
}

// countMonths gives the ledger each paid month once, the earliest first, and tells
// whether there was one now, and whether there has ever been one.
func (s *Service) countMonths(ctx context.Context, tx pgx.Tx, sub subscription) (fresh, ever bool, err error) {
	waiting, err := postgres.All[invoice](ctx, tx, `
		SELECT invoice_id, tier, amount, currency, period_from, period_until FROM uaol_billing.invoices
		WHERE subscription_id = $1 AND NOT counted ORDER BY period_from, invoice_id`, sub.ID)
	if err != nil {
		return false, false, err
	}
	for _, month := range waiting {
		tier := cmp.Or(month.Tier, sub.Tier)
		if tier == "" {
			continue // nobody has said yet what it pays for
		}
		if err := s.ledger.Subscribed(ctx, tx, *sub.Organization, tier, month.From, month.Until, "invoice/"+month.ID); err != nil {
			return false, false, err
		}
		if _, err := postgres.Exec(ctx, tx, `UPDATE uaol_billing.invoices SET counted = true WHERE invoice_id = $1`, month.ID); err != nil {
			return false, false, err
		}
		fresh = true
	}
	ever, err = postgres.Value[bool](ctx, tx, `SELECT EXISTS (SELECT 1 FROM uaol_billing.invoices WHERE subscription_id = $1 AND counted)`, sub.ID)
	return fresh, ever, err
}

func lockSubscription(ctx context.Context, tx pgx.Tx, id string) (subscription, error) {
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_billing.subscriptions (subscription_id) VALUES ($1) ON CONFLICT (subscription_id) DO NOTHING`, id); err != nil {
		return subscription{}, err
	}
	return postgres.One[subscription](ctx, tx, `SELECT `+subscriptionColumns+` FROM uaol_billing.subscriptions WHERE subscription_id = $1 FOR UPDATE`, id)
}

// lockAll gives all subscriptions of an organisation to this transaction: what the
// end of one means depends on the others. Two transactions that each hold one and
// want the other's are told so by the database, and one begins anew.
func lockAll(ctx context.Context, tx pgx.Tx, organization uuid.UUID) ([]subscription, error) {
	return postgres.All[subscription](ctx, tx, `
		SELECT `+subscriptionColumns+` FROM uaol_billing.subscriptions WHERE organization_id = $1 ORDER BY subscription_id FOR UPDATE`, organization)
}

func addInvoice(ctx context.Context, tx pgx.Tx, subscription string, month invoice) error {
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_billing.invoices (invoice_id, subscription_id, tier, amount, currency, period_from, period_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (invoice_id) DO NOTHING`,
		month.ID, subscription, month.Tier, month.Amount, month.Currency, month.From, month.Until)
	return err
}
