package billing

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Service is billing where it runs; it is a Meter.
type Service struct {
	repository *Repository
	holds      [holdGroups]group[HoldRequest, Hold]
	settles    group[SettleRequest, Hold]
	releases   group[ReleaseRequest, Hold]
}

// holdGroups is how many batches of holds are written at a time. An account's
// are always in the same one, so that they never wait for each other's locks.
const holdGroups = 2

// NewService makes a Service.
func NewService(repository *Repository) *Service {
	s := &Service{repository: repository}
	for i := range s.holds {
		s.holds[i].write = repository.holdAll
	}
	s.settles.write, s.releases.write = repository.settleAll, repository.releaseAll
	return s
}

// Balance implements Meter.
func (s *Service) Balance(ctx context.Context, in BalanceRequest) (Balance, error) {
	if in.Caller.Organization == uuid.Nil {
		return Balance{}, services.Errorf(services.Invalid, "Whose balance?")
	}
	tier, credits := opening(in.Caller)
	grant := grantID(in.Caller)
	a, err := s.repository.account(ctx, in.Caller.Organization, grant)
	if services.Is(err, services.NotFound) || (err == nil && !a.Granted) {
		if err = s.repository.grant(ctx, in.Caller.Organization, tier, grant, credits); err == nil {
			a, err = s.repository.account(ctx, in.Caller.Organization, grant)
		}
	}
	return Balance{Tier: a.Tier, Available: a.Available, Held: a.Held}, err
}

// holdAttempts bounds how often a hold is tried that has room whenever one
// looks and none whenever one takes.
const holdAttempts = 40

// Hold implements Meter.
func (s *Service) Hold(ctx context.Context, in HoldRequest) (Hold, error) {
	if in.Amount <= 0 || in.Caller.Organization == uuid.Nil || in.Lifetime <= 0 {
		return Hold{}, services.Errorf(services.Invalid, "A hold needs an organisation, a lifetime and at least one credit")
	}
	if len(in.Memo) > MaxMemo {
		return Hold{}, services.Errorf(services.Invalid, "A hold's memo has at most %d bytes", MaxMemo)
	}
	if hold, done, err := s.holds[in.Caller.Organization[15]%holdGroups].do(ctx, in); done || err != nil {
		return hold, err
	}
	return s.holdAlone(ctx, in)
}

// holdAlone writes a hold that did not fit into a batch, or says why there can
// be none.
func (s *Service) holdAlone(ctx context.Context, in HoldRequest) (Hold, error) {
	for attempt := 1; ; attempt++ {
		if err := pause(ctx, attempt); err != nil {
			return Hold{}, err
		}
		moved, err := s.repository.hold(ctx, in)
		if moved {
			return Hold{ID: in.ID, Amount: in.Amount, Open: true}, nil
		}
		capped, taken := postgres.Violates(err, "caps_hold"), postgres.Violates(err, "holds_pkey") || postgres.Violates(err, "entries_pkey")
		if err != nil && !capped && !taken {
			return Hold{}, err
		}
		if hold, found := s.same(ctx, in); found {
			return hold, nil
		}
		switch {
		case taken:
			return Hold{}, services.Errorf(services.Conflict, "The id %s was used for another hold", in.ID)
		case capped:
			err = s.overCap(ctx, in, attempt == holdAttempts)
		default:
			err = s.tooLittle(ctx, in, attempt == holdAttempts)
		}
		if err != nil {
			return Hold{}, err
		}
	}
}

// tooLittle says why an account could not give what a hold needs; nil when by
// now it can. One that was never opened is: asking does that.
func (s *Service) tooLittle(ctx context.Context, in HoldRequest, last bool) error {
	balance, err := s.Balance(ctx, BalanceRequest{Caller: in.Caller})
	switch {
	case err != nil:
		return err
	case balance.Available < in.Amount:
		return services.Errorf(services.Insufficient, "Insufficient credits. Required: %d, Available: %d", in.Amount, balance.Available)
	case last: // its caps change faster than a hold can look at them
		return services.Errorf(services.Unavailable, "The account is busy just now; try again")
	}
	return nil
}

// pause lets others finish before a further try, longer each time: all of them
// together take about a second.
func pause(ctx context.Context, attempt int) error {
	if attempt < 3 { // opening an account takes a second try
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(time.Duration(attempt) * 2 * time.Millisecond)):
		return nil
	}
}

// overCap says which cap had no room for a hold; nil when by now it has.
func (s *Service) overCap(ctx context.Context, in HoldRequest, last bool) error {
	caps, err := s.repository.reached(ctx, in)
	switch {
	case err != nil:
		return err
	case len(caps) > 0:
		return caps[0].refusal(in.Amount)
	case last:
		return services.Errorf(services.Unavailable, "The spend caps change too fast; try again")
	}
	return nil
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
	if in.whole() {
		if hold, done, err := s.settles.do(ctx, in); done || err != nil {
			return hold, err
		}
	}
	return s.repository.settle(ctx, in)
}

// Release implements Meter.
func (s *Service) Release(ctx context.Context, in ReleaseRequest) (Hold, error) {
	if hold, done, err := s.releases.do(ctx, in); done || err != nil {
		return hold, err
	}
	if err := s.repository.release(ctx, in.HoldID); err != nil {
		return Hold{}, err
	}
	row, err := s.repository.findHold(ctx, in.HoldID)
	if services.Is(err, services.NotFound) {
		return Hold{ID: in.HoldID}, nil
	}
	return row.Hold, err
}

// Abandoned implements Meter.
func (s *Service) Abandoned(ctx context.Context, in AbandonedRequest) ([]AbandonedHold, error) {
	if in.Limit <= 0 {
		return nil, services.Errorf(services.Invalid, "How many holds?")
	}
	return s.repository.abandoned(ctx, in)
}
