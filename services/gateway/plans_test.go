package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services/billing"
)

// tariff is a Meter that knows one plan.
type tariff struct {
	billing.Meter
	rate  atomic.Int64
	down  atomic.Bool
	asked atomic.Int64
}

func (m *tariff) Plans(ctx context.Context, in billing.PlansRequest) ([]billing.Plan, error) {
	m.asked.Add(1)
	if m.down.Load() {
		<-ctx.Done()
		return nil, errors.New("billing is away")
	}
	return []billing.Plan{{Rate: m.rate.Load()}}, nil
}

// TestPlansAreKnownByHeart: billing is asked once, again behind after a minute, and
// while it is away what was known goes on counting.
func TestPlansAreKnownByHeart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		meter := &tariff{}
		meter.rate.Store(600)
		p := newPlans(meter)
		defer p.Close()
		ada := uuid.New()
		for range 1000 {
			require.Equal(t, 600, p.Rate(t.Context(), ada))
		}
		require.EqualValues(t, 1, meter.asked.Load())
		meter.rate.Store(900)
		time.Sleep(planFresh + time.Second) // the bubble's clock
		require.Equal(t, 600, p.Rate(t.Context(), ada), "nobody waits")
		synctest.Wait()
		require.Equal(t, 900, p.Rate(t.Context(), ada))
		require.EqualValues(t, 2, meter.asked.Load())

		meter.down.Store(true)
		time.Sleep(planFresh + time.Second)
		for range 10 {
			require.Equal(t, 900, p.Rate(t.Context(), ada))
		}
		time.Sleep(planPatience)
		synctest.Wait()
		require.EqualValues(t, 3, meter.asked.Load())
		begun := time.Now()
		other := uuid.New()
		for range 10 {
			require.Zero(t, p.Rate(t.Context(), other))
		}
		require.LessOrEqual(t, time.Since(begun), planPatience, "only the first waits")
		require.EqualValues(t, 4, meter.asked.Load())
		meter.down.Store(false)
		time.Sleep(planUnknown + time.Second)
		p.Rate(t.Context(), other)
		synctest.Wait()
		require.Equal(t, 900, p.Rate(t.Context(), other))
	})
}
