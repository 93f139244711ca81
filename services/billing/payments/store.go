package payments

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/services"
)

// store is the SQL of customers and of what people ask about subscriptions.
type store struct{ pool *pgxpool.Pool }

func (s *store) customer(ctx context.Context, organization uuid.UUID) (string, error) {
	return postgres.Value[string](ctx, s.pool, `SELECT customer_id FROM uaol_billing.customers WHERE organization_id = $1`, organization)
}

// addCustomer gives the customer that an organisation has: this one, unless
// somebody was quicker. Who was may conflict in either column, so none is named.
func (s *store) addCustomer(ctx context.Context, organization uuid.UUID, customer string) (string, error) {
	if _, err := postgres.Exec(ctx, s.pool, `
		INSERT INTO uaol_billing.customers (organization_id, customer_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, organization, customer); err != nil {
		return "", err
	}
	return s.customer(ctx, organization)
}

// claim takes the turn to make a subscription for an organisation.
func (s *store) claim(ctx context.Context, organization uuid.UUID, lease time.Duration) (bool, error) {
	n, err := postgres.Exec(ctx, s.pool, `
		UPDATE uaol_billing.customers SET subscribing_until = now() + $2 * interval '1 second'
		WHERE organization_id = $1 AND (subscribing_until IS NULL OR subscribing_until <= now())`, organization, int64(lease/time.Second))
	return n == 1, err
}

// free gives the turn back. It can't be another's: a turn lasts longer than its
// requests may.
func (s *store) free(ctx context.Context, organization uuid.UUID) error {
	_, err := postgres.Exec(ctx, s.pool, `UPDATE uaol_billing.customers SET subscribing_until = NULL WHERE organization_id = $1`, organization)
	return err
}

// addSubscription notes a subscription that was just made, unless an event has
// told of it already. Any event counts more.
func (s *store) addSubscription(ctx context.Context, organization uuid.UUID, customer string, sub Subscription) error {
	_, err := postgres.Exec(ctx, s.pool, `
		INSERT INTO uaol_billing.subscriptions (subscription_id, organization_id, customer_id, tier, status, cancel_at_period_end, period_end)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (subscription_id) DO NOTHING`,
		sub.ID, organization, customer, sub.Tier, sub.Status, sub.CancelAtPeriodEnd, moment(sub.PeriodEnd))
	return err
}

// cancelling notes what Stripe confirmed, so that it shows before the event comes.
func (s *store) cancelling(ctx context.Context, id string) error {
	_, err := postgres.Exec(ctx, s.pool, `UPDATE uaol_billing.subscriptions SET cancel_at_period_end = true WHERE subscription_id = $1`, id)
	return err
}

// subscriptions lists an organisation's, the newest first.
func (s *store) subscriptions(ctx context.Context, organization uuid.UUID) ([]Subscription, error) {
	return postgres.All[Subscription](ctx, s.pool, `
		SELECT subscription_id, tier, status, cancel_at_period_end, period_end FROM uaol_billing.subscriptions
		WHERE organization_id = $1 ORDER BY created_at DESC, subscription_id`, organization)
}

// live lists those that go on.
func (s *store) live(ctx context.Context, organization uuid.UUID) ([]Subscription, error) {
	all, err := s.subscriptions(ctx, organization)
	var going []Subscription
	for _, sub := range all {
		if isLive(sub.Status) {
			going = append(going, sub)
		}
	}
	return going, err
}

func moment(t *services.Time) *time.Time {
	if t == nil {
		return nil
	}
	return &t.Time
}

const keepEvents = 90 // days

// Prune forgets events' ids after 90 days, and refunds of payments that nobody
// has claimed since: they are of other things that are sold in the same account.
// An event that came again after that would count once more and change nothing,
// because the rows of payments, invoices and subscriptions stay.
func (s *Service) Prune(ctx context.Context) error {
	return postgres.InTx(ctx, s.store.pool, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `
			DELETE FROM uaol_billing.stripe_events WHERE received_at < now() - $1 * interval '1 day'`, keepEvents); err != nil {
			return err
		}
		_, err := postgres.Exec(ctx, tx, `
			WITH gone AS (
				DELETE FROM uaol_billing.payments WHERE organization_id IS NULL AND created_at < now() - $1 * interval '1 day'
				RETURNING payment_id
			)
			DELETE FROM uaol_billing.reversals WHERE payment_id IN (SELECT payment_id FROM gone)`, keepEvents)
		return err
	})
}
