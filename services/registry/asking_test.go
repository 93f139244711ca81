package registry

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/services"
)

// slowly lets each answer take so long.
func (a *asked) slowly(t *testing.T, takes time.Duration) {
	t.Helper()
	a.during = func() { time.Sleep(takes) }
}

// TestACrowdAsksOnce: many who want the same tools of a cold cache make one
// question, and who wants another one besides asks for that alone.
func TestACrowdAsksOnce(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, _ *events.Bus) {
		a.price.Store(7)
		a.slowly(t, 100*time.Millisecond)
		const many = 200
		ids := []uuid.UUID{uuid.New(), uuid.New()}
		var group sync.WaitGroup
		var right atomic.Int64
		crowd := func(ids ...uuid.UUID) {
			for range many {
				group.Go(func() {
					offers, err := c.Offers(t.Context(), ToolsRequest{IDs: ids})
					got := map[uuid.UUID]int64{}
					for _, o := range offers {
						got[o.ToolID] = o.Price
					}
					if err == nil && len(offers) == len(ids) && got[ids[0]] == 7 && got[ids[len(ids)-1]] == 7 {
						right.Add(1)
					}
				})
			}
			synctest.Wait()
		}
		crowd(ids...)
		require.EqualValues(t, 1, a.offers.Load())
		crowd(ids[1])
		require.EqualValues(t, 1, a.offers.Load(), "it is being asked about")
		crowd(ids[1], uuid.New())
		require.EqualValues(t, 2, a.offers.Load())
		group.Wait()
		require.EqualValues(t, 3*many, right.Load())
		require.Empty(t, c.questions)
		hits, misses := c.Rate()
		require.Zero(t, hits)
		require.EqualValues(t, 5*many, misses)
	})
}

// TestWhoGivesUpFailsNobodyElse: neither the one who asked first nor one who joined.
func TestWhoGivesUpFailsNobodyElse(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, _ *events.Bus) {
		a.price.Store(7)
		a.slowly(t, 100*time.Millisecond)
		in := ToolsRequest{IDs: []uuid.UUID{uuid.New()}}
		impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begun := time.Now()
		var group sync.WaitGroup
		errs := make([]error, 10)
		for i := range errs {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = impatient
			}
			group.Go(func() { _, errs[i] = c.Offers(ctx, in) })
			synctest.Wait() // the first one asks, the others join
		}
		group.Wait()
		for i, err := range errs {
			if i%2 == 0 {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, services.Unavailable, services.KindOf(err))
				continue
			}
			require.NoError(t, err)
		}
		require.Equal(t, 100*time.Millisecond, time.Since(begun))
		require.EqualValues(t, 1, a.offers.Load())
	})
}

// TestAFailureIsOneForAll who waited, and for nobody after them.
func TestAFailureIsOneForAll(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, _ *events.Bus) {
		a.price.Store(7)
		a.slowly(t, 100*time.Millisecond)
		a.fails.Store(true)
		id := uuid.New()
		errs := make([]error, 10)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() { _, errs[i] = c.Offers(t.Context(), ToolsRequest{IDs: []uuid.UUID{id}}) })
		}
		group.Wait()
		for _, err := range errs {
			require.ErrorIs(t, err, errBroken)
		}
		require.EqualValues(t, 1, a.offers.Load())
		a.fails.Store(false)
		require.EqualValues(t, 7, ask(t, c, id))
		require.EqualValues(t, 2, a.offers.Load())
	})
}

// TestNobodyJoinsAnOldQuestion: its answer may be from before what was decided
// since.
func TestNobodyJoinsAnOldQuestion(t *testing.T) {
	caching(t, func(t *testing.T, a *asked, c *Cache, bus *events.Bus) {
		id := uuid.New()
		a.price.Store(1)
		a.slowly(t, 3*time.Second)
		var group sync.WaitGroup
		var first, after, late int64
		group.Go(func() { first = ask(t, c, id) })
		time.Sleep(time.Millisecond)
		a.price.Store(2)
		bus.Publish(events.New("tool.updated", id.String(), uuid.Nil, nil))
		time.Sleep(time.Millisecond)
		group.Go(func() { after = ask(t, c, id) })
		time.Sleep(time.Second)
		a.price.Store(3) // elsewhere, and nobody has told yet
		group.Go(func() { late = ask(t, c, id) })
		group.Wait()
		require.Equal(t, []int64{1, 2, 3}, []int64{first, after, late})
		require.EqualValues(t, 3, a.offers.Load())
		require.Empty(t, c.questions)
	})
}
