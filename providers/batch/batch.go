// Package batch lets callers that come at once share one statement.
package batch

import (
	"context"
	"slices"
	"sync"
	"time"

	"uaol/providers/telemetry"
)

// Group gathers what callers want written. Who comes while nothing is being
// written waits for nobody; who comes while something is, is in the next batch
// together with all who came meanwhile. There is no timer: the busier the
// database, the larger the batches.
type Group[In, Out any] struct {
	// Write writes a batch and answers those that it has done, by their place in
	// it. The others are as if they had never been in it.
	Write func(ctx context.Context, batch []In) (map[int]Out, error)
	// Writers is how many batches are written at a time, 1 if it is 0. Members of
	// different batches must not wait for each other in a circle.
	Writers int
	// Worth is how many have to wait before another than the first writer begins:
	// small batches cost the database more than they gain.
	Worth int

	mu      sync.Mutex
	waiting []*ticket[In, Out]
	writing int
}

type ticket[In, Out any] struct {
	in   In
	out  Out
	done bool
	err  error
	over chan struct{}
	from context.Context // whose trace the batch is part of, if it is the first that has one
}

const (
	most   = 500              // in one batch
	within = 30 * time.Second // for one batch, whoever has left meanwhile
)

// Do takes part in a batch; done is false for what has to be written alone. Who
// leaves before the batch has begun is not in it. Who leaves later hears all the
// same what came of it: nobody shall undo what is still to be done.
func (g *Group[In, Out]) Do(ctx context.Context, in In) (out Out, done bool, err error) {
	t := &ticket[In, Out]{in: in, over: make(chan struct{}), from: ctx}
	g.mu.Lock()
	g.waiting = append(g.waiting, t)
	if g.writing == 0 || g.writing < g.Writers && len(g.waiting) >= g.Worth {
		g.writing++
		go g.run()
	}
	g.mu.Unlock()
	select {
	case <-t.over:
	case <-ctx.Done():
		if g.leave(t) {
			return out, false, ctx.Err()
		}
		<-t.over
	}
	return t.out, t.done, t.err
}

// leave takes a ticket out of the queue if it is still there.
func (g *Group[In, Out]) leave(t *ticket[In, Out]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, t)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// run writes batches until nobody waits.
func (g *Group[In, Out]) run() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), most)
		if n == 0 || g.writing > 1 && n < g.Worth {
			g.writing--
			g.mu.Unlock()
			return
		}
		batch := slices.Clone(g.waiting[:n])
		g.waiting = slices.Delete(g.waiting, 0, n)
		g.mu.Unlock()
		g.write(batch)
	}
}

func (g *Group[In, Out]) write(batch []*ticket[In, Out]) {
	in := make([]In, len(batch))
	for i, t := range batch {
		in[i] = t.in
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, t := range batch {
		if telemetry.On(t.from) {
			ctx = telemetry.With(ctx, t.from)
			break
		}
	}
	outs, err := g.Write(ctx, in)
	for i, t := range batch {
		t.out, t.done = outs[i]
		t.err = err
		close(t.over)
	}
}
