package bench

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

type task struct {
	X int `json:"x"`
}

func (task) Kind() string { return "task" }

// worker does a task.
type worker struct {
	river.WorkerDefaults[task]
	do func(ctx context.Context) error
}

func (w *worker) Work(ctx context.Context, _ *river.Job[task]) error { return w.do(ctx) }

// rival is River, set up as it is fastest on this machine: with 100 workers and
// the default pause between fetches it does a tenth.
type rival struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	ended  <-chan *river.Event
	cancel func()
}

func startRiver(t testing.TB, d *database, n int, do func(context.Context) error) *rival {
	t.Helper()
	r := &rival{pool: d.pool(t, nil)}
	migrator, err := rivermigrate.New(riverpgxv5.New(r.pool), &rivermigrate.Config{Logger: quiet})
	require.NoError(t, err)
	_, err = migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(t, err)
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{do: do})
	r.client, err = river.NewClient(riverpgxv5.New(r.pool), &river.Config{
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 20 * time.Millisecond,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: atOnce}}, Workers: workers, Logger: quiet,
	})
	require.NoError(t, err)
	r.ended, r.cancel = r.client.SubscribeConfig(&river.SubscribeConfig{ChanSize: n + 1, Kinds: []river.EventKind{river.EventKindJobCompleted, river.EventKindJobFailed}})
	return r
}

func (r *rival) work(t testing.TB) {
	t.Helper()
	require.NoError(t, r.client.Start(context.Background()))
}

func (r *rival) create(t testing.TB, n int) {
	t.Helper()
	inBatches(n, func(size int) {
		all := make([]river.InsertManyParams, size)
		for i := range all {
			all[i] = river.InsertManyParams{Args: task{X: 1}}
		}
		if _, err := r.client.InsertManyFast(t.Context(), all); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

func (r *rival) wait(t testing.TB, n int) {
	t.Helper()
	late := time.After(30 * time.Minute)
	for i := range n {
		select {
		case e := <-r.ended:
			require.Equal(t, river.EventKindJobCompleted, e.Kind)
		case <-late:
			t.Fatalf("%d of %d of River's jobs have ended", i, n)
		}
	}
}

func (r *rival) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	require.NoError(t, r.client.Stop(context.Background()))
	r.pool.Close()
}

func (r *rival) succeeded(t testing.TB, n int) {
	t.Helper()
	var done int
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE state = 'completed'`).Scan(&done))
	require.Equal(t, n, done)
}
