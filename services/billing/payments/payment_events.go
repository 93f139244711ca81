package payments

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v85"
)

// facts are what one event says of a payment; what it does not say is zero.
type facts struct {
	payment      string
	organization *uuid.UUID
	credits      int64
	amount       int64
	currency     string
	paid         bool
	refundSeen   int64
	reversal     *reversal
}

// bought reads our own word on an object: whose credits, and how many. Objects of
// other things that are sold in the same account have none.
func bought(metadata map[string]string) (organization *uuid.UUID, credits int64) {
	credits, err := strconv.ParseInt(metadata[metaCredits], 10, 64)
	organization = ownerIn(metadata)
	if err != nil || credits < 1 || credits > mostCredits || organization == nil {
		return nil, 0
	}
	return organization, credits
}

func ownerIn(metadata map[string]string) *uuid.UUID {
	id, err := uuid.Parse(metadata[metaOrganization])
	if err != nil || id == uuid.Nil {
		return nil
	}
	return &id
}

func (s *Service) sessionSays(ctx context.Context, tx pgx.Tx, event stripe.Event, o *stripe.CheckoutSession) error {
	if o.Mode == stripe.CheckoutSessionModeSubscription {
		owner := ownerIn(o.Metadata)
		if o.Subscription == nil || owner == nil {
			return nil
		}
		return s.subscribed(ctx, tx, word{id: o.Subscription.ID, organization: owner, customer: idOf(o.Customer)})
	}
	owner, credits := bought(o.Metadata)
	if owner == nil || o.Mode != stripe.CheckoutSessionModePayment || o.PaymentIntent == nil {
		return nil
	}
	paid := o.PaymentStatus == stripe.CheckoutSessionPaymentStatusPaid
	return s.gather(ctx, tx, event, facts{
		payment: o.PaymentIntent.ID, organization: owner, credits: credits, amount: o.AmountTotal, currency: string(o.Currency), paid: paid,
	})
}

func (s *Service) intentSays(ctx context.Context, tx pgx.Tx, event stripe.Event, o *stripe.PaymentIntent) error {
	owner, credits := bought(o.Metadata)
	if owner == nil {
		return nil
	}
	return s.gather(ctx, tx, event, facts{
		payment: o.ID, organization: owner, credits: credits, amount: o.AmountReceived, currency: string(o.Currency),
		paid: o.Status == stripe.PaymentIntentStatusSucceeded,
	})
}

func (s *Service) chargeSays(ctx context.Context, tx pgx.Tx, event stripe.Event, o *stripe.Charge) error {
	if o.PaymentIntent == nil {
		return nil // no page of ours makes charges without one
	}
	owner, err := ownerOf(ctx, tx, idOf(o.Customer))
	if err != nil {
		return err
	}
	return s.gather(ctx, tx, event, facts{payment: o.PaymentIntent.ID, organization: owner, refundSeen: o.AmountRefunded})
}

func (s *Service) refundSays(ctx context.Context, tx pgx.Tx, event stripe.Event, o *stripe.Refund) error {
	if o.PaymentIntent == nil {
		return nil
	}
	return s.gather(ctx, tx, event, facts{payment: o.PaymentIntent.ID, reversal: &reversal{
		ID: o.ID, Kind: kindRefund, Amount: o.Amount, Status: string(o.Status),
		Told: rank(refundIsOver(string(o.Status)), event.Created, string(o.Status)),
	}})
}

func (s *Service) disputeSays(ctx context.Context, tx pgx.Tx, event stripe.Event, o *stripe.Dispute) error {
	if o.PaymentIntent == nil {
		return nil
	}
	return s.gather(ctx, tx, event, facts{payment: o.PaymentIntent.ID, reversal: &reversal{
		ID: o.ID, Kind: kindDispute, Amount: o.Amount, Status: string(o.Status),
		Told: rank(o.Status == stripe.DisputeStatusWon || o.Status == stripe.DisputeStatusLost, event.Created, string(o.Status)),
	}})
}

// rank orders what events say of one thing, as texts: an outcome counts more than
// what was before it, then the later event. Stripe's times are whole seconds and
// its events of one second come in any order, so the word itself decides last.
func rank(over bool, created int64, word string) string {
	return fmt.Sprintf("%d %012d %s", map[bool]int{true: 1}[over], created, word)
}

func refundIsOver(status string) bool {
	return status == string(stripe.RefundStatusFailed) || status == string(stripe.RefundStatusCanceled)
}

func idOf(customer *stripe.Customer) string {
	if customer == nil {
		return ""
	}
	return customer.ID
}
