package jobs

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres/pgtest"
	"uaol/providers/upstream"
	"uaol/services"
)

func (b *bench) user() services.Caller {
	return services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, Personal: true}
}

// claims takes some jobs, in the name of a worker of its own, and gives their
// makers.
func (b *bench) claims(t testing.TB, after uuid.UUID, limit int) (taken []claimed, last uuid.UUID) {
	t.Helper()
	worker := uuid.New()
	require.NoError(t, b.repository.signIn(t.Context(), worker, time.Hour))
	taken, last, err := b.repository.claim(t.Context(), worker, after, limit)
	require.NoError(t, err)
	return taken, last
}

// TestLanesTakeTurns: who has a thousand jobs does not keep others waiting.
func TestLanesTakeTurns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
	busy, rare := b.user(), b.user()
	many := make([]Request, 1000)
	for i := range many {
		many[i].Definition = definition(t, stepJSON{ID: "a", Tool: tool})
	}
	_, err := b.service.CreateMany(t.Context(), busy, many)
	require.NoError(t, err)
	_, err = b.service.Create(t.Context(), rare, many[0])
	require.NoError(t, err)
	taken, _ := b.claims(t, uuid.Nil, 10)
	by := map[uuid.UUID]int{}
	for _, job := range taken {
		by[job.Account]++
	}
	require.Equal(t, map[uuid.UUID]int{busy.Account: 5, rare.Account: 1}, by)

	// More lanes than there is room for take turns over the claims.
	lanes := map[uuid.UUID]bool{busy.Account: true}
	for range 9 {
		caller := b.user()
		_, err := b.service.CreateMany(t.Context(), caller, many[:5])
		require.NoError(t, err)
		lanes[caller.Account] = true
	}
	seen, last := map[uuid.UUID]bool{}, uuid.Nil
	for range 4 {
		var taken []claimed
		taken, last = b.claims(t, last, 3)
		now := map[uuid.UUID]bool{}
		for _, job := range taken {
			require.False(t, seen[job.Account], "whose turn it was is behind the others")
			now[job.Account] = true
		}
		maps.Copy(seen, now)
	}
	require.Equal(t, lanes, seen)
	require.Equal(t, uuid.Nil, last, "the next one begins anew")
}

func TestPriorityAndAgeDecideInALane(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})
	var want []uuid.UUID
	ids := map[int]uuid.UUID{}
	for i, priority := range []int{0, 5, 0, -3, 5} {
		ids[i] = b.request(t, Request{Definition: d, Priority: priority}).ID
	}
	for _, i := range []int{1, 4, 0, 2, 3} {
		want = append(want, ids[i])
	}
	var got []uuid.UUID
	for range 5 {
		taken, _ := b.claims(t, uuid.Nil, 1)
		got = append(got, taken[0].ID)
	}
	require.Equal(t, want, got)
}

func TestAJobWaitsForItsMoment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	later := time.Now().Add(time.Hour)
	job := b.request(t, Request{RunAt: &later, Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1)})})
	b.start(t)
	_, err := b.repository.signal(t.Context(), b.pool, job.ID, false)
	require.NoError(t, err)
	n, err := b.repository.promote(t.Context(), 100)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, Queued, b.job(t, job.ID).Status)
	b.exec(t, `UPDATE uaol_jobs.queue SET wake_at = now()`)
	require.Equal(t, Success, b.ended(t, job.ID).Status)

	job = b.request(t, Request{RunAt: &later, Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1)})})
	_, err = b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Equal(t, Cancelled, b.ended(t, job.ID).Status, "a wish to cancel does not wait for it")
}

// TestTheSameRequestIsOneJob, however often and however many at once it comes.
func TestTheSameRequestIsOneJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := Request{Key: "k", Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 3)}), Input: json.RawMessage(`{"n":1}`)}
	ids := make([]uuid.UUID, 20)
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			job, err := b.service.Create(tContext, b.caller, in)
			if err != nil {
				t.Error(err)
			}
			ids[i] = job.ID
		})
	}
	group.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.EqualValues(t, 3, b.number(t, `SELECT held FROM uaol_billing.accounts WHERE organization_id = $1`, b.caller.Organization))
	b.start(t)
	require.Equal(t, Success, b.ended(t, ids[0]).Status)
	again, err := b.service.Create(t.Context(), b.caller, in)
	require.NoError(t, err)
	require.Equal(t, Success, again.Status, "as it stands by now")

	for name, other := range map[string]Request{
		"another definition": {Key: "k", Definition: definition(t, stepJSON{ID: "b", Tool: b.tool(t, 3)}), Input: in.Input},
		"another input":      {Key: "k", Definition: in.Definition, Input: json.RawMessage(`{"n":2}`)},
		"another priority":   {Key: "k", Definition: in.Definition, Input: in.Input, Priority: 1},
	} {
		_, err := b.service.Create(t.Context(), b.caller, other)
		require.Equal(t, services.Conflict, services.KindOf(err), name)
	}
	spaced := in
	spaced.Definition = json.RawMessage(strings.ReplaceAll(string(in.Definition), ",", " ,\n"))
	same, err := b.service.Create(t.Context(), b.caller, spaced)
	require.NoError(t, err)
	require.Equal(t, ids[0], same.ID, "the same, written in another way")
	other := b.user()
	b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
	job, err := b.service.Create(t.Context(), other, in)
	require.NoError(t, err)
	require.NotEqual(t, ids[0], job.ID, "a key is its user's own")
	require.EqualValues(t, 3, b.spent(t))
}

func TestCreateMany(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3)
	good := Request{Definition: definition(t, stepJSON{ID: "a", Tool: tool})}
	many := func(n int, of Request) (all []Request) {
		for range n {
			all = append(all, of)
		}
		return all
	}
	bad := Request{Definition: definition(t, stepJSON{ID: "a", Tool: uuid.New()}, stepJSON{ID: "b", Tool: tool, Needs: []string{"x"}})}
	_, err := b.service.CreateMany(t.Context(), b.caller, []Request{good, bad, good, {Definition: json.RawMessage(`{}`)}, {Definition: good.Definition, Timeout: "soon"}})
	var paths []string
	for _, f := range faultsOf(t, err) {
		paths = append(paths, f.Path)
	}
	require.Equal(t, []string{"body.jobs[1].workflow_definition.steps[1].depends_on[0]", "body.jobs[3].workflow_definition.steps", "body.jobs[4].timeout"}, paths)
	_, err = b.service.CreateMany(t.Context(), b.caller, many(3334, good))
	require.Equal(t, services.Insufficient, services.KindOf(err))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`), "all of them or none")
	require.Zero(t, b.spent(t))
	for _, n := range []int{0, mostAtOnce + 1} {
		_, err = b.service.CreateMany(t.Context(), b.caller, many(n, good))
		require.Equal(t, services.Invalid, services.KindOf(err))
	}
	b.start(t)
	ids, err := b.service.CreateMany(t.Context(), b.caller, many(100, good))
	require.NoError(t, err)
	for _, id := range ids {
		require.Equal(t, Success, b.ended(t, id).Status)
	}
	require.EqualValues(t, 300, b.spent(t))
}

// TestALostAnswerToAClaim: the database says that this worker has the jobs, and
// the worker does not know. They are not lost.
func TestALostAnswerToAClaim(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 2)})
	w := b.worker(t, nil)
	worker, err := w.identity(t.Context())
	require.NoError(t, err)
	_, _, err = w.repository.claim(t.Context(), worker, uuid.Nil, 10) // the answer goes nowhere
	require.NoError(t, err)
	require.Equal(t, Running, b.job(t, job.ID).Status)
	broken := errors.New("the connection broke")
	require.ErrorIs(t, w.reconcile(t.Context(), broken), broken)
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE wake_at IS NULL`))
	w.begin()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 2, b.spent(t))
}

// TestAJobBeginsWhereItWasMade, without waiting in the queue.
func TestAJobBeginsWhereItWasMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := newGate(t)
	b.tools.answers(g.pass)
	w := b.start(t)
	b.service.engine = w.Engine
	eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.Engine.worker != uuid.Nil })
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 2)})
	g.wait(t)
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.queue`))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.runs`))
	require.Equal(t, Running, b.job(t, job.ID).Status)
	g.release()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 2, b.spent(t))

	// A worker that has lost its lease gets none.
	b.exec(t, `DELETE FROM uaol_jobs.workers`)
	job = b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 2)})
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.queue`))
	w.stop()
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
}

// TestAWorkerWithoutALeaseBeginsNothing that it makes, whether it knows of that or not (it
// stood still, or the database's clock was set forward): the jobs are others', who would
// make the same calls under the same fence. So it is for one job, and for many together.
func TestAWorkerWithoutALeaseBeginsNothing(t *testing.T) {
	t.Parallel()
	for name, together := range map[string]int{"one by one": 1, "many together": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			lapsed := &tools{count: map[string]int{}}
			w := b.worker(t, nil, through(lapsed), leased(long, long))
			_, err := w.identity(t.Context()) // it has signed in, and claims nothing
			require.NoError(t, err)
			w.mu.Lock()
			w.working = t.Context()
			w.mu.Unlock()
			b.exec(t, `UPDATE uaol_jobs.workers SET lease_until = now()`)
			b.start(t)
			b.service.engine = w.Engine
			requests := make([]Request, together)
			for i := range requests {
				requests[i].Definition = definition(t, stepJSON{ID: "a", Tool: b.tool(t, 2)})
			}
			for range 20 / together {
				made, err := b.service.CreateMany(t.Context(), b.caller, requests)
				require.NoError(t, err)
				for _, id := range made {
					require.Equal(t, Success, b.ended(t, id).Status)
					require.Equal(t, 1, b.tools.times(id.String()+"/a"))
				}
			}
			w.jobs.Wait()
			require.Empty(t, lapsed.counted())
			require.EqualValues(t, 20, b.number(t, `SELECT sum((data->>'waiting')::int) FROM uaol_jobs.outbox WHERE type = 'job.created'`), "others are told that they wait")
		})
	}
}

// TestASafeCallThatTakesLongIsShown as running, though nothing has to be known of
// it before it ends.
func TestASafeCallThatTakesLongIsShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	offer, tool := offered(0)
	b.service.catalog = offering{offer: offer}
	g := newGate(t)
	b.tools.answers(g.pass)
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Needs: []string{"a"}})
	g.wait(t)
	b.waits(t, job.ID, "a", Running)
	g.release()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, map[string]Status{"a": Success, "b": Success}, statuses(b.steps(t, job.ID)))
}

// TestSafeCallsAreMadeAgain when their worker has died, without anybody's word.
func TestSafeCallsAreMadeAgain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*upstream.Annotations){
		"read-only":  func(a *upstream.Annotations) { a.ReadOnly = true },
		"idempotent": func(a *upstream.Annotations) { a.Idempotent = true },
		"takes keys": func(a *upstream.Annotations) { a.TakesKey = true },
		"unsafe":     func(*upstream.Annotations) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			offer, tool := offered(4)
			*offer.Methods[0].Annotations = upstream.Annotations{}
			change(offer.Methods[0].Annotations)
			b.service.catalog = offering{offer: offer}
			g := newGate(t)
			dying := &tools{count: map[string]int{}, answer: g.pass}
			first := b.start(t, through(dying), handingBackIn(0))
			job := b.create(t, stepJSON{ID: "a", Tool: tool})
			g.wait(t)
			first.kill()
			b.expire(t, job.ID)
			b.start(t)
			if name == "unsafe" {
				b.waits(t, job.ID, "a", Unknown)
				require.Empty(t, b.tools.called())
				return
			}
			require.Equal(t, Success, b.ended(t, job.ID).Status)
			require.Equal(t, []string{"a"}, b.tools.called())
			require.EqualValues(t, 4, b.spent(t))
		})
	}
}

// TestPlans: with a hundred thousand jobs in the queue and many that have ended,
// what is asked again and again looks nothing up by reading all.
func TestPlans(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, definition, plan, status, cost, end_time)
		SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '{}', '[]', 'Success', 0, now() FROM generate_series(1, 20000)`)
	b.exec(t, `INSERT INTO uaol_jobs.queue (job_id, lane, priority, wake_at)
		SELECT gen_random_uuid(), ('00000000-0000-4000-8000-0000000000' || lpad((n % 50)::text, 2, '0'))::uuid, 0, CASE WHEN n % 2 = 0 THEN now() + interval '1 hour' END
		FROM generate_series(1, 20000) n`)
	b.exec(t, `INSERT INTO uaol_jobs.runs (job_id, worker_id, fence, started_at) SELECT gen_random_uuid(), gen_random_uuid(), 1, now() FROM generate_series(1, 5000)`)
	b.exec(t, `INSERT INTO uaol_jobs.steps (job_id, position, item, status, attempt, seq) SELECT job_id, 0, -1, 'Success', 1, 1 FROM uaol_jobs.jobs`)
	b.exec(t, `INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, definition, plan, cost)
		SELECT gen_random_uuid(), $1::uuid, $1::uuid, '{}', '[]', 0 FROM generate_series(1, 5000)`, b.caller.Organization)
	b.exec(t, `INSERT INTO uaol_jobs.steps (job_id, position, item, status, attempt, seq, asks, start_time)
		SELECT job_id, 0, -1, 'Unknown', 1, 1, organization_id, now() FROM uaol_jobs.jobs WHERE end_time IS NULL`)
	b.exec(t, `INSERT INTO uaol_jobs.decisions (job_id, position, item, attempt, decision, account_id) SELECT job_id, 0, -1, 1, 'retry', account_id FROM uaol_jobs.jobs WHERE end_time IS NOT NULL`)
	b.exec(t, `ANALYZE uaol_jobs.jobs, uaol_jobs.queue, uaol_jobs.runs, uaol_jobs.steps, uaol_jobs.workers, uaol_jobs.decisions`)
	plans := pgtest.Explain(t, b.pool, "uaol_jobs", "jobs", "queue", "runs", "steps", "decisions")
	repository := NewRepository(plans.Pool)
	t.Cleanup(repository.Close)
	worker := uuid.New()
	require.NoError(t, repository.signIn(t.Context(), worker, time.Hour))
	taken, _, err := repository.claim(t.Context(), worker, uuid.Nil, 100)
	require.NoError(t, err)
	_ = taken
	changes := make([]change, 100)
	for i := range changes {
		changes[i] = change{Job: uuid.New(), Fence: 1, Seq: 1, Ends: Success, Steps: []stepChange{{Item: whole, Status: Success, Attempt: 1}}}
	}
	_, err = repository.changeAll(t.Context(), changes)
	require.NoError(t, err)
	_, err = repository.promote(t.Context(), 100)
	require.NoError(t, err)
	_, err = repository.look(t.Context(), []uuid.UUID{uuid.New()})
	require.NoError(t, err)
	require.GreaterOrEqual(t, plans.Seen(), 5)

	waiting, err := repository.asked(t.Context(), b.caller.Organization, newestAsked, 50)
	require.NoError(t, err)
	require.Len(t, waiting, 50)
	require.Contains(t, plans.Last(), "steps_asked")
	require.NotContains(t, plans.Last(), "Sort", "a page costs a page, however much waits")
	last := waiting[49]
	_, err = repository.asked(t.Context(), b.caller.Organization, askedPlace{last.StartTime.Time, last.Job, 0, whole}, 50)
	require.NoError(t, err)
	require.NotContains(t, plans.Last(), "Sort")
	_, err = repository.byIDs(t.Context(), []uuid.UUID{last.Job, uuid.New()})
	require.NoError(t, err)
	_, err = repository.openWithin(t.Context(), last.Job)
	require.NoError(t, err)
	require.Contains(t, plans.Last(), "jobs_by_parent")
}

// TestArgumentsAreCheckedWhenAJobIsMade, as far as they are known then.
func TestArgumentsAreCheckedWhenAJobIsMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	offer, tool := offered(1)
	offer.Methods[0].InputSchema = json.RawMessage(`{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}`)
	b.service.catalog = offering{offer: offer}
	_, err := b.service.Create(t.Context(), b.caller, Request{Definition: b.raw(t, tool, `
		{"id":"fine","tool_id":%q,"action":"do","parameters":{"n":1}},
		{"id":"later","tool_id":%q,"action":"do","parameters":{"n":"{{fine.result}}"}},
		{"id":"wrong","tool_id":%q,"action":"do","parameters":{"n":"one"}},
		{"id":"none","tool_id":%q,"action":"do"},
		{"id":"unknown","tool_id":%q,"action":"does"}`)})
	var paths []string
	for _, f := range faultsOf(t, err) {
		paths = append(paths, f.Path)
	}
	require.Equal(t, []string{at + ".steps[2].parameters.n", at + ".steps[3].parameters.n", at + ".steps[4].action"}, paths)
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.holds`))
}
