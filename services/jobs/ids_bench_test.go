package jobs

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// BenchmarkIDs is what ids cost the database: jobs are made, claimed and ended,
// 2,000 in a statement, on top of many that are there (make bench; with
// UAOL_TEST_DURABLE=1 what is written has reached the disk).
func BenchmarkIDs(b *testing.B) {
	for _, kind := range []struct {
		name string
		make func() uuid.UUID
	}{
		{"shard and time", newID},
		{"time", func() uuid.UUID { return uuid.Must(uuid.NewV7()) }},
		{"chance", uuid.New},
	} {
		b.Run(kind.name, func(b *testing.B) {
			bench := setup(b)
			worker := uuid.New()
			require.NoError(b, bench.repository.signIn(b.Context(), worker, time.Hour))
			const rounds, before = 50, 100
			for range before {
				bench.round(b, worker, kind.make)
			}
			for b.Loop() {
				begun := time.Now()
				for range rounds {
					bench.round(b, worker, kind.make)
				}
				b.ReportMetric(rounds*inOne/time.Since(begun).Seconds(), "jobs/s")
			}
		})
	}
}

func (b *bench) round(t testing.TB, worker uuid.UUID, id func() uuid.UUID) {
	all := make([]creation, inOne)
	for i := range all {
		all[i] = creation{ID: id(), Organization: b.caller.Organization, Account: b.caller.Account,
			Definition: `{"steps":[{"id":"a","tool_id":"` + aTool + `","action":"do","parameters":{"x":1}}]}`, Plan: "[[1,0,1]]"}
	}
	_, err := b.repository.create(t.Context(), b.pool, 0, all)
	require.NoError(t, err)
	taken, _, err := b.repository.claim(t.Context(), worker, uuid.Nil, inOne)
	require.NoError(t, err)
	require.Len(t, taken, inOne)
	result, changes := `{"content":[]}`, make([]change, inOne)
	for i, job := range taken {
		changes[i] = change{Job: job.ID, Fence: job.Fence, Seq: 1, Ends: Success, Steps: []stepChange{{Item: whole, Status: Success, Attempt: 1, Result: &result}}}
	}
	done, err := b.repository.changeAll(t.Context(), changes)
	require.NoError(t, err)
	require.Len(t, done, inOne)
}
