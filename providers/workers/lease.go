package workers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Leases are the lease rows of one service, in a table of its own.
type Leases interface {
	// Take gives the named lease to a holder for so long from now, by the
	// database's clock, if nobody else has it; it also renews. The fence is higher
	// than that of every holder before.
	Take(ctx context.Context, name string, holder uuid.UUID, lifetime time.Duration) (fence int64, held bool, err error)
	// Drop ends the lease if it is still the holder's.
	Drop(ctx context.Context, name string, holder uuid.UUID) error
}

// Alone makes a loop of run that only one process of the deployment is in at a
// time: who has the lease. It is renewed at a third of its lifetime. When that
// fails for so long that another may have it, run's context ends.
//
// A process that was stopped in its tracks may wake up and believe for a moment
// that it has the lease: what must not happen twice has to be guarded by the
// database as well, by the fence for example.
func Alone(leases Leases, name string, lifetime time.Duration, run func(ctx context.Context, fence int64) error) func(ctx context.Context) error {
	l := &lease{leases: leases, name: name, lifetime: lifetime, holder: uuid.New()}
	return func(ctx context.Context) error {
		return Every(lifetime/3, func(ctx context.Context) error { return l.turn(ctx, run) })(ctx)
	}
}

type lease struct {
	leases   Leases
	name     string
	lifetime time.Duration
	holder   uuid.UUID
}

// turn runs the loop if the lease can be had, until it ends or the lease is lost.
func (l *lease) turn(ctx context.Context, run func(ctx context.Context, fence int64) error) error {
	until := time.Now().Add(l.lifetime) // before the database's clock begins to count
	fence, held, err := l.leases.Take(ctx, l.name, l.holder, l.lifetime)
	if err != nil || !held {
		return err
	}
	inside, lost := context.WithCancelCause(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { lost(l.keep(inside, until)) })
	// Whatever becomes of run, panics too, nobody is left behind who renews.
	defer func() {
		lost(nil)
		keeping.Wait()
		free, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.lifetime/3)
		defer cancel()
		_ = l.leases.Drop(free, l.name, l.holder) // else it ends by itself
	}()
	err = run(inside, fence)
	if cause := context.Cause(inside); errors.Is(cause, errLost) && ctx.Err() == nil {
		return cause
	}
	if err == nil && ctx.Err() == nil {
		return errors.New("the loop ended by itself")
	}
	return err
}

var errLost = errors.New("the lease was lost")

// keep renews until its context ends or the lease is lost.
func (l *lease) keep(ctx context.Context, until time.Time) error {
	ticker := time.NewTicker(l.lifetime / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		next := time.Now().Add(l.lifetime)
		trying, cancel := context.WithTimeout(ctx, l.lifetime/3)
		_, held, err := l.leases.Take(trying, l.name, l.holder, l.lifetime)
		cancel()
		switch {
		case err == nil && !held:
			return errLost
		case err == nil:
			until = next
		case !time.Now().Add(l.lifetime / 3).Before(until): // too late for another try
			return errors.Join(errLost, err)
		}
	}
}
