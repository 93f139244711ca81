package payments

import (
	"context"

	"github.com/google/uuid"
)

// End ends an organisation's subscriptions at once, because the organisation
// itself ends: nobody shall go on paying for it. It may be repeated.
func (s *Service) End(ctx context.Context, organization uuid.UUID) error {
	if !s.Configured() {
		return nil
	}
	going, err := s.store.live(ctx, organization)
	if err != nil {
		return err
	}
	for _, sub := range going {
		// Stripe tells by the webhook that it is over; until then it is asked again,
		// and says that there is none.
		if _, err := s.stripe.V1Subscriptions.Cancel(ctx, sub.ID, nil); err != nil && !missing(err) {
			return s.says(err)
		}
	}
	return nil
}
