package billing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/providers/postgres"
	"uaol/services"
)

// modelHold and modelAccount say what the ledger has to be, one organisation
// after the other; the organisations run at the same time.
type modelHold struct {
	request HoldRequest
	settled int64
	open    bool
}

type modelAccount struct {
	caller                 services.Caller
	key                    uuid.UUID
	opened                 bool
	available, held, spent int64
	holds                  []*modelHold
	paid                   map[string]bool
	caps                   map[CapID]int64
}

// subject is what a cap of that scope caps: the one account or the one key.
func (m *modelAccount) subject(scope Scope) uuid.UUID {
	return map[Scope]uuid.UUID{ScopeOrganization: m.caller.Organization, ScopeMember: m.caller.Account, ScopeKey: m.key}[scope]
}

// counts is what a cap has to have counted.
func (m *modelAccount) counts(id CapID) (spent int64) {
	for _, h := range m.holds {
		switch {
		case id.Scope == ScopeKey && h.request.Caller.Key != id.Subject:
		case h.open:
			spent += h.request.Amount
		default:
			spent += h.settled
		}
	}
	return spent
}

// capped reports whether a cap has no room for a hold.
func (m *modelAccount) capped(in HoldRequest) bool {
	for id, amount := range m.caps {
		if (id.Scope != ScopeKey || in.Caller.Key == id.Subject) && m.counts(id)+in.Amount > amount {
			return true
		}
	}
	return false
}

// op is one drawn operation; its numbers are taken modulo what there is.
type op struct {
	Kind        string
	Hold        int
	Amount      int64
	Operation   int
	Owner       Owner
	Scope       Scope
	Period      Period
	WithKey     bool
	Repetitions int
}

var drawOp = rapid.Custom(func(t *rapid.T) op {
	return op{
		Kind:        rapid.SampledFrom([]string{"hold", "hold", "hold again", "settle", "settle", "release", "balance", "cap", "uncap"}).Draw(t, "kind"),
		Hold:        rapid.IntRange(0, 5).Draw(t, "hold"),
		Amount:      rapid.OneOf(rapid.Int64Range(-1, 6_000), rapid.Int64Range(9_000, 11_000)).Draw(t, "amount"),
		Operation:   rapid.IntRange(0, 12).Draw(t, "operation"),
		Owner:       rapid.SampledFrom([]Owner{OwnerJob, OwnerCall}).Draw(t, "owner"),
		Scope:       rapid.SampledFrom([]Scope{ScopeOrganization, ScopeMember, ScopeKey}).Draw(t, "scope"),
		Period:      rapid.SampledFrom([]Period{PeriodDay, PeriodMonth}).Draw(t, "period"),
		WithKey:     rapid.Bool().Draw(t, "with a key"),
		Repetitions: rapid.IntRange(1, 2).Draw(t, "repetitions"),
	}
})

// TestLedgerAgainstModel draws operations for a few organisations, runs the
// organisations at once and compares every answer with a model.
func TestLedgerAgainstModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rapid.Check(t, func(t *rapid.T) {
		plans := rapid.SliceOfN(rapid.SliceOfN(drawOp, 0, 12), 1, 4).Draw(t, "organisations")
		faults := make([]error, len(plans))
		var group sync.WaitGroup
		for i, plan := range plans {
			group.Go(func() { faults[i] = b.play(context.Background(), plan) })
		}
		group.Wait()
		for _, fault := range faults {
			require.NoError(t, fault)
		}
	})
	b.audit(t)
}

// play runs one organisation's operations and says where the ledger differs
// from the model.
func (b *bench) play(ctx context.Context, plan []op) error {
	m := &modelAccount{caller: user(), key: uuid.New(), paid: map[string]bool{}, caps: map[CapID]int64{}}
	for i, o := range plan {
		for range o.Repetitions {
			if err := b.playOne(ctx, m, o); err != nil {
				return fmt.Errorf("step %d, %+v: %w", i, o, err)
			}
			if o.Kind == "hold" {
				break // a new id each time; "hold again" repeats
			}
		}
		if !m.opened {
			continue
		}
		got, err := b.service.Balance(ctx, BalanceRequest{Caller: m.caller})
		if err != nil {
			return err
		}
		if want := (Balance{Tier: Free, Available: m.available, Held: m.held}); got != want {
			return fmt.Errorf("step %d, %+v: balance %+v, want %+v", i, o, got, want)
		}
		if err := b.compareCaps(ctx, m); err != nil {
			return fmt.Errorf("step %d, %+v: %w", i, o, err)
		}
		if m.available < 0 || m.held < 0 || m.available+m.held+m.spent != 10_000 {
			return fmt.Errorf("the model itself is wrong: %+v", m)
		}
	}
	return nil
}

func (b *bench) playOne(ctx context.Context, m *modelAccount, o op) error {
	var h *modelHold
	if len(m.holds) > 0 {
		h = m.holds[o.Hold%len(m.holds)]
	}
	switch {
	case o.Kind == "balance":
		m.open()
		_, err := b.service.Balance(ctx, BalanceRequest{Caller: m.caller})
		return err
	case o.Kind == "cap":
		m.open()
		id, amount := CapID{Scope: o.Scope, Subject: m.subject(o.Scope), Period: o.Period}, max(o.Amount, 0)
		m.caps[id] = amount
		got, err := b.service.SetCap(ctx, m.caller, id, amount)
		if err != nil || got.CapID != id || got.Amount != amount || got.Spent != m.counts(id) {
			return fmt.Errorf("cap %+v, want %d with %d spent: %w", got, amount, m.counts(id), err)
		}
		return nil
	case o.Kind == "uncap":
		id := CapID{Scope: o.Scope, Subject: m.subject(o.Scope), Period: o.Period}
		_, there := m.caps[id]
		delete(m.caps, id)
		err := b.service.RemoveCap(ctx, m.caller, id)
		if there {
			return err
		}
		return wantKind(err, services.NotFound)
	case o.Kind == "hold":
		h = &modelHold{request: HoldRequest{ID: uuid.New(), Caller: m.caller, Owner: o.Owner, Amount: o.Amount, Lifetime: time.Minute}}
		if o.WithKey {
			h.request.Caller.Key = m.key
		}
		if o.Amount <= 0 {
			_, err := b.service.Hold(ctx, h.request)
			return wantKind(err, services.Invalid)
		}
		m.open()
		if o.Amount > m.available {
			_, err := b.service.Hold(ctx, h.request)
			return wantKind(err, services.Insufficient)
		}
		if m.capped(h.request) {
			_, err := b.service.Hold(ctx, h.request)
			return wantCapped(err)
		}
		m.available, m.held, h.open = m.available-o.Amount, m.held+o.Amount, true
		m.holds = append(m.holds, h)
		return h.compare(b.service.Hold(ctx, h.request))
	case h == nil:
		return nil
	case o.Kind == "hold again":
		return h.compare(b.service.Hold(ctx, h.request))
	case o.Kind == "settle":
		charge := Charge{Operation: fmt.Sprint("op", o.Operation), Amount: max(o.Amount, 1)}
		if o.Operation < 6 { // as calls do, which are settled together
			charge.Operation = h.request.ID.String()
		}
		got, err := b.service.Settle(ctx, SettleRequest{HoldID: h.request.ID, Charges: []Charge{charge}})
		switch {
		case m.paid[charge.Operation]:
		case !h.open || charge.Amount > h.request.Amount-h.settled:
			return wantKind(err, services.Conflict)
		default:
			m.paid[charge.Operation] = true
			h.settled += charge.Amount
			m.held, m.spent = m.held-charge.Amount, m.spent+charge.Amount
		}
		if err != nil || got.Settled != h.settled {
			return fmt.Errorf("settled %d, want %d: %w", got.Settled, h.settled, err)
		}
		h.open = h.open && (h.request.Owner == OwnerJob || h.settled < h.request.Amount)
		return nil
	default:
		if h.open {
			rest := h.request.Amount - h.settled
			m.available, m.held, h.open = m.available+rest, m.held-rest, false
		}
		return h.compare(b.service.Release(ctx, ReleaseRequest{HoldID: h.request.ID}))
	}
}

func (b *bench) compareCaps(ctx context.Context, m *modelAccount) error {
	caps, err := b.service.Caps(ctx, m.caller, CapID{}, 100)
	if err != nil || len(caps) != len(m.caps) {
		return fmt.Errorf("%d caps, want %d: %w", len(caps), len(m.caps), err)
	}
	for _, c := range caps {
		if amount, ok := m.caps[c.CapID]; !ok || c.Amount != amount || c.Spent != m.counts(c.CapID) {
			return fmt.Errorf("cap %+v, want %d with %d spent", c, amount, m.counts(c.CapID))
		}
	}
	return nil
}

func (m *modelAccount) open() {
	if !m.opened {
		m.opened, m.available = true, 10_000
	}
}

func (h *modelHold) compare(got Hold, err error) error {
	want := Hold{ID: h.request.ID, Amount: h.request.Amount, Settled: h.settled, Open: h.open}
	if err != nil || got != want {
		return fmt.Errorf("got %+v, want %+v: %w", got, want, err)
	}
	return nil
}

func wantKind(err error, kind services.Kind) error {
	if !services.Is(err, kind) {
		return fmt.Errorf("want kind %s, got %w", kind, err)
	}
	return nil
}

func wantCapped(err error) error {
	var e *services.Error
	if !errors.As(err, &e) || e.Kind != services.Insufficient || e.Code != "SPEND_CAP_EXCEEDED" {
		return fmt.Errorf("want a cap's refusal, got %w", err)
	}
	return nil
}

// TestConcurrentHoldsExhaust is the acceptance's race: 200 callers want 100
// each of 10,000. Exactly 100 get it.
func TestConcurrentHoldsExhaust(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	var got, refused atomic.Int64
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			_, err := b.service.Hold(t.Context(), HoldRequest{ID: uuid.New(), Caller: caller, Owner: OwnerCall, Amount: 100, Lifetime: time.Minute})
			switch {
			case err == nil:
				got.Add(1)
			case services.Is(err, services.Insufficient):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, int64(100), got.Load())
	require.Equal(t, int64(100), refused.Load())
	require.Equal(t, Balance{Tier: Free, Available: 0, Held: 10_000}, b.balance(t, caller))
	b.audit(t)
}

// TestSameAtOnce sends each of one hold's operations 20 times at the same time.
func TestSameAtOnce(t *testing.T) {
	t.Parallel()
	b, caller, id := setup(t), user(), uuid.New()
	atOnce := func(f func() (Hold, error)) {
		t.Helper()
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if _, err := f(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	atOnce(func() (Hold, error) {
		return b.service.Hold(t.Context(), HoldRequest{ID: id, Caller: caller, Owner: OwnerJob, Amount: 500, Lifetime: time.Minute})
	})
	require.Equal(t, Balance{Tier: Free, Available: 9_500, Held: 500}, b.balance(t, caller))
	atOnce(func() (Hold, error) {
		return b.service.Settle(t.Context(), SettleRequest{HoldID: id, Charges: []Charge{{Operation: "x", Amount: 200}, {Operation: "y", Amount: 100}}})
	})
	require.Equal(t, Balance{Tier: Free, Available: 9_500, Held: 200}, b.balance(t, caller))
	atOnce(func() (Hold, error) { return b.service.Release(t.Context(), ReleaseRequest{HoldID: id}) })
	require.Equal(t, Balance{Tier: Free, Available: 9_700}, b.balance(t, caller))
	b.audit(t)
}

// TestSettleAgainstRelease lets a payment and the end of its hold race: either
// the payment came first and is kept, or it is refused; nothing is paid twice.
func TestSettleAgainstRelease(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	spent := int64(0)
	for range 30 {
		id := b.hold(t, caller, OwnerJob, 10)
		var settled error
		var group sync.WaitGroup
		group.Go(func() {
			_, settled = b.service.Settle(t.Context(), SettleRequest{HoldID: id, Charges: []Charge{{Operation: id.String(), Amount: 7}}})
		})
		group.Go(func() {
			if _, err := b.service.Release(t.Context(), ReleaseRequest{HoldID: id}); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		if settled == nil {
			spent += 7
		} else {
			require.True(t, services.Is(settled, services.Conflict), settled)
		}
	}
	require.Equal(t, Balance{Tier: Free, Available: 10_000 - spent}, b.balance(t, caller))
	b.audit(t)
}

// TestColumnsGuard tries what the statements never do: the table itself refuses it.
func TestColumnsGuard(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	id := b.hold(t, caller, OwnerJob, 500)
	b.cap(t, caller, organizationDay, 1_000)
	for name, test := range map[string]struct{ sql, constraint string }{
		"available below zero":  {`UPDATE uaol_billing.accounts SET available = -1, revenue = revenue + available + 1, monthly = 0`, "accounts_available_check"},
		"held below zero":       {`UPDATE uaol_billing.accounts SET held = held - 501, revenue = revenue + 501, monthly = 0`, "accounts_held_check"},
		"settled beyond amount": {`UPDATE uaol_billing.holds SET settled = amount + 1`, "holds_check"},
		"settled below zero":    {`UPDATE uaol_billing.holds SET settled = -1`, "holds_check"},
		"empty hold":            {`UPDATE uaol_billing.holds SET amount = 0`, "holds_amount_check"},
		"unknown state":         {`UPDATE uaol_billing.holds SET state = 'lost'`, "holds_state_check"},
		"unknown owner":         {`UPDATE uaol_billing.holds SET owner = 'nobody'`, "holds_owner_check"},
		"unknown kind":          {`UPDATE uaol_billing.journal SET kind = 'gift'`, "journal_kinds"},
		"entry of nothing":      {`UPDATE uaol_billing.journal SET amount = 0 WHERE kind = 'hold'`, "journal_amounts"},
		"overdrawn in between":  {`UPDATE uaol_billing.journal SET balance = -1`, "journal_balances"},
		"number twice":          {`INSERT INTO uaol_billing.journal SELECT * FROM uaol_billing.journal`, "journal_pkey"},
		"operation twice": {`INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, created_at)
			SELECT organization_id, seq + 100, operation_id, kind, amount, balance, now() FROM uaol_billing.journal`, "journal_once"},
		"credits from nowhere":    {`UPDATE uaol_billing.accounts SET available = available + 1`, "accounts_balanced"},
		"credits gone":            {`UPDATE uaol_billing.accounts SET held = held - 1`, "accounts_balanced"},
		"more given than earned":  {`UPDATE uaol_billing.accounts SET revenue = -1, available = available + 1`, "accounts_revenue"},
		"returned beyond bought":  {`UPDATE uaol_billing.accounts SET purchases = -1, available = available - 1, monthly = 0`, "accounts_purchases"},
		"debt below zero":         {`UPDATE uaol_billing.accounts SET debt = -1, available = available - 1`, "accounts_debt"},
		"more ends than is there": {`UPDATE uaol_billing.accounts SET monthly = available + held + 1`, "accounts_monthly"},
		"more stale than held":    {`UPDATE uaol_billing.accounts SET stale = held + 1, monthly = 0`, "accounts_monthly"},
		"spent beyond ceiling":    {`UPDATE uaol_billing.caps SET spent = ceiling + 1`, "caps_hold"},
		"spent below zero":        {`UPDATE uaol_billing.caps SET spent = -1`, "caps_spent_check"},
		"cap below zero":          {`UPDATE uaol_billing.caps SET amount = -1`, "caps_amount_check"},
		"unknown scope":           {`UPDATE uaol_billing.caps SET scope = 'team'`, "caps_scope_check"},
		"unknown period":          {`UPDATE uaol_billing.caps SET period = 'week'`, "caps_period_check"},
		"caps not seen":           {`UPDATE uaol_billing.accounts SET caps_set = -1`, "accounts_caps_seen"},
		"hold twice":              {`INSERT INTO uaol_billing.holds SELECT * FROM uaol_billing.holds`, "holds_pkey"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Exec(t.Context(), b.pool, test.sql)
			require.Error(t, err)
			require.True(t, postgres.Violates(err, test.constraint) || strings.HasPrefix(test.constraint, "holds_check") && postgres.Violates(err, "holds_settled_check"), err)
		})
	}
	_, err := b.service.Release(t.Context(), ReleaseRequest{HoldID: id})
	require.NoError(t, err)
	b.audit(t)
}

func TestSweeper(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	call, partly := b.hold(t, caller, OwnerCall, 100), b.hold(t, caller, OwnerCall, 50)
	ended, going, early := b.hold(t, caller, OwnerJob, 1_000), b.hold(t, caller, OwnerJob, 300), b.hold(t, caller, OwnerJob, 20)
	b.jobs.going = map[uuid.UUID]bool{going: true}
	_, err := b.service.Settle(t.Context(), SettleRequest{HoldID: ended, Charges: []Charge{{Operation: "ended/a", Amount: 400}}})
	require.NoError(t, err)
	_, err = b.service.Settle(t.Context(), SettleRequest{HoldID: partly, Charges: []Charge{{Operation: "partly/a", Amount: 20}}})
	require.NoError(t, err)

	n, err := b.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "nobody's time is up")
	require.Empty(t, b.jobs.asked)

	b.expire(t, call, partly, ended, going)
	n, err = b.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Len(t, b.jobs.asked, 1)
	require.ElementsMatch(t, []uuid.UUID{ended, going}, b.jobs.asked[0], "calls and holds whose time is not up are none of its business")
	// Spent: the calls in full (100 + 50) and what the ended job had paid (400).
	require.Equal(t, Balance{Tier: Free, Available: 10_000 - 550 - 300 - 20, Held: 320}, b.balance(t, caller))
	for id, open := range map[uuid.UUID]bool{call: false, partly: false, ended: false, going: true, early: true} {
		row, err := b.repository.findHold(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, open, row.Open)
	}

	n, err = b.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.Len(t, b.jobs.asked, 1, "the going job's hold was prolonged")

	b.jobs.going = nil
	b.expire(t, going)
	n, err = b.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, Balance{Tier: Free, Available: 10_000 - 550 - 20, Held: 20}, b.balance(t, caller))
	b.audit(t)
}

// TestSweeperWithoutJobs: nobody knows whether the job goes on, so its hold stays.
func TestSweeperWithoutJobs(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	job, call := b.hold(t, caller, OwnerJob, 10), b.hold(t, caller, OwnerCall, 5)
	b.expire(t, job, call)
	b.jobs.err = services.Errorf(services.Unavailable, "The jobs service cannot be reached")
	n, err := b.sweeper.Sweep(t.Context())
	require.True(t, services.Is(err, services.Unavailable), err)
	require.Equal(t, 1, n)
	require.Equal(t, Balance{Tier: Free, Available: 9_985, Held: 10}, b.balance(t, caller))
	b.audit(t)
}

// TestSweepersAtOnce: every step may be repeated, also by another replica at
// the same time.
func TestSweepersAtOnce(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	var ids []uuid.UUID
	for range 10 {
		ids = append(ids, b.hold(t, caller, OwnerCall, 10), b.hold(t, caller, OwnerJob, 10))
	}
	b.expire(t, ids...)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { _, _ = b.sweeper.Sweep(t.Context()) }) // one that was overtaken may say so
	}
	group.Wait()
	_, err := b.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, Balance{Tier: Free, Available: 9_900}, b.balance(t, caller))
	b.audit(t)
}

func TestOpening(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for role, credits := range map[services.Role]int64{
		services.RoleGuest: 1_000, services.RoleUser: 10_000, services.RoleAdmin: 10_000,
	} {
		caller := user()
		caller.Role = role
		var group sync.WaitGroup
		for range 20 { // the first requests of an account come together
			group.Go(func() {
				if _, err := b.service.Balance(t.Context(), BalanceRequest{Caller: caller}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Equal(t, Balance{Tier: Free, Available: credits}, b.balance(t, caller), role)
	}
	b.audit(t)
}

// TestModelsHold: what a model's answer is held for is no tool call, and given back when
// its time is up: who asked has not got it.
func TestModelsHold(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	paid, lost := b.hold(t, caller, OwnerModel, 100), b.hold(t, caller, OwnerModel, 50)
	require.Zero(t, b.number(t, `SELECT sum(calls)::bigint FROM uaol_billing.holds`))
	for range 2 {
		_, err := b.service.Settle(t.Context(), SettleRequest{HoldID: paid, Charges: []Charge{{Operation: "chat/1/0", Amount: 30}}, Last: true})
		require.NoError(t, err)
		_, err = b.service.Release(t.Context(), ReleaseRequest{HoldID: paid})
		require.NoError(t, err)
	}
	b.expire(t, lost)
	n, err := b.sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, Balance{Tier: Free, Available: 9_970}, b.balance(t, caller))
	b.audit(t)
}
