package payments

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v85"

	"uaol/services"
)

// Subscription is what is known of an organisation's subscription.
type Subscription struct {
	ID                string         `json:"id" db:"subscription_id"`
	Tier              string         `json:"tier" db:"tier"`
	Status            string         `json:"status" db:"status" doc:"Stripe's word: active, trialing, past_due, unpaid, paused, incomplete, incomplete_expired or canceled"`
	CancelAtPeriodEnd bool           `json:"cancelAtPeriodEnd" db:"cancel_at_period_end"`
	PeriodEnd         *services.Time `json:"periodEnd" db:"period_end"`
}

// Started is a subscription that was made, or the page where it is.
type Started struct {
	Subscription *Subscription `json:"subscription,omitempty"`
	URL          string        `json:"url,omitempty" doc:"where the payment goes on; absent when nothing is left to do"`
	ID           string        `json:"id,omitempty" doc:"of the page, if it is a checkout"`
}

// live are the statuses of subscriptions that go on. One whose first payment has
// not succeeded (incomplete) does not yet.
var live = []stripe.SubscriptionStatus{
	stripe.SubscriptionStatusActive, stripe.SubscriptionStatusTrialing, stripe.SubscriptionStatusPastDue,
	stripe.SubscriptionStatusUnpaid, stripe.SubscriptionStatusPaused,
}

func isLive(status string) bool { return slices.Contains(live, stripe.SubscriptionStatus(status)) }

const (
	subscribing = 90 * time.Second // that all requests of Subscribe have together
	lease       = subscribing + 30*time.Second
)

var methodForm = regexp.MustCompile(`^(pm|card|src)_[A-Za-z0-9_]{1,100}$`)

// Subscribe begins a subscription to a tier: with a payment method at once,
// without one on a page of Stripe's. Kind Conflict when there is one already; the
// portal changes that.
func (s *Service) Subscribe(ctx context.Context, buyer Buyer, tier, method string) (Started, error) {
	if err := s.configured(); err != nil {
		return Started{}, err
	}
	price, variable := s.cfg.priceOf(tier)
	switch {
	case variable == "":
		return Started{}, services.Faults(services.Fault{Path: "body.tier", Message: "must be " + Pro + " or " + Enterprise})
	case price == "":
		return Started{}, unset(variable)
	case method != "" && !methodForm.MatchString(method):
		return Started{}, services.Faults(services.Fault{Path: "body.paymentMethodId", Message: "is no id of a payment method (pm_…)"})
	}
	customer, err := s.customer(ctx, buyer.Organization, buyer.Email)
	if err != nil {
		return Started{}, err
	}
	// One at a time: two requests that both find no subscription would make two.
	claimed, err := s.store.claim(ctx, buyer.Organization, lease)
	if err != nil {
		return Started{}, err
	}
	if !claimed {
		return Started{}, services.Errorf(services.Conflict, "Somebody is subscribing for this organisation just now; try again in a moment")
	}
	within, cancel := context.WithTimeout(ctx, subscribing)
	defer cancel()
	started, err := s.subscribe(within, buyer, customer, tier, price, method)
	if freed := s.store.free(context.WithoutCancel(ctx), buyer.Organization); err == nil {
		err = freed
	}
	return started, err
}

func (s *Service) subscribe(ctx context.Context, buyer Buyer, customer, tier, price, method string) (Started, error) {
	organization := buyer.Organization
	before, err := s.before(ctx, organization, customer)
	if err != nil {
		return Started{}, err
	}
	about := map[string]string{metaOrganization: organization.String(), metaTier: tier}
	if method == "" {
		session, err := s.session(ctx, buyer, &stripe.CheckoutSessionCreateParams{
			Mode: new(string(stripe.CheckoutSessionModeSubscription)), Customer: new(customer), Metadata: about,
			SubscriptionData: &stripe.CheckoutSessionCreateSubscriptionDataParams{Metadata: about},
			LineItems:        []*stripe.CheckoutSessionCreateLineItemParams{{Price: new(price), Quantity: new(int64(1))}},
		})
		return Started{URL: session.URL, ID: session.ID}, err
	}
	if _, err := s.stripe.V1PaymentMethods.Attach(ctx, method, &stripe.PaymentMethodAttachParams{Customer: new(customer)}); err != nil {
		if missing(err) {
			return Started{}, services.Faults(services.Fault{Path: "body.paymentMethodId", Message: "is no payment method that Stripe knows"})
		}
		return Started{}, s.says(err)
	}
	if _, err := s.stripe.V1Customers.Update(ctx, customer, &stripe.CustomerUpdateParams{
		InvoiceSettings: &stripe.CustomerUpdateInvoiceSettingsParams{DefaultPaymentMethod: new(method)},
	}); err != nil {
		return Started{}, s.says(err)
	}
	params := &stripe.SubscriptionCreateParams{
		Customer: new(customer), Metadata: about, DefaultPaymentMethod: new(method),
		Items: []*stripe.SubscriptionCreateItemParams{{Price: new(price)}},
		// A bank that wants to hear from the payer leaves it incomplete, with a page to go to.
		PaymentBehavior: new("allow_incomplete"),
		Expand:          []*string{new("latest_invoice")},
	}
	// The number of those before lets the same try again be the same, and one after
	// a failed or ended subscription another.
	params.SetIdempotencyKey(fmt.Sprintf("subscription/%s/%s/%s/%d", organization, price, method, before))
	made, err := s.stripe.V1Subscriptions.Create(ctx, params)
	if err != nil {
		return Started{}, s.says(err)
	}
	state := Subscription{ID: made.ID, Tier: tier, Status: string(made.Status), CancelAtPeriodEnd: made.CancelAtPeriodEnd, PeriodEnd: services.At(periodEnd(made))}
	if err := s.store.addSubscription(ctx, organization, customer, state); err != nil {
		return Started{}, err
	}
	started := Started{Subscription: &state}
	if made.Status == stripe.SubscriptionStatusIncomplete && made.LatestInvoice != nil {
		started.URL = made.LatestInvoice.HostedInvoiceURL
	}
	return started, nil
}

// before counts the subscriptions that a customer has had with us. Kind Conflict
// when one is live, as we know or as Stripe does, which is sooner; one whose first
// payment failed is given up, or both could be paid.
func (s *Service) before(ctx context.Context, organization uuid.UUID, customer string) (count int, err error) {
	exists := services.Errorf(services.Conflict, "This organisation has a subscription; change it in the portal").WithCode("SUBSCRIBED")
	known, err := s.store.live(ctx, organization)
	if err != nil {
		return 0, err
	}
	if len(known) > 0 {
		return 0, exists
	}
	params := &stripe.SubscriptionListParams{Customer: new(customer), Status: new("all")}
	params.Limit = new(int64(100))
	for sub, err := range s.stripe.V1Subscriptions.List(ctx, params).All(ctx) {
		if err != nil {
			return 0, s.says(err)
		}
		if !s.ours(sub, organization) {
			continue
		}
		if isLive(string(sub.Status)) {
			return 0, exists
		}
		if sub.Status == stripe.SubscriptionStatusIncomplete {
			if _, err := s.stripe.V1Subscriptions.Cancel(ctx, sub.ID, &stripe.SubscriptionCancelParams{}); err != nil {
				return 0, s.says(err)
			}
		}
		count++
	}
	return count, nil
}

// ours reports whether a subscription of an organisation's customer is to one of
// our tiers: an operator may sell other things in the same place.
func (s *Service) ours(sub *stripe.Subscription, organization uuid.UUID) bool {
	return sub.Metadata[metaOrganization] == organization.String() || s.tierOf(sub) != ""
}

// Cancel lets an organisation's subscription end with the period that is paid
// for; kind NotFound when there is none.
func (s *Service) Cancel(ctx context.Context, organization uuid.UUID) (Subscription, error) {
	if err := s.configured(); err != nil {
		return Subscription{}, err
	}
	known, err := s.store.live(ctx, organization)
	if err != nil {
		return Subscription{}, err
	}
	if len(known) == 0 {
		return Subscription{}, errNoSubscription
	}
	var first Subscription
	for i, sub := range slices.Backward(known) { // two at once are one too many: both end
		changed, err := s.stripe.V1Subscriptions.Update(ctx, sub.ID, &stripe.SubscriptionUpdateParams{CancelAtPeriodEnd: new(true)})
		if missing(err) {
			return Subscription{}, errNoSubscription.Because(s.says(err))
		}
		if err != nil {
			return Subscription{}, s.says(err)
		}
		if err := s.store.cancelling(ctx, sub.ID); err != nil {
			return Subscription{}, err
		}
		first = known[i]
		first.CancelAtPeriodEnd = true
		if end := periodEnd(changed); end != nil {
			first.PeriodEnd = services.At(end)
		}
	}
	return first, nil
}

var errNoSubscription = services.Errorf(services.NotFound, "This organisation has no subscription")

// Subscription gives an organisation's subscription: the live one, else the last;
// kind NotFound when there has never been one.
func (s *Service) Subscription(ctx context.Context, organization uuid.UUID) (Subscription, error) {
	if err := s.configured(); err != nil {
		return Subscription{}, err
	}
	all, err := s.store.subscriptions(ctx, organization)
	if err != nil {
		return Subscription{}, err
	}
	for _, sub := range all {
		if isLive(sub.Status) {
			return sub, nil
		}
	}
	if len(all) == 0 {
		return Subscription{}, errNoSubscription
	}
	return all[0], nil
}
