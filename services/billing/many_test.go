package billing

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// TestMany runs over both bodies of the Meter.
func TestMany(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		manyContract(t, b, b.service)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		url := peerstest.Serve(t, b.handler(t).internal()...)
		client, err := NewClient(ClientConfig{URL: url}, peerstest.Tokens(t))
		require.NoError(t, err)
		t.Cleanup(client.peer.Close)
		manyContract(t, b, client)
	})
}

// toldOf takes outcomes apart: errors as they cross the wire.
func toldOf(t testing.TB, outcomes []Outcome) (holds []Hold, faults []peerstest.Parts) {
	t.Helper()
	for _, o := range outcomes {
		holds = append(holds, o.Hold)
		if o.Error == nil {
			faults = append(faults, peerstest.Parts{})
			continue
		}
		faults = append(faults, peerstest.Parts{Kind: o.Error.Kind, Code: o.Error.Code, Message: o.Error.Message})
	}
	return holds, faults
}

func manyContract(t *testing.T, b *bench, meter Meter) {
	ctx := t.Context()
	rich, poor, capped, ended, debtor, stranger := user(), user(), user(), user(), user(), user()
	for _, caller := range []services.Caller{rich, poor, capped, ended, debtor} {
		b.balance(t, caller)
	}
	b.cap(t, capped, organizationDay, 100)
	require.NoError(t, b.repository.closeAccounts(ctx, []uuid.UUID{ended.Organization}))
	b.buy(t, debtor, 5)
	b.settle(t, b.hold(t, debtor, OwnerJob, 10_005), 10_005)
	b.takeBack(t, debtor, "re", 5)
	fine := peerstest.Parts{}
	bad := peerstest.Parts{Kind: services.Invalid, Message: "A hold needs an organisation, a lifetime and at least one credit"}

	empty, err := meter.HoldMany(ctx, HoldsRequest{})
	require.NoError(t, err)
	require.Empty(t, empty)

	long := callOf(rich, 1)
	long.Memo = string(make([]byte, MaxMemo+1))
	unstorable := callOf(rich, 1)
	unstorable.Memo = "\x00"
	nobody := callOf(services.Caller{}, 1)
	first, second := callOf(rich, 10), callOf(rich, 20)
	other := second
	other.Amount = 21
	holds := []HoldRequest{
		first, callOf(rich, 0), callOf(poor, 6_000), callOf(poor, 6_000), callOf(capped, 101), nobody, second, callOf(ended, 1),
		callOf(debtor, 1), callOf(stranger, 7), long, first, other, unstorable, callOf(capped, 100),
	}
	for round := range 2 { // repeated, it answers the same and counts once
		outcomes, err := meter.HoldMany(ctx, HoldsRequest{Holds: holds})
		require.NoError(t, err)
		got, faults := toldOf(t, outcomes)
		require.Len(t, got, len(holds))
		require.Equal(t, []peerstest.Parts{
			fine, bad, fine, {Kind: services.Insufficient, Message: "Insufficient credits. Required: 6000, Available: 4000"},
			faults[4], bad, fine, {Kind: services.Insufficient, Message: "Insufficient credits. Required: 1, Available: 0"},
			{Kind: services.Insufficient, Code: "CREDITS_OWED", Message: "This account owes 5 credits for a payment that was taken back; buy credits to go on"},
			fine, {Kind: services.Invalid, Message: "A hold's memo has at most 4096 bytes"}, fine,
			{Kind: services.Conflict, Message: "The id " + second.ID.String() + " was used for another hold"}, faults[13], fine,
		}, faults, round)
		require.Equal(t, [2]string{string(services.Insufficient), "SPEND_CAP_EXCEEDED"}, [2]string{string(faults[4].Kind), faults[4].Code})
		require.Equal(t, services.Invalid, faults[13].Kind)
		for i, h := range got {
			if faults[i] == fine {
				require.Equal(t, Hold{ID: holds[i].ID, Amount: holds[i].Amount, Open: true}, h, i)
			} else {
				require.Zero(t, h, i)
			}
		}
		require.Equal(t, Balance{Tier: Free, Available: 9_970, Held: 30}, b.balance(t, rich))
		require.Equal(t, Balance{Tier: Free, Available: 4_000, Held: 6_000}, b.balance(t, poor))
		require.Equal(t, Balance{Tier: Free, Available: 9_900, Held: 100}, b.balance(t, capped))
	}

	part := SettleRequest{HoldID: holds[2].ID, Charges: []Charge{{Operation: "a", Amount: 1_000}, {Operation: "b", Amount: 500}, {Operation: "a", Amount: 1_000}}}
	dear := whole(second)
	dear.Charges[0].Amount = 21
	unknown := whole(callOf(rich, 1))
	settles := []SettleRequest{
		whole(first), dear, unknown, part, {HoldID: holds[14].ID}, {HoldID: uuid.New()}, {HoldID: second.ID, Charges: []Charge{{Operation: "", Amount: 1}}},
		{HoldID: holds[2].ID, Charges: []Charge{{Operation: "b", Amount: 500}, {Operation: "c", Amount: 7}}}, whole(first),
	}
	for round := range 2 {
		outcomes, err := meter.SettleMany(ctx, SettlesRequest{Settles: settles})
		require.NoError(t, err)
		got, faults := toldOf(t, outcomes)
		require.Equal(t, []peerstest.Parts{
			fine, {Kind: services.Conflict, Message: "The hold " + second.ID.String() + " is closed or too small for 21 more"},
			{Kind: services.NotFound, Message: "Not found"}, fine, fine, {Kind: services.NotFound, Message: "Not found"},
			{Kind: services.Invalid, Message: "A charge needs an operation and at least one credit"}, fine, fine,
		}, faults, round)
		require.Equal(t, Hold{ID: first.ID, Amount: 10, Settled: 10}, got[0])
		require.Equal(t, Hold{ID: holds[14].ID, Amount: 100, Open: true}, got[4], "nothing to pay: only how it stands")
		require.Equal(t, Hold{ID: holds[2].ID, Amount: 6_000, Settled: 1_507, Open: true}, got[7])
		require.Equal(t, Balance{Tier: Free, Available: 4_000, Held: 4_493}, b.balance(t, poor))
		require.Equal(t, Balance{Tier: Free, Available: 9_970, Held: 20}, b.balance(t, rich))
	}

	nowhere := uuid.New()
	releases := []ReleaseRequest{{holds[2].ID}, {nowhere}, {first.ID}, {second.ID}, {holds[2].ID}, {holds[14].ID}}
	for range 2 {
		outcomes, err := meter.ReleaseMany(ctx, ReleasesRequest{Releases: releases})
		require.NoError(t, err)
		got, faults := toldOf(t, outcomes)
		require.Equal(t, make([]peerstest.Parts, len(releases)), faults)
		require.Equal(t, []Hold{
			{ID: holds[2].ID, Amount: 6_000, Settled: 1_507}, {ID: nowhere}, {ID: first.ID, Amount: 10, Settled: 10}, {ID: second.ID, Amount: 20},
			{ID: holds[2].ID, Amount: 6_000, Settled: 1_507}, {ID: holds[14].ID, Amount: 100},
		}, got)
		require.Equal(t, Balance{Tier: Free, Available: 8_493}, b.balance(t, poor))
		require.Equal(t, Balance{Tier: Free, Available: 9_990}, b.balance(t, rich))
		require.Equal(t, Balance{Tier: Free, Available: 10_000}, b.balance(t, capped))
	}
	b.audit(t)
}

// writes counts how often an account's row has been written: each version of a
// row has a number of the transaction that made it, and all come into a log.
func (b *bench) writes(t testing.TB) func(organization uuid.UUID) (n int) {
	t.Helper()
	for _, sql := range []string{
		`CREATE TABLE writes (organization_id uuid)`,
		`CREATE FUNCTION count_writes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO writes VALUES (NEW.organization_id); RETURN NEW; END $$`,
		`CREATE TRIGGER count_writes BEFORE UPDATE ON uaol_billing.accounts FOR EACH ROW EXECUTE FUNCTION count_writes()`,
	} {
		_, err := b.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	return func(organization uuid.UUID) (n int) {
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM writes WHERE organization_id = $1`, organization).Scan(&n))
		return n
	}
}

// TestThousandsAtOnceWriteAnAccountOnce: 3,000 on three accounts are three
// updates, each time.
func TestThousandsAtOnceWriteAnAccountOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	writes := b.writes(t)
	callers := []services.Caller{user(), user(), user()}
	for _, caller := range callers {
		b.balance(t, caller)
	}
	before := [3]int{writes(callers[0].Organization), writes(callers[1].Organization), writes(callers[2].Organization)}
	var holds HoldsRequest
	var settles SettlesRequest
	var releases ReleasesRequest
	for i := range 3_000 {
		in := callOf(callers[i%3], 3)
		holds.Holds = append(holds.Holds, in)
		settles.Settles = append(settles.Settles, SettleRequest{HoldID: in.ID, Charges: []Charge{{Operation: in.ID.String(), Amount: 1}}})
		releases.Releases = append(releases.Releases, ReleaseRequest{HoldID: in.ID})
	}
	for n, do := range []func() ([]Outcome, error){
		func() ([]Outcome, error) { return b.service.HoldMany(t.Context(), holds) },
		func() ([]Outcome, error) { return b.service.SettleMany(t.Context(), settles) },
		func() ([]Outcome, error) { return b.service.ReleaseMany(t.Context(), releases) },
	} {
		outcomes, err := do()
		require.NoError(t, err)
		for i, o := range outcomes {
			require.Nil(t, o.Error)
			require.Equal(t, holds.Holds[i].ID, o.Hold.ID)
		}
		for i, caller := range callers {
			require.Equal(t, n+1, writes(caller.Organization)-before[i])
		}
	}
	for _, caller := range callers {
		require.Equal(t, Balance{Tier: Free, Available: 9_000}, b.balance(t, caller))
		var last int64
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT last_seq FROM uaol_billing.accounts WHERE organization_id = $1`, caller.Organization).Scan(&last))
		require.EqualValues(t, 3_001, last)
	}
	b.audit(t)
}

// TestManyAreAsOneByOne: whatever is drawn, many at once come out as one after the
// other would.
func TestManyAreAsOneByOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	type drawn struct {
		Account, Hold int
		Amount        int64
	}
	draw := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) drawn {
		return drawn{rapid.IntRange(0, 2).Draw(t, "account"), rapid.IntRange(0, 11).Draw(t, "hold"), rapid.OneOf(rapid.Int64Range(-1, 900), rapid.Int64Range(2_000, 7_000)).Draw(t, "amount")}
	}), 1, 8)
	rapid.Check(t, func(t *rapid.T) {
		together, alone := []services.Caller{user(), user(), user()}, []services.Caller{user(), user(), user()}
		for _, callers := range [][]services.Caller{together, alone} {
			if _, err := b.service.SetCap(ctx, callers[1], organizationDay, 5_000); err != nil {
				t.Fatal(err)
			}
			for _, caller := range callers {
				if _, err := b.service.Balance(ctx, BalanceRequest{Caller: caller}); err != nil {
					t.Fatal(err)
				}
			}
		}
		plan, ends, lets := draw.Draw(t, "holds"), draw.Draw(t, "settlements"), draw.Draw(t, "releases")
		run := func(callers []services.Caller, holdAll func([]HoldRequest) []Outcome, settleAll func([]SettleRequest) []Outcome, releaseAll func([]ReleaseRequest) []Outcome) (story []string) {
			ids := map[uuid.UUID]string{}
			tell := func(outcomes []Outcome) {
				for i, o := range outcomes {
					what := fmt.Sprintf("%d: %s %d %d %t", i, ids[o.Hold.ID], o.Hold.Amount, o.Hold.Settled, o.Hold.Open)
					if o.Error != nil {
						what += " " + string(o.Error.Kind) + " " + o.Error.Code
					}
					story = append(story, what)
				}
				for _, caller := range callers {
					balance, err := b.service.Balance(ctx, BalanceRequest{Caller: caller})
					story = append(story, fmt.Sprint(balance, err))
				}
			}
			var holds []HoldRequest
			for i, d := range plan {
				if d.Hold < i && d.Hold < 3 { // one of before once more
					holds = append(holds, holds[d.Hold])
					continue
				}
				in := callOf(callers[d.Account], d.Amount)
				ids[in.ID] = fmt.Sprint("hold ", i)
				holds = append(holds, in)
			}
			tell(holdAll(holds))
			var settles []SettleRequest
			for i, d := range ends {
				in := holds[d.Hold%len(holds)]
				operation := fmt.Sprint(in.ID, "/", i/2) // of two holds, each has its own
				settles = append(settles, SettleRequest{HoldID: in.ID, Charges: []Charge{{Operation: operation, Amount: d.Amount}, {Operation: operation + "x", Amount: 1}}})
			}
			tell(settleAll(settles))
			var releases []ReleaseRequest
			for _, d := range lets {
				releases = append(releases, ReleaseRequest{HoldID: holds[d.Hold%len(holds)].ID})
			}
			tell(releaseAll(releases))
			return story
		}
		many := func(outcomes []Outcome, err error) []Outcome { require.NoError(t, err); return outcomes }
		want := run(alone, func(in []HoldRequest) (out []Outcome) {
			for _, h := range in {
				hold, err := b.service.Hold(ctx, h)
				out = append(out, outcomeOf(hold, err))
			}
			return out
		}, func(in []SettleRequest) (out []Outcome) {
			for _, s := range in {
				hold, err := b.service.Settle(ctx, s)
				out = append(out, outcomeOf(hold, err))
			}
			return out
		}, func(in []ReleaseRequest) (out []Outcome) {
			for _, r := range in {
				hold, err := b.service.Release(ctx, r)
				out = append(out, outcomeOf(hold, err))
			}
			return out
		})
		got := run(together, func(in []HoldRequest) []Outcome { return many(b.service.HoldMany(ctx, HoldsRequest{Holds: in})) },
			func(in []SettleRequest) []Outcome {
				return many(b.service.SettleMany(ctx, SettlesRequest{Settles: in}))
			},
			func(in []ReleaseRequest) []Outcome {
				return many(b.service.ReleaseMany(ctx, ReleasesRequest{Releases: in}))
			})
		require.Equal(t, want, got)
	})
	b.audit(t)
}

func outcomeOf(hold Hold, err error) Outcome {
	if err != nil {
		return Outcome{Error: told(err)}
	}
	return Outcome{Hold: hold}
}

// TestManyBeyondOneStatement: more than fit into one go into several.
func TestManyBeyondOneStatement(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	var in HoldsRequest
	for range batchMost + 10 {
		in.Holds = append(in.Holds, HoldRequest{ID: uuid.New(), Caller: caller, Owner: OwnerCall, Amount: 1, Lifetime: time.Minute})
	}
	b.balance(t, caller)
	outcomes, err := b.service.HoldMany(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, outcomes, batchMost+10)
	for i, o := range outcomes {
		require.Equal(t, Outcome{Hold: Hold{ID: in.Holds[i].ID, Amount: 1, Open: true}}, o)
	}
	require.Equal(t, Balance{Tier: Free, Available: 10_000 - batchMost - 10, Held: batchMost + 10}, b.balance(t, caller))
	b.audit(t)
}
