package ledger

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/postgres"
	"uaol/services/billing/chain"
)

func (b *bench) count(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

// TestNothingNewNoSeal: seals are for entries.
func TestNothingNewNoSeal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.sealer(1000)
	require.NoError(t, s.SealAll(t.Context()))
	b.library.do(50)
	b.library.store(t, b.pool)
	s.complete = time.Time{}
	require.NoError(t, s.SealAll(t.Context()))
	require.NoError(t, s.SealAll(t.Context()))
	require.Equal(t, int64(1), b.count(t, `SELECT count(*) FROM uaol_billing.seals`))
	b.clean(t)
}

// TestRecentEntriesAreFound without looking at every account, those of slow
// transactions too.
func TestRecentEntriesAreFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.sealer(1000)
	require.NoError(t, s.SealAll(t.Context())) // has looked at everything
	for i, age := range []time.Duration{0, 5 * time.Second, 100 * time.Second} {
		b.post(t, uuid.New(), chain.Grant, 5, "x", time.Now().Add(-age))
		if i == 2 {
			require.NoError(t, s.SealAll(t.Context()))
			require.Equal(t, int64(2), b.count(t, `SELECT count(*) FROM uaol_billing.seals`), "it is looked for now and then")
			s.wide = time.Time{}
		}
		require.NoError(t, s.SealAll(t.Context()))
		require.Equal(t, int64(i+1), b.count(t, `SELECT count(*) FROM uaol_billing.seals`))
	}
	b.clean(t)
}

// post makes an entry as the service does: numbered under the account's lock.
func (b *bench) post(t testing.TB, organization uuid.UUID, kind chain.Kind, amount int64, operation string, at time.Time) {
	t.Helper()
	require.NoError(t, postgres.InTx(context.Background(), b.pool, func(tx pgx.Tx) error {
		return postIn(tx, organization, kind, amount, operation, at)
	}))
}

func postIn(tx pgx.Tx, organization uuid.UUID, kind chain.Kind, amount int64, operation string, at time.Time) error {
	ctx := context.Background()
	if _, err := tx.Exec(ctx, `
		INSERT INTO uaol_billing.accounts (organization_id, tier, available, held) VALUES ($1, 'Free', 0, 0) ON CONFLICT DO NOTHING`, organization); err != nil {
		return err
	}
	change, grants, transfers := changes[kind]*amount, int64(0), int64(0)
	if kind == chain.Grant {
		grants = amount
	} else {
		transfers = change
	}
	_, err := tx.Exec(ctx, `
		WITH moved AS (
			UPDATE uaol_billing.accounts SET available = available + $2, grants = grants + $3, transfers = transfers + $4, last_seq = last_seq + 1
			WHERE organization_id = $1 RETURNING last_seq, available)
		INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, created_at)
		SELECT $1, last_seq, $5, $6, $7, available, $8 FROM moved`,
		organization, change, grants, transfers, operation, string(kind), amount, at)
	return err
}

// TestSealersAtOnce, some of which are stopped in the middle, and somebody who
// makes entries: the chain has no fork and skips nothing, and whoever looks at it
// meanwhile finds nothing wrong.
func TestSealersAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for _, id := range ids {
		b.post(t, id, chain.Grant, 1000, "opening", time.Now())
	}
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		defer close(done)
		for i := range 60 {
			from, to, operation := ids[i%3], ids[(i+1)%3], uuid.NewString()
			err := postgres.InTx(context.Background(), b.pool, func(tx pgx.Tx) error {
				if err := postIn(tx, from, chain.Send, 1, operation, time.Now()); err != nil {
					return err
				}
				return postIn(tx, to, chain.Receive, 1, operation, time.Now())
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for n := range 3 {
		all.Go(func() {
			s := b.sealer(7)
			for i := 0; n > 0 || i < 40; i++ {
				select {
				case <-done:
					return
				default:
				}
				ctx, cancel := context.WithCancel(context.Background())
				if n == 0 { // is killed again and again, after ever more of its statements
					ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*250*time.Microsecond)
				}
				err := s.SealAll(ctx)
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	all.Go(func() {
		for {
			report, err := Verify(context.Background(), Database(b.pool), Options{Trusted: b.trusted})
			if err != nil || !report.OK() {
				t.Error(err, report)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	all.Wait()
	require.NoError(t, b.sealer(7).SealAll(t.Context()))
	report := b.clean(t)
	require.Zero(t, report.Unsealed.Entries)
	require.Equal(t, int64(123), report.Entries)
	require.Greater(t, report.Seals, int64(123/7))
}

// TestKilledBetweenSteps: a seal whose ranges can't be written leaves nothing.
func TestKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.library.do(40)
	b.library.store(t, b.pool)
	b.exec(t, `ALTER TABLE uaol_billing.seal_ranges ADD CONSTRAINT never CHECK (last_seq < 0)`)
	s := b.sealer(1000)
	require.Error(t, s.SealAll(t.Context()))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_billing.seals`))
	b.exec(t, `ALTER TABLE uaol_billing.seal_ranges DROP CONSTRAINT never`)
	require.NoError(t, s.SealAll(t.Context()), "it remembers what it has to look at")
	require.Zero(t, b.clean(t).Unsealed.Entries)
}

// TestGap: an organisation whose journal lacks an entry is sealed as far as that,
// and does not hold up the others, however much of it follows.
func TestGap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.library.do(300)
	b.library.store(t, b.pool)
	torn := b.library.ids[0]
	b.exec(t, `DELETE FROM uaol_billing.journal WHERE organization_id = $1 AND seq = 4`, torn)
	core, logs := observer.New(zap.ErrorLevel)
	s := b.sealer(20)
	s.log = zap.New(core)
	require.NoError(t, s.SealAll(t.Context()))
	require.NoError(t, s.SealAll(t.Context()))
	require.Equal(t, 1, logs.Len())
	require.Equal(t, int64(3), b.count(t, `SELECT max(last_seq) FROM uaol_billing.seal_ranges WHERE organization_id = $1`, torn))
	for _, id := range b.library.ids[1:] {
		require.Equal(t, b.library.accounts[id].LastSeq, b.count(t, `SELECT max(last_seq) FROM uaol_billing.seal_ranges WHERE organization_id = $1`, id))
	}
	require.Contains(t, b.verify(t).String(), "entry 5 follows entry 3")
}

// TestRun: of two loops one seals, publishes the head when it ends, and the other
// goes on.
func TestRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.library.do(30)
	b.library.store(t, b.pool)
	path := filepath.Join(t.TempDir(), "sub", "heads.jsonl")
	var group sync.WaitGroup
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		s := NewSealer(b.pool, b.key, NewPublisher(Config{File: path}, zap.NewNop()), zap.NewNop())
		done := make(chan struct{})
		group.Go(func() {
			defer close(done)
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		return func() { cancel(); <-done }
	}
	stopFirst := start()
	sealed := func(n int64) func() bool {
		return func() bool { return b.count(t, `SELECT count(*) FROM uaol_billing.seals`) == n }
	}
	require.Eventually(t, sealed(1), 10*time.Second, 10*time.Millisecond)
	stopSecond := start()
	b.post(t, uuid.New(), chain.Grant, 1, "x", time.Now())
	require.Eventually(t, sealed(2), 10*time.Second, 10*time.Millisecond)
	stopFirst()
	heads, err := Heads(path)
	require.NoError(t, err)
	require.Len(t, heads, 2, "the first at once, the last at the end")
	require.Equal(t, b.head(t), heads[1])
	require.Equal(t, int64(0), b.count(t, `SELECT count(*) FROM uaol_billing.leases WHERE expires_at > now()`))
	stopSecond()
	group.Wait()
	require.Equal(t, int64(2), b.clean(t, heads...).Heads)
}

func TestLeases(t *testing.T) {
	t.Parallel()
	b := setup(t)
	leases := Leases(b.pool)
	one, other := uuid.New(), uuid.New()
	take := func(name string, holder uuid.UUID, lifetime time.Duration) (int64, bool) {
		fence, held, err := leases.Take(t.Context(), name, holder, lifetime)
		require.NoError(t, err)
		return fence, held
	}
	expect := func(fence int64, held bool) func(int64, bool) {
		return func(f int64, h bool) {
			t.Helper()
			require.Equal(t, fence, f)
			require.Equal(t, held, h)
		}
	}
	expect(1, true)(take("a", one, time.Hour))
	expect(1, true)(take("a", one, time.Hour))
	expect(0, false)(take("a", other, time.Hour))
	expect(1, true)(take("b", other, time.Hour))
	require.NoError(t, leases.Drop(t.Context(), "a", other))
	expect(0, false)(take("a", other, time.Hour))
	require.NoError(t, leases.Drop(t.Context(), "a", one))
	expect(2, true)(take("a", other, 0))
	expect(3, true)(take("a", one, time.Hour))

	var held int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, mine, err := leases.Take(context.Background(), "c", uuid.New(), time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if mine {
				held++
			}
		})
	}
	group.Wait()
	require.Equal(t, 1, held)
}

// TestPublisher tells at most once a minute, and a webhook that fails is none of
// the sealer's business.
func TestPublisher(t *testing.T) {
	t.Parallel()
	var got []chain.Head
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var head chain.Head
		if err := json.NewDecoder(r.Body).Decode(&head); err != nil {
			t.Error(err)
		}
		got = append(got, head)
		w.WriteHeader(status)
	}))
	path := filepath.Join(t.TempDir(), "heads.jsonl")
	core, logs := observer.New(zap.InfoLevel)
	p := NewPublisher(Config{File: path, Webhook: server.URL + "/secret"}, zap.New(core))
	head := func(n int64) chain.Head {
		return chain.Head{Number: n, Digest: chain.Bytes{byte(n)}, SealedAt: time.UnixMicro(n).UTC()}
	}
	p.Due(t.Context())
	p.Offer(t.Context(), head(1))
	p.Offer(t.Context(), head(2))
	p.Offer(t.Context(), head(3))
	p.Due(t.Context())
	require.Len(t, got, 1)
	p.told = time.Now().Add(-publishEvery)
	p.Due(t.Context())
	p.Flush(t.Context())
	require.Equal(t, []chain.Head{head(1), head(3)}, got)

	status = http.StatusInternalServerError
	p.Offer(t.Context(), head(4))
	p.Flush(t.Context())
	server.Close()
	p.Offer(t.Context(), head(5))
	p.Flush(t.Context())
	require.Equal(t, 4, logs.FilterMessage("ledger sealed").Len())
	failed := logs.FilterMessage("the ledger's head could not be sent").All()
	require.Len(t, failed, 2)
	for _, entry := range failed {
		require.NotContains(t, entry.ContextMap()["error"], "secret")
	}
	heads, err := Heads(path)
	require.NoError(t, err)
	require.Equal(t, []chain.Head{head(1), head(3), head(4), head(5)}, heads)

	p.cfg.File, p.cfg.Webhook = filepath.Join(path, "no directory"), ""
	p.Offer(t.Context(), head(6))
	p.Flush(t.Context())
	require.Equal(t, 1, logs.FilterMessage("the ledger's head could not be written down").Len())
}
