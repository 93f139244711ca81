package prove

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheSameSeedIsTheSamePlan(t *testing.T) {
	t.Parallel()
	o := Options{Seed: 7, Jobs: 2000, Kills: 60, Restarts: 2}
	require.Equal(t, newPlan(o), newPlan(o))
	other := o
	other.Seed = 8
	require.NotEqual(t, newPlan(o), newPlan(other))
}

func TestPlan(t *testing.T) {
	t.Parallel()
	p := newPlan(Options{Seed: 1, Jobs: 2000, Kills: 60, Restarts: 2})
	require.Len(t, p.jobs, 2250)
	moments, methods := map[moment]int{}, map[string]int{}
	for _, k := range p.kills {
		moments[k.when]++
		methods[k.method]++
		require.True(t, k.when != beforeCommit || k.early, "a call that was answered has had its effect")
	}
	require.Equal(t, map[moment]int{atTool: 30, beforeCommit: 10, anywhere: 20}, moments)
	require.Len(t, methods, 3)
	require.Len(t, p.restarts, 2)
	sizes, fail, cancel, theirs := map[int]int{}, 0, 0, 0
	for _, j := range p.jobs {
		if j.owner == customers-1 {
			theirs++
		}
		sizes[len(j.steps)]++
		if j.fails {
			fail++
		}
		if j.cancel {
			cancel++
		}
	}
	require.Equal(t, 250, theirs, "of the poor customer, besides the 2,000")
	require.Len(t, sizes, most)
	require.NotZero(t, fail)
	require.NotZero(t, cancel)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := Options{Jobs: 10, Kills: 2, Workers: 3, Restarts: 1}
	require.NoError(t, good.Check())
	for name, spoil := range map[string]func(*Options){
		"no jobs":            func(o *Options) { o.Jobs = 0 },
		"more kills":         func(o *Options) { o.Kills = 11 },
		"one worker":         func(o *Options) { o.Workers = 1 },
		"many restarts":      func(o *Options) { o.Restarts = 3 },
		"negative restarts":  func(o *Options) { o.Restarts = -1 },
		"jobs without bound": func(o *Options) { o.Jobs = 1_000_000 },
	} {
		o := good
		spoil(&o)
		require.Error(t, o.Check(), name)
	}
	elsewhere := good
	elsewhere.Database = "postgres://localhost/postgres"
	require.NoError(t, elsewhere.Check())
	require.Zero(t, elsewhere.Restarts, "nobody has said how")
}
