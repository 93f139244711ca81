package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/providers/peers"
	"uaol/providers/peers/peerstest"
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func setup(t testing.TB) (*pgxpool.Pool, events.Outbox) {
	t.Helper()
	return pgtest.New(t), events.NewOutbox(services.Registry)
}

func TestNew(t *testing.T) {
	t.Parallel()
	organization := uuid.New()
	e := events.New("a.b", "subject", organization, map[string]any{"n": 1})
	require.Equal(t, uuid.Version(7), e.ID.Version())
	require.JSONEq(t, `{"n":1}`, string(e.Data))
	for _, data := range []any{nil, func() {}, make(chan int)} {
		require.JSONEq(t, `{}`, string(events.New("a.b", "s", organization, data).Data), "always something that can be stored")
	}
}

func TestAppendAndRead(t *testing.T) {
	t.Parallel()
	pool, outbox := setup(t)
	before := time.Now().Add(-time.Minute)
	var want []uuid.UUID
	for i := range 5 {
		e := events.New("thing.done", "s", uuid.New(), map[string]int{"n": i})
		want = append(want, e.ID)
		require.NoError(t, outbox.Append(t.Context(), pool, e))
	}
	require.True(t, services.Is(outbox.Append(t.Context(), pool, events.Event{ID: want[0], Data: json.RawMessage("{}")}), services.Conflict))
	failed := errors.New("the change failed")
	require.ErrorIs(t, postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		require.NoError(t, outbox.Append(t.Context(), tx, events.New("thing.undone", "s", uuid.New(), nil)))
		return failed
	}), failed)

	read := func(in events.ReadRequest) (ids []uuid.UUID) {
		t.Helper()
		found, err := outbox.Read(t.Context(), pool, in)
		require.NoError(t, err)
		for i, e := range found {
			require.Equal(t, "thing.done", e.Type)
			require.False(t, i > 0 && e.Time.Before(found[i-1].Time.Time), "oldest first")
			ids = append(ids, e.ID)
		}
		return ids
	}
	require.Equal(t, want, read(events.ReadRequest{After: before, Limit: 100}))
	require.Equal(t, want[:2], read(events.ReadRequest{After: before, Limit: 2}))
	require.Equal(t, want[:1], read(events.ReadRequest{After: before}), "a limit of nothing would never end")
	require.Equal(t, want, read(events.ReadRequest{Limit: 100}), "from the beginning of time")
	require.Empty(t, read(events.ReadRequest{After: time.Now().Add(time.Hour), Limit: 100}))
}

// TestOverlap: a transaction that began earlier commits later. A reader that
// has seen the later one's event still finds the earlier one's.
func TestOverlap(t *testing.T) {
	t.Parallel()
	pool, outbox := setup(t)
	slow, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = slow.Rollback(context.Background()) }()
	early, late := events.New("early", "s", uuid.New(), nil), events.New("late", "s", uuid.New(), nil)
	require.NoError(t, outbox.Append(t.Context(), slow, early))
	require.NoError(t, outbox.Append(t.Context(), pool, late))

	seen := map[uuid.UUID]bool{}
	var last time.Time
	read := func() (fresh []string) {
		found, err := outbox.Read(t.Context(), pool, events.ReadRequest{After: last, Limit: 100})
		require.NoError(t, err)
		for _, e := range found {
			if !seen[e.ID] {
				seen[e.ID] = true
				fresh = append(fresh, e.Type)
			}
			last = e.Time.Time
		}
		return fresh
	}
	require.Equal(t, []string{"late"}, read())
	require.Empty(t, read())
	require.NoError(t, slow.Commit(t.Context()))
	require.Equal(t, []string{"early"}, read(), "although it is older than what was read")
	require.Empty(t, read())

	// Ten seconds is how long a transaction may take.
	_, err = pool.Exec(t.Context(), `UPDATE uaol_registry.outbox SET created_at = created_at - interval '11 seconds' WHERE event_id = $1`, early.ID)
	require.NoError(t, err)
	delete(seen, early.ID)
	require.Empty(t, read())
}

// TestManyAtOneMoment: more events in one transaction than a page holds, all of
// one moment. Page by page the reader comes to the end.
func TestManyAtOneMoment(t *testing.T) {
	t.Parallel()
	pool, outbox := setup(t)
	require.NoError(t, postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		for range 25 {
			if err := outbox.Append(t.Context(), tx, events.New("x", "s", uuid.New(), nil)); err != nil {
				return err
			}
		}
		return nil
	}))
	seen := map[uuid.UUID]bool{}
	in := events.ReadRequest{Limit: 10}
	for pages := 1; ; pages++ {
		require.LessOrEqual(t, pages, 4)
		found, err := outbox.Read(t.Context(), pool, in)
		require.NoError(t, err)
		for _, e := range found {
			require.False(t, seen[e.ID], "twice")
			seen[e.ID] = true
			in.AfterID = e.ID
		}
		if len(found) < in.Limit {
			break
		}
	}
	require.Len(t, seen, 25)
}

// TestOperation reads another process's outbox.
func TestOperation(t *testing.T) {
	t.Parallel()
	pool, outbox := setup(t)
	e := events.New("x", "s", uuid.New(), map[string]int{"n": 1})
	require.NoError(t, outbox.Append(t.Context(), pool, e))
	url := peerstest.Serve(t, outbox.Operations(services.Registry, pool)...)
	peer, err := peers.New(services.Registry, "UAOL_REGISTRY_URL", url, peerstest.Tokens(t))
	require.NoError(t, err)
	t.Cleanup(peer.Close)
	got, err := peers.Call[events.ReadRequest, []events.Event](t.Context(), peer, "events", events.ReadRequest{After: time.Now(), Limit: 10})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, e.ID, got[0].ID)
	require.Equal(t, e.Organization, got[0].Organization)
	require.JSONEq(t, `{"n":1}`, string(got[0].Data))
	got, err = peers.Call[events.ReadRequest, []events.Event](t.Context(), peer, "events", events.ReadRequest{AfterID: e.ID, Limit: 10})
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestBus(t *testing.T) {
	t.Parallel()
	bus := events.NewBus()
	bus.Publish(events.Event{Type: "nobody listens"})
	var mu sync.Mutex
	got := map[string]int{}
	for _, name := range []string{"a", "b"} {
		bus.Subscribe(func(e events.Event) {
			mu.Lock()
			defer mu.Unlock()
			got[name+" "+e.Type]++
		})
	}
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() { bus.Publish(events.Event{Type: "x"}, events.Event{Type: "y"}) })
		group.Go(func() { bus.Subscribe(func(events.Event) {}) })
	}
	group.Wait()
	require.Equal(t, map[string]int{"a x": 10, "a y": 10, "b x": 10, "b y": 10}, got)
}

// TestPrune drops what has been kept for a week, however much that is.
func TestPrune(t *testing.T) {
	t.Parallel()
	pool, outbox := setup(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO uaol_registry.outbox (event_id, type, subject, organization_id, data, created_at)
		SELECT gen_random_uuid(), 'thing.done', 's', gen_random_uuid(), '{}', now() - n * interval '1 minute' FROM generate_series(0, 24 * 60 * 14) n`)
	require.NoError(t, err)
	require.NoError(t, outbox.Prune(t.Context(), pool))
	var left int
	var oldest time.Duration
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*), now() - min(created_at) FROM uaol_registry.outbox`).Scan(&left, &oldest))
	require.Equal(t, 7*24*60, left)
	require.LessOrEqual(t, oldest, 7*24*time.Hour+time.Minute)
	require.Equal(t, "registry.outbox", outbox.Pruner(pool).Name)
}
