package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// failingUntil makes a step's calls fail until it is told to stop.
func (b *bench) failingUntil(step string) *atomic.Bool {
	var well atomic.Bool
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if stepOf(in) == step && !well.Load() {
			return isError("broken")
		}
		return echo(in), nil
	})
	return &well
}

func TestRetryGoesOnWhereItFailed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3)
	well := b.failingUntil("b")
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Params: map[string]any{"x": "{{a.result.content}}"}}, stepJSON{ID: "c", Tool: tool, Needs: []string{"b"}})
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	require.EqualValues(t, 3, b.spent(t))
	dead, err := b.service.Dead(t.Context(), b.caller, time.Now().Add(time.Hour), uuid.Max, 10)
	require.NoError(t, err)
	require.Len(t, dead, 1)
	require.Equal(t, job.ID, dead[0].ID)

	well.Store(true)
	b.seen.forget()
	again, err := b.service.Retry(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Nil(t, again.ErrorMessage)
	require.Nil(t, again.EndTime)
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status, "%v", got.ErrorMessage)
	require.Equal(t, []string{"a", "b", "b", "c"}, b.tools.called())
	require.EqualValues(t, 9, b.spent(t), "each step once")
	require.EqualValues(t, 9, b.number(t, `SELECT spent FROM uaol_jobs.jobs`))
	dead, err = b.service.Dead(t.Context(), b.caller, time.Now().Add(time.Hour), uuid.Max, 10)
	require.NoError(t, err)
	require.Empty(t, dead)
	_, err = b.service.Retry(t.Context(), b.caller, job.ID)
	require.Equal(t, services.Conflict, services.KindOf(err))
	require.Equal(t, 1, b.job(t, job.ID).RetryCount)
}

// TestRetryHasItsTime: a timeout counts from when the job is taken up again.
func TestRetryHasItsTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.failingUntil("a")
	b.start(t)
	job := b.request(t, Request{Timeout: "10m", Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 3)})})
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	b.exec(t, `UPDATE uaol_jobs.jobs SET deadline = now() - interval '1 hour'`)
	b.seen.forget()
	_, err := b.service.Retry(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	require.NotContains(t, *b.job(t, job.ID).ErrorMessage, "TIMEOUT")
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE deadline BETWEEN now() + interval '9 minutes' AND now() + interval '10 minutes'`))

	made, err := b.service.Redrive(t.Context(), b.caller, RedriveRequest{Jobs: []uuid.UUID{job.ID}})
	require.NoError(t, err)
	require.EqualValues(t, 10*60_000, b.number(t, `SELECT timeout_ms FROM uaol_jobs.jobs WHERE job_id = $1`, made[0].Job))
}

// TestRetryWantsTheSameTools: a job is for the versions that were found when it was
// made, and would fail again with others.
func TestRetryWantsTheSameTools(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.failingUntil("b")
	b.start(t)
	done, failing := b.tool(t, 3), b.tool(t, 3)
	job := b.create(t, stepJSON{ID: "a", Tool: done}, stepJSON{ID: "b", Tool: failing, Needs: []string{"a"}})
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	b.newVersion(t, failing)
	require.NoError(t, b.catalog.Approve(t.Context(), admin, failing, registry.Decision{Unpinned: true}))
	_, err := b.service.Retry(t.Context(), b.caller, job.ID)
	require.Equal(t, services.Conflict, services.KindOf(err))
	require.ErrorContains(t, err, "The tool of step b has version 2 now, and the job is for version 1; redrive the job instead")
	require.NoError(t, b.catalog.Disable(t.Context(), admin, failing, registry.Decision{}))
	_, err = b.service.Retry(t.Context(), b.caller, job.ID)
	require.ErrorContains(t, err, "The tool of step b is not to be had any more")
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.holds WHERE state = 'open'`), "nothing is held for it")
}

// TestOneWayOfDoingItAgain: what was driven again is not tried again, nor the other
// way round, whoever of an organisation wants it.
func TestOneWayOfDoingItAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.failingUntil("a")
	w := b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 3)})
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	w.stop()
	in := RedriveRequest{Jobs: []uuid.UUID{job.ID}}
	made, err := b.service.Redrive(t.Context(), b.caller, in)
	require.NoError(t, err)
	_, err = b.service.Retry(t.Context(), b.caller, job.ID)
	require.Equal(t, services.Conflict, services.KindOf(err))
	require.ErrorContains(t, err, made[0].Job.String())
	taken, err := b.repository.retry(t.Context(), job.ID, 1, 3) // looked before it was driven again
	require.NoError(t, err)
	require.False(t, taken)
	require.Equal(t, Failed, b.job(t, job.ID).Status)

	colleague := b.caller
	colleague.Account = uuid.New()
	_, err = b.service.Redrive(t.Context(), colleague, in)
	require.Equal(t, services.Conflict, services.KindOf(err))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE NOT cancel`), "one of the two is to be done")
	again, err := b.service.Redrive(t.Context(), b.caller, in)
	require.NoError(t, err)
	require.Equal(t, made, again)
}

// TestRetryAtOnce is one retry, with one hold.
func TestRetryAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	well := b.failingUntil("a")
	w := b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 3)})
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	w.stop()
	well.Store(true)
	b.seen.forget()
	var took atomic.Int64
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			_, err := b.service.Retry(tContext, b.caller, job.ID)
			if err == nil {
				took.Add(1)
			} else if !services.Is(err, services.Conflict) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, took.Load())
	require.EqualValues(t, 3, b.number(t, `SELECT held FROM uaol_billing.accounts WHERE organization_id = $1`, b.caller.Organization))
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 3, b.spent(t))
}

// TestARetryThatComesLate, when the job has failed again meanwhile, is none: its
// hold has ended.
func TestARetryThatComesLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.failingUntil("a")
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 3)})
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	b.seen.forget()
	_, err := b.service.Retry(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	taken, err := b.repository.retry(t.Context(), job.ID, 1, 3)
	require.NoError(t, err)
	require.False(t, taken)
	require.Equal(t, Failed, b.job(t, job.ID).Status)
}

// TestRetryDoesNotResendWhatIsUnknown: only somebody's word does.
func TestRetryDoesNotResendWhatIsUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3)
	var lost atomic.Bool
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		switch {
		case stepOf(in) == "a" && !lost.Swap(true):
			return proxy.CallResult{}, services.Errorf(services.Timeout, "cut").WithCode(services.CodeOutcomeUnknown)
		case stepOf(in) == "b" && b.tools.times(in.Operation) == 1:
			return isError("broken")
		}
		return echo(in), nil
	})
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool})
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	require.Equal(t, Unknown, b.steps(t, job.ID)["a"].Status)
	require.NotNil(t, b.steps(t, job.ID)["a"].EndTime, "nobody is asked any more")
	err := b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "a", Decision: Retry})
	require.ErrorIs(t, err, errEnded)
	require.ErrorIs(t, b.repository.decideOnce(t.Context(), job.ID, decided{Item: whole, Attempt: 1, Decision: Retry}), errEnded, "nor is one taken who saw it open")
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.decisions`))
	b.seen.forget()
	_, err = b.service.Retry(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	b.waits(t, job.ID, "b", Success)
	require.Equal(t, Unknown, b.steps(t, job.ID)["a"].Status)
	require.Nil(t, b.steps(t, job.ID)["a"].EndTime)
	require.Equal(t, 1, b.tools.times(job.ID.String()+"/a"))
	require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "a", Decision: Retry}))
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 6, b.spent(t))
}

func TestRedrive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 2)
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if string(in.Params) == `{"to":"nobody"}` {
			return isError("unknown address")
		}
		return echo(in), nil
	})
	b.start(t)
	var ids []uuid.UUID
	for range 3 {
		job := b.request(t, Request{Priority: 7, Metadata: json.RawMessage(`{"m":1}`), Input: json.RawMessage(`{"to":"nobody"}`),
			Definition: b.raw(t, tool, `{"id":"a","tool_id":%q,"action":"do","parameters":{"to":"{{input.to}}"}}`)})
		require.Equal(t, Failed, b.ended(t, job.ID).Status)
		ids = append(ids, job.ID)
	}
	fine := b.create(t, stepJSON{ID: "a", Tool: tool})
	require.Equal(t, Success, b.ended(t, fine.ID).Status)
	_, err := b.service.Redrive(t.Context(), b.caller, RedriveRequest{Jobs: []uuid.UUID{fine.ID}})
	require.Equal(t, "body.job_ids[0]", faultsOf(t, err)[0].Path)
	_, err = b.service.Redrive(t.Context(), b.user(), RedriveRequest{Jobs: ids})
	require.Equal(t, []services.Fault{{Path: "body.job_ids[0]", Message: "Access denied"}}, faultsOf(t, err))

	in := RedriveRequest{Jobs: ids, Input: json.RawMessage(`{"to":"bob"}`)}
	made, err := b.service.Redrive(t.Context(), b.caller, in)
	require.NoError(t, err)
	require.Len(t, made, 3)
	for i, m := range made {
		require.Equal(t, ids[i], m.From)
		require.Equal(t, Success, b.ended(t, m.Job).Status)
	}
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE priority = 7 AND metadata = '{"m":1}' AND status = 'Success'`))
	again, err := b.service.Redrive(t.Context(), b.caller, in)
	require.NoError(t, err)
	require.Equal(t, made, again, "a repeated request makes no other jobs")
	in.Input = json.RawMessage(`{"to":"eve"}`)
	_, err = b.service.Redrive(t.Context(), b.caller, in)
	require.Equal(t, services.Conflict, services.KindOf(err))
	dead, err := b.service.Dead(t.Context(), b.caller, time.Now().Add(time.Hour), uuid.Max, 10)
	require.NoError(t, err)
	require.Empty(t, dead)
	require.EqualValues(t, 8, b.spent(t))
}

// TestOneAtATime: jobs of one key run one after another, whoever makes them and
// whoever works on them; others don't wait for them.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	var mu sync.Mutex
	now, most := map[string]int{}, map[string]int{}
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		key := string(in.Params)
		mu.Lock()
		now[key]++
		most[key] = max(most[key], now[key])
		mu.Unlock()
		defer func() { mu.Lock(); now[key]--; mu.Unlock() }()
		if key == `{"k":"a"}` && len(b.tools.called())%5 == 0 {
			return isError("some fail") // the turn goes on all the same
		}
		return echo(in), nil
	})
	b.start(t)
	b.start(t)
	definition := b.raw(t, tool, `{"id":"x","tool_id":%q,"action":"do","parameters":{"k":"{{input}}"}}`)
	ids := make([]uuid.UUID, 60)
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			key := []string{"a", "b", ""}[i%3]
			job, err := b.service.Create(tContext, b.caller, Request{Definition: definition, Turn: key, Input: json.RawMessage(fmt.Sprintf("%q", key))})
			if err != nil {
				t.Error(err)
			}
			ids[i] = job.ID
		})
	}
	group.Wait()
	for _, id := range ids {
		b.ended(t, id)
	}
	require.Equal(t, 1, most[`{"k":"a"}`])
	require.Equal(t, 1, most[`{"k":"b"}`])
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.turns`), "nobody waits any more")
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.queue`))

	// One that is cancelled while it waits for its turn does not take it.
	g := newGate(t)
	b.tools.answers(g.pass)
	first := b.request(t, Request{Definition: definition, Turn: "a", Input: json.RawMessage(`1`)})
	g.wait(t)
	second := b.request(t, Request{Definition: definition, Turn: "a", Input: json.RawMessage(`2`)})
	third := b.request(t, Request{Definition: definition, Turn: "a", Input: json.RawMessage(`3`)})
	_, err := b.service.Cancel(t.Context(), b.caller, second.ID)
	require.NoError(t, err)
	require.Equal(t, Cancelled, b.ended(t, second.ID).Status)
	require.Equal(t, Queued, b.job(t, third.ID).Status)
	g.release()
	require.Equal(t, Success, b.ended(t, first.ID).Status)
	require.Equal(t, Success, b.ended(t, third.ID).Status)
}

// TestATurnIsNotMissed: a job is made while the one before it passes its turn on
// and finds nobody waiting yet.
func TestATurnIsNotMissed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	in := Request{Definition: b.raw(t, tool, `{"id":"x","tool_id":%q,"action":"do"}`), Turn: "k"}
	first := b.request(t, in)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	var holder uuid.UUID
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT job_id FROM uaol_jobs.turns FOR UPDATE`).Scan(&holder))
	require.Equal(t, first.ID, holder)
	made := make(chan Job, 1)
	go func() {
		job, err := b.service.Create(tContext, b.caller, in)
		if err != nil {
			t.Error(err)
		}
		made <- job
	}()
	eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT l.granted AND a.datname = current_database()`) > 0 || len(made) > 0
	})
	require.Empty(t, made, "it waits until it is known whose turn it is")
	_, err = tx.Exec(t.Context(), `DELETE FROM uaol_jobs.turns`) // as passOn does, who found nobody
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	job := receive(t, made)
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE job_id = $1 AND turn IS NOT NULL`, job.ID), "now it is its own")
}

func TestWhatARequestSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1)})
	later := time.Now().Add(time.Hour)
	for path, in := range map[string]Request{
		"body.timeout":      {Timeout: "forever"},
		"body.run_at":       {RunAt: &later, Turn: "k"},
		"body.callback_url": {Callback: "ftp://x"},
		"body.metadata":     {Metadata: json.RawMessage(`[1]`)},
	} {
		in.Definition = good
		_, err := b.service.Create(t.Context(), b.caller, in)
		require.Equal(t, path, faultsOf(t, err)[0].Path)
	}
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
}
