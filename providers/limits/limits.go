// Package limits keeps callers from asking too much too fast.
package limits

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Bucket is a limit on something. It holds Burst tokens, PerMinute of them come
// back in a minute, and each use takes one.
type Bucket struct {
	Key       string // what is limited; the same everywhere
	PerMinute int    // 0 for no limit
	Burst     int    // 0 for as many as come in a minute
}

func (b Bucket) burst() int {
	if b.Burst == 0 {
		return b.PerMinute
	}
	return b.Burst
}

// Exceeded says which bucket was empty, and for how long it will be.
type Exceeded struct {
	Bucket Bucket
	Wait   time.Duration
}

func (e *Exceeded) Error() string {
	return fmt.Sprintf("%s is limited to %d a minute", e.Bucket.Key, e.Bucket.PerMinute)
}

// Seconds is for how long to wait, for Retry-After.
func (e *Exceeded) Seconds() int { return max(1, int(math.Ceil(e.Wait.Seconds()))) }

// State is what is left of a bucket, and when it will be full again.
type State struct {
	Bucket Bucket
	Left   int
	Full   time.Duration
}

// Limiter counts uses: in this process, or exactly across replicas where there
// is a Redis. While that is away, or without one, each process lets its share through.
type Limiter struct {
	perMinute, perAddress int
	local                 *local
	shared                *shared // nil without a Redis
	log                   *zap.Logger
}

// New makes a Limiter.
func New(cfg Config, log *zap.Logger) (*Limiter, error) {
	l := &Limiter{perMinute: cfg.PerMinute, perAddress: cfg.PerAddress, local: newLocal(cfg.Replicas), log: log.Named("limits")}
	if l.perAddress == 0 {
		l.perAddress = l.perMinute
	}
	if cfg.RedisURL == "" {
		return l, nil
	}
	var err error
	l.shared, err = newShared(cfg, log)
	return l, err
}

// Close ends the caches' and the connections' own goroutines.
func (l *Limiter) Close() error {
	l.local.buckets.StopAllGoroutines()
	if l.shared == nil {
		return nil
	}
	return l.shared.client.Close()
}

// Take takes a token out of each bucket, in their order. The first that is empty
// is the answer, *Exceeded; those after it lose nothing, and where all are
// counted here those before it get their token back.
func (l *Limiter) Take(ctx context.Context, buckets []Bucket) error {
	_, err := l.Count(ctx, buckets)
	return err
}

// Count is Take, and tells of each limited bucket that was asked what is left.
func (l *Limiter) Count(ctx context.Context, buckets []Bucket) ([]State, error) {
	limited := buckets
	if slices.ContainsFunc(buckets, unlimited) {
		limited = slices.DeleteFunc(slices.Clone(buckets), unlimited)
	}
	if l.shared != nil {
		if states, exceeded, ok := l.shared.take(ctx, limited); ok {
			return states, orNil(exceeded)
		}
	}
	states, exceeded := l.local.take(limited)
	return states, orNil(exceeded)
}

func unlimited(b Bucket) bool { return b.PerMinute <= 0 }

// orNil makes an error of nil that is nil.
func orNil(e *Exceeded) error {
	if e == nil {
		return nil
	}
	return e
}
