package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

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
	ok, err := b.repository.beginStep(t.Context(), dead, "a")
	require.NoError(t, err)
	require.True(t, ok)
	ok, _, err = b.repository.endStep(t.Context(), dead, "a", Success, json.RawMessage(`{"n":9007199254740993}`), "")
	require.NoError(t, err)
	require.True(t, ok)
	w := b.start(t)
	require.Empty(t, b.tools.called())
	b.expire(t, job.ID)
	w.Wake()
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status)
	require.Equal(t, 1, got.RetryCount)
	require.Equal(t, []string{"b"}, b.tools.called(), "the stored step is not called again")
	require.JSONEq(t, `{"x":9007199254740993}`, string(b.tools.calls[0].Params))
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
	_, err := second.Engine.claim(t.Context(), t.Context(), nil)
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
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	taken, err := b.repository.claim(t.Context(), 10, 300*time.Millisecond)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 4, b.spent(t))
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
			b.exec(t, `UPDATE uaol_jobs.steps SET status = 'Success', result = '{}' WHERE step_id = 'before'`)
			_, err := b.repository.beginStep(t.Context(), dead, "a")
			require.NoError(t, err)
			b.expire(t, job.ID)
			b.start(t)
			got := b.ended(t, job.ID)
			steps := b.steps(t, job.ID)
			if c.again {
				require.Equal(t, Success, got.Status)
				require.Equal(t, []string{"a", "after"}, b.tools.called())
				require.Equal(t, job.ID.String()+"/a", b.tools.calls[0].Operation, "under the same key")
				require.Equal(t, 2, steps["a"].Attempt)
				require.EqualValues(t, 12, b.spent(t))
				return
			}
			require.Equal(t, Failed, got.Status)
			require.Contains(t, failureOf(t, got), "Step a failed: OUTCOME_UNKNOWN")
			require.Equal(t, map[string]Status{"before": Success, "a": Failed, "after": Skipped}, statuses(steps))
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
	_, err := b.repository.beginStep(t.Context(), b.claim(t), "a")
	require.NoError(t, err)
	w := b.start(t)
	next := func() {
		asked := b.tools.asked.Load()
		b.expire(t, job.ID)
		w.Wake()
		eventually(t, func() bool { return b.tools.asked.Load() > asked })
		eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.held) == 0 })
	}
	next()
	require.Equal(t, Running, b.job(t, job.ID).Status)
	next()
	require.Equal(t, Running, b.job(t, job.ID).Status)
	b.exec(t, `UPDATE uaol_jobs.jobs SET fence = $1`, maxClaims-1)
	next()
	got := b.ended(t, job.ID)
	require.Equal(t, Failed, got.Status)
	require.Contains(t, failureOf(t, got), "OUTCOME_UNKNOWN")
	require.Zero(t, b.spent(t))
}

func TestCancelWhileTheToolCannotBeAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 4)
	b.tools.says(nil, services.Errorf(services.Unavailable, "connection refused"))
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Needs: []string{"a"}})
	_, err := b.repository.beginStep(t.Context(), b.claim(t), "a")
	require.NoError(t, err)
	_, err = b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	b.expire(t, job.ID)
	b.start(t)
	require.Equal(t, Cancelled, b.ended(t, job.ID).Status)
	require.Equal(t, map[string]Status{"a": Failed, "b": Cancelled}, statuses(b.steps(t, job.ID)), "of a nobody knows")
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
		_, err := b.repository.beginStep(t.Context(), dead, id)
		require.NoError(t, err)
	}
	_, _, err := b.repository.endStep(t.Context(), dead, "a", Failed, nil, "it broke")
	require.NoError(t, err)
	b.expire(t, job.ID)
	b.start(t)
	got := b.ended(t, job.ID)
	require.Equal(t, "Step a failed: it broke", failureOf(t, got))
	require.Equal(t, map[string]Status{"a": Failed, "b": Failed, "c": Skipped}, statuses(b.steps(t, job.ID)))
	require.Empty(t, b.tools.called())
}

// snapshot is all that a worker may write, without what every claim changes.
func (b *bench) snapshot(t testing.TB) string {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `
		SELECT (SELECT jsonb_agg(j ORDER BY job_id) FROM uaol_jobs.jobs j)::text || (SELECT jsonb_agg(s ORDER BY position) FROM uaol_jobs.steps s)::text
			|| (SELECT count(*) FROM uaol_jobs.outbox)::text`)
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	var text string
	require.NoError(t, rows.Scan(&text))
	return text
}

// everyWrite is what a worker can say, and whether it was heard.
var everyWrite = map[string]func(context.Context, *Repository, claimed) (bool, error){
	"beginStep": func(ctx context.Context, r *Repository, c claimed) (bool, error) {
		return r.beginStep(ctx, c, "waits")
	},
	"resetStep": func(ctx context.Context, r *Repository, c claimed) (bool, error) {
		return r.resetStep(ctx, c, "runs")
	},
	"endStep": func(ctx context.Context, r *Repository, c claimed) (bool, error) {
		ok, _, err := r.endStep(ctx, c, "runs", Success, json.RawMessage(`{"stale":true}`), "")
		return ok, err
	},
	"end": func(ctx context.Context, r *Repository, c claimed) (bool, error) {
		ok, _, err := r.end(ctx, c, Failed, "stale")
		return ok, err
	},
	"handBack": func(ctx context.Context, r *Repository, c claimed) (bool, error) {
		return false, r.handBack(ctx, c)
	},
	"keep": func(ctx context.Context, r *Repository, c claimed) (bool, error) {
		still, err := r.keep(ctx, map[uuid.UUID]int64{c.ID: c.Fence}, time.Hour)
		return len(still) > 0, err
	},
}

func TestAStaleWorkerWritesNothing(t *testing.T) {
	t.Parallel()
	for what, write := range everyWrite {
		for when, outdate := range map[string]func(t *testing.T, b *bench, c claimed){
			"after a newer claim": func(t *testing.T, b *bench, c claimed) {
				b.expire(t, c.ID)
				require.Greater(t, b.claim(t).Fence, c.Fence)
			},
			"after the job's end": func(t *testing.T, b *bench, c claimed) {
				ok, _, err := b.repository.end(t.Context(), c, Cancelled, "")
				require.NoError(t, err)
				require.True(t, ok)
				b.exec(t, `UPDATE uaol_jobs.steps SET status = 'Pending' WHERE step_id = 'waits'`)
			},
		} {
			t.Run(what+" "+when, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				tool := b.tool(t, 4)
				b.create(t, stepJSON{ID: "runs", Tool: tool}, stepJSON{ID: "waits", Tool: tool})
				c := b.claim(t)
				ok, err := b.repository.beginStep(t.Context(), c, "runs")
				require.NoError(t, err)
				require.True(t, ok)
				outdate(t, b, c)
				before := b.snapshot(t)
				ok, err = write(t.Context(), b.repository, c)
				require.NoError(t, err)
				require.False(t, ok)
				require.Equal(t, before, b.snapshot(t))
			})
		}
	}
}

// The worker whose claim is the newest is heard: the test above would pass on
// statements that never do anything.
func TestTheHolderOfTheLeaseWrites(t *testing.T) {
	t.Parallel()
	for what, write := range everyWrite {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 4)
			b.create(t, stepJSON{ID: "runs", Tool: tool}, stepJSON{ID: "waits", Tool: tool})
			c := b.claim(t)
			_, err := b.repository.beginStep(t.Context(), c, "runs")
			require.NoError(t, err)
			before := b.snapshot(t)
			ok, err := write(t.Context(), b.repository, c)
			require.NoError(t, err)
			require.Equal(t, what != "handBack", ok)
			require.NotEqual(t, before, b.snapshot(t))
		})
	}
}

// Two workers that both believe to have the job never both begin a step.
func TestAStepIsBegunOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	c := b.claim(t)
	began := make(chan bool, 8)
	for range cap(began) {
		go func() {
			ok, err := b.repository.beginStep(tContext, c, "a")
			began <- ok && err == nil
		}()
	}
	n := 0
	for range cap(began) {
		if receive(t, began) {
			n++
		}
	}
	require.Equal(t, 1, n)
}

var errDied = errors.New("died")

// dying is a Meter that stops answering after so many settlements and releases.
type dying struct {
	billing.Meter
	left int
}

func (d *dying) Settle(ctx context.Context, in billing.SettleRequest) (billing.Hold, error) {
	if d.left--; d.left < 0 {
		return billing.Hold{}, errDied
	}
	return d.Meter.Settle(ctx, in)
}

func (d *dying) Release(ctx context.Context, in billing.ReleaseRequest) (billing.Hold, error) {
	if d.left--; d.left < 0 {
		return billing.Hold{}, errDied
	}
	return d.Meter.Release(ctx, in)
}

func TestACrashWhilePayingIsPaidOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left  int
		fails bool
	}{
		"before settling":         {0, false},
		"between the two":         {1, false},
		"between release and end": {2, false},
		"a failed job":            {2, true},
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
			r := newRun(w.Engine, b.claim(t))
			if c.left == 2 { // dies after paying, before the end is stored
				w.meter = &killing{Meter: b.meter, then: func() { b.expire(t, job.ID); _ = b.claim(t) }}
			}
			r.work(t.Context())
			require.Equal(t, Running, b.job(t, job.ID).Status)
			b.expire(t, job.ID)
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

// killing loses the lease right after the release.
type killing struct {
	billing.Meter
	then func()
}

func (k *killing) Release(ctx context.Context, in billing.ReleaseRequest) (billing.Hold, error) {
	hold, err := k.Meter.Release(ctx, in)
	k.then()
	return hold, err
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
			got := b.ended(t, job.ID)
			if again {
				require.Equal(t, Success, got.Status)
				require.Equal(t, []string{"a"}, b.tools.called())
				require.EqualValues(t, 4, b.spent(t))
			} else {
				require.Contains(t, failureOf(t, got), "OUTCOME_UNKNOWN")
				require.Empty(t, b.tools.called())
				require.Zero(t, b.spent(t))
			}
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
		return b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE claim_at > start_time + $1 * interval '1 millisecond'`, 2*lease.Milliseconds()) == 1
	})
	g.release()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, []string{"a"}, b.tools.called())
	require.EqualValues(t, 1, b.number(t, `SELECT fence FROM uaol_jobs.jobs`), "nobody else has claimed it")
	require.NotNil(t, first)
}

func TestALostLeaseCutsTheRun(t *testing.T) {
	t.Parallel()
	for name, notice := range map[string]func(*testing.T, *worker, *gate){
		"the heartbeat notices": func(t *testing.T, w *worker, _ *gate) { require.NoError(t, w.beat(t.Context())) },
		"a write notices":       func(_ *testing.T, _ *worker, quick *gate) { quick.release() },
		"the same process takes it again": func(t *testing.T, w *worker, _ *gate) {
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
				b.exec(t, `UPDATE uaol_jobs.jobs SET fence = fence + 1, claim_at = now() + interval '1 hour'`)
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
