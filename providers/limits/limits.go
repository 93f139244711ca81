// Package limits keeps callers from asking too much too fast.
package limits

import (
	"math"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"uaol/providers/config"
	"uaol/services"
)

// Config is how much a caller may ask.
type Config struct {
	PerMinute int `env:"RATE_LIMIT_PER_MINUTE" envDefault:"100" want:"a whole number of requests, 1 or more" doc:"requests a caller may make in a minute: an account, or an address without one"`
}

// Check refuses limits that would refuse everybody.
func (c *Config) Check() error {
	if c.PerMinute < 1 {
		return &config.Fault{Variable: "RATE_LIMIT_PER_MINUTE", Value: strconv.Itoa(c.PerMinute), Want: "a whole number of requests, 1 or more"}
	}
	return nil
}

// Limiter counts requests by caller, in this process.
type Limiter struct {
	perMinute int
	buckets   *otter.Cache[string, *rate.Limiter]
}

// New makes a Limiter. It remembers the 100,000 callers seen last; a caller
// silent for two minutes has a full bucket again anyway.
func New(cfg Config) *Limiter {
	return &Limiter{perMinute: cfg.PerMinute, buckets: otter.Must(&otter.Options[string, *rate.Limiter]{
		MaximumSize:      100_000,
		ExpiryCalculator: otter.ExpiryAccessing[string, *rate.Limiter](2 * time.Minute),
	})}
}

// Close ends the cache's own goroutine.
func (l *Limiter) Close() { l.buckets.StopAllGoroutines() }

// Allow counts one request; kind Limited when the caller has used up its share.
func (l *Limiter) Allow(c *gin.Context, caller services.Caller) error {
	return l.AllowTo(c, caller, "", l.perMinute)
}

// AllowTo counts one request of a kind that has a limit of its own.
func (l *Limiter) AllowTo(c *gin.Context, caller services.Caller, what string, perMinute int) error {
	key := what + " " + services.OriginFrom(c.Request.Context()).Address
	if caller.Known() {
		key = what + " " + caller.Account.String()
	}
	bucket, ok := l.buckets.GetIfPresent(key)
	if !ok {
		bucket, _ = l.buckets.SetIfAbsent(key, rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute))
	}
	if bucket.Allow() {
		return nil
	}
	wait := math.Ceil(60 / float64(perMinute))
	c.Header("Retry-After", strconv.Itoa(int(wait)))
	return services.Errorf(services.Limited, "Rate limit exceeded. Maximum %d requests per minute.", perMinute)
}
