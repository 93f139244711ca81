package payments

import (
	"context"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v85"
)

// subscriptions compares all of them: one that is older than the period asked for
// may have changed in it.
func (c *comparison) subscriptions(ctx context.Context) error {
	all, err := c.store.all(ctx)
	if err != nil {
		return err
	}
	ours := map[string]subscription{}
	for _, sub := range all {
		ours[sub.ID] = sub
	}
	going := map[uuid.UUID]string{}
	list, _ := c.page()
	for o, err := range c.stripe.V1Subscriptions.List(ctx, &stripe.SubscriptionListParams{ListParams: list, Status: new("all")}).All(ctx) {
		if err != nil {
			return c.says(err)
		}
		known, have := ours[o.ID]
		delete(ours, o.ID)
		owner := known.Organization
		if owner == nil {
			owner = ownerIn(o.Metadata)
		}
		if owner == nil {
			continue // something else that is sold
		}
		c.report.Subscriptions++
		switch {
		case !have && isLive(string(o.Status)) && !young(o.Created):
			c.report.find(SubscriptionDiffers, o.ID, owner, "it is %s at Stripe and unknown here", o.Status)
		case have && known.Status != string(o.Status) && !young(o.Created):
			c.report.find(SubscriptionDiffers, o.ID, owner, "it is %s at Stripe and %s here", o.Status, known.standing())
		}
		if isLive(string(o.Status)) {
			if other := going[*owner]; other != "" {
				c.report.find(SubscribedTwice, o.ID, owner, "it goes on besides %s: one of them is to be cancelled", other)
			}
			going[*owner] = o.ID
		}
	}
	for _, sub := range ours {
		if sub.Organization != nil && isLive(sub.Status) {
			c.report.find(SubscriptionDiffers, sub.ID, sub.Organization, "it is %s here and unknown to Stripe", sub.Status)
		}
	}
	return nil
}

func (s subscription) standing() string {
	if s.Status == "" {
		return "without a status"
	}
	return s.Status
}
