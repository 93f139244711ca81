package events_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/events"
	"uaol/providers/events/sqs/sqstest"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// body is a broker that the contract holds for, with what the test needs beside.
type body struct {
	events.Broker
	received func(t *testing.T, least int) [][]byte // all that it keeps, as a consumer gets it: at least so many
	down, up func(t *testing.T)
	once     bool // it drops what it has had
	unsorted bool // it keeps no order
	fake     *sqstest.Queue
}

func bodies() map[string]func(t *testing.T) body {
	return map[string]func(t *testing.T) body{
		"in process": func(t *testing.T) body { return newMemory() },
		"nats":       func(t *testing.T) body { return newNATS(t) },
		"kafka":      newKafka,
		"sqs":        func(t *testing.T) body { return newSQS(t, "events") },
		"sqs fifo":   func(t *testing.T) body { return newSQS(t, "events.fifo") },
	}
}

// memory is a Broker that hands events on inside the process.
type memory struct {
	mu   sync.Mutex
	away bool
	kept [][]byte
	seen map[uuid.UUID]bool
	bus  *events.Bus
}

func newMemory() body {
	m := &memory{seen: map[uuid.UUID]bool{}, bus: events.NewBus()}
	return body{Broker: m, once: true,
		received: func(*testing.T, int) [][]byte { m.mu.Lock(); defer m.mu.Unlock(); return m.kept },
		down:     func(*testing.T) { m.mu.Lock(); m.away = true; m.mu.Unlock() },
		up:       func(*testing.T) { m.mu.Lock(); m.away = false; m.mu.Unlock() },
	}
}

func (m *memory) Check(context.Context) error { return nil }
func (m *memory) Close()                      {}

func (m *memory) Publish(_ context.Context, messages []events.Message) []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	outcomes := make([]error, len(messages))
	for i, message := range messages {
		switch {
		case m.away:
			outcomes[i] = errors.New("away")
		case len(message.Body) > 1<<20:
			outcomes[i] = events.Refuse("too large")
		case !m.seen[message.ID]:
			m.seen[message.ID] = true
			m.kept = append(m.kept, message.Body)
		}
	}
	return outcomes
}

type relayBundle struct {
	body
	pool   *pgxpool.Pool
	outbox events.Outbox
	counts *events.Counts
	logs   *observer.ObservedLogs
	log    *zap.Logger
}

func setupRelay(t *testing.T, make func(t *testing.T) body) *relayBundle {
	core, logs := observer.New(zap.InfoLevel)
	b := &relayBundle{body: make(t), pool: pgtest.New(t), outbox: events.NewOutbox(services.Registry), counts: events.NewCounts(), logs: logs, log: zap.New(core)}
	t.Cleanup(b.Close)
	return b
}

func (b *relayBundle) relay(broker events.Broker) *events.Relay {
	return events.NewRelay(b.outbox, b.pool, events.Outlet{Kind: "test", Broker: broker}, events.NewBus(), b.counts, b.log)
}

// happen writes events of some keys in turn, and gives their ids by key.
func (b *relayBundle) happen(t *testing.T, n, keys int) map[string][]uuid.UUID {
	t.Helper()
	by := map[string][]uuid.UUID{}
	organizations := make([]uuid.UUID, keys)
	for i := range organizations {
		organizations[i] = uuid.New()
	}
	for i := range n {
		e := events.New("tool.updated", fmt.Sprint("tool-", i), organizations[i%keys], map[string]int{"n": i})
		require.NoError(t, b.outbox.Append(t.Context(), b.pool, e))
		by[e.Key()] = append(by[e.Key()], e.ID)
	}
	return by
}

// drain publishes until nothing is left.
func (b *relayBundle) drain(t *testing.T) {
	t.Helper()
	relay := b.relay(b.Broker)
	require.Eventually(t, func() bool {
		n, err := relay.Round(t.Context())
		return err == nil && n == 0
	}, time.Minute, time.Millisecond)
}

// firsts are the ids that were received, by key, each where it came first; all
// counts the repetitions too.
func (b *relayBundle) firsts(t *testing.T, least int) (by map[string][]uuid.UUID, all int) {
	t.Helper()
	by = map[string][]uuid.UUID{}
	seen := map[uuid.UUID]bool{}
	bodies := b.received(t, least)
	for _, text := range bodies {
		e, err := events.Parse(text)
		require.NoError(t, err)
		if !seen[e.ID] {
			seen[e.ID] = true
			by[e.Key()] = append(by[e.Key()], e.ID)
		}
	}
	return by, len(bodies)
}

func (b *relayBundle) same(t *testing.T, want, got map[string][]uuid.UUID) {
	t.Helper()
	require.Len(t, got, len(want))
	for key, ids := range want {
		if b.unsorted {
			require.ElementsMatch(t, ids, got[key])
			continue
		}
		require.Equal(t, ids, got[key], "in order")
	}
}

func (b *relayBundle) count(t *testing.T, state events.State) int64 {
	t.Helper()
	n, err := b.outbox.Count(t.Context(), b.pool, events.Filter{State: state})
	require.NoError(t, err)
	return n
}

func each(t *testing.T, f func(t *testing.T, b *relayBundle)) {
	t.Parallel()
	for name, make := range bodies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, setupRelay(t, make))
		})
	}
}

// TestEverythingIsPublishedInOrder, of each key, and what commits late too.
func TestEverythingIsPublishedInOrder(t *testing.T) {
	each(t, func(t *testing.T, b *relayBundle) {
		require.NoError(t, b.Check(t.Context()))
		slow, err := b.pool.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = slow.Rollback(context.Background()) }()
		late := events.New("tool.updated", "late", uuid.New(), nil)
		require.NoError(t, b.outbox.Append(t.Context(), slow, late))

		want := b.happen(t, 620, 7) // more than a batch
		hot := b.happen(t, 200, 1)
		for key, ids := range hot {
			want[key] = ids
		}
		b.drain(t)
		got, all := b.firsts(t, 820)
		b.same(t, want, got)
		require.Equal(t, 820, all)

		// Long after: no position was passed.
		_, err = slow.Exec(t.Context(), `UPDATE uaol_registry.outbox SET created_at = created_at - interval '1 hour' WHERE event_id = $1`, late.ID)
		require.NoError(t, err)
		require.NoError(t, slow.Commit(t.Context()))
		b.drain(t)
		got, _ = b.firsts(t, 821)
		require.Equal(t, []uuid.UUID{late.ID}, got[late.Key()])
		require.Zero(t, b.count(t, events.StateWaiting))
	})
}

// dying is a broker whose process dies when it has got something, before that is
// marked.
type dying struct{ events.Broker }

func (d dying) Publish(ctx context.Context, messages []events.Message) []error {
	d.Broker.Publish(ctx, messages)
	panic("killed")
}

// TestACrashPublishesAgain: nothing is skipped, and consumers know what they had.
func TestACrashPublishesAgain(t *testing.T) {
	each(t, func(t *testing.T, b *relayBundle) {
		require.NoError(t, b.Check(t.Context()))
		want := b.happen(t, 60, 3)
		require.PanicsWithValue(t, "killed", func() { _, _ = b.relay(dying{b.Broker}).Round(t.Context()) })
		require.EqualValues(t, 60, b.count(t, events.StateWaiting))
		b.drain(t)
		least := 120
		if b.once {
			least = 60
		}
		got, all := b.firsts(t, least)
		b.same(t, want, got)
		require.Equal(t, least, all)
		require.EqualValues(t, 60, b.count(t, events.StatePublished))
	})
}

// TestABrokerThatIsAway: what happens meanwhile waits, one warning says so, and it
// goes on by itself.
func TestABrokerThatIsAway(t *testing.T) {
	each(t, func(t *testing.T, b *relayBundle) {
		require.NoError(t, b.Check(t.Context()))
		want := b.happen(t, 20, 2)
		b.drain(t)
		b.down(t)
		for key, ids := range b.happen(t, 20, 2) {
			want[key] = ids
		}
		relay := b.relay(b.Broker)
		for i := range 3 {
			if i > 0 {
				require.Equal(t, 1, b.logs.FilterMessageSnippet("can't be published").Len(), "said once")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := relay.Round(ctx)
			cancel()
			require.Error(t, err)
		}
		require.EqualValues(t, 20, b.count(t, events.StateWaiting))
		require.Equal(t, map[string]float64{"uaol_events_published_total": 20, "uaol_events_unpublished": 20}, b.figures(t))
		b.up(t)
		require.Eventually(t, func() bool {
			n, err := relay.Round(t.Context())
			return err == nil && n == 0
		}, time.Minute, 10*time.Millisecond)
		got, _ := b.firsts(t, 40)
		b.same(t, want, got)
	})
}

// TestWhatIsRefusedForGood is set aside with the reason and holds up nothing.
func TestWhatIsRefusedForGood(t *testing.T) {
	each(t, func(t *testing.T, b *relayBundle) {
		require.NoError(t, b.Check(t.Context()))
		organization := uuid.New()
		before := events.New("tool.updated", "s", organization, nil)
		large := events.New("tool.updated", "s", organization, map[string]string{"much": strings.Repeat("x", 2<<20)})
		after := events.New("tool.updated", "s", organization, nil)
		require.NoError(t, b.outbox.Append(t.Context(), b.pool, before, large, after))
		b.drain(t)
		got, _ := b.firsts(t, 2)
		b.same(t, map[string][]uuid.UUID{before.Key(): {before.ID, after.ID}}, got)
		dead, err := b.outbox.List(t.Context(), b.pool, events.Filter{State: events.StateDead}, 10)
		require.NoError(t, err)
		require.Len(t, dead, 1)
		require.Equal(t, large.ID, dead[0].ID)
		require.NotEmpty(t, *dead[0].Refused)
		require.Equal(t, 1, b.logs.FilterMessageSnippet("refused for good").Len())
		require.Equal(t, map[string]float64{"uaol_events_published_total": 2, "uaol_events_dead_total": 1, "uaol_events_unpublished": 0}, b.figures(t))

		// Made smaller, as by an operator who lets the broker take more.
		_, err = b.pool.Exec(t.Context(), `UPDATE uaol_registry.outbox SET data = '{}' WHERE event_id = $1`, large.ID)
		require.NoError(t, err)
		n, err := b.outbox.Redrive(t.Context(), b.pool, events.Filter{IDs: []uuid.UUID{large.ID}})
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		b.drain(t)
		got, _ = b.firsts(t, 3)
		require.Contains(t, got[large.Key()], large.ID)
		require.Zero(t, b.count(t, events.StateDead))
	})
}

// counting counts what is handed over.
type counting struct {
	events.Broker
	n atomic.Int64
}

func (c *counting) Publish(ctx context.Context, messages []events.Message) []error {
	c.n.Add(int64(len(messages)))
	return c.Broker.Publish(ctx, messages)
}

// TestOneOfManyPublishes: of the processes that could, one does, and another when it stops.
func TestOneOfManyPublishes(t *testing.T) {
	t.Parallel()
	b := setupRelay(t, func(*testing.T) body { return newMemory() })
	brokers := make([]*counting, 3)
	stops := make([]func(), len(brokers))
	for i := range brokers {
		brokers[i] = &counting{Broker: b.Broker}
		ctx, stop := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { assert.NoError(t, b.relay(brokers[i]).Worker().Run(ctx)) })
		stops[i] = func() { stop(); ended.Wait() }
		defer stops[i]()
	}
	var total int64
	for range 2 {
		b.happen(t, 300, 5)
		total += 300
		require.Eventually(t, func() bool { return b.count(t, events.StatePublished) == total }, time.Minute, time.Millisecond)
		busy := slices.IndexFunc(brokers, func(c *counting) bool { return c.n.Load() > 0 })
		require.EqualValues(t, 300, brokers[busy].n.Load(), "each once, and all by one")
		stops[busy]()
		brokers[busy].n.Store(0)
		require.False(t, slices.ContainsFunc(brokers, func(c *counting) bool { return c.n.Load() > 0 }))
	}
}

// TestReplay publishes again what was published, with the same ids.
func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, b *relayBundle) {
		require.NoError(t, b.Check(t.Context()))
		b.happen(t, 10, 2)
		other := events.New("tool.approved", "s", uuid.New(), nil)
		require.NoError(t, b.outbox.Append(t.Context(), b.pool, other))
		b.drain(t)
		n, err := b.outbox.Replay(t.Context(), b.pool, events.Filter{Type: "tool.updated", Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		require.EqualValues(t, 10, n)
		require.EqualValues(t, 10, b.count(t, events.StateWaiting))
		b.drain(t)
		want := 21
		if b.once { // within the time in which the broker knows ids again
			want = 11
		}
		_, all := b.firsts(t, want)
		require.Equal(t, want, all)
	})
}

// TestOthersHearAtOnce: each process's bus gets what another has published, once,
// and of its own only what it has not handed on itself.
func TestOthersHearAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nats", "kafka"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupRelay(t, bodies()[name])
			require.NoError(t, b.Check(t.Context()))
			var mu sync.Mutex
			got := map[uuid.UUID]int{}
			listening := make(chan struct{}, 100)
			bus := events.NewBus()
			bus.Subscribe(func(e events.Event) {
				mu.Lock()
				defer mu.Unlock()
				got[e.ID]++
				if e.Subject == "probe" {
					listening <- struct{}{}
				}
			})
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- events.NewFeed(b.Broker.(events.Listener), bus, b.log).Worker().Run(ctx) }()
			for ready := false; !ready; { // it hears what comes after it has begun to listen
				require.NoError(t, b.outbox.Append(t.Context(), b.pool, events.New("tool.updated", "probe", uuid.New(), nil)))
				b.drain(t)
				select {
				case <-listening:
					ready = true
				case <-time.After(50 * time.Millisecond):
				}
			}
			own, foreign, outward := events.New("tool.updated", "own", uuid.New(), nil), events.New("job.created", "", uuid.New(), nil), events.New("credits.charged", "", uuid.New(), nil)
			bus.Publish(own)
			require.NoError(t, b.outbox.Append(t.Context(), b.pool, own, outward, foreign))
			b.drain(t)
			_, err := b.outbox.Replay(t.Context(), b.pool, events.Filter{IDs: []uuid.UUID{foreign.ID}})
			require.NoError(t, err)
			b.drain(t)
			last := events.New("tool.updated", "probe", foreign.Organization, nil)
			require.NoError(t, b.outbox.Append(t.Context(), b.pool, last))
			b.drain(t)
			require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return got[last.ID] == 1 && got[foreign.ID] == 1 }, time.Minute, time.Millisecond)
			stop()
			require.NoError(t, <-ended)
			require.Equal(t, 1, got[own.ID])
			require.Equal(t, 1, got[foreign.ID])
			require.Zero(t, got[outward.ID], "nobody here acts on it")
		})
	}
}
