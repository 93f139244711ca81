package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/proxy"
)

// asked gives all that waits for somebody, and names it.
func (b *bench) asked(t testing.TB, who services.Caller) (all []Asked, names []string) {
	t.Helper()
	all, err := b.service.Waiting(tContext, who, newestAsked, 1000)
	require.NoError(t, err)
	names = []string{}
	for _, a := range all {
		name := a.ID
		if a.Item != nil {
			name += fmt.Sprintf("/%d", *a.Item)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return all, names
}

// asks waits until just these steps wait for somebody.
func (b *bench) asks(t testing.TB, want ...string) []Asked {
	t.Helper()
	eventually(t, func() bool { _, names := b.asked(t, b.caller); return slices.Equal(names, want) })
	all, _ := b.asked(t, b.caller)
	return all
}

// nobodyAsked checks that the index holds nothing any more.
func (b *bench) nobodyAsked(t testing.TB) {
	t.Helper()
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.steps WHERE asks IS NOT NULL`))
}

// losing lets nobody know what becomes of a step's calls.
func (b *bench) losing(steps ...string) {
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if slices.Contains(steps, stepOf(in)) {
			return proxy.CallResult{}, services.Errorf(services.Timeout, "cut").WithCode(services.CodeOutcomeUnknown)
		}
		return echo(in), nil
	})
}

// TestWhatWaitsForSomebody, and what waits for something else.
func TestWhatWaitsForSomebody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps   string
		pending []string
	}{
		"an approval":         {`{"id":"x","kind":"approval","message":"Go on?"}`, []string{"x"}},
		"an unknown outcome":  {`{"id":"lost","tool_id":%q,"action":"do"}`, []string{"lost"}},
		"items":               {`{"id":"all","tool_id":%q,"action":"do","for_each":{"items":[0,1,2]}}`, []string{"all/0", "all/2"}},
		"several":             {`{"id":"lost","tool_id":%q,"action":"do"},{"id":"x","kind":"approval","message":"Go on?"}`, []string{"lost", "x"}},
		"a moment":            {`{"id":"x","kind":"sleep","duration":"1h"}`, nil},
		"the next attempt":    {`{"id":"broken","tool_id":%q,"action":"do","retry":{"attempts":2,"backoff":"1h"}}`, nil},
		"somebody within":     {"", []string{"ask"}},
		"nothing: it is over": {`{"id":"a","tool_id":%q,"action":"do"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 2)
			b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
				switch stepOf(in) {
				case "lost", "all/0", "all/2":
					return proxy.CallResult{}, services.Errorf(services.Timeout, "cut").WithCode(services.CodeOutcomeUnknown)
				case "broken":
					return isError("not yet")
				}
				return echo(in), nil
			})
			b.start(t)
			if name == "somebody within" {
				id := b.saves(t, tool, `{"id":"ask","kind":"approval","message":"Go on?"}`)
				c.steps = fmt.Sprintf(`{"id":"x","kind":"workflow","workflow_id":"%s"}`, id)
			}
			job := b.request(t, Request{Definition: b.raw(t, tool, c.steps)})
			eventually(t, func() bool {
				return b.number(t, `SELECT (SELECT count(*) FROM uaol_jobs.jobs WHERE end_time IS NULL) - (SELECT count(*) FROM uaol_jobs.queue WHERE wake_at > now())`) == 0
			})
			for _, a := range b.asks(t, c.pending...) {
				if name != "somebody within" {
					require.Equal(t, job.ID, a.Job)
				}
			}
			_, names := b.asked(t, b.user())
			require.Empty(t, names, "another organisation is not asked")
		})
	}
}

// TestWhatAWaitingStepSays: all that somebody has to know to decide.
func TestWhatAWaitingStepSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.caller.Role = services.RoleGuest // as everybody
	tool := b.tool(t, 7)
	b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
	b.losing("lost")
	b.start(t)
	workflow := b.saves(t, tool, `
		{"id":"ok","kind":"approval","approves":"send","message":"Send it to {{input.to}}?"},
		{"id":"send","tool_id":%q,"action":"do","parameters":{"to":"{{input.to}}"}}`)
	saved := b.request(t, Request{Workflow: &workflow, Input: json.RawMessage(`{"to":"bob"}`)})
	b.asks(t, "ok")
	lost := b.create(t, stepJSON{ID: "lost", Tool: tool})
	all := b.asks(t, "lost", "ok")
	require.Equal(t, []uuid.UUID{lost.ID, saved.ID}, []uuid.UUID{all[0].Job, all[1].Job}, "the newest first")
	require.Equal(t, Unknown, all[0].Status)
	require.Contains(t, *all[0].Error, "OUTCOME_UNKNOWN")
	require.Equal(t, 1, all[0].Attempt)
	require.Nil(t, all[0].Workflow)
	require.Equal(t, b.job(t, lost.ID).CreatedAt, all[0].CreatedAt)
	require.Equal(t, workflow, *all[1].Workflow)
	require.Equal(t, Waiting, all[1].Status)
	require.Equal(t, b.steps(t, saved.ID)["ok"], all[1].StepState, "as the job itself says")
	require.Equal(t, "Send it to bob?", all[1].Asks.Message)
	require.Equal(t, "send", all[1].Asks.Call.Step)

	b.seen.forget()
	require.NoError(t, b.service.Decide(t.Context(), b.caller, saved.ID, DecideRequest{Step: "ok", Decision: Approve, Digest: all[1].Asks.Digest}))
	b.ended(t, saved.ID)
	require.NoError(t, b.service.Decide(t.Context(), b.caller, lost.ID, DecideRequest{Step: "lost", Decision: Retry}))
	eventually(t, func() bool { all, _ := b.asked(t, b.caller); return len(all) == 1 && all[0].Attempt == 2 })
	require.NoError(t, b.service.Decide(t.Context(), b.caller, lost.ID, DecideRequest{Step: "lost", Decision: Skip}))
	b.ended(t, lost.ID)
	b.asks(t)
	b.nobodyAsked(t)
}

// TestAStepAsksAtOnce, whatever goes on beside it, until it is decided about.
func TestAStepAsksAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := newGate(t)
	b.tools.answers(g.pass)
	b.start(t)
	job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 1), `{"id":"long","tool_id":%q,"action":"do"},{"id":"x","kind":"approval","message":"Go on?"}`)})
	g.wait(t)
	b.asks(t, "x")
	require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "x", Decision: Approve}))
	b.asks(t)
	g.release()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
}

// TestNobodyIsAskedTwice: what somebody has done counts before a worker has seen it.
func TestNobodyIsAskedTwice(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(t *testing.T, b *bench, job uuid.UUID){
		"decided": func(t *testing.T, b *bench, job uuid.UUID) {
			require.NoError(t, b.service.Decide(t.Context(), b.caller, job, DecideRequest{Step: "x", Decision: Reject}))
		},
		"cancelled": func(t *testing.T, b *bench, job uuid.UUID) {
			_, err := b.service.Cancel(t.Context(), b.caller, job)
			require.NoError(t, err)
		},
		"cancelled in a worker's hands": func(t *testing.T, b *bench, job uuid.UUID) {
			b.exec(t, `UPDATE uaol_jobs.queue SET wake_at = NULL`)
			b.claim(t)
			b.asks(t, "x")
			_, err := b.service.Cancel(t.Context(), b.caller, job)
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			w := b.start(t)
			job := b.request(t, Request{Definition: json.RawMessage(`{"steps":[{"id":"x","kind":"approval","message":"Go on?"}]}`)})
			b.asks(t, "x")
			eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.runs`) == 0 })
			w.stop()
			do(t, b, job.ID)
			_, names := b.asked(t, b.caller)
			require.Empty(t, names)
			b.exec(t, `DELETE FROM uaol_jobs.workers`)
			b.start(t)
			b.ended(t, job.ID)
			b.nobodyAsked(t)
		})
	}
}

// TestAJobThatGoesOnAsksNoMore about what has expired.
func TestAJobThatGoesOnAsksNoMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := newGate(t)
	b.tools.answers(g.pass)
	b.start(t)
	job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 1), `{"id":"x","kind":"approval","message":"Go on?","expires_in":"1s","on_error":"continue"},
		{"id":"after","tool_id":%q,"action":"do","when":"steps.x.status == \"Failed\""}`)})
	b.asks(t, "x")
	g.wait(t)
	_, names := b.asked(t, b.caller)
	require.Empty(t, names)
	b.nobodyAsked(t)
	g.release()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
}

// TestAJobThatEndsAsksNoMore, though what is unknown stays so; one that is taken up
// again asks again.
func TestAJobThatEndsAsksNoMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.losing("lost", "all/1")
	b.start(t)
	job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 1), `{"id":"lost","tool_id":%q,"action":"do"},{"id":"all","tool_id":%q,"action":"do","for_each":{"items":[0,1]}}`)})
	b.asks(t, "all/1", "lost")
	_, err := b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Equal(t, Cancelled, b.ended(t, job.ID).Status)
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.steps WHERE status = 'Unknown'`))
	b.asks(t)
	b.nobodyAsked(t)
	require.EqualValues(t, 1, b.spent(t), "what was done is paid")

	b.losing()
	b.seen.forget()
	_, err = b.service.Retry(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	b.asks(t, "all/1", "lost")
	one := 1
	require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "lost", Decision: Skip}))
	require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "all", Item: &one, Decision: Skip}))
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	b.nobodyAsked(t)
	require.EqualValues(t, 1, b.spent(t))
}

// TestAWorkflowThatCannotBeRead hides no others, and is in the list until its job
// has ended.
func TestAWorkflowThatCannotBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	job := b.request(t, Request{Definition: json.RawMessage(`{"steps":[{"id":"x","kind":"approval","message":"Go on?"}]}`)})
	b.asks(t, "x")
	eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.runs`) == 0 })
	b.exec(t, `UPDATE uaol_jobs.jobs SET definition = '{"steps":[]}'`)
	require.Equal(t, job.ID, b.asks(t, "")[0].Job)
	_, err := b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Equal(t, Failed, b.ended(t, job.ID).Status)
	b.asks(t)
}

// TestPagesOfWhatWaits: each step is on one page, though a job has several that
// began in the same moment, and more begin to wait meanwhile.
func TestPagesOfWhatWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	me, ask := b.me(), b.asking(t)
	b.start(t)
	three := json.RawMessage(`{"steps":[{"id":"a","kind":"approval","message":"A?"},{"id":"b","kind":"approval","message":"B?"},{"id":"c","kind":"approval","message":"C?"}]}`)
	var want []string
	for range 3 {
		job := b.request(t, Request{Definition: three})
		want = append([]string{job.ID.String() + "c", job.ID.String() + "b", job.ID.String() + "a"}, want...)
		eventually(t, func() bool { all, _ := b.asked(t, b.caller); return len(all) == len(want) })
	}
	for _, limit := range []int{1, 2, 4, 100} {
		var got []string
		for cursor := ""; ; {
			status, answer := ask(me, http.MethodGet, fmt.Sprintf("/jobs/waiting?limit=%d&cursor=%s", limit, cursor), "")
			require.Equal(t, http.StatusOK, status, answer)
			rows := answer["data"].([]any)
			require.LessOrEqual(t, len(rows), limit)
			for _, row := range rows {
				row := row.(map[string]any)
				for _, field := range []string{"job_id", "created_at", "id", "status", "attempt", "asks", "waits_until", "error", "start_time"} {
					require.Contains(t, row, field)
				}
				got = append(got, row["job_id"].(string)+row["id"].(string))
			}
			next, more := answer["nextCursor"].(string)
			if !more {
				break
			}
			if cursor == "" && limit == 2 {
				before, _ := b.asked(t, b.caller)
				b.request(t, Request{Definition: three})
				eventually(t, func() bool { all, _ := b.asked(t, b.caller); return len(all) == len(before)+3 })
			}
			cursor = next
		}
		if limit > 2 {
			got = got[3:]
		}
		require.Equal(t, want, got, limit)
	}
	for _, who := range []string{uuid.NewString(), ""} {
		status, answer := ask(who, http.MethodGet, "/jobs/waiting", "")
		require.Equal(t, http.StatusOK, status)
		require.Empty(t, answer["data"])
	}
	for _, cursor := range []string{"x", "eyJQb3NpdGlvbiI6NDI5NDk2NzI5Nn0"} { // {"Position":4294967296}
		status, answer := ask(me, http.MethodGet, "/jobs/waiting?cursor="+cursor, "")
		require.Equal(t, http.StatusBadRequest, status, answer)
	}
}
