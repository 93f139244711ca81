package registry

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/services"
	"uaol/services/registry/credentials"
)

// asked is a Catalog that counts what it is asked, and an outbox to follow.
type asked struct {
	Catalog
	offers, carried, looks atomic.Int64
	price                  atomic.Int64
	gone                   atomic.Bool // the tool is not approved any more
	fails                  atomic.Bool
	away                   atomic.Bool // the outbox can't be read
	during                 func()      // while an answer is under way
	expires                time.Duration
	token                  string
	foreign                []events.Event
}

var errBroken = errors.New("the registry is broken")

func (a *asked) Offers(ctx context.Context, in ToolsRequest) (found []Offer, err error) {
	a.offers.Add(1)
	price, gone := a.price.Load(), a.gone.Load()
	if a.during != nil {
		a.during()
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case a.fails.Load():
		return nil, errBroken
	}
	if gone {
		return nil, nil
	}
	for _, id := range in.IDs {
		found = append(found, Offer{ToolID: id, Definition: Definition{Price: price}})
	}
	return found, nil
}

func (a *asked) Credentials(context.Context, CredentialsRequest) (credentials.Carried, error) {
	a.carried.Add(1)
	c := credentials.Carried{Identity: "x", Headers: map[string]string{"Authorization": a.token}}
	if a.expires > 0 {
		c.ExpiresAt = time.Now().Add(a.expires)
	}
	return c, nil
}

func (a *asked) Inspect(_ context.Context, in InspectRequest) (Offer, error) {
	return Offer{ToolID: in.ToolID, Definition: Definition{Price: 99}}, nil
}

func (a *asked) read(context.Context, events.RecentRequest) ([]events.Event, error) {
	a.looks.Add(1)
	if a.away.Load() {
		return nil, errors.New("away")
	}
	return a.foreign, nil
}

// caching runs f with a Cache that follows an outbox, by the bubble's clock.
func caching(t *testing.T, f func(t *testing.T, a *asked, c *Cache, bus *events.Bus)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, bus := &asked{}, events.NewBus()
		c := NewCache(a, a.read, bus)
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil { // as workers do after an error
				_ = c.Run(ctx)
				time.Sleep(100 * time.Millisecond)
			}
		}()
		f(t, a, c, bus)
		cancel()
		<-done
	})
}

// ask asks for one tool and tells its price; 0 when there is none.
func ask(t *testing.T, c *Cache, id uuid.UUID) int64 {
	t.Helper()
	offers, err := c.Offers(t.Context(), ToolsRequest{IDs: []uuid.UUID{id}})
	require.NoError(t, err)
	if len(offers) == 0 {
		return 0
	}
	return offers[0].Price
}

func TestCacheKeepsOffers(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, bus *events.Bus) {
		id, other := uuid.New(), uuid.New()
		a.price.Store(1)
		ask(t, c, id)
		time.Sleep(time.Second) // by now the outbox is being followed
		for range 10 {
			require.EqualValues(t, 1, ask(t, c, id))
			time.Sleep(10 * time.Second)
		}
		require.EqualValues(t, 1, a.offers.Load())
		offers, err := c.Offers(t.Context(), ToolsRequest{IDs: []uuid.UUID{id, other}})
		require.NoError(t, err)
		require.Len(t, offers, 2)
		require.EqualValues(t, 2, a.offers.Load(), "only the other one is asked for")

		a.price.Store(2)
		bus.Publish(events.New("job.created", id.String(), uuid.Nil, nil))
		require.EqualValues(t, 1, ask(t, c, id), "nothing has happened to the tool")
		bus.Publish(events.New("tool.updated", other.String(), uuid.Nil, nil))
		require.EqualValues(t, 1, ask(t, c, id), "nor to this one")
		bus.Publish(events.New("tool.updated", id.String(), uuid.Nil, nil))
		time.Sleep(time.Millisecond)
		require.EqualValues(t, 2, ask(t, c, id), "what this process decides counts at once")
		a.gone.Store(true)
		bus.Publish(events.New("tool.disabled", id.String(), uuid.Nil, nil))
		time.Sleep(time.Millisecond)
		require.Zero(t, ask(t, c, id))
	})
}

// TestCacheHeedsOtherProcesses within a second, and knows nothing when it can't
// tell what they do.
func TestCacheHeedsOtherProcesses(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, _ *events.Bus) {
		id := uuid.New()
		a.price.Store(1)
		ask(t, c, id)
		time.Sleep(time.Second)
		ask(t, c, id)
		a.price.Store(2)
		a.foreign = append(a.foreign, events.New("tool.updated", id.String(), uuid.Nil, nil))
		decided := time.Now()
		for ask(t, c, id) != 2 {
			time.Sleep(10 * time.Millisecond)
		}
		require.Less(t, time.Since(decided), time.Second)

		a.away.Store(true)
		a.price.Store(3)
		time.Sleep(time.Second)
		require.EqualValues(t, 3, ask(t, c, id), "events can't be followed: the registry is asked")
		a.price.Store(4)
		require.EqualValues(t, 4, ask(t, c, id), "each time")
	})
}

// TestCacheDropsWhatWasUnderWay when the tool changed: the answer may be older.
func TestCacheDropsWhatWasUnderWay(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, bus *events.Bus) {
		id := uuid.New()
		a.price.Store(1)
		a.during = func() {
			a.during = nil
			a.price.Store(2)
			bus.Publish(events.New("tool.updated", id.String(), uuid.Nil, nil))
		}
		require.EqualValues(t, 1, ask(t, c, id))
		time.Sleep(time.Second)
		require.EqualValues(t, 2, ask(t, c, id))
	})
}

// TestCacheIsQuiet: nobody asks, so the database is left alone; and when somebody
// asks again, what was missed meanwhile counts.
func TestCacheIsQuiet(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, _ *events.Bus) {
		id := uuid.New()
		time.Sleep(time.Hour)
		require.Zero(t, a.looks.Load())
		a.price.Store(1)
		ask(t, c, id)
		time.Sleep(2 * time.Minute)
		looks := a.looks.Load()
		require.Positive(t, looks)
		a.price.Store(2)
		time.Sleep(time.Hour)
		require.Equal(t, looks, a.looks.Load())
		require.EqualValues(t, 2, ask(t, c, id))
	})
}

func TestCacheKeepsCredentials(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, bus *events.Bus) {
		id, caller := uuid.New(), services.Caller{Account: uuid.New(), Organization: uuid.New()}
		carried := func(caller services.Caller, version int64) int64 {
			before := a.carried.Load()
			_, err := c.Credentials(t.Context(), CredentialsRequest{Caller: caller, ToolID: id, Version: version})
			require.NoError(t, err)
			return a.carried.Load() - before
		}
		carried(caller, 1)
		time.Sleep(time.Second)
		require.EqualValues(t, 0, carried(caller, 1))
		require.EqualValues(t, 1, carried(caller, 2), "another version wants other things")
		elsewhere := caller
		elsewhere.Organization = uuid.New()
		require.EqualValues(t, 1, carried(elsewhere, 1), "an organisation has its own")
		require.EqualValues(t, 1, carried(services.Caller{Account: uuid.New(), Organization: caller.Organization}, 1), "and so has an account")
		bus.Publish(events.New("tool.credentials_changed", id.String(), uuid.Nil, nil))
		time.Sleep(time.Millisecond)
		require.EqualValues(t, 1, carried(caller, 1))
		time.Sleep(carryFor)
		require.EqualValues(t, 1, carried(caller, 1))
		a.expires = time.Second
		bus.Publish(events.New("tool.credentials_changed", id.String(), uuid.Nil, nil))
		time.Sleep(time.Millisecond)
		carried(caller, 1)
		require.EqualValues(t, 0, carried(caller, 1))
		time.Sleep(time.Second)
		require.EqualValues(t, 1, carried(caller, 1), "a token that has run out is not carried")
	})
}

// TestCacheAsksForAnotherToken once the tool has refused the one that is kept, and
// keeps what comes.
func TestCacheAsksForAnotherToken(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, _ *events.Bus) {
		in := CredentialsRequest{Caller: services.Caller{Account: uuid.New()}, ToolID: uuid.New(), Version: 1}
		token := func(refused string) (string, int64) {
			before := a.carried.Load()
			with := in
			with.Refused = refused
			got, err := c.Credentials(t.Context(), with)
			require.NoError(t, err)
			return got.Token(), a.carried.Load() - before
		}
		first, _ := token("")
		time.Sleep(time.Second) // the bubble's clock
		again, asked := token("")
		require.Equal(t, first, again)
		require.Zero(t, asked)
		a.token = "Bearer another"
		second, asked := token(first)
		require.NotEqual(t, first, second)
		require.EqualValues(t, 1, asked)
		for _, refused := range []string{"", first} {
			again, asked = token(refused)
			require.Equal(t, second, again)
			require.Zero(t, asked, "who comes late takes what there is")
		}
	})
}

// TestCacheKnowsWhatALookFound without asking again.
func TestCacheKnowsWhatALookFound(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, _ *events.Bus) {
		id := uuid.New()
		ask(t, c, id)
		time.Sleep(time.Second)
		_, err := c.Inspect(t.Context(), InspectRequest{ToolID: id})
		require.NoError(t, err)
		require.EqualValues(t, 99, ask(t, c, id))
		require.EqualValues(t, 1, a.offers.Load())
	})
}

// TestCacheCounts: the goal is that of a hundred look-ups 95 are answered here.
func TestCacheCounts(t *testing.T) {
	caching(t, func(t *testing.T, _ *asked, c *Cache, _ *events.Bus) {
		id := uuid.New()
		ask(t, c, id)
		time.Sleep(time.Second)
		for range 99 {
			ask(t, c, id)
		}
		registry := prometheus.NewRegistry()
		require.NoError(t, registry.Register(c))
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP uaol_registry_offers_total Look-ups of tools by whether this process still knew them.
# TYPE uaol_registry_offers_total counter
uaol_registry_offers_total{result="hit"} 99
uaol_registry_offers_total{result="miss"} 1
`)))
	})
}
