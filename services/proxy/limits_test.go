package proxy

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/limits"
	"uaol/services"
	"uaol/services/registry"
)

func newLimits(t testing.TB, cfg Config) *Limits {
	t.Helper()
	limiter, err := limits.New(limits.Config{PerMinute: 1}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, limiter.Close()) })
	return NewLimits(cfg, limiter)
}

func TestEachLimitSaysWhichItIs(t *testing.T) {
	t.Parallel()
	own := func(l registry.Limits) *registry.Limits { return &l }
	for name, test := range map[string]struct {
		cfg     Config
		limits  *registry.Limits
		calls   int // that pass
		want    LimitReached
		message string
	}{
		"of a user and a tool": {
			Config{PerUser: 10, PerOrganization: 10, PerTool: 10, PerUserAndTool: 3}, nil, 3,
			LimitReached{LimitUserAndTool, 3, 20}, "Rate limit exceeded: your calls of weather may be at most 3 in a minute",
		},
		"of a user": {
			Config{PerUser: 4, PerOrganization: 10, PerTool: 10}, nil, 4,
			LimitReached{LimitUser, 4, 15}, "Rate limit exceeded: your calls may be at most 4 in a minute",
		},
		"of an organisation": {
			Config{PerUser: 10, PerOrganization: 6, PerTool: 10}, nil, 6,
			LimitReached{LimitOrganization, 6, 10}, "Rate limit exceeded: your organisation's calls may be at most 6 in a minute",
		},
		"of a tool": {
			Config{PerUser: 10, PerTool: 2}, nil, 2,
			LimitReached{LimitTool, 2, 30}, "Rate limit exceeded: all calls of weather together may be at most 2 in a minute",
		},
		"a tool's own, narrower": {
			Config{PerTool: 9, PerUserAndTool: 9}, own(registry.Limits{PerMinute: 5}), 5,
			LimitReached{LimitTool, 5, 12}, "Rate limit exceeded: all calls of weather together may be at most 5 in a minute",
		},
		"a tool's own, wider": {
			Config{PerTool: 1, PerUserAndTool: 1}, own(registry.Limits{PerMinute: 20, PerUser: 12}), 12,
			LimitReached{LimitUserAndTool, 12, 5}, "Rate limit exceeded: your calls of weather may be at most 12 in a minute",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimits(t, test.cfg)
			offer := registry.Offer{ToolID: uuid.New(), Name: "weather", Definition: registry.Definition{Limits: test.limits}}
			caller := user()
			for range test.calls {
				require.NoError(t, l.Take(t.Context(), caller, offer), name)
			}
			for range 3 {
				err := l.Take(t.Context(), caller, offer)
				require.EqualError(t, err, test.message, name)
				var e *services.Error
				require.True(t, errors.As(err, &e))
				require.Equal(t, services.Limited, e.Kind)
				require.Equal(t, test.want, e.Details)
			}
			time.Sleep(time.Duration(test.want.RetryAfter) * time.Second) // the bubble's clock
			require.NoError(t, l.Take(t.Context(), caller, offer), "Retry-After is long enough: "+name)
			require.Error(t, l.Take(t.Context(), caller, offer), name)
		})
	}
}

// TestALimitedUserIsNobodyElsesLoss: calls that are refused count against nobody.
func TestALimitedUserIsNobodyElsesLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(t, Config{PerUserAndTool: 2, PerOrganization: 4, PerTool: 4})
		offer := registry.Offer{ToolID: uuid.New()}
		greedy, other := user(), user()
		other.Organization = greedy.Organization
		for i := range 50 {
			require.Equal(t, i < 2, l.Take(t.Context(), greedy, offer) == nil)
		}
		for range 2 {
			require.NoError(t, l.Take(t.Context(), other, offer))
		}
		require.Error(t, l.Take(t.Context(), user(), offer), "the tool's own is used up by now")
		require.NoError(t, l.Take(t.Context(), user(), registry.Offer{ToolID: uuid.New()}))
	})
}

func TestNoLimitsLimitNobody(t *testing.T) {
	t.Parallel()
	l := newLimits(t, Config{})
	caller, offer := user(), registry.Offer{ToolID: uuid.New()}
	for range 10_000 {
		require.NoError(t, l.Take(t.Context(), caller, offer))
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for variable, test := range map[string]struct{ bad, want string }{
		"UAOL_CALLS_PER_USER_MINUTE":          {"-1", "a whole number, 0 for any"},
		"UAOL_CALLS_PER_ORGANIZATION_MINUTE":  {"-1", "a whole number, 0 for any"},
		"UAOL_CALLS_PER_TOOL_MINUTE":          {"many", "a whole number, 0 for any"},
		"UAOL_CALLS_PER_USER_AND_TOOL_MINUTE": {"-7", "a whole number, 0 for any"},
		"UAOL_CALLS_DAYS":                     {"0", "a whole number of days, 1 or more"},
		"UAOL_CALL_HOLD_SECONDS":              {"4", "a whole number of seconds, 5 or more"},
	} {
		_, err := config.Parse[Config](config.Of(map[string]string{variable: test.bad}))
		require.EqualError(t, err, variable+` holds "`+test.bad+`"; want `+test.want)
	}
	_, err := config.Parse[Config](config.Of(nil))
	require.NoError(t, err)
}
