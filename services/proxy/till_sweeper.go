package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/workers"
	"uaol/services/billing"
)

// Sweeper ends the calls of processes that died, by the holds they left: it
// records what nobody recorded, as of unknown outcome, then settles it. Several
// may run at once: every step may be repeated.
type Sweeper struct {
	meter      billing.Meter
	repository *Repository
	log        *zap.Logger
}

// NewSweeper makes a Sweeper.
func NewSweeper(meter billing.Meter, repository *Repository, log *zap.Logger) *Sweeper {
	return &Sweeper{meter: meter, repository: repository, log: log}
}

const (
	sweepEvery = 5 * time.Second
	sweepBatch = 500
)

// Run is a workers.Worker's loop.
func (s *Sweeper) Run(ctx context.Context) error {
	return workers.Every(sweepEvery, func(ctx context.Context) error {
		_, err := s.Sweep(ctx)
		return err
	})(ctx)
}

// Sweep looks once at the calls whose time is up and tells how many it ended.
func (s *Sweeper) Sweep(ctx context.Context) (ended int, err error) {
	holds, err := s.meter.Abandoned(ctx, billing.AbandonedRequest{Owner: billing.OwnerCall, Limit: sweepBatch})
	if err != nil || len(holds) == 0 {
		return 0, err
	}
	calls, ids := make([]Call, len(holds)), make([]uuid.UUID, len(holds))
	for i, h := range holds {
		calls[i], ids[i] = s.remembered(h), h.ID
	}
	if err := s.repository.insert(ctx, calls); err != nil {
		return 0, err
	}
	// What was recorded before, or by another meanwhile, counts.
	records, err := s.repository.among(ctx, ids)
	if err != nil {
		return 0, err
	}
	outcomes := map[uuid.UUID]Outcome{}
	for _, r := range records {
		outcomes[r.ID] = r.Outcome
	}
	var faults []error
	for _, h := range holds {
		outcome, recorded := outcomes[h.ID]
		if !recorded { // erased meanwhile: there is nobody to ask for it
			outcome = Unknown
		}
		if fault := s.finish(ctx, h, outcome); fault != nil {
			faults = append(faults, fault)
			continue
		}
		ended++
	}
	return ended, errors.Join(faults...)
}

// remembered is a call as its hold's memo has it.
func (s *Sweeper) remembered(h billing.AbandonedHold) Call {
	var m memo
	if err := json.Unmarshal([]byte(h.Memo), &m); err != nil {
		s.log.Warn("a call's hold does not say what it is for", zap.Stringer("hold", h.ID))
		m = memo{Call: Call{Organization: h.Organization, Account: h.Account}, At: h.CreatedAt}
	}
	call := m.Call
	call.ID, call.At, call.Outcome, call.Credits = h.ID, m.At, Unknown, h.Amount
	return storable(call)
}

// finish settles a call that was made or may have been, and releases what failed.
func (s *Sweeper) finish(ctx context.Context, h billing.AbandonedHold, outcome Outcome) error {
	if outcome == Succeeded || outcome == Unknown {
		call := s.remembered(h)
		call.Outcome = outcome
		_, err := s.meter.Settle(ctx, billing.SettleRequest{HoldID: h.ID, Charges: []billing.Charge{call.charge(h.Amount - h.Settled)}})
		return err
	}
	_, err := s.meter.Release(ctx, billing.ReleaseRequest{HoldID: h.ID})
	return err
}
