package limits

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/config"
	"uaol/providers/limits/redistest"
)

// refused tells which bucket was empty.
func refused(t testing.TB, err error) *Exceeded {
	t.Helper()
	var exceeded *Exceeded
	require.True(t, errors.As(err, &exceeded), "%v", err)
	return exceeded
}

func TestTakeNamesTheEmptyBucketAndTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{PerMinute: 1})
		defer func() { require.NoError(t, l.Close()) }()
		wide, narrow, none := Bucket{Key: "wide", PerMinute: 5}, Bucket{Key: "narrow", PerMinute: 60, Burst: 2}, Bucket{Key: "none"}
		for range 2 {
			require.NoError(t, l.Take(t.Context(), []Bucket{wide, none, narrow}))
		}
		for range 10 {
			exceeded := refused(t, l.Take(t.Context(), []Bucket{wide, none, narrow}))
			require.Equal(t, narrow, exceeded.Bucket)
			require.InDelta(t, time.Second, exceeded.Wait, float64(time.Millisecond))
			require.Equal(t, 1, exceeded.Seconds())
		}
		for range 3 {
			require.NoError(t, l.Take(t.Context(), []Bucket{wide}), "what narrow refused took nothing from wide")
		}
		require.Equal(t, wide, refused(t, l.Take(t.Context(), []Bucket{wide, narrow})).Bucket)
		time.Sleep(time.Second + time.Millisecond) // the bubble's clock
		require.NoError(t, l.Take(t.Context(), []Bucket{narrow}))
		require.Error(t, l.Take(t.Context(), []Bucket{narrow}))
	})
}

// TestReplicasCountTogether: of two processes that share a Redis, both at once
// get no more than one would.
func TestReplicasCountTogether(t *testing.T) {
	t.Parallel()
	url, _ := redistest.Start(t)
	b := Bucket{Key: "calls:together", PerMinute: 1, Burst: 50}
	var got atomic.Int64
	var group sync.WaitGroup
	for range 2 {
		l := limiter(t, Config{PerMinute: 1, RedisURL: url})
		defer func() { require.NoError(t, l.Close()); require.Zero(t, l.Degraded()) }()
		l.shared.budget = time.Minute // a machine that is busy is not a Redis that is away
		require.NoError(t, l.shared.client.Ping(t.Context()).Err())
		l.shared.away.Store(0)
		for range 4 {
			group.Go(func() {
				for range 25 {
					err := l.Take(t.Context(), []Bucket{b})
					if err == nil {
						got.Add(1)
						continue
					}
					var exceeded *Exceeded
					if !errors.As(err, &exceeded) || exceeded.Wait <= 0 || exceeded.Wait > time.Minute {
						t.Error(err)
					}
				}
			})
		}
	}
	group.Wait()
	require.EqualValues(t, 50, got.Load())
}

// TestAClusterCounts: of one node, which is the smallest.
func TestAClusterCounts(t *testing.T) {
	t.Parallel()
	url, _ := redistest.Start(t, "--cluster-enabled", "yes")
	l := limiter(t, Config{PerMinute: 1, RedisURL: url, Cluster: "true"})
	defer func() { require.NoError(t, l.Close()) }()
	l.shared.budget = time.Minute
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	node := redis.NewClient(options)
	defer func() { require.NoError(t, node.Close()) }()
	require.NoError(t, node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	require.Eventually(t, func() bool { return l.shared.client.Set(t.Context(), "x", 1, time.Second).Err() == nil }, 30*time.Second, 10*time.Millisecond)
	for range 3 {
		require.NoError(t, l.Take(t.Context(), []Bucket{{Key: "a", PerMinute: 3}, {Key: "b", PerMinute: 9}}))
	}
	require.Equal(t, "a", refused(t, l.Take(t.Context(), []Bucket{{Key: "a", PerMinute: 3}, {Key: "b", PerMinute: 9}})).Bucket.Key)
	require.Zero(t, l.Degraded())
}

// TestARefusalTakesNothingFromLaterBuckets in Redis either.
func TestARefusalTakesNothingFromLaterBuckets(t *testing.T) {
	t.Parallel()
	url, _ := redistest.Start(t)
	l := limiter(t, Config{PerMinute: 1, RedisURL: url})
	defer func() { require.NoError(t, l.Close()) }()
	l.shared.budget = time.Minute
	require.NoError(t, l.shared.client.Ping(t.Context()).Err())
	narrow, wide := Bucket{Key: "narrow", PerMinute: 1}, Bucket{Key: "wide", PerMinute: 1, Burst: 2}
	require.NoError(t, l.Take(t.Context(), []Bucket{narrow, wide}))
	for range 5 {
		require.Equal(t, narrow, refused(t, l.Take(t.Context(), []Bucket{narrow, wide})).Bucket)
	}
	require.NoError(t, l.Take(t.Context(), []Bucket{wide}))
	require.Equal(t, wide, refused(t, l.Take(t.Context(), []Bucket{wide})).Bucket)
	require.Zero(t, l.Degraded())
}

// askedHook counts what a Redis is asked.
type askedHook struct{ atomic.Int64 }

func (h *askedHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *askedHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" { // not what connections begin with
			h.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (h *askedHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestWithoutItsRedisAProcessCountsForItself, says so once, and does not wait.
func TestWithoutItsRedisAProcessCountsForItself(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, silent.Close()) })
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	for name, address := range map[string]string{"silent": silent.Addr().String(), "gone": gone.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zap.WarnLevel)
			l, err := New(Config{PerMinute: 1, RedisURL: "redis://" + address}, zap.New(core))
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			b := Bucket{Key: "x", PerMinute: 1, Burst: 3}
			asked := &askedHook{}
			l.shared.client.AddHook(asked)
			begun := time.Now()
			require.NoError(t, l.Take(context.Background(), []Bucket{b}))
			require.Less(t, time.Since(begun), awayFor, "it is not waited for long")
			require.EqualValues(t, 1, asked.Load())
			l.shared.away.Store(time.Now().Add(time.Hour).UnixNano()) // as if no time passed
			require.NoError(t, l.Take(context.Background(), []Bucket{b}))
			require.EqualValues(t, 1, asked.Load(), "it is left alone for a while")
			l.shared.away.Store(time.Now().Add(-time.Hour).UnixNano())
			require.NoError(t, l.Take(context.Background(), []Bucket{b}))
			require.EqualValues(t, 2, asked.Load())
			require.Equal(t, b, refused(t, l.Take(context.Background(), []Bucket{b})).Bucket)
			require.EqualValues(t, 4, l.Degraded())
			require.Equal(t, 1, logs.FilterMessageSnippet("does not answer").Len())
		})
	}
}

// TestARedisThatComesBackCountsAgain after it was away.
func TestARedisThatComesBackCountsAgain(t *testing.T) {
	t.Parallel()
	url, stop := redistest.Start(t)
	l := limiter(t, Config{PerMinute: 1, RedisURL: url})
	defer func() { require.NoError(t, l.Close()) }()
	b := Bucket{Key: "x", PerMinute: 6_000}
	l.shared.away.Store(time.Now().Add(-time.Second).UnixNano()) // it was away until a moment ago
	require.Eventually(t, func() bool {
		require.NoError(t, l.Take(t.Context(), []Bucket{b}))
		return l.shared.away.Load() == 0
	}, 30*time.Second, time.Millisecond)
	stop()
	require.NoError(t, l.Take(t.Context(), []Bucket{b}))
	require.NotZero(t, l.shared.away.Load())
}

// TestProductionWantsItsRedis; elsewhere its absence is said, and that is all.
func TestProductionWantsItsRedis(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	url, _ := redistest.Start(t)
	for name, test := range map[string]struct {
		url   string
		mode  string
		fault bool
		warns int
	}{
		"there":                 {url, "production", false, 0},
		"none":                  {"", "production", false, 0},
		"away in production":    {"redis://user:hunter2@" + gone.Addr().String(), "production", true, 0},
		"away anywhere else":    {"redis://user:hunter2@" + gone.Addr().String(), "development", false, 1},
		"there, in development": {url, "development", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zap.WarnLevel)
			cfg := Config{Process: config.Process{Mode: test.mode}, PerMinute: 1, RedisURL: test.url}
			l, err := New(cfg, zap.New(core))
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			err = l.reach(t.Context(), cfg)
			require.Equal(t, test.warns, logs.Len())
			if !test.fault {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "REDIS_URL holds a text of")
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}
