// Package limits keeps callers from asking too much too fast.
package limits

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"uaol/services"
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

// Limiter counts uses: in this process, or exactly across replicas where there
// is a Redis. While that is away each process counts for itself.
type Limiter struct {
	perMinute int
	local     *local
	shared    *shared // nil without a Redis
}

// New makes a Limiter.
func New(cfg Config, log *zap.Logger) (*Limiter, error) {
	l := &Limiter{perMinute: cfg.PerMinute, local: newLocal()}
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
	limited := buckets
	if slices.ContainsFunc(buckets, unlimited) {
		limited = slices.DeleteFunc(slices.Clone(buckets), unlimited)
	}
	if l.shared != nil {
		if exceeded, ok := l.shared.take(ctx, limited); ok {
			return orNil(exceeded)
		}
	}
	return orNil(l.local.take(limited))
}

func unlimited(b Bucket) bool { return b.PerMinute <= 0 }

// orNil makes an error of nil that is nil.
func orNil(e *Exceeded) error {
	if e == nil {
		return nil
	}
	return e
}

// Allow counts one request; kind Limited when the caller has used up its share.
func (l *Limiter) Allow(c *gin.Context, caller services.Caller) error {
	return l.AllowTo(c, caller, "", l.perMinute)
}

// AllowTo counts one request of a kind that has a limit of its own.
func (l *Limiter) AllowTo(c *gin.Context, caller services.Caller, what string, perMinute int) error {
	var who string
	if caller.Known() {
		who = "account:" + caller.Account.String()
	} else {
		who = "address:" + services.OriginFrom(c.Request.Context()).Address
	}
	err := l.Take(c.Request.Context(), []Bucket{{Key: "requests:" + what + ":" + who, PerMinute: perMinute}})
	if err == nil {
		return nil
	}
	wait := math.Ceil(60 / float64(perMinute))
	c.Header("Retry-After", strconv.Itoa(int(wait)))
	return services.Errorf(services.Limited, "Rate limit exceeded. Maximum %d requests per minute.", perMinute)
}
