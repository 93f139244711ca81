package billing

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// TestPlansOfStatements: with many holds, open and closed, what is written for a
// batch of any size looks nothing up by reading all.
func TestPlansOfStatements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	caller := user()
	b.balance(t, caller)
	_, err := b.pool.Exec(t.Context(), `
		INSERT INTO uaol_billing.holds (hold_id, organization_id, owner, amount, state, expires_at, created_at)
		SELECT gen_random_uuid(), gen_random_uuid(), 'job', 1, CASE WHEN n % 10 = 0 THEN 'open' ELSE 'closed' END, now() + interval '1 hour', now() FROM generate_series(1, 20000) n`)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `
		INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, hold_id, created_at)
		SELECT organization_id, 1, hold_id::text, 'hold', 1, 0, hold_id, now() FROM uaol_billing.holds`)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `
		INSERT INTO uaol_billing.accounts (organization_id, tier, available, held, grants, revenue, created_at)
		SELECT gen_random_uuid(), 'Free', 0, 0, 0, 0, now() FROM generate_series(1, 60000)`)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `ANALYZE uaol_billing.holds, uaol_billing.journal, uaol_billing.accounts`)
	require.NoError(t, err)

	plans := pgtest.Explain(t, b.pool, "uaol_billing", "holds", "journal", "accounts")
	r := NewRepository(plans.Pool)
	for _, size := range []int{1, 50, 1000} {
		holds, settlements, releases := make([]HoldRequest, size), make([]SettleRequest, size), make([]ReleaseRequest, size)
		for i := range holds {
			holds[i] = callOf(caller, 2)
			settlements[i] = SettleRequest{HoldID: holds[i].ID, Charges: []Charge{{Operation: uuid.NewString(), Amount: 1}}}
			releases[i] = ReleaseRequest{HoldID: holds[i].ID}
		}
		held, err := r.holdAll(t.Context(), b.askedBy(t, holds...))
		require.NoError(t, err)
		require.Len(t, held, size)
		settled, err := r.settleAll(t.Context(), settlements)
		require.NoError(t, err)
		require.Len(t, settled, size)
		released, err := r.releaseAll(t.Context(), releases)
		require.NoError(t, err)
		require.Len(t, released, size)
	}
	_, err = r.expired(t.Context(), 100)
	require.NoError(t, err)
	_, err = r.findHold(t.Context(), uuid.New())
	require.Equal(t, services.NotFound, services.KindOf(err))
	require.GreaterOrEqual(t, plans.Seen(), 11)
}

// TestReleasesFindTheirHolds: while a database has not counted its rows (autovacuum
// is behind), the index of open holds looks empty to it and is full of what has
// been closed. Those that are released are found by their ids all the same.
func TestReleasesFindTheirHolds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plans := pgtest.Explain(t, b.pool, "uaol_billing", "journal")
	r := NewRepository(plans.Pool)
	for _, size := range []int{1, 50} {
		batch := make([]ReleaseRequest, size)
		for i := range batch {
			batch[i].HoldID = uuid.New()
		}
		_, err := r.releaseAll(t.Context(), batch)
		require.NoError(t, err)
		require.NotContains(t, plans.Last(), "holds_expiry")
		ids := make([]string, size)
		for i := range batch {
			ids[i] = batch[i].HoldID.String()
		}
		require.NoError(t, r.prolong(t.Context(), ids, time.Minute))
		require.NotContains(t, plans.Last(), "holds_expiry")
	}
}
