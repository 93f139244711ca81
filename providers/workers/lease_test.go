package workers

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// table is one lease row in memory, on the bubble's clock.
type table struct {
	mu      sync.Mutex
	holder  uuid.UUID
	fence   int64
	expires time.Time
	err     error // of every statement
	hangs   bool  // no statement comes back before its time is up
	drops   int
}

func (l *table) Take(ctx context.Context, _ string, holder uuid.UUID, lifetime time.Duration) (int64, bool, error) {
	l.mu.Lock()
	hangs, err := l.hangs, l.err
	l.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return 0, false, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		return 0, false, err
	}
	if l.holder != holder {
		if time.Now().Before(l.expires) {
			return 0, false, nil
		}
		l.holder = holder
		l.fence++
	}
	l.expires = time.Now().Add(lifetime)
	return l.fence, true, nil
}

func (l *table) Drop(_ context.Context, _ string, holder uuid.UUID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drops++
	if l.holder == holder {
		l.expires = time.Time{}
	}
	return l.err
}

func (l *table) set(change func(*table)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

const lifetime = 15 * time.Second

// inside counts who runs, and complains about two at once.
type inside struct {
	mu     sync.Mutex
	now    int
	fences []int64
}

func (i *inside) run(t *testing.T) func(context.Context, int64) error {
	return func(ctx context.Context, fence int64) error {
		i.mu.Lock()
		i.now++
		i.fences = append(i.fences, fence)
		if i.now > 1 {
			t.Error("two run at once")
		}
		i.mu.Unlock()
		<-ctx.Done()
		i.mu.Lock()
		i.now--
		i.mu.Unlock()
		return nil
	}
}

// TestOneRunsAtATime: two processes and one lease; when the first ends, the
// second goes on within a third of the lease's lifetime.
func TestOneRunsAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leases, seen := &table{}, &inside{}
		first, endFirst := context.WithCancel(t.Context())
		second, endSecond := context.WithCancel(t.Context())
		var both sync.WaitGroup
		both.Go(func() { require.NoError(t, Alone(leases, "x", lifetime, seen.run(t))(first)) })
		synctest.Wait()
		both.Go(func() { require.NoError(t, Alone(leases, "x", lifetime, seen.run(t))(second)) })
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, []int64{1}, seen.fences, "it is renewed, and the other waits")
		endFirst()
		time.Sleep(lifetime/3 + time.Millisecond)
		synctest.Wait()
		require.Equal(t, []int64{1, 2}, seen.fences)
		endSecond()
		both.Wait()
		require.Equal(t, 2, leases.drops)
	})
}

// TestLostLease: whoever can't renew ends before another may begin.
func TestLostLease(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*table){
		"unreachable": func(l *table) { l.err = errors.New("away") },
		"hanging":     func(l *table) { l.hangs = true },
		"taken":       func(l *table) { l.holder, l.expires = uuid.New(), time.Now().Add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				leases, seen := &table{}, &inside{}
				done := make(chan error, 1)
				go func() { done <- Alone(leases, "x", lifetime, seen.run(t))(t.Context()) }()
				time.Sleep(time.Minute + time.Second)
				synctest.Wait()
				renewed := leases.expires
				leases.set(away)
				require.ErrorIs(t, <-done, errLost)
				require.True(t, time.Now().Before(renewed), "in time")
				require.Zero(t, seen.now)
			})
		})
	}
}

// TestAMissedRenewal is made good by the next.
func TestAMissedRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leases, seen := &table{}, &inside{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Alone(leases, "x", lifetime, seen.run(t))(ctx) }()
		time.Sleep(time.Second) // so that none of the moments below is that of a renewal
		for range 10 {
			time.Sleep(2 * lifetime / 3)
			leases.set(func(l *table) { l.err = errors.New("away") })
			time.Sleep(lifetime / 3)
			leases.set(func(l *table) { l.err = nil })
		}
		synctest.Wait()
		require.Equal(t, []int64{1}, seen.fences)
		cancel()
		require.NoError(t, <-done)
	})
}

// TestFailuresOfTheLoop end it, and the lease with it.
func TestFailuresOfTheLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leases := &table{}
		broken := errors.New("broken")
		run := Alone(leases, "x", lifetime, func(context.Context, int64) error { return broken })
		require.ErrorIs(t, run(t.Context()), broken)
		require.Zero(t, leases.expires)
		run = Alone(leases, "x", lifetime, func(context.Context, int64) error { return nil })
		require.ErrorContains(t, run(t.Context()), "ended by itself")
		run = Alone(leases, "x", lifetime, func(context.Context, int64) error { panic("broken") })
		require.Panics(t, func() { _ = run(t.Context()) })
		require.Equal(t, 3, leases.drops)
		require.Equal(t, int64(3), leases.fence)
		leases.err = broken
		require.ErrorIs(t, run(t.Context()), broken)
	})
}
