package limits

import (
	"context"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/limits/redistest"
	"uaol/services"
)

func from(address string) (*gin.Context, *httptest.ResponseRecorder) {
	recorder := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(recorder)
	c.Request = httptest.NewRequest("GET", "/", nil)
	c.Request = c.Request.WithContext(services.WithOrigin(c.Request.Context(), services.Origin{Address: address}))
	return c, recorder
}

type rated int

func (r rated) Rate(context.Context, uuid.UUID) int { return int(r) }

func account() services.Caller {
	return services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser}
}

// TestAPlansRate bounds an organisation as a whole, and lets one account use all of it.
func TestAPlansRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct{ perMinute, rate, alone, together int }{
			{10, 0, 10, 20}, // no rate: each account for itself
			{10, 4, 4, 4}, {10, 15, 15, 15},
		} {
			r := requests(t, Config{PerMinute: test.perMinute}, rated(test.rate))
			let := func(callers ...services.Caller) (passed int) {
				for range 50 {
					for _, caller := range callers {
						c, _ := from("192.0.2.1")
						if r.Allow(c, caller) == nil {
							passed++
						}
					}
				}
				return passed
			}
			require.Equal(t, test.alone, let(account()), test)
			ada, bob := account(), account()
			bob.Organization = ada.Organization
			require.Equal(t, test.together, let(ada, bob), test)
			closing(t, r)
		}
	})
}

// TestHeadersTellWhatIsLeft, and when it will be there again.
func TestHeadersTellWhatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := requests(t, Config{PerMinute: 3}, rated(4))
		defer closing(t, r)
		ada := account()
		c, w := from("192.0.2.1")
		require.NoError(t, r.Allow(c, ada))
		require.Equal(t, `"account";q=4;w=60, "plan";q=4;w=60`, w.Header().Get("RateLimit-Policy"))
		require.Equal(t, `"account";r=3;t=15, "plan";r=3;t=15`, w.Header().Get("RateLimit"))
		require.NoError(t, r.AllowTo(c, ada, "/chat", 2))
		require.Equal(t, `"account";q=4;w=60, "plan";q=4;w=60, "operation";q=2;w=60`, w.Header().Get("RateLimit-Policy"))
		require.Equal(t, `"account";r=3;t=15, "plan";r=3;t=15, "operation";r=1;t=30`, w.Header().Get("RateLimit"))
		for range 3 {
			c, w = from("192.0.2.1")
			require.NoError(t, r.Allow(c, ada))
		}
		require.Equal(t, `"account";r=0;t=60, "plan";r=0;t=60`, w.Header().Get("RateLimit"))
		c, w = from("192.0.2.1")
		err := r.Allow(c, ada)
		require.True(t, services.Is(err, services.Limited))
		require.Equal(t, "15", w.Header().Get("Retry-After"))
		require.Equal(t, `"account";r=0;t=60`, w.Header().Get("RateLimit"))
		c, w = from("192.0.2.1")
		require.NoError(t, r.Allow(c, services.Caller{}))
		require.Equal(t, `"address";q=3;w=60`, w.Header().Get("RateLimit-Policy"), "an address has its own")
	})
}

// TestGuessingIsSlow: an address that has used up what it may get wrong has its
// right guesses refused too, while credentials that were right go on being so.
func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := requests(t, Config{PerMinute: 1000, PerAddress: 6}, nil)
		defer closing(t, r)
		tried := 0
		attempt := func(address, secret string) error {
			c, _ := from(address)
			return r.Attempt(c, secret, func() error {
				tried++
				if secret != "right" && secret != "also right" {
					return services.Errorf(services.Unauthenticated, "Invalid API key")
				}
				return nil
			})
		}
		const guesser, other = "192.0.2.1", "192.0.2.2"
		for range 50 {
			require.NoError(t, attempt(guesser, "right"), "what is right does not count")
		}
		tried = 0
		for range 1000 {
			require.Error(t, attempt(guesser, "wrong"))
		}
		require.Equal(t, 7, tried, "the last of them found out that it was one too many")
		err := attempt(guesser, "right")
		require.True(t, services.Is(err, services.Limited), "a right guess waits too: %v", err)
		require.NoError(t, attempt(other, "right"), "elsewhere nothing has happened")
		time.Sleep(10*time.Second + time.Millisecond) // the bubble's clock: one more try
		require.NoError(t, attempt(guesser, "right"))
		require.Error(t, attempt(guesser, "also right"))
		for range 20 {
			require.NoError(t, attempt(guesser, "right"), "it was right a moment ago")
		}
		tried = 0
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			require.Error(t, attempt(guesser, "wrong"))
		}
		require.LessOrEqual(t, tried, 7, "a minute of guessing is as much as a minute brings")
		time.Sleep(10 * time.Minute)
		require.NoError(t, attempt(guesser, "also right"), "suspicion ends")
	})
}

// TestEachReplicaHasItsShare, one at least.
func TestEachReplicaHasItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for replicas, want := range map[int]int{0: 90, 1: 90, 3: 30, 4: 22, 1000: 1} {
			l := limiter(t, Config{PerMinute: 1, Replicas: replicas})
			passed := 0
			for range 200 {
				if l.Take(t.Context(), []Bucket{{Key: "x", PerMinute: 90}}) == nil {
					passed++
				}
			}
			require.Equal(t, want, passed, replicas)
			time.Sleep(time.Minute)
			again := 0
			for range 200 {
				if l.Take(t.Context(), []Bucket{{Key: "x", PerMinute: 90}}) == nil {
					again++
				}
			}
			require.Equal(t, want, again, replicas)
			require.NoError(t, l.Close())
		}
	})
}

// TestTheStartSaysWhoCounts.
func TestTheStartSaysWhoCounts(t *testing.T) {
	t.Parallel()
	url, _ := redistest.Start(t)
	for said, cfg := range map[string]Config{
		"in this process alone":     {PerMinute: 1, Replicas: 3},
		"in the Redis of REDIS_URL": {PerMinute: 1, Replicas: 3, RedisURL: url},
	} {
		core, logs := observer.New(zap.InfoLevel)
		l, err := New(cfg, zap.New(core))
		require.NoError(t, err)
		require.NoError(t, l.reach(t.Context(), cfg))
		require.NoError(t, l.Close())
		require.Equal(t, 1, logs.Len())
		require.Contains(t, logs.All()[0].Message, said)
	}
}

// TestALostRedisLeavesTheShare to each process.
func TestALostRedisLeavesTheShare(t *testing.T) {
	t.Parallel()
	url, stop := redistest.Start(t)
	stop()
	l := limiter(t, Config{PerMinute: 1, Replicas: 5, RedisURL: url})
	defer func() { require.NoError(t, l.Close()) }()
	passed := 0
	for range 50 {
		if l.Take(t.Context(), []Bucket{{Key: "x", PerMinute: 10, Burst: 20}}) == nil {
			passed++
		}
	}
	require.Equal(t, 4, passed)
	require.EqualValues(t, 50, l.Degraded())
}
