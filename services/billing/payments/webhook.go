package payments

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"uaol/providers/postgres"
	"uaol/services"
)

// tolerance is how old a signed delivery may be: a recorded one is soon worthless.
const tolerance = 5 * time.Minute

// Webhook takes a delivery of Stripe's: the body as it came, and the header
// Stripe-Signature. Kind Invalid when Stripe did not sign this, or too long ago.
// No error means that it is written down and need not come again; that is so for
// events that mean nothing to us as well.
func (s *Service) Webhook(ctx context.Context, payload []byte, signature string) error {
	if err := s.configured(); err != nil {
		return err
	}
	if s.cfg.WebhookSecret == "" {
		return unset("STRIPE_WEBHOOK_SECRET")
	}
	event, err := webhook.ConstructEventWithOptions(payload, signature, s.cfg.WebhookSecret, webhook.ConstructEventOptions{
		Tolerance: tolerance,
		// The endpoint's version is its account's choice; what we read is in all of them.
		IgnoreAPIVersionMismatch: true,
	})
	switch {
	case errors.Is(err, webhook.ErrTooOld):
		return services.Errorf(services.Invalid, "The signature is more than 5 minutes old")
	case errors.Is(err, webhook.ErrNotSigned), errors.Is(err, webhook.ErrInvalidHeader), errors.Is(err, webhook.ErrNoValidSignature):
		return services.Errorf(services.Invalid, "The signature is not Stripe's").Because(s.veiled(err.Error()))
	case err != nil, event.ID == "", event.Data == nil:
		return services.Errorf(services.Invalid, "This is no event of Stripe's")
	}
	return s.take(ctx, event)
}

// take lets an event count, once: its id and its effect are written together, and
// whoever brings it at the same time waits here for the first and finds it done.
func (s *Service) take(ctx context.Context, event stripe.Event) error {
	return postgres.InTx(ctx, s.store.pool, func(tx pgx.Tx) error {
		fresh, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_billing.stripe_events (event_id, type) VALUES ($1, $2) ON CONFLICT (event_id) DO NOTHING`, event.ID, string(event.Type))
		if err != nil || fresh == 0 {
			return err
		}
		return s.apply(ctx, tx, event)
	})
}

// apply reads what an event says. What is not here has no effect: among it
// invoice.payment_failed, because Stripe goes on trying and tells how that ends.
func (s *Service) apply(ctx context.Context, tx pgx.Tx, event stripe.Event) error {
	switch event.Type {
	case stripe.EventTypeCheckoutSessionCompleted, stripe.EventTypeCheckoutSessionAsyncPaymentSucceeded:
		return reading(event, func(o *stripe.CheckoutSession) error { return s.sessionSays(ctx, tx, event, o) })
	case stripe.EventTypePaymentIntentSucceeded:
		return reading(event, func(o *stripe.PaymentIntent) error { return s.intentSays(ctx, tx, event, o) })
	case stripe.EventTypeChargeRefunded:
		return reading(event, func(o *stripe.Charge) error { return s.chargeSays(ctx, tx, event, o) })
	case stripe.EventTypeRefundCreated, stripe.EventTypeRefundUpdated, stripe.EventTypeRefundFailed, stripe.EventTypeChargeRefundUpdated:
		return reading(event, func(o *stripe.Refund) error { return s.refundSays(ctx, tx, event, o) })
	case stripe.EventTypeChargeDisputeCreated, stripe.EventTypeChargeDisputeUpdated, stripe.EventTypeChargeDisputeClosed,
		stripe.EventTypeChargeDisputeFundsWithdrawn, stripe.EventTypeChargeDisputeFundsReinstated:
		return reading(event, func(o *stripe.Dispute) error { return s.disputeSays(ctx, tx, event, o) })
	case stripe.EventTypeInvoicePaid, stripe.EventTypeInvoicePaymentSucceeded:
		return reading(event, func(o *stripe.Invoice) error { return s.invoiceSays(ctx, tx, event, o) })
	case stripe.EventTypeCustomerSubscriptionCreated, stripe.EventTypeCustomerSubscriptionUpdated, stripe.EventTypeCustomerSubscriptionDeleted,
		stripe.EventTypeCustomerSubscriptionPaused, stripe.EventTypeCustomerSubscriptionResumed:
		return reading(event, func(o *stripe.Subscription) error { return s.subscriptionSays(ctx, tx, event, o) })
	}
	return nil
}

func reading[T any](event stripe.Event, say func(*T) error) error {
	var object T
	if err := json.Unmarshal(event.Data.Raw, &object); err != nil {
		return services.Errorf(services.Invalid, "The event's object cannot be read").Because(err)
	}
	return say(&object)
}
