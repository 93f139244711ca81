package jobs

import (
	"context"
	"encoding/json"
	"time"

	"uaol/services"
	"uaol/services/jobs/workflow"
	"uaol/services/proxy"
)

// resume takes up what workers before this one have brought the job to.
func (r *run) resume(ctx context.Context) error {
	rows, err := r.engine.repository.steps(ctx, r.job.ID)
	if err != nil {
		return err
	}
	items := make(map[int][]stepRow)
	for _, row := range rows {
		if row.Seq > r.seq.Load() {
			r.seq.Store(row.Seq)
		}
		switch {
		case row.Position >= len(r.units):
		case row.Item == whole:
			r.restore(&r.units[row.Position], row)
		default:
			items[row.Position] = append(items[row.Position], row)
		}
	}
	for i := range r.units {
		r.takeUp(&r.units[i])
	}
	for i := range r.units {
		if rows := items[i]; len(rows) > 0 {
			r.restoreItems(ctx, &r.units[i], rows)
		}
	}
	if err := r.decide(ctx); err != nil {
		return err
	}
	return r.recover(ctx)
}

func (r *run) restore(u *unit, row stepRow) {
	u.status, u.attempt, u.result = row.Status, row.Attempt, rawOf(row.Result)
	r.size += len(u.result)
	if row.Error != nil {
		u.failure = *row.Error
	}
	if row.Detail != nil {
		u.detail = *row.Detail
		u.failed = pauseOf(u.detail).Failed
	}
}

// takeUp lets a step count as what it has come to.
func (r *run) takeUp(u *unit) {
	step := &r.workflow.Steps[u.position]
	switch {
	case u.status == Success, u.status == Skipped, u.status == Failed && step.OnError == workflow.Continue:
		r.settle(u)
	case u.status == Failed:
		if r.failure == "" {
			r.failure = stepFailure(step.ID, u.failure)
		}
	case u.status == Retrying, u.status == Waiting:
		r.waitAgain(u)
	}
}

// waitAgain lets a unit wait for what it was waiting for; one that waits for
// somebody alone has no moment.
func (r *run) waitAgain(u *unit) {
	var q question
	if json.Unmarshal([]byte(u.detail), &q) == nil && q.Child != nil {
		u.child = *q.Child
	}
	u.refused = pauseOf(u.detail).Since
	until, err := momentOf(u.detail)
	if err == nil {
		u.wake = until
		r.timed = append(r.timed, u)
	}
}

// momentOf reads until when something waits, as it is stored: a time, or a
// question that has one.
func momentOf(detail string) (time.Time, error) {
	var q question
	if json.Unmarshal([]byte(detail), &q) == nil && !q.ExpiresAt.IsZero() {
		return q.ExpiresAt, nil
	}
	return time.Parse(time.RFC3339Nano, detail)
}

// restoreItems takes up the items of a for_each step. Their list is made anew of
// what the steps before it came to, if it is still needed. Where the job ends they
// are only what is to be paid and what is to be stopped.
func (r *run) restoreItems(ctx context.Context, u *unit, rows []stepRow) {
	closing := r.closing()
	if u.ended() || closing {
		u.items = make([]unit, rows[len(rows)-1].Item+1)
	} else {
		u.status = Pending
		r.spread(ctx, u)
	}
	for _, row := range rows {
		if row.Item >= len(u.items) {
			continue
		}
		item := &u.items[row.Item]
		item.position, item.item = u.position, row.Item
		r.restore(item, row)
		switch {
		case u.ended():
		case item.status == Retrying, item.status == Waiting:
			r.waitAgain(item)
		case closing:
		case item.status == Success, item.status == Failed && r.workflow.Steps[u.position].OnError == workflow.Continue:
			r.settle(item)
		case item.status == Failed:
			r.fail(item, item.failure)
		}
	}
}

// recover looks at calls that a worker before us began and did not end: they may
// have reached their tool. Those that may be made again begin anew; somebody has
// to decide about the others.
func (r *run) recover(ctx context.Context) error {
	for i := range r.units {
		if err := r.recoverOne(ctx, &r.units[i]); err != nil {
			return err
		}
		for j := range r.units[i].items {
			if err := r.recoverOne(ctx, &r.units[i].items[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) recoverOne(ctx context.Context, u *unit) error {
	if u.status != Running || u.items != nil {
		return nil
	}
	again, err := r.repeatable(ctx, u)
	if err != nil {
		return err
	}
	if !again {
		u.status, u.failure = Unknown, outcomeUnknown
		r.note(u)
		return nil
	}
	u.status = Pending // load finds it
	return nil
}

const outcomeUnknown = "OUTCOME_UNKNOWN: the worker died while the tool was called, and the method does not say that calling it twice is harmless"

// repeatable asks what a call that may have been made is. Nobody asks once it is
// not going to be made again anyway.
func (r *run) repeatable(ctx context.Context, u *unit) (bool, error) {
	step := &r.workflow.Steps[u.position]
	if r.closing() || step.Kind != workflow.Tool {
		return step.Kind != workflow.Tool, nil
	}
	if r.safe(u) {
		return true, nil
	}
	methods, err := r.engine.invoker.Methods(ctx, proxy.MethodsRequest{Caller: r.caller, ToolID: step.Tool.ToolID})
	if services.Is(err, services.Unavailable) && r.job.Fence < maxClaims {
		return false, err // who can't be asked now may be asked later
	}
	return err == nil && proxy.Repeatable(methods, step.Tool.Action), ctx.Err()
}
