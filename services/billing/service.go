package billing

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"uaol/providers/batch"
	"uaol/providers/postgres"
	"uaol/services"
)

// Service is billing where it runs; it is a Meter.
type Service struct {
	repository *Repository
	spenders   *spenders
	plans      Plans
	holds      [holdGroups]batch.Group[asked, Hold]
	settles    batch.Group[SettleRequest, settled]
	releases   batch.Group[ReleaseRequest, Hold]
}

// holdGroups is how many batches of holds are written at a time. An account's
// are always in the same one, so that they never wait for each other's locks.
const holdGroups = 2

// NewService makes a Service.
func NewService(cfg PlansConfig, repository *Repository) *Service {
	if repository.told {
		repository.low = lowsOf(cfg.plans)
	}
	s := &Service{repository: repository, spenders: newSpenders(repository.pool), plans: cfg.plans}
	for i := range s.holds {
		s.holds[i].Write = lenient(repository.holdAll)
	}
	s.settles.Write, s.releases.Write = lenient(repository.settleAll), lenient(repository.releaseAll)
	return s
}

// lenient lets a batch that one member's data has failed be written one by one.
func lenient[In, Out any](write func(context.Context, []In) (map[int]Out, error)) func(context.Context, []In) (map[int]Out, error) {
	return func(ctx context.Context, batch []In) (map[int]Out, error) {
		done, err := write(ctx, batch)
		if alone(err) {
			return nil, nil
		}
		return done, err
	}
}

// Balance implements Meter.
func (s *Service) Balance(ctx context.Context, in BalanceRequest) (Balance, error) {
	if in.Caller.Organization == uuid.Nil {
		return Balance{}, services.Errorf(services.Invalid, "Whose balance?")
	}
	a, err := s.open(ctx, in.Caller.Organization, holderOf(in.Caller))
	return a.balance(), err
}

// holdAttempts bounds how often a hold is tried that has room whenever one
// looks and none whenever one takes.
const holdAttempts = 40

// Hold implements Meter.
func (s *Service) Hold(ctx context.Context, in HoldRequest) (Hold, error) {
	if err := in.check(); err != nil {
		return Hold{}, err
	}
	who, err := s.spenders.id(ctx, spenderOf(in.Caller))
	if err != nil {
		return Hold{}, err
	}
	wanted := asked{HoldRequest: in, spender: who}
	if hold, done, err := s.holds[in.Caller.Organization[15]%holdGroups].Do(ctx, wanted); done || err != nil {
		return hold, err
	}
	return s.holdAlone(ctx, wanted)
}

// holdAlone writes a hold that did not fit into a batch, or says why there can
// be none.
func (s *Service) holdAlone(ctx context.Context, in asked) (Hold, error) {
	for attempt := 1; ; attempt++ {
		if err := pause(ctx, attempt); err != nil {
			return Hold{}, err
		}
		done, err := s.repository.holdAll(ctx, []asked{in})
		if hold, ok := done[0]; ok {
			return hold, nil
		}
		capped, taken := postgres.Violates(err, "caps_hold"), postgres.Violates(err, "holds_pkey") || postgres.Violates(err, "journal_once")
		if err != nil && !capped && !taken {
			return Hold{}, err
		}
		row, err := s.repository.findHold(ctx, in.ID)
		switch {
		case err == nil && row.Amount == in.Amount && row.Organization == in.Caller.Organization:
			return row.Hold, nil // what an earlier sending of the same request made
		case err == nil || taken:
			return Hold{}, services.Errorf(services.Conflict, "The id %s was used for another hold", in.ID)
		case !services.Is(err, services.NotFound):
			return Hold{}, err
		}
		if err := s.noRoom(ctx, in.HoldRequest, attempt == holdAttempts); err != nil {
			return Hold{}, err
		}
	}
}

// noRoom says why there is no hold; nil when by now there can be one.
func (s *Service) noRoom(ctx context.Context, in HoldRequest, last bool) error {
	if err := s.tooLittle(ctx, in); err != nil {
		return err
	}
	a, err := s.repository.account(ctx, in.Caller.Organization)
	if err != nil {
		return err
	}
	if a.CallsLeft != nil && *a.CallsLeft < in.calls() {
		return services.Errorf(services.Forbidden, "The plan %s has %d charged tool calls a month; %d are left until %s", a.Tier,
			s.plans[a.Tier].Calls, *a.CallsLeft, a.RenewsAt.UTC().Format(time.DateOnly)).WithCode("QUOTA_EXCEEDED")
	}
	caps, err := s.repository.reached(ctx, in)
	switch {
	case err != nil:
		return err
	case len(caps) > 0:
		return caps[0].refusal(in.Amount)
	case last: // its caps change faster than a hold can look at them
		return services.Errorf(services.Unavailable, "The account is busy just now; try again")
	}
	return nil
}

// tooLittle says why an account can't give what a hold needs. One that was never
// opened, or whose month is over, is put in order by asking.
func (s *Service) tooLittle(ctx context.Context, in HoldRequest) error {
	balance, err := s.Balance(ctx, BalanceRequest{Caller: in.Caller})
	switch {
	case err != nil:
		return err
	case balance.Debt > 0:
		return owed(balance.Debt)
	case balance.Available < in.Amount:
		return services.Errorf(services.Insufficient, "Insufficient credits. Required: %d, Available: %d", in.Amount, balance.Available)
	}
	return nil
}

func owed(debt int64) error {
	return services.Errorf(services.Insufficient, "This account owes %d credits for a payment that was taken back; buy credits to go on", debt).WithCode("CREDITS_OWED")
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

// settleAttempts bounds how often a settlement is tried that others overtake,
// each time with another of its charges.
const settleAttempts = 20

// Settle implements Meter.
func (s *Service) Settle(ctx context.Context, in SettleRequest) (Hold, error) {
	if err := in.check(); err != nil {
		return Hold{}, err
	}
	if len(in.Charges) == 0 {
		return s.settleAlone(ctx, in)
	}
	if paid, done, err := s.settles.Do(ctx, in); err != nil {
		return Hold{}, err
	} else if done {
		return paid.answer()
	}
	return s.settleAlone(ctx, in)
}

func (s *Service) settleAlone(ctx context.Context, in SettleRequest) (Hold, error) {
	if len(in.Charges) == 0 { // nothing to pay: only how it stands
		row, err := s.repository.findHold(ctx, in.HoldID)
		return row.Hold, err
	}
	for attempt := 1; ; attempt++ {
		done, err := s.repository.settleAll(ctx, []SettleRequest{in})
		if postgres.Violates(err, "journal_once") && attempt < settleAttempts {
			continue
		}
		if err != nil {
			return Hold{}, err
		}
		paid, ok := done[0]
		if !ok {
			return Hold{}, services.Errorf(services.NotFound, "Not found")
		}
		return paid.answer()
	}
}

// Release implements Meter.
func (s *Service) Release(ctx context.Context, in ReleaseRequest) (Hold, error) {
	if hold, done, err := s.releases.Do(ctx, in); done || err != nil {
		return hold, err
	}
	return s.releaseAlone(ctx, in)
}

func (s *Service) releaseAlone(ctx context.Context, in ReleaseRequest) (Hold, error) {
	var done map[int]Hold
	err := seeing(func() (err error) {
		done, err = s.repository.releaseAll(ctx, []ReleaseRequest{in})
		return err
	})
	if hold, ok := done[0]; ok || err != nil {
		return hold, err
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
