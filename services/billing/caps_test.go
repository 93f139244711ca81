package billing

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/services"
)

func (b *bench) tryHold(t testing.TB, caller services.Caller, amount int64) (uuid.UUID, error) {
	t.Helper()
	id := uuid.New()
	_, err := b.service.Hold(t.Context(), HoldRequest{ID: id, Caller: caller, Owner: OwnerJob, Amount: amount, Lifetime: time.Minute})
	return id, err
}

func (b *bench) release(t testing.TB, id uuid.UUID) {
	t.Helper()
	_, err := b.service.Release(t.Context(), ReleaseRequest{HoldID: id})
	require.NoError(t, err)
}

func (b *bench) settle(t testing.TB, id uuid.UUID, amount int64) {
	t.Helper()
	_, err := b.service.Settle(t.Context(), SettleRequest{HoldID: id, Charges: []Charge{{Operation: uuid.NewString(), Amount: amount}}})
	require.NoError(t, err)
}

// theCap is the organisation's only cap.
func (b *bench) theCap(t testing.TB, caller services.Caller) Cap {
	t.Helper()
	caps, err := b.service.Caps(t.Context(), caller, CapID{}, 10)
	require.NoError(t, err)
	require.Len(t, caps, 1)
	return caps[0]
}

// scopes are a cap of each scope and period for a caller with a key.
func scopes(caller services.Caller) map[string]CapID {
	return map[string]CapID{
		"the organisation's day":   {ScopeOrganization, caller.Organization, PeriodDay},
		"the organisation's month": {ScopeOrganization, caller.Organization, PeriodMonth},
		"the member's day":         {ScopeMember, caller.Account, PeriodDay},
		"the member's month":       {ScopeMember, caller.Account, PeriodMonth},
		"the key's day":            {ScopeKey, caller.Key, PeriodDay},
		"the key's month":          {ScopeKey, caller.Key, PeriodMonth},
	}
}

func keyed() services.Caller {
	caller := user()
	caller.Key = uuid.New()
	return caller
}

// TestConcurrentHoldsAgainstACap: 200 callers want one credit each of a cap of
// 50. Exactly 50 get it, and the account pays no more.
func TestConcurrentHoldsAgainstACap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	caller := keyed()
	for name, id := range scopes(caller) {
		t.Run(name, func(t *testing.T) {
			caller := caller
			caller.Organization = uuid.New()
			if id.Scope == ScopeOrganization {
				id.Subject = caller.Organization
			}
			b.cap(t, caller, id, 50)
			var got, refused atomic.Int64
			var group sync.WaitGroup
			for range 200 {
				group.Go(func() {
					_, err := b.tryHold(t, caller, 1)
					switch {
					case err == nil:
						got.Add(1)
					case wantCapped(err) == nil:
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			group.Wait()
			require.Equal(t, int64(50), got.Load())
			require.Equal(t, int64(150), refused.Load())
			require.Equal(t, Balance{Tier: Free, Available: 9_950, Held: 50}, b.balance(t, caller))
			require.Equal(t, int64(50), b.theCap(t, caller).Spent)
			b.audit(t)
		})
	}
}

// TestEveryCapCounts: the tightest of all caps decides, and the refusal names it.
func TestEveryCapCounts(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]string{
		"the organisation's day":   "The organisation's spend cap of 100 credits a day is reached. Required: 31, Spent: 70",
		"the organisation's month": "The organisation's spend cap of 100 credits a month is reached. Required: 31, Spent: 70",
		"the member's day":         "This member's spend cap of 100 credits a day is reached. Required: 31, Spent: 70",
		"the member's month":       "This member's spend cap of 100 credits a month is reached. Required: 31, Spent: 70",
		"the key's day":            "This API key's spend cap of 100 credits a day is reached. Required: 31, Spent: 70",
		"the key's month":          "This API key's spend cap of 100 credits a month is reached. Required: 31, Spent: 70",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, caller := setup(t), keyed()
			for other, id := range scopes(caller) {
				amount := int64(1_000)
				if other == name {
					amount = 100
				}
				b.cap(t, caller, id, amount)
			}
			b.hold(t, caller, OwnerJob, 70)
			_, err := b.tryHold(t, caller, 31)
			require.NoError(t, wantCapped(err))
			require.EqualError(t, err, message)
			var e *services.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, scopes(caller)[name], e.Details.(Cap).CapID)
			require.Equal(t, Balance{Tier: Free, Available: 9_930, Held: 70}, b.balance(t, caller), "a refused hold leaves nothing behind")
			b.hold(t, caller, OwnerCall, 30)

			// Whoever the cap is not for goes on.
			stranger := keyed()
			stranger.Organization = caller.Organization
			_, err = b.tryHold(t, stranger, 100)
			if scopes(caller)[name].Scope == ScopeOrganization {
				require.NoError(t, wantCapped(err))
			} else {
				require.NoError(t, err)
			}
			b.hold(t, keyed(), OwnerCall, 1_000)
			b.audit(t)
		})
	}
}

// TestCapsAreForWhatTheySay: an id counts as what the cap's scope says it is.
func TestCapsAreForWhatTheySay(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), keyed()
	b.cap(t, caller, CapID{ScopeKey, caller.Account, PeriodDay}, 0)
	b.cap(t, caller, CapID{ScopeMember, caller.Key, PeriodDay}, 0)
	b.cap(t, caller, CapID{ScopeMember, caller.Organization, PeriodMonth}, 0)
	b.release(t, b.hold(t, caller, OwnerJob, 1))
	b.hold(t, caller, OwnerJob, 1)
	b.audit(t)
}

// TestSpentFollowsTheHold: held credits count, released ones do not, settled
// ones stay.
func TestSpentFollowsTheHold(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.cap(t, caller, organizationDay, 100)
	id := b.hold(t, caller, OwnerJob, 80)
	require.Equal(t, int64(80), b.theCap(t, caller).Spent)
	b.settle(t, id, 30)
	require.Equal(t, int64(80), b.theCap(t, caller).Spent)
	for range 2 {
		b.release(t, id)
		require.Equal(t, int64(30), b.theCap(t, caller).Spent)
	}
	whole := b.hold(t, caller, OwnerCall, 70)
	b.settle(t, whole, 70) // which closes a call's hold
	b.release(t, whole)
	require.Equal(t, int64(100), b.theCap(t, caller).Spent)
	_, err := b.tryHold(t, caller, 1)
	require.NoError(t, wantCapped(err))
	b.audit(t)
}

// TestRepeatedHoldCountsOnce, also when meanwhile there is no room for it.
func TestRepeatedHoldCountsOnce(t *testing.T) {
	t.Parallel()
	b, caller, id := setup(t), user(), uuid.New()
	b.cap(t, caller, organizationDay, 100)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			hold, err := b.service.Hold(t.Context(), HoldRequest{ID: id, Caller: caller, Owner: OwnerJob, Amount: 60, Lifetime: time.Minute})
			if err != nil || !hold.Open {
				t.Error(hold, err)
			}
		})
	}
	group.Wait()
	require.Equal(t, int64(60), b.theCap(t, caller).Spent)
	b.audit(t)
}

// TestLoweredCap: what was spent stays spent, nothing more may be, and what is
// released comes back only down to the new amount.
func TestLoweredCap(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.cap(t, caller, organizationDay, 100)
	first, second := b.hold(t, caller, OwnerJob, 50), b.hold(t, caller, OwnerJob, 40)
	require.Equal(t, int64(90), b.cap(t, caller, organizationDay, 30).Spent)
	_, err := b.tryHold(t, caller, 1)
	require.NoError(t, wantCapped(err))
	b.release(t, first) // 40 of 30
	b.audit(t)
	_, err = b.tryHold(t, caller, 1)
	require.NoError(t, wantCapped(err))
	b.settle(t, second, 25)
	b.release(t, second) // 25 of 30
	b.audit(t)
	_, err = b.tryHold(t, caller, 6)
	require.NoError(t, wantCapped(err))
	b.hold(t, caller, OwnerJob, 5)
	b.cap(t, caller, organizationDay, 31)
	b.hold(t, caller, OwnerJob, 1)
	_, err = b.tryHold(t, caller, 1)
	require.NoError(t, wantCapped(err))
	b.audit(t)
}

// TestNewCapCountsThePeriodSoFar, and no other one, and nobody else.
func TestNewCapCountsThePeriodSoFar(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), keyed()
	other := caller
	other.Account, other.Key = uuid.New(), uuid.Nil
	b.back(t, `40 days`, b.hold(t, caller, OwnerJob, 1_000))
	closed := b.hold(t, caller, OwnerJob, 200)
	b.settle(t, closed, 20)
	b.release(t, closed)
	b.hold(t, caller, OwnerJob, 3)
	b.hold(t, other, OwnerJob, 100)
	for name, id := range scopes(caller) {
		want := int64(23)
		if id.Scope == ScopeOrganization {
			want = 123
		}
		require.Equal(t, want, b.cap(t, caller, id, 5).Spent, name)
	}
	b.audit(t)
}

// back lets holds have been made earlier.
func (b *bench) back(t testing.TB, by string, ids ...uuid.UUID) {
	t.Helper()
	for _, id := range ids {
		_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.holds SET created_at = created_at - $2::text::interval WHERE hold_id = $1`, id, by)
		require.NoError(t, err)
	}
}

// TestPeriodsRollOver: a new day or month begins with nothing spent and the
// amount as it was set last; the old one's holds give nothing back to it.
func TestPeriodsRollOver(t *testing.T) {
	t.Parallel()
	for period, by := range map[Period]string{PeriodDay: "1 day", PeriodMonth: "1 month"} {
		t.Run(string(period), func(t *testing.T) {
			t.Parallel()
			b, caller := setup(t), user()
			id := CapID{ScopeOrganization, caller.Organization, period}
			b.cap(t, caller, id, 100)
			old, kept := b.hold(t, caller, OwnerJob, 60), b.hold(t, caller, OwnerJob, 40)
			begun := b.cap(t, caller, id, 50).PeriodStart // lowered: the ceiling is 100 until the period is over
			b.back(t, by, old, kept)
			_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.caps SET period_start = date_trunc(period, period_start - $1::text::interval)::date`, by)
			require.NoError(t, err)

			c := b.theCap(t, caller)
			require.Zero(t, c.Spent, "nothing is spent in the new period")
			require.Equal(t, begun, c.PeriodStart)
			_, err = b.tryHold(t, caller, 51)
			require.NoError(t, wantCapped(err), "the ceiling is the amount again")
			b.release(t, old) // before anything is held in the new period
			fresh := b.hold(t, caller, OwnerJob, 30)
			require.Equal(t, int64(30), b.theCap(t, caller).Spent)
			b.audit(t)
			b.release(t, kept)
			require.Equal(t, int64(30), b.theCap(t, caller).Spent, "the old period's hold gives nothing back to the new one")
			b.release(t, fresh)
			require.Zero(t, b.theCap(t, caller).Spent)
			b.audit(t)
		})
	}
}

// TestDayAndMonthRollApart: the day is over, its month goes on.
func TestDayAndMonthRollApart(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.cap(t, caller, CapID{Scope: ScopeOrganization, Period: PeriodDay}, 50)
	b.cap(t, caller, CapID{Scope: ScopeOrganization, Period: PeriodMonth}, 80)
	b.hold(t, caller, OwnerJob, 50)
	_, err := b.tryHold(t, caller, 1)
	require.NoError(t, wantCapped(err))
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_billing.caps SET period_start = period_start - 1 WHERE period = 'day'`)
	require.NoError(t, err)
	b.hold(t, caller, OwnerJob, 30)
	_, err = b.tryHold(t, caller, 1)
	require.ErrorContains(t, err, "80 credits a month")
}

// TestMixedLoadKeepsSpentRight: holds, payments and releases at once, while the
// caps are set, lowered and removed.
func TestMixedLoadKeepsSpentRight(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), keyed()
	b.cap(t, caller, organizationDay, 3_000)
	var group sync.WaitGroup
	for worker := range 6 {
		group.Go(func() {
			for i := range 15 {
				id, err := b.tryHold(t, caller, int64(10+worker))
				if err != nil {
					if wantCapped(err) != nil {
						t.Error(err)
					}
					continue
				}
				if i%3 > 0 {
					b.settle(t, id, int64(1+worker))
				}
				if i%5 > 0 {
					b.release(t, id)
				}
			}
		})
	}
	for name, id := range scopes(caller) {
		group.Go(func() {
			for i := range 6 {
				if _, err := b.service.SetCap(t.Context(), caller, id, int64(100*i)); err != nil {
					t.Error(name, err)
				}
				if i%2 == 1 {
					if err := b.service.RemoveCap(t.Context(), caller, id); err != nil {
						t.Error(name, err)
					}
				}
			}
			if _, err := b.service.SetCap(t.Context(), caller, id, 500); err != nil {
				t.Error(name, err)
			}
		})
	}
	group.Wait()
	b.audit(t)
}

// waiting returns once so many statements wait for a lock.
func (b *bench) waiting(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		err := b.pool.QueryRow(context.Background(), `
			SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting == n
	}, 20*time.Second, 2*time.Millisecond)
}

// TestCapSetWhileOthersWait: a hold and a release that began before a cap was
// set, and wait for the account until it is, count all the same.
func TestCapSetWhileOthersWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		act  func(t *testing.T, b *bench, caller services.Caller, held uuid.UUID) error
		want error
	}{
		"a hold": {act: func(t *testing.T, b *bench, caller services.Caller, _ uuid.UUID) error {
			_, err := b.tryHold(t, caller, 40)
			return wantCapped(err)
		}},
		"a release": {act: func(t *testing.T, b *bench, _ services.Caller, held uuid.UUID) error {
			_, err := b.service.Release(t.Context(), ReleaseRequest{HoldID: held})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, caller := setup(t), user()
			held := b.hold(t, caller, OwnerJob, 70)
			tx, err := b.pool.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.Background()) }()
			_, err = tx.Exec(t.Context(), `SELECT 1 FROM uaol_billing.accounts FOR UPDATE`)
			require.NoError(t, err)
			done := make(chan error, 2)
			go func() {
				_, err := b.service.SetCap(t.Context(), caller, organizationDay, 100)
				done <- err
			}()
			b.waiting(t, 1)
			go func() { done <- test.act(t, b, caller, held) }()
			b.waiting(t, 2)
			require.NoError(t, tx.Rollback(t.Context()))
			require.NoError(t, errors.Join(<-done, <-done))
			b.audit(t)
		})
	}
}

func TestCapsOfOthersAreNotReached(t *testing.T) {
	t.Parallel()
	b, caller, other := setup(t), user(), user()
	_, err := b.service.SetCap(t.Context(), caller, CapID{ScopeOrganization, other.Organization, PeriodDay}, 1)
	require.Equal(t, services.Invalid, services.KindOf(err))
	_, err = b.service.SetCap(t.Context(), caller, CapID{Scope: ScopeMember, Period: PeriodDay}, 1)
	require.Equal(t, services.Invalid, services.KindOf(err))
	// The other's account and key can be named, but only what they spend here counts.
	b.cap(t, caller, CapID{ScopeMember, other.Account, PeriodDay}, 0)
	b.hold(t, other, OwnerJob, 5)
	require.Equal(t, services.NotFound, services.KindOf(b.service.RemoveCap(t.Context(), other, CapID{ScopeMember, other.Account, PeriodDay})))
	require.NoError(t, b.service.RemoveCap(t.Context(), caller, CapID{ScopeMember, other.Account, PeriodDay}))
	b.audit(t)
}

func TestCapsAreListedInPages(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), keyed()
	for _, id := range scopes(caller) {
		b.cap(t, caller, id, 7)
	}
	h := b.handler(t)
	seen := map[CapID]bool{}
	for cursor := "begin"; cursor != ""; {
		if cursor == "begin" {
			cursor = ""
		}
		page, err := h.caps(t.Context(), caller, &struct{ api.Paging }{api.Paging{Limit: 4, Cursor: cursor}})
		require.NoError(t, err)
		for _, c := range page.Data {
			require.False(t, seen[c.CapID])
			seen[c.CapID] = true
		}
		cursor = page.NextCursor
	}
	require.Len(t, seen, 6)
}

// BenchmarkHold is what a hold costs: before there are any caps, and with a cap
// of each scope and period, among those of a thousand other members.
func BenchmarkHold(b *testing.B) {
	for name, caps := range map[string]bool{"without caps": false, "with six caps": true} {
		b.Run(name, func(b *testing.B) {
			bench, caller := setup(b), keyed()
			bench.balance(b, caller)
			_, err := bench.pool.Exec(b.Context(), `UPDATE uaol_billing.accounts SET available = available + 1000000000, grants = grants + 1000000000`)
			require.NoError(b, err)
			if caps {
				for _, id := range scopes(caller) {
					bench.cap(b, caller, id, 1_000_000_000)
				}
				_, err := bench.pool.Exec(b.Context(), `
					INSERT INTO uaol_billing.caps SELECT $1::uuid, 'member', gen_random_uuid(), 'day', now()::date, 9, 9, 0 FROM generate_series(1, 1000)`, caller.Organization)
				require.NoError(b, err)
				_, err = bench.pool.Exec(b.Context(), `ANALYZE uaol_billing.caps`)
				require.NoError(b, err)
			}
			for b.Loop() {
				bench.hold(b, caller, OwnerCall, 1)
			}
		})
	}
}
