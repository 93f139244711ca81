package payments

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v85"
)

// word is what one event says of a subscription; what it does not say is zero.
type word struct {
	id           string
	organization *uuid.UUID
	customer     string
	tier         string
	state        *state   // nil unless the event is the subscription's own
	invoice      *invoice // nil unless it tells of a paid one
}

// state is what changes about a subscription: the newest event's counts whole.
type state struct {
	status    string
	ends      bool
	periodEnd *time.Time
	told      string
}

func (s *Service) subscriptionSays(ctx context.Context, tx pgx.Tx, event stripe.Event, o *stripe.Subscription) error {
	end := periodEnd(o)
	if end == nil {
		end = olderOf(event).end()
	}
	return s.subscribed(ctx, tx, word{
		id: o.ID, organization: ownerIn(o.Metadata), customer: idOf(o.Customer), tier: s.tierOf(o),
		state: &state{
			status: string(o.Status), ends: o.CancelAtPeriodEnd, periodEnd: end,
			told: rank(o.Status == stripe.SubscriptionStatusCanceled, event.Created, stage(event.Type, o.Status)+" "+event.ID),
		},
	})
}

// stage orders the events of one second: a subscription is usually created,
// paid and active within one, and what leads on in its life counts.
func stage(event stripe.EventType, status stripe.SubscriptionStatus) string {
	step := slices.Index([]stripe.EventType{
		stripe.EventTypeCustomerSubscriptionCreated, stripe.EventTypeCustomerSubscriptionUpdated, stripe.EventTypeCustomerSubscriptionDeleted,
	}, event)
	if step < 0 {
		step = 1 // paused and resumed come with an update
	}
	standing := slices.Index([]stripe.SubscriptionStatus{
		stripe.SubscriptionStatusIncomplete, stripe.SubscriptionStatusTrialing, stripe.SubscriptionStatusPastDue, stripe.SubscriptionStatusUnpaid,
		stripe.SubscriptionStatusPaused, stripe.SubscriptionStatusActive, stripe.SubscriptionStatusIncompleteExpired, stripe.SubscriptionStatusCanceled,
	}, status)
	return fmt.Sprintf("%d %d", step, standing+1)
}

// tierOf is a subscription's tier: its price's, because the portal changes that
// and not our word on it; else our word.
func (s *Service) tierOf(o *stripe.Subscription) string {
	if o.Items != nil {
		for _, item := range o.Items.Data {
			if item.Price != nil && s.cfg.tierOf(item.Price.ID) != "" {
				return s.cfg.tierOf(item.Price.ID)
			}
		}
	}
	return tierIn(o.Metadata)
}

func tierIn(metadata map[string]string) string {
	if tier := metadata[metaTier]; tier == Pro || tier == Enterprise {
		return tier
	}
	return ""
}

// periodEnd is when what is paid for ends; since Stripe's version of March 2025
// each item says so.
func periodEnd(o *stripe.Subscription) *time.Time {
	var last int64
	if o.Items != nil {
		for _, item := range o.Items.Data {
			last = max(last, item.CurrentPeriodEnd)
		}
	}
	if last == 0 {
		return nil
	}
	return new(time.Unix(last, 0).UTC())
}

// older is where versions of Stripe's API before March 2025 have it.
type older struct {
	CurrentPeriodEnd    int64                `json:"current_period_end"`
	Subscription        *stripe.Subscription `json:"subscription"`
	SubscriptionDetails struct {
		Metadata map[string]string `json:"metadata"`
	} `json:"subscription_details"`
	Lines struct {
		Data []struct {
			Price *stripe.Price `json:"price"`
		} `json:"data"`
	} `json:"lines"`
}

func olderOf(event stripe.Event) older {
	var o older
	_ = json.Unmarshal(event.Data.Raw, &o) // whatever cannot be read there is not there
	return o
}

func (o older) end() *time.Time {
	if o.CurrentPeriodEnd == 0 {
		return nil
	}
	return new(time.Unix(o.CurrentPeriodEnd, 0).UTC())
}

// invoiceSays is for paid invoices; one without a subscription is none of ours.
func (s *Service) invoiceSays(ctx context.Context, tx pgx.Tx, event stripe.Event, o *stripe.Invoice) error {
	before := olderOf(event)
	id, metadata := "", before.SubscriptionDetails.Metadata
	if o.Parent != nil && o.Parent.SubscriptionDetails != nil && o.Parent.SubscriptionDetails.Subscription != nil {
		id, metadata = o.Parent.SubscriptionDetails.Subscription.ID, o.Parent.SubscriptionDetails.Metadata
	} else if before.Subscription != nil {
		id = before.Subscription.ID
	}
	if id == "" {
		return nil
	}
	paid := s.month(o, before)
	if paid == nil {
		return nil
	}
	if paid.Tier == "" {
		paid.Tier = tierIn(metadata)
	}
	return s.subscribed(ctx, tx, word{id: id, organization: ownerIn(metadata), customer: idOf(o.Customer), tier: paid.Tier, invoice: paid})
}

// month finds the line that pays for a tier: after a change there are others, for
// what is left of the old one and of the new. It is one of our prices, lasts
// longest and costs most.
func (s *Service) month(o *stripe.Invoice, before older) *invoice {
	var found *invoice
	var cost int64
	if o.Lines == nil {
		return nil
	}
	for i, line := range o.Lines.Data {
		if line.Period == nil || line.Period.End <= line.Period.Start {
			continue
		}
		price := ""
		if line.Pricing != nil && line.Pricing.PriceDetails != nil && line.Pricing.PriceDetails.Price != nil {
			price = line.Pricing.PriceDetails.Price.ID
		} else if i < len(before.Lines.Data) && before.Lines.Data[i].Price != nil {
			price = before.Lines.Data[i].Price.ID
		}
		this := &invoice{
			ID: o.ID, Tier: s.cfg.tierOf(price), Amount: max(o.AmountPaid, 0), Currency: string(o.Currency),
			From: time.Unix(line.Period.Start, 0).UTC(), Until: time.Unix(line.Period.End, 0).UTC(),
		}
		if found == nil || better(this, line.Amount, found, cost) {
			found, cost = this, line.Amount
		}
	}
	return found
}

func better(a *invoice, costs int64, b *invoice, cost int64) bool {
	switch {
	case (a.Tier != "") != (b.Tier != ""):
		return a.Tier != ""
	case !a.Until.Equal(b.Until):
		return a.Until.After(b.Until)
	}
	return costs > cost
}
