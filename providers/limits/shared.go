package limits

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// shared counts in a Redis, so that all replicas count together.
type shared struct {
	client   redis.UniversalClient
	buckets  *redis_rate.Limiter
	log      *zap.Logger
	budget   time.Duration // for all of a check
	away     atomic.Int64  // until when it is not asked, in nanoseconds; 0 while it answers
	degraded atomic.Int64  // checks that it did not answer
}

const (
	usualBudget = 50 * time.Millisecond
	awayFor     = time.Second // after a failure nobody waits for it
)

func newShared(cfg Config, log *zap.Logger) (*shared, error) {
	quiet()
	client, err := cfg.Client()
	if err != nil {
		return nil, err
	}
	return &shared{client: client, buckets: redis_rate.NewLimiter(client), log: log.Named("limits"), budget: usualBudget}, nil
}

// quiet silences the client library's own logger: what matters is said here, in
// the process's own form.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

// Printf writes nothing.
func (silence) Printf(context.Context, string, ...any) {}

// take is false when Redis did not say.
func (s *shared) take(ctx context.Context, buckets []Bucket) ([]State, *Exceeded, bool) {
	if time.Now().UnixNano() < s.away.Load() {
		s.degraded.Add(1)
		return nil, nil, false
	}
	states := make([]State, 0, len(buckets))
	// A caller that leaves says nothing about Redis.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.budget)
	defer cancel()
	for _, b := range buckets {
		got, err := s.buckets.Allow(ctx, b.Key, redis_rate.Limit{Rate: b.PerMinute, Burst: b.burst(), Period: time.Minute})
		if err != nil {
			s.degraded.Add(1)
			if s.away.Swap(time.Now().Add(awayFor).UnixNano()) == 0 {
				s.log.Warn("the Redis of REDIS_URL does not answer; each process counts limits for itself until it does", zap.Error(err))
			}
			return nil, nil, false
		}
		states = append(states, State{Bucket: b, Left: got.Remaining, Full: got.ResetAfter})
		if got.Allowed == 0 {
			return states, &Exceeded{Bucket: b, Wait: got.RetryAfter}, true
		}
	}
	if s.away.Load() != 0 && s.away.Swap(0) != 0 {
		s.log.Info("the Redis of REDIS_URL answers again; limits are counted across processes")
	}
	return states, nil, true
}
