package billing

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/services"
)

func callOf(caller services.Caller, amount int64) HoldRequest {
	return HoldRequest{ID: uuid.New(), Caller: caller, Owner: OwnerCall, Amount: amount, Lifetime: time.Minute, Memo: "what for"}
}

func whole(in HoldRequest) SettleRequest {
	return SettleRequest{HoldID: in.ID, Charges: []Charge{{Operation: in.ID.String(), Amount: in.Amount}}}
}

// askedBy is a batch as the statement takes it.
func (b *bench) askedBy(t testing.TB, batch ...HoldRequest) []asked {
	t.Helper()
	all := make([]asked, len(batch))
	for i, in := range batch {
		who, err := b.service.spenders.id(t.Context(), spenderOf(in.Caller))
		require.NoError(t, err)
		all[i] = asked{HoldRequest: in, spender: who}
	}
	return all
}

// TestABatchWritesAnAccountOnce, and takes only what fits as a whole.
func TestABatchWritesAnAccountOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rich, poor, capped, closed, stranger := user(), user(), user(), user(), user()
	for _, caller := range []services.Caller{rich, poor, capped, closed} {
		b.balance(t, caller)
	}
	b.hold(t, poor, OwnerJob, 9_990)
	b.cap(t, capped, organizationDay, 1_000)
	require.NoError(t, b.repository.closeAccounts(t.Context(), []uuid.UUID{closed.Organization}))
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.accounts SET created_at = created_at`) // one more version of each row
	require.NoError(t, err)

	seen := callOf(rich, 3)
	_, err = b.service.Hold(t.Context(), seen)
	require.NoError(t, err)
	first, second := callOf(rich, 1), callOf(rich, 2)
	batch := []HoldRequest{
		first, callOf(poor, 6), callOf(capped, 1_001), callOf(closed, 1), second, callOf(stranger, 1), callOf(poor, 6), seen, first,
	}
	done, err := b.repository.holdAll(t.Context(), b.askedBy(t, batch...))
	require.NoError(t, err)
	require.Equal(t, map[int]Hold{0: {ID: first.ID, Amount: 1, Open: true}, 4: {ID: second.ID, Amount: 2, Open: true}}, done,
		"too little for both, beyond a cap, closed, never opened, made before, twice: these are looked at alone")
	require.Equal(t, Balance{Tier: Free, Available: 9_994, Held: 6}, b.balance(t, rich))
	require.Equal(t, Balance{Tier: Free, Available: 10, Held: 9_990}, b.balance(t, poor))
	require.Equal(t, Balance{Tier: Free, Available: 10_000}, b.balance(t, capped))
	b.audit(t)

	// Alone, each gets what is there.
	for i, want := range map[int]services.Kind{1: "", 2: services.Insufficient, 3: services.Insufficient, 5: "", 7: "", 8: ""} {
		_, err := b.service.Hold(t.Context(), batch[i])
		require.Equal(t, want, services.KindOf(err), "%d: %v", i, err)
	}
	_, err = b.service.Hold(t.Context(), batch[6])
	require.EqualError(t, err, "Insufficient credits. Required: 6, Available: 4")
	b.audit(t)
}

// TestOneBadMemberHarmsNobodyElse: a text that can't be stored.
func TestOneBadMemberHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, bad := callOf(user(), 1), callOf(user(), 1)
	b.balance(t, good.Caller)
	bad.Memo = "\x00"
	done, err := lenient(b.repository.holdAll)(t.Context(), b.askedBy(t, good, bad))
	require.NoError(t, err)
	require.Empty(t, done, "each is to be written alone")
	_, err = b.service.Hold(t.Context(), good)
	require.NoError(t, err)
	_, err = b.service.Hold(t.Context(), bad)
	require.Equal(t, services.Invalid, services.KindOf(err))
	bad.Memo = string(make([]byte, MaxMemo+1))
	_, err = b.service.Hold(t.Context(), bad)
	require.EqualError(t, err, "A hold's memo has at most 4096 bytes")
}

// TestBatchesOfEndsLeaveTheRestToOne: what is closed, unknown, too small or
// capped.
func TestBatchesOfEndsLeaveTheRestToOne(t *testing.T) {
	t.Parallel()
	b, caller, capped := setup(t), user(), user()
	b.cap(t, capped, organizationDay, 1_000)
	var holds []HoldRequest
	for _, in := range []HoldRequest{callOf(caller, 5), callOf(caller, 7), callOf(capped, 11), callOf(caller, 13)} {
		_, err := b.service.Hold(t.Context(), in)
		require.NoError(t, err)
		holds = append(holds, in)
	}
	_, err := b.service.Release(t.Context(), ReleaseRequest{HoldID: holds[3].ID})
	require.NoError(t, err)
	dear := whole(holds[1])
	dear.Charges[0].Amount = 8
	paid, err := b.repository.settleAll(t.Context(), []SettleRequest{whole(holds[0]), dear, whole(holds[2]), whole(holds[3]), whole(callOf(caller, 1)), whole(holds[0])})
	require.NoError(t, err)
	require.Equal(t, map[int]settled{
		0: {Hold: Hold{ID: holds[0].ID, Amount: 5, Settled: 5}, Fresh: 5},
		1: {Hold: Hold{ID: holds[1].ID, Amount: 7, Open: true}, Fresh: 8, Refused: true},
		2: {Hold: Hold{ID: holds[2].ID, Amount: 11, Settled: 11}, Fresh: 11},
		3: {Hold: Hold{ID: holds[3].ID, Amount: 13}, Fresh: 13, Refused: true},
	}, paid)
	for range 2 {
		got, err := b.service.Settle(t.Context(), whole(holds[0]))
		require.NoError(t, err)
		require.Equal(t, Hold{ID: holds[0].ID, Amount: 5, Settled: 5}, got)
	}

	later := callOf(capped, 17)
	_, err = b.service.Hold(t.Context(), later)
	require.NoError(t, err)
	released, err := b.repository.releaseAll(t.Context(), []ReleaseRequest{{holds[0].ID}, {holds[1].ID}, {later.ID}, {holds[3].ID}, {uuid.New()}, {holds[1].ID}})
	require.NoError(t, err)
	require.Equal(t, map[int]Hold{1: {ID: holds[1].ID, Amount: 7}, 2: {ID: later.ID, Amount: 17}}, released)
	got, err := b.service.Release(t.Context(), ReleaseRequest{HoldID: later.ID})
	require.NoError(t, err)
	require.Equal(t, Hold{ID: later.ID, Amount: 17}, got)
	require.Equal(t, Balance{Tier: Free, Available: 9_995}, b.balance(t, caller))
	require.Equal(t, Balance{Tier: Free, Available: 9_989}, b.balance(t, capped))
	b.audit(t)
}

// TestBatchesWaitForEachOtherInNoCircle: batches of all three kinds over the
// same accounts, in every order, with caps that come and go.
func TestBatchesWaitForEachOtherInNoCircle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	callers := make([]services.Caller, 6)
	for i := range callers {
		callers[i] = user()
		b.balance(t, callers[i])
	}
	var replicas sync.WaitGroup
	for r := range 4 {
		service := NewService(plans(t), b.repository) // as in another process
		for w := range 6 {
			replicas.Go(func() {
				for n := range 12 {
					in := callOf(callers[(r+w+n)%len(callers)], 1)
					if _, err := service.Hold(context.Background(), in); err != nil {
						t.Error(err)
						return
					}
					var err error
					if n%2 == 0 {
						_, err = service.Settle(context.Background(), whole(in))
					} else {
						_, err = service.Release(context.Background(), ReleaseRequest{HoldID: in.ID})
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	replicas.Go(func() {
		for n := range 10 {
			if _, err := b.service.SetCap(context.Background(), callers[n%3], organizationDay, 10_000); err != nil {
				t.Error(err)
			}
		}
	})
	replicas.Wait()
	var spent int64
	for _, caller := range callers {
		balance := b.balance(t, caller)
		require.Zero(t, balance.Held)
		spent += 10_000 - balance.Available
	}
	require.EqualValues(t, 4*6*6, spent)
	b.audit(t)
	var memos int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM uaol_billing.holds WHERE memo <> ''`).Scan(&memos))
	require.Zero(t, memos, "what a hold was for is forgotten with it")
}

// TestTogetherIsAsOneByOne: whatever is drawn, all at once through the groups or
// one after the other by the statements for one, the same is spent when nothing
// runs out, and in any case what the answers say.
func TestTogetherIsAsOneByOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	type call struct {
		Account int
		Amount  int64
		End     string
	}
	drawCall := rapid.Custom(func(t *rapid.T) call {
		return call{
			Account: rapid.IntRange(0, 2).Draw(t, "account"),
			Amount:  rapid.OneOf(rapid.Int64Range(1, 100), rapid.Int64Range(4_000, 6_000)).Draw(t, "amount"),
			End:     rapid.SampledFrom([]string{"settle", "release", "none", "both", "part"}).Draw(t, "end"),
		}
	})
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		plan := rapid.SliceOfN(drawCall, 1, 24).Draw(t, "calls")
		cap := rapid.Int64Range(0, 12_000).Draw(t, "cap of the first account")
		together, alone := make([]services.Caller, 3), make([]services.Caller, 3)
		demand := make([]int64, 3)
		for i := range together {
			together[i], alone[i] = user(), user()
		}
		for _, caller := range []services.Caller{together[0], alone[0]} {
			if _, err := b.service.SetCap(ctx, caller, organizationDay, cap); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range plan {
			demand[c.Account] += c.Amount
		}
		// one makes a call and says what was paid and what stays held.
		one := func(c call, caller services.Caller, hold func(context.Context, HoldRequest) (Hold, error), settle func(context.Context, SettleRequest) (Hold, error), release func(context.Context, uuid.UUID) error) (paid, held int64, err error) {
			in := callOf(caller, c.Amount)
			if _, err := hold(ctx, in); services.Is(err, services.Insufficient) {
				return 0, 0, nil
			} else if err != nil {
				return 0, 0, err
			}
			held = c.Amount
			if c.End == "settle" || c.End == "both" {
				if _, err := settle(ctx, whole(in)); err != nil {
					return 0, 0, err
				}
				paid, held = c.Amount, 0
			}
			if c.End == "part" {
				part := whole(in)
				part.Charges[0].Amount = 1
				if _, err := settle(ctx, part); err != nil {
					return 0, 0, err
				}
				paid, held = 1, c.Amount-1
			}
			if c.End == "release" || c.End == "both" {
				held = 0
				err = release(ctx, in.ID)
			}
			return paid, held, err
		}
		var paidTogether, heldTogether, paidAlone, heldAlone [3]int64
		var mu sync.Mutex
		var faults []error
		var callers sync.WaitGroup
		for _, c := range plan {
			callers.Go(func() {
				paid, held, err := one(c, together[c.Account], b.service.Hold, b.service.Settle, func(ctx context.Context, id uuid.UUID) error {
					_, err := b.service.Release(ctx, ReleaseRequest{HoldID: id})
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				paidTogether[c.Account] += paid
				heldTogether[c.Account] += held
				if err != nil {
					faults = append(faults, err)
				}
			})
		}
		callers.Wait()
		require.Empty(t, faults)
		for _, c := range plan {
			paid, held, err := one(c, alone[c.Account], func(ctx context.Context, in HoldRequest) (Hold, error) {
				who, err := b.service.spenders.id(ctx, spenderOf(in.Caller))
				if err != nil {
					return Hold{}, err
				}
				return b.service.holdAlone(ctx, asked{HoldRequest: in, spender: who})
			}, b.service.settleAlone, func(ctx context.Context, id uuid.UUID) error {
				_, err := b.service.releaseAlone(ctx, ReleaseRequest{HoldID: id})
				return err
			})
			require.NoError(t, err)
			paidAlone[c.Account] += paid
			heldAlone[c.Account] += held
		}
		for i := range together {
			for _, side := range []struct {
				caller     services.Caller
				paid, held int64
			}{{together[i], paidTogether[i], heldTogether[i]}, {alone[i], paidAlone[i], heldAlone[i]}} {
				got, err := b.service.Balance(ctx, BalanceRequest{Caller: side.caller})
				require.NoError(t, err)
				require.Equal(t, Balance{Tier: Free, Available: 10_000 - side.paid - side.held, Held: side.held}, got)
				require.LessOrEqual(t, side.paid+side.held, int64(10_000))
			}
			if demand[i] <= 10_000 && (i > 0 || demand[i] <= cap) {
				require.Equal(t, [2]int64{paidAlone[i], heldAlone[i]}, [2]int64{paidTogether[i], heldTogether[i]}, "nothing ran out")
			}
		}
		if cap < demand[0] {
			require.LessOrEqual(t, paidTogether[0]+heldTogether[0], cap)
		}
	})
	b.audit(t)
}

// TestAbandonedHolds are their owner's to end; a call's are billing's after an
// hour.
func TestAbandonedHolds(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	call, later, job := callOf(caller, 5), callOf(caller, 7), b.hold(t, caller, OwnerJob, 11)
	for _, in := range []HoldRequest{call, later} {
		_, err := b.service.Hold(t.Context(), in)
		require.NoError(t, err)
	}
	abandoned := func() []AbandonedHold {
		holds, err := b.service.Abandoned(t.Context(), AbandonedRequest{Owner: OwnerCall, Limit: 10})
		require.NoError(t, err)
		return holds
	}
	require.Empty(t, abandoned(), "nobody's time is up")
	for _, age := range []string{"1 second", "59 minutes"} {
		_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.holds SET expires_at = now() - $2::interval WHERE hold_id IN ($1, $3)`, call.ID, age, job)
		require.NoError(t, err)
		b.jobs.going = map[uuid.UUID]bool{job: true}
		n, err := b.sweeper.Sweep(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "a call's hold is the proxy's for an hour")
	}
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.holds SET expires_at = now() - interval '1 second' WHERE hold_id = $1`, job)
	require.NoError(t, err)
	got := abandoned()
	require.Len(t, got, 1)
	require.WithinDuration(t, time.Now(), got[0].CreatedAt, time.Minute)
	got[0].CreatedAt = time.Time{}
	require.Equal(t, AbandonedHold{Hold: Hold{ID: call.ID, Amount: 5, Open: true}, Organization: caller.Organization, Account: caller.Account, Memo: "what for"}, got[0])
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_billing.holds SET expires_at = now() - interval '61 minutes' WHERE hold_id = $1`, call.ID)
	require.NoError(t, err)
	n, err := b.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, abandoned())
	require.Equal(t, Balance{Tier: Free, Available: 10_000 - 23, Held: 18}, b.balance(t, caller))
	_, err = b.service.Abandoned(t.Context(), AbandonedRequest{Owner: OwnerCall})
	require.Equal(t, services.Invalid, services.KindOf(err))
	b.audit(t)
}

func TestMemosReachTheStatementForOneToo(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.cap(t, caller, organizationDay, 100)
	in := callOf(caller, 5)
	_, err := b.service.Hold(t.Context(), in)
	require.NoError(t, err)
	b.expire(t, in.ID)
	holds, err := b.service.Abandoned(t.Context(), AbandonedRequest{Owner: OwnerCall, Limit: 1})
	require.NoError(t, err)
	require.Len(t, holds, 1)
	require.Equal(t, "what for", holds[0].Memo, fmt.Sprint(holds))
}
