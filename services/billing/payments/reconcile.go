package payments

import (
	"context"
	"time"

	"github.com/stripe/stripe-go/v85"

	"uaol/services"
)

// settling is how long Stripe's event of a payment may be on its way before its
// absence is worth a word.
const settling = 10 * time.Minute

// comparison is one run of Reconcile.
type comparison struct {
	*Service
	report Report
	since  int64
	seen   map[string]bool // payments that were compared
}

// Reconcile asks Stripe what was paid, refunded, disputed and subscribed to since
// a moment and compares it with what we have. It changes nothing: an event that
// was lost can be sent again in Stripe's dashboard, and counts as it would have.
func (s *Service) Reconcile(ctx context.Context, since time.Time) (Report, error) {
	if err := s.configured(); err != nil {
		return Report{}, err
	}
	c := &comparison{Service: s, since: since.Unix(), seen: map[string]bool{}}
	c.report = Report{Since: services.Time{Time: since}, Findings: []Finding{}}
	for _, step := range []func(context.Context) error{c.intents, c.sessions, c.rest, c.disputes, c.invoices, c.subscriptions} {
		if err := step(ctx); err != nil {
			return Report{}, err
		}
	}
	c.report.sort()
	return c.report, nil
}

func (c *comparison) page() (stripe.ListParams, *stripe.RangeQueryParams) {
	return stripe.ListParams{Limit: new(int64(100))}, &stripe.RangeQueryParams{GreaterThanOrEqual: c.since}
}

func young(at int64) bool { return time.Since(time.Unix(at, 0)) < settling }

// intents compares the payments that carry our word.
func (c *comparison) intents(ctx context.Context) error {
	list, created := c.page()
	params := &stripe.PaymentIntentListParams{ListParams: list, CreatedRange: created, Expand: []*string{new("data.latest_charge")}}
	for o, err := range c.stripe.V1PaymentIntents.List(ctx, params).All(ctx) {
		if err != nil {
			return c.says(err)
		}
		if owner, _ := bought(o.Metadata); owner == nil {
			continue
		}
		if err := c.intent(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) intent(ctx context.Context, o *stripe.PaymentIntent) error {
	owner, credits := bought(o.Metadata)
	c.seen[o.ID] = true
	c.report.Payments++
	ours, err := c.store.payment(ctx, o.ID)
	if err != nil {
		return err
	}
	paid := o.Status == stripe.PaymentIntentStatusSucceeded
	charge := o.LatestCharge
	switch {
	case !paid && ours.Credited > 0:
		c.report.find(NotPaid, o.ID, ours.Organization, "%d credits were given, but at Stripe it is %s", ours.Credited, o.Status)
	case !paid:
	case !ours.Paid && charge != nil && young(charge.Created):
	case !ours.Paid:
		c.report.find(NotCredited, o.ID, owner, "%d %s were paid for %d credits, of which none was given: its event has not arrived", o.AmountReceived, o.Currency, credits)
	default:
		if ours.Credited != ours.worth() {
			c.report.find(NotCredited, o.ID, owner, "it is worth %d credits, but %d were given", ours.worth(), ours.Credited)
		}
		if charge != nil && charge.AmountRefunded != ours.Refunded {
			c.report.find(RefundDiffers, o.ID, owner, "%d %s were refunded, but we know of %d", charge.AmountRefunded, o.Currency, ours.Refunded)
		}
	}
	return nil
}

// sessions looks for pages that were paid and whose payments the list above did
// not have.
func (c *comparison) sessions(ctx context.Context) error {
	list, created := c.page()
	for o, err := range c.stripe.V1CheckoutSessions.List(ctx, &stripe.CheckoutSessionListParams{ListParams: list, CreatedRange: created}).All(ctx) {
		if err != nil {
			return c.says(err)
		}
		owner, credits := bought(o.Metadata)
		if owner == nil || o.PaymentStatus != stripe.CheckoutSessionPaymentStatusPaid || o.PaymentIntent == nil || c.seen[o.PaymentIntent.ID] || young(o.Created) {
			continue
		}
		c.report.Payments++
		ours, err := c.store.payment(ctx, o.PaymentIntent.ID)
		if err != nil {
			return err
		}
		if !ours.Paid {
			c.report.find(NotCredited, o.PaymentIntent.ID, owner, "%d %s were paid for %d credits at checkout %s, of which none was given: its event has not arrived", o.AmountTotal, o.Currency, credits, o.ID)
		}
	}
	return nil
}

// rest asks for each payment that we have and the lists had not: it was begun
// before, or there is no such thing.
func (c *comparison) rest(ctx context.Context) error {
	ours, err := c.store.payments(ctx, time.Unix(c.since, 0))
	if err != nil {
		return err
	}
	for _, p := range ours {
		if c.seen[p.ID] {
			continue
		}
		params := &stripe.PaymentIntentRetrieveParams{Expand: []*string{new("latest_charge")}}
		o, err := c.stripe.V1PaymentIntents.Retrieve(ctx, p.ID, params)
		if missing(err) {
			c.report.Payments++
			c.report.find(NotPaid, p.ID, p.Organization, "%d credits were given, but Stripe knows no such payment", p.Credited)
			continue
		}
		if err != nil {
			return c.says(err)
		}
		if err := c.intent(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// disputes compares what holds money back.
func (c *comparison) disputes(ctx context.Context) error {
	list, created := c.page()
	for o, err := range c.stripe.V1Disputes.List(ctx, &stripe.DisputeListParams{ListParams: list, CreatedRange: created}).All(ctx) {
		if err != nil {
			return c.says(err)
		}
		if o.PaymentIntent == nil || young(o.Created) {
			continue
		}
		p, err := c.store.payment(ctx, o.PaymentIntent.ID)
		if err != nil {
			return err
		}
		ours, err := c.store.reversal(ctx, o.ID)
		if err != nil {
			return err
		}
		there := reversal{Kind: kindDispute, Status: string(o.Status)}
		switch {
		case p.Credits == 0 || there.holds() == ours.holds():
		case ours.ID == "":
			c.report.find(DisputeDiffers, o.PaymentIntent.ID, p.Organization, "%d %s are disputed (%s, %s), of which we know nothing", o.Amount, o.Currency, o.ID, o.Status)
		default:
			c.report.find(DisputeDiffers, o.PaymentIntent.ID, p.Organization, "its dispute %s is %s at Stripe and %s here", o.ID, o.Status, ours.Status)
		}
	}
	return nil
}

// invoices looks for months that were paid and not given.
func (c *comparison) invoices(ctx context.Context) error {
	list, created := c.page()
	for o, err := range c.stripe.V1Invoices.List(ctx, &stripe.InvoiceListParams{ListParams: list, CreatedRange: created, Status: new("paid")}).All(ctx) {
		if err != nil {
			return c.says(err)
		}
		if o.Parent == nil || o.Parent.SubscriptionDetails == nil {
			continue
		}
		metadata := o.Parent.SubscriptionDetails.Metadata
		month, owner := c.month(o, older{}), ownerIn(metadata)
		if owner == nil || month == nil || (month.Tier == "" && tierIn(metadata) == "") || (o.StatusTransitions != nil && young(o.StatusTransitions.PaidAt)) {
			continue
		}
		c.report.Invoices++
		counted, err := c.store.counted(ctx, o.ID)
		if err != nil {
			return err
		}
		if !counted {
			c.report.find(MonthNotCounted, o.ID, owner, "the subscription was paid until %s, but its credits were not given", month.Until.Format(time.DateOnly))
		}
	}
	return nil
}
