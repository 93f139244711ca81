package health

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(name string, run func(context.Context) error) Check { return Check{Name: name, Run: run} }

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fine := func(context.Context) error { return nil }
		slow := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		c := New(params{Checks: []Check{check("c", slow), check("a", fine), check("b", func(context.Context) error { return errors.New("broken") }), check("d", slow)}})
		begun := time.Now()
		results, ready := c.Run(t.Context())
		require.False(t, ready)
		require.Equal(t, []Result{{Name: "a", OK: true}, {Name: "b", Error: "broken"},
			{Name: "c", Error: "context deadline exceeded"}, {Name: "d", Error: "context deadline exceeded"}}, results)
		require.Equal(t, deadline, time.Since(begun), "together, each with its deadline")
	})
}

// TestRunForMany: those who ask at the same time, or just afterwards, share what is found;
// one who leaves spoils nothing for them.
func TestRunForMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ran, broken := 0, false
		c := New(params{Checks: []Check{check("a", func(ctx context.Context) error {
			ran++
			time.Sleep(time.Second)
			if broken {
				return errors.New("broken")
			}
			return ctx.Err()
		})}})
		gone, leave := context.WithCancel(t.Context())
		go c.Run(gone)
		synctest.Wait()
		leave()
		_, ready := c.Run(t.Context())
		require.True(t, ready)
		require.Equal(t, 1, ran)
		broken = true
		time.Sleep(fresh)
		_, ready = c.Run(t.Context())
		require.False(t, ready)
		require.Equal(t, 2, ran)
	})
}

func TestReadyUntilStopping(t *testing.T) {
	t.Parallel()
	ran := 0
	c := New(params{Checks: []Check{check("a", func(context.Context) error { ran++; return nil })}})
	results, ready := c.Run(t.Context())
	require.True(t, ready)
	require.Equal(t, []Result{{Name: "a", OK: true}}, results)
	c.Stopping()
	results, ready = c.Run(t.Context())
	require.False(t, ready)
	require.Equal(t, []Result{{Name: "process", Error: "stopping"}}, results)
	require.Equal(t, 1, ran, "what is being closed is not asked any more")
	_, ready = New(params{}).Run(t.Context())
	require.True(t, ready, "nothing to wait for")
}
