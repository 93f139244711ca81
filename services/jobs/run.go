package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/services"
	"uaol/services/jobs/workflow"
)

// run is one worker's work on one job, under one lease. One goroutine decides
// and writes; calls have goroutines of their own when several go on.
type run struct {
	engine *Engine
	job    *claimed
	caller services.Caller
	log    *zap.Logger

	cancelled, stopping, expired, lost atomic.Bool
	changed                            chan struct{} // one of the above, or pokes
	pokes                              atomic.Int64  // the last ones that came
	cut                                atomic.Pointer[context.CancelFunc]
	base                               context.Context // of what is not cut with the calls

	workflow *workflow.Definition
	plan     plan
	units    []unit  // by position
	ready    []int   // positions whose turn has come
	timed    []*unit // that wait for a moment
	fans     []*unit // steps of for_each that have items to begin
	amends   []int   // compensation steps to run
	going    int     // calls in flight
	halted   bool    // a call was cut because the process stops
	outcomes chan outcome
	seq      atomic.Int64
	seen     int64 // pokes that were looked at
	size     int   // of the results, in bytes
	failure  string
	broken   error // a part of ours can't be reached: the job is taken up again later
	unsaved  []stepChange
}

const (
	maxResults = 32 << 20        // bytes of all results of a job, which are read together
	maxParted  = 16              // calls at once in one job, those of for_each aside
	maxClaims  = 30              // after which nobody waits any more for a tool that can't be asked
	inMemory   = 2 * time.Second // a wait as short as that keeps its worker

	// How long a run goes on trying while the database or billing is away.
	patience = 10 * time.Second
)

var (
	errLost    = errors.New("the lease was lost")
	errStopped = errors.New("the process stops")
)

func newRun(e *Engine, job *claimed) *run {
	r := &run{
		engine: e, job: job, log: e.log, changed: make(chan struct{}, 1),
		caller: services.Caller{Account: job.Account, Organization: job.Organization, Role: services.RoleUser},
	}
	if job.Key != nil {
		r.caller.Key = *job.Key
	}
	r.seq.Store(job.Seq)
	r.cancelled.Store(job.Cancel)
	return r
}

// signal brings what came from outside.
func (r *run) signal(h held) {
	if r.pokes.Swap(h.Pokes) < h.Pokes {
		r.notify()
	}
	if h.Cancel && !r.cancelled.Swap(true) {
		r.interrupt()
	}
}

func (r *run) stop() { r.stopping.Store(true); r.notify() }

func (r *run) lose() {
	if !r.lost.Swap(true) {
		r.interrupt()
	}
}

func (r *run) expire() { r.expired.Store(true); r.interrupt() }

// interrupt cuts the calls in flight.
func (r *run) interrupt() {
	if cut := r.cut.Load(); cut != nil {
		(*cut)()
	}
	r.notify()
}

func (r *run) notify() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// work brings the job to its end or to where it waits, unless the lease is lost,
// the process stops or the database is away: then somebody goes on later.
func (r *run) work(ctx context.Context) {
	r.base = ctx
	calls, cut := context.WithCancel(ctx)
	defer cut()
	r.cut.Store(&cut)
	if r.lost.Load() || r.cancelled.Load() {
		cut()
	}
	if r.job.Deadline != nil {
		defer time.AfterFunc(time.Until(*r.job.Deadline), r.expire).Stop()
	}
	err := guarded(func() error { return r.toTheEnd(calls) })
	switch {
	case err == nil:
	case errors.Is(err, errLost) || r.lost.Load():
		r.log.Warn("another worker has the job now", zap.Stringer("job", r.job.ID))
	case errors.Is(err, errStopped) || ctx.Err() != nil:
		r.leave(nil)
	default:
		r.log.Error("the job waits for another try", zap.Stringer("job", r.job.ID), zap.Error(err))
		later := time.Now().Add(pauseAfterError)
		r.leave(&later)
	}
}

const pauseAfterError = 5 * time.Second

// leave hands the job back. When that fails the worker's next look at what it
// holds does it.
func (r *run) leave(wake *time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c := change{Job: r.job.ID, Fence: r.job.Fence, Seq: r.seq.Load(), Leaves: true, Wake: wake, Status: Running, Pokes: r.seen}
	if _, _, err := r.engine.repository.changes.Do(ctx, c); err != nil {
		r.log.Warn("the job could not be handed back yet", zap.Stringer("job", r.job.ID), zap.Error(err))
	}
}

func (r *run) toTheEnd(ctx context.Context) error {
	if err := r.load(r.base); err != nil {
		return err
	}
	for {
		begin, err := r.advance(ctx)
		if err != nil {
			return err
		}
		if len(begin) == 0 && r.going == 0 {
			done, err := r.rest(ctx)
			if done || err != nil {
				return err
			}
			continue
		}
		if err := r.save(begin); err != nil {
			return err
		}
		if r.going == 0 && len(begin) == 1 {
			r.take(r.execute(ctx, begin[0]))
			continue
		}
		r.launch(ctx, begin)
		r.await(nil)
	}
}

// launch makes calls side by side.
func (r *run) launch(ctx context.Context, begin []*unit) {
	if r.outcomes == nil {
		r.outcomes = make(chan outcome, maxParted)
	}
	for _, u := range begin {
		r.going++
		go func() { r.outcomes <- r.execute(ctx, u) }()
	}
}

// await waits until something happens, or until the timer, and takes all that
// has happened by then.
func (r *run) await(timer <-chan time.Time) {
	select {
	case o := <-r.outcomes:
		r.going--
		r.take(o)
	case <-r.changed:
	case <-timer:
	}
	for {
		select {
		case o := <-r.outcomes:
			r.going--
			r.take(o)
		default:
			return
		}
	}
}

// closing reports whether nothing more shall begin.
func (r *run) closing() bool {
	return r.failure != "" || r.cancelled.Load() || r.expired.Load()
}

// load reads what the job is, and what earlier workers have brought it to.
func (r *run) load(ctx context.Context) (err error) {
	if r.workflow, err = r.engine.repository.definitions.of(r.job.Definition); err != nil { // it was good when the job was made
		r.failure = "the workflow cannot be read any more: " + err.Error()
		return nil
	}
	if r.plan, err = r.engine.repository.definitions.planOf(r.job.Plan); err != nil || len(r.plan) != len(r.workflow.Steps) {
		r.failure = "the workflow has other steps than when it was made"
		return nil
	}
	r.units = make([]unit, len(r.workflow.Steps))
	for i := range r.units {
		r.units[i] = unit{position: i, item: whole, status: Pending, waits: len(r.workflow.Steps[i].Needs)}
	}
	if r.job.Fence > 1 {
		if err := r.resume(ctx); err != nil {
			return err
		}
	}
	r.ready, r.amends = nil, nil
	for i := range r.units {
		u, step := &r.units[i], &r.workflow.Steps[i]
		switch {
		case u.status == Pending && u.waits == 0 && !step.Compensation:
			r.ready = append(r.ready, i)
		case u.status == Failed && step.OnError == workflow.Compensate && r.units[step.Compensate].status == Pending:
			r.amends = append(r.amends, step.Compensate)
		}
	}
	return nil
}

// save writes what is not written yet, and that calls are about to leave of
// which nobody could tell afterwards whether they did.
func (r *run) save(begin []*unit) error {
	for _, u := range begin {
		if !r.safe(u) {
			r.note(u)
		}
	}
	if len(r.unsaved) == 0 {
		return nil
	}
	return r.write(change{})
}

// write writes a change with all that is not written yet; errLost when the lease
// is. What is in hand is stored though the calls are cut.
func (r *run) write(c change) error {
	c.Job, c.Fence, c.Seq, c.Steps, c.Org = r.job.ID, r.job.Fence, r.seq.Add(1), r.unsaved, r.job.Organization
	err := patiently(func(ctx context.Context) error {
		failed, held, err := r.engine.repository.changes.Do(ctx, c)
		switch {
		case err != nil:
			return err
		case !held:
			return errLost
		}
		return failed
	})
	if err == nil {
		r.unsaved = nil
		r.engine.repository.hub.tell(r.job.ID)
	}
	return err
}

// note puts a unit's state among what is to be written.
func (r *run) note(u *unit) {
	s := stepChange{Position: u.position, Item: u.item, Status: u.status, Attempt: u.attempt, Took: u.took, Result: storedText(u.result)}
	if u.failure != "" {
		text := plain(u.failure)
		s.Error = &text
	}
	if u.detail != "" {
		s.Detail = &u.detail
	}
	if r.asks(u) {
		s.Asks = r.job.Organization
	}
	if r.engine.repository.outward {
		s.Tells, s.Step = tells(s), r.workflow.Steps[u.position].ID
	}
	for i := range r.unsaved {
		if r.unsaved[i].Position == s.Position && r.unsaved[i].Item == s.Item {
			r.unsaved[i] = s
			return
		}
	}
	r.unsaved = append(r.unsaved, s)
}

// tells is the type of the event that tells others of a step's new state; "" where
// it is between two that matter.
func tells(s stepChange) string {
	switch {
	case s.Status == Success:
		return "step.succeeded"
	case s.Status == Failed:
		return "step.failed"
	case s.Asks != uuid.Nil:
		return "step.waiting"
	}
	return ""
}

// scope is what a step's references and conditions see.
func (r *run) scope() workflow.Scope {
	return workflow.Scope{Input: rawOf(r.job.Input), Results: func(step int) workflow.Result {
		u := &r.units[step]
		result := u.outcome()
		if result == nil && u.ended() {
			result = json.RawMessage("null") // it has none, and what depends on it goes on
		}
		return workflow.Result{Status: string(u.status), Result: result, Error: u.failure}
	}}
}

func (r *run) path(u *unit) string {
	id := r.workflow.Steps[u.position].ID
	if u.item == whole {
		return id
	}
	return fmt.Sprintf("%s/%d", id, u.item)
}

// operation names a step's charge and its call: the same for all attempts.
func (r *run) operation(u *unit) string { return r.job.ID.String() + "/" + r.path(u) }
