package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/proxy"
)

// refusals are what the proxy says to a call that is one too many.
var refusals = map[string]error{
	"a limit": services.Errorf(services.Limited, "Rate limit exceeded: your calls may be at most 60 in a minute"),
	"resting": services.Errorf(services.Unavailable, "The tool has failed too often just now and is left alone for a moment; try again later").WithCode(upstream.CodeCircuitOpen),
	"ours":    services.Errorf(services.Unavailable, "The database cannot be reached; try again"),
	"busy":    services.Errorf(services.Unavailable, "The tool has as many calls under way as it may have; try again").WithCode(upstream.CodeBusy),
}

// refusing answers with an error until there is room.
func refusing(why error, room *atomic.Bool) func(context.Context, proxy.CallRequest) (proxy.CallResult, error) {
	return func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if room.Load() {
			return echo(in), nil
		}
		return proxy.CallResult{}, why
	}
}

// refusedFor is a job whose step has waited for room for so long, and whose worker
// has died.
func (b *bench) refusedFor(t *testing.T, waited time.Duration, in Request) Job {
	t.Helper()
	in.Definition = b.raw(t, b.tool(t, 3), `{"id":"a","tool_id":%q,"action":"do","retry":{"attempts":3}}`)
	job := b.request(t, in)
	detail, err := json.Marshal(pause{ExpiresAt: time.Now(), Since: time.Now().Add(-waited)})
	require.NoError(t, err)
	text := string(detail)
	require.True(t, b.written(t, b.claim(t), "a", Retrying, func(s *stepChange) { s.Attempt, s.Detail = 0, &text }))
	b.expire(t, job.ID)
	return job
}

// TestWaitingForRoomTakesNoWorker: after a few seconds the job is in the queue, and
// what it has waited counts on.
func TestWaitingForRoomTakesNoWorker(t *testing.T) {
	t.Parallel()
	for name, why := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var room atomic.Bool
			b.tools.answers(refusing(why, &room))
			job := b.refusedFor(t, 10*time.Minute, Request{})
			b.start(t)
			eventually(t, func() bool {
				return len(b.tools.called()) > 0 && b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE wake_at > now()`) == 1
			})
			require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.runs`))
			require.Equal(t, Retrying, b.job(t, job.ID).Status)
			step := b.steps(t, job.ID)["a"]
			require.Equal(t, Retrying, step.Status)
			require.Zero(t, step.Attempt, "what did not leave is no attempt")
			require.Contains(t, *step.Error, why.Error())
			require.Nil(t, step.Asks, "nobody is asked")
			pause := time.Until(step.WaitsUntil.Time)
			require.Greater(t, pause, 10*time.Second)
			require.Less(t, pause, 50*time.Second)
			rows, err := b.repository.steps(t.Context(), job.ID)
			require.NoError(t, err)
			require.Greater(t, time.Since(pauseOf(*rows[0].Detail).Since), 10*time.Minute)
			require.Len(t, b.tools.called(), 1)

			room.Store(true)
			b.comes(t)
			require.Equal(t, Success, b.ended(t, job.ID).Status)
			require.Equal(t, 1, b.steps(t, job.ID)["a"].Attempt)
			require.EqualValues(t, 3, b.spent(t))
		})
	}
}

// TestRoomIsNotWaitedForForEver: for an hour, and no longer than the job may take.
func TestRoomIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	for name, why := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var room atomic.Bool
			b.tools.answers(refusing(why, &room))
			long, short := b.refusedFor(t, mostRefused, Request{}), b.refusedFor(t, 10*time.Minute, Request{Timeout: "1s"})
			b.start(t)
			require.Equal(t, "Step a failed: the call could not be made in an hour: "+message(why), failureOf(t, b.ended(t, long.ID)))
			require.Equal(t, 1, b.tools.times(long.ID.String()+"/a"))
			require.Contains(t, failureOf(t, b.ended(t, short.ID)), "TIMEOUT")
			require.Zero(t, b.spent(t))
		})
	}
}

// TestRefusalsUseNoAttemptsUp, before or between those that count.
func TestRefusalsUseNoAttemptsUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	broken := services.Errorf(services.Upstream, "it broke")
	answers := []error{refusals["busy"], refusals["a limit"], broken, refusals["busy"], nil}
	var n atomic.Int64
	var attempted, since time.Time
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		err := answers[n.Add(1)-1]
		switch {
		case errors.Is(err, broken):
			attempted = time.Now()
		case err == nil:
			detail, err := postgres.Value[string](tContext, b.pool, `SELECT detail FROM uaol_jobs.steps`)
			if err != nil {
				return proxy.CallResult{}, err
			}
			since = pauseOf(detail).Since
		}
		return echo(in), err
	})
	b.start(t)
	job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 3), `{"id":"a","tool_id":%q,"action":"do","retry":{"attempts":2,"backoff":"1ms"}}`)})
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, 2, b.steps(t, job.ID)["a"].Attempt)
	require.Len(t, b.tools.called(), len(answers))
	require.True(t, since.After(attempted), "the hour begins anew after an attempt")
	require.EqualValues(t, 3, b.spent(t))
}

// TestARefusedCallIsNotUnknown though it was cut: the next worker makes it.
func TestARefusedCallIsNotUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	entered := make(chan struct{}, 1)
	b.tools.answers(func(ctx context.Context, _ proxy.CallRequest) (proxy.CallResult, error) {
		entered <- struct{}{}
		<-ctx.Done() // it waits for its place
		return proxy.CallResult{}, refusals["busy"]
	})
	first := b.start(t, handingBackIn(0))
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 3)})
	receive(t, entered)
	first.stop()
	require.Equal(t, Retrying, b.steps(t, job.ID)["a"].Status)
	b.tools.answers(nil)
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, 1, b.steps(t, job.ID)["a"].Attempt)
	require.EqualValues(t, 3, b.spent(t))
}

// TestARealToolThatIsBusy: the real proxy refuses, and the jobs take turns.
func TestARealToolThatIsBusy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := withRealTools(t, b, upstream.Limits{Concurrency: 1, QueueTimeout: time.Millisecond})
	tool := b.toolAt(t, 2, r.url)
	b.start(t, through(r.proxy))
	first := b.create(t, stepJSON{ID: "a", Tool: tool, Action: "waits"})
	receive(t, r.entered)
	second := b.create(t, stepJSON{ID: "a", Tool: tool, Action: "echo"})
	eventually(t, func() bool {
		step := b.steps(t, second.ID)["a"]
		return step.Status == Retrying && step.Attempt == 0 && *step.Error == fmt.Sprintf("%s: %s", upstream.CodeBusy, refusals["busy"])
	})
	close(r.release)
	for _, job := range []Job{first, second} {
		require.Equal(t, Success, b.ended(t, job.ID).Status)
		require.Equal(t, 1, b.steps(t, job.ID)["a"].Attempt)
	}
	require.EqualValues(t, 4, b.spent(t))
}

func TestPausesOfRefusedCalls(t *testing.T) {
	t.Parallel()
	for waited, middle := range map[time.Duration]time.Duration{
		0: 250 * time.Millisecond, time.Second: time.Second, 10 * time.Second: 10 * time.Second, time.Hour: 30 * time.Second,
	} {
		for range 100 {
			pause := pauseOfRefused(waited)
			require.GreaterOrEqual(t, pause, middle/2)
			require.Less(t, pause, middle/2+middle)
		}
	}
}

// TestADeadWorkerUsesNoAttemptUp: the tool did not fail.
func TestADeadWorkerUsesNoAttemptUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	offer, tool := offered(3)
	b.service.catalog = offering{offer: offer}
	g := newGate(t)
	dying := &tools{count: map[string]int{}, answer: g.pass}
	first := b.start(t, through(dying), handingBackIn(0))
	job := b.request(t, Request{Definition: b.raw(t, tool, `{"id":"a","tool_id":%q,"action":"do","retry":{"attempts":2,"backoff":"1ms"}}`)})
	g.wait(t)
	first.kill()
	b.expire(t, job.ID)
	var n atomic.Int64
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if n.Add(1) == 1 {
			return isError("not yet")
		}
		return echo(in), nil
	})
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 3, b.spent(t))
}

// TestFailedAttemptsCountOn, whoever works on the job meanwhile.
func TestFailedAttemptsCountOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tools.answers(func(context.Context, proxy.CallRequest) (proxy.CallResult, error) { return isError("never") })
	job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 3), `{"id":"a","tool_id":%q,"action":"do","retry":{"attempts":3,"backoff":"1h"}}`)})
	b.start(t)
	for failed := 1; failed <= 2; failed++ {
		eventually(t, func() bool { s := b.steps(t, job.ID)["a"]; return s.Status == Retrying && s.Attempt == failed })
		eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE wake_at > now()`) == 1 })
		b.exec(t, `UPDATE uaol_jobs.steps SET detail = (detail::jsonb || jsonb_build_object('expires_at', now()))::text`)
		b.exec(t, `UPDATE uaol_jobs.queue SET wake_at = now()`)
	}
	require.Equal(t, "Step a failed: the tool says: never", failureOf(t, b.ended(t, job.ID)))
	require.Equal(t, 3, b.tools.times(job.ID.String()+"/a"))
}

// absent is a billing that can't be reached for further holds.
type absent struct {
	billing.Meter
	away atomic.Bool
}

func (a *absent) Hold(ctx context.Context, in billing.HoldRequest) (billing.Hold, error) {
	if a.away.Load() {
		return billing.Hold{}, services.Errorf(services.Unavailable, "The billing service cannot be reached; try again")
	}
	return a.Meter.Hold(ctx, in)
}

// TestItemsWaitForBilling that is away when they are to be held for.
func TestItemsWaitForBilling(t *testing.T) {
	t.Parallel()
	b := setup(t)
	meter := &absent{Meter: b.meter}
	meter.away.Store(true)
	b.start(t, func(e *Engine) { e.meter = meter })
	job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 3), `{"id":"a","tool_id":%q,"action":"do","for_each":{"items":[1,2]}}`)})
	eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE wake_at > now()`) == 1 })
	require.Equal(t, Running, b.job(t, job.ID).Status)
	meter.away.Store(false)
	b.comes(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 6, b.spent(t))
}
