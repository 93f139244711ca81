package billing

import (
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// TestMeter runs the interface's contract over both of its bodies.
func TestMeter(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		meterContract(t, b, b.service)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		url := peerstest.Serve(t, b.handler(t).internal()...)
		client, err := NewClient(ClientConfig{URL: url}, peerstest.Tokens(t))
		require.NoError(t, err)
		t.Cleanup(client.peer.Close)
		meterContract(t, b, client)
	})
}

func meterContract(t *testing.T, b *bench, meter Meter) {
	ctx := t.Context()
	fails := func(err error, want peerstest.Parts) {
		t.Helper()
		if want.Details == "" {
			want.Details = "null"
		}
		require.Equal(t, want, peerstest.PartsOf(t, err))
	}
	hold := func(caller services.Caller, id uuid.UUID, amount int64) (Hold, error) {
		return meter.Hold(ctx, HoldRequest{ID: id, Caller: caller, Owner: OwnerJob, Amount: amount, Lifetime: time.Minute})
	}

	caller := user()
	balance, err := meter.Balance(ctx, BalanceRequest{Caller: caller})
	require.NoError(t, err)
	require.Equal(t, Balance{Tier: Free, Available: 10_000}, balance)
	_, err = meter.Balance(ctx, BalanceRequest{})
	fails(err, peerstest.Parts{Kind: services.Invalid, Message: "Whose balance?"})

	// A guest has its own credits, and the user's beside them once it registers.
	guest := user()
	guest.Role = services.RoleGuest
	balance, err = meter.Balance(ctx, BalanceRequest{Caller: guest})
	require.NoError(t, err)
	require.Equal(t, Balance{Tier: Free, Available: 1_000}, balance)
	guest.Role = services.RoleUser
	for range 2 {
		balance, err = meter.Balance(ctx, BalanceRequest{Caller: guest})
		require.NoError(t, err)
		require.Equal(t, Balance{Tier: Free, Available: 11_000}, balance)
	}

	id := uuid.New()
	for range 3 { // repeated, it answers the same and counts once
		got, err := hold(caller, id, 600)
		require.NoError(t, err)
		require.Equal(t, Hold{ID: id, Amount: 600, Open: true}, got)
	}
	require.Equal(t, Balance{Tier: Free, Available: 9_400, Held: 600}, b.balance(t, caller))

	taken := peerstest.Parts{Kind: services.Conflict, Message: "The id " + id.String() + " was used for another hold"}
	_, err = hold(caller, id, 601)
	fails(err, taken)
	_, err = hold(user(), id, 600)
	fails(err, taken)
	_, err = hold(caller, uuid.New(), 9_401)
	fails(err, peerstest.Parts{Kind: services.Insufficient, Message: "Insufficient credits. Required: 9401, Available: 9400"})
	for _, amount := range []int64{0, -1, math.MinInt64} {
		_, err = hold(caller, uuid.New(), amount)
		fails(err, peerstest.Parts{Kind: services.Invalid, Message: "A hold needs an organisation, a lifetime and at least one credit"})
	}
	_, err = hold(caller, uuid.New(), math.MaxInt64)
	require.Equal(t, services.Insufficient, services.KindOf(err))

	settle := func(charges ...Charge) (Hold, error) {
		return meter.Settle(ctx, SettleRequest{HoldID: id, Charges: charges})
	}
	got, err := settle()
	require.NoError(t, err)
	require.Equal(t, Hold{ID: id, Amount: 600, Open: true}, got)
	for range 2 { // "a" twice in one list is one operation
		got, err = settle(Charge{Operation: "a", Amount: 100}, Charge{Operation: "a", Amount: 100}, Charge{Operation: "b", Amount: 50})
		require.NoError(t, err)
		require.Equal(t, Hold{ID: id, Amount: 600, Settled: 150, Open: true}, got)
	}
	got, err = settle(Charge{Operation: "b", Amount: 50}, Charge{Operation: "c", Amount: 50})
	require.NoError(t, err)
	require.Equal(t, Hold{ID: id, Amount: 600, Settled: 200, Open: true}, got)
	_, err = settle(Charge{Operation: "d", Amount: 401})
	fails(err, peerstest.Parts{Kind: services.Conflict, Message: "The hold " + id.String() + " is closed or too small for 401 more"})
	_, err = settle(Charge{Operation: "e", Amount: math.MaxInt64}, Charge{Operation: "f", Amount: math.MaxInt64})
	require.Equal(t, services.Conflict, services.KindOf(err), "a sum beyond the numbers' range is not a small one")
	for _, bad := range []Charge{{Operation: "", Amount: 1}, {Operation: "g", Amount: 0}, {Operation: "g", Amount: -5}} {
		_, err = settle(bad)
		fails(err, peerstest.Parts{Kind: services.Invalid, Message: "A charge needs an operation and at least one credit"})
	}
	_, err = meter.Settle(ctx, SettleRequest{HoldID: uuid.New(), Charges: []Charge{{Operation: "a", Amount: 1}}})
	fails(err, peerstest.Parts{Kind: services.NotFound, Message: "Not found"})
	require.Equal(t, Balance{Tier: Free, Available: 9_400, Held: 400}, b.balance(t, caller))

	for range 2 {
		got, err = meter.Release(ctx, ReleaseRequest{HoldID: id})
		require.NoError(t, err)
		require.Equal(t, Hold{ID: id, Amount: 600, Settled: 200}, got)
	}
	require.Equal(t, Balance{Tier: Free, Available: 9_800}, b.balance(t, caller))
	_, err = settle(Charge{Operation: "h", Amount: 1})
	fails(err, peerstest.Parts{Kind: services.Conflict, Message: "The hold " + id.String() + " is closed or too small for 1 more"})
	got, err = settle(Charge{Operation: "a", Amount: 100}) // paid before: a repetition is no error after the end either
	require.NoError(t, err)
	require.Equal(t, Hold{ID: id, Amount: 600, Settled: 200}, got)
	got, err = hold(caller, id, 600)
	require.NoError(t, err)
	require.Equal(t, Hold{ID: id, Amount: 600, Settled: 200}, got, "a late repetition opens nothing")

	plans, err := meter.Plans(ctx, PlansRequest{Organizations: []uuid.UUID{caller.Organization, uuid.New()}})
	require.NoError(t, err)
	require.Equal(t, []Tier{Free, Free}, []Tier{plans[0].Tier, plans[1].Tier})
	require.EqualValues(t, 10_000, plans[0].Credits)

	// The last settlement closes a hold of which nothing is left, and no other.
	whole, partly := uuid.New(), uuid.New()
	for _, id := range []uuid.UUID{whole, partly} {
		_, err = hold(caller, id, 10)
		require.NoError(t, err)
	}
	last := func(id uuid.UUID, operation string, amount int64) Hold {
		got, err := meter.Settle(ctx, SettleRequest{HoldID: id, Last: true, Charges: []Charge{{Operation: operation, Amount: amount}}})
		require.NoError(t, err)
		return got
	}
	for range 2 {
		require.Equal(t, Hold{ID: whole, Amount: 10, Settled: 10}, last(whole, "whole", 10))
		require.Equal(t, Hold{ID: partly, Amount: 10, Settled: 4, Open: true}, last(partly, "partly", 4))
	}
	require.Equal(t, Hold{ID: partly, Amount: 10, Settled: 10}, last(partly, "the rest", 6))
	require.Equal(t, Balance{Tier: Free, Available: 9_780}, b.balance(t, caller))
	_, err = meter.Settle(ctx, SettleRequest{HoldID: id, Charges: []Charge{{Operation: "whole", Amount: 10}}})
	require.NoError(t, err, "paid before, out of another hold")

	unknown := uuid.New()
	got, err = meter.Release(ctx, ReleaseRequest{HoldID: unknown})
	require.NoError(t, err)
	require.Equal(t, Hold{ID: unknown}, got)
	b.audit(t)
}
