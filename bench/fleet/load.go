package fleet

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Operation is one thing that clients do, and how often of a hundred times.
type Operation struct {
	Name  string
	Share int
	Do    func(ctx context.Context, r *rand.Rand) error
}

// outcome is what became of one of them.
type outcome struct {
	name  string
	begun time.Time
	took  time.Duration
	err   error
}

// mostAtOnce operations are under way; beyond it clients would be turned away.
const mostAtOnce = 4000

// answersWithin is how long a client waits.
const answersWithin = 30 * time.Second

// Offer begins operations at a rate, whatever becomes of those before (open loop), for
// so long or until the context ends, and waits for the last.
func Offer(ctx context.Context, operations []Operation, perSecond float64, seed uint64) *Report {
	r := rand.New(rand.NewPCG(seed, 0))
	gate := make(chan struct{}, mostAtOnce)
	report := newReport()
	var group sync.WaitGroup
	begun := time.Now()
	for n := 0; ; n++ {
		due := begun.Add(time.Duration(float64(n) / perSecond * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		if ctx.Err() != nil {
			break
		}
		op := choose(operations, r)
		own := rand.New(rand.NewPCG(seed, uint64(n)+1))
		select {
		case gate <- struct{}{}:
		default:
			report.add(outcome{op.Name, due, 0, errFull})
			continue
		}
		group.Go(func() {
			defer func() { <-gate }()
			report.add(run(op, own, due))
		})
	}
	report.offered = time.Since(begun)
	group.Wait()
	return report
}

// Saturate runs so many clients, each beginning as soon as it has its answer, and
// tells how much gets done: the fleet's capacity.
func Saturate(ctx context.Context, operations []Operation, clients int, seed uint64) *Report {
	report := newReport()
	begun := time.Now()
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for ctx.Err() == nil {
				report.add(run(choose(operations, r), r, time.Now()))
			}
		})
	}
	group.Wait()
	report.offered = time.Since(begun)
	return report
}

func run(op Operation, r *rand.Rand, due time.Time) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), answersWithin)
	defer cancel()
	err := op.Do(ctx, r)
	return outcome{op.Name, due, time.Since(due), err}
}

func choose(operations []Operation, r *rand.Rand) Operation {
	all := 0
	for _, op := range operations {
		all += op.Share
	}
	n := r.IntN(all)
	for _, op := range operations {
		if n -= op.Share; n < 0 {
			return op
		}
	}
	return operations[0]
}
