package billing

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/providers/peers/peerstest"
	"uaol/services"
	"uaol/services/billing/ledger"
)

// TestKeeper runs the interface's contract over both of its bodies.
func TestKeeper(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		keeperContract(t, b, b.service)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		url := peerstest.Serve(t, routes(b.handler(t), b.shelf(t, ledger.Config{}).LedgerHandler, b.pool, events.Outlet{}).Routes.Operations...)
		custody := remoteKeeper(ClientConfig{URL: url}, peerstest.Tokens(t))
		require.NoError(t, custody.Missing)
		keeperContract(t, b, custody.Keeper)
	})
	custody := remoteKeeper(ClientConfig{}, peerstest.Tokens(t))
	require.ErrorContains(t, custody.Missing, "UAOL_BILLING_URL is not set", "an address that is missing stops nobody's start")
}

func (b *bench) number(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func keeperContract(t *testing.T, b *bench, keeper services.Keeper) {
	ctx, ada, bob := t.Context(), user(), user()
	team := services.Caller{Account: ada.Account, Organization: bob.Organization, Role: services.RoleUser}
	b.balance(t, ada)
	b.balance(t, bob)
	for _, caller := range []services.Caller{ada, team} {
		id := b.hold(t, caller, OwnerCall, 10)
		_, err := b.service.Settle(ctx, SettleRequest{HoldID: id, Charges: []Charge{{Operation: id.String(), Amount: 10}}})
		require.NoError(t, err)
		_, err = b.service.SetCap(ctx, caller, CapID{Scope: ScopeMember, Subject: ada.Account, Period: PeriodDay}, 1000)
		require.NoError(t, err)
	}
	_, err := b.service.SetCap(ctx, bob, CapID{Scope: ScopeMember, Subject: bob.Account, Period: PeriodDay}, 1000)
	require.NoError(t, err)
	open := b.hold(t, ada, OwnerCall, 100)
	bobs := b.hold(t, bob, OwnerCall, 50)

	sections := map[string][]json.RawMessage{}
	in := services.ExportRequest{Person: services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}, Shared: []uuid.UUID{bob.Organization}}}
	for {
		part, err := keeper.Export(ctx, in)
		require.NoError(t, err)
		sections[part.Section] = append(sections[part.Section], part.Items...)
		if in.After = part.Next; in.After == "" {
			break
		}
	}
	require.Len(t, sections, 2)
	require.Len(t, sections["credits"], 1, "a team's balance is not hers")
	var account exportedAccount
	require.NoError(t, json.Unmarshal(sections["credits"][0], &account))
	require.Equal(t, exportedAccount{Organization: ada.Organization, Tier: Free, Available: 9_890, Held: 100, CreatedAt: account.CreatedAt}, account)
	require.Len(t, sections["creditEntries"], 6, "grant, two holds and a settlement of her own; in the team what names her")

	who := services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}}
	for range 2 {
		err := keeper.Erase(ctx, who)
		require.Equal(t, peerstest.Parts{Kind: services.Conflict, Message: "1 holds have to end first", Details: "null"}, peerstest.PartsOf(t, err))
	}
	// At once nothing more can be spent.
	_, err = b.service.Hold(ctx, HoldRequest{ID: uuid.New(), Caller: ada, Owner: OwnerCall, Amount: 1, Lifetime: time.Minute})
	require.Equal(t, peerstest.Parts{Kind: services.Insufficient, Message: "Insufficient credits. Required: 1, Available: 0", Details: "null"}, peerstest.PartsOf(t, err))
	moving := bob
	moving.Home, moving.Account, moving.Personal = ada.Organization, ada.Account, false
	_, _, err = b.service.Transfer(ctx, moving, TransferRequest{Organization: bob.Organization, Amount: 1, Operation: uuid.New()})
	require.True(t, services.Is(err, services.Insufficient), "%v", err)

	// What was begun ends as ever, and is counted.
	_, err = b.service.Settle(ctx, SettleRequest{HoldID: open, Charges: []Charge{{Operation: open.String(), Amount: 40}}})
	require.NoError(t, err)
	_, err = b.service.Release(ctx, ReleaseRequest{HoldID: open})
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, keeper.Erase(ctx, who))
		require.Zero(t, b.number(t, `SELECT (SELECT count(*) FROM uaol_billing.spenders WHERE account_id = $1) + (SELECT count(*) FROM uaol_billing.caps WHERE subject_id = $1)`, ada.Account))
	}
	require.EqualValues(t, 6, b.number(t, `SELECT count(*) FROM uaol_billing.journal WHERE organization_id = $1`, ada.Organization), "the books are kept")
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_billing.caps`), "bob's")
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_billing.spenders WHERE account_id = $1`, bob.Account))
	require.Zero(t, b.balance(t, ada).Available)
	_, err = b.service.Release(ctx, ReleaseRequest{HoldID: bobs})
	require.NoError(t, err)
	b.audit(t)
}

// TestAClosedAccountIsNotOpenedAgain with the credits of a new one, by a request
// that was under way.
func TestAClosedAccountIsNotOpenedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, role := range []services.Role{services.RoleUser, services.RoleGuest} {
		caller := user()
		caller.Role = role
		require.NoError(t, b.service.Erase(t.Context(), services.Person{Account: caller.Account, Guest: role == services.RoleGuest, Organizations: []uuid.UUID{caller.Organization}}))
		require.Zero(t, b.balance(t, caller).Available)
		_, err := b.service.Hold(t.Context(), HoldRequest{ID: uuid.New(), Caller: caller, Owner: OwnerCall, Amount: 1, Lifetime: time.Minute})
		require.True(t, services.Is(err, services.Insufficient), "%v", err)
	}
	b.audit(t)
}

// TestExportOfManyEntries goes on where it was.
func TestExportOfManyEntries(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	_, err := b.pool.Exec(t.Context(), `
		INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, created_at)
		SELECT $1, n, 'operation ' || n / 2, CASE n % 2 WHEN 0 THEN 'hold' ELSE 'release' END, 1, 1, now() FROM generate_series(2, 1201) n`, caller.Organization)
	require.NoError(t, err)
	in := services.ExportRequest{Person: services.Person{Account: caller.Account, Organizations: []uuid.UUID{caller.Organization}}}
	once := map[string]bool{}
	for parts := 1; ; parts++ {
		part, err := b.service.Export(t.Context(), in)
		require.NoError(t, err)
		for _, item := range part.Items {
			require.False(t, once[string(item)])
			once[string(item)] = true
		}
		if in.After = part.Next; in.After == "" {
			require.Equal(t, 5, parts, "the account, three pages, the end")
			break
		}
	}
	require.Len(t, once, 1202)
}
