// Package health answers whether this process lives and is ready for work.
package health

import (
	"context"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/fx"
)

// Check is one condition of readiness. Run writes nothing and respects its
// context's deadline.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// Out is how a module contributes a Check.
type Out struct {
	fx.Out
	Check Check `group:"checks"`
}

// deadline bounds each check of one request to /readyz.
const deadline = 2 * time.Second

// fresh is for how long what was found is told again: many may ask at once, and each check
// asks another process.
const fresh = 250 * time.Millisecond

// Checks are all conditions of this process, run together.
type Checks struct {
	checks   []Check
	stopping atomic.Bool

	turn  chan struct{} // held by who runs them
	found []Result
	at    time.Time
}

type params struct {
	fx.In
	Checks []Check `group:"checks"`
}

// Module provides *Checks.
var Module = fx.Module("health", fx.Provide(New))

// New collects the checks; group order is random, ours is by name.
func New(p params) *Checks {
	checks := append([]Check(nil), p.Checks...)
	sort.Slice(checks, func(i, j int) bool { return checks[i].Name < checks[j].Name })
	return &Checks{checks: checks, turn: make(chan struct{}, 1)}
}

// Result is what one check found; Error is empty when all is well.
type Result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Run makes all checks at once, or tells what was found just now. Who asks meanwhile waits
// for the same.
func (c *Checks) Run(ctx context.Context) (results []Result, ready bool) {
	if c.stopping.Load() {
		return []Result{{Name: "process", Error: "stopping"}}, false
	}
	c.turn <- struct{}{} // for a deadline at most
	if c.found == nil || time.Since(c.at) >= fresh {
		c.found, c.at = c.run(context.WithoutCancel(ctx)), time.Now()
	}
	results = slices.Clone(c.found)
	<-c.turn
	return results, !slices.ContainsFunc(results, func(r Result) bool { return !r.OK })
}

func (c *Checks) run(ctx context.Context) []Result {
	results := make([]Result, len(c.checks))
	var wait sync.WaitGroup
	for i, check := range c.checks {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, deadline)
			defer cancel()
			results[i] = Result{Name: check.Name, OK: true}
			if err := check.Run(ctx); err != nil {
				results[i].OK, results[i].Error = false, err.Error()
			}
		})
	}
	wait.Wait()
	return results
}

// Stopping makes the process not ready, for good.
func (c *Checks) Stopping() { c.stopping.Store(true) }
