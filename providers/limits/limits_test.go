package limits

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/services"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	goleak.VerifyTestMain(m)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ variable, value, want string }{
		"default":             {"RATE_LIMIT_PER_MINUTE", "", ""},
		"one":                 {"RATE_LIMIT_PER_MINUTE", "1", ""},
		"many":                {"RATE_LIMIT_PER_MINUTE", "100000", ""},
		"none":                {"RATE_LIMIT_PER_MINUTE", "0", `RATE_LIMIT_PER_MINUTE holds "0"; want a whole number of requests, 1 or more`},
		"fewer than none":     {"RATE_LIMIT_PER_MINUTE", "-5", `RATE_LIMIT_PER_MINUTE holds "-5"; want a whole number of requests, 1 or more`},
		"a word":              {"RATE_LIMIT_PER_MINUTE", "x", `RATE_LIMIT_PER_MINUTE holds "x"; want a whole number of requests, 1 or more`},
		"a Redis":             {"REDIS_URL", "rediss://user:hunter2@redis.example.com:6380/1", ""},
		"no Redis":            {"REDIS_URL", "postgres://user:hunter2@db.example.com/1", "REDIS_URL holds a text of 40 characters; want a URL such as redis://host:6379/0"},
		"a cluster":           {"REDIS_CLUSTER_MODE", "true", ""},
		"neither yes nor no":  {"REDIS_CLUSTER_MODE", "maybe", `REDIS_CLUSTER_MODE holds "maybe"; want true or false`},
		"a cluster of nobody": {"REDIS_CLUSTER_MODE", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Parse[Config](config.Of(map[string]string{test.variable: test.value}))
			if test.want != "" {
				require.EqualError(t, err, test.want)
				return
			}
			require.NoError(t, err)
			if test.value == "" {
				require.Equal(t, 100, cfg.PerMinute)
			}
		})
	}
}

func limiter(t testing.TB, cfg Config) *Limiter {
	t.Helper()
	l, err := New(cfg, zap.NewNop())
	require.NoError(t, err)
	return l
}

func requests(t testing.TB, cfg Config, rates Rates) *Requests {
	t.Helper()
	return NewRequests(limiter(t, cfg), rates)
}

func closing(t testing.TB, r *Requests) {
	t.Helper()
	r.Close()
	require.NoError(t, r.Limiter.Close())
}

// ask counts one request of the caller at the address and gives Retry-After.
func ask(l *Requests, address string, caller services.Caller) (retryAfter string, err error) {
	recorder := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(recorder)
	c.Request = httptest.NewRequest("GET", "/", nil)
	c.Request = c.Request.WithContext(services.WithOrigin(c.Request.Context(), services.Origin{Address: address}))
	err = l.Allow(c, caller)
	return recorder.Header().Get("Retry-After"), err
}

func TestLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		perMinute int
		retry     string
		refill    time.Duration // for one more request
	}{{1, "60", time.Minute}, {7, "9", 60 * time.Second / 7}, {100, "1", 600 * time.Millisecond}, {600, "1", 100 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			l := requests(t, Config{PerMinute: test.perMinute}, nil)
			defer closing(t, l)
			nobody := services.Caller{}
			for range test.perMinute {
				retry, err := ask(l, "192.0.2.1", nobody)
				require.NoError(t, err)
				require.Empty(t, retry)
			}
			retry, err := ask(l, "192.0.2.1", nobody)
			require.True(t, services.Is(err, services.Limited), err)
			require.Equal(t, test.retry, retry)
			_, err = ask(l, "192.0.2.2", nobody)
			require.NoError(t, err, "another address has its own share")
			time.Sleep(test.refill + time.Millisecond) // the bubble's clock
			_, err = ask(l, "192.0.2.1", nobody)
			require.NoError(t, err)
			_, err = ask(l, "192.0.2.1", nobody)
			require.Error(t, err)
			time.Sleep(10 * time.Minute)
			for range test.perMinute {
				_, err = ask(l, "192.0.2.1", nobody)
				require.NoError(t, err)
			}
			_, err = ask(l, "192.0.2.1", nobody)
			require.Error(t, err, "silence fills the share, it does not grow")
		})
	}
}

// TestAccounts are counted wherever they come from.
func TestAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := requests(t, Config{PerMinute: 2}, nil)
		defer closing(t, l)
		ada := services.Caller{Account: uuid.New(), Role: services.RoleUser}
		for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
			_, err := ask(l, address, ada)
			require.NoError(t, err)
		}
		_, err := ask(l, "192.0.2.3", ada)
		require.ErrorContains(t, err, "Rate limit exceeded. Maximum 2 requests per minute.")
		for _, caller := range []services.Caller{{}, {Account: uuid.New(), Role: services.RoleUser}} {
			_, err = ask(l, "192.0.2.1", caller)
			require.NoError(t, err)
		}
	})
}
