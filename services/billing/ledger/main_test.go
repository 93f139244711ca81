package ledger

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/postgres/pgtest"
	"uaol/services/billing/chain"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func testKey(t testing.TB, first byte) *chain.Key {
	t.Helper()
	key, err := chain.NewKey(append(make([]byte, 31), first))
	require.NoError(t, err)
	return key
}

// library makes valid books, of every kind of entry, by the rules of chain.
type library struct {
	random   *rand.Rand
	at       time.Time
	ids      []uuid.UUID
	accounts map[uuid.UUID]*chain.Account
	entries  []chain.Entry
	holds    map[uuid.UUID]*bookedHold
	order    []uuid.UUID // of holds
	spenders []bookedSpender
}

type bookedSpender struct {
	Spender
	organization uuid.UUID
}

type bookedHold struct {
	Hold
	organization uuid.UUID
	at           time.Time
}

func newLibrary(seed uint64, organizations int) *library {
	l := &library{random: rand.New(rand.NewPCG(seed, 1)), at: time.Now().Add(-time.Hour).Truncate(time.Second),
		accounts: map[uuid.UUID]*chain.Account{}, holds: map[uuid.UUID]*bookedHold{}}
	for range organizations {
		id := l.id()
		l.ids = append(l.ids, id)
		l.accounts[id] = &chain.Account{}
	}
	return l
}

func (l *library) id() (id uuid.UUID) {
	for i := range id {
		id[i] = byte(l.random.UintN(256))
	}
	return id
}

var changes = map[chain.Kind]int64{chain.Grant: 1, chain.Purchase: 1, chain.Release: 1, chain.Refund: 1, chain.Receive: 1,
	chain.Hold: -1, chain.Deduct: -1, chain.Send: -1, chain.Expire: -1, chain.Return: -1, chain.Repay: -1}

// enter makes an entry if it can be.
func (l *library) enter(organization uuid.UUID, kind chain.Kind, amount int64, change func(*chain.Entry)) bool {
	l.at = l.at.Add(time.Duration(1001+l.random.IntN(1000)) * time.Microsecond)
	account := l.accounts[organization]
	e := chain.Entry{Organization: organization, Seq: account.LastSeq + 1, Operation: l.id().String(), Kind: kind, Amount: amount,
		Balance: account.Available + changes[kind]*amount, CreatedAt: l.at}
	if change != nil {
		change(&e)
	}
	if account.Apply(e) != nil {
		return false
	}
	if kind == chain.Hold || kind == chain.Send {
		l.spent(&e)
	}
	l.entries = append(l.entries, e)
	return true
}

// do makes some entries.
func (l *library) do(steps int) {
	for range steps {
		id, amount := l.ids[l.random.IntN(len(l.ids))], 1+l.random.Int64N(50)
		switch l.random.IntN(12) {
		case 0:
			l.month(id, 100+amount)
		case 1:
			l.enter(id, chain.Purchase, 1000+amount, func(e *chain.Entry) { e.Facts = `{"reason":"` + e.Operation + `"}` })
		case 2:
			l.enter(id, chain.Deduct, amount, func(e *chain.Entry) { job := l.id(); e.Job = &job })
		case 3:
			l.enter(id, chain.Refund, amount, nil)
		case 4:
			l.transfer(id, l.ids[l.random.IntN(len(l.ids))], amount)
		case 5:
			l.enter(id, chain.Return, amount, nil)
		case 6:
			l.enter(id, chain.Owe, amount, nil)
		case 7:
			l.enter(id, chain.Repay, min(amount, l.accounts[id].Debt), nil)
		case 8, 9:
			l.hold(id, amount)
		case 10:
			l.settle(amount)
		case 11:
			l.release()
		}
	}
}

func (l *library) month(id uuid.UUID, amount int64) {
	account, operation := l.accounts[id], "month/"+l.id().String()
	name := func(e *chain.Entry) { e.Operation = operation }
	if ending := min(account.Monthly, account.Available); ending > 0 {
		l.enter(id, chain.Expire, ending, name)
	}
	l.enter(id, chain.Grant, amount, name)
}

func (l *library) transfer(from, to uuid.UUID, amount int64) {
	operation := l.id().String()
	monthly := min(l.accounts[from].Monthly, amount)
	if from == to || !l.enter(from, chain.Send, amount, func(e *chain.Entry) { e.Operation = operation }) {
		return
	}
	l.enter(to, chain.Receive, amount, func(e *chain.Entry) {
		e.Operation = operation
		if monthly > 0 {
			e.Facts = fmt.Sprintf(`{"monthly":%d}`, monthly)
		}
	})
}

func (l *library) hold(id uuid.UUID, amount int64) {
	hold := l.id()
	if l.enter(id, chain.Hold, amount, func(e *chain.Entry) { e.Operation, e.Hold = hold.String(), &hold }) {
		l.holds[hold] = &bookedHold{Hold: Hold{ID: hold, Spender: l.entries[len(l.entries)-1].Spender, Amount: amount, State: "open"}, organization: id, at: l.at}
		l.order = append(l.order, hold)
	}
}

// spent gives the entry a new spender: with a key or with none, and every third
// one erased by now.
func (l *library) spent(e *chain.Entry) {
	salt := l.id()
	who := chain.Spender{Organization: e.Organization, Account: l.id(), Key: l.id(), Salt: salt[:]}
	if l.random.IntN(2) == 0 {
		who.Key = uuid.Nil
	}
	s := bookedSpender{Spender: Spender{ID: who.ID(), Account: &who.Account, Key: &who.Key, Salt: who.Salt}, organization: e.Organization}
	if len(l.spenders)%3 == 2 {
		s.Spender = Spender{ID: s.ID}
	}
	l.spenders = append(l.spenders, s)
	e.Spender = &s.ID
}

// erased is how many spenders are.
func (l *library) erased() (n int64) {
	for _, s := range l.spenders {
		if s.Account == nil {
			n++
		}
	}
	return n
}

func (l *library) open() *bookedHold {
	for range 20 {
		if len(l.order) == 0 {
			return nil
		}
		if h := l.holds[l.order[l.random.IntN(len(l.order))]]; h.State == "open" {
			return h
		}
	}
	return nil
}

func (l *library) settle(amount int64) {
	h := l.open()
	if h == nil || h.Settled == h.Amount {
		return
	}
	amount = min(amount, h.Amount-h.Settled)
	tool, job := l.id(), l.id()
	if l.enter(h.organization, chain.Settle, amount, func(e *chain.Entry) {
		e.Hold, e.Spender, e.Tool, e.Job, e.Facts = &h.ID, h.Spender, &tool, &job, `{"method":"m"}`
	}) {
		h.Settled += amount
	}
}

func (l *library) release() {
	h := l.open()
	if h == nil {
		return
	}
	if rest := h.Amount - h.Settled; rest > 0 {
		l.enter(h.organization, chain.Release, rest, func(e *chain.Entry) { e.Operation, e.Hold, e.Spender = h.ID.String(), &h.ID, h.Spender })
		if account := l.accounts[h.organization]; account.Stale > account.Held {
			l.enter(h.organization, chain.Expire, account.Stale-account.Held, func(e *chain.Entry) { e.Operation = h.ID.String() })
		}
	}
	h.State = "closed"
}

// store writes the books as they are, in place of what there was.
func (l *library) store(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		for _, table := range []string{"accounts", "journal", "holds", "spenders"} {
			if _, err := tx.Exec(t.Context(), "DELETE FROM uaol_billing."+table); err != nil {
				return err
			}
		}
		if _, err := tx.CopyFrom(t.Context(), pgx.Identifier{"uaol_billing", "journal"},
			[]string{"organization_id", "seq", "operation_id", "kind", "amount", "balance", "hold_id", "spender_id", "tool_id", "job_id", "facts", "created_at"},
			pgx.CopyFromSlice(len(l.entries), func(i int) ([]any, error) {
				e := l.entries[i]
				return []any{e.Organization, e.Seq, e.Operation, string(e.Kind), e.Amount, e.Balance, e.Hold, e.Spender, e.Tool, e.Job, e.Facts, e.CreatedAt}, nil
			})); err != nil {
			return err
		}
		for _, id := range l.ids {
			a := l.accounts[id]
			if _, err := tx.Exec(t.Context(), `
				INSERT INTO uaol_billing.accounts (organization_id, tier, last_seq, available, held, grants, purchases, transfers, revenue, expired, debt, monthly, stale)
				VALUES ($1, 'Free', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
				id, a.LastSeq, a.Available, a.Held, a.Grants, a.Purchases, a.Transfers, a.Revenue, a.Expired, a.Debt, a.Monthly, a.Stale); err != nil {
				return err
			}
		}
		for _, id := range l.order {
			h := l.holds[id]
			if _, err := tx.Exec(t.Context(), `
				INSERT INTO uaol_billing.holds (hold_id, organization_id, owner, amount, settled, state, expires_at, created_at, spender_id)
				VALUES ($1, $2, 'job', $3, $4, $5, $6, $6, $7)`,
				h.ID, h.organization, h.Amount, h.Settled, h.State, h.at, h.Spender); err != nil {
				return err
			}
		}
		for _, s := range l.spenders {
			if _, err := tx.Exec(t.Context(), `
				INSERT INTO uaol_billing.spenders (spender_id, organization_id, account_id, key_id, salt) VALUES ($1, $2, $3, $4, $5)`,
				s.ID, s.organization, s.Account, s.Key, []byte(s.Salt)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// bench is a database with sealed books.
type bench struct {
	pool    *pgxpool.Pool
	key     *chain.Key
	trusted chain.Trusted
	library *library
}

func setup(t testing.TB) *bench {
	t.Helper()
	key := testKey(t, 1)
	return &bench{pool: pgtest.New(t), key: key, trusted: chain.NewTrusted(key.Public()), library: newLibrary(1, 5)}
}

// sealer makes small seals, so that there are many.
func (b *bench) sealer(most int) *Sealer {
	s := NewSealer(b.pool, b.key, NewPublisher(Config{}, zap.NewNop()), zap.NewNop())
	s.most = most
	return s
}

// filled has books that are sealed in several seals.
func filled(t testing.TB) *bench {
	t.Helper()
	b := setup(t)
	for range 4 {
		b.library.do(100)
		b.library.store(t, b.pool)
		require.NoError(t, b.sealer(60).SealAll(t.Context()))
	}
	return b
}

func (b *bench) head(t testing.TB) chain.Head {
	t.Helper()
	seal, err := tip(t.Context(), b.pool)
	require.NoError(t, err)
	return seal.Head()
}

func (b *bench) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err, sql)
}

func copied(t testing.TB, source Source) []byte {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, Export(t.Context(), source, &text))
	return text.Bytes()
}

func inMemory(text []byte) Source {
	return file{open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }}
}

// verify looks at the database and, offline, at a copy of it: they have to agree.
func (b *bench) verify(t testing.TB, heads ...chain.Head) *Report {
	t.Helper()
	options := Options{Trusted: b.trusted, Heads: heads, Now: time.Now().Add(time.Hour)}
	report, err := Verify(context.Background(), Database(b.pool), options)
	require.NoError(t, err)
	offline, err := Verify(context.Background(), inMemory(copied(t, Database(b.pool))), options)
	require.NoError(t, err)
	at := report.At
	report.At = offline.At
	require.Equal(t, report.String(), offline.String())
	require.Equal(t, *report, *offline)
	report.At = at
	return report
}

func (b *bench) clean(t testing.TB, heads ...chain.Head) *Report {
	t.Helper()
	report := b.verify(t, heads...)
	require.Empty(t, report.Findings, report.String())
	return report
}
