package jobs

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/services"
	"uaol/services/billing"
)

// hold sets the cost of all aside, or of none.
func (s *Service) hold(ctx context.Context, caller services.Caller, drafts []draft) error {
	if err := s.afford(ctx, caller, drafts); err != nil {
		return err
	}
	var wanted billing.HoldsRequest
	var of []*draft
	for i := range drafts {
		if d := &drafts[i]; d.Cost > 0 {
			wanted.Holds = append(wanted.Holds, billing.HoldRequest{
				ID: d.ID, Caller: caller, Owner: billing.OwnerJob, Amount: d.Cost, Calls: d.calls, Lifetime: holdFirst})
			of = append(of, d)
		}
	}
	if len(of) == 0 {
		return nil
	}
	outcomes, err := s.holdAll(ctx, wanted)
	if err != nil {
		return err
	}
	var refused error
	for i, o := range outcomes {
		switch d := of[i]; {
		case o.Error == nil && o.Hold.Open:
			d.held = true
		case o.Error == nil:
			if err := s.holdAnew(ctx, caller, d); err != nil && refused == nil {
				refused = err
			}
		case refused == nil:
			refused = o.Error
		}
	}
	if refused != nil {
		s.giveBack(ctx, drafts, refused)
	}
	return refused
}

// holdAll holds one together with those that others hold at the moment, and many in
// one round trip.
func (s *Service) holdAll(ctx context.Context, in billing.HoldsRequest) ([]billing.Outcome, error) {
	if len(in.Holds) > 1 {
		return s.meter.HoldMany(ctx, in)
	}
	hold, err := s.meter.Hold(ctx, in.Holds[0])
	return []billing.Outcome{{Hold: hold}}, err
}

// holdAnew holds for a job whose hold has ended. Either the job has been made, by an
// earlier request, and needs none, or the process of that request died before it
// made the job, and the hold was given back since: then there is another one.
func (s *Service) holdAnew(ctx context.Context, caller services.Caller, d *draft) error {
	_, err := s.repository.digestOf(ctx, d.ID)
	if !services.Is(err, services.NotFound) {
		return err // without one, inserting finds the job
	}
	const most = 5
	for d.Retries < most {
		d.Retries++
		hold, err := s.meter.Hold(ctx, billing.HoldRequest{
			ID: holdOf(d.ID, d.Retries), Caller: caller, Owner: billing.OwnerJob, Job: d.ID, Amount: d.Cost, Calls: d.calls, Lifetime: holdFirst})
		if err != nil {
			return err
		}
		if hold.Open {
			d.held = true
			return nil
		}
	}
	return services.Errorf(services.Conflict, "This request was given up several times; send it with another Idempotency-Key")
}

// afford looks at the balance where steps are held for when they are reached. There
// has to be an account then, which billing opens for whoever asks first, and the engine
// does not know what this caller is. And jobs that cannot be paid whatever comes of
// them are refused before they do half of their work. Nothing is set aside for that:
// what the credits are spent on meanwhile is for their owner to say.
func (s *Service) afford(ctx context.Context, caller services.Caller, drafts []draft) error {
	if !slices.ContainsFunc(drafts, func(d draft) bool { return d.later }) {
		return nil
	}
	balance, err := s.meter.Balance(ctx, billing.BalanceRequest{Caller: caller})
	if err != nil {
		return err
	}
	var total, listed int64
	var keyed []uuid.UUID
	cost := make(map[uuid.UUID]int64, len(drafts))
	for i := range drafts {
		d := &drafts[i]
		known := d.listed()
		listed += known
		total += d.Cost + known
		if cost[d.ID] = d.Cost + known; d.Digest != nil {
			keyed = append(keyed, d.ID)
		}
	}
	if listed == 0 || total <= balance.Available {
		return nil
	}
	if len(keyed) > 0 { // jobs that were made by an earlier request need nothing more
		there, err := s.repository.existing(ctx, keyed)
		if err != nil {
			return err
		}
		for id := range there {
			total -= cost[id]
		}
	}
	if total <= balance.Available {
		return nil
	}
	return services.Errorf(services.Insufficient, "Insufficient credits. Required: %d, Available: %d", total, balance.Available)
}

// listed is what the items of for_each steps cost that are known already, of those
// steps that run however it goes.
func (d *draft) listed() (cost int64) {
	if !d.later {
		return 0
	}
	var input json.RawMessage
	if d.Input != nil {
		input = json.RawMessage(*d.Input)
	}
	for i := range d.workflow.Steps {
		step := &d.workflow.Steps[i]
		if step.ForEach == nil || !step.Certain || d.frozen[i].Price == 0 {
			continue
		}
		if n, ok := step.ForEach.Known(input); ok {
			cost += int64(n) * d.frozen[i].Price
		}
	}
	return cost
}

// giveBack releases the holds of jobs that did not come to be. When nobody can tell
// whether they did, billing's sweeper asks later; so it does where the request has a
// key: the hold may be that of the same request that came before, or comes now.
func (s *Service) giveBack(ctx context.Context, drafts []draft, reason error) {
	if services.Is(reason, services.Unavailable) || ctx.Err() != nil {
		return
	}
	var in billing.ReleasesRequest
	for i := range drafts {
		if drafts[i].held && !drafts[i].again && drafts[i].Digest == nil {
			in.Releases = append(in.Releases, billing.ReleaseRequest{HoldID: holdOf(drafts[i].ID, drafts[i].Retries)})
		}
	}
	if len(in.Releases) == 0 {
		return
	}
	if _, err := s.meter.ReleaseMany(ctx, in); err != nil {
		s.log.Warn("holds stay until the sweeper finds them", zap.Int("holds", len(in.Releases)), zap.Error(err))
	}
}
