package events

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"uaol/providers/workers"
)

// RecentRequest asks for the events of the last while, or, page by page, for
// those after one of them.
type RecentRequest struct {
	Back    time.Duration `json:"back"`
	AfterID uuid.UUID     `json:"afterId,omitzero"`
}

// recentPage is how many events one answer holds at most.
const recentPage = 1000

// Source gives a service's recent events, oldest first, at most recentPage of
// them: Outbox.Recent here, or its operation elsewhere.
type Source func(ctx context.Context, in RecentRequest) ([]Event, error)

// Follower hands what other processes wrote into an outbox on to this process's
// bus. It looks while somebody wants that and leaves the database alone otherwise.
type Follower struct {
	source Source
	bus    *Bus
	kinds  string // what the types of this service's events begin with
	wanted func() bool

	begun time.Time // the last complete look
	fresh atomic.Int64

	mu   sync.Mutex
	seen map[uuid.UUID]time.Time
}

const (
	followEvery = 400 * time.Millisecond
	followLook  = 5 * time.Second // the longest one look may take
)

// NewFollower makes a Follower of the events whose types begin with kinds.
func NewFollower(source Source, bus *Bus, kinds string, wanted func() bool) *Follower {
	f := &Follower{source: source, bus: bus, kinds: kinds, wanted: wanted, seen: map[uuid.UUID]time.Time{}}
	bus.Subscribe(func(e Event) {
		if strings.HasPrefix(e.Type, kinds) {
			f.fresher(e.ID)
		}
	})
	return f
}

// Fresh reports whether all that was committed until shortly ago, less than
// within, has been handed on.
func (f *Follower) Fresh(within time.Duration) bool {
	return time.Since(time.UnixMilli(f.fresh.Load())) < within
}

// Run is a workers.Worker's loop.
func (f *Follower) Run(ctx context.Context) error {
	return workers.Every(followEvery, func(ctx context.Context) error {
		if !f.wanted() {
			return nil
		}
		return f.Look(ctx)
	})(ctx)
}

// Look hands on what is new. It goes back to the last complete look, and before
// that by as much as a transaction may take.
func (f *Follower) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followLook)
	defer cancel()
	begun := time.Now()
	in := RecentRequest{Back: overlap}
	if !f.begun.IsZero() {
		in.Back += begun.Sub(f.begun)
	}
	for {
		found, err := f.source(ctx, in)
		if err != nil {
			return err
		}
		for _, e := range found {
			if strings.HasPrefix(e.Type, f.kinds) && f.fresher(e.ID) {
				f.bus.Publish(e)
			}
			in.AfterID = e.ID
		}
		if len(found) < recentPage {
			break
		}
	}
	f.forget(begun.Add(-in.Back - overlap))
	f.begun = begun
	f.fresh.Store(begun.UnixMilli())
	return nil
}

// fresher reports whether an event is seen for the first time, and notes it. The
// bus hands our own events on before they are found in the outbox, and again
// those that we publish here.
func (f *Follower) fresher(id uuid.UUID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.seen[id]
	f.seen[id] = time.Now()
	return !known
}

func (f *Follower) forget(before time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, at := range f.seen {
		if at.Before(before) {
			delete(f.seen, id)
		}
	}
}
