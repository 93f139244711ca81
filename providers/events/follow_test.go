package events_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/providers/peers"
	"uaol/providers/peers/peerstest"
	"uaol/services"
)

func recent(pool *pgxpool.Pool, outbox events.Outbox) events.Source {
	return func(ctx context.Context, in events.RecentRequest) ([]events.Event, error) {
		return outbox.Recent(ctx, pool, in)
	}
}

// heard collects what a bus hands on.
type heard struct {
	mu  sync.Mutex
	ids []uuid.UUID
}

func listen(bus *events.Bus) *heard {
	h := &heard{}
	bus.Subscribe(func(e events.Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ids = append(h.ids, e.ID)
	})
	return h
}

func (h *heard) all() []uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]uuid.UUID(nil), h.ids...)
}

func always() bool { return true }

// TestFollower hands on what others wrote, once; what this process wrote itself
// it has handed on already.
func TestFollower(t *testing.T) {
	t.Parallel()
	pool, outbox := setup(t)
	bus := events.NewBus()
	got := listen(bus)
	f := events.NewFollower(recent(pool, outbox), bus, "tool.", always)
	require.False(t, f.Fresh(time.Hour), "before the first look nothing is known")

	foreign, own, other := events.New("tool.approved", "s", uuid.New(), nil), events.New("tool.updated", "s", uuid.New(), nil), events.New("job.created", "s", uuid.New(), nil)
	for _, e := range []events.Event{foreign, own, other} {
		require.NoError(t, outbox.Append(t.Context(), pool, e))
	}
	bus.Publish(own)
	require.NoError(t, f.Look(t.Context()))
	require.NoError(t, f.Look(t.Context()))
	require.Equal(t, []uuid.UUID{own.ID, foreign.ID}, got.all())
	require.True(t, f.Fresh(time.Minute))
	require.False(t, f.Fresh(0))
}

// TestFollowerSeesWhatCommitsLate: its event is older than those that were read.
func TestFollowerSeesWhatCommitsLate(t *testing.T) {
	t.Parallel()
	pool, outbox := setup(t)
	bus := events.NewBus()
	got := listen(bus)
	f := events.NewFollower(recent(pool, outbox), bus, "tool.", always)
	slow, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = slow.Rollback(context.Background()) }()
	early, late := events.New("tool.a", "s", uuid.New(), nil), events.New("tool.b", "s", uuid.New(), nil)
	require.NoError(t, outbox.Append(t.Context(), slow, early))
	require.NoError(t, outbox.Append(t.Context(), pool, late))
	require.NoError(t, f.Look(t.Context()))
	require.Equal(t, []uuid.UUID{late.ID}, got.all())
	require.NoError(t, slow.Commit(t.Context()))
	require.NoError(t, f.Look(t.Context()))
	require.Equal(t, []uuid.UUID{late.ID, early.ID}, got.all())
}

// TestFollowerReadsPages: more than one answer holds.
func TestFollowerReadsPages(t *testing.T) {
	t.Parallel()
	pool, outbox := setup(t)
	bus := events.NewBus()
	got := listen(bus)
	f := events.NewFollower(recent(pool, outbox), bus, "tool.", always)
	const many = 2500
	_, err := pool.Exec(t.Context(), `
		INSERT INTO uaol_registry.outbox (event_id, type, subject, organization_id, data)
		SELECT gen_random_uuid(), 'tool.x', 's', gen_random_uuid(), '{}' FROM generate_series(1, $1)`, many)
	require.NoError(t, err)
	require.NoError(t, f.Look(t.Context()))
	require.Len(t, got.all(), many)
}

// scripted is a source that fails when told to, and says how far it was asked to go back.
type scripted struct {
	fails atomic.Bool
	mu    sync.Mutex
	backs []time.Duration
	found []events.Event
}

func (s *scripted) read(_ context.Context, in events.RecentRequest) ([]events.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails.Load() {
		return nil, errors.New("the database is away")
	}
	s.backs = append(s.backs, in.Back)
	return s.found, nil
}

// TestFollowerGoesBackToItsLastLook, however long that is ago, so that nothing is
// missed while the database was away or nobody wanted to know.
func TestFollowerGoesBackToItsLastLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{}
		var wanted atomic.Bool
		f := events.NewFollower(s.read, events.NewBus(), "tool.", wanted.Load)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = f.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, s.backs, "nobody asked")
		wanted.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		require.True(t, f.Fresh(900*time.Millisecond))
		require.GreaterOrEqual(t, len(s.backs), 2)
		wanted.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.False(t, f.Fresh(900*time.Millisecond))
		s.backs = nil
		s.fails.Store(true)
		require.Error(t, f.Look(ctx))
		require.False(t, f.Fresh(900*time.Millisecond), "a look that failed tells nothing")
		s.fails.Store(false)
		time.Sleep(time.Minute)
		require.NoError(t, f.Look(ctx))
		require.Greater(t, s.backs[0], 2*time.Minute)
		require.NoError(t, f.Look(ctx))
		require.Less(t, s.backs[1], time.Minute)
	})
}

// TestRecentElsewhere reads through the owner's internal operation.
func TestRecentElsewhere(t *testing.T) {
	t.Parallel()
	pool, outbox := setup(t)
	e := events.New("tool.approved", "s", uuid.New(), nil)
	require.NoError(t, outbox.Append(t.Context(), pool, e))
	url := peerstest.Serve(t, outbox.Operations(services.Registry, pool)...)
	peer, err := peers.New(services.Registry, "UAOL_REGISTRY_URL", url, peerstest.Tokens(t))
	require.NoError(t, err)
	t.Cleanup(peer.Close)
	ask := func(in events.RecentRequest) []events.Event {
		found, err := peers.Call[events.RecentRequest, []events.Event](t.Context(), peer, "recent", in)
		require.NoError(t, err)
		return found
	}
	require.Len(t, ask(events.RecentRequest{Back: time.Minute}), 1)
	require.Empty(t, ask(events.RecentRequest{Back: time.Minute, AfterID: e.ID}))
	_, err = pool.Exec(t.Context(), `UPDATE uaol_registry.outbox SET created_at = created_at - interval '2 minutes'`)
	require.NoError(t, err)
	require.Empty(t, ask(events.RecentRequest{Back: time.Minute}))
}
