package billing

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/config"
	"uaol/services"
)

// TestPlansCalls: a month has so many charged calls; what is released unpaid comes
// back, and the next month begins anew.
func TestPlansCalls(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	cfg, err := config.Parse[PlansConfig](config.Of(map[string]string{"UAOL_PLAN_FREE": "credits=10000 calls=10"}))
	require.NoError(t, err)
	b.service = NewService(cfg, b.repository)
	job := HoldRequest{ID: uuid.New(), Caller: caller, Owner: OwnerJob, Amount: 4, Calls: 4, Lifetime: time.Minute}
	_, err = b.service.Hold(t.Context(), job)
	require.NoError(t, err)
	var got, refused atomic.Int64
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			switch _, err := b.service.Hold(t.Context(), callOf(caller, 1)); {
			case err == nil:
				got.Add(1)
			case services.Is(err, services.Forbidden):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 6, got.Load())
	require.EqualValues(t, 14, refused.Load())
	_, err = b.service.Hold(t.Context(), callOf(caller, 1))
	require.ErrorContains(t, err, "The plan Free has 10 charged tool calls a month; 0 are left until ")
	for range 2 {
		_, err = b.service.Release(t.Context(), ReleaseRequest{HoldID: job.ID})
		require.NoError(t, err)
	}
	for range 4 {
		_, err = b.service.Hold(t.Context(), callOf(caller, 1))
		require.NoError(t, err)
	}
	_, err = b.service.Hold(t.Context(), callOf(caller, 1))
	require.Equal(t, services.Forbidden, services.KindOf(err))

	_, err = b.service.Grant(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 5}) // this month had its credits
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_billing.accounts SET renews_at = now() - interval '1 second'`)
	require.NoError(t, err)
	_, err = b.service.Hold(t.Context(), callOf(caller, 1))
	require.NoError(t, err, "a new month")
	b.audit(t)
}
