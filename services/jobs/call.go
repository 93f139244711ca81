package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/jobs/workflow"
	"uaol/services/proxy"
)

// outcome is what came of a call.
type outcome struct {
	unit   *unit
	result json.RawMessage
	child  uuid.UUID // the job that is to be waited for
	err    error
	cut    bool // by us: whether it was done is not known
	took   time.Duration
}

// errTool is a tool's own word that it has failed.
var errTool = errors.New("the tool says")

// prepare fills a unit's arguments in; false when that can't be done, and it has
// failed.
func (r *run) prepare(u *unit) bool {
	step := &r.workflow.Steps[u.position]
	switch step.Kind {
	case workflow.LLM:
		return r.prepareModel(u)
	case workflow.Child:
		return r.prepareChild(u)
	}
	if constant, ok := step.Tool.Parameters.Constant(); ok {
		u.call = constant
	} else {
		filled, err := step.Tool.Parameters.Fill(r.scopeOf(u))
		if err != nil {
			r.fail(u, message(err))
			return false
		}
		u.call = filled
	}
	if step.IdempotencyKey != nil {
		key, err := step.IdempotencyKey.Text(r.scopeOf(u))
		if err != nil {
			r.fail(u, "idempotency_key: "+message(err))
			return false
		}
		u.key = key
	}
	if step.ApprovedBy >= 0 {
		if err := r.approved(u); err != nil {
			r.fail(u, message(err))
			return false
		}
	}
	return true
}

// scopeOf adds the item, for a unit of for_each.
func (r *run) scopeOf(u *unit) (s workflow.Scope) {
	s = r.scope()
	if u.item != whole {
		s.Item, s.Index = u.value, strconv.AppendInt(nil, int64(u.item), 10)
	}
	return s
}

// safe reports whether a unit's call may be made again when nobody knows whether
// it was made.
func (r *run) safe(u *unit) bool {
	return r.plan[u.position].Safe || r.workflow.Steps[u.position].Kind != workflow.Tool
}

// pauses between attempts at a call that certainly did not reach its tool.
var pauses = []time.Duration{200 * time.Millisecond, time.Second}

// execute makes a unit's call.
func (r *run) execute(ctx context.Context, u *unit) (o outcome) {
	begun := time.Now()
	if r.safe(u) {
		u.late = r.noteLater(u)
	}
	o.unit = u
	ctx, done := r.engine.sight.attempt(ctx, &r.workflow.Steps[u.position], u)
	if err := guarded(func() (err error) {
		if r.workflow.Steps[u.position].Kind == workflow.Child {
			o.result, o.child, err = r.runChild(ctx, u)
		} else {
			o.result, err = r.call(ctx, u)
		}
		return err
	}); err != nil {
		o.err, o.result = err, nil
		o.cut = ctx.Err() != nil
	}
	done(o.err)
	o.took = time.Since(begun)
	return o
}

func (r *run) call(ctx context.Context, u *unit) (json.RawMessage, error) {
	step, frozen := &r.workflow.Steps[u.position], r.plan[u.position]
	if step.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, step.Timeout)
		defer cancel()
	}
	if step.Kind == workflow.LLM {
		return r.askModel(ctx, u)
	}
	in := proxy.CallRequest{
		Caller: r.caller, ToolID: step.Tool.ToolID, Version: frozen.Version, Method: step.Tool.Action, Params: u.call,
		Operation: r.operation(u), Key: u.key, Prepaid: &r.job.ID,
	}
	for attempt := 0; ; attempt++ {
		result, err := r.engine.invoker.Call(ctx, in)
		switch {
		case err == nil && result.Failed:
			return nil, toolError(result.Result)
		case err == nil && !utf8.Valid(result.Result):
			return nil, services.Errorf(services.Upstream, "the tool's result is not UTF-8")
		case err == nil:
			return result.Result, nil
		case !services.Is(err, services.Unavailable) || attempt == len(pauses) || r.refused(u, err):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pauses[attempt]/2 + rand.N(pauses[attempt])):
		}
	}
}

func isTool(err error) bool { return errors.Is(err, errTool) }

// toolError is a tool's answer that it has failed; kind Conflict, because another
// call may end in another way but not for our sake.
func toolError(result json.RawMessage) error {
	return services.Errorf(services.Conflict, "the tool says: %s", errorText(result)).Because(errTool)
}

// lateNote shows a call that goes on for a while as Running. Its row says nothing
// that a later worker needs: its call may be repeated.
type lateNote struct {
	timer *time.Timer
	done  sync.WaitGroup
}

const lateAfter = 500 * time.Millisecond

func (r *run) noteLater(u *unit) *lateNote {
	n := &lateNote{}
	s := stepChange{Position: u.position, Item: u.item, Status: Running, Attempt: u.attempt}
	if u.failed > 0 {
		s.Detail = &u.detail
	}
	n.done.Add(1)
	n.timer = time.AfterFunc(lateAfter, func() {
		defer n.done.Done()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Took = lateAfter
		_, _, _ = r.engine.repository.changes.Do(ctx, change{Job: r.job.ID, Fence: r.job.Fence, Seq: r.seq.Add(1), Steps: []stepChange{s}})
		r.engine.repository.hub.tell(r.job.ID)
	})
	return n
}

// end waits until the note is written if it is being written.
func (n *lateNote) end() {
	if n.timer.Stop() {
		return
	}
	n.done.Wait()
}

// patiently repeats f while a part of ours can't be reached. Each try is bounded by
// the batch that it is in; a deadline of its own for each of thousands of jobs costs a
// tenth of all they do.
func patiently(f func(context.Context) error) error {
	until := time.Now().Add(patience)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := f(context.Background())
		if !services.Is(err, services.Unavailable) || time.Now().After(until) {
			return err
		}
		time.Sleep(pause/2 + rand.N(pause/2))
	}
}

// guarded makes an error of a panic, so that one job can't end the process.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

func stepFailure(step, failure string) string {
	return fmt.Sprintf("Step %s failed: %s", step, failure)
}

// message is what the job's owner may read of an error: its code, when it has
// one of its own, and its words, without causes.
func message(err error) string {
	var e *services.Error
	if !errors.As(err, &e) || e.Message == "" {
		return "an internal error occurred"
	}
	if e.Code != "" {
		return e.Code + ": " + e.Message
	}
	return e.Message
}

// errorText is the first text of a result that says isError.
func errorText(result json.RawMessage) string {
	var said struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	const most = 500
	if json.Unmarshal(result, &said) == nil {
		for _, c := range said.Content {
			if c.Text != "" {
				if runes := []rune(c.Text); len(runes) > most {
					return string(runes[:most]) + "…"
				}
				return c.Text
			}
		}
	}
	return "isError"
}
