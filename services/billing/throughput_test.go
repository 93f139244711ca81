package billing

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

const (
	load     = 64 // callers at once
	poolLoad = 20 // connections, as many as the program has by default
	rich     = 1_000_000_000
)

// busy is a ledger with some accounts that have more than can be spent.
func busy(t testing.TB, accounts int) (*bench, []services.Caller) {
	t.Helper()
	b := setup(t)
	cfg, err := pgxpool.ParseConfig(b.pool.Config().ConnString())
	require.NoError(t, err)
	cfg.MaxConns, cfg.AfterConnect = poolLoad, b.pool.Config().AfterConnect
	b.pool, err = pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(b.pool.Close)
	b.repository = NewRepository(b.pool)
	b.service = NewService(plans(t), b.repository)
	callers := make([]services.Caller, accounts)
	for i := range callers {
		callers[i] = user()
	}
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := w; i < accounts; i += 8 {
				if _, err := b.service.Grant(t.Context(), Correction{Organization: callers[i].Organization, Operation: uuid.New(), Amount: rich}); err != nil {
					t.Error(err)
				}
				if _, err := b.service.spenders.id(t.Context(), spenderOf(callers[i])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	return b, callers
}

// together lets the load's callers share n operations, of which each has a number.
func together(t testing.TB, n int, f func(i int) error) time.Duration {
	t.Helper()
	begun := time.Now()
	var group sync.WaitGroup
	for w := range load {
		group.Go(func() {
			for i := w; i < n; i += load {
				if err := f(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return time.Since(begun)
}

// patiently repeats what a database refuses that takes statements for
// contradictory which are not: at such a load more often than postgres repeats it.
func patiently(f func() (Hold, error)) (Hold, error) {
	if os.Getenv("UAOL_TEST_SERIALIZABLE") == "" {
		return f()
	}
	return persist(f)
}

// operations is how many each of the load's callers makes: 5,000 by make bench,
// a fiftieth elsewhere.
func operations(t testing.TB) int {
	n, err := strconv.Atoi(os.Getenv("UAOL_TEST_OPERATIONS"))
	if err != nil {
		return 100
	}
	return n
}

// TestExactUnderLoad: 64 callers spend from one account and from a thousand, one
// by one and in batches, and every credit is where it belongs.
func TestExactUnderLoad(t *testing.T) {
	t.Parallel()
	for _, accounts := range []int{1, 1000} {
		t.Run(fmt.Sprint(accounts), func(t *testing.T) {
			b, callers := busy(t, accounts)
			n := load * operations(t)
			together(t, n, func(i int) error {
				in := callOf(callers[i%accounts], 1)
				if _, err := patiently(func() (Hold, error) { return b.service.Hold(t.Context(), in) }); err != nil {
					return err
				}
				_, err := patiently(func() (Hold, error) {
					if i%4 == 0 {
						return b.service.Release(t.Context(), ReleaseRequest{HoldID: in.ID})
					}
					return b.service.Settle(t.Context(), whole(in))
				})
				return err
			})
			var spent, available, held int64
			require.NoError(t, b.pool.QueryRow(t.Context(), `
				SELECT sum(revenue)::bigint, sum(available)::bigint, sum(held)::bigint FROM uaol_billing.accounts`).Scan(&spent, &available, &held))
			require.EqualValues(t, n-(n+3)/4, spent)
			require.Zero(t, held)
			require.EqualValues(t, int64(accounts)*(rich+10_000)-spent-opened(callers), available)
			b.audit(t)
		})
	}
}

// opened is what the accounts lack because only asking for a balance opens one
// with a month's credits, and these were given theirs instead.
func opened(callers []services.Caller) int64 { return int64(len(callers)) * 10_000 }

// BenchmarkLedger compares the ledger with the least that a database can do for
// it: one UPDATE without a guard, a journal or anything to repeat it by. Both in
// one run; with UAOL_TEST_DURABLE=1 every answer has reached the disk.
func BenchmarkLedger(b *testing.B) {
	n := load * operations(b)
	for _, accounts := range []int{1, 1000} {
		ledger, callers := busy(b, accounts)
		ctx := context.Background()
		_, err := ledger.pool.Exec(ctx, `CREATE TABLE public.bare (id int PRIMARY KEY, balance bigint NOT NULL)`)
		require.NoError(b, err)
		_, err = ledger.pool.Exec(ctx, `INSERT INTO public.bare SELECT i, 1000000000 FROM generate_series(0, $1::int - 1) i`, accounts)
		require.NoError(b, err)
		bare := together(b, n, func(i int) error {
			_, err := ledger.pool.Exec(ctx, `UPDATE public.bare SET balance = balance - 1 WHERE id = $1`, i%accounts)
			return err
		})
		rate := func(took time.Duration, n int) float64 { return float64(n) / took.Seconds() }
		b.Run(fmt.Sprintf("accounts=%d/bare", accounts), func(b *testing.B) { b.ReportMetric(rate(bare, n), "ops/s") })

		calls := make([]HoldRequest, n)
		for i := range calls {
			calls[i] = callOf(callers[i%accounts], 1)
		}
		report := func(name string, took time.Duration) {
			b.Run(fmt.Sprintf("accounts=%d/%s", accounts, name), func(b *testing.B) {
				b.ReportMetric(rate(took, n), "ops/s")
				b.ReportMetric(bare.Seconds()/took.Seconds(), "×bare")
			})
		}
		report("hold", together(b, n, func(i int) error { _, err := ledger.service.Hold(ctx, calls[i]); return err }))
		report("settle", together(b, n, func(i int) error { _, err := ledger.service.Settle(ctx, whole(calls[i])); return err }))

		// Batches of an engine that keeps an account's work together: those that are
		// written at once are for different accounts, where there are several.
		many := make([]HoldRequest, n)
		for i := range many {
			many[i] = callOf(callers[i*accounts/n], 1)
		}
		inBatches := func(f func(from, to int) ([]Outcome, error)) time.Duration {
			begun := time.Now()
			var group sync.WaitGroup
			const each, workers = 2_500, 4
			for w := range workers {
				group.Go(func() {
					for from := w * each; from < n; from += workers * each {
						outcomes, err := f(from, min(from+each, n))
						if err != nil {
							b.Error(err)
							return
						}
						for _, o := range outcomes {
							if o.Error != nil {
								b.Error(o.Error)
								return
							}
						}
					}
				})
			}
			group.Wait()
			return time.Since(begun)
		}
		report("hold-many", inBatches(func(from, to int) ([]Outcome, error) {
			return ledger.service.HoldMany(ctx, HoldsRequest{Holds: many[from:to]})
		}))
		settles := make([]SettleRequest, n)
		for i := range settles {
			settles[i] = whole(many[i])
		}
		report("settle-many", inBatches(func(from, to int) ([]Outcome, error) {
			return ledger.service.SettleMany(ctx, SettlesRequest{Settles: settles[from:to]})
		}))
		// As the job engine pays: jobs of 50 steps, whose charges come together.
		const steps = 50
		jobs := make([]HoldRequest, n/steps)
		paying := make([]SettleRequest, len(jobs))
		for i := range jobs {
			jobs[i] = callOf(callers[i*accounts/len(jobs)], steps)
			jobs[i].Owner = OwnerJob
			paying[i].HoldID = jobs[i].ID
			for step := range steps {
				paying[i].Charges = append(paying[i].Charges, Charge{Operation: fmt.Sprint(jobs[i].ID, "/", step), Amount: 1})
			}
		}
		_, err = ledger.service.HoldMany(ctx, HoldsRequest{Holds: jobs})
		require.NoError(b, err)
		report("settle-many, jobs of 50 steps", inBatches(func(from, to int) ([]Outcome, error) {
			return ledger.service.SettleMany(ctx, SettlesRequest{Settles: paying[from/steps : to/steps]})
		}))
		ledger.audit(b)
	}
}
