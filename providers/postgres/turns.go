package postgres

import (
	"context"
	"errors"
	"sync"
	"time"
)

// turns keeps a database that is away, or recovers, from being asked by everybody who
// waits for it: while no connection can be made, one after the other is tried, and the
// first that succeeds lets all others through. Each refusal costs PostgreSQL a process,
// and hundreds a second keep it from coming back.
type turns struct {
	mu      sync.Mutex
	failing time.Time // since when no connection could be made; zero: they can
	cause   error     // why the last could not
	taken   bool      // one is being tried
	last    time.Time // when the last try ended
	changed chan struct{}
}

// tryEvery is how long nobody tries after a failure.
const tryEvery = 100 * time.Millisecond

func newTurns() *turns { return &turns{changed: make(chan struct{})} }

// take waits until a connection may be tried. Once the database has been away for so
// long that nobody waits for it, it gives the last failure to all but one.
func (t *turns) take(ctx context.Context) error {
	for {
		t.mu.Lock()
		wait := tryEvery - time.Since(t.last)
		switch {
		case t.failing.IsZero():
			t.mu.Unlock()
			return nil
		case !t.taken && wait <= 0:
			t.taken = true
			t.mu.Unlock()
			return nil
		case time.Since(t.failing) > patience:
			defer t.mu.Unlock()
			return &unsentError{t.cause}
		}
		changed := t.changed
		t.mu.Unlock()
		timer := time.NewTimer(max(wait, tryEvery/10))
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// end notes how a try went.
func (t *turns) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken, t.last = false, time.Now()
	switch {
	case err == nil:
		if !t.failing.IsZero() {
			close(t.changed)
			t.changed = make(chan struct{})
		}
		t.failing, t.cause = time.Time{}, nil
	case errors.Is(err, context.Canceled):
	default:
		if t.cause = err; t.failing.IsZero() {
			t.failing = time.Now()
		}
	}
}

// down is for how long no connection could be made.
func (t *turns) down() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failing.IsZero() {
		return 0
	}
	return time.Since(t.failing)
}
