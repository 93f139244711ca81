package proxy

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"uaol/services"
	"uaol/services/billing"
)

// write records what is queued, in batches.
func (c *Cashier) write() {
	for {
		select {
		case e := <-c.queue:
			c.record(c.gather(e))
		case <-c.ctx.Done():
			return
		}
	}
}

// gather collects a batch: what comes within a moment of its first, or less when
// it is full or somebody waits.
func (c *Cashier) gather(first entry) []entry {
	batch := []entry{first}
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	hurry := first.written != nil
	for len(batch) < gatherMost && !hurry {
		select {
		case e := <-c.queue:
			batch = append(batch, e)
			hurry = e.written != nil
		case <-c.hurry:
			hurry = true
		case <-timer.C:
			hurry = true
		case <-c.ctx.Done():
			return batch
		}
	}
	for len(batch) < gatherMost { // what is there already costs nothing more
		select {
		case e := <-c.queue:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// record writes a batch, trying until it is written: while the database is away
// the queue fills, and callers wait.
func (c *Cashier) record(batch []entry) {
	calls := make([]Call, len(batch))
	for i, e := range batch {
		calls[i] = e.call
	}
	err := c.insist(calls)
	if err != nil && len(batch) > 1 && c.ctx.Err() == nil { // one of them can't be stored; not the others' fault
		for _, e := range batch {
			c.record([]entry{e})
		}
		return
	}
	if err != nil {
		c.log.Error("calls could not be recorded", zap.Int("calls", len(batch)), zap.Stringer("first", batch[0].call.ID), zap.Error(err))
	}
	var due []Call
	for _, e := range batch {
		if e.written != nil {
			close(e.written)
		}
		if err == nil && e.settle {
			due = append(due, e.call)
		} else {
			c.end()
		}
	}
	for calls := range slices.Chunk(due, settleMost) {
		select {
		case c.due <- calls:
		case <-c.ctx.Done():
			c.ended(len(calls))
		}
	}
}

// insist writes calls until the database takes or refuses them, or the end.
func (c *Cashier) insist(calls []Call) error {
	waiting := false
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, pauseMost) {
		err := c.insert(c.ctx, calls)
		if !services.Is(err, services.Unavailable) {
			return err
		}
		if !waiting {
			waiting = true
			c.log.Warn("calls can't be recorded just now; it is tried again", zap.Error(err))
		}
		select {
		case <-c.ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// settle pays recorded calls, many at once. What can't be paid is the sweeper's, or was
// paid or released by it.
func (c *Cashier) settle() {
	for {
		select {
		case calls := <-c.due:
			c.pay(calls)
			c.ended(len(calls))
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *Cashier) pay(calls []Call) {
	in := billing.SettlesRequest{Settles: make([]billing.SettleRequest, len(calls))}
	for i, call := range calls {
		in.Settles[i] = billing.SettleRequest{HoldID: call.ID, Charges: []billing.Charge{call.charge(call.Credits)}}
	}
	var outcomes []billing.Outcome
	err := insist(c.ctx, func() (err error) {
		outcomes, err = c.meter.SettleMany(c.ctx, in)
		return err
	})
	if err != nil {
		c.log.Error("calls could not be settled; the sweeper will", zap.Int("calls", len(calls)), zap.Stringer("first", calls[0].ID), zap.Error(err))
		return
	}
	for i, o := range outcomes {
		if o.Error != nil {
			c.log.Error("a call could not be settled; the sweeper will", zap.Stringer("hold", calls[i].ID), zap.Error(o.Error))
		}
	}
}
