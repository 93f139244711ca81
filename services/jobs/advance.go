package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/jobs/workflow"
)

// advance settles what needs no call and gives the units whose calls are to
// begin now.
func (r *run) advance(ctx context.Context) (begin []*unit, err error) {
	if r.pokes.Load() != r.seen {
		if err := r.decide(r.base); err != nil {
			return nil, err
		}
	}
	if r.stopping.Load() || r.halted {
		return nil, nil
	}
	begin = r.due(begin)
	for !r.closing() && len(r.ready) > 0 && r.going+len(begin) < maxParted {
		i := r.ready[0]
		r.ready = r.ready[1:]
		if u := r.turn(ctx, i); u != nil {
			begin = append(begin, u)
		}
	}
	if r.broken != nil {
		return nil, r.broken
	}
	begin = r.fanOut(begin)
	for r.failure != "" && !r.cancelled.Load() && !r.expired.Load() && len(r.amends) > 0 && r.going+len(begin) == 0 {
		i := r.amends[0]
		r.amends = r.amends[1:]
		if u := r.turn(ctx, i); u != nil {
			begin = append(begin, u)
		}
	}
	return begin, r.broken
}

// due gives the units whose moment has come.
func (r *run) due(begin []*unit) []*unit {
	now := time.Now()
	r.timed = slices.DeleteFunc(r.timed, func(u *unit) bool {
		if r.closing() || now.Before(u.wake) {
			return false
		}
		switch {
		case u.status == Retrying:
			if r.prepare(u) {
				begin = append(begin, r.begun(u))
			}
		case u.child != uuid.Nil: // the same attempt goes on
			u.status = Running
			begin = append(begin, u)
		case r.workflow.Steps[u.position].Kind == workflow.Sleep:
			r.succeed(u, []byte("null"))
		default:
			r.fail(u, "EXPIRED: nobody decided in time")
		}
		return true
	})
	return begin
}

// turn begins a step whose turn has come; nil when that needs no call.
func (r *run) turn(ctx context.Context, i int) *unit {
	u, step := &r.units[i], &r.workflow.Steps[i]
	if step.When == nil && slices.ContainsFunc(step.Needs, func(need int) bool { return r.units[need].passedOver() }) {
		r.skip(u)
		return nil
	}
	if step.When != nil {
		holds, err := step.When.True(ctx, r.scope())
		if err != nil {
			r.fail(u, "when: "+message(err))
			return nil
		}
		if !holds {
			r.skip(u)
			return nil
		}
	}
	switch {
	case step.ForEach != nil:
		r.spread(ctx, u)
	case step.Kind == workflow.Sleep:
		until, err := step.Sleep.End(r.scope(), time.Now())
		if err != nil {
			r.fail(u, message(err))
			return nil
		}
		r.waitUntil(u, until)
	case step.Kind == workflow.Approval:
		r.ask(u)
	default:
		if r.prepare(u) {
			return r.begun(u)
		}
	}
	return nil
}

// passedOver reports whether the step's turn never came: what depends on it has
// nothing to go on with. One that somebody decided to go on without is another
// matter.
func (u *unit) passedOver() bool { return u.status == Skipped && u.detail != goOn }

const goOn = "skip" // decided

// spread makes the items of a for_each step, and holds what they will cost.
func (r *run) spread(ctx context.Context, u *unit) {
	step := &r.workflow.Steps[u.position]
	items, err := step.ForEach.List(r.scope())
	if err == nil {
		if price := r.plan[u.position].Price; price > 0 && len(items) > 0 {
			err = r.hold(ctx, u, price*int64(len(items)), int64(len(items)))
		}
	}
	if services.Is(err, services.Unavailable) { // later, with another worker
		r.broken = err
		return
	}
	if err != nil {
		r.fail(u, message(err))
		return
	}
	u.items, u.status, u.open = make([]unit, len(items)), Running, len(items)
	for i, item := range items {
		u.items[i] = unit{position: u.position, item: i, status: Pending, value: item}
	}
	if len(items) == 0 {
		r.succeed(u, []byte("[]"))
		return
	}
	r.fans = append(r.fans, u)
}

// fanOut begins items, of each step as many as it allows.
func (r *run) fanOut(begin []*unit) []*unit {
	if r.closing() {
		return begin
	}
	r.fans = slices.DeleteFunc(r.fans, func(u *unit) bool {
		most := r.workflow.Steps[u.position].ForEach.Parallel
		active := 0
		for i := range u.items[:u.next] {
			if !u.items[i].ended() {
				active++
			}
		}
		for ; active < most && u.next < len(u.items) && u.status == Running; u.next++ {
			item := &u.items[u.next]
			if item.status != Pending {
				continue // an earlier worker has ended it
			}
			if r.prepare(item) {
				begin = append(begin, r.begun(item))
				active++
			}
		}
		return u.next == len(u.items) || u.status != Running
	})
	return begin
}

// begun notes that a unit's call is about to leave.
func (r *run) begun(u *unit) *unit {
	u.status, u.attempt, u.wake, u.took, u.child = Running, u.attempt+1, time.Time{}, 0, uuid.Nil
	return u
}

// waitUntil lets a unit wait for a moment.
func (r *run) waitUntil(u *unit, until time.Time) {
	u.status, u.wake = Waiting, until
	u.detail = until.UTC().Format(time.RFC3339Nano)
	r.timed = append(r.timed, u)
	r.note(u)
}

// succeed ends a unit well.
func (r *run) succeed(u *unit, result []byte) {
	u.status, u.result, u.failure = Success, result, ""
	r.size += len(result)
	r.note(u)
	r.settle(u)
}

func (r *run) skip(u *unit) {
	u.status = Skipped
	r.note(u)
	r.settle(u)
}

// fail ends a unit badly, for good.
func (r *run) fail(u *unit, failure string) {
	u.status, u.result, u.failure = Failed, nil, failure
	r.note(u)
	step := &r.workflow.Steps[u.position]
	switch {
	case step.OnError == workflow.Continue:
		r.settle(u)
		return
	case u.item != whole:
		r.fail(&r.units[u.position], fmt.Sprintf("item %d: %s", u.item, failure))
		return
	case step.OnError == workflow.Compensate:
		r.amends = append(r.amends, step.Compensate)
	}
	if r.failure == "" {
		r.failure = stepFailure(step.ID, failure)
	}
}

// settle lets those go on that depend on what has come to an end.
func (r *run) settle(u *unit) {
	if u.item != whole {
		step := &r.units[u.position]
		if step.open--; step.open == 0 && step.status == Running {
			r.succeed(step, nil)
		}
		return
	}
	for _, next := range r.workflow.Steps[u.position].NeededBy {
		other := &r.units[next]
		if other.waits--; other.waits == 0 && other.status == Pending && !r.workflow.Steps[next].Compensation {
			r.ready = append(r.ready, next)
		}
	}
}

// take notes what came of a call.
func (r *run) take(o outcome) {
	u := o.unit
	u.took = o.took
	if u.late != nil {
		u.late.end()
		u.late = nil
	}
	if !r.refused(u, o.err) {
		u.refused = time.Time{}
	}
	switch {
	case o.err == nil && o.child != uuid.Nil:
		r.awaitChild(u, o.child)
	case o.err == nil:
		if r.size+len(o.result) > maxResults {
			r.fail(u, fmt.Sprintf("the job's results are more than %d bytes together", maxResults))
			return
		}
		r.succeed(u, o.result)
	case o.cut && r.lost.Load():
		r.halted = true
	case r.refused(u, o.err): // though it was cut: it has not left
		r.waitForRoom(u, o.err)
	case o.cut && (r.cancelled.Load() || r.expired.Load()):
		u.status, u.failure = Cancelled, cutText(r.safe(u))
		r.note(u)
	case o.cut: // the process stops; whether it was done is found out later
		r.halted = true
	case uncertain(o.err) && !r.safe(u):
		u.status, u.failure = Unknown, message(o.err)
		r.note(u)
	case !r.tryAgain(u, o.err):
		r.fail(u, message(o.err))
	}
}

func cutText(safe bool) string {
	if safe {
		return "cancelled while the tool was called"
	}
	return "OUTCOME_UNKNOWN: cancelled while the tool was called"
}

// uncertain reports whether the tool may have done what it was asked.
func uncertain(err error) bool {
	var e *services.Error
	return errors.As(err, &e) && e.Code == services.CodeOutcomeUnknown
}

// final reports whether another attempt would fail in the same way.
func final(err error) bool {
	switch services.KindOf(err) {
	case services.Invalid, services.NotFound, services.Conflict, services.Forbidden, services.Insufficient:
		return !errors.Is(err, errTool)
	}
	return false
}
