// Package workers runs the process's background loops: either one per process
// or, by a lease row in the database, one in the whole deployment.
package workers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sort"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"
)

// Worker is a loop. Run returns when its context ends; an error or a panic
// before that is logged and the loop begun again after a pause.
type Worker struct {
	Name string
	Run  func(ctx context.Context) error
}

// Out is how a module contributes a Worker.
type Out struct {
	fx.Out
	Worker Worker `group:"workers"`
}

type params struct {
	fx.In
	Workers   []Worker `group:"workers"`
	Log       *zap.Logger
	Metrics   *prometheus.Registry `optional:"true"`
	Lifecycle fx.Lifecycle
}

// Running is the set of this process's loops.
type Running struct {
	workers []Worker
	log     *zap.Logger
	meter   *meter
	cancel  context.CancelFunc
	wait    sync.WaitGroup
}

// Module provides *Running.
var Module = fx.Module("workers", fx.Provide(New))

// New makes the set and ties it to the process's life.
func New(p params) *Running {
	r := &Running{workers: append([]Worker(nil), p.Workers...), log: p.Log.Named("workers"), meter: newMeter(p.Metrics)}
	sort.Slice(r.workers, func(i, j int) bool { return r.workers[i].Name < r.workers[j].Name })
	p.Lifecycle.Append(fx.Hook{
		OnStart: func(context.Context) error { r.Start(); return nil },
		OnStop:  r.Stop,
	})
	return r
}

// Attach runs one loop for as long as the process lives. It is for what is built
// only when something asks for it; what is always there contributes a Worker.
func Attach(lifecycle fx.Lifecycle, log *zap.Logger, metrics *prometheus.Registry, w Worker) {
	r := &Running{workers: []Worker{w}, log: log.Named("workers"), meter: newMeter(metrics)}
	lifecycle.Append(fx.Hook{
		OnStart: func(context.Context) error { r.Start(); return nil },
		OnStop:  r.Stop,
	})
}

// Start begins all loops.
func (r *Running) Start() {
	ctx, cancel := context.WithCancel(context.Background()) // OnStart's own ends with the start
	r.cancel = cancel
	for _, w := range r.workers {
		r.wait.Go(func() { r.keep(ctx, w) })
	}
}

// Stop ends all loops and waits for them, but not beyond its context.
func (r *Running) Stop(ctx context.Context) error {
	r.cancel()
	done := make(chan struct{})
	go func() { r.wait.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("some background loops did not end in time: %w", ctx.Err())
	}
}

// keep runs one loop until its context ends, with growing pauses after failures.
func (r *Running) keep(ctx context.Context, w Worker) {
	log := r.log.With(zap.String("worker", w.Name))
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		begun := time.Now()
		r.meter.begun(w.Name)
		err := guarded(ctx, w)
		r.meter.ended(w.Name, ctx.Err() == nil)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > time.Minute {
			pause = 100 * time.Millisecond
		}
		log.Warn("background loop failed, beginning it again", zap.Error(err), zap.Duration("after", pause))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
	}
}

func guarded(ctx context.Context, w Worker) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := w.Run(ctx); err != nil {
		return err
	}
	return errors.New("the loop ended by itself")
}

// Every makes a loop of f with pauses; an error ends the loop, so that keep
// paces what fails.
func Every(pause time.Duration, f func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
			if err := f(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			timer.Reset(pause)
		}
	}
}
