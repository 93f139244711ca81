package billing

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Service is billing where it runs; it is a Meter.
type Service struct{ repository *Repository }

// NewService makes a Service.
func NewService(repository *Repository) *Service { return &Service{repository: repository} }

// Balance implements Meter.
func (s *Service) Balance(ctx context.Context, in BalanceRequest) (Balance, error) {
	if in.Caller.Organization == uuid.Nil {
		return Balance{}, services.Errorf(services.Invalid, "Whose balance?")
	}
	tier, credits := opening(in.Caller.Role)
	grant := grantID(in.Caller.Role)
	a, err := s.repository.account(ctx, in.Caller.Organization, grant)
	if services.Is(err, services.NotFound) || (err == nil && !a.Granted) {
		if err = s.repository.grant(ctx, in.Caller.Organization, tier, grant, credits); err == nil {
			a, err = s.repository.account(ctx, in.Caller.Organization, grant)
		}
	}
	return Balance{Tier: a.Tier, Available: a.Available, Held: a.Held}, err
}

// holdAttempts bounds how often a hold is tried on an account that has enough
// whenever one looks and too little whenever one takes.
const holdAttempts = 10

// Hold implements Meter.
func (s *Service) Hold(ctx context.Context, in HoldRequest) (Hold, error) {
	if in.Amount <= 0 || in.Caller.Organization == uuid.Nil || in.Lifetime <= 0 {
		return Hold{}, services.Errorf(services.Invalid, "A hold needs an organisation, a lifetime and at least one credit")
	}
	moved, err := s.repository.hold(ctx, in)
	for attempt := 1; err == nil && !moved; attempt++ {
		if hold, found := s.same(ctx, in); found {
			return hold, nil
		}
		// Too little, or an account that was never opened: asking opens it.
		balance, balanceErr := s.Balance(ctx, BalanceRequest{Caller: in.Caller})
		if balanceErr != nil {
			return Hold{}, balanceErr
		}
		if balance.Available < in.Amount || attempt == holdAttempts {
			return Hold{}, services.Errorf(services.Insufficient, "Insufficient credits. Required: %d, Available: %d", in.Amount, balance.Available)
		}
		moved, err = s.repository.hold(ctx, in)
	}
	if postgres.Violates(err, "holds_pkey") || postgres.Violates(err, "entries_pkey") {
		if hold, found := s.same(ctx, in); found {
			return hold, nil
		}
		return Hold{}, services.Errorf(services.Conflict, "The id %s was used for another hold", in.ID)
	}
	if err != nil {
		return Hold{}, err
	}
	return Hold{ID: in.ID, Amount: in.Amount, Open: true}, nil
}

// same finds the hold that an earlier sending of the same request made.
func (s *Service) same(ctx context.Context, in HoldRequest) (Hold, bool) {
	row, err := s.repository.findHold(ctx, in.ID)
	return row.Hold, err == nil && row.Amount == in.Amount && row.Organization == in.Caller.Organization
}

// Settle implements Meter.
func (s *Service) Settle(ctx context.Context, in SettleRequest) (Hold, error) {
	for _, c := range in.Charges {
		if c.Amount <= 0 || c.Operation == "" {
			return Hold{}, services.Errorf(services.Invalid, "A charge needs an operation and at least one credit")
		}
	}
	return s.repository.settle(ctx, in)
}

// Release implements Meter.
func (s *Service) Release(ctx context.Context, in ReleaseRequest) (Hold, error) {
	if err := s.repository.release(ctx, in.HoldID); err != nil {
		return Hold{}, err
	}
	row, err := s.repository.findHold(ctx, in.HoldID)
	if services.Is(err, services.NotFound) {
		return Hold{ID: in.HoldID}, nil
	}
	return row.Hold, err
}
