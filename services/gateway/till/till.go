// Package till charges what is done with the platform's keys of model providers: the most
// that it can cost is held before, and what it has cost is settled after.
package till

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/services"
	"uaol/services/billing"
)

const (
	holdBeyond = 5 * time.Minute // a hold outlives what it is for by so much
	endWithin  = 10 * time.Second
	endPause   = 200 * time.Millisecond
)

// Till charges. A hold that a dying process leaves is given back when its time is up:
// whoever asked has not got the answer.
type Till struct {
	meter    billing.Meter
	log      *zap.Logger
	lifetime time.Duration
}

// New makes a Till for what takes at most so long.
func New(meter billing.Meter, within time.Duration, log *zap.Logger) Till {
	return Till{meter: meter, log: log, lifetime: within + holdBeyond}
}

// Hold sets credits aside. Kinds as of billing.Meter.Hold.
func (t Till) Hold(ctx context.Context, caller services.Caller, amount int64) (uuid.UUID, error) {
	id := uuid.Must(uuid.NewV7())
	_, err := t.meter.Hold(ctx, billing.HoldRequest{ID: id, Caller: caller, Owner: billing.OwnerModel, Amount: amount, Lifetime: t.lifetime})
	switch services.KindOf(err) {
	case "", services.Insufficient, services.Conflict, services.Invalid:
	default: // it may have been made
		t.end(ctx, id, nil)
	}
	return id, err
}

// Settle pays a charge out of a hold and gives the rest back, whether the caller is still
// there or not; an amount of 0 gives all of it back. An operation is paid once.
func (t Till) Settle(ctx context.Context, hold uuid.UUID, charge billing.Charge) {
	if charge.Amount <= 0 {
		t.end(ctx, hold, nil)
		return
	}
	t.end(ctx, hold, []billing.Charge{charge})
}

func (t Till) end(ctx context.Context, hold uuid.UUID, charges []billing.Charge) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	for {
		err := t.once(ctx, hold, charges)
		switch services.KindOf(err) {
		case "", services.NotFound, services.Conflict, services.Invalid:
			return
		}
		select {
		case <-ctx.Done():
			t.log.Error("a hold could not be ended; the sweeper gives it back", zap.Stringer("hold", hold), zap.Error(err))
			return
		case <-time.After(endPause):
		}
	}
}

func (t Till) once(ctx context.Context, hold uuid.UUID, charges []billing.Charge) error {
	if len(charges) > 0 {
		if _, err := t.meter.Settle(ctx, billing.SettleRequest{HoldID: hold, Charges: charges, Last: true}); err != nil {
			return err
		}
	}
	_, err := t.meter.Release(ctx, billing.ReleaseRequest{HoldID: hold})
	return err
}
