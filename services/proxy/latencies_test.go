package proxy

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/providers/postgres"
)

// placeOf is what width_bucket makes of a latency, in microseconds.
func placeOf(us int64) int16 {
	after, _ := slices.BinarySearch(ranges, us+1)
	return int16(after)
}

func tallies(us []int64) (all []tally) {
	for _, took := range us {
		all = append(all, tally{placeOf(took), 1})
	}
	return all
}

// TestPercentilesAreTrueToATenth, whatever calls took between 0.1 ms and 10 minutes.
func TestPercentilesAreTrueToATenth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		exponents := rapid.SliceOfN(rapid.Float64Range(math.Log(float64(shortest)), math.Log(float64(longest))), 1, 300).Draw(t, "ln µs")
		took := make([]int64, len(exponents))
		for i, e := range exponents {
			took[i] = min(max(int64(math.Exp(e)), shortest), longest)
		}
		sorted := slices.Sorted(slices.Values(took))
		last := 0.0
		for _, percent := range []int{1, 50, 95, 99, 100} {
			rank := max((percent*len(sorted)+99)/100, 1)
			exact := float64(sorted[rank-1]) / 1000
			said := percentile(tallies(took), float64(percent)/100)
			if said == nil || math.Abs(*said-exact) > exact/10 {
				t.Fatalf("p%d of %d calls is %g ms, said is %v", percent, len(took), exact, *said)
			}
			if *said < last {
				t.Fatalf("p%d is less than the one before", percent)
			}
			last = *said
		}
	})
}

func TestPercentilesByRank(t *testing.T) {
	t.Parallel()
	at := func(ms float64) *float64 { return &ms }
	for name, test := range map[string]struct {
		took     []time.Duration
		p50, p95 *float64
	}{
		"none":                             {},
		"one":                              {[]time.Duration{100 * time.Microsecond}, at(0.11), at(0.11)},
		"less than can be told":            {[]time.Duration{time.Microsecond, 99 * time.Microsecond}, at(0.1), at(0.1)},
		"more than can be told":            {[]time.Duration{10 * time.Minute, time.Hour}, at(600_000), at(600_000)},
		"the lower of two":                 {[]time.Duration{time.Hour, time.Microsecond}, at(0.1), at(600_000)},
		"nineteen of twenty are 95 of 100": {append(slices.Repeat([]time.Duration{time.Microsecond}, 19), time.Hour), at(0.1), at(0.1)},
		"eighteen of nineteen are not":     {append(slices.Repeat([]time.Duration{time.Microsecond}, 18), time.Hour), at(0.1), at(600_000)},
	} {
		t.Run(name, func(t *testing.T) {
			var us []int64
			for _, d := range test.took {
				us = append(us, d.Microseconds())
			}
			require.Equal(t, test.p50, percentile(tallies(us), 0.5))
			require.Equal(t, test.p95, percentile(tallies(us), 0.95))
		})
	}
}

// TestTheDatabaseGivesLatenciesTheirPlace: at, before and after the beginning of each range.
func TestTheDatabaseGivesLatenciesTheirPlace(t *testing.T) {
	t.Parallel()
	require.IsIncreasing(t, ranges)
	require.Less(t, len(ranges), 100)
	l := newCallLog(t)
	var calls []Call
	want := map[string]bool{}
	organization := uuid.New()
	for i, start := range ranges {
		for _, us := range []int64{start - 1, start, start + 1} {
			calls = append(calls, Call{ID: uuid.New(), Organization: organization, Outcome: Succeeded, Latency: time.Duration(us) * time.Microsecond, At: time.Now()})
			want[fmt.Sprint(placeOf(us))] = true
		}
		require.EqualValues(t, i+1, placeOf(start))
		require.EqualValues(t, i, placeOf(start-1))
	}
	require.NoError(t, l.repository.insert(t.Context(), calls))
	places, err := postgres.Values[string](t.Context(), l.repository.pool,
		`SELECT DISTINCT latency::text FROM uaol_proxy.call_minutes WHERE organization_id = $1`, organization)
	require.NoError(t, err)
	require.Len(t, places, len(want))
	for i, start := range ranges {
		one := Call{ID: uuid.New(), Organization: uuid.New(), Outcome: Failed, Latency: time.Duration(start) * time.Microsecond, At: time.Now()}
		require.NoError(t, l.repository.insert(t.Context(), []Call{one}))
		place, err := postgres.Value[int16](t.Context(), l.repository.pool, `SELECT latency FROM uaol_proxy.call_minutes WHERE organization_id = $1`, one.Organization)
		require.NoError(t, err)
		require.EqualValues(t, i+1, place)
	}
}
