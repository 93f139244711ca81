package events

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/workers"
)

// Feed hands what other processes have published on to this process's bus, at once.
// Where it fails, or there is no broker that tells, followers and pollers notice
// later by themselves.
type Feed struct {
	listener Listener
	bus      *Bus
	log      *zap.Logger

	mu         sync.Mutex
	new, older map[uuid.UUID]struct{} // what the bus has had
}

// remembered is how many ids a Feed knows again, at least.
const remembered = 20_000

// NewFeed makes a Feed.
func NewFeed(listener Listener, bus *Bus, log *zap.Logger) *Feed {
	f := &Feed{listener: listener, bus: bus, log: log.Named("events"), new: map[uuid.UUID]struct{}{}}
	bus.Subscribe(func(e Event) { f.first(e.ID) })
	return f
}

// Worker is the feed's loop.
func (f *Feed) Worker() workers.Worker { return workers.Worker{Name: "events-feed", Run: f.run} }

// run listens until its context ends. It says once that it can't.
func (f *Feed) run(ctx context.Context) error {
	said := false
	for pause := time.Second; ; pause = min(2*pause, relayMost) {
		begun := time.Now()
		err := f.listener.Listen(ctx, inward(), f.take)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(begun) > time.Minute {
			pause, said = time.Second, false
		}
		if !said {
			said = true
			f.log.Warn("the broker tells nothing of other processes just now; the database is asked instead", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (f *Feed) take(e Event) {
	if f.first(e.ID) {
		f.bus.Publish(e)
	}
}

// first reports whether an event is new here, and remembers it.
func (f *Feed) first(id uuid.UUID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.new[id]; known {
		return false
	}
	if _, known := f.older[id]; known {
		return false
	}
	if len(f.new) == remembered {
		f.new, f.older = make(map[uuid.UUID]struct{}, remembered), f.new
	}
	f.new[id] = struct{}{}
	return true
}
