package jobs

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/events"
	"uaol/services/billing"
	"uaol/services/proxy"
)

const (
	lease      = 10 * time.Second // how long a silent worker keeps a job
	heartbeat  = 2 * time.Second
	maxJobs    = 64 // at once in this process
	maxParted  = 16 // steps at once in one job
	pollBusy   = 50 * time.Millisecond
	pollIdle   = time.Second
	handBackIn = 5 * time.Second // how long calls in flight may go on when the process stops
)

// Engine works on jobs.
type Engine struct {
	repository *Repository
	invoker    proxy.Invoker
	meter      billing.Meter
	bus        *events.Bus
	log        *zap.Logger

	lease, heartbeat, handBackIn time.Duration // other than the constants only in tests

	wake chan struct{}
	mu   sync.Mutex
	held map[uuid.UUID]*run
}

// NewEngine makes an Engine; a job made in this process wakes it at once.
func NewEngine(repository *Repository, invoker proxy.Invoker, meter billing.Meter, bus *events.Bus, log *zap.Logger) *Engine {
	e := &Engine{
		repository: repository, invoker: invoker, meter: meter, bus: bus, log: log,
		lease: lease, heartbeat: heartbeat, handBackIn: handBackIn,
		wake: make(chan struct{}, 1), held: map[uuid.UUID]*run{},
	}
	bus.Subscribe(func(event events.Event) {
		switch event.Type {
		case "job.created":
			e.Wake()
		case cancelling:
			e.cancel(event.Subject)
		}
	})
	return e
}

// cancelling is handed on inside the process only: it stops a run here at once.
// Elsewhere the heartbeat brings the request.
const cancelling = "job.cancelling"

func (e *Engine) cancel(subject string) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.held[id]; r != nil {
		r.cancel()
	} else {
		e.Wake() // a queued job is ended by whoever claims it
	}
}

// Wake makes the engine look for work now.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run is a workers.Worker's loop: it claims jobs and works on them. When its
// context ends it claims no more, lets calls in flight end for a moment and
// hands back what is left.
func (e *Engine) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var jobs sync.WaitGroup
	defer e.windDown(&jobs, stop)

	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := pollBusy
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-timer.C:
		}
		got, err := e.claim(ctx, working, &jobs)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			e.log.Warn("no jobs could be claimed, trying again", zap.Error(err))
			pause = pollIdle
		case got > 0:
			pause = pollBusy
		default:
			pause = min(pause*2, pollIdle)
		}
		timer.Reset(pause/2 + rand.N(pause/2))
	}
}

// claim takes as many jobs as there is room for and begins them.
func (e *Engine) claim(ctx, working context.Context, jobs *sync.WaitGroup) (int, error) {
	e.mu.Lock()
	room := maxJobs - len(e.held)
	e.mu.Unlock()
	if room <= 0 || ctx.Err() != nil {
		return 0, nil
	}
	// What is claimed while the process begins to stop is handed back, not left
	// to its lease: the statement is not cut.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.lease/2)
	defer cancel()
	taken, err := e.repository.claim(ctx, room, e.lease)
	for _, job := range taken {
		r := newRun(e, job)
		e.mu.Lock()
		if old := e.held[job.ID]; old != nil {
			old.lose()
		}
		e.held[job.ID] = r
		e.mu.Unlock()
		jobs.Go(func() {
			r.work(working)
			e.mu.Lock()
			if e.held[job.ID] == r {
				delete(e.held, job.ID)
			}
			e.mu.Unlock()
			e.Wake()
		})
	}
	return len(taken), err
}

// windDown tells the runs to begin nothing more, waits for them, and cuts what
// takes too long.
func (e *Engine) windDown(jobs *sync.WaitGroup, cut context.CancelFunc) {
	e.mu.Lock()
	for _, r := range e.held {
		r.stop()
	}
	e.mu.Unlock()
	timer := time.AfterFunc(e.handBackIn, cut)
	defer timer.Stop()
	jobs.Wait()
}

// Heartbeat is a workers.Worker's loop: one statement prolongs the leases of
// all jobs that this process works on, and brings back who shall be cancelled.
func (e *Engine) Heartbeat(ctx context.Context) error {
	ticker := time.NewTicker(e.heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := e.beat(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("leases could not be prolonged", zap.Error(err))
		}
	}
}

func (e *Engine) beat(ctx context.Context) error {
	e.mu.Lock()
	fences := make(map[uuid.UUID]int64, len(e.held))
	for id, r := range e.held {
		fences[id] = r.job.Fence
	}
	e.mu.Unlock()
	if len(fences) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.lease/2)
	defer cancel()
	still, err := e.repository.keep(ctx, fences, e.lease)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range still {
		delete(fences, k.ID)
		if r := e.held[k.ID]; r != nil && k.CancelRequested {
			r.cancel()
		}
	}
	for id, fence := range fences {
		if r := e.held[id]; r != nil && r.job.Fence == fence {
			r.lose()
		}
	}
	return nil
}
