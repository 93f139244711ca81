package payments

import (
	"context"
	"time"

	"uaol/providers/postgres"
	"uaol/services"
)

// payment reads a payment without a lock; zero when there is none.
func (s *store) payment(ctx context.Context, id string) (payment, error) {
	p, err := postgres.One[payment](ctx, s.pool, `SELECT `+paymentColumns+` FROM uaol_billing.payments WHERE payment_id = $1`, id)
	if services.Is(err, services.NotFound) {
		return payment{}, nil
	}
	return p, err
}

// payments are those for credits that we have known since a moment.
func (s *store) payments(ctx context.Context, since time.Time) ([]payment, error) {
	return postgres.All[payment](ctx, s.pool, `
		SELECT `+paymentColumns+` FROM uaol_billing.payments
		WHERE created_at >= $1 AND organization_id IS NOT NULL AND credits > 0 AND (paid OR credited > 0) ORDER BY created_at, payment_id`, since)
}

// reversal reads a refund or a dispute; zero when there is none.
func (s *store) reversal(ctx context.Context, id string) (reversal, error) {
	r, err := postgres.One[reversal](ctx, s.pool, `SELECT reversal_id, kind, amount, status, told FROM uaol_billing.reversals WHERE reversal_id = $1`, id)
	if services.Is(err, services.NotFound) {
		return reversal{}, nil
	}
	return r, err
}

func (s *store) counted(ctx context.Context, invoice string) (bool, error) {
	return postgres.Value[bool](ctx, s.pool, `SELECT EXISTS (SELECT 1 FROM uaol_billing.invoices WHERE invoice_id = $1 AND counted)`, invoice)
}

func (s *store) all(ctx context.Context) ([]subscription, error) {
	return postgres.All[subscription](ctx, s.pool, `SELECT `+subscriptionColumns+` FROM uaol_billing.subscriptions ORDER BY subscription_id`)
}
