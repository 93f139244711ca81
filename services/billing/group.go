package billing

import (
	"context"
	"slices"
	"sync"
	"time"
)

// group lets callers that come at once share one statement. Who comes while
// none is being written waits for nobody; who comes while one is, is in the next
// one together with all who came meanwhile. There is no timer: the busier the
// database, the larger the batches.
type group[In, Out any] struct {
	// write writes a batch and answers those that it has done, by their place in
	// it. The others are as if they had never been in it.
	write func(ctx context.Context, batch []In) (map[int]Out, error)

	mu      sync.Mutex
	waiting []*ticket[In, Out]
	writing bool
}

type ticket[In, Out any] struct {
	in   In
	out  Out
	done bool
	err  error
	over chan struct{}
}

const (
	groupMost = 500              // in one statement
	groupTime = 30 * time.Second // for one statement, whoever has left meanwhile
)

// do takes part in a batch; done is false for what has to be written alone. Who
// leaves before the batch has begun is not in it. Who leaves later hears all the
// same what came of it: nobody shall undo what is still to be done.
func (g *group[In, Out]) do(ctx context.Context, in In) (out Out, done bool, err error) {
	t := &ticket[In, Out]{in: in, over: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, t)
	if !g.writing {
		g.writing = true
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
func (g *group[In, Out]) leave(t *ticket[In, Out]) bool {
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
func (g *group[In, Out]) run() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), groupMost)
		if n == 0 {
			g.waiting, g.writing = nil, false
			g.mu.Unlock()
			return
		}
		batch := slices.Clone(g.waiting[:n])
		g.waiting = slices.Delete(g.waiting, 0, n)
		g.mu.Unlock()
		g.writeOne(batch)
	}
}

func (g *group[In, Out]) writeOne(batch []*ticket[In, Out]) {
	in := make([]In, len(batch))
	for i, t := range batch {
		in[i] = t.in
	}
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	outs, err := g.write(ctx, in)
	for i, t := range batch {
		t.out, t.done = outs[i]
		t.err = err
		close(t.over)
	}
}
