package workers

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func setup(t *testing.T, all ...Worker) (*Running, *fxtest.Lifecycle, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	lifecycle := fxtest.NewLifecycle(t)
	return New(params{Workers: all, Log: zap.New(core), Lifecycle: lifecycle}), lifecycle, logs
}

// TestRestarts: an error, a panic and a return without either begin the loop
// again, after growing pauses.
func TestRestarts(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error":  func() error { return errors.New("broken") },
		"panic":  func() error { panic("broken") },
		"return": func() error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				var begun []time.Time
				r, _, logs := setup(t, Worker{Name: "w", Run: func(ctx context.Context) error {
					begun = append(begun, time.Now())
					if runs.Add(1) < 12 {
						return fail()
					}
					<-ctx.Done()
					return nil
				}})
				r.Start()
				time.Sleep(2 * time.Minute) // the bubble's clock
				synctest.Wait()
				require.Equal(t, int64(12), runs.Load())
				require.Equal(t, 11, logs.FilterMessage("background loop failed, beginning it again").Len())
				require.Contains(t, logs.All()[0].ContextMap()["error"], map[string]string{"return": "the loop ended by itself"}[name])
				for i := 1; i < len(begun); i++ {
					most := min(100*time.Millisecond<<(i-1), 10*time.Second)
					require.LessOrEqual(t, begun[i].Sub(begun[i-1]), most)
					require.GreaterOrEqual(t, begun[i].Sub(begun[i-1]), most/2)
				}
				require.NoError(t, r.Stop(t.Context()))
			})
		})
	}
}

// TestOneFailingLeavesOthersAlone also shows that a long run resets the pause.
func TestOneFailingLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs, steady atomic.Int64
		r, lifecycle, _ := setup(t,
			Worker{Name: "fails", Run: func(ctx context.Context) error {
				if runs.Add(1)%9 == 0 { // by then the pause has grown
					time.Sleep(2 * time.Minute)
				}
				return errors.New("broken")
			}},
			Worker{Name: "steady", Run: Every(time.Second, func(context.Context) error { steady.Add(1); return nil })})
		_ = r
		lifecycle.RequireStart()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.InDelta(t, 601, steady.Load(), 1)
		require.Greater(t, runs.Load(), int64(25), "four times nine quick failures")
		lifecycle.RequireStop()
	})
}

func TestStopWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := false
		r, _, _ := setup(t, Worker{Name: "slow", Run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // its last piece of work
			ended = true
			return ctx.Err()
		}})
		r.Start()
		synctest.Wait()
		begun := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorContains(t, r.Stop(short), "some background loops did not end in time")
		require.Equal(t, time.Second, time.Since(begun))
		require.NoError(t, r.Stop(t.Context()))
		require.True(t, ended)
		require.Equal(t, 3*time.Second, time.Since(begun))
	})
}

// TestStopInsidePause: a loop that waits to be begun again ends at once.
func TestStopInsidePause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := setup(t, Worker{Name: "w", Run: func(context.Context) error { return errors.New("broken") }})
		r.Start()
		time.Sleep(time.Minute)
		synctest.Wait()
		begun := time.Now()
		require.NoError(t, r.Stop(t.Context()))
		require.Zero(t, time.Since(begun))
	})
}

func TestEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begun, runs := time.Now(), 0
		require.NoError(t, Every(5*time.Second, func(context.Context) error {
			if runs++; runs == 3 {
				cancel()
				return errors.New("because of the end")
			}
			return nil
		})(ctx))
		require.Equal(t, 3, runs)
		require.Equal(t, 10*time.Second, time.Since(begun), "the first at once")
		require.EqualError(t, Every(time.Second, func(context.Context) error { return errors.New("broken") })(t.Context()), "broken")
	})
}
