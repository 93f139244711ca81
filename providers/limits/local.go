package limits

import (
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// local counts in this process, which has its share of each bucket. It remembers
// the 100,000 buckets used last.
type local struct {
	replicas int
	buckets  *otter.Cache[Bucket, *rate.Limiter]
}

func newLocal(replicas int) *local {
	return &local{replicas: max(replicas, 1), buckets: otter.Must(&otter.Options[Bucket, *rate.Limiter]{MaximumSize: 100_000})}
}

// share is what this process may let through of n; something always.
func (l *local) share(n int) int { return max(n/l.replicas, 1) }

// take gives back what it took when it comes to a bucket that is empty.
func (l *local) take(buckets []Bucket) ([]State, *Exceeded) {
	now := time.Now()
	taken := make([]*rate.Reservation, 0, len(buckets))
	states := make([]State, 0, len(buckets))
	for _, b := range buckets {
		bucket, ok := l.buckets.GetIfPresent(b)
		if !ok {
			bucket, _ = l.buckets.SetIfAbsent(b, rate.NewLimiter(rate.Limit(float64(l.share(b.PerMinute))/60), l.share(b.burst())))
		}
		token := bucket.ReserveN(now, 1)
		wait := token.DelayFrom(now)
		if wait > 0 {
			token.CancelAt(now)
			for _, earlier := range taken {
				earlier.CancelAt(now)
			}
		}
		states = append(states, stateOf(b, bucket, now))
		if wait > 0 {
			return states, &Exceeded{Bucket: b, Wait: wait}
		}
		taken = append(taken, token)
	}
	return states, nil
}

func stateOf(b Bucket, bucket *rate.Limiter, now time.Time) State {
	left := max(bucket.TokensAt(now), 0)
	missing := float64(bucket.Burst()) - left
	return State{Bucket: b, Left: int(left), Full: time.Duration(missing / float64(bucket.Limit()) * float64(time.Second))}
}
