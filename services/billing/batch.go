package billing

import (
	"context"
	"errors"

	"uaol/services"
)

// Outcome is what came of one of many operations.
type Outcome struct {
	Hold  Hold            `json:"hold"`
	Error *services.Error `json:"error,omitempty"`
}

// HoldsRequest asks for many holds.
type HoldsRequest struct {
	Holds []HoldRequest `json:"holds"`
}

// SettlesRequest pays out of many holds.
type SettlesRequest struct {
	Settles []SettleRequest `json:"settles"`
}

// ReleasesRequest closes many holds.
type ReleasesRequest struct {
	Releases []ReleaseRequest `json:"releases"`
}

// batchMost is how many go into one statement; more go into several.
const batchMost = 5_000

// HoldMany implements Meter.
func (s *Service) HoldMany(ctx context.Context, in HoldsRequest) ([]Outcome, error) {
	wanted := make([]asked, len(in.Holds))
	for i, h := range in.Holds {
		wanted[i].HoldRequest = h
		if h.check() != nil {
			continue // it is told so, and spends nothing
		}
		who, err := s.spenders.id(ctx, spenderOf(h.Caller))
		if err != nil {
			return nil, err
		}
		wanted[i].spender = who
	}
	return inBatches(ctx, wanted, func(a asked) error { return a.check() }, s.repository.holdAll, s.holdAlone)
}

// SettleMany implements Meter.
func (s *Service) SettleMany(ctx context.Context, in SettlesRequest) ([]Outcome, error) {
	write := func(ctx context.Context, batch []SettleRequest) (map[int]Hold, error) {
		done, err := s.repository.settleAll(ctx, batch)
		holds := make(map[int]Hold, len(done))
		for i, paid := range done {
			if !paid.Refused { // alone, it says why
				holds[i] = paid.Hold
			}
		}
		return holds, err
	}
	return inBatches(ctx, in.Settles, SettleRequest.check, write, s.settleAlone)
}

// ReleaseMany implements Meter.
func (s *Service) ReleaseMany(ctx context.Context, in ReleasesRequest) ([]Outcome, error) {
	return inBatches(ctx, in.Releases, func(ReleaseRequest) error { return nil }, s.repository.releaseAll, s.releaseAlone)
}

// inBatches writes many at once and what did not fit one by one. What came of
// each stands in its place; an error is everybody's, and then all may be repeated.
func inBatches[In any](ctx context.Context, all []In, check func(In) error,
	write func(context.Context, []In) (map[int]Hold, error), one func(context.Context, In) (Hold, error)) ([]Outcome, error) {
	outcomes := make([]Outcome, len(all))
	for start := 0; start < len(all); start += batchMost {
		var batch []In
		var places []int
		for i := start; i < min(start+batchMost, len(all)); i++ {
			if err := check(all[i]); err != nil {
				outcomes[i].Error = told(err)
				continue
			}
			batch, places = append(batch, all[i]), append(places, i)
		}
		if len(batch) == 0 {
			continue
		}
		done, err := write(ctx, batch)
		if err != nil && !alone(err) {
			return nil, err
		}
		if err != nil {
			done = nil
		}
		for i, place := range places {
			hold, ok := done[i]
			if !ok {
				if hold, err = one(ctx, batch[i]); services.Is(err, services.Unavailable) {
					return nil, err
				}
				if err != nil {
					outcomes[place].Error = told(err)
					continue
				}
			}
			outcomes[place].Hold = hold
		}
	}
	return outcomes, nil
}

// told is an error in the form that crosses the wire.
func told(err error) *services.Error {
	var e *services.Error
	if errors.As(err, &e) {
		return e
	}
	return services.Errorf(services.Internal, "An internal error occurred").Because(err)
}
