package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"uaol/services"
	"uaol/services/proxy"
)

// run is one worker's work on one job, under one lease.
type run struct {
	engine *Engine
	job    claimed
	caller services.Caller
	log    *zap.Logger

	cancelled atomic.Bool
	stopping  atomic.Bool
	changed   chan struct{} // one of the above
	lost      chan struct{} // closed when the lease is gone
	lostOnce  atomic.Bool

	states  map[string]*StepState
	results map[string]json.RawMessage
	size    atomic.Int64 // of the results, in bytes
}

const (
	maxResults = 32 << 20 // bytes of all results of a job, which are read together
	maxClaims  = 30       // after which nobody waits any more for a tool that can't be asked

	// How long a run goes on trying while the database or billing is away.
	storeIn  = 5 * time.Second
	finishIn = 10 * time.Second
)

var (
	errLost    = errors.New("the lease was lost")
	errStopped = errors.New("the process stops")
)

func newRun(e *Engine, job claimed) *run {
	r := &run{
		engine: e, job: job,
		caller:  services.Caller{Account: job.Account, Organization: job.Organization, Role: services.RoleUser},
		log:     e.log.With(zap.Stringer("job", job.ID)),
		changed: make(chan struct{}, 1), lost: make(chan struct{}),
		states: map[string]*StepState{}, results: map[string]json.RawMessage{},
	}
	r.cancelled.Store(job.CancelRequested)
	return r
}

func (r *run) cancel() { r.cancelled.Store(true); r.notify() }
func (r *run) stop()   { r.stopping.Store(true); r.notify() }
func (r *run) lose() {
	if r.lostOnce.CompareAndSwap(false, true) {
		close(r.lost)
	}
}

func (r *run) notify() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// work brings the job to its end, unless the lease is lost, the process stops
// or the database is away: then somebody goes on after the lease.
func (r *run) work(ctx context.Context) {
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	go func() {
		select {
		case <-r.lost:
			cut()
		case <-ctx.Done():
		}
	}()
	err := guarded(func() error { return r.toTheEnd(ctx) })
	switch {
	case err == nil:
	case errors.Is(err, errLost) || r.lostOnce.Load():
		r.log.Warn("another worker has the job now")
	case errors.Is(err, errStopped) || ctx.Err() != nil:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := r.engine.repository.handBack(ctx, r.job); err != nil {
			r.log.Warn("the job could not be handed back; its lease will end", zap.Error(err))
		}
	default:
		r.log.Error("the job waits for its lease to end", zap.Error(err))
	}
}

func (r *run) toTheEnd(ctx context.Context) error {
	workflow, err := parse(r.job.Definition)
	if err != nil { // it was good when the job was made
		return r.finish(ctx, Failed, "the workflow cannot be read any more: "+err.Error())
	}
	steps, err := r.engine.repository.steps(ctx, r.job.ID)
	if err != nil {
		return err
	}
	for i := range steps {
		r.states[steps[i].ID] = &steps[i]
		if steps[i].Status == Success {
			r.results[steps[i].ID] = steps[i].Result
			r.size.Add(int64(len(steps[i].Result)))
		}
	}
	for _, s := range workflow.Steps {
		if r.states[s.ID] == nil {
			return r.finish(ctx, Failed, fmt.Sprintf("the workflow has a step %s that was not there when it was made", s.ID))
		}
	}
	failure, err := r.recover(ctx, steps)
	if err != nil {
		return err
	}
	if failure == "" {
		if failure, err = r.steps(ctx, workflow); err != nil {
			return err
		}
	}
	switch {
	case failure != "":
		return r.finish(ctx, Failed, failure)
	case r.cancelled.Load() && len(r.results) < len(workflow.Steps):
		return r.finish(ctx, Cancelled, "")
	}
	return r.finish(ctx, Success, "")
}

// recover looks at steps that a worker before us began and did not end: they
// may have reached their tool. Those that may be repeated begin anew.
func (r *run) recover(ctx context.Context, steps []StepState) (failure string, err error) {
	for _, s := range steps {
		if s.Status == Failed && failure == "" {
			failure = stepFailure(s.ID, *s.Error)
		}
	}
	for _, s := range steps {
		if s.Status != Running {
			continue
		}
		repeatable := false
		if failure == "" && !r.cancelled.Load() { // else it won't be called again anyway
			methods, err := r.engine.invoker.Methods(ctx, proxy.MethodsRequest{Caller: r.caller, ToolID: s.ToolID})
			if ctx.Err() != nil || services.Is(err, services.Unavailable) && r.job.Fence < maxClaims {
				return "", err // who can't be asked now may be asked after the lease
			}
			repeatable = err == nil && proxy.Repeatable(methods, s.Action)
		}
		if repeatable {
			ok, err := r.engine.repository.resetStep(ctx, r.job, s.ID)
			if err != nil || !ok {
				return "", lostUnless(ok, err)
			}
			r.states[s.ID].Status = Pending
			continue
		}
		const unknown = "OUTCOME_UNKNOWN: the worker died while the tool was called, and the method does not say that calling it twice is harmless"
		if err := r.end(ctx, s.ID, Failed, nil, unknown); err != nil {
			return "", err
		}
		if failure == "" && !r.cancelled.Load() {
			failure = stepFailure(s.ID, unknown)
		}
	}
	return failure, nil
}

type outcome struct {
	step    string
	result  json.RawMessage
	failure string
	err     error // nothing was stored
}

// steps runs what is ready, side by side, until all has been done, a step has
// failed, or nothing more shall begin.
func (r *run) steps(ctx context.Context, w Workflow) (failure string, err error) {
	outcomes := make(chan outcome)
	going := 0
	for {
		if failure == "" && err == nil && !r.stopping.Load() && !r.cancelled.Load() {
			for _, s := range r.ready(w, maxParted-going) {
				r.states[s.ID].Status = Running
				going++
				results := r.needed(s)
				go func() {
					o := outcome{step: s.ID}
					if err := guarded(func() error { o = r.step(ctx, s, results); return nil }); err != nil {
						o.err = err
					}
					outcomes <- o
				}()
			}
		}
		if going == 0 {
			break
		}
		select {
		case o := <-outcomes:
			going--
			switch {
			case o.err != nil:
				if err = o.err; errors.Is(err, errLost) {
					r.lose() // the calls still in flight are somebody else's now
				}
			case o.failure != "":
				if failure == "" {
					failure = stepFailure(o.step, o.failure)
				}
			default:
				r.states[o.step].Status = Success
				r.results[o.step] = o.result
			}
		case <-r.changed:
		}
	}
	if err == nil && failure == "" && r.stopping.Load() && !r.cancelled.Load() && len(r.results) < len(w.Steps) {
		err = errStopped
	}
	return failure, err
}

// ready lists steps whose turn has come, at most so many.
func (r *run) ready(w Workflow, most int) []Step {
	var ready []Step
	for _, s := range w.Steps {
		if len(ready) >= most {
			break
		}
		if r.states[s.ID].Status != Pending {
			continue
		}
		waits := false
		for _, need := range s.Needs {
			if _, done := r.results[need]; !done {
				waits = true
				break
			}
		}
		if !waits {
			ready = append(ready, s)
		}
	}
	return ready
}

func (r *run) needed(s Step) map[string]json.RawMessage {
	results := make(map[string]json.RawMessage, len(s.Needs))
	for _, need := range s.Needs {
		results[need] = r.results[need]
	}
	return results
}
