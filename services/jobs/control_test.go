package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/proxy"
)

// steps writes a definition of raw steps, in which %s is the tool.
func (b *bench) raw(t testing.TB, tool uuid.UUID, steps string) json.RawMessage {
	t.Helper()
	return json.RawMessage(fmt.Sprintf(`{"steps":[`+steps+`]}`, anys(tool, steps)...))
}

func anys(tool uuid.UUID, steps string) (all []any) {
	for i := range len(steps) - 1 {
		if steps[i:i+2] == "%q" {
			all = append(all, tool.String())
		}
	}
	return all
}

func (b *bench) request(t testing.TB, in Request) Job {
	t.Helper()
	job, err := b.service.Create(t.Context(), b.caller, in)
	require.NoError(t, err)
	return job
}

func TestConditions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3)
	b.start(t)
	job := b.request(t, Request{Input: json.RawMessage(`{"n":3}`), Definition: b.raw(t, tool, `
		{"id":"yes","tool_id":%q,"action":"do","when":"input.n > 2"},
		{"id":"no","tool_id":%q,"action":"do","when":"input.n > 3"},
		{"id":"after","tool_id":%q,"action":"do","depends_on":["no"]},
		{"id":"anyway","tool_id":%q,"action":"do","when":"steps.no.status == \"Skipped\" && steps.yes.status == \"Success\""}`)})
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, map[string]Status{"yes": Success, "no": Skipped, "after": Skipped, "anyway": Success}, statuses(b.steps(t, job.ID)))
	require.EqualValues(t, 6, b.spent(t), "what was skipped is not paid")

	job = b.request(t, Request{Input: json.RawMessage(`{}`), Definition: b.raw(t, tool, `{"id":"a","tool_id":%q,"action":"do","when":"input.n > 2"}`)})
	require.Contains(t, failureOf(t, b.ended(t, job.ID)), "Step a failed: when: ")
}

func TestForEach(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3)
	var most, now atomic.Int64
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		return echo(in), nil
	})
	b.start(t)
	job := b.request(t, Request{Input: json.RawMessage(`{"list":["x",{"y":2},3,4,5]}`), Definition: b.raw(t, tool, `
		{"id":"all","tool_id":%q,"action":"do","parameters":{"i":"{{index}}","v":"{{item}}"},"for_each":{"items":"{{input.list}}","parallel":2}},
		{"id":"sum","tool_id":%q,"action":"do","parameters":{"second":"{{all.result.1.structuredContent.v.y}}"}}`)})
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status, "%v", got.ErrorMessage)
	require.LessOrEqual(t, most.Load(), int64(2))
	require.Contains(t, string(got.FinalOutput), `"second":2`)
	output := object(t, string(got.FinalOutput))["all"].([]any)
	require.Len(t, output, 5)
	require.Equal(t, "x", output[0].(map[string]any)["structuredContent"].(map[string]any)["v"])
	require.Equal(t, 1, b.tools.times(job.ID.String()+"/all/4"), "an operation of its own for each")
	require.EqualValues(t, 18, b.spent(t))
	states, err := b.service.Steps(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Len(t, states, 7)
	require.Equal(t, 4, *states[5].Item)

	for name, c := range map[string]struct{ input, message string }{
		"no list":  {`{"list":{}}`, "Step all failed: the items of for_each are not a list"},
		"too long": {`{"list":[1,2,3]}`, "Step all failed: for_each has 3 items, and its limit is 2"},
		"too dear": {`{"list":[1,2]}`, "Step all failed: Insufficient credits. Required: 18000, Available: "},
	} {
		dear := b.tool(t, 9000)
		job = b.request(t, Request{Input: json.RawMessage(c.input), Definition: b.raw(t, dear, `
			{"id":"all","tool_id":%q,"action":"do","when":"true","for_each":{"items":"{{input.list}}","limit":2}}`)})
		require.Contains(t, failureOf(t, b.ended(t, job.ID)), c.message, name)
	}
}

func TestForEachWhereSomeFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		onError string
		status  Status
		paid    int64
	}{
		"fail":     {`"fail"`, Failed, 2},
		"continue": {`"continue"`, Success, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
				if stepOf(in) == "all/2" {
					return isError("not this one")
				}
				return echo(in), nil
			})
			b.start(t)
			job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 1), `
				{"id":"all","tool_id":%q,"action":"do","on_error":`+c.onError+`,"for_each":{"items":[0,1,2,3,4],"parallel":1}}`)})
			got := b.ended(t, job.ID)
			require.Equal(t, c.status, got.Status, "%v", got.ErrorMessage)
			require.EqualValues(t, c.paid, b.spent(t))
			if c.status == Success {
				require.Contains(t, string(got.FinalOutput), "null")
				return
			}
			require.Equal(t, "Step all failed: item 2: the tool says: not this one", failureOf(t, got))
			require.NotContains(t, b.tools.called(), "all/3")
		})
	}
}

// TestForEachGoesOn where a worker died: what was done is not done again.
func TestForEachGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 2)
	g := newGate(t)
	dying := &tools{count: map[string]int{}, answer: func(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if stepOf(in) == "all/2" {
			return g.pass(ctx, in)
		}
		return echo(in), nil
	}}
	b.tools.says([]upstream.Method{{Name: "do", Annotations: &upstream.Annotations{ReadOnly: true}}}, nil)
	first := b.start(t, through(dying), handingBackIn(0))
	job := b.request(t, Request{Definition: b.raw(t, tool, `{"id":"all","tool_id":%q,"action":"do","parameters":{"v":"{{item}}"},"for_each":{"items":[10,11,12,13,14],"parallel":1}}`)})
	g.wait(t)
	first.kill()
	b.expire(t, job.ID)
	b.start(t)
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status, "%v", got.ErrorMessage)
	require.Equal(t, []string{"all/2", "all/3", "all/4"}, b.tools.called())
	require.Len(t, object(t, string(got.FinalOutput))["all"], 5)
	require.EqualValues(t, 10, b.spent(t))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_billing.journal WHERE kind = 'hold'`), "one hold, though two workers asked for it")
}

// TestForEachIsCancelledWhereItStands, in the queue: what was done is paid, what
// waits for another attempt ends, and so do the jobs that are its items.
func TestForEachIsCancelledWhereItStands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 2)
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if stepOf(in) == "all/1" {
			return isError("not yet")
		}
		return echo(in), nil
	})
	b.start(t)
	id := b.saves(t, tool, `{"id":"ask","kind":"approval","message":"Go on?"}`)
	job := b.request(t, Request{Definition: json.RawMessage(fmt.Sprintf(`{"steps":[
		{"id":"all","tool_id":%q,"action":"do","for_each":{"items":[0,1]},"retry":{"attempts":2,"backoff":"1h"}},
		{"id":"sub","kind":"workflow","workflow_id":%q,"for_each":{"items":[0,1]}}]}`, tool, id))})
	eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE wake_at > now()`) == 3 })
	_, err := b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Equal(t, Cancelled, b.ended(t, job.ID).Status)
	eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE status = 'Cancelled'`) == 3 })
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_jobs.steps WHERE job_id = $1 AND status = 'Cancelled'`, job.ID))
	require.EqualValues(t, 2, b.spent(t))
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		retry  string
		calls  int
		status Status
	}{
		"in memory":    {`{"attempts":3,"backoff":"10ms"}`, 3, Success},
		"in the queue": {`{"attempts":3,"backoff":"3s","jitter":0,"factor":1}`, 3, Success},
		"too few":      {`{"attempts":2,"backoff":"1ms"}`, 2, Failed},
		"none":         {`{}`, 1, Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var n atomic.Int64
			b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
				if n.Add(1) < 3 {
					return isError("not yet")
				}
				return echo(in), nil
			})
			w := b.start(t)
			job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 5), `{"id":"a","tool_id":%q,"action":"do","retry":`+c.retry+`}`)})
			if name == "in the queue" {
				for i := range 2 {
					eventually(t, func() bool { return b.job(t, job.ID).Status == Retrying })
					require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.runs`), "it keeps no worker")
					require.Equal(t, i+1, b.steps(t, job.ID)["a"].Attempt)
					b.comes(t)
					eventually(t, func() bool { return b.steps(t, job.ID)["a"].Attempt == i+2 || b.job(t, job.ID).Status.Ended() })
				}
			}
			got := b.ended(t, job.ID)
			require.Equal(t, c.status, got.Status)
			require.Equal(t, c.calls, b.tools.times(job.ID.String()+"/a"))
			require.Equal(t, c.calls, b.steps(t, job.ID)["a"].Attempt)
			want := int64(5)
			if c.status == Failed {
				want = 0
			}
			require.Equal(t, want, b.spent(t))
			require.NotNil(t, w)
		})
	}
}

func TestOnError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if stepOf(in) == "bad" {
			return isError("broken")
		}
		return echo(in), nil
	})
	b.start(t)
	job := b.request(t, Request{Definition: b.raw(t, tool, `
		{"id":"bad","tool_id":%q,"action":"do","on_error":"continue"},
		{"id":"after","tool_id":%q,"action":"do","parameters":{"why":"{{bad.error}}","what":"{{bad.result}}"}}`)})
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status, "%v", got.ErrorMessage)
	require.Equal(t, Failed, b.steps(t, job.ID)["bad"].Status)
	require.Contains(t, string(got.FinalOutput), `"what":null`)
	require.Contains(t, string(got.FinalOutput), `"why":"the tool says: broken"`)
	require.EqualValues(t, 1, b.spent(t))

	job = b.request(t, Request{Definition: b.raw(t, tool, `
		{"id":"made","tool_id":%q,"action":"do"},
		{"id":"bad","tool_id":%q,"action":"do","depends_on":["made"],"on_error":{"compensate":"undo"}},
		{"id":"undo","tool_id":%q,"action":"do","parameters":{"of":"{{made.result.structuredContent}}"}},
		{"id":"never","tool_id":%q,"action":"do","depends_on":["bad"]}`)})
	got = b.ended(t, job.ID)
	require.Equal(t, "Step bad failed: the tool says: broken", failureOf(t, got))
	require.Equal(t, map[string]Status{"made": Success, "bad": Failed, "undo": Success, "never": Skipped}, statuses(b.steps(t, job.ID)))
	require.EqualValues(t, 3, b.spent(t))

	job = b.request(t, Request{Definition: b.raw(t, tool, `
		{"id":"fine","tool_id":%q,"action":"do","on_error":{"compensate":"undo"}},
		{"id":"undo","tool_id":%q,"action":"do"}`)})
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, Skipped, b.steps(t, job.ID)["undo"].Status, "nothing is undone that has not failed")
}

func TestSleep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.start(t)
	job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 1), `
		{"id":"short","kind":"sleep","duration":"20ms"},
		{"id":"long","kind":"sleep","duration":"1h","depends_on":["short"]},
		{"id":"a","tool_id":%q,"action":"do","depends_on":["long"]}`)})
	b.waits(t, job.ID, "long", Waiting)
	eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE wake_at > now() + interval '59 minutes'`) == 1
	})
	require.Equal(t, Running, b.job(t, job.ID).Status)
	until := b.steps(t, job.ID)["long"].WaitsUntil
	require.WithinDuration(t, time.Now().Add(time.Hour), until.Time, time.Minute)
	b.comes(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 1, b.spent(t))
	require.NotNil(t, w)
}

func TestApproval(t *testing.T) {
	t.Parallel()
	for _, decision := range []Decision{Approve, Reject} {
		t.Run(string(decision), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 7)
			b.start(t)
			job := b.request(t, Request{Input: json.RawMessage(`{"to":"bob"}`), Definition: b.raw(t, tool, `
				{"id":"look","tool_id":%q,"action":"do"},
				{"id":"ok","kind":"approval","approves":"send","message":"Send it to {{input.to}}?"},
				{"id":"send","tool_id":%q,"action":"do","parameters":{"to":"{{input.to}}","n":"{{look.result.content}}"}}`)})
			b.waits(t, job.ID, "ok", Waiting)
			eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.queue`) == 1 })
			asks := b.steps(t, job.ID)["ok"].Asks
			require.Equal(t, "Send it to bob?", asks.Message)
			require.Equal(t, "send", asks.Call.Step)
			require.EqualValues(t, 7, asks.Call.Price)
			require.JSONEq(t, `{"to":"bob","n":[]}`, string(asks.Call.Arguments))
			require.Equal(t, []string{"look"}, b.tools.called())

			decide := func(in DecideRequest) error { return b.service.Decide(t.Context(), b.caller, job.ID, in) }
			stranger := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser}
			require.Equal(t, services.Forbidden, services.KindOf(b.service.Decide(t.Context(), stranger, job.ID, DecideRequest{Step: "ok", Decision: Approve})))
			require.Equal(t, services.NotFound, services.KindOf(decide(DecideRequest{Step: "nope", Decision: Approve})))
			require.Equal(t, services.Conflict, services.KindOf(decide(DecideRequest{Step: "send", Decision: Approve})))
			require.Equal(t, services.Conflict, services.KindOf(decide(DecideRequest{Step: "ok", Decision: Retry})))
			require.ErrorContains(t, decide(DecideRequest{Step: "ok", Decision: Approve, Digest: "another"}), "Another call waits")
			require.NoError(t, decide(DecideRequest{Step: "ok", Decision: decision, Digest: asks.Digest}))
			require.Equal(t, services.Conflict, services.KindOf(decide(DecideRequest{Step: "ok", Decision: decision})), "once")
			got := b.ended(t, job.ID)
			if decision == Reject {
				require.Contains(t, failureOf(t, got), "REJECTED")
				require.EqualValues(t, 7, b.spent(t))
				return
			}
			require.Equal(t, Success, got.Status, "%v", got.ErrorMessage)
			require.Equal(t, []string{"look", "send"}, b.tools.called())
			require.EqualValues(t, 14, b.spent(t))
		})
	}
}

// TestWhatWasApprovedIsWhatIsCalled: an approval of another call is none.
func TestWhatWasApprovedIsWhatIsCalled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 7)
	w := b.start(t)
	job := b.request(t, Request{Input: json.RawMessage(`{"to":"bob"}`), Definition: b.raw(t, tool, `
		{"id":"ok","kind":"approval","approves":"send"},
		{"id":"send","tool_id":%q,"action":"do","parameters":{"to":"{{input.to}}"}}`)})
	b.waits(t, job.ID, "ok", Waiting)
	eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.queue`) == 1 })
	b.exec(t, `UPDATE uaol_jobs.jobs SET input = '{"to":"mallory"}'`)
	require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "ok", Decision: Approve}))
	require.Contains(t, failureOf(t, b.ended(t, job.ID)), "another call was approved")
	require.Empty(t, b.tools.called())
	require.NotNil(t, w)
}

func TestAnApprovalExpires(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	job := b.request(t, Request{Definition: json.RawMessage(`{"steps":[{"id":"ok","kind":"approval","message":"Go on?","expires_in":"1s"}]}`)})
	require.Equal(t, "Step ok failed: EXPIRED: nobody decided in time", failureOf(t, b.ended(t, job.ID)))
}

// TestUnknownIsDecided: an outcome that nobody knows is not made known by trying.
func TestUnknownIsDecided(t *testing.T) {
	t.Parallel()
	for _, decision := range []Decision{Retry, Skip, Fail} {
		t.Run(string(decision), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 2)
			var lost atomic.Bool
			b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
				if stepOf(in) == "a" && !lost.Swap(true) {
					return proxy.CallResult{}, services.Errorf(services.Timeout, "cut").WithCode(services.CodeOutcomeUnknown)
				}
				return echo(in), nil
			})
			b.start(t)
			job := b.request(t, Request{Definition: b.raw(t, tool, `
				{"id":"a","tool_id":%q,"action":"do","retry":{"attempts":5}},
				{"id":"b","tool_id":%q,"action":"do","depends_on":["a"]},
				{"id":"c","tool_id":%q,"action":"do"}`)})
			b.waits(t, job.ID, "a", Unknown)
			b.waits(t, job.ID, "c", Success)
			require.NotContains(t, b.tools.called(), "b")
			require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "a", Decision: decision}))
			got := b.ended(t, job.ID)
			switch decision {
			case Retry:
				require.Equal(t, Success, got.Status)
				require.Equal(t, 2, b.tools.times(job.ID.String()+"/a"))
				require.EqualValues(t, 6, b.spent(t))
			case Skip:
				require.Equal(t, Success, got.Status)
				require.Equal(t, map[string]Status{"a": Skipped, "b": Success, "c": Success}, statuses(b.steps(t, job.ID)))
				require.EqualValues(t, 4, b.spent(t))
			case Fail:
				require.Equal(t, "Step a failed: OUTCOME_UNKNOWN: cut", failureOf(t, got))
				require.EqualValues(t, 2, b.spent(t))
			}
		})
	}
}

// TestADecisionIsAboutOneAttempt: what was decided about the first is no word about
// the second.
func TestADecisionIsAboutOneAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var n atomic.Int64
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if n.Add(1) <= 2 {
			return proxy.CallResult{}, services.Errorf(services.Timeout, "cut").WithCode(services.CodeOutcomeUnknown)
		}
		return echo(in), nil
	})
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 2)})
	for attempt := 1; attempt <= 2; attempt++ {
		eventually(t, func() bool { s := b.steps(t, job.ID)["a"]; return s.Status == Unknown && s.Attempt == attempt })
		eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE wake_at > now()`) == 1 })
		require.EqualValues(t, attempt, n.Load())
		_, err := b.repository.signal(t.Context(), b.pool, job.ID, false) // somebody pokes it, and nothing was decided
		require.NoError(t, err)
		eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE wake_at > now()`) == 1 })
		require.EqualValues(t, attempt, n.Load())
		require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "a", Decision: Retry}))
	}
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 2, b.spent(t))
}

// TestWhatComesWhileAJobLeavesWakesIt: somebody decides after the worker has
// looked and before the job is back in the queue.
func TestWhatComesWhileAJobLeavesWakesIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 2)})
	held := b.claim(t)
	unknown := "OUTCOME_UNKNOWN"
	require.True(t, b.written(t, held, "a", Unknown, withError(unknown)))
	require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "a", Decision: Retry}))
	leave := change{Job: held.ID, Fence: held.Fence, Seq: 5, Leaves: true, Wake: &forever, Status: Running}
	done, err := b.repository.changeAll(t.Context(), []change{leave}) // of the worker that had seen no poke
	require.NoError(t, err)
	require.True(t, done[0])
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 2, b.spent(t))
}

func TestAJobHasItsTime(t *testing.T) {
	t.Parallel()
	for name, definition := range map[string]string{
		"while a call goes on": `{"id":"a","tool_id":%q,"action":"do"}`,
		"while it waits":       `{"id":"a","kind":"sleep","duration":"1h"},{"id":"b","tool_id":%q,"action":"do","depends_on":["a"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.tools.answers(newGate(t).pass)
			b.start(t)
			job := b.request(t, Request{Timeout: "1s", Definition: b.raw(t, b.tool(t, 1), definition)})
			require.Equal(t, "TIMEOUT: the job took longer than it may", failureOf(t, b.ended(t, job.ID)))
			require.Zero(t, b.spent(t))
		})
	}
}

func TestAStepHasItsTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tools.answers(func(ctx context.Context, _ proxy.CallRequest) (proxy.CallResult, error) {
		<-ctx.Done()
		return proxy.CallResult{}, services.Errorf(services.Timeout, "too slow")
	})
	b.start(t)
	job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 1), `{"id":"a","tool_id":%q,"action":"do","timeout":"50ms","retry":{"attempts":2,"backoff":"1ms"}}`)})
	require.Equal(t, "Step a failed: too slow", failureOf(t, b.ended(t, job.ID)))
	require.Equal(t, 2, b.tools.times(job.ID.String()+"/a"))
}

func TestACallHasTheKeyOfItsDefinition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	job := b.request(t, Request{Input: json.RawMessage(`{"order":7}`), Definition: b.raw(t, b.tool(t, 1), `{"id":"a","tool_id":%q,"action":"do","idempotency_key":"order-{{input.order}}"}`)})
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, "order-7", b.tools.received()[0].Key)
	require.Equal(t, job.ID.String()+"/a", b.tools.received()[0].Operation)
}

// TestOutput is what the definition says, else each step's result.
func TestOutput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	job := b.request(t, Request{Definition: json.RawMessage(fmt.Sprintf(`{"steps":[{"id":"a","tool_id":%q,"action":"do","parameters":{"x":5}}],"output":{"five":"{{a.result.structuredContent.x}}"}}`, b.tool(t, 1)))})
	got := b.ended(t, job.ID)
	require.JSONEq(t, `{"five":5}`, string(got.FinalOutput))
}

// comes lets the moment come that steps wait for.
func (b *bench) comes(t testing.TB) {
	t.Helper()
	b.exec(t, `UPDATE uaol_jobs.steps SET detail = to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') WHERE status IN ('Waiting', 'Retrying')`)
	b.exec(t, `UPDATE uaol_jobs.queue SET wake_at = now()`)
}

// TestTooManyCallsAtOnce wait for their turn, and fail no job: they have not left.
func TestTooManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	var now, n atomic.Int64
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		defer now.Add(-1)
		if now.Add(1) > 2 {
			why := []string{"busy", "a limit"}[n.Add(1)%2]
			return proxy.CallResult{}, refusals[why]
		}
		return echo(in), nil
	})
	b.start(t)
	var ids []uuid.UUID
	for range 30 {
		ids = append(ids, b.create(t, stepJSON{ID: "a", Tool: tool}).ID)
	}
	for _, id := range ids {
		require.Equal(t, Success, b.ended(t, id).Status)
		require.Equal(t, 1, b.steps(t, id)["a"].Attempt, "what did not leave is no attempt")
	}
	require.EqualValues(t, 30, b.spent(t))
}
