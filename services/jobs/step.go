package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"uaol/services"
	"uaol/services/billing"
	"uaol/services/proxy"
)

// step makes one step's call and stores what came of it.
func (r *run) step(ctx context.Context, s Step, results map[string]json.RawMessage) outcome {
	params, err := fill(s.Parameters, results)
	if err != nil {
		return r.failed(ctx, s.ID, err.Error())
	}
	ok, err := r.engine.repository.beginStep(ctx, r.job, s.ID)
	if err != nil || !ok {
		return outcome{step: s.ID, err: lostUnless(ok, err)}
	}
	result, err := r.call(ctx, s, params)
	if err != nil && ctx.Err() != nil {
		return outcome{step: s.ID, err: err} // cut by us: whether it was done is found out later
	}
	if err != nil {
		return r.failed(ctx, s.ID, message(err))
	}
	if result.Failed {
		return r.failed(ctx, s.ID, "the tool says: "+errorText(result.Result))
	}
	if reason := unstorable(result.Result); reason != "" {
		return r.failed(ctx, s.ID, "the tool's result "+reason)
	}
	if r.size.Add(int64(len(result.Result))) > maxResults {
		return r.failed(ctx, s.ID, fmt.Sprintf("the job's results are more than %d bytes together", maxResults))
	}
	err = r.end(ctx, s.ID, Success, result.Result, "")
	if services.Is(err, services.Invalid) { // JSON that the database does not take all the same
		return r.failed(ctx, s.ID, "the tool's result cannot be stored: "+message(err))
	}
	return outcome{step: s.ID, result: result.Result, err: err}
}

func (r *run) failed(ctx context.Context, step, failure string) outcome {
	return outcome{step: step, failure: failure, err: r.end(ctx, step, Failed, nil, failure)}
}

// pauses between attempts at a call that certainly did not reach its tool.
var pauses = []time.Duration{200 * time.Millisecond, time.Second}

func (r *run) call(ctx context.Context, s Step, params json.RawMessage) (proxy.CallResult, error) {
	frozen := r.states[s.ID] // what was priced, whatever the definition says
	in := proxy.CallRequest{
		Caller: r.caller, ToolID: frozen.ToolID, Version: frozen.Version, Method: frozen.Action, Params: params,
		Operation: r.operation(s.ID), Prepaid: &r.job.ID,
	}
	for attempt := 0; ; attempt++ {
		result, err := r.engine.invoker.Call(ctx, in)
		if err == nil || !services.Is(err, services.Unavailable) && !services.Is(err, services.Limited) || attempt == len(pauses) {
			return result, err
		}
		select {
		case <-ctx.Done():
			return result, err
		case <-time.After(pauses[attempt]/2 + rand.N(pauses[attempt])):
		}
	}
}

// operation names a step's charge and its call: the same for all attempts.
func (r *run) operation(step string) string { return r.job.ID.String() + "/" + step }

// end stores what came of a step. What is known is stored although the run was
// cut, and tried again while the database is away: a call can't be.
func (r *run) end(ctx context.Context, step string, status Status, result json.RawMessage, failure string) error {
	return patiently(context.WithoutCancel(ctx), storeIn, func(ctx context.Context) error {
		stored, happened, err := r.engine.repository.endStep(ctx, r.job, step, status, result, failure)
		if err != nil || !stored {
			return lostUnless(stored, err)
		}
		r.engine.bus.Publish(happened)
		return nil
	})
}

// finish pays for the steps that succeeded, gives the rest back and ends the
// job, in this order: each part may be repeated, so a crash between them is
// made good by the next worker, and whoever sees the end sees its price.
func (r *run) finish(ctx context.Context, status Status, failure string) error {
	return patiently(ctx, finishIn, func(ctx context.Context) error {
		if r.job.Cost > 0 {
			if err := r.pay(ctx); err != nil {
				return err
			}
		}
		stored, happened, err := r.engine.repository.end(ctx, r.job, status, failure)
		if err != nil || !stored {
			return lostUnless(stored, err)
		}
		r.engine.bus.Publish(happened)
		return nil
	})
}

// patiently repeats f while a part of ours can't be reached.
func patiently(ctx context.Context, within time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := f(ctx)
		if !services.Is(err, services.Unavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
	}
}

func (r *run) pay(ctx context.Context) error {
	var charges []billing.Charge
	for id := range r.results {
		if step := r.states[id]; step.Price > 0 {
			charges = append(charges, billing.Charge{Operation: r.operation(id), Amount: step.Price, Tool: step.ToolID,
				Facts: billing.Facts{Version: step.Version, Method: step.Action, Step: id}})
		}
	}
	if len(charges) > 0 {
		if _, err := r.engine.meter.Settle(ctx, billing.SettleRequest{HoldID: r.job.ID, Charges: charges}); err != nil {
			return fmt.Errorf("settling: %w", err)
		}
	}
	if _, err := r.engine.meter.Release(ctx, billing.ReleaseRequest{HoldID: r.job.ID}); err != nil {
		return fmt.Errorf("releasing: %w", err)
	}
	return nil
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

func lostUnless(ok bool, err error) error {
	if err == nil && !ok {
		return errLost
	}
	return err
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
