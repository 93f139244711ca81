package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"uaol/providers/events"
	"uaol/services"
	"uaol/services/billing"
)

// rest is what is done when no call goes on and none can begin: the job ends, or
// it waits. It is done when this worker has no more to do with the job.
func (r *run) rest(ctx context.Context) (done bool, err error) {
	switch {
	case r.lost.Load():
		return true, errLost
	case r.closing(), r.settled():
		return true, r.finish(ctx)
	case r.stopping.Load() || r.halted:
		if len(r.unsaved) > 0 {
			err = r.write(change{})
		}
		return true, errors.Join(err, errStopped)
	}
	wake, status := r.soonest()
	if !wake.IsZero() && time.Until(wake) <= inMemory {
		if err := r.save(nil); err != nil {
			return false, err
		}
		timer := time.NewTimer(time.Until(wake))
		defer timer.Stop()
		r.await(timer.C)
		return false, nil
	}
	if wake.IsZero() {
		wake = forever
	}
	if r.job.Deadline != nil && r.job.Deadline.Before(wake) {
		wake = *r.job.Deadline
	}
	return true, r.write(change{Leaves: true, Wake: &wake, Status: status, Pokes: r.seen})
}

// settled reports whether all steps have come to their own end; those of
// compensation are not waited for.
func (r *run) settled() bool {
	for i := range r.units {
		if u := &r.units[i]; (!u.ended() || u.status == Cancelled) && !r.workflow.Steps[i].Compensation {
			return false
		}
	}
	return true
}

// soonest is the next moment that something waits for, none if all wait for
// somebody, and what the job is called meanwhile.
func (r *run) soonest() (wake time.Time, status Status) {
	status = Running
	for _, u := range r.timed {
		if wake.IsZero() || u.wake.Before(wake) {
			wake = u.wake
		}
		if u.status == Retrying {
			status = Retrying
		}
	}
	return wake, status
}

// finish ends the job: what its steps came to is stored, then it is paid, then
// its end is made known. Each part may be repeated, so whoever comes after a crash
// in between makes it good, and whoever sees a job ended sees its price paid.
func (r *run) finish(ctx context.Context) error {
	c := change{Ends: Success, Turn: r.job.Turn}
	switch {
	case r.failure != "":
		c.Ends, c.Error = Failed, r.failure
	case r.expired.Load() && !r.settled():
		c.Ends, c.Error = Failed, "TIMEOUT: the job took longer than it may"
	case r.cancelled.Load() && !r.settled():
		c.Ends = Cancelled
	}
	// Jobs that go on for this one are ended before it is: whoever comes after a
	// crash in between finds them by it. What this job has come to is stored first,
	// so that no step of theirs is looked for again.
	orphans, err := r.orphans()
	if err != nil {
		return err
	}
	if len(orphans) > 0 {
		if len(r.unsaved) > 0 {
			if err := r.write(change{}); err != nil {
				return err
			}
		}
		if err := r.disown(orphans); err != nil {
			return err
		}
	}
	if c.Ends != Success {
		r.close()
	} else if r.workflow.Output != nil {
		output, err := r.workflow.Output.Fill(r.scope())
		if err != nil {
			c.Ends, c.Error = Failed, "output: "+message(err)
		} else {
			c.Output = storedText(output)
		}
	}
	p := r.payment()
	if len(p.Holds) > 0 {
		if len(r.unsaved) > 0 {
			if err := r.write(change{}); err != nil {
				return err
			}
		}
		if err := patiently(func(ctx context.Context) error { return r.engine.pay(ctx, p) }); err != nil {
			return fmt.Errorf("paying: %w", err)
		}
	}
	c.Spent = p.total()
	c.Adds = max(c.Spent-r.job.Spent, 0) // what was paid at an end before is in the total, and was counted then
	if err := r.write(c); err != nil {
		return err
	}
	r.engine.sight.end(c.Ends)
	if r.job.Parent != nil {
		r.tellParent()
	}
	r.engine.bus.Publish(events.Event{ID: r.job.ID, Type: "job.ended", Subject: r.job.ID.String(), Organization: r.job.Organization, Data: json.RawMessage("{}")})
	return nil
}

// close notes of what has begun and will not end that it does not, and of what
// stays unknown that nobody is asked any more.
func (r *run) close() {
	shut := func(u *unit) {
		switch u.status {
		case Running, Waiting, Retrying:
			u.status = Cancelled
			r.note(u)
		case Unknown:
			r.note(u)
		}
	}
	for i := range r.units {
		shut(&r.units[i])
		for j := range r.units[i].items {
			shut(&r.units[i].items[j])
		}
	}
}

// payment is what a job's end costs, and the holds that it is paid out of and
// that end with it.
type payment struct {
	Holds []billing.SettleRequest
}

func (p payment) total() (n int64) {
	for _, h := range p.Holds {
		for _, c := range h.Charges {
			n += c.Amount
		}
	}
	return n
}

func (r *run) payment() (p payment) {
	own := billing.SettleRequest{HoldID: holdOf(r.job.ID, r.job.Retries), Last: true}
	for i := range r.units {
		u, price := &r.units[i], int64(0)
		if i < len(r.plan) {
			price = r.plan[i].Price
		}
		if price == 0 {
			continue
		}
		if r.workflow.Steps[i].ForEach == nil {
			if u.status == Success {
				own.Charges = append(own.Charges, r.charge(u, price))
			}
			continue
		}
		if len(u.items) == 0 {
			continue
		}
		further := billing.SettleRequest{HoldID: furtherHold(r.job.ID, r.job.Retries, i), Last: true}
		for j := range u.items {
			if u.items[j].status == Success {
				further.Charges = append(further.Charges, r.charge(&u.items[j], price))
			}
		}
		p.Holds = append(p.Holds, further)
	}
	if r.job.Cost > 0 {
		p.Holds = append(p.Holds, own)
	}
	return p
}

func (r *run) charge(u *unit, price int64) billing.Charge {
	step := &r.workflow.Steps[u.position]
	return billing.Charge{Operation: r.operation(u), Amount: price, Tool: step.Tool.ToolID,
		Facts: billing.Facts{Version: r.plan[u.position].Version, Method: step.Tool.Action, Step: r.path(u)}}
}

// holdOf is the id of the hold that a job is paid out of: its own, and another
// each time that it is taken up again.
func holdOf(job uuid.UUID, retries int) uuid.UUID {
	if retries == 0 {
		return job
	}
	return derivedID("retry", job.String(), fmt.Sprint(retries))
}

// furtherHold is the id of the hold for a step whose number was not known when
// the job was made.
func furtherHold(job uuid.UUID, retries, position int) uuid.UUID {
	return derivedID("hold", job.String(), fmt.Sprint(retries), fmt.Sprint(position))
}

// hold sets credits aside for a step whose number is known only now. A repeated
// hold finds the first one.
func (r *run) hold(ctx context.Context, u *unit, amount, calls int64) error {
	_, err := r.engine.meter.Hold(ctx, billing.HoldRequest{
		ID: furtherHold(r.job.ID, r.job.Retries, u.position), Caller: r.caller, Owner: billing.OwnerJob, Job: r.job.ID,
		Amount: amount, Calls: calls, Lifetime: holdFirst,
	})
	return err
}

// pay pays and closes a job's holds, together with those of other jobs that end
// at this moment.
func (e *Engine) pay(ctx context.Context, p payment) error {
	refused, done, err := e.payments.Do(ctx, p)
	if err == nil && !done {
		err = services.Errorf(services.Unavailable, "Billing gave no answer")
	}
	if err == nil {
		err = refused
	}
	return err
}

// payAll implements the group of payments. What settling closes need not be
// released.
func (e *Engine) payAll(ctx context.Context, all []payment) (map[int]error, error) {
	var settles billing.SettlesRequest
	var releases billing.ReleasesRequest
	var settling []int
	done, closed := make(map[int]error, len(all)), map[uuid.UUID]bool{}
	for i, p := range all {
		done[i] = nil
		for _, h := range p.Holds {
			if len(h.Charges) > 0 {
				settles.Settles, settling = append(settles.Settles, h), append(settling, i)
			}
		}
	}
	if len(settling) > 0 {
		outcomes, err := e.meter.SettleMany(ctx, settles)
		if err != nil {
			return nil, err
		}
		for i, o := range outcomes {
			if o.Error != nil {
				done[settling[i]] = o.Error
			} else if !o.Hold.Open {
				closed[o.Hold.ID] = true
			}
		}
	}
	for i, p := range all {
		if done[i] == nil {
			for _, h := range p.Holds {
				if !closed[h.HoldID] {
					releases.Releases = append(releases.Releases, billing.ReleaseRequest{HoldID: h.HoldID})
				}
			}
		}
	}
	if len(releases.Releases) == 0 {
		return done, nil
	}
	_, err := e.meter.ReleaseMany(ctx, releases)
	return done, err
}
