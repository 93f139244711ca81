package workflow

import (
	"encoding/json"
	"math"
	"time"

	"uaol/services"
)

const maxTimeout = 24 * time.Hour // of one attempt, and of a pause between two

// control reads what every kind of step may have.
func (r *stepReader) control() {
	if when, ok := r.text("when"); ok {
		r.s.When = r.condition(when)
	}
	r.forEach()
	r.retry()
	r.s.Timeout = r.duration("timeout", 0, time.Millisecond, maxTimeout)
	r.onError()
}

const (
	maxItems, usualItems       = 10_000, 1_000
	maxParallel, usualParallel = 100, 10
)

func (r *stepReader) forEach() {
	if !r.items {
		return
	}
	members, ok := r.object.object("for_each")
	if !ok {
		return
	}
	o := object{p: r.p, at: r.path("for_each"), members: members}
	o.misspelt(ofForEach)
	f := &ForEach{
		Limit:    int(o.whole("limit", usualItems, 1, maxItems)),
		Parallel: int(o.whole("parallel", usualParallel, 1, maxParallel)),
	}
	switch items := members["items"].(type) {
	case []any:
		if len(items) > f.Limit {
			o.fault("items", "has more than %d items, the limit", f.Limit)
		}
		f.Items = r.template("for_each.items", items, false)
	case string:
		if f.Items = r.template("for_each.items", items, false); f.Items.isReference() {
			break
		}
		o.fault("items", "must be a list or exactly one reference")
	default:
		o.fault("items", "must be a list or exactly one reference")
	}
	r.s.ForEach = f
}

// List is what the step runs for. It is an Invalid error when that is no list,
// or one that is too long.
func (f *ForEach) List(scope Scope) ([]json.RawMessage, error) {
	filled, err := f.Items.Fill(scope)
	if err != nil {
		return nil, err
	}
	var items []json.RawMessage
	if filled[0] != '[' || json.Unmarshal(filled, &items) != nil {
		return nil, services.Errorf(services.Invalid, "the items of for_each are not a list")
	}
	if len(items) > f.Limit {
		return nil, services.Errorf(services.Invalid, "for_each has %d items, and its limit is %d", len(items), f.Limit)
	}
	return items, nil
}

// Known is for how many items the step runs, where the definition and the input tell.
func (f *ForEach) Known(input json.RawMessage) (n int, ok bool) {
	if list, ok := f.Items.value.([]any); ok {
		return len(list), true
	}
	if !f.Items.isReference() || f.Items.holes[0].from != theInput {
		return 0, false
	}
	list, err := f.List(Scope{Input: input})
	return len(list), err == nil
}

const maxAttempts, maxFactor = 20, 10

func (r *stepReader) retry() {
	members, _ := r.object.object("retry")
	o := object{p: r.p, at: r.path("retry"), members: members}
	o.misspelt(ofRetry)
	r.s.Retry = Retry{
		Attempts: int(o.whole("attempts", 1, 1, maxAttempts)),
		Backoff:  o.duration("backoff", time.Second, time.Millisecond, time.Hour),
		Factor:   o.number("factor", 2, 1, maxFactor),
		Jitter:   o.number("jitter", 0.2, 0, 1),
	}
	r.s.Retry.Maximum = o.duration("maximum", max(time.Minute, r.s.Retry.Backoff), time.Millisecond, maxTimeout)
	if r.s.Retry.Maximum < r.s.Retry.Backoff {
		o.fault("maximum", "must not be less than backoff")
	}
}

// Retry says how often a step is tried, and what lies between two tries.
type Retry struct {
	Attempts         int // all together
	Backoff, Maximum time.Duration
	Factor           float64 // by which each pause is longer than the one before
	Jitter           float64 // part of a pause that chance decides
}

// Pause is the time between the attempt that has just failed, counted from 1,
// and the next. It is never longer than Maximum; random is in [0,1).
func (r Retry) Pause(attempt int, random float64) time.Duration {
	pause := float64(r.Backoff) * math.Pow(r.Factor, float64(max(attempt, 1)-1))
	pause = min(pause, float64(r.Maximum)) // also of +Inf
	return time.Duration(pause * (1 - r.Jitter*random))
}

func (r *stepReader) onError() {
	r.s.OnError = Fail
	switch handling := r.members["on_error"].(type) {
	case nil:
		return
	case string:
		if r.s.OnError = OnError(handling); r.s.OnError == Fail || r.s.OnError == Continue {
			return
		}
	case map[string]any:
		o := object{p: r.p, at: r.path("on_error"), members: handling}
		o.misspelt(ofOnError)
		if !o.has("compensate") {
			break
		}
		r.s.OnError = Compensate
		const name = "on_error.compensate"
		switch i, ok := r.named(name, handling["compensate"]); {
		case !ok:
		case i == r.i:
			r.fault(name, "a step cannot compensate itself")
		case r.s.Compensation:
			r.fault(name, "a compensation step cannot have a compensation")
		}
		return
	}
	r.fault("on_error", `must be "fail", "continue" or {"compensate": a step's id}`)
}
