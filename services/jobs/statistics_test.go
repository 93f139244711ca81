package jobs

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/minutes"
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// lately asks for the last two hours by the minute.
func lately() minutes.Query {
	return minutes.Query{From: time.Now().Add(-2 * time.Hour), Step: 60, Scope: minutes.Organization}
}

// summed adds all buckets up.
func (b *bench) summed(t testing.TB, caller services.Caller, q minutes.Query) (sum Statistics) {
	t.Helper()
	all, err := b.service.Statistics(t.Context(), caller, q)
	require.NoError(t, err)
	for _, s := range all {
		sum.Created += s.Created
		sum.Ended += s.Ended
		sum.Succeeded += s.Succeeded
		sum.Failed += s.Failed
		sum.Cancelled += s.Cancelled
		sum.Credits += s.Credits
	}
	return sum
}

// TestJobsAreCounted when they are made, by themselves or together, and when they end.
func TestJobsAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	well := b.failingUntil("bad")
	tool := b.tool(t, 3)
	good := b.create(t, stepJSON{ID: "a", Tool: tool})
	bad := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "bad", Tool: tool, Needs: []string{"a"}})
	stopped := b.create(t, stepJSON{ID: "a", Tool: tool})
	_, err := b.service.Cancel(t.Context(), b.caller, stopped.ID)
	require.NoError(t, err)
	require.Equal(t, Statistics{Created: 3}, b.summed(t, b.caller, lately()))

	b.start(t)
	for _, job := range []Job{good, bad, stopped} {
		b.ended(t, job.ID)
	}
	require.Equal(t, Statistics{Created: 3, Ended: 3, Succeeded: 1, Failed: 1, Cancelled: 1, Credits: 6}, b.summed(t, b.caller, lately()))

	many := []Request{{Definition: definition(t, stepJSON{ID: "a", Tool: tool}), Key: "once"}, {Definition: definition(t, stepJSON{ID: "a", Tool: tool})}}
	ids, err := b.service.CreateMany(t.Context(), b.caller, many)
	require.NoError(t, err)
	for range 2 { // the same request, by itself and in a batch
		_, err = b.service.Create(t.Context(), b.caller, many[0])
		require.NoError(t, err)
		_, err = b.service.CreateMany(t.Context(), b.caller, many[:1])
		require.NoError(t, err)
	}
	for _, id := range ids {
		b.ended(t, id)
	}
	require.Equal(t, Statistics{Created: 5, Ended: 5, Succeeded: 3, Failed: 1, Cancelled: 1, Credits: 12}, b.summed(t, b.caller, lately()))

	well.Store(true)
	b.seen.forget()
	_, err = b.service.Retry(t.Context(), b.caller, bad.ID)
	require.NoError(t, err)
	require.Equal(t, Success, b.ended(t, bad.ID).Status)
	want := Statistics{Created: 5, Ended: 6, Succeeded: 4, Failed: 1, Cancelled: 1, Credits: 15}
	require.Equal(t, want, b.summed(t, b.caller, lately()), "it has ended again, and of its credits only the new ones count")
	require.Equal(t, want.Credits, b.spent(t))
}

// TestAnEndIsCountedOnce, whoever else believes that he ends the job.
func TestAnEndIsCountedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})
	c := b.claim(t)
	end := change{Job: c.ID, Fence: c.Fence, Seq: 1, Ends: Success, Spent: 5, Adds: 5}
	late, repeated := end, end
	late.Fence, late.Ends, repeated.Seq = c.Fence-1, Failed, 2
	for _, batch := range [][]change{{late}, {end}, {repeated}, {end, late}} {
		_, err := b.repository.changeAll(t.Context(), batch)
		require.NoError(t, err)
	}
	require.Equal(t, Statistics{Created: 1, Ended: 1, Succeeded: 1, Credits: 5}, b.summed(t, b.caller, lately()))
}

// TestWhatIsNotMadeIsNotCounted: the counts go back with the transaction.
func TestWhatIsNotMadeIsNotCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	guest := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleGuest, Personal: true}
	request := Request{Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})}
	var many []Request
	for range 11 {
		many = append(many, request)
	}
	_, err := b.service.CreateMany(t.Context(), guest, many)
	require.Equal(t, services.Forbidden, services.KindOf(err))
	require.Zero(t, b.summed(t, guest, lately()))
	_, err = b.service.CreateMany(t.Context(), guest, many[:10])
	require.NoError(t, err)
	require.Equal(t, Statistics{Created: 10}, b.summed(t, guest, lately()))
}

// TestShardsOfJobsAddUp: of processes that make and end jobs at the same time.
func TestShardsOfJobsAddUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const processes, rounds, each = 3, 8, 5
	var group sync.WaitGroup
	for range processes {
		r := NewRepository(b.pool)
		t.Cleanup(r.Close)
		group.Go(func() {
			for range rounds {
				all, changes := make([]creation, each), make([]change, each)
				for i := range all {
					all[i] = creation{ID: newID(), Organization: b.caller.Organization, Account: b.caller.Account, Definition: "{}", Plan: "[]"}
					changes[i] = change{Job: all[i].ID, Fence: 1, Seq: 1, Ends: Failed, Spent: 2, Adds: 2}
				}
				if _, err := r.createEach(context.Background(), all); err != nil {
					t.Error(err)
				}
				if _, err := postgres.Exec(context.Background(), b.pool, `INSERT INTO uaol_jobs.runs (job_id, worker_id, fence, started_at)
					SELECT id::uuid, gen_random_uuid(), 1, now() FROM unnest($1::text[]) AS j (id)`, idsOf(all)); err != nil {
					t.Error(err)
				}
				if done, err := r.changeAll(context.Background(), changes); err != nil || len(done) != each {
					t.Error(len(done), err)
				}
			}
		})
	}
	group.Wait()
	const n = processes * rounds * each
	for _, step := range []minutes.Step{60, 300, 3600} {
		q := lately()
		q.Step = step
		require.Equal(t, Statistics{Created: n, Ended: n, Failed: n, Credits: 2 * n}, b.summed(t, b.caller, q))
	}
	require.LessOrEqual(t, b.number(t, `SELECT count(DISTINCT shard) FROM uaol_jobs.job_minutes`), int64(processes), "who writes one after the other has one row")

	first, second := b.repository.shards.Take(), b.repository.shards.Take()
	require.NotEqual(t, first, second)
	b.exec(t, `INSERT INTO uaol_jobs.job_minutes (organization_id, minute, shard, status, jobs, credits)
		SELECT $1, date_trunc('minute', now()), s, 'Success', 1, 1 FROM generate_series(100, 101) s`, b.caller.Organization)
	require.Equal(t, Statistics{Created: n, Ended: n + 2, Succeeded: 2, Failed: n, Credits: 2*n + 2}, b.summed(t, b.caller, lately()))
}

func idsOf(all []creation) (ids []string) {
	for _, c := range all {
		ids = append(ids, c.ID.String())
	}
	return ids
}

// TestALongTransactionHoldsNobodyUp: one job is made while somebody is about to make many
// of the same organisation, in the same process, and has counted them.
func TestALongTransactionHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := Request{Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})}
	guest := services.Caller{Account: uuid.New(), Organization: b.caller.Organization, Role: services.RoleGuest, Personal: true}
	_, err := b.service.Create(t.Context(), guest, request)
	require.NoError(t, err)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(tContext) }()
	_, err = tx.Exec(t.Context(), `UPDATE uaol_jobs.guests SET workflows = workflows`) // the last that a guest's jobs wait for
	require.NoError(t, err)
	many := make(chan error, 1)
	go func() {
		_, err := b.service.CreateMany(tContext, guest, []Request{request, request})
		many <- err
	}()
	eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 1
	})
	_, err = b.service.Create(t.Context(), b.caller, request)
	require.NoError(t, err)
	require.Equal(t, Statistics{Created: 2}, b.summed(t, b.caller, lately()))
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, receive(t, many))
	require.Equal(t, Statistics{Created: 4}, b.summed(t, b.caller, lately()))
}

func TestBucketsOfJobs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now().UTC().Truncate(time.Hour)
	at := func(minute int) time.Time { return now.Add(time.Duration(minute-60) * time.Minute) }
	for minute, status := range map[int]Status{-1: Success, 0: Queued, 4: Success, 5: Failed, 14: Cancelled, 15: Success} {
		b.exec(t, `INSERT INTO uaol_jobs.job_minutes (organization_id, minute, shard, status, jobs, credits) VALUES ($1, $2, 0, $3, 2, 7)`, b.caller.Organization, at(minute), status)
	}
	all, err := b.service.Statistics(t.Context(), b.caller, minutes.Query{From: at(0).Add(time.Second), To: at(14).Add(time.Second), Step: 300})
	require.NoError(t, err)
	text, err := json.Marshal(all)
	require.NoError(t, err)
	moment := func(minute int) string { return services.Time{Time: at(minute)}.String() }
	require.JSONEq(t, `[
		{"from":"`+moment(0)+`","created":2,"ended":2,"succeeded":2,"failed":0,"cancelled":0,"credits":14},
		{"from":"`+moment(5)+`","created":0,"ended":2,"succeeded":0,"failed":2,"cancelled":0,"credits":7},
		{"from":"`+moment(10)+`","created":0,"ended":2,"succeeded":0,"failed":0,"cancelled":2,"credits":7}]`, string(text))
	all, err = b.service.Statistics(t.Context(), b.caller, minutes.Query{From: at(-50), To: at(-45), Step: 60})
	require.NoError(t, err)
	require.Len(t, all, 5)
	for i, s := range all {
		require.Equal(t, Statistics{From: services.Time{Time: at(-50 + i)}}, s)
	}
}

// TestWhoSeesWhichCounts: members their organisation's, and the platform's admins all.
func TestWhoSeesWhichCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	b.create(t, stepJSON{ID: "a", Tool: tool})
	other := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
	for range 2 {
		_, err := b.service.Create(t.Context(), other, Request{Definition: definition(t, stepJSON{ID: "a", Tool: tool})})
		require.NoError(t, err)
	}
	guest := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleGuest, Personal: true}
	platform := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleAdmin, OrgRole: services.OrgOwner}
	require.Equal(t, Statistics{Created: 1}, b.summed(t, b.caller, lately()))
	require.Equal(t, Statistics{Created: 2}, b.summed(t, other, lately()))
	require.Zero(t, b.summed(t, guest, lately()))
	require.Zero(t, b.summed(t, platform, lately()))
	all := lately()
	all.Scope = minutes.Platform
	require.Equal(t, Statistics{Created: 3}, b.summed(t, platform, all))
	for _, caller := range []services.Caller{b.caller, other, guest} {
		_, err := b.service.Statistics(t.Context(), caller, all)
		require.Equal(t, services.Forbidden, services.KindOf(err))
	}
}

// TestCountsGo when they are old, and with their organisation.
func TestCountsGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	theirs, olds := uuid.New(), uuid.New()
	for organization, age := range map[uuid.UUID]time.Duration{b.caller.Organization: minutes.Kept - time.Hour, olds: minutes.Kept + time.Hour, theirs: 0} {
		b.exec(t, `INSERT INTO uaol_jobs.job_minutes (organization_id, minute, shard, status, jobs, credits) VALUES ($1, $2, 0, 'Success', 1, 1)`, organization, time.Now().Add(-age))
	}
	left := func() []uuid.UUID {
		organizations, err := postgres.Values[uuid.UUID](t.Context(), b.pool, `SELECT organization_id FROM uaol_jobs.job_minutes`)
		require.NoError(t, err)
		return organizations
	}
	require.NoError(t, b.archiver(t, "").Round(t.Context()))
	require.ElementsMatch(t, []uuid.UUID{b.caller.Organization, theirs}, left())
	require.NoError(t, b.service.Erase(t.Context(), services.Person{Account: b.caller.Account, Organizations: []uuid.UUID{b.caller.Organization}, Shared: []uuid.UUID{theirs}}))
	require.Equal(t, []uuid.UUID{theirs}, left())
}

// TestPlansOfCounts: neither scope reads what it does not show.
func TestPlansOfCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `INSERT INTO uaol_jobs.job_minutes (organization_id, minute, shard, status, jobs, credits)
		SELECT ('00000000-0000-4000-8000-0000000000' || lpad((n % 50)::text, 2, '0'))::uuid, date_trunc('minute', now()) - n / 50 * interval '1 minute', 0, 'Success', 1, 0
		FROM generate_series(1, 50000) n`)
	b.exec(t, `ANALYZE uaol_jobs.job_minutes`)
	plans := pgtest.Explain(t, b.pool, "uaol_jobs", "job_minutes")
	r := NewRepository(plans.Pool)
	t.Cleanup(r.Close)
	w := minutes.Window{Organization: uuid.MustParse("00000000-0000-4000-8000-000000000007"), From: time.Now().Add(-time.Hour), To: time.Now(), Step: time.Minute}
	for _, w.All = range []bool{false, true} {
		rows, err := r.counts(t.Context(), w)
		require.NoError(t, err)
		require.NotEmpty(t, rows)
	}
	require.Contains(t, plans.Last(), "job_minutes_age")
	require.NoError(t, r.forgetMinutes(t.Context()))
	require.GreaterOrEqual(t, plans.Seen(), 3)
}

// door lets a test in as whoever it says.
type door struct{ services.Caller }

func (d door) Authenticate(context.Context, services.Credentials) (services.Caller, string, error) {
	return d.Caller, "", nil
}

func TestStatisticsOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	caller := b.caller
	caller.OrgRole = services.OrgViewer
	api.Mount(engine, api.Guards{Authenticator: door{caller}}, true, NewHandler(b.service).operations()...)
	for query, want := range map[string]int{"": 200, "?step=86400": 200, "?step=59": 400, "?step=60&to=2020-01-01T00:00:00Z": 400, "?scope=platform": 403} {
		recorder := httptest.NewRecorder()
		engine.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/jobs/statistics"+query, nil))
		require.Equal(t, want, recorder.Code, "%s: %s", query, recorder.Body)
		if want != http.StatusOK {
			continue
		}
		var answer struct{ Data []Statistics }
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
		var made int64
		for _, s := range answer.Data {
			made += s.Created
		}
		require.EqualValues(t, 1, made)
	}
}
