package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"uaol/services"
)

// Condition decides whether a step runs.
type Condition struct {
	program cel.Program
	steps   map[string]int // that it reads
	perItem bool
}

// PerItem reports whether the condition reads item or index, and so has to be
// asked for each item. Another one is the same for all.
func (c *Condition) PerItem() bool { return c.perItem }

// True evaluates the condition. It is an Invalid error when that fails, takes
// too long, or gives no boolean, and ctx's when ctx ended meanwhile.
func (c *Condition) True(ctx context.Context, scope Scope) (bool, error) {
	return c.within(ctx, scope, maxTime)
}

func (c *Condition) within(ctx context.Context, scope Scope, most time.Duration) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	value, _, err := c.program.ContextEval(limited, &variables{condition: c, scope: scope})
	if ctx.Err() != nil {
		return false, fmt.Errorf("evaluating the condition: %w", ctx.Err())
	}
	if cancelled := (interpreter.EvalCancelledError{}); errors.As(err, &cancelled) || limited.Err() != nil {
		return false, services.Errorf(services.Invalid, "the condition takes too many operations")
	}
	if err != nil {
		return false, services.Errorf(services.Invalid, "the condition cannot be evaluated: %v", err)
	}
	result, ok := value.(types.Bool)
	if !ok {
		return false, services.Errorf(services.Invalid, "the condition must be true or false, and is of the type %s", value.Type().TypeName())
	}
	return bool(result), nil
}

// variables are what one evaluation reads. Each is decoded when it is first
// asked for, and kept: a loop asks in every round.
type variables struct {
	condition                 *Condition
	scope                     Scope
	input, steps, item, index ref.Val
}

// Parent is nobody: there are no other variables.
func (v *variables) Parent() cel.Activation { return nil }

// ResolveName gives a variable's value; an error value fails the evaluation.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "input":
		return once(&v.input, func() any { return celValue(v.scope.Input, "the input") }), true
	case "steps":
		return once(&v.steps, v.results), true
	case "item":
		return once(&v.item, func() any { return celValue(v.scope.Item, "the item") }), true
	case "index":
		return once(&v.index, func() any { return celValue(v.scope.Index, "the index") }), true
	}
	return nil, false
}

func once(value *ref.Val, read func() any) ref.Val {
	if *value == nil {
		*value = types.DefaultTypeAdapter.NativeToValue(read())
	}
	return *value
}

func (v *variables) results() any {
	steps := make(map[string]any, len(v.condition.steps))
	for id, i := range v.condition.steps {
		r := v.scope.Results(i)
		step := map[string]any{"status": r.Status, "result": celValue(r.Result, "the result of "+id), "error": nil}
		if r.Error != "" {
			step["error"] = r.Error
		}
		steps[id] = step
	}
	return steps
}

// celValue decodes JSON for an evaluation; nil is null.
func celValue(raw json.RawMessage, what string) any {
	if raw == nil {
		return nil
	}
	value, err := decode(raw)
	if err != nil {
		return types.NewErr("%s is not JSON", what)
	}
	return withNumbers(value)
}

// withNumbers makes int64 of numbers that are one, and float64 of all others,
// in the value itself.
func withNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64) // too large a number becomes infinity
		return f
	case []any:
		for i, item := range v {
			v[i] = withNumbers(item)
		}
	case map[string]any:
		for name, item := range v {
			v[name] = withNumbers(item)
		}
	}
	return value
}
