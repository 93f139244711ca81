package jobs

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/batch"
	"uaol/providers/events"
	"uaol/services/billing"
	"uaol/services/proxy"
)

const (
	lease      = 10 * time.Second // how long a silent worker keeps its jobs
	heartbeat  = 2 * time.Second
	pollBusy   = 50 * time.Millisecond
	pollIdle   = 500 * time.Millisecond
	gather     = time.Millisecond // while there is more work than room: claims grow larger
	handBackIn = 5 * time.Second  // how long calls in flight may go on when the process stops
	timersIn   = 250 * time.Millisecond
	promoted   = 5000 // in one statement
	reconcile  = 30 * time.Second
)

// Engine works on jobs.
type Engine struct {
	repository *Repository
	invoker    proxy.Invoker
	models     Models
	children   children
	meter      billing.Meter
	bus        *events.Bus
	log        *zap.Logger
	most       int // jobs at once
	payments   batch.Group[payment, error]

	sight *sight // nil where nobody looks

	lease, heartbeat, handBackIn time.Duration // other than the constants only in tests

	wake chan struct{}

	mu       sync.Mutex
	worker   uuid.UUID // of the lease; nil while there is none
	leased   time.Time // until then, by this process's clock
	stopping bool
	held     map[uuid.UUID]*run
	reserved map[uuid.UUID]struct{} // for jobs that are being made
	lane     uuid.UUID              // the last one that a claim has looked at
	jobs     sync.WaitGroup
	working  context.Context

	busy atomic.Bool // the last claim brought as much as there was room for
}

// NewEngine makes an Engine; a job made in this process wakes it at once.
func NewEngine(repository *Repository, invoker proxy.Invoker, models Models, meter billing.Meter, bus *events.Bus, cfg Config, log *zap.Logger) *Engine {
	e := &Engine{
		repository: repository, invoker: invoker, models: models, meter: meter, bus: bus, log: log, most: cfg.Concurrency,
		lease: lease, heartbeat: heartbeat, handBackIn: handBackIn,
		wake: make(chan struct{}, 1), held: map[uuid.UUID]*run{}, reserved: map[uuid.UUID]struct{}{},
	}
	e.payments.Write = e.payAll
	bus.Subscribe(func(event events.Event) {
		switch event.Type {
		case "job.created":
			if waits(event) {
				e.Wake()
			}
		case "job.ended":
			e.repository.hub.endings(event)
		case signalled:
			e.signalled(event.Subject)
		}
	})
	return e
}

// waits reports whether jobs were made that nobody has begun yet. An event of this
// process does not say.
func waits(event events.Event) bool {
	var made struct{ Waiting *int }
	return json.Unmarshal(event.Data, &made) != nil || made.Waiting == nil || *made.Waiting > 0
}

// signalled makes a run look at once at what came from outside. Another process
// hears of it through a broker, or its heartbeat brings it.
const signalled = "job.signalled"

func (e *Engine) signalled(subject string) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return
	}
	e.mu.Lock()
	r := e.held[id]
	e.mu.Unlock()
	if r == nil {
		e.Wake() // whoever claims it finds what it was about
		return
	}
	go e.lookAt(r)
}

// lookAt brings one run what came from outside.
func (e *Engine) lookAt(r *run) {
	ctx, cancel := context.WithTimeout(context.Background(), e.lease/2)
	defer cancel()
	if found, err := e.repository.look(ctx, []uuid.UUID{r.job.ID}); err == nil && len(found) == 1 && found[0].Fence == r.job.Fence {
		r.signal(found[0])
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
	e.mu.Lock()
	e.working, e.stopping = working, false
	e.mu.Unlock()
	defer e.windDown(stop)

	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := pollBusy
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
			if e.busy.Load() { // room comes in crowds: those behind the first make the claim larger
				timer.Reset(gather)
				<-timer.C
			}
		case <-timer.C:
		}
		got, err := e.claim(ctx)
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
func (e *Engine) claim(ctx context.Context) (int, error) {
	if ctx.Err() != nil {
		return 0, nil
	}
	worker, err := e.identity(ctx)
	if err != nil {
		return 0, err
	}
	// What is claimed while the process begins to stop is handed back: the
	// statement is not cut.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.lease/2)
	defer cancel()
	e.mu.Lock()
	room, lane := e.room(), e.lane
	e.mu.Unlock()
	if room <= 0 {
		e.busy.Store(true)
		return 0, nil
	}
	taken, last, err := e.repository.claim(ctx, worker, lane, room)
	if err != nil { // what it may have claimed is looked for
		return 0, e.reconcile(ctx, err)
	}
	e.mu.Lock()
	e.lane = last
	e.mu.Unlock()
	for i := range taken {
		e.begin(&taken[i])
	}
	e.busy.Store(len(taken) >= room)
	if len(taken) > 0 || last != uuid.Nil || lane != uuid.Nil {
		e.Wake() // there may be more
	}
	return len(taken), nil
}

// begin works on a job that was claimed.
func (e *Engine) begin(job *claimed) {
	r := newRun(e, job)
	e.sight.begun()
	e.mu.Lock()
	if old := e.held[job.ID]; old != nil {
		old.lose()
	}
	e.held[job.ID] = r
	if e.stopping {
		r.stop()
	}
	ctx := e.working
	e.jobs.Add(1)
	e.mu.Unlock()
	go func() {
		defer e.jobs.Done()
		ctx, span := e.sight.work(ctx, job)
		r.work(ctx)
		span.End(nil)
		e.mu.Lock()
		if e.held[job.ID] == r {
			delete(e.held, job.ID)
		}
		e.mu.Unlock()
		e.Wake()
	}()
}

// windDown tells the runs to begin nothing more, waits for them, and cuts what
// takes too long.
func (e *Engine) windDown(cut context.CancelFunc) {
	e.mu.Lock()
	e.stopping = true
	for _, r := range e.held {
		r.stop()
	}
	e.mu.Unlock()
	timer := time.AfterFunc(e.handBackIn, cut)
	defer timer.Stop()
	e.jobs.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if worker := e.resign(); worker != uuid.Nil {
		if err := e.repository.signOff(ctx, worker); err != nil {
			e.log.Warn("the worker's lease will end by itself", zap.Error(err))
		}
	}
}
