package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/proxy"
)

// A worker that dies between two steps: the next one goes on after the first.
func TestAnotherWorkerGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 4)
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Params: map[string]any{"x": "{{a.result.n}}"}})
	dead := b.claim(t)
	require.True(t, b.written(t, dead, "a", Running, nil))
	require.True(t, b.written(t, dead, "a", Success, withResult(`{"n":9007199254740993}`)))
	w := b.start(t)
	require.Empty(t, b.tools.called())
	b.expire(t, job.ID)
	w.Wake()
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status)
	require.Zero(t, got.RetryCount, "nobody has tried the job again")
	require.Equal(t, []string{"b"}, b.tools.called(), "the stored step is not called again")
	require.JSONEq(t, `{"x":9007199254740993}`, string(b.tools.received()[0].Params))
	require.EqualValues(t, 8, b.spent(t))
}

// A whole engine dies with calls in flight: nothing is handed back, and the
// next engine waits for the lease.
func TestAnEngineDies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 4)
	g := newGate(t)
	dying := &tools{count: map[string]int{}, answer: func(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if stepOf(in) == "a" {
			return echo(in), nil
		}
		return g.pass(ctx, in)
	}}
	b.tools.says([]upstream.Method{{Name: "do", Annotations: &upstream.Annotations{Idempotent: true}}}, nil)
	first := b.start(t, through(dying), handingBackIn(0))
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Needs: []string{"a"}}, stepJSON{ID: "c", Tool: tool, Needs: []string{"b"}})
	require.Equal(t, "b", g.wait(t))
	first.kill()
	require.Equal(t, map[string]Status{"a": Success, "b": Running, "c": Pending}, statuses(b.steps(t, job.ID)))

	second := b.start(t)
	_, err := second.Engine.claim(t.Context())
	require.NoError(t, err)
	_, err = b.repository.bury(t.Context())
	require.NoError(t, err)
	require.Empty(t, b.tools.called(), "the lease still stands")
	b.expire(t, job.ID)
	second.Wake()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, []string{"b", "c"}, b.tools.called())
	require.Equal(t, 2, b.steps(t, job.ID)["b"].Attempt)
	require.EqualValues(t, 12, b.spent(t))
}

// The lease is the database's: nobody has to say that a worker died.
func TestALeaseEndsByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	worker := uuid.New()
	require.NoError(t, b.repository.signIn(t.Context(), worker, 300*time.Millisecond))
	taken, _, err := b.repository.claim(t.Context(), worker, uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	b.start(t)
	require.Equal(t, Success, b.ended(t, taken[0].ID).Status)
	require.EqualValues(t, 4, b.spent(t))
	still, err := b.repository.prolong(t.Context(), worker, time.Hour)
	require.NoError(t, err)
	require.False(t, still, "a worker whose lease has ended is none any more")
	taken, _, err = b.repository.claim(t.Context(), worker, uuid.Nil, 10)
	require.NoError(t, err)
	require.Empty(t, taken)
}

func TestAStepInFlightWhenItsWorkerDied(t *testing.T) {
	t.Parallel()
	does := func(a *upstream.Annotations) []upstream.Method {
		return []upstream.Method{{Name: "other", Annotations: &upstream.Annotations{ReadOnly: true}}, {Name: "do", Annotations: a}}
	}
	for name, c := range map[string]struct {
		methods []upstream.Method
		err     error
		again   bool
	}{
		"read-only":          {does(&upstream.Annotations{ReadOnly: true}), nil, true},
		"idempotent":         {does(&upstream.Annotations{Idempotent: true, Destructive: true}), nil, true},
		"says nothing":       {does(nil), nil, false},
		"neither":            {does(&upstream.Annotations{OpenWorld: true}), nil, false},
		"is not there":       {nil, nil, false},
		"withdrawn":          {nil, services.Errorf(services.NotFound, "Tool not found"), false},
		"cannot list":        {nil, services.Errorf(services.Upstream, "no such method"), false},
		"too slow to answer": {nil, services.Errorf(services.Timeout, "slow"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 4)
			b.tools.says(c.methods, c.err)
			job := b.create(t, stepJSON{ID: "before", Tool: tool}, stepJSON{ID: "a", Tool: tool, Needs: []string{"before"}}, stepJSON{ID: "after", Tool: tool, Needs: []string{"a"}})
			dead := b.claim(t)
			require.True(t, b.written(t, dead, "before", Success, withResult(`{}`)))
			require.True(t, b.written(t, dead, "a", Running, nil))
			b.expire(t, job.ID)
			b.start(t)
			if c.again {
				got := b.ended(t, job.ID)
				steps := b.steps(t, job.ID)
				require.Equal(t, Success, got.Status)
				require.Equal(t, []string{"a", "after"}, b.tools.called())
				require.Equal(t, job.ID.String()+"/a", b.tools.received()[0].Operation, "under the same key")
				require.Equal(t, 2, steps["a"].Attempt)
				require.EqualValues(t, 12, b.spent(t))
				return
			}
			b.waits(t, job.ID, "a", Unknown)
			require.Equal(t, map[string]Status{"before": Success, "a": Unknown, "after": Pending}, statuses(b.steps(t, job.ID)))
			require.Contains(t, *b.steps(t, job.ID)["a"].Error, "OUTCOME_UNKNOWN")
			require.Equal(t, Running, b.job(t, job.ID).Status)
			require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "a", Decision: Fail}))
			got := b.ended(t, job.ID)
			require.Equal(t, Failed, got.Status)
			require.Contains(t, failureOf(t, got), "Step a failed: OUTCOME_UNKNOWN")
			require.Equal(t, map[string]Status{"before": Success, "a": Failed, "after": Skipped}, statuses(b.steps(t, job.ID)))
			require.Empty(t, b.tools.called(), "it is never sent again")
			require.EqualValues(t, 4, b.spent(t))
		})
	}
}

// While the tool can't be asked the job waits; it does not do so for ever, and
// not at all when nobody wants it any more.
func TestAToolThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tools.says(nil, services.Errorf(services.Unavailable, "connection refused"))
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	require.True(t, b.written(t, b.claim(t), "a", Running, nil))
	b.expire(t, job.ID)
	w := b.start(t)
	next := func() {
		asked := b.tools.asked.Load()
		b.exec(t, `UPDATE uaol_jobs.queue SET wake_at = NULL`)
		w.Wake()
		eventually(t, func() bool { return b.tools.asked.Load() > asked })
		eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.held) == 0 })
	}
	next()
	require.Equal(t, Running, b.job(t, job.ID).Status)
	next()
	require.Equal(t, Running, b.job(t, job.ID).Status)
	b.exec(t, `UPDATE uaol_jobs.queue SET fence = $1`, maxClaims-1)
	next()
	b.waits(t, job.ID, "a", Unknown)
	require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "a", Decision: Skip}))
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Zero(t, b.spent(t))
}

func TestCancelWhileTheToolCannotBeAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 4)
	b.tools.says(nil, services.Errorf(services.Unavailable, "connection refused"))
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Needs: []string{"a"}})
	require.True(t, b.written(t, b.claim(t), "a", Running, nil))
	_, err := b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	b.expire(t, job.ID)
	b.start(t)
	require.Equal(t, Cancelled, b.ended(t, job.ID).Status)
	require.Equal(t, map[string]Status{"a": Unknown, "b": Cancelled}, statuses(b.steps(t, job.ID)), "of a nobody knows")
	require.Zero(t, b.spent(t))
}

// A worker died after one of two calls had failed: the other is not left
// running in a job that has ended.
func TestAFailureAndAStepInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 4)
	b.tools.says([]upstream.Method{{Name: "do", Annotations: &upstream.Annotations{ReadOnly: true}}}, nil)
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool}, stepJSON{ID: "c", Tool: tool, Needs: []string{"a"}})
	dead := b.claim(t)
	for _, id := range []string{"a", "b"} {
		require.True(t, b.written(t, dead, id, Running, nil))
	}
	require.True(t, b.written(t, dead, "a", Failed, withError("it broke")))
	b.expire(t, job.ID)
	b.start(t)
	got := b.ended(t, job.ID)
	require.Equal(t, "Step a failed: it broke", failureOf(t, got))
	require.Equal(t, map[string]Status{"a": Failed, "b": Unknown, "c": Skipped}, statuses(b.steps(t, job.ID)))
	require.Empty(t, b.tools.called())
}

// snapshot is all that a worker may write.
func (b *bench) snapshot(t testing.TB) string {
	t.Helper()
	text, err := postgres.Value[string](t.Context(), b.pool, `
		SELECT coalesce((SELECT jsonb_agg(j ORDER BY job_id) FROM uaol_jobs.jobs j)::text, '') || coalesce((SELECT jsonb_agg(s ORDER BY position) FROM uaol_jobs.steps s)::text, '')
			|| coalesce((SELECT jsonb_agg(r) FROM uaol_jobs.runs r)::text, '') || coalesce((SELECT jsonb_agg(q) FROM uaol_jobs.queue q)::text, '')
			|| (SELECT count(*) FROM uaol_jobs.outbox)::text`)
	require.NoError(t, err)
	return text
}

// everyChange is what a worker can say.
var everyChange = map[string]change{
	"a step": {Steps: []stepChange{{Position: 0, Item: whole, Status: Success, Attempt: 1}}},
	"steps":  {Steps: []stepChange{{Position: 0, Item: whole, Status: Success, Attempt: 1}, {Position: 1, Item: whole, Status: Running, Attempt: 1}}},
	"end":    {Ends: Failed, Error: "stale"},
	"both":   {Ends: Success, Steps: []stepChange{{Position: 1, Item: whole, Status: Success, Attempt: 1}}},
	"leave":  {Leaves: true, Status: Running},
}

func TestAStaleWorkerWritesNothing(t *testing.T) {
	t.Parallel()
	for what, c := range everyChange {
		for when, outdate := range map[string]func(t *testing.T, b *bench, c claimed){
			"after a newer claim": func(t *testing.T, b *bench, c claimed) {
				b.expire(t, c.ID)
				_, err := b.repository.bury(t.Context())
				require.NoError(t, err)
				require.Greater(t, b.claim(t).Fence, c.Fence)
			},
			"while nobody has it": func(t *testing.T, b *bench, c claimed) {
				require.NoError(t, b.repository.handBack(t.Context(), c.ID, c.Fence))
			},
			"after the job's end": func(t *testing.T, b *bench, c claimed) {
				done, err := b.repository.changeAll(t.Context(), []change{{Job: c.ID, Fence: c.Fence, Seq: 50, Ends: Cancelled}})
				require.NoError(t, err)
				require.True(t, done[0])
			},
		} {
			t.Run(what+" "+when, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				tool := b.tool(t, 4)
				b.create(t, stepJSON{ID: "runs", Tool: tool}, stepJSON{ID: "waits", Tool: tool})
				held := b.claim(t)
				require.True(t, b.written(t, held, "runs", Running, nil))
				outdate(t, b, held)
				before := b.snapshot(t)
				c := c
				c.Job, c.Fence, c.Seq = held.ID, held.Fence, 100
				done, err := b.repository.changeAll(t.Context(), []change{c})
				require.NoError(t, err)
				require.Empty(t, done)
				require.Equal(t, before, b.snapshot(t))
			})
		}
	}
}

// The worker whose claim is the newest is heard: the test above would pass on
// statements that never do anything.
func TestTheHolderOfTheLeaseWrites(t *testing.T) {
	t.Parallel()
	for what, c := range everyChange {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 4)
			b.create(t, stepJSON{ID: "runs", Tool: tool}, stepJSON{ID: "waits", Tool: tool})
			held := b.claim(t)
			before := b.snapshot(t)
			c := c
			c.Job, c.Fence, c.Seq = held.ID, held.Fence, 100
			done, err := b.repository.changeAll(t.Context(), []change{c})
			require.NoError(t, err)
			require.Equal(t, map[int]bool{0: true}, done)
			require.NotEqual(t, before, b.snapshot(t))
		})
	}
}

var errDied = errors.New("died")

// dying is a Meter that stops answering after so many settlements and releases.
type dying struct {
	billing.Meter
	left int
}

func (d *dying) SettleMany(ctx context.Context, in billing.SettlesRequest) ([]billing.Outcome, error) {
	if d.left--; d.left < 0 {
		return nil, errDied
	}
	return d.Meter.SettleMany(ctx, in)
}

func (d *dying) ReleaseMany(ctx context.Context, in billing.ReleasesRequest) ([]billing.Outcome, error) {
	if d.left--; d.left < 0 {
		return nil, errDied
	}
	return d.Meter.ReleaseMany(ctx, in)
}

func TestACrashWhilePayingIsPaidOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left  int
		fails bool
	}{
		"before settling":          {0, false},
		"between settling and end": {2, false},
		"between the two":          {1, true},
		"between release and end":  {2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 4)
			b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
				if c.fails && stepOf(in) == "b" {
					return isError("as it should")
				}
				return echo(in), nil
			})
			job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Needs: []string{"a"}})
			w := b.worker(t, nil, func(e *Engine) { e.meter = &dying{b.meter, c.left} })
			held := b.claim(t)
			r := newRun(w.Engine, &held)
			if c.left == 2 { // dies after paying, before the end is stored
				w.meter = &killing{Meter: b.meter, then: func() { b.takeAway(t, job.ID) }}
			}
			r.work(t.Context())
			require.Equal(t, Running, b.job(t, job.ID).Status)
			b.expire(t, job.ID)
			b.exec(t, `UPDATE uaol_jobs.queue SET wake_at = NULL`)
			b.start(t)
			want, paid := Success, int64(8)
			if c.fails {
				want, paid = Failed, 4
			}
			require.Equal(t, want, b.ended(t, job.ID).Status)
			require.Equal(t, []string{"a", "b"}, b.tools.called())
			require.EqualValues(t, paid, b.spent(t))
		})
	}
}

// killing loses the lease right after the release or, where nothing is left to
// release, the settlement.
type killing struct {
	billing.Meter
	then func()
}

func (k *killing) SettleMany(ctx context.Context, in billing.SettlesRequest) ([]billing.Outcome, error) {
	outcomes, err := k.Meter.SettleMany(ctx, in)
	if err == nil && !outcomes[0].Hold.Open {
		k.then()
	}
	return outcomes, err
}

func (k *killing) ReleaseMany(ctx context.Context, in billing.ReleasesRequest) ([]billing.Outcome, error) {
	outcomes, err := k.Meter.ReleaseMany(ctx, in)
	k.then()
	return outcomes, err
}

const long = time.Hour // a lease that no test waits for

func TestAGracefulStopHandsBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 4)
	g := newGate(t)
	b.tools.answers(g.pass)
	first := b.start(t, leased(long, heartbeat))
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Needs: []string{"a"}})
	require.Equal(t, "a", g.wait(t))
	stopped := make(chan struct{})
	go func() { first.stop(); close(stopped) }()
	eventually(t, func() bool {
		first.mu.Lock()
		defer first.mu.Unlock()
		for _, r := range first.held {
			return r.stopping.Load()
		}
		return false
	})
	g.release()
	receive(t, stopped)
	require.Equal(t, []string{"a"}, b.tools.called(), "nothing more was begun")
	require.Equal(t, map[string]Status{"a": Success, "b": Pending}, statuses(b.steps(t, job.ID)))
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, []string{"a", "b"}, b.tools.called())
	require.EqualValues(t, 8, b.spent(t))
}

func TestAStopCutsCallsThatTakeTooLong(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"repeatable": true, "not repeatable": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.tools.says([]upstream.Method{{Name: "do", Annotations: &upstream.Annotations{ReadOnly: again}}}, nil)
			g := newGate(t)
			hanging := &tools{count: map[string]int{}, answer: g.pass}
			first := b.start(t, through(hanging), leased(long, heartbeat), handingBackIn(time.Millisecond))
			job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
			g.wait(t)
			first.stop()
			require.Equal(t, map[string]Status{"a": Running}, statuses(b.steps(t, job.ID)))
			b.start(t)
			if !again {
				b.waits(t, job.ID, "a", Unknown)
				require.Empty(t, b.tools.called())
				require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "a", Decision: Retry}))
			}
			require.Equal(t, Success, b.ended(t, job.ID).Status)
			require.Equal(t, []string{"a"}, b.tools.called())
			require.EqualValues(t, 4, b.spent(t))
		})
	}
}

// The answer that comes in the very moment of the cut is stored: only a call
// that has none is unknown.
func TestAnAnswerInHandIsStoredThoughTheRunIsCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	entered := make(chan struct{}, 1)
	answering := &tools{count: map[string]int{}, answer: func(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return echo(in), nil
	}}
	first := b.start(t, through(answering), leased(long, heartbeat), handingBackIn(time.Millisecond))
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	receive(t, entered)
	first.stop()
	require.Equal(t, map[string]Status{"a": Success}, statuses(b.steps(t, job.ID)))
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Empty(t, b.tools.called())
	require.EqualValues(t, 4, b.spent(t))
}

// An answer is not lost because the database was away when it came.
func TestAnAnswerIsStoredWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := newGate(t)
	b.tools.answers(g.pass)
	w := b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	g.wait(t)
	// All its connections break under it, without its noticing yet.
	b.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	g.release()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, []string{"a"}, b.tools.called())
	require.EqualValues(t, 4, b.spent(t))
	require.NotNil(t, w)
}

func TestAHeartbeatKeepsTheLease(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := newGate(t)
	b.tools.answers(g.pass)
	const lease = 2 * time.Second
	first := b.start(t, leased(lease, 50*time.Millisecond))
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	g.wait(t)
	b.start(t)
	eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_jobs.workers w JOIN uaol_jobs.runs r ON r.worker_id = w.worker_id WHERE w.lease_until > r.started_at + $1 * interval '1 millisecond'`, 2*lease.Milliseconds()) == 1
	})
	g.release()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, []string{"a"}, b.tools.called())
	require.EqualValues(t, 1, b.number(t, `SELECT attempts FROM uaol_jobs.jobs`), "nobody else has claimed it")
	require.NotNil(t, first)
}

func TestALostLeaseCutsTheRun(t *testing.T) {
	t.Parallel()
	for name, notice := range map[string]func(*testing.T, *worker, *gate){
		"the heartbeat notices": func(t *testing.T, w *worker, _ *gate) { require.NoError(t, w.beat(t.Context())) },
		"a write notices":       func(_ *testing.T, _ *worker, quick *gate) { quick.release() },
		"the same process takes it again": func(t *testing.T, w *worker, _ *gate) {
			require.NoError(t, w.beat(t.Context()))
			_, err := w.repository.bury(t.Context())
			require.NoError(t, err)
			w.Wake()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 4)
			slow, quick := newGate(t), newGate(t)
			cut := make(chan struct{}, 2)
			b.tools.says([]upstream.Method{{Name: "do", Annotations: &upstream.Annotations{ReadOnly: true}}}, nil)
			b.tools.answers(func(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
				if stepOf(in) == "quick" {
					return quick.pass(ctx, in)
				}
				result, err := slow.pass(ctx, in)
				if err != nil {
					cut <- struct{}{}
				}
				return result, err
			})
			w := b.start(t, leased(long, long))
			job := b.create(t, stepJSON{ID: "slow", Tool: tool}, stepJSON{ID: "quick", Tool: tool})
			slow.wait(t)
			quick.wait(t)
			if name == "the same process takes it again" {
				b.expire(t, job.ID)
			} else { // somebody else does, at once
				b.takeAway(t, job.ID)
			}
			notice(t, w, quick)
			receive(t, cut)
			if name == "the same process takes it again" {
				slow.release()
				quick.release()
				require.Equal(t, Success, b.ended(t, job.ID).Status)
				require.EqualValues(t, 8, b.spent(t))
				return
			}
			eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.held) == 0 })
			require.Equal(t, map[string]Status{"slow": Running, "quick": Running}, statuses(b.steps(t, job.ID)))
		})
	}
}

// Handing a job back does not take it away from the next worker.
func TestAProcessThatStopsClaimsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.start(t)
	w.stop()
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	w.Wake()
	require.Equal(t, Queued, b.job(t, job.ID).Status)
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
}

// TestOneThatCannotBeWrittenHarmsNoOther of the same batch.
func TestOneThatCannotBeWrittenHarmsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	for range 3 {
		b.create(t, stepJSON{ID: "a", Tool: tool})
	}
	taken, _ := b.claims(t, uuid.Nil, 10)
	require.Len(t, taken, 3)
	bad := "not \x00 text"
	changes := make([]change, 3)
	for i, c := range taken {
		changes[i] = change{Job: c.ID, Fence: c.Fence, Seq: 1, Ends: Success}
	}
	changes[1].Steps = []stepChange{{Item: whole, Status: Success, Attempt: 1, Result: &bad}}
	changes[2].Fence++ // somebody else's
	written, err := b.repository.changeMany(t.Context(), changes)
	require.NoError(t, err)
	require.Len(t, written, 2)
	require.NoError(t, written[0])
	require.Error(t, written[1])
	require.Equal(t, Success, b.job(t, taken[0].ID).Status)
	require.Equal(t, Running, b.job(t, taken[1].ID).Status)
	require.Equal(t, Running, b.job(t, taken[2].ID).Status)
}
