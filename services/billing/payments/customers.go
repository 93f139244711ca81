package payments

import (
	"context"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v85"

	"uaol/services"
)

// customer gives an organisation's customer at Stripe, making it when there is
// none. Whoever does so at the same time gets the same: the request depends on
// nothing but the organisation, so its idempotency key always goes with it, and
// the e-mail is told afterwards.
func (s *Service) customer(ctx context.Context, organization uuid.UUID, email string) (string, error) {
	id, err := s.store.customer(ctx, organization)
	if err == nil || !services.Is(err, services.NotFound) {
		return id, err
	}
	params := &stripe.CustomerCreateParams{Metadata: map[string]string{metaOrganization: organization.String()}}
	params.SetIdempotencyKey("customer/" + organization.String())
	made, err := s.stripe.V1Customers.Create(ctx, params)
	if err != nil {
		return "", s.says(err)
	}
	if email != "" {
		if _, err := s.stripe.V1Customers.Update(ctx, made.ID, &stripe.CustomerUpdateParams{Email: new(email)}); err != nil {
			return "", s.says(err)
		}
	}
	return s.store.addCustomer(ctx, organization, made.ID)
}

// Portal gives the address of the page where an organisation's cards, invoices
// and subscription are managed; kind NotFound when it has never bought anything.
func (s *Service) Portal(ctx context.Context, buyer Buyer) (url string, err error) {
	if err := s.configured(); err != nil {
		return "", err
	}
	customer, err := s.store.customer(ctx, buyer.Organization)
	if services.Is(err, services.NotFound) {
		return "", services.Errorf(services.NotFound, "There is nothing to manage: this organisation has bought nothing yet")
	}
	if err != nil {
		return "", err
	}
	session, err := s.stripe.V1BillingPortalSessions.Create(ctx, &stripe.BillingPortalSessionCreateParams{
		Customer: new(customer), ReturnURL: new(s.pages.page(ctx, buyer)),
	})
	if err != nil {
		return "", s.says(err)
	}
	return session.URL, nil
}
