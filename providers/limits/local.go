package limits

import (
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// local counts in this process. It remembers the 100,000 buckets used last.
type local struct {
	buckets *otter.Cache[Bucket, *rate.Limiter]
}

func newLocal() *local {
	return &local{buckets: otter.Must(&otter.Options[Bucket, *rate.Limiter]{MaximumSize: 100_000})}
}

// take gives back what it took when it comes to a bucket that is empty.
func (l *local) take(buckets []Bucket) *Exceeded {
	now := time.Now()
	taken := make([]*rate.Reservation, 0, len(buckets))
	for _, b := range buckets {
		bucket, ok := l.buckets.GetIfPresent(b)
		if !ok {
			bucket, _ = l.buckets.SetIfAbsent(b, rate.NewLimiter(rate.Limit(float64(b.PerMinute)/60), b.burst()))
		}
		token := bucket.ReserveN(now, 1)
		wait := token.DelayFrom(now)
		if wait > 0 {
			token.CancelAt(now)
			for _, earlier := range taken {
				earlier.CancelAt(now)
			}
			return &Exceeded{Bucket: b, Wait: wait}
		}
		taken = append(taken, token)
	}
	return nil
}
