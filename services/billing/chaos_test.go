package billing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/chain"
)

// wire is a connection to the database that breaks: before something is sent, or
// when its answer, the confirmation of a COMMIT among them, has arrived and is not
// passed on.
type wire struct {
	net.Conn
	cuts *cuts
}

// cuts says when wires break; one that is calm never does.
type cuts struct {
	often atomic.Int64 // one in so many reads or writes; 0 for never
	count atomic.Int64
}

var errCut = errors.New("the connection was cut")

func (c *cuts) now() bool {
	often := c.often.Load()
	if often == 0 || rand.Int64N(often) != 0 {
		return false
	}
	c.count.Add(1)
	return true
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p) // it has arrived: what was asked for is done
	if err == nil && w.cuts.now() {
		_ = w.Conn.Close()
		return 0, errCut
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	if w.cuts.now() {
		_ = w.Conn.Close()
		return 0, errCut
	}
	return w.Conn.Write(p)
}

// unreliable is the ledger over such connections.
func (b *bench) unreliable(t testing.TB) (*Service, *Sweeper, *Paid, *pgxpool.Pool, *cuts) {
	t.Helper()
	c := &cuts{}
	cfg, err := pgxpool.ParseConfig(b.pool.Config().ConnString())
	require.NoError(t, err)
	cfg.AfterConnect = b.pool.Config().AfterConnect
	cfg.MaxConns = 4
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &wire{Conn: conn, cuts: c}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	repository := NewRepository(pool)
	service := NewService(plans(t), repository)
	return service, NewSweeper(repository, service, b.jobs), NewPaid(plans(t)), pool, c
}

// persist repeats a request until it is answered.
func persist[T any](f func() (T, error)) (T, error) {
	for {
		out, err := f()
		if services.Is(err, services.Unavailable) || errors.Is(err, errCut) {
			continue
		}
		return out, err
	}
}

// books is the model: an account by the rules of the chain, and its holds.
type books struct {
	account chain.Account
	holds   []*modelHold
	paid    map[string]bool
	bought  int64 // that has not been taken back
	cap     int64 // of the organisation's day; -1 for none
	counted int64 // by it
	months  int
}

// enter applies an entry to the model; what is available afterwards follows.
func (m *books) enter(kind chain.Kind, operation string, amount int64) {
	if amount == 0 {
		return
	}
	after := m.account.Available + amount*change(kind)
	if err := m.account.Apply(chain.Entry{Seq: m.account.LastSeq + 1, Kind: kind, Operation: operation, Amount: amount, Balance: after}); err != nil {
		panic(err)
	}
}

// income is what comes in: what is owed is paid of it first.
func (m *books) income(kind chain.Kind, amount int64) {
	m.enter(kind, "x", amount)
	m.enter(chain.Repay, "x", min(m.account.Debt, m.account.Available))
}

func (m *books) release(h *modelHold) {
	rest := h.request.Amount - h.settled
	h.open = false
	m.counted -= rest
	m.enter(chain.Release, "x", rest)
	m.enter(chain.Expire, "x", max(m.account.Stale-m.account.Held, 0))
	m.enter(chain.Repay, "x", min(m.account.Debt, m.account.Available))
}

func (m *books) settle(h *modelHold, amount int64) {
	h.settled += amount
	h.open = h.request.Owner == OwnerJob || h.settled < h.request.Amount
	m.enter(chain.Settle, "x", amount)
}

// deed is one drawn operation.
type deed struct {
	Kind   string
	Hold   int
	Amount int64
	Owner  Owner
}

var drawDeed = rapid.Custom(func(t *rapid.T) deed {
	return deed{
		Kind: rapid.SampledFrom([]string{"hold", "hold", "hold", "settle", "settle", "release", "expire", "grant", "purchase", "return", "deduct",
			"refund", "cap", "month", "again"}).Draw(t, "kind"),
		Hold:   rapid.IntRange(0, 9).Draw(t, "hold"),
		Amount: rapid.OneOf(rapid.Int64Range(1, 4_000), rapid.Int64Range(8_000, 12_000)).Draw(t, "amount"),
		Owner:  rapid.SampledFrom([]Owner{OwnerJob, OwnerCall}).Draw(t, "owner"),
	}
})

// TestLedgerWhenConnectionsBreak draws what happens to an account, lets the
// connections to the database break at any moment, repeats what was not answered,
// and compares every column with the model: nothing counts twice, nothing is lost,
// and nothing falls below zero.
func TestLedgerWhenConnectionsBreak(t *testing.T) {
	t.Parallel()
	b := setup(t)
	service, sweeper, paid, pool, cuts := b.unreliable(t)
	cuts.often.Store(40)
	rapid.Check(t, func(t *rapid.T) {
		caller := user()
		m := &books{paid: map[string]bool{}, cap: -1}
		_, err := persist(func() (Balance, error) {
			return service.Balance(context.Background(), BalanceRequest{Caller: caller})
		})
		require.NoError(t, err)
		m.enter(chain.Grant, "month/0", 10_000)
		for i, d := range rapid.SliceOfN(drawDeed, 1, 20).Draw(t, "deeds") {
			if err := b.do(service, sweeper, paid, pool, m, caller, d); err != nil {
				t.Fatalf("%d, %+v: %v", i, d, err)
			}
			got, err := postgres.One[chain.Account](context.Background(), b.pool, `
				SELECT last_seq, available, held, grants, purchases, transfers, revenue, expired, debt, monthly, stale
				FROM uaol_billing.accounts WHERE organization_id = $1`, caller.Organization)
			require.NoError(t, err)
			require.Equal(t, m.account, got, "%d, %+v", i, d)
			if m.cap >= 0 {
				caps, err := b.repository.caps(context.Background(), caller.Organization, CapID{}, 5)
				require.NoError(t, err)
				require.Len(t, caps, 1)
				require.Equal(t, m.counted, caps[0].Spent, "%d, %+v", i, d)
			}
		}
	})
	require.Greater(t, cuts.count.Load(), int64(100), "connections did break")
	b.audit(t)
}

// do lets one deed happen to an account and to its model.
func (b *bench) do(service *Service, sweeper *Sweeper, paid *Paid, pool *pgxpool.Pool, m *books, caller services.Caller, d deed) error {
	ctx := context.Background()
	var h *modelHold
	if len(m.holds) > 0 {
		h = m.holds[d.Hold%len(m.holds)]
	}
	correction := Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: d.Amount}
	inTx := func(f func(tx pgx.Tx) error) error {
		_, err := persist(func() (struct{}, error) { return struct{}{}, postgres.InTx(ctx, pool, f) })
		return err
	}
	switch d.Kind {
	case "hold":
		in := HoldRequest{ID: uuid.New(), Caller: caller, Owner: d.Owner, Amount: d.Amount, Lifetime: time.Minute}
		_, err := persist(func() (Hold, error) { return service.Hold(ctx, in) })
		switch {
		case m.account.Debt > 0 || d.Amount > m.account.Available:
			return wantKind(err, services.Insufficient)
		case m.cap >= 0 && m.counted+d.Amount > m.cap:
			return wantCapped(err)
		case err != nil:
			return err
		}
		m.counted += d.Amount
		m.enter(chain.Hold, "x", d.Amount)
		m.holds = append(m.holds, &modelHold{request: in, open: true})
	case "again":
		if h == nil {
			return nil
		}
		_, err := persist(func() (Hold, error) { return service.Hold(ctx, h.request) })
		return err
	case "settle":
		if h == nil {
			return nil
		}
		charge := Charge{Operation: fmt.Sprint(h.request.ID, "/", d.Hold), Amount: d.Amount}
		_, err := persist(func() (Hold, error) {
			return service.Settle(ctx, SettleRequest{HoldID: h.request.ID, Charges: []Charge{charge}})
		})
		switch {
		case m.paid[charge.Operation]:
			return err
		case !h.open || d.Amount > h.request.Amount-h.settled:
			return wantKind(err, services.Conflict)
		case err != nil:
			return err
		}
		m.paid[charge.Operation] = true
		m.settle(h, d.Amount)
	case "release":
		if h == nil {
			return nil
		}
		if h.open {
			m.release(h)
		}
		_, err := persist(func() (Hold, error) { return service.Release(ctx, ReleaseRequest{HoldID: h.request.ID}) })
		return err
	case "expire":
		if h == nil || !h.open {
			return nil
		}
		if _, err := b.pool.Exec(ctx, `UPDATE uaol_billing.holds SET expires_at = now() - interval '2 hours' WHERE hold_id = $1`, h.request.ID); err != nil {
			return err
		}
		if h.request.Owner == OwnerCall {
			m.settle(h, h.request.Amount-h.settled)
		} else {
			m.release(h)
		}
		_, err := persist(func() (int, error) { return sweeper.Sweep(ctx) })
		return err
	case "grant":
		m.income(chain.Grant, d.Amount)
		_, err := persist(func() (Balance, error) { return service.Grant(ctx, correction) })
		return err
	case "purchase":
		m.income(chain.Purchase, d.Amount)
		m.bought += d.Amount
		return inTx(func(tx pgx.Tx) error {
			return paid.Purchase(ctx, tx, caller.Organization, correction.Operation.String(), d.Amount, "")
		})
	case "return":
		amount := min(d.Amount, m.bought)
		if amount == 0 {
			return nil
		}
		m.bought -= amount
		back := min(amount, m.account.Available)
		m.enter(chain.Return, "x", back)
		m.enter(chain.Owe, "x", amount-back)
		return inTx(func(tx pgx.Tx) error {
			return paid.TakeBack(ctx, tx, caller.Organization, correction.Operation.String(), amount, "")
		})
	case "deduct":
		_, err := persist(func() (Balance, error) { return service.Deduct(ctx, correction) })
		if d.Amount > m.account.Available {
			return wantKind(err, services.Insufficient)
		}
		m.enter(chain.Deduct, "x", d.Amount)
		return err
	case "refund":
		_, err := persist(func() (Balance, error) { return service.Refund(ctx, correction) })
		if d.Amount > m.account.Revenue {
			return wantKind(err, services.Conflict)
		}
		m.income(chain.Refund, d.Amount)
		return err
	case "cap":
		m.cap = d.Amount
		cap, err := persist(func() (Cap, error) { return service.SetCap(ctx, caller, organizationDay, d.Amount) })
		if err == nil && cap.Spent != m.counted {
			err = fmt.Errorf("the cap has counted %d, want %d", cap.Spent, m.counted)
		}
		return err
	case "month":
		// As though the month before this had ended now; each has a name of its own.
		m.months++
		a, err := b.repository.account(ctx, caller.Organization)
		if err != nil {
			return err
		}
		next := renewal{Tier: Free, Holder: HolderUser, Operation: fmt.Sprint("month/", m.months), Monthly: 10_000, RenewsAt: a.RenewsAt.Add(time.Second)}
		ending := m.account.Monthly - min(m.account.Monthly, m.account.Held-m.account.Stale)
		m.enter(chain.Expire, "month/x", ending)
		m.enter(chain.Grant, "month/x", 10_000)
		m.enter(chain.Repay, "x", min(m.account.Debt, m.account.Available))
		_, err = persist(func() (struct{}, error) { return struct{}{}, service.repository.renew(ctx, a, next) })
		return err
	}
	return nil
}
