package chain

import (
	"math"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// step is an entry in short.
type step struct {
	operation string
	kind      Kind
	amount    int64
	facts     string
}

func play(a *Account, s step) error {
	probe := *a
	one, other, known := probe.legs(s.kind)
	if known {
		*one.account += one.sign * s.amount
		*other.account += other.sign * s.amount
	}
	return a.Apply(Entry{Seq: a.LastSeq + 1, Operation: s.operation, Kind: s.kind, Amount: s.amount, Balance: probe.Available, Facts: s.facts})
}

func TestKindsMoveCredits(t *testing.T) {
	t.Parallel()
	start := Account{LastSeq: 9, Available: 100, Held: 50, Grants: 160, Purchases: 40, Transfers: -10, Revenue: 30, Expired: 20, Debt: 10}
	require.True(t, start.Balanced())
	for kind, want := range map[Kind]Account{
		Grant:    {Available: 7, Grants: 7},
		Purchase: {Available: 7, Purchases: 7},
		Hold:     {Available: -7, Held: 7},
		Settle:   {Held: -7, Revenue: 7},
		Release:  {Held: -7, Available: 7},
		Deduct:   {Available: -7, Revenue: 7},
		Refund:   {Available: 7, Revenue: -7},
		Send:     {Available: -7, Transfers: -7},
		Receive:  {Available: 7, Transfers: 7},
		Expire:   {Available: -7, Expired: 7},
		Return:   {Available: -7, Purchases: -7},
		Owe:      {Debt: 7, Purchases: -7},
		Repay:    {Available: -7, Debt: -7},
	} {
		a := start
		if kind == Expire {
			a.Stale = 7
		}
		require.NoError(t, play(&a, step{"x", kind, 7, ""}), kind)
		require.True(t, a.Balanced(), kind)
		require.Equal(t, Account{LastSeq: 10, Available: 100 + want.Available, Held: 50 + want.Held, Grants: 160 + want.Grants,
			Purchases: 40 + want.Purchases, Transfers: -10 + want.Transfers, Revenue: 30 + want.Revenue, Expired: 20 + want.Expired,
			Debt: 10 + want.Debt}, a, kind)
	}
}

func TestWhatCannotBe(t *testing.T) {
	t.Parallel()
	start := Account{LastSeq: 1, Available: 5, Grants: 5}
	for want, e := range map[string]Entry{
		"entry 3 follows entry 1":       {Seq: 3, Kind: Grant, Amount: 1, Balance: 6},
		"entry 1 follows entry 1":       {Seq: 1, Kind: Grant, Amount: 1, Balance: 6},
		"cannot be":                     {Seq: 2, Kind: Hold, Amount: 0, Balance: 5},
		"a grant of -1":                 {Seq: 2, Kind: Grant, Amount: -1, Balance: 4},
		"there is no kind":              {Seq: 2, Kind: "gift", Amount: 1, Balance: 6},
		"takes 6 credits":               {Seq: 2, Kind: Hold, Amount: 6, Balance: -1},
		"takes 1 credits":               {Seq: 2, Kind: Settle, Amount: 1, Balance: 5},
		"says that 7 credits":           {Seq: 2, Kind: Grant, Amount: 1, Balance: 7},
		"beyond what":                   {Seq: 2, Kind: Grant, Amount: math.MaxInt64, Balance: math.MinInt64 + 4},
		"lets 1 credits expire":         {Seq: 2, Kind: Expire, Amount: 1, Balance: 4},
		"of 1 credits 2 are said":       {Seq: 2, Kind: Receive, Amount: 1, Balance: 6, Facts: `{"monthly":2}`},
		"of 1 credits -1 are said":      {Seq: 2, Kind: Receive, Amount: 1, Balance: 6, Facts: `{"monthly":-1}`},
		"facts cannot be read":          {Seq: 2, Kind: Receive, Amount: 1, Balance: 6, Facts: `{"monthly":"1"}`},
		"lets 2 credits expire, which":  {Seq: 2, Operation: "month/x", Kind: Expire, Amount: 2, Balance: 3},
		"goes beyond what can be count": {Seq: 2, Kind: Receive, Amount: math.MaxInt64, Balance: 0},
	} {
		a := start
		require.ErrorContains(t, a.Apply(e), want)
		require.Equal(t, start, a, "nothing is done")
	}
	broke := Account{Available: 1, Transfers: math.MinInt64, Grants: 1}
	require.ErrorContains(t, broke.Apply(Entry{Seq: 1, Kind: Send, Amount: 1}), "beyond")
	require.Error(t, Account{Stale: 1}.Rest())
	none := Account{}
	require.NoError(t, none.Apply(Entry{Seq: 1, Kind: Grant}), "a month may begin with nothing")
}

// TestMonths follows what ends with a month.
func TestMonths(t *testing.T) {
	t.Parallel()
	var a Account
	for i, s := range []struct {
		step
		monthly, stale int64
	}{
		{step{"month/1", Grant, 100, ""}, 100, 0},
		{step{"h1", Hold, 60, ""}, 100, 0},
		{step{"buy", Purchase, 50, ""}, 100, 0},
		{step{"h1/a", Settle, 10, ""}, 90, 0},
		{step{"d", Deduct, 5, ""}, 85, 0},
		{step{"month/2", Expire, 85, ""}, 0, 0}, // all of it was available
		{step{"month/2", Grant, 10, ""}, 10, 0},
		{step{"h2", Hold, 10, ""}, 10, 0},
		{step{"month/3", Grant, 20, ""}, 20, 10}, // held when its month ended
		{step{"h1/b", Settle, 4, ""}, 20, 6},
		{step{"h1", Release, 46, ""}, 20, 6},
		{step{"h2/a", Settle, 9, ""}, 17, 0},
		{step{"month/4", Grant, 3, ""}, 3, 17},
	} {
		require.NoError(t, play(&a, s.step), "%d %s", i, s.operation)
		require.Equal(t, []int64{s.monthly, s.stale}, []int64{a.Monthly, a.Stale}, "%d %s", i, s.operation)
	}
	require.Equal(t, int64(1), a.Held)
	require.ErrorContains(t, a.Rest(), "of 1 credits held 17")
	require.NoError(t, play(&a, step{"h2", Expire, 16, ""}))
	require.NoError(t, a.Rest())
	require.NoError(t, play(&a, step{"in", Receive, 8, `{"monthly":5,"note":"x"}`}))
	require.Equal(t, int64(8), a.Monthly)
	require.NoError(t, play(&a, step{"in2", Receive, 8, ""}))
	require.Equal(t, int64(8), a.Monthly)
	require.NoError(t, play(&a, step{"out", Send, 6, ""}))
	require.Equal(t, int64(2), a.Monthly)
}

// TestBooksStayBalanced whatever is entered in whatever order.
func TestBooksStayBalanced(t *testing.T) {
	t.Parallel()
	kinds := []Kind{Grant, Purchase, Hold, Settle, Release, Deduct, Refund, Send, Receive, Expire, Return, Owe, Repay, "gift"}
	rapid.Check(t, func(t *rapid.T) {
		var a Account
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			before := a
			amount := rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64()).Draw(t, "amount")
			err := play(&a, step{rapid.SampledFrom([]string{"x", "month/1"}).Draw(t, "operation"), rapid.SampledFrom(kinds).Draw(t, "kind"),
				amount, rapid.SampledFrom([]string{"", `{"monthly":1}`}).Draw(t, "facts")})
			if err != nil {
				require.Equal(t, before, a)
				continue
			}
			require.True(t, a.Balanced())
			require.Equal(t, before.LastSeq+1, a.LastSeq)
			for _, n := range []int64{a.Available, a.Held, a.Grants, a.Purchases, a.Revenue, a.Expired, a.Debt, a.Monthly, a.Stale} {
				require.GreaterOrEqual(t, n, int64(0))
			}
			require.LessOrEqual(t, a.Monthly, a.Available+a.Held-a.Stale)
		}
	})
}

func TestHolds(t *testing.T) {
	t.Parallel()
	id, h := uuid.New(), Holds{}
	apply := func(kind Kind, amount int64) error { return h.Apply(Entry{Kind: kind, Amount: amount, Hold: &id}) }
	require.ErrorContains(t, apply(Settle, 1), "has 0 credits left")
	require.NoError(t, apply(Hold, 10))
	require.ErrorContains(t, apply(Hold, 10), "is there already")
	require.NoError(t, apply(Settle, 3))
	require.NoError(t, apply(Settle, 2))
	require.ErrorContains(t, apply(Settle, 6), "has 5 credits left, not 6")
	require.ErrorContains(t, apply(Settle, math.MaxInt64), "has 5")
	require.NoError(t, apply(Refund, 100), "which is no hold's matter")
	require.NoError(t, apply(Release, 5))
	require.ErrorContains(t, apply(Release, 1), "has 0")
	require.Equal(t, Holds{id: {Amount: 10, Settled: 5, Released: 5}}, h)
	require.ErrorContains(t, h.Apply(Entry{Kind: Hold, Amount: 1}), "names no hold")
}

// TestHoldsAreOneSpenders: what is settled and released is whose hold it is.
func TestHoldsAreOneSpenders(t *testing.T) {
	t.Parallel()
	id, ada, bob := uuid.New(), uuid.New(), uuid.New()
	h := Holds{}
	require.NoError(t, h.Apply(Entry{Kind: Hold, Amount: 9, Hold: &id, Spender: &ada}))
	for _, kind := range []Kind{Settle, Release} {
		for _, who := range []*uuid.UUID{&bob, nil} {
			require.ErrorContains(t, h.Apply(Entry{Kind: kind, Amount: 1, Hold: &id, Spender: who}), "another spender's")
		}
		require.NoError(t, h.Apply(Entry{Kind: kind, Amount: 1, Hold: &id, Spender: &ada}))
	}
	require.Equal(t, Held{Spender: ada, Amount: 9, Settled: 1, Released: 1}, h[id])
}
