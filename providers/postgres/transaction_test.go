package postgres_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/providers/postgres/pgtest/unreliable"
)

// behind is a pool on a database whose connections break as told, and one on the
// same database that works.
func behind(t testing.TB, faults unreliable.Faults) (broken, sound *pgxpool.Pool, proxy *unreliable.Proxy) {
	t.Helper()
	faulty, direct, proxy := pgtest.Unreliable(t, faults)
	open := func(url string) *pgxpool.Pool {
		pool, err := postgres.Open(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		return pool
	}
	broken, sound = open(faulty), open(direct)
	_, err := sound.Exec(t.Context(), "CREATE TABLE public.sums (id int PRIMARY KEY, n int NOT NULL); INSERT INTO public.sums VALUES (1, 0)")
	require.NoError(t, err)
	return broken, sound, proxy
}

func count(t testing.TB, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(context.Background(), "SELECT n FROM public.sums").Scan(&n))
	return n
}

func increment(ctx context.Context, pool *pgxpool.Pool) error {
	return postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		_, err := postgres.Exec(ctx, tx, "UPDATE public.sums SET n = n + 1 WHERE id = 1")
		return err
	})
}

// TestTransactionsHappenOnce although every other COMMIT loses its connection, half
// of these after it was carried out, and every fifth statement is refused.
func TestTransactionsHappenOnce(t *testing.T) {
	t.Parallel()
	broken, sound, proxy := behind(t, unreliable.Faults{Refused: 0.2, Cut: 0.5, Seed: 1})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				if err := increment(context.Background(), broken); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, 100, count(t, sound))
	seen := proxy.Seen()
	require.Greater(t, seen.Cut, int64(30), seen)
	require.Greater(t, seen.Refused, int64(20), seen)
}

// TestALostTransactionIsRunAgain when its connection ended before the COMMIT.
func TestALostTransactionIsRunAgain(t *testing.T) {
	t.Parallel()
	_, sound, _ := behind(t, unreliable.Faults{})
	runs := 0
	require.NoError(t, postgres.InTx(t.Context(), sound, func(tx pgx.Tx) error {
		runs++
		_, err := postgres.Exec(t.Context(), tx, "UPDATE public.sums SET n = n + 1")
		if err == nil && runs == 1 {
			pid := tx.Conn().PgConn().PID()
			_, err = sound.Exec(t.Context(), "SELECT pg_terminate_backend($1)", pid)
			require.NoError(t, err)
			_, err = postgres.Exec(t.Context(), tx, "UPDATE public.sums SET n = n + 1")
		}
		return err
	}))
	require.Equal(t, 2, runs)
	require.Equal(t, 1, count(t, sound))
}

// TestACommitIsWaitedFor while it is still under way on the server: whoever asks what
// became of it must not be told that it never was.
func TestACommitIsWaitedFor(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	id := uuid.Must(uuid.NewV7())
	slow, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = slow.Exec(t.Context(), "INSERT INTO uaol_database.commits (commit_id) VALUES ($1)", id)
	require.NoError(t, err)
	var asked atomic.Bool
	told := make(chan error, 1)
	go func() {
		asked.Store(true)
		told <- postgres.Settle(context.Background(), pool, id, errors.New("cut"))
	}()
	require.Eventually(t, func() bool {
		var waits int
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()").Scan(&waits)
		return err == nil && waits == 1
	}, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, slow.Commit(t.Context()))
	require.NoError(t, <-told, "it was committed")
	another := uuid.Must(uuid.NewV7())
	for range 3 { // who loses the answer to that asks again
		require.ErrorContains(t, postgres.Settle(t.Context(), pool, another, errors.New("cut")), "before anything was committed")
	}
	require.NoError(t, postgres.Settle(t.Context(), pool, id, errors.New("cut")), "nor does asking change what was committed")
}

// TestWhoIsGoneIsNotTriedFor: a caller that left gets its own error, and nothing more
// happens in its name.
func TestWhoIsGoneIsNotTriedFor(t *testing.T) {
	t.Parallel()
	_, sound, _ := behind(t, unreliable.Faults{})
	ctx, leave := context.WithCancel(t.Context())
	runs := 0
	err := postgres.InTx(ctx, sound, func(tx pgx.Tx) error {
		runs++
		leave()
		_, err := postgres.Exec(ctx, tx, "UPDATE public.sums SET n = n + 1")
		return err
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, runs)
	require.Zero(t, count(t, sound))
}

func TestPruneCommits(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	old, fresh := uuid.MustParse("01900000-0000-7000-8000-000000000000"), uuid.Must(uuid.NewV7())
	_, err := pool.Exec(t.Context(), "INSERT INTO uaol_database.commits (commit_id) VALUES ($1), ($2)", old, fresh)
	require.NoError(t, err)
	require.NoError(t, postgres.PruneCommits(t.Context(), pool))
	left, err := postgres.Values[uuid.UUID](t.Context(), pool, "SELECT commit_id FROM uaol_database.commits")
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{fresh}, left)
}
