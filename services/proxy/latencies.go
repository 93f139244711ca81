package proxy

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// How long calls take is counted in ranges, each of which begins at what is listed here,
// in microseconds, and ends before the next. The first is of what took less than 0.1 ms,
// the last of 10 minutes and more; those between are longer by a fifth from one to the
// next. The database gives a latency its place (width_bucket): 1 is the first, 0 is
// before it, and no range.
var ranges = func() []int64 {
	starts := []int64{1}
	for at := float64(shortest); at < float64(longest); at *= 1.2 {
		starts = append(starts, int64(math.Round(at)))
	}
	return append(starts, longest)
}()

const (
	shortest = int64(100 * time.Microsecond / time.Microsecond)
	longest  = int64(10 * time.Minute / time.Microsecond)
)

// typical stands for all latencies of a range, in milliseconds: its geometric middle, from
// which none of them is further than a tenth. Of the first range it is the end, and of the
// last the beginning.
func typical(place int16) float64 {
	switch {
	case place <= 1:
		return float64(shortest) / 1000
	case int(place) >= len(ranges):
		return float64(longest) / 1000
	}
	return math.Round(math.Sqrt(float64(ranges[place-1])*float64(ranges[place]))) / 1000
}

// tally is how many calls took so long.
type tally struct {
	place int16
	calls int64
}

// percentile is the latency, in milliseconds, that a share of the calls took at most, by
// the nearest rank; nil where there are none. It sorts what it is given.
func percentile(all []tally, share float64) *float64 {
	slices.SortFunc(all, func(a, b tally) int { return cmp.Compare(a.place, b.place) })
	var total, seen int64
	for _, c := range all {
		total += c.calls
	}
	rank := max(int64(math.Ceil(share*float64(total))), 1)
	for _, c := range all {
		if seen += c.calls; seen >= rank {
			ms := typical(c.place)
			return &ms
		}
	}
	return nil
}
