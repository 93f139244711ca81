package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"uaol/services/billing"
)

// plans is a limits.Rates: it knows organisations' plans by heart, so that
// requests are counted without asking billing. It learns of a change within a minute.
type plans struct {
	meter   billing.Meter
	known   *otter.Cache[uuid.UUID, *plan]
	asking  sync.WaitGroup
	ctx     context.Context
	stopped context.CancelFunc
}

type plan struct {
	rate  int
	until time.Time // when it is asked for again
	again atomic.Bool
}

const (
	planFresh    = time.Minute
	planUnknown  = 5 * time.Second        // without an answer: then as if the plan had no rate
	planPatience = 300 * time.Millisecond // a request waits once, at most
)

func newPlans(meter billing.Meter) *plans {
	p := &plans{meter: meter, known: otter.Must(&otter.Options[uuid.UUID, *plan]{
		MaximumSize: 200_000, ExpiryCalculator: otter.ExpiryAccessing[uuid.UUID, *plan](10 * time.Minute),
	})}
	p.ctx, p.stopped = context.WithCancel(context.Background())
	return p
}

// Rate implements limits.Rates.
func (p *plans) Rate(ctx context.Context, organization uuid.UUID) int {
	found, ok := p.known.GetIfPresent(organization)
	if !ok {
		found, _ = p.known.Get(context.WithoutCancel(ctx), organization, otter.LoaderFunc[uuid.UUID, *plan](func(ctx context.Context, organization uuid.UUID) (*plan, error) {
			return p.ask(ctx, organization, 0), nil
		}))
	}
	if found == nil {
		return 0
	}
	if time.Now().After(found.until) && found.again.CompareAndSwap(false, true) {
		p.asking.Go(func() { p.known.Set(organization, p.ask(p.ctx, organization, found.rate)) })
	}
	return found.rate
}

// ask gives what was known before when billing does not answer.
func (p *plans) ask(ctx context.Context, organization uuid.UUID, before int) *plan {
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	got, err := p.meter.Plans(ctx, billing.PlansRequest{Organizations: []uuid.UUID{organization}})
	if err != nil || len(got) != 1 {
		return &plan{rate: before, until: time.Now().Add(planUnknown)}
	}
	return &plan{rate: int(got[0].Rate), until: time.Now().Add(planFresh)}
}

// Close waits for what is being asked.
func (p *plans) Close() {
	p.stopped()
	p.asking.Wait()
	p.known.StopAllGoroutines()
}
