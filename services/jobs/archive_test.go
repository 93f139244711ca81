package jobs

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/services"
	"uaol/services/billing"
)

func (b *bench) archiver(t testing.TB, plan string) *Archiver {
	t.Helper()
	meter := b.meter
	if plan != "" {
		cfg, err := config.Parse[billing.PlansConfig](config.Of(map[string]string{"UAOL_PLAN_FREE": plan}))
		require.NoError(t, err)
		meter = billing.NewService(cfg, billing.NewRepository(b.pool))
	}
	a := NewArchiver(b.repository, meter, Config{ArchiveDays: 30}, zap.NewNop())
	a.pause = 0
	return a
}

func (b *bench) aged(t testing.TB, id uuid.UUID, days int) {
	t.Helper()
	b.exec(t, `UPDATE uaol_jobs.jobs SET end_time = now() - $2 * interval '1 day' WHERE job_id = $1`, id, days)
}

// TestOldJobsArePutAway and can be read as before.
func TestOldJobsArePutAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 2)
	b.failingUntil("bad")
	b.start(t)
	var ids []uuid.UUID
	for i := range 5 {
		id := "good"
		if i == 3 {
			id = "bad"
		}
		job := b.request(t, Request{Input: json.RawMessage(`{"n":1}`), Metadata: json.RawMessage(`{"m":1}`), Definition: b.raw(t, tool, fmt.Sprintf(`
			{"id":"%s","tool_id":%%q,"action":"do","parameters":{"n":"{{input.n}}"}}`, id))})
		b.ended(t, job.ID)
		ids = append(ids, job.ID)
	}
	list := func() (jobs []string) {
		all, err := b.service.List(t.Context(), b.caller, "", time.Now().Add(time.Hour), uuid.Max, 100)
		require.NoError(t, err)
		for _, job := range all {
			text, err := json.Marshal(job)
			require.NoError(t, err)
			jobs = append(jobs, string(text))
		}
		return jobs
	}
	for _, i := range []int{1, 3} {
		b.aged(t, ids[i], 31)
	}
	b.aged(t, ids[2], 29)
	stepsOf := func() string {
		text, err := json.Marshal(b.steps(t, ids[1]))
		require.NoError(t, err)
		return string(text)
	}
	before, steps := list(), stepsOf()
	require.NoError(t, b.archiver(t, "").Round(t.Context()))
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.archive`))
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_jobs.steps`))
	require.Equal(t, before, list(), "in the same order, the same to the last member")
	require.Equal(t, steps, stepsOf())
	page, err := b.service.List(t.Context(), b.caller, "", time.Now().Add(time.Hour), uuid.Max, 2)
	require.NoError(t, err)
	next, err := b.service.List(t.Context(), b.caller, "", page[1].CreatedAt.Time, page[1].ID, 2)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{ids[4], ids[3], ids[2], ids[1]}, []uuid.UUID{page[0].ID, page[1].ID, next[0].ID, next[1].ID})
	require.NoError(t, b.archiver(t, "").Round(t.Context()), "again there is nothing to do")

	for status, want := range map[Status]int{Success: 4, Failed: 1, Cancelled: 0, Queued: 0} {
		found, err := b.service.List(t.Context(), b.caller, status, time.Now().Add(time.Hour), uuid.Max, 100)
		require.NoError(t, err)
		require.Len(t, found, want, status)
	}

	_, err = b.service.Get(t.Context(), b.user(), ids[1])
	require.Equal(t, services.Forbidden, services.KindOf(err))
	_, err = b.service.Retry(t.Context(), b.caller, ids[3])
	require.ErrorIs(t, err, errArchived)
	made, err := b.service.Redrive(t.Context(), b.caller, RedriveRequest{Jobs: []uuid.UUID{ids[3]}})
	require.NoError(t, err)
	require.Equal(t, Failed, b.ended(t, made[0].Job).Status)
	over, err := b.service.Ended(t.Context(), billing.EndedRequest{JobIDs: ids[1:2]})
	require.NoError(t, err)
	require.Equal(t, ids[1:2], over)
}

// TestPlansSayHowLongJobsAreKept, archived or not.
func TestPlansSayHowLongJobsAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	b.start(t)
	var ids []uuid.UUID
	for _, days := range []int{0, 6, 8, 40, 100} {
		job := b.create(t, stepJSON{ID: "a", Tool: tool})
		b.ended(t, job.ID)
		b.aged(t, job.ID, days)
		ids = append(ids, job.ID)
	}
	require.NoError(t, b.archiver(t, "credits=1 history=60").Round(t.Context()))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.archive`))
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.NoError(t, b.archiver(t, "credits=1 history=7").Round(t.Context()))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.archive`))
	for i, id := range ids {
		_, err := b.service.Get(t.Context(), b.caller, id)
		require.Equal(t, i >= 2, services.Is(err, services.NotFound))
	}
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.steps`))
}

// TestWhatGoesOnIsNotPutAway, however old it is.
func TestWhatGoesOnIsNotPutAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})
	b.exec(t, `UPDATE uaol_jobs.jobs SET created_at = now() - interval '1 year'`)
	a := b.archiver(t, "credits=1 history=7")
	require.NoError(t, a.Round(t.Context()))
	require.NoError(t, b.repository.forget(t.Context(), []uuid.UUID{job.ID}))
	require.NoError(t, b.repository.putAway(t.Context(), []uuid.UUID{job.ID}))
	require.Equal(t, Queued, b.job(t, job.ID).Status)
}
