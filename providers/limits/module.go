package limits

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/config"
)

// Module provides *Limiter.
var Module = fx.Module("limits", config.For[Config](), fx.Provide(newLimiter))

func newLimiter(cfg Config, log *zap.Logger, metrics *prometheus.Registry, lifecycle fx.Lifecycle) (*Limiter, error) {
	l, err := New(cfg, log)
	if err != nil {
		return nil, err
	}
	lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error { return l.reach(ctx, cfg) },
		OnStop:  func(context.Context) error { return l.Close() },
	})
	return l, metrics.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "uaol_limits_degraded_total", Help: "Limits that were counted in this process alone, because the Redis of REDIS_URL did not answer.",
	}, func() float64 { return float64(l.Degraded()) }))
}

// reach looks for the Redis that is configured. Production does not start
// without it; elsewhere each process counts for itself.
func (l *Limiter) reach(ctx context.Context, cfg Config) error {
	if l.shared == nil {
		l.log.Info("limits are counted in this process alone, which lets its share through; set REDIS_URL to count across replicas, or UAOL_REPLICAS to their number",
			zap.Int("replicas", l.local.replicas))
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := l.shared.client.Ping(ctx).Err()
	if err == nil {
		l.log.Info("limits are counted in the Redis of REDIS_URL, across replicas")
		return nil
	}
	if cfg.Production() {
		return &config.Fault{Variable: "REDIS_URL", Value: cfg.RedisURL, Secret: true, Want: "a Redis that answers: " + err.Error()}
	}
	l.shared.away.Store(time.Now().Add(awayFor).UnixNano())
	l.log.Warn("REDIS_URL is set, but that Redis does not answer; each process lets its share of the limits through until it does", zap.Int("replicas", l.local.replicas), zap.Error(err))
	return nil
}

// Degraded tells how many checks a Redis should have answered and did not.
func (l *Limiter) Degraded() int64 {
	if l.shared == nil {
		return 0
	}
	return l.shared.degraded.Load()
}
