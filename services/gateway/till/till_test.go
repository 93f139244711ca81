package till

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/postgres/pgtest"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/billing/billingtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func user() services.Caller {
	return services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
}

// flaky is a ledger that is out of reach now and then.
type flaky struct {
	billing.Meter
	left atomic.Int64 // failures to come
}

func (f *flaky) Settle(ctx context.Context, in billing.SettleRequest) (billing.Hold, error) {
	if f.left.Add(-1) >= 0 {
		return billing.Hold{}, services.Errorf(services.Unavailable, "not now")
	}
	return f.Meter.Settle(ctx, in)
}

// TestTill: what is held is a model's and no tool call; what it cost is paid once, also
// when the ledger was out of reach, and the rest is given back.
func TestTill(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	ledger, caller := &flaky{Meter: billingtest.New(t, pool)}, user()
	till := New(ledger, time.Minute, zap.NewNop())
	state := func() (available, held int64) {
		b, err := ledger.Balance(t.Context(), billing.BalanceRequest{Caller: caller})
		require.NoError(t, err)
		return b.Available, b.Held
	}
	before, _ := state()
	hold, err := till.Hold(t.Context(), caller, 40)
	require.NoError(t, err)
	var owner string
	var calls int64
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT owner, calls FROM uaol_billing.holds WHERE hold_id = $1`, hold).Scan(&owner, &calls))
	require.Equal(t, string(billing.OwnerModel), owner)
	require.Zero(t, calls)
	ledger.left.Store(2)
	gone, leave := context.WithCancel(t.Context())
	leave()
	till.Settle(gone, hold, billing.Charge{Operation: "a", Amount: 15})
	available, held := state()
	require.Equal(t, before-15, available)
	require.Zero(t, held)

	hold, err = till.Hold(t.Context(), caller, 40)
	require.NoError(t, err)
	till.Settle(t.Context(), hold, billing.Charge{Operation: "a", Amount: 15})
	available, held = state()
	require.Equal(t, before-15, available, "an operation is paid once")
	require.Zero(t, held)
	hold, err = till.Hold(t.Context(), caller, 40)
	require.NoError(t, err)
	till.Settle(t.Context(), hold, billing.Charge{})
	available, held = state()
	require.Equal(t, before-15, available)
	require.Zero(t, held)
	_, err = till.Hold(t.Context(), caller, 1_000_000)
	require.True(t, services.Is(err, services.Insufficient), err)
}
