package registry

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"uaol/providers/events"
	"uaol/services/registry/credentials"
)

// Cache is a Catalog that keeps offers in this process. An offer counts until an
// event tells that its tool has changed, and only while the events of other
// processes are being followed: whatever an admin decides is heeded everywhere
// within a second, or the registry is asked each time.
type Cache struct {
	Catalog
	offers   *otter.Cache[uuid.UUID, known]
	carried  *otter.Cache[purse, carried]
	visible  *otter.Cache[viewer, view]
	changed  *otter.Cache[uuid.UUID, time.Time]
	follower *events.Follower
	used     atomic.Int64 // when somebody asked last, in milliseconds
	changes  atomic.Int64 // of any tool, that were heard of
	hits     atomic.Int64
	misses   atomic.Int64

	mu        sync.Mutex
	questions map[uuid.UUID]*question // under way
}

type known struct {
	offer Offer
	asked time.Time
}

// purse is whose credentials for what; callers of one account and organisation
// have the same.
type purse struct {
	tool                  uuid.UUID
	version               int64
	organization, account uuid.UUID
}

type carried struct {
	credentials.Carried
	asked time.Time
}

// viewer is whose tools; all that one account makes for one organisation sees the same.
type viewer struct{ organization, account uuid.UUID }

// view is what a viewer may call, as long as no tool has changed since.
type view struct {
	ids     []uuid.UUID
	changes int64
}

const (
	cached    = 10_000                 // offers kept
	lag       = 900 * time.Millisecond // that events of other processes may have; a second is promised
	quietFor  = time.Minute            // without a question: then nobody follows
	changesIn = 2 * time.Minute        // longer than any question to the registry takes
	carryFor  = 30 * time.Second
	viewFor   = 30 * time.Second
)

// NewCache makes a Cache over a Catalog whose events come from source.
func NewCache(catalog Catalog, source events.Source, bus *events.Bus) *Cache {
	c := &Cache{
		Catalog: catalog, questions: map[uuid.UUID]*question{},
		offers: otter.Must(&otter.Options[uuid.UUID, known]{MaximumSize: cached}),
		carried: otter.Must(&otter.Options[purse, carried]{
			MaximumSize:      cached,
			ExpiryCalculator: otter.ExpiryWriting[purse, carried](carryFor),
		}),
		visible: otter.Must(&otter.Options[viewer, view]{
			MaximumSize:      cached,
			ExpiryCalculator: otter.ExpiryWriting[viewer, view](viewFor),
		}),
		changed: otter.Must(&otter.Options[uuid.UUID, time.Time]{
			MaximumSize:      200_000,
			ExpiryCalculator: otter.ExpiryWriting[uuid.UUID, time.Time](changesIn),
		}),
	}
	c.follower = events.NewFollower(source, bus, eventPrefix, c.wanted)
	bus.Subscribe(func(e events.Event) {
		if id, err := uuid.Parse(e.Subject); err == nil && strings.HasPrefix(e.Type, eventPrefix) {
			c.changes.Add(1)
			c.changed.Set(id, time.Now())
			c.offers.Invalidate(id)
		}
	})
	return c
}

// eventPrefix is what the types of the registry's events begin with.
const eventPrefix = "tool."

func (c *Cache) wanted() bool {
	return time.Since(time.UnixMilli(c.used.Load())) < quietFor
}

// Offers implements Catalog.
func (c *Cache) Offers(ctx context.Context, in ToolsRequest) ([]Offer, error) {
	c.used.Store(time.Now().UnixMilli())
	offers := make([]Offer, 0, len(in.IDs))
	var missing []uuid.UUID
	fresh := c.follower.Fresh(lag)
	for _, id := range in.IDs {
		k, ok := c.offers.GetIfPresent(id)
		if ok && fresh && c.counts(id, k.asked) {
			offers = append(offers, k.offer)
			continue
		}
		missing = append(missing, id)
	}
	c.hits.Add(int64(len(offers)))
	if len(missing) == 0 {
		return offers, nil
	}
	c.misses.Add(int64(len(missing)))
	found, err := c.ask(ctx, missing)
	if err != nil {
		return nil, err
	}
	return append(offers, found...), nil
}

// counts reports whether nothing has happened to a tool since it was asked about.
func (c *Cache) counts(id uuid.UUID, asked time.Time) bool {
	at, changed := c.changed.GetIfPresent(id)
	return !changed || asked.After(at)
}

// current reports whether what was asked about a tool at a moment still counts.
func (c *Cache) current(id uuid.UUID, asked time.Time) bool {
	c.used.Store(time.Now().UnixMilli())
	return c.follower.Fresh(lag) && c.counts(id, asked)
}

// Credentials implements Catalog.
func (c *Cache) Credentials(ctx context.Context, in CredentialsRequest) (credentials.Carried, error) {
	c.used.Store(time.Now().UnixMilli())
	key := purse{in.ToolID, in.Version, in.Caller.Organization, in.Caller.Account}
	if k, ok := c.carried.GetIfPresent(key); ok && c.follower.Fresh(lag) && c.counts(in.ToolID, k.asked) &&
		(k.ExpiresAt.IsZero() || time.Now().Before(k.ExpiresAt)) && (in.Refused == "" || in.Refused != k.Token()) {
		return k.Carried, nil
	}
	asked := time.Now()
	found, err := c.Catalog.Credentials(ctx, in)
	if err == nil {
		c.carried.Set(key, carried{found, asked})
	}
	return found, err
}

// Inspect implements Catalog. What a look at a server finds is known here at once.
func (c *Cache) Inspect(ctx context.Context, in InspectRequest) (Offer, error) {
	asked := time.Now()
	offer, err := c.Catalog.Inspect(ctx, in)
	if err == nil {
		c.offers.Set(in.ToolID, known{offer, asked})
	}
	return offer, err
}

// Visible implements Catalog. A list counts until any tool changes.
func (c *Cache) Visible(ctx context.Context, in VisibleRequest) ([]uuid.UUID, error) {
	c.used.Store(time.Now().UnixMilli())
	key, changes := viewer{in.Caller.Organization, in.Caller.Account}, c.changes.Load()
	if v, ok := c.visible.GetIfPresent(key); ok && v.changes == changes && c.follower.Fresh(lag) {
		return v.ids, nil
	}
	ids, err := c.Catalog.Visible(ctx, in)
	if err == nil {
		c.visible.Set(key, view{ids, changes})
	}
	return ids, err
}

// Run follows the registry's events; it is a workers.Worker's loop.
func (c *Cache) Run(ctx context.Context) error { return c.follower.Run(ctx) }

// Rate gives how many offers were found here and how many were not.
func (c *Cache) Rate() (hits, misses int64) { return c.hits.Load(), c.misses.Load() }

// Close ends the caches' own goroutines.
func (c *Cache) Close() {
	c.offers.StopAllGoroutines()
	c.carried.StopAllGoroutines()
	c.visible.StopAllGoroutines()
	c.changed.StopAllGoroutines()
}
