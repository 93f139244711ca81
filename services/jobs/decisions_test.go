package jobs

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/proxy"
)

// cutBefore cuts the context of the first statement that begins with some words.
type cutBefore struct {
	words string
	done  bool
}

func (c *cutBefore) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if c.done || !strings.Contains(q.SQL, c.words) {
		return ctx
	}
	c.done = true
	cut, cancel := context.WithCancel(ctx)
	cancel()
	return cut
}

func (c *cutBefore) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestADecisionIsStoredAndTold though the connection is lost between the two: one that
// was stored without the job being told of it would be waited for for good.
func TestADecisionIsStoredAndTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	lost := false
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if !lost {
			lost = true
			return proxy.CallResult{}, services.Errorf(services.Timeout, "cut").WithCode(services.CodeOutcomeUnknown)
		}
		return echo(in), nil
	})
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 2)})
	b.waits(t, job.ID, "a", Unknown)
	eventually(t, func() bool { return b.number(t, `SELECT count(*) FROM uaol_jobs.queue WHERE wake_at > now()`) == 1 })

	between := &cutBefore{words: "UPDATE uaol_jobs.queue"}
	cut := NewRepository(b.open(t, between))
	t.Cleanup(cut.Close)
	decision := decided{Item: whole, Attempt: 1, Decision: Retry, Account: b.caller.Account}
	require.NoError(t, cut.decideOnce(t.Context(), job.ID, decision))
	require.True(t, between.done, "it was cut once, and all of it made again")
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.decisions`))
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualError(t, cut.decideOnce(t.Context(), job.ID, decision), "This has been decided already")
}

// TestWhatBeginsAnewIsDecidedAnew: a job that is tried again asks again, and hears the
// answer.
func TestWhatBeginsAnewIsDecidedAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if b.tools.times(in.Operation) <= 2 {
			return proxy.CallResult{}, services.Errorf(services.Timeout, "cut").WithCode(services.CodeOutcomeUnknown)
		}
		return echo(in), nil
	})
	b.start(t)
	job := b.request(t, Request{Definition: b.raw(t, b.tool(t, 2), `{"id":"ask","kind":"approval","message":"May it?"},{"id":"a","tool_id":%q,"action":"do","depends_on":["ask"]}`)})
	decide := func(step string, status Status, decision Decision) {
		b.waits(t, job.ID, step, status)
		require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: step, Decision: decision}))
	}
	again := func() {
		require.Equal(t, Failed, b.ended(t, job.ID).Status)
		b.seen.forget()
		_, err := b.service.Retry(t.Context(), b.caller, job.ID)
		require.NoError(t, err)
	}
	decide("ask", Waiting, Reject)
	again()
	decide("ask", Waiting, Approve)
	decide("a", Unknown, Fail)
	again()
	decide("a", Unknown, Retry)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 2, b.spent(t))
}
