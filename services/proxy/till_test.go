package proxy

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/billing/billingtest"
)

// counter is a till with what is around it.
type counter struct {
	pool       *pgxpool.Pool
	ledger     *billing.Service
	meter      *strict
	repository *Repository
	till       *Cashier
	sweeper    *Sweeper
	caller     services.Caller
}

// strict is a Meter that looks whether calls are recorded before they are paid,
// and fails as it is told.
type strict struct {
	billing.Meter
	recorded func(id uuid.UUID) bool
	before   error // without doing it
	after    error // although it is done
	fails    atomic.Int64
	rash     atomic.Int64 // ends of holds whose call is not recorded
}

func (s *strict) answer(hold billing.Hold, err error, id uuid.UUID) (billing.Hold, error) {
	if !s.recorded(id) {
		s.rash.Add(1)
	}
	if s.fails.Add(-1) >= 0 {
		return billing.Hold{}, s.after
	}
	return hold, err
}

func (s *strict) Settle(ctx context.Context, in billing.SettleRequest) (billing.Hold, error) {
	if s.before != nil {
		return billing.Hold{}, s.before
	}
	hold, err := s.Meter.Settle(ctx, in)
	return s.answer(hold, err, in.HoldID)
}

func (s *strict) SettleMany(ctx context.Context, in billing.SettlesRequest) ([]billing.Outcome, error) {
	if s.before != nil {
		return nil, s.before
	}
	outcomes, err := s.Meter.SettleMany(ctx, in)
	for _, one := range in.Settles {
		if _, err = s.answer(billing.Hold{}, err, one.HoldID); err != nil {
			return nil, err
		}
	}
	return outcomes, err
}

func (s *strict) Release(ctx context.Context, in billing.ReleaseRequest) (billing.Hold, error) {
	if s.before != nil {
		return billing.Hold{}, s.before
	}
	hold, err := s.Meter.Release(ctx, in)
	return s.answer(hold, err, in.HoldID)
}

func newCounter(t testing.TB) *counter {
	t.Helper()
	c := &counter{pool: pgtest.New(t), caller: user()}
	c.ledger = billingtest.New(t, c.pool)
	c.repository = NewRepository(c.pool)
	c.meter = &strict{Meter: c.ledger, recorded: func(id uuid.UUID) bool {
		_, err := c.repository.find(context.Background(), id)
		return err == nil
	}}
	c.till = c.open(t)
	c.sweeper = NewSweeper(c.meter, c.repository, zap.NewNop())
	return c
}

// open starts a till, as another process would.
func (c *counter) open(t testing.TB) *Cashier {
	t.Helper()
	till := NewTill(Config{}, c.meter, c.repository, zap.NewNop())
	till.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = till.Stop(ctx)
	})
	return till
}

// crash is the end of a process that wrote nothing more.
func crash(till *Cashier) {
	till.cancel()
	till.loops.Wait()
}

func (c *counter) call() *Call {
	key := uuid.New()
	return &Call{
		Organization: c.caller.Organization, Account: c.caller.Account, Key: &key, ToolID: uuid.New(), Version: 3, Method: "echo",
		Digest: "d", Shape: `{"n":"number"}`, Outcome: Refused, TraceID: "trace", Caller: c.caller, BytesOut: 5,
	}
}

// opened is a call whose price is held.
func (c *counter) opened(t testing.TB, price int64) *Call {
	t.Helper()
	call := c.call()
	require.NoError(t, c.till.Open(t.Context(), call, price))
	require.Equal(t, price, call.Credits)
	return call
}

func (c *counter) balance(t testing.TB) billing.Balance {
	t.Helper()
	balance, err := c.ledger.Balance(context.Background(), billing.BalanceRequest{Caller: c.caller})
	require.NoError(t, err)
	return balance
}

func (c *counter) expire(t testing.TB) {
	t.Helper()
	_, err := c.pool.Exec(t.Context(), `UPDATE uaol_billing.holds SET expires_at = now() - interval '1 second'`)
	require.NoError(t, err)
}

func (c *counter) count(t testing.TB, sql string, args ...any) int64 {
	t.Helper()
	n, err := postgres.Value[int64](context.Background(), c.pool, sql, args...)
	require.NoError(t, err)
	return n
}

// adds up: what records say was charged is what was settled, each call once.
func (c *counter) addsUp(t testing.TB) {
	t.Helper()
	require.Zero(t, c.count(t, `
		SELECT count(*) FROM (SELECT call_id::text AS id, credits FROM uaol_proxy.calls WHERE credits > 0) r
		FULL JOIN (SELECT operation_id AS id, amount AS credits FROM uaol_billing.journal WHERE kind = 'settle') e ON e.id = r.id
		WHERE r.credits IS DISTINCT FROM e.credits`))
	require.Zero(t, c.count(t, `SELECT count(*) FROM uaol_billing.holds WHERE state = 'open'`))
	require.Zero(t, c.meter.rash.Load(), "nothing is paid or given back that is not recorded")
}

func TestACallIsRecordedThenPaid(t *testing.T) {
	t.Parallel()
	for outcome, charged := range map[Outcome]bool{Succeeded: true, Unknown: true, Failed: false, Refused: false} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			c := newCounter(t)
			call := c.opened(t, 7)
			require.Equal(t, billing.Balance{Tier: billing.Free, Available: 9_993, Held: 7}, c.balance(t))
			call.Outcome, call.Latency, call.BytesIn, call.Code = outcome, 1500*time.Microsecond, 9, "CODE"
			ctx, leave := context.WithCancel(t.Context())
			leave() // the caller is gone; the credits are not
			c.till.Close(ctx, call)
			want := billing.Balance{Tier: billing.Free, Available: 9_993}
			if !charged {
				require.Zero(t, call.Credits)
				want.Available = 10_000
				require.Equal(t, want, c.balance(t), "it is released before Close returns")
			}
			require.NoError(t, c.till.Flush(t.Context()))
			require.Equal(t, want, c.balance(t))
			got, err := c.repository.find(t.Context(), call.ID)
			require.NoError(t, err)
			require.Equal(t, 1.5, got.LatencyMS)
			require.WithinDuration(t, call.At, got.CreatedAt.Time, time.Microsecond)
			expected := *call
			expected.Caller, expected.At, expected.Latency = services.Caller{}, time.Time{}, 0
			require.Equal(t, expected, got.Call)
			c.addsUp(t)
		})
	}
}

func TestAPriceOfNothingTouchesNoLedger(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	for _, outcome := range []Outcome{Succeeded, Failed, Unknown} {
		call := c.opened(t, 0)
		call.Outcome = outcome
		c.till.Close(t.Context(), call)
	}
	unopened := c.call()
	unopened.ID, unopened.Latency = uuid.New(), time.Hour
	c.till.Close(t.Context(), unopened)
	require.NoError(t, c.till.Flush(t.Context()))
	require.EqualValues(t, 4, c.count(t, `SELECT count(*) FROM uaol_proxy.calls WHERE credits = 0`))
	require.Zero(t, c.count(t, `SELECT count(*) FROM uaol_billing.accounts`))
	record, err := c.repository.find(t.Context(), unopened.ID)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(-time.Hour), record.CreatedAt.Time, time.Minute)
}

func TestTooFewCreditsOpenNothing(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	call := c.call()
	require.EqualError(t, c.till.Open(t.Context(), call, 10_001), "Insufficient credits. Required: 10001, Available: 10000")
	require.Zero(t, call.Credits)
	c.till.Close(t.Context(), call)
	require.NoError(t, c.till.Flush(t.Context()))
	require.Equal(t, billing.Balance{Tier: billing.Free, Available: 10_000}, c.balance(t))
	require.EqualValues(t, 1, c.count(t, `SELECT count(*) FROM uaol_proxy.calls WHERE outcome = 'refused'`))
}

// TestEndsAreRepeatedUntilTheyAreHeard: the answers are lost at first.
func TestEndsAreRepeatedUntilTheyAreHeard(t *testing.T) {
	t.Parallel()
	for outcome, available := range map[Outcome]int64{Succeeded: 9_993, Failed: 10_000} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			c := newCounter(t)
			c.meter.after = services.Errorf(services.Unavailable, "the answer was lost")
			c.meter.fails.Store(2)
			call := c.opened(t, 7)
			call.Outcome = outcome
			c.till.Close(t.Context(), call)
			require.NoError(t, c.till.Flush(t.Context()))
			require.EqualValues(t, -1, c.meter.fails.Load())
			require.Equal(t, billing.Balance{Tier: billing.Free, Available: available}, c.balance(t))
			c.addsUp(t)
		})
	}
}

// lossy is a Meter whose answer to a hold gets lost.
type lossy struct {
	billing.Meter
	hold func(ctx context.Context, in billing.HoldRequest) (billing.Hold, error)
}

func (l lossy) Hold(ctx context.Context, in billing.HoldRequest) (billing.Hold, error) {
	return l.hold(ctx, in)
}

// TestNobodyPaysForAHoldWhoseAnswerWasLost, not even when the hold is made after
// it was released: then the record says that there was no call.
func TestNobodyPaysForAHoldWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{"made before it was released": false, "made afterwards": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCounter(t)
			lost := services.Errorf(services.Unavailable, "the answer was lost")
			var asked billing.HoldRequest
			c.till.meter = lossy{c.meter, func(ctx context.Context, in billing.HoldRequest) (billing.Hold, error) {
				if asked = in; !late {
					_, err := c.ledger.Hold(ctx, in)
					require.NoError(t, err)
				}
				return billing.Hold{}, lost
			}}
			call := c.call()
			require.ErrorIs(t, c.till.Open(t.Context(), call, 7), lost)
			c.till.Close(t.Context(), call)
			require.NoError(t, c.till.Flush(t.Context()))
			if late {
				_, err := c.ledger.Hold(t.Context(), asked)
				require.NoError(t, err)
				require.EqualValues(t, 7, c.balance(t).Held)
				c.expire(t)
				n, err := c.sweeper.Sweep(t.Context())
				require.NoError(t, err)
				require.Equal(t, 1, n)
			}
			require.Equal(t, billing.Balance{Tier: billing.Free, Available: 10_000}, c.balance(t))
			c.meter.rash.Store(0) // the release before the record, which costs nothing
			c.addsUp(t)
		})
	}
}

// TestTheSweeperEndsWhatAProcessLeft, from whichever moment it died.
func TestTheSweeperEndsWhatAProcessLeft(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		leave   func(t *testing.T, c *counter, call *Call)
		outcome Outcome
		charged bool
	}{
		"during the call": {func(*testing.T, *counter, *Call) {}, Unknown, true},
		"before the record": {func(t *testing.T, c *counter, call *Call) {
			crash(c.till)
			call.Outcome = Succeeded
			c.till.Close(t.Context(), call)
		}, Unknown, true},
		"recorded, not settled": {func(t *testing.T, c *counter, call *Call) {
			call.Outcome = Succeeded
			require.NoError(t, c.repository.insert(t.Context(), []Call{*call}))
		}, Succeeded, true},
		"recorded as failed, not released": {func(t *testing.T, c *counter, call *Call) {
			failed := *call
			failed.Outcome, failed.Credits = Failed, 0
			require.NoError(t, c.repository.insert(t.Context(), []Call{failed}))
		}, Failed, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCounter(t)
			call := c.opened(t, 7)
			test.leave(t, c, call)
			n, err := c.sweeper.Sweep(t.Context())
			require.NoError(t, err)
			require.Zero(t, n, "it may still be under way")
			c.expire(t)
			var sweepers sync.WaitGroup
			for range 3 {
				sweepers.Go(func() {
					if _, err := c.sweeper.Sweep(t.Context()); err != nil && !services.Is(err, services.Conflict) {
						t.Error(err)
					}
				})
			}
			sweepers.Wait()
			record, err := c.repository.find(t.Context(), call.ID)
			require.NoError(t, err)
			require.Equal(t, test.outcome, record.Outcome)
			want := billing.Balance{Tier: billing.Free, Available: 10_000}
			if test.charged {
				want.Available = 9_993
				require.EqualValues(t, 7, record.Credits)
			}
			require.Equal(t, want, c.balance(t))
			require.Equal(t, "echo", record.Method)
			require.Equal(t, call.ToolID, record.ToolID)
			require.Equal(t, call.Key, record.Key)
			require.WithinDuration(t, call.At, record.CreatedAt.Time, time.Millisecond)
			c.addsUp(t)
		})
	}
}

// TestAHoldWithoutAMemoIsRecordedAllTheSame: one that an older version made.
func TestAHoldWithoutAMemoIsRecordedAllTheSame(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	id := uuid.New()
	_, err := c.ledger.Hold(t.Context(), billing.HoldRequest{ID: id, Caller: c.caller, Owner: billing.OwnerCall, Amount: 7, Lifetime: time.Second})
	require.NoError(t, err)
	c.expire(t)
	n, err := c.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	record, err := c.repository.find(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, c.caller.Organization, record.Organization)
	require.Equal(t, c.caller.Account, record.Account)
	c.addsUp(t)
}

// TestWhatCannotBePaidNowIsPaidLater by the sweeper, when the process ended first.
func TestWhatCannotBePaidNowIsPaidLater(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.meter.before = services.Errorf(services.Unavailable, "billing is away")
	call := c.opened(t, 7)
	call.Outcome = Succeeded
	c.till.Close(t.Context(), call)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.Error(t, c.till.Stop(ctx), "it says that it is not done")
	c.meter.before = nil
	c.expire(t)
	n, err := c.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, billing.Balance{Tier: billing.Free, Available: 9_993}, c.balance(t))
	c.addsUp(t)
}

// TestWhatCannotBePaidKeepsNobodyElseFromPaying: of calls that are paid together one has
// a hold that somebody else has closed.
func TestWhatCannotBePaidKeepsNobodyElseFromPaying(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	core, logs := observer.New(zap.ErrorLevel)
	c.till.log = zap.New(core)
	calls := make([]*Call, 3*settleMost)
	for i := range calls {
		calls[i] = c.opened(t, 7)
		calls[i].Outcome = Succeeded
	}
	gone := calls[settleMost/2].ID
	_, err := c.ledger.Release(t.Context(), billing.ReleaseRequest{HoldID: gone})
	require.NoError(t, err)
	for _, call := range calls {
		c.till.Close(t.Context(), call)
	}
	require.NoError(t, c.till.Flush(t.Context()))
	require.EqualValues(t, len(calls)-1, c.count(t, `SELECT count(*) FROM uaol_billing.journal WHERE kind = 'settle'`))
	require.EqualValues(t, 10_000-7*(len(calls)-1), c.balance(t).Available)
	refused := logs.FilterMessage("a call could not be settled; the sweeper will").All()
	require.Len(t, refused, 1)
	require.Equal(t, gone.String(), refused[0].ContextMap()["hold"])
}

func TestStopWritesWhatIsQueued(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	var calls []*Call
	for range 1_200 {
		call := c.call()
		call.ID, call.Outcome = uuid.New(), Succeeded
		calls = append(calls, call)
	}
	priced := c.opened(t, 7)
	priced.Outcome = Succeeded
	for _, call := range append(calls, priced) {
		c.till.Close(t.Context(), call)
	}
	require.NoError(t, c.till.Stop(t.Context()))
	require.EqualValues(t, 1_201, c.count(t, `SELECT count(*) FROM uaol_proxy.calls`))
	c.addsUp(t)
}

// TestOneBadCallCostsNobodyElseTheRecord.
func TestOneBadCallCostsNobodyElseTheRecord(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	core, logs := observer.New(zap.ErrorLevel)
	c.till.log = zap.New(core)
	for _, change := range []func(*Call){
		func(call *Call) { call.Method = "nul\x00 and \xff" },
		func(call *Call) { call.Outcome = "odd" }, // no such outcome: the table refuses it
		func(*Call) {},
	} {
		call := c.call()
		call.ID, call.Outcome = uuid.New(), Succeeded
		change(call)
		c.till.Close(t.Context(), call)
	}
	require.NoError(t, c.till.Flush(t.Context()))
	require.EqualValues(t, 2, c.count(t, `SELECT count(*) FROM uaol_proxy.calls`))
	require.EqualValues(t, 1, c.count(t, `SELECT count(*) FROM uaol_proxy.calls WHERE method = $1`, "nul\ufffd and \ufffd"))
	require.Equal(t, 1, logs.FilterMessage("calls could not be recorded").Len())
}

func TestALongShapeIsLeftOutOfTheMemo(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	call := c.call()
	call.Shape = strings.Repeat("x", billing.MaxMemo)
	require.NoError(t, c.till.Open(t.Context(), call, 7))
	c.expire(t)
	n, err := c.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	record, err := c.repository.find(t.Context(), call.ID)
	require.NoError(t, err)
	require.Empty(t, record.Shape)
	require.Equal(t, "echo", record.Method)
}

// paper is a till whose records go to a list, for tests of its clock.
func paper(insert func(ctx context.Context, calls []Call) error) *Cashier {
	till := NewTill(Config{}, nil, &Repository{}, zap.NewNop())
	till.insert = insert
	till.Start()
	return till
}

func TestRecordsWaitForEachOtherButNotLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type batch struct {
			calls int
			after time.Duration
		}
		var batches []batch
		begun := time.Now()
		till := paper(func(_ context.Context, calls []Call) error {
			batches = append(batches, batch{len(calls), time.Since(begun)})
			return nil
		})
		free := func() { till.Close(t.Context(), &Call{ID: uuid.New(), Outcome: Succeeded}) }
		free()
		time.Sleep(60 * time.Millisecond) // the bubble's clock
		free()
		time.Sleep(time.Second)
		for range gatherMost + 1 {
			free()
		}
		require.NoError(t, till.Flush(t.Context()))
		require.NoError(t, till.Stop(t.Context()))
		require.Equal(t, batch{2, gatherFor}, batches[0])
		require.Equal(t, batch{gatherMost, 1060 * time.Millisecond}, batches[1], "a full batch does not wait")
		require.Equal(t, 1, batches[2].calls)
	})
}

// TestWhileTheDatabaseIsAwayCallersWait, and nothing is lost.
func TestWhileTheDatabaseIsAwayCallersWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		var written, closed atomic.Int64
		till := paper(func(_ context.Context, calls []Call) error {
			if !back.Load() {
				return services.Errorf(services.Unavailable, "away")
			}
			written.Add(int64(len(calls)))
			return nil
		})
		const more = 37
		go func() {
			for range gatherMost + queued + more {
				till.Close(context.Background(), &Call{ID: uuid.New(), Outcome: Succeeded})
				closed.Add(1)
			}
		}()
		time.Sleep(time.Minute) // the bubble's clock
		synctest.Wait()
		require.EqualValues(t, gatherMost+queued, closed.Load(), "so many are in the writer's hands and in the queue")
		require.Zero(t, written.Load())
		back.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NoError(t, till.Stop(t.Context()))
		require.EqualValues(t, gatherMost+queued+more, closed.Load())
		require.Equal(t, closed.Load(), written.Load())
	})
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		till := paper(func(context.Context, []Call) error { return services.Errorf(services.Unavailable, "away") })
		till.Close(t.Context(), &Call{ID: uuid.New(), Outcome: Succeeded})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.True(t, errors.Is(till.Stop(ctx), context.DeadlineExceeded))
	})
}
