package payments

import (
	"context"
	"strconv"

	"github.com/stripe/stripe-go/v85"
)

// What we write on Stripe's objects, and know ours by. Nobody who pays can.
const (
	metaOrganization = "organization_id"
	metaCredits      = "credits"
	metaPack         = "pack"
	metaTier         = "tier"
)

// Session is a page of Stripe's where somebody pays.
type Session struct {
	ID  string `json:"id"`
	URL string `json:"url"`
}

// Checkout opens a page where an organisation buys a pack of credits. The credits
// come by the webhook, not because somebody came back from that page.
func (s *Service) Checkout(ctx context.Context, buyer Buyer, pack string) (Session, error) {
	if err := s.configured(); err != nil {
		return Session{}, err
	}
	p, err := s.pack(pack)
	if err != nil {
		return Session{}, err
	}
	customer, err := s.customer(ctx, buyer.Organization, buyer.Email)
	if err != nil {
		return Session{}, err
	}
	// On the payment too: each of their events alone then says whose it is.
	about := map[string]string{metaOrganization: buyer.Organization.String(), metaCredits: strconv.FormatInt(p.Credits, 10), metaPack: p.Name}
	return s.session(ctx, buyer, &stripe.CheckoutSessionCreateParams{
		Mode: new(string(stripe.CheckoutSessionModePayment)), Customer: new(customer), Metadata: about,
		PaymentIntentData: &stripe.CheckoutSessionCreatePaymentIntentDataParams{Metadata: about},
		LineItems:         []*stripe.CheckoutSessionCreateLineItemParams{lineOf(p)},
	})
}

func lineOf(p Pack) *stripe.CheckoutSessionCreateLineItemParams {
	line := &stripe.CheckoutSessionCreateLineItemParams{Quantity: new(int64(1))}
	if p.Price != "" {
		line.Price = new(p.Price)
		return line
	}
	line.PriceData = &stripe.CheckoutSessionCreateLineItemPriceDataParams{
		Currency: new(p.Currency), UnitAmount: new(p.Amount),
		ProductData: &stripe.CheckoutSessionCreateLineItemPriceDataProductDataParams{Name: new(strconv.FormatInt(p.Credits, 10) + " credits")},
	}
	return line
}

func (s *Service) session(ctx context.Context, buyer Buyer, params *stripe.CheckoutSessionCreateParams) (Session, error) {
	page := s.pages.page(ctx, buyer)
	params.SuccessURL = new(page + "?checkout=success&session_id={CHECKOUT_SESSION_ID}")
	params.CancelURL = new(page + "?checkout=cancelled")
	made, err := s.stripe.V1CheckoutSessions.Create(ctx, params)
	if err != nil {
		return Session{}, s.says(err)
	}
	return Session{ID: made.ID, URL: made.URL}, nil
}
