package billing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/postgres"
	"uaol/services"
)

// pass lets an account's month be over, as though it had begun long ago: what it
// began with has another name than this month's.
func (b *bench) pass(t testing.TB, organization uuid.UUID) {
	t.Helper()
	for _, sql := range []string{
		`UPDATE uaol_billing.accounts SET renews_at = now() - interval '1 second' WHERE organization_id = $1`,
		`UPDATE uaol_billing.journal SET operation_id = 'month/long ago/' || seq WHERE organization_id = $1 AND operation_id LIKE 'month/20%'`,
	} {
		_, err := b.pool.Exec(t.Context(), sql, organization)
		require.NoError(t, err)
	}
}

// paid lets something be paid for, as payments do.
func (b *bench) paid(t testing.TB, f func(p *Paid, tx pgx.Tx) error) {
	t.Helper()
	require.NoError(t, postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error { return f(NewPaid(plans(t)), tx) }))
}

func (b *bench) buy(t testing.TB, caller services.Caller, credits int64) {
	t.Helper()
	b.paid(t, func(p *Paid, tx pgx.Tx) error {
		return p.Purchase(t.Context(), tx, caller.Organization, uuid.NewString(), credits, "")
	})
}

func (b *bench) takeBack(t testing.TB, caller services.Caller, operation string, credits int64) {
	t.Helper()
	b.paid(t, func(p *Paid, tx pgx.Tx) error {
		return p.TakeBack(t.Context(), tx, caller.Organization, operation, credits, "")
	})
}

func (b *bench) subscribe(t testing.TB, caller services.Caller, tier Tier, from, until time.Time, invoice string) {
	t.Helper()
	b.paid(t, func(p *Paid, tx pgx.Tx) error {
		return p.Subscribed(t.Context(), tx, caller.Organization, string(tier), from, until, invoice)
	})
}

func (b *bench) unsubscribe(t testing.TB, caller services.Caller) {
	t.Helper()
	b.paid(t, func(p *Paid, tx pgx.Tx) error { return p.Unsubscribed(t.Context(), tx, caller.Organization) })
}

func (b *bench) give(t testing.TB, caller services.Caller, credits int64) {
	t.Helper()
	_, err := b.service.Grant(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: credits})
	require.NoError(t, err)
}

// lines are what happened to an account, as kind and amount.
func (b *bench) lines(t testing.TB, organization uuid.UUID) []string {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `SELECT kind || ' ' || amount FROM uaol_billing.journal WHERE organization_id = $1 ORDER BY seq`, organization)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

func (b *bench) account(t testing.TB, organization uuid.UUID) account {
	t.Helper()
	a, err := b.repository.account(t.Context(), organization)
	require.NoError(t, err)
	return a
}

// TestAMonthEnds: what is unused of its credits does too; what was bought or
// given stays.
func TestAMonthEnds(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	b.buy(t, caller, 500)
	b.give(t, caller, 40)
	id := b.hold(t, caller, OwnerJob, 3_000)
	b.settle(t, id, 1_000)
	b.release(t, id)
	require.Equal(t, Balance{Tier: Free, Available: 9_540}, b.balance(t, caller))
	b.pass(t, caller.Organization)
	require.Equal(t, Balance{Tier: Free, Available: 10_540}, b.balance(t, caller))
	require.Equal(t, []string{"grant 10000", "purchase 500", "grant 40", "hold 3000", "settle 1000", "release 2000", "expire 9000", "grant 10000"},
		b.lines(t, caller.Organization))
	require.True(t, b.account(t, caller.Organization).RenewsAt.After(time.Now()))

	// Whoever has used it all up, and of the rest some, has the rest of the rest.
	id = b.hold(t, caller, OwnerJob, 10_100)
	b.settle(t, id, 10_100)
	b.pass(t, caller.Organization)
	require.Equal(t, Balance{Tier: Free, Available: 10_440}, b.balance(t, caller))
	require.NotContains(t, b.lines(t, caller.Organization)[8:], "expire 0", "nothing expires where nothing is left")
	b.audit(t)
}

// TestAMonthBeginsOnce, whoever asks at once, in this process and in another.
func TestAMonthBeginsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := NewService(plans(t), NewRepository(b.pool))
	for round := range 3 {
		caller := user()
		b.balance(t, caller)
		b.buy(t, caller, 77)
		b.pass(t, caller.Organization)
		var group sync.WaitGroup
		for i := range 20 {
			service := []*Service{b.service, other}[i%2]
			group.Go(func() {
				if i%4 < 2 {
					got, err := service.Balance(t.Context(), BalanceRequest{Caller: caller})
					if err != nil || got.Available > 10_077 {
						t.Errorf("%+v: %v", got, err)
					}
					return
				}
				if _, err := service.Hold(t.Context(), callOf(caller, 5)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Equal(t, Balance{Tier: Free, Available: 10_027, Held: 50}, b.balance(t, caller), round)
		lines := b.lines(t, caller.Organization)
		require.Equal(t, []string{"grant 10000", "purchase 77", "expire 10000", "grant 10000"}, lines[:4], "before any of the holds")
		require.Len(t, lines, 14)
	}
	b.audit(t)
}

// TestAHoldAfterAMonthsEndBeginsTheNext: the month's credits can't be spent in the
// month after, neither by the statement itself nor by asking for the hold.
func TestAHoldAfterAMonthsEndBeginsTheNext(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	b.pass(t, caller.Organization)
	in := callOf(caller, 10_000)
	done, err := b.repository.holdAll(t.Context(), b.askedBy(t, in))
	require.NoError(t, err)
	require.Empty(t, done, "the statement leaves an account alone whose month is over")
	_, err = b.service.Hold(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, []string{"grant 10000", "expire 10000", "grant 10000", "hold 10000"}, b.lines(t, caller.Organization))

	// So it is for many.
	b.pass(t, caller.Organization)
	many, err := b.service.HoldMany(t.Context(), HoldsRequest{Holds: []HoldRequest{callOf(caller, 4_000), callOf(caller, 4_000), callOf(caller, 4_000)}})
	require.NoError(t, err)
	require.Nil(t, many[0].Error)
	require.Nil(t, many[1].Error)
	require.Equal(t, services.Insufficient, many[2].Error.Kind)
	require.Equal(t, Balance{Tier: Free, Available: 2_000, Held: 18_000}, b.balance(t, caller))
	b.audit(t)
}

// TestHeldOverAMonthsEnd: whether it was used is known only when the hold ends.
func TestHeldOverAMonthsEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, test := range map[string]struct {
		bought int64
		holds  []int64
		end    func(t *testing.T, ids []uuid.UUID)
		want   Balance
		lines  []string // after the month's end
	}{
		"released, it expires": {0, []int64{6_000}, func(t *testing.T, ids []uuid.UUID) { b.release(t, ids[0]) },
			Balance{Tier: Free, Available: 10_000}, []string{"expire 4000", "grant 10000", "release 6000", "expire 6000"}},
		"settled, it is used up": {0, []int64{6_000}, func(t *testing.T, ids []uuid.UUID) { b.settle(t, ids[0], 6_000); b.release(t, ids[0]) },
			Balance{Tier: Free, Available: 10_000}, []string{"expire 4000", "grant 10000", "settle 6000"}},
		"in part, the rest expires": {0, []int64{6_000}, func(t *testing.T, ids []uuid.UUID) { b.settle(t, ids[0], 1_000); b.release(t, ids[0]) },
			Balance{Tier: Free, Available: 10_000}, []string{"expire 4000", "grant 10000", "settle 1000", "release 5000", "expire 5000"}},
		"beside what was bought, only the month's": {500, []int64{10_300}, func(t *testing.T, ids []uuid.UUID) { b.release(t, ids[0]) },
			Balance{Tier: Free, Available: 10_500}, []string{"grant 10000", "release 10300", "expire 10000"}},
		"what another hold can use up stays": {5_000, []int64{5_000, 10_000}, func(t *testing.T, ids []uuid.UUID) { b.release(t, ids[0]); b.settle(t, ids[1], 10_000) },
			Balance{Tier: Free, Available: 15_000}, []string{"grant 10000", "release 5000", "settle 10000"}},
		"and expires with the last": {5_000, []int64{5_000, 10_000}, func(t *testing.T, ids []uuid.UUID) { b.release(t, ids[0]); b.release(t, ids[1]) },
			Balance{Tier: Free, Available: 15_000}, []string{"grant 10000", "release 5000", "release 10000", "expire 10000"}},
		"together, once": {0, []int64{1_000, 2_000}, func(t *testing.T, ids []uuid.UUID) {
			outcomes, err := b.service.ReleaseMany(t.Context(), ReleasesRequest{Releases: []ReleaseRequest{{ids[0]}, {ids[1]}}})
			require.NoError(t, err)
			require.Nil(t, outcomes[0].Error)
			require.Nil(t, outcomes[1].Error)
		}, Balance{Tier: Free, Available: 10_000}, nil},
		"over two months' ends": {0, []int64{6_000}, func(t *testing.T, ids []uuid.UUID) {
			row, err := b.repository.findHold(t.Context(), ids[0])
			require.NoError(t, err)
			b.pass(t, row.Organization)
			_, err = b.service.open(t.Context(), row.Organization, HolderUser)
			require.NoError(t, err)
			b.release(t, ids[0])
		}, Balance{Tier: Free, Available: 10_000}, []string{"expire 4000", "grant 10000", "expire 10000", "grant 10000", "release 6000", "expire 6000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caller := user()
			b.balance(t, caller)
			if test.bought > 0 {
				b.buy(t, caller, test.bought)
			}
			ids := make([]uuid.UUID, len(test.holds))
			for i, amount := range test.holds {
				ids[i] = b.hold(t, caller, OwnerJob, amount)
			}
			before := len(b.lines(t, caller.Organization))
			b.pass(t, caller.Organization)
			b.balance(t, caller)
			test.end(t, ids)
			require.Equal(t, test.want, b.balance(t, caller))
			if test.lines != nil {
				require.Equal(t, test.lines, b.lines(t, caller.Organization)[before:])
			}
			var stale int64
			require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT stale FROM uaol_billing.accounts WHERE organization_id = $1`, caller.Organization).Scan(&stale))
			require.Zero(t, stale)
		})
	}
	t.Cleanup(func() { b.audit(t) })
}

// TestAGuestRegisters: it keeps what it had, and that never ends.
func TestAGuestRegisters(t *testing.T) {
	t.Parallel()
	b, guest := setup(t), user()
	guest.Role = services.RoleGuest
	require.Equal(t, Balance{Tier: Free, Available: 1_000}, b.balance(t, guest))
	require.True(t, b.account(t, guest.Organization).RenewsAt.Equal(never))
	b.settle(t, b.hold(t, guest, OwnerJob, 300), 300)
	registered := guest
	registered.Role = services.RoleUser
	require.Equal(t, Balance{Tier: Free, Available: 10_700}, b.balance(t, registered))
	require.Equal(t, Balance{Tier: Free, Available: 10_700}, b.balance(t, guest), "a session from before makes no guest of it")
	b.pass(t, guest.Organization)
	require.Equal(t, Balance{Tier: Free, Available: 10_700}, b.balance(t, registered))
	require.Equal(t, []string{"grant 1000", "hold 300", "settle 300", "grant 10000", "expire 10000", "grant 10000"}, b.lines(t, guest.Organization))
	_, err := b.service.SetTier(t.Context(), Correction{Organization: b.guest(t), Operation: uuid.New(), Tier: Pro})
	require.Equal(t, services.Conflict, services.KindOf(err), "a guest has no plan: %v", err)
	b.audit(t)
}

func (b *bench) guest(t testing.TB) uuid.UUID {
	t.Helper()
	guest := user()
	guest.Role = services.RoleGuest
	b.balance(t, guest)
	return guest.Organization
}

// TestSubscriptions: what was paid for is there at once, once, and ends when it
// does.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	b.buy(t, caller, 7)
	b.settle(t, b.hold(t, caller, OwnerJob, 2_000), 2_000)
	now := time.Now().UTC().Truncate(time.Second)
	from, until := now.Add(-time.Hour), now.AddDate(0, 0, 20)
	for range 2 {
		b.subscribe(t, caller, Pro, from, until, "in_1")
		require.Equal(t, Balance{Tier: Pro, Available: 100_007}, b.balance(t, caller))
	}
	a := b.account(t, caller.Organization)
	require.True(t, a.RenewsAt.Equal(until.Add(grace)), "%s", a.RenewsAt)
	b.settle(t, b.hold(t, caller, OwnerJob, 10_000), 10_000)
	b.subscribe(t, caller, Pro, from, until, "in_1")
	require.Equal(t, Balance{Tier: Pro, Available: 90_007}, b.balance(t, caller), "a late repetition gives nothing back")

	// The one before comes late; the next one comes early.
	b.subscribe(t, caller, Enterprise, from.AddDate(0, -1, 0), from.AddDate(0, 0, 10), "in_0")
	require.Equal(t, Balance{Tier: Pro, Available: 90_007}, b.balance(t, caller))
	require.True(t, b.account(t, caller.Organization).RenewsAt.Equal(until.Add(grace)))
	b.subscribe(t, caller, Enterprise, until, until.AddDate(0, 1, 0), "in_2")
	require.Equal(t, Balance{Tier: Enterprise, Available: 1_000_007}, b.balance(t, caller))
	b.subscribe(t, caller, Pro, from, until, "in_1")
	b.subscribe(t, caller, Pro, from, until, "in_1b")
	require.Equal(t, Balance{Tier: Enterprise, Available: 1_000_007}, b.balance(t, caller), "older invoices change nothing")

	for range 2 {
		b.unsubscribe(t, caller)
		require.Equal(t, Balance{Tier: Free, Available: 7}, b.balance(t, caller), "this month has had its Free credits")
	}
	b.subscribe(t, caller, Pro, now, now.AddDate(0, 1, 0), "in_3")
	require.Equal(t, Balance{Tier: Pro, Available: 100_007}, b.balance(t, caller))
	b.unsubscribe(t, caller)
	require.Equal(t, Balance{Tier: Free, Available: 7}, b.balance(t, caller), "coming back gives no second Free month")
	b.pass(t, caller.Organization)
	require.Equal(t, Balance{Tier: Free, Available: 10_007}, b.balance(t, caller))

	// What was over long before it was heard of changes nothing.
	b.subscribe(t, caller, Pro, now.AddDate(0, -2, 0), now.AddDate(0, -1, 0), "in_old")
	require.Equal(t, Balance{Tier: Free, Available: 10_007}, b.balance(t, caller))
	b.audit(t)
}

// TestASubscriptionThatIsNotPaidAnyMore ends after the grace by itself.
func TestASubscriptionThatIsNotPaidAnyMore(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	now := time.Now().UTC()
	late := now.Add(-grace + time.Hour)
	b.subscribe(t, caller, Pro, late.AddDate(0, -1, 0), late, "in_1") // its end has passed, its grace has not
	require.Equal(t, Balance{Tier: Pro, Available: 100_000}, b.balance(t, caller))
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.accounts SET paid_from = paid_from - interval '1 day', paid_until = paid_until - interval '1 day',
		renews_at = now() WHERE organization_id = $1`, caller.Organization)
	require.NoError(t, err)
	require.Equal(t, Balance{Tier: Free, Available: 10_000}, b.balance(t, caller))
	a := b.account(t, caller.Organization)
	require.Nil(t, a.PaidUntil)
	require.Nil(t, a.PaidFrom)
	b.audit(t)
}

// TestAYearMonthByMonth: each month of a year that was paid for at once has its
// credits when it begins.
func TestAYearMonthByMonth(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	from := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	b.subscribe(t, caller, Pro, from, addMonths(from, 12), "in_year")
	require.True(t, b.account(t, caller.Organization).RenewsAt.Equal(addMonths(from, 1)))
	b.settle(t, b.hold(t, caller, OwnerJob, 1_000), 1_000)
	// As though two months had passed, and the second was asked in by nobody.
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.accounts SET paid_from = $2, paid_until = $3, renews_at = $4 WHERE organization_id = $1`,
		caller.Organization, from.AddDate(0, 0, -65), addMonths(from.AddDate(0, 0, -65), 12), from.AddDate(0, 0, -30))
	require.NoError(t, err)
	for range 2 {
		require.Equal(t, Balance{Tier: Pro, Available: 100_000}, b.balance(t, caller))
	}
	_, end := month(from.AddDate(0, 0, -65), time.Now())
	require.True(t, b.account(t, caller.Organization).RenewsAt.Equal(end))
	require.Equal(t, []string{"expire 99000", "grant 100000"}, b.lines(t, caller.Organization)[5:])
	b.audit(t)
}

// TestPaidForBeforeAnybodyAsked: a payment may be heard of before its account was
// ever asked for. Whoever asks first finds what was paid for, once.
func TestPaidForBeforeAnybodyAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now().UTC().Truncate(time.Second)
	for name, first := range map[string]func(t *testing.T, caller services.Caller){
		"a balance": func(t *testing.T, caller services.Caller) { b.balance(t, caller) },
		"a hold":    func(t *testing.T, caller services.Caller) { b.release(t, b.hold(t, caller, OwnerJob, 10)) },
		"an admin": func(t *testing.T, caller services.Caller) {
			operation := uuid.New()
			for range 3 {
				_, err := b.service.Deduct(t.Context(), Correction{Organization: caller.Organization, Operation: operation, Amount: 1})
				require.NoError(t, err)
			}
			b.give(t, caller, 1)
		},
	} {
		for holder, caller := range map[Holder]services.Caller{HolderUser: user(), HolderShared: actingFor(user(), uuid.New())} {
			t.Run(name+" of "+string(holder), func(t *testing.T) {
				t.Parallel()
				b.subscribe(t, caller, Pro, now.Add(-time.Hour), now.AddDate(0, 1, 0), "in_"+uuid.NewString())
				first(t, caller)
				for range 2 {
					require.Equal(t, Balance{Tier: Pro, Available: 100_000}, b.balance(t, caller))
				}
				require.Equal(t, holder, b.account(t, caller.Organization).Holder)
			})
		}
	}
	t.Run("and what was spent until then stays spent", func(t *testing.T) {
		t.Parallel()
		caller := user()
		b.subscribe(t, caller, Pro, now.Add(-time.Hour), now.AddDate(0, 1, 0), "in_spent")
		b.settle(t, b.hold(t, caller, OwnerJob, 30_000), 30_000)
		require.Equal(t, Balance{Tier: Pro, Available: 70_000}, b.balance(t, caller))
	})
	t.Run("credits that were bought", func(t *testing.T) {
		t.Parallel()
		caller := user()
		b.buy(t, caller, 55)
		require.Equal(t, Balance{Tier: Free, Available: 10_055}, b.balance(t, caller))
	})
	t.Cleanup(func() { b.audit(t) })
}

func TestSetTier(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	b.buy(t, caller, 5)
	operation := uuid.New()
	set := func(tier Tier, operation uuid.UUID) Balance {
		balance, err := b.service.SetTier(t.Context(), Correction{Organization: caller.Organization, Operation: operation, Tier: tier})
		require.NoError(t, err)
		require.Equal(t, balance, b.balance(t, caller))
		return balance
	}
	for range 2 {
		require.Equal(t, Balance{Tier: Enterprise, Available: 1_000_005}, set(Enterprise, operation))
	}
	b.settle(t, b.hold(t, caller, OwnerJob, 100), 100)
	require.Equal(t, Balance{Tier: Enterprise, Available: 999_905}, set(Enterprise, uuid.New()), "it has that tier: nothing is given twice")
	b.pass(t, caller.Organization)
	require.Equal(t, Balance{Tier: Enterprise, Available: 1_000_005}, b.balance(t, caller), "and keeps it")

	now := time.Now()
	b.subscribe(t, caller, Pro, now, now.AddDate(0, 1, 0), "in_1")
	require.Equal(t, Balance{Tier: Pro, Available: 100_005}, set(Pro, uuid.New()), "the same tier, that nobody pays for")
	require.Nil(t, b.account(t, caller.Organization).PaidUntil, "a subscription has no say any more")
	b.unsubscribe(t, caller)
	require.Equal(t, Pro, b.balance(t, caller).Tier)

	_, err := b.service.SetTier(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Tier: "Gold"})
	require.Equal(t, services.Invalid, services.KindOf(err))
	b.audit(t)
}

// TestTiersToAndFro refill nothing: what was used of the month stays used, and a
// repeated or misused operation changes nothing.
func TestTiersToAndFro(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	b.settle(t, b.hold(t, caller, OwnerJob, 9_000), 9_000)
	first := uuid.New()
	set := func(tier Tier, operation uuid.UUID) error {
		_, err := b.service.SetTier(t.Context(), Correction{Organization: caller.Organization, Operation: operation, Tier: tier})
		return err
	}
	require.NoError(t, set(Pro, first))
	require.Equal(t, Balance{Tier: Pro, Available: 91_000}, b.balance(t, caller))
	require.Equal(t, services.Conflict, services.KindOf(set(Free, first)))
	require.Equal(t, Balance{Tier: Pro, Available: 91_000}, b.balance(t, caller))
	require.NoError(t, set(Free, uuid.New()))
	require.Equal(t, Balance{Tier: Free, Available: 1_000}, b.balance(t, caller))
	require.NoError(t, set(Pro, first), "late")
	require.Equal(t, Balance{Tier: Free, Available: 1_000}, b.balance(t, caller))

	// What members moved to their organisation this month stays there.
	shared := uuid.New()
	acting := actingFor(caller, shared)
	_, _, err := b.service.Transfer(t.Context(), acting, TransferRequest{Organization: shared, Amount: 224, Operation: uuid.New()})
	require.NoError(t, err)
	_, err = b.service.SetTier(t.Context(), Correction{Organization: shared, Operation: uuid.New(), Tier: Pro})
	require.NoError(t, err)
	require.Equal(t, Balance{Tier: Pro, Available: 100_224}, b.balance(t, acting))
	b.audit(t)
}

// TestDebt: what was bought, spent and taken back is owed; it is paid before
// anything else can be.
func TestDebt(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	b.buy(t, caller, 5_000)
	open := b.hold(t, caller, OwnerJob, 100)
	b.settle(t, b.hold(t, caller, OwnerJob, 14_000), 14_000)
	for range 2 { // 900 are left
		b.takeBack(t, caller, "re_1", 4_000)
		require.Equal(t, Balance{Tier: Free, Held: 100, Debt: 3_100}, b.balance(t, caller))
	}
	owed := func(err error) {
		t.Helper()
		var e *services.Error
		require.True(t, errors.As(err, &e), err)
		require.Equal(t, [2]string{string(services.Insufficient), "CREDITS_OWED"}, [2]string{string(e.Kind), e.Code})
	}
	_, err := b.service.Hold(t.Context(), callOf(caller, 1))
	owed(err)
	require.ErrorContains(t, err, "owes 3100 credits")
	for range 2 {
		b.release(t, open) // pays some of it
		require.Equal(t, Balance{Tier: Free, Debt: 3_000}, b.balance(t, caller))
	}
	b.buy(t, caller, 1_000)
	require.Equal(t, Balance{Tier: Free, Debt: 2_000}, b.balance(t, caller))
	b.give(t, caller, 500)
	require.Equal(t, Balance{Tier: Free, Debt: 1_500}, b.balance(t, caller))
	_, err = b.service.Refund(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 100})
	require.NoError(t, err)
	require.Equal(t, Balance{Tier: Free, Debt: 1_400}, b.balance(t, caller))
	b.pass(t, caller.Organization)
	require.Equal(t, Balance{Tier: Free, Available: 8_600}, b.balance(t, caller), "the month's credits pay as well")
	_, err = b.service.Hold(t.Context(), callOf(caller, 1))
	require.NoError(t, err)

	// More than was bought, less what was taken back before, is nobody's.
	err = postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error {
		return NewPaid(plans(t)).TakeBack(t.Context(), tx, caller.Organization, "re_2", 2_001, "")
	})
	require.Equal(t, services.Conflict, services.KindOf(err))
	require.Equal(t, Balance{Tier: Free, Available: 8_599, Held: 1}, b.balance(t, caller))
	b.audit(t)
}

// TestReleasesPayDebts, of each account in a batch its own and no more than it owes,
// after what ends with its month.
func TestReleasesPayDebts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deep, shallow, none, late, spent, ended := user(), user(), user(), user(), user(), user()
	releases := ReleasesRequest{}
	holds := func(caller services.Caller, amounts ...int64) {
		b.balance(t, caller)
		for _, amount := range amounts {
			releases.Releases = append(releases.Releases, ReleaseRequest{HoldID: b.hold(t, caller, OwnerJob, amount)})
		}
	}
	for _, caller := range []services.Caller{deep, shallow, none, late, spent, ended} {
		b.balance(t, caller)
		b.buy(t, caller, 1_000)
	}
	holds(deep, 300, 400)
	b.settle(t, b.hold(t, deep, OwnerJob, 10_300), 10_300)
	holds(shallow, 5_000, 6_000)
	holds(none, 10)
	holds(late, 11_000)
	b.pass(t, late.Organization) // of what it holds 10,000 are of the month before
	b.settle(t, b.hold(t, late, OwnerJob, 5_000), 4_000)
	deduct := func(caller services.Caller, amount int64) {
		_, err := b.service.Deduct(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: amount})
		require.NoError(t, err)
	}
	deduct(late, 5_000)
	b.settle(t, b.hold(t, spent, OwnerJob, 11_000), 11_000)
	b.pass(t, spent.Organization)
	holds(spent, 10_000) // what it owes it can only pay with the month's
	holds(ended, 10_000)
	deduct(ended, 1_000)
	b.pass(t, ended.Organization) // 9,000 of what it holds end with the release
	b.buy(t, ended, 1_000)
	deduct(ended, 11_000)
	b.takeBack(t, ended, "too", 1_000)
	for _, caller := range []services.Caller{deep, shallow, late, spent, ended} {
		b.takeBack(t, caller, "re", 1_000)
	}
	require.Equal(t, Balance{Tier: Free, Held: 700, Debt: 1_000}, b.balance(t, deep))
	require.Equal(t, Balance{Tier: Free, Held: 11_000, Debt: 1_000}, b.balance(t, shallow))
	require.Equal(t, Balance{Tier: Free, Held: 12_000, Debt: 1_000}, b.balance(t, late))
	require.Equal(t, Balance{Tier: Free, Held: 10_000, Debt: 1_000}, b.balance(t, spent))
	require.Equal(t, Balance{Tier: Free, Held: 10_000, Debt: 2_000}, b.balance(t, ended))
	outcomes, err := b.service.ReleaseMany(t.Context(), releases)
	require.NoError(t, err)
	for _, o := range outcomes {
		require.Nil(t, o.Error)
	}
	require.Equal(t, Balance{Tier: Free, Debt: 300}, b.balance(t, deep))
	require.Equal(t, Balance{Tier: Free, Available: 10_000}, b.balance(t, shallow))
	require.Equal(t, Balance{Tier: Free, Available: 11_000}, b.balance(t, none))
	require.Equal(t, Balance{Tier: Free, Available: 5_000, Held: 1_000}, b.balance(t, late))
	require.Equal(t, Balance{Tier: Free, Available: 9_000}, b.balance(t, spent))
	require.Equal(t, Balance{Tier: Free, Debt: 1_000}, b.balance(t, ended))
	b.audit(t)
}

// TestWhoOwesSpendsNothing, whatever there is: nothing that comes in leaves both, so
// the test does it by hand.
func TestWhoOwesSpendsNothing(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.accounts SET available = available + 5, debt = 5`)
	require.NoError(t, err)
	done, err := b.repository.holdAll(t.Context(), b.askedBy(t, callOf(caller, 1)))
	require.NoError(t, err)
	require.Empty(t, done)
	_, err = b.service.Hold(t.Context(), callOf(caller, 1))
	require.Equal(t, "CREDITS_OWED", api.CodeOf(err))
	shared := uuid.New()
	_, _, err = b.service.Transfer(t.Context(), actingFor(caller, shared), TransferRequest{Organization: shared, Amount: 1, Operation: uuid.New()})
	require.Equal(t, "CREDITS_OWED", api.CodeOf(err))
	require.Equal(t, Balance{Tier: Free, Available: 10_005, Debt: 5}, b.balance(t, caller))
}

// TestDebtIsNotMovedAwayFrom: an account that owes sends nothing to another one,
// and what another sends it pays what it owes.
func TestDebtIsNotMovedAwayFrom(t *testing.T) {
	t.Parallel()
	b, caller, shared := setup(t), user(), uuid.New()
	acting := actingFor(caller, shared)
	b.balance(t, caller)
	b.buy(t, caller, 500)
	open := b.hold(t, caller, OwnerJob, 10_500)
	b.takeBack(t, caller, "re_1", 500)
	b.release(t, open)
	_, _, err := b.service.Transfer(t.Context(), acting, TransferRequest{Organization: shared, Amount: 10_001, Operation: uuid.New()})
	require.Equal(t, services.Insufficient, services.KindOf(err), "%v", err)
	require.Equal(t, Balance{Tier: Free, Available: 10_000}, b.balance(t, caller), "what it owed is paid")

	b.buy(t, acting, 50)
	b.settle(t, b.hold(t, acting, OwnerJob, 50), 50)
	b.takeBack(t, acting, "re_2", 50)
	require.Equal(t, Balance{Tier: Free, Debt: 50}, b.balance(t, acting))
	member := user()
	_, to, err := b.service.Transfer(t.Context(), actingFor(member, shared), TransferRequest{Organization: shared, Amount: 70, Operation: uuid.New()})
	require.NoError(t, err)
	require.Equal(t, Balance{Tier: Free, Available: 20}, to)
	b.audit(t)
}

// TestTakenBackAtOnce: each once, whatever else happens to the account.
func TestTakenBackAtOnce(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	b.buy(t, caller, 20_000)
	paid := NewPaid(plans(t))
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := postgres.InTx(context.Background(), b.pool, func(tx pgx.Tx) error {
				return paid.TakeBack(context.Background(), tx, caller.Organization, fmt.Sprint("re_", i%10), 2_000, "")
			}); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			if _, err := b.service.Hold(context.Background(), callOf(caller, 1_000)); err != nil && !services.Is(err, services.Insufficient) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	got := b.balance(t, caller)
	require.Equal(t, int64(10_000), got.Available+got.Held-got.Debt)
	b.audit(t)
}

// TestAnAccountThatHasEnded: nothing is spent, moved or begun any more.
func TestAnAccountThatHasEnded(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	require.NoError(t, b.repository.closeAccounts(t.Context(), []uuid.UUID{caller.Organization}))
	require.Equal(t, Balance{Tier: Free}, b.balance(t, caller))
	done, err := b.repository.holdAll(t.Context(), b.askedBy(t, callOf(caller, 1)))
	require.NoError(t, err)
	require.Empty(t, done)
	for name, f := range map[string]func(context.Context, Correction) (Balance, error){"grant": b.service.Grant, "deduct": b.service.Deduct, "refund": b.service.Refund} {
		_, err := f(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 1})
		require.Equal(t, services.Conflict, services.KindOf(err), name)
	}
	acting := actingFor(caller, uuid.New())
	_, _, err = b.service.Transfer(t.Context(), acting, TransferRequest{Organization: acting.Organization, Amount: 1, Operation: uuid.New()})
	require.Error(t, err)
	b.pass(t, caller.Organization)
	require.Equal(t, Balance{Tier: Free}, b.balance(t, caller))
	require.Equal(t, []string{"grant 10000"}, b.lines(t, caller.Organization), "its month does not begin anew")
	b.audit(t)
}
