package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/proxy"
	"uaol/services/registry"
)

func TestIndependentStepsRunSideBySide(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	g := newGate(t)
	b.tools.answers(g.pass)
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool}, stepJSON{ID: "c", Tool: tool, Needs: []string{"a", "b"}})
	require.ElementsMatch(t, []string{"a", "b"}, []string{g.wait(t), g.wait(t)}, "both in flight before either is answered")
	require.Equal(t, map[string]Status{"a": Running, "b": Running, "c": Pending}, statuses(b.steps(t, job.ID)))
	g.release()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 3, b.spent(t))
}

func TestAJobHasAtMostSoManyStepsInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	g := newGate(t)
	b.tools.answers(g.pass)
	b.start(t)
	steps := make([]stepJSON, 3*maxParted)
	for i := range steps {
		steps[i] = stepJSON{ID: fmt.Sprint("s", i), Tool: tool}
	}
	job := b.create(t, steps...)
	for range maxParted {
		g.wait(t)
	}
	require.EqualValues(t, maxParted, b.number(t, `SELECT count(*) FROM uaol_jobs.steps WHERE status = 'Running'`))
	g.release()
	require.Equal(t, Success, b.ended(t, job.ID).Status)
}

func TestDependenciesDecideTheOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 2)
	b.start(t)
	job := b.create(t,
		stepJSON{ID: "last", Tool: tool, Action: "third", Params: map[string]any{"all": "{{middle.result.structuredContent}}", "text": "n={{first.result.structuredContent.n}}"}},
		stepJSON{ID: "middle", Tool: tool, Action: "second", Params: map[string]any{"n": "{{first.result.structuredContent.n}}"}},
		stepJSON{ID: "first", Tool: tool, Action: "first", Params: map[string]any{"n": json.Number("9007199254740993")}})
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status)
	require.Equal(t, []string{"first", "middle", "last"}, b.tools.called())
	require.JSONEq(t, `{"all":{"n":9007199254740993},"text":"n=9007199254740993"}`, string(b.tools.received()[2].Params))
	require.Contains(t, string(b.tools.received()[2].Params), `"all":{"n":9007199254740993}`)
	for i, c := range b.tools.received() {
		require.Equal(t, job.ID, *c.Prepaid)
		require.Equal(t, b.caller.Organization, c.Caller.Organization)
		require.Equal(t, b.caller.Account, c.Caller.Account)
		require.Equal(t, tool, c.ToolID)
		require.EqualValues(t, 1, c.Version)
		require.Equal(t, []string{"first", "second", "third"}[i], c.Method)
	}
	output := object(t, string(got.FinalOutput))
	require.Len(t, output, 3)
	require.Equal(t, decoded(t, `{"n":9007199254740993}`), output["middle"].(map[string]any)["structuredContent"])
	require.NotNil(t, got.EndTime)
	require.Nil(t, got.ErrorMessage)
	require.Zero(t, got.RetryCount)
	require.EqualValues(t, 6, b.spent(t))
}

func TestFailureStopsLaterStepsAndPaysTheEarlier(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer  func() (proxy.CallResult, error)
		message string
	}{
		"the tool says isError": {func() (proxy.CallResult, error) { return isError("no such city") }, "Step bad failed: the tool says: no such city"},
		"upstream failed": {func() (proxy.CallResult, error) {
			return proxy.CallResult{}, services.Errorf(services.Upstream, "it broke")
		}, "Step bad failed: it broke"},
		"a defect of ours":  {func() (proxy.CallResult, error) { return proxy.CallResult{}, fmt.Errorf("secret") }, "Step bad failed: an internal error occurred"},
		"an error unspoken": {func() (proxy.CallResult, error) { return proxy.CallResult{}, services.Errorf(services.Upstream, "") }, "Step bad failed: an internal error occurred"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			five, seven, eleven := b.tool(t, 5), b.tool(t, 7), b.tool(t, 11)
			b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
				if stepOf(in) == "bad" {
					return c.answer()
				}
				return echo(in), nil
			})
			job := b.create(t, stepJSON{ID: "good", Tool: five}, stepJSON{ID: "bad", Tool: seven, Needs: []string{"good"}},
				stepJSON{ID: "later", Tool: eleven, Needs: []string{"bad"}}, stepJSON{ID: "later2", Tool: eleven, Params: map[string]any{"x": "{{later.result}}"}})
			balance, err := b.meter.Balance(t.Context(), billing.BalanceRequest{Caller: b.caller})
			require.NoError(t, err)
			require.EqualValues(t, 34, balance.Held, "the whole job is held before it begins")
			b.start(t)
			got := b.ended(t, job.ID)
			require.Equal(t, Failed, got.Status)
			require.Equal(t, c.message, failureOf(t, got))
			require.Equal(t, json.RawMessage(nil), got.FinalOutput)
			steps := b.steps(t, job.ID)
			require.Equal(t, map[string]Status{"good": Success, "bad": Failed, "later": Skipped, "later2": Skipped}, statuses(steps))
			require.Equal(t, strings.TrimPrefix(c.message, "Step bad failed: "), *steps["bad"].Error)
			require.Equal(t, []string{"good", "bad"}, b.tools.called())
			require.EqualValues(t, 5, b.spent(t))
		})
	}
}

func TestCallsThatDidNotLeaveAreTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var n atomic.Int64
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if n.Add(1) <= int64(len(pauses)) {
			return proxy.CallResult{}, services.Errorf(services.Unavailable, "connection refused")
		}
		return echo(in), nil
	})
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 3)})
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, len(pauses)+1, b.tools.times(job.ID.String()+"/a"), "each time as the same operation")
	require.EqualValues(t, 3, b.spent(t))
}

func TestAMissingPathFailsTheStepBeforeItsCall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Params: map[string]any{"x": "{{a.result.no.such}}"}})
	got := b.ended(t, job.ID)
	require.Equal(t, Failed, got.Status)
	require.Equal(t, `Step b failed: {{a.result.no.such}}: the result has no "no" there`, failureOf(t, got))
	require.Equal(t, []string{"a"}, b.tools.called())
	require.EqualValues(t, 1, b.spent(t))
}

func TestOddResults(t *testing.T) {
	t.Parallel()
	text := func(s string) string { return `{"content":[{"type":"text","text":` + s + `}]}` }
	for name, c := range map[string]struct {
		result string
		failed bool
		status Status
		error  string
	}{
		"NUL":                    {text(`"a\u0000b"`), false, Success, ""},
		"half a surrogate":       {text(`"\ud83d"`), false, Success, ""},
		"a number that explodes": {text(`1e131071`), false, Success, ""},
		"not UTF-8":              {"\"\xff\"", false, Failed, "the tool's result is not UTF-8"},
		"isError with NUL":       {text(`"a\u0000b\ud800"`), true, Failed, "the tool says: a\ufffdb\ufffd"},
		"isError with much":      {text(`"` + strings.Repeat("é", 600) + `"`), true, Failed, "the tool says: " + strings.Repeat("é", 500) + "…"},
		"isError and nothing":    {`{}`, true, Failed, "the tool says: isError"},
		"nine megabytes":         {text(`"` + strings.Repeat("x", 9_000_000) + `"`), false, Success, ""},
		"deep":                   {strings.Repeat("[", 9000) + strings.Repeat("]", 9000), false, Success, ""},
		"not an object":          {`"\ud83d\ude00"`, false, Success, ""},
		"big numbers":            {`{"n":9007199254740993,"f":1.50,"e":1e300}`, false, Success, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.tools.answers(func(context.Context, proxy.CallRequest) (proxy.CallResult, error) {
				return proxy.CallResult{Result: json.RawMessage(c.result), Failed: c.failed}, nil
			})
			b.start(t)
			job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 1)})
			got := b.ended(t, job.ID)
			require.Equal(t, c.status, got.Status)
			step := b.steps(t, job.ID)["a"]
			require.Equal(t, c.status, step.Status)
			if c.error != "" {
				require.Equal(t, c.error, *step.Error)
				require.Equal(t, "Step a failed: "+c.error, failureOf(t, got))
				require.Zero(t, b.spent(t))
				return
			}
			require.EqualValues(t, 1, b.spent(t))
			require.Equal(t, c.result, string(step.Result), "as the tool wrote it")
			if name == "big numbers" {
				require.Contains(t, string(step.Result), "9007199254740993")
				require.Contains(t, string(got.FinalOutput), "1.50")
			}
		})
	}
}

func TestAJobsResultsAreBoundedTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	big := json.RawMessage(`"` + strings.Repeat("x", 9_000_000) + `"`)
	b.tools.answers(func(context.Context, proxy.CallRequest) (proxy.CallResult, error) {
		return proxy.CallResult{Result: big}, nil
	})
	b.start(t, leased(time.Hour, time.Hour)) // megabytes on a busy machine may take longer than a lease of the tests
	job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Needs: []string{"a"}}, stepJSON{ID: "c", Tool: tool, Needs: []string{"b"}}, stepJSON{ID: "d", Tool: tool, Needs: []string{"c"}})
	got := b.ended(t, job.ID)
	require.Equal(t, Failed, got.Status)
	require.Equal(t, fmt.Sprintf("Step d failed: the job's results are more than %d bytes together", maxResults), failureOf(t, got))
	require.EqualValues(t, 3, b.spent(t))
}

func TestCancelQueued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	open, err := b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.True(t, open)
	b.start(t)
	got := b.ended(t, job.ID)
	require.Equal(t, Cancelled, got.Status)
	require.NotNil(t, got.EndTime)
	require.Equal(t, map[string]Status{"a": Cancelled}, statuses(b.steps(t, job.ID)))
	require.Empty(t, b.tools.called())
	require.Zero(t, b.spent(t))

	open, err = b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.False(t, open, "it has ended already")
}

// TestCancelRunning: the call in flight is cut, here at once and elsewhere with
// the next heartbeat. What was done is paid.
func TestCancelRunning(t *testing.T) {
	t.Parallel()
	for name, here := range map[string]bool{"here": true, "elsewhere": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tool := b.tool(t, 4)
			g := newGate(t)
			b.tools.answers(func(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
				if stepOf(in) == "a" {
					return echo(in), nil
				}
				return g.pass(ctx, in)
			})
			w := b.start(t, leased(time.Hour, time.Hour)) // so that no heartbeat brings the wish
			job := b.create(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: tool, Needs: []string{"a"}}, stepJSON{ID: "c", Tool: tool, Needs: []string{"b"}})
			g.wait(t)
			if here {
				_, err := b.service.Cancel(t.Context(), b.caller, job.ID)
				require.NoError(t, err)
			} else {
				_, err := b.repository.requestCancel(t.Context(), job.ID)
				require.NoError(t, err)
				require.NoError(t, w.beat(t.Context()))
			}
			require.Equal(t, Cancelled, b.ended(t, job.ID).Status)
			steps := b.steps(t, job.ID)
			require.Equal(t, map[string]Status{"a": Success, "b": Cancelled, "c": Cancelled}, statuses(steps))
			require.Contains(t, *steps["b"].Error, "OUTCOME_UNKNOWN", "nobody knows what the tool did")
			require.Equal(t, []string{"a", "b"}, b.tools.called())
			require.EqualValues(t, 4, b.spent(t), "what was done is paid")
		})
	}
}

func TestCancelThatComesTooLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	entered := make(chan struct{}, 1)
	b.tools.answers(func(ctx context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		entered <- struct{}{}
		<-ctx.Done() // the answer comes in the very moment of the cut
		return echo(in), nil
	})
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	receive(t, entered)
	_, err := b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Equal(t, Success, b.ended(t, job.ID).Status, "everything was done")
	require.EqualValues(t, 4, b.spent(t))
}

// TestACancelledJobIsTheNextOfItsLane, however many wait before it.
func TestACancelledJobIsTheNextOfItsLane(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	for range 5 {
		b.create(t, stepJSON{ID: "a", Tool: tool})
	}
	last := b.create(t, stepJSON{ID: "a", Tool: tool})
	_, err := b.service.Cancel(t.Context(), b.caller, last.ID)
	require.NoError(t, err)
	worker := uuid.New()
	require.NoError(t, b.repository.signIn(t.Context(), worker, time.Hour))
	taken, _, err := b.repository.claim(t.Context(), worker, uuid.Nil, 1)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	require.Equal(t, last.ID, taken[0].ID)
	require.True(t, taken[0].Cancel)
}

func TestCreateRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dear, pending := b.tool(t, registry.MaxPrice), b.tool(t, 1)
	require.NoError(t, b.catalog.Disable(t.Context(), admin, pending, registry.Decision{}))
	unknown := uuid.New()

	_, err := b.service.Create(t.Context(), b.caller, Request{Definition: definition(t, stepJSON{ID: "a", Tool: dear}, stepJSON{ID: "b", Tool: dear})})
	require.EqualError(t, err, "Insufficient credits. Required: 2000000000, Available: 10000")
	require.True(t, services.Is(err, services.Insufficient))

	_, err = b.service.Create(t.Context(), b.caller, Request{Definition: definition(t, stepJSON{ID: "a", Tool: unknown}, stepJSON{ID: "b", Tool: dear}, stepJSON{ID: "c", Tool: pending})})
	require.Equal(t, []services.Fault{
		{Path: at + ".steps[0].tool_id", Message: "there is no approved tool " + unknown.String()},
		{Path: at + ".steps[2].tool_id", Message: "there is no approved tool " + pending.String()},
	}, faultsOf(t, err))

	guest := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleGuest, Personal: true}
	_, err = b.service.Create(t.Context(), guest, Request{Definition: definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1001)})})
	require.EqualError(t, err, "Insufficient credits. Required: 1001, Available: 1000")

	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.outbox`))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.holds`))
	require.Zero(t, b.spent(t))
}

func TestAJobThatCannotBeStoredGivesItsHoldBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 4)
	b.exec(t, `ALTER TABLE uaol_jobs.queue RENAME TO gone`)
	_, err := b.service.Create(t.Context(), b.caller, Request{Definition: definition(t, stepJSON{ID: "a", Tool: tool})})
	require.Equal(t, services.Internal, services.KindOf(err))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_billing.holds WHERE state = 'closed'`))
	require.Zero(t, b.spent(t))
}

// Where nobody can tell whether the job was stored, its hold is left to the
// sweeper, which asks.
func TestTheSweeperEndsHoldsOfJobsThatNeverWere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	orphan := uuid.Must(uuid.NewV7())
	_, err := b.meter.Hold(t.Context(), billing.HoldRequest{ID: orphan, Caller: b.caller, Owner: billing.OwnerJob, Amount: 9, Lifetime: holdFirst})
	require.NoError(t, err)
	b.exec(t, `UPDATE uaol_billing.holds SET expires_at = now() - interval '1 second'`)
	ended, err := billing.NewSweeper(billing.NewRepository(b.pool), b.meter, b.service).Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, ended)
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 4, b.spent(t))
	over, err := b.service.Ended(t.Context(), billing.EndedRequest{JobIDs: []uuid.UUID{job.ID, orphan}})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{job.ID, orphan}, over)
}

func TestPricesAreFrozenWhenAJobIsMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 4)
	job := b.create(t, stepJSON{ID: "a", Tool: tool})
	b.exec(t, `UPDATE uaol_registry.versions SET definition = definition || '{"credit_cost_per_call": 4000}' WHERE tool_id = $1`, tool)
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 4, b.spent(t))
}

// TestAJobTakesWhatItsOwnerMaySee: a method's own price, and no tool of somebody
// else's that only they may call.
func TestAJobTakesWhatItsOwnerMaySee(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool, hidden := b.tool(t, 4), b.tool(t, 4)
	b.exec(t, `UPDATE uaol_registry.versions SET definition = definition || '{"method_costs": {"dear": 30}}' WHERE tool_id = $1`, tool)
	b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'private' WHERE tool_id = $1`, hidden)
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: tool, Action: "dear"}, stepJSON{ID: "b", Tool: tool, Action: "echo"})
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 34, b.spent(t))
	_, err := b.service.Create(t.Context(), b.caller, Request{Definition: definition(t, stepJSON{ID: "a", Tool: hidden, Action: "echo"})})
	require.ErrorContains(t, err, "there is no approved tool "+hidden.String())
}

func TestFreeJobsTouchNoLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.journal`))
}

// encoding/json takes TOOL_ID for tool_id in structs; jsonb keeps both, in its
// own order. What is priced must be what is called.
func TestASecondSpellingIsNotAnotherTool(t *testing.T) {
	t.Parallel()
	b := setup(t)
	free, dear := b.tool(t, 0), b.tool(t, 50)
	text := fmt.Sprintf(`{"steps":[{"id":"a","ID":"z","tool_id":%q,"TOOL_ID":%q,"action":"dear","Action":"free"}],
		"STEPS":[{"id":"z","tool_id":%q,"action":"free"}]}`, dear, free, free)
	_, err := b.service.Create(t.Context(), b.caller, Request{Definition: json.RawMessage(text)})
	require.Equal(t, []string{"body.workflow_definition.STEPS", "body.workflow_definition.steps[0].Action",
		"body.workflow_definition.steps[0].ID", "body.workflow_definition.steps[0].TOOL_ID"}, pathsOf(t, err))
	job, err := b.service.Create(t.Context(), b.caller, Request{Definition: json.RawMessage(text), old: true})
	require.NoError(t, err, "it was accepted once")
	b.start(t)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.Equal(t, dear, b.tools.received()[0].ToolID)
	require.Equal(t, "dear", b.tools.received()[0].Method)
	require.EqualValues(t, 50, b.spent(t))
}

// Whatever stands in the row, a worker ends the job instead of dying of it.
func TestADefinitionThatChangedUnderTheJob(t *testing.T) {
	t.Parallel()
	for name, definition := range map[string]string{
		"more steps": `{"steps":[{"id":"z","tool_id":"` + aTool + `","action":"do"},{"id":"a","tool_id":"` + aTool + `","action":"do"}]}`,
		"nothing":    `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
			b.exec(t, `UPDATE uaol_jobs.jobs SET definition = $1`, definition)
			b.start(t)
			require.Equal(t, Failed, b.ended(t, job.ID).Status)
			require.Empty(t, b.tools.called())
			require.Zero(t, b.spent(t))
		})
	}
}

// A definition comes back as it was written.
func TestADefinitionAtTheLimitCanBeReadAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := slices.Repeat([]any{1}, 360_000)
	text := definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1), Params: map[string]any{"x": list}})
	require.Less(t, len(text), maxBytes)
	job, err := b.service.Create(t.Context(), b.caller, Request{Definition: text})
	require.NoError(t, err)
	b.start(t)
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status)
	require.Equal(t, string(text), string(got.Definition))
}

func TestOnlyTheOwnerSeesAJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 1)})
	stranger := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, Personal: true}
	_, err := b.service.Get(t.Context(), stranger, job.ID)
	require.EqualError(t, err, "Access denied")
	require.True(t, services.Is(err, services.Forbidden))
	_, err = b.service.Steps(t.Context(), stranger, job.ID)
	require.True(t, services.Is(err, services.Forbidden))
	_, err = b.service.Cancel(t.Context(), stranger, job.ID)
	require.True(t, services.Is(err, services.Forbidden))
	_, err = b.service.Get(t.Context(), b.caller, uuid.New())
	require.EqualError(t, err, "Job not found")
	stranger.Role = services.RoleAdmin
	_, err = b.service.Get(t.Context(), stranger, job.ID)
	require.True(t, services.Is(err, services.Forbidden), "a platform admin decides about the platform, not about people's jobs")
}

// statements counts what an engine asks of the database.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}
func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestAThousandSteps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3)
	var asked statements
	w := b.worker(t, &asked)
	steps := make([]stepJSON, maxSteps)
	for i := range steps {
		steps[i] = stepJSON{ID: fmt.Sprint("s", i), Tool: tool}
		if i > 0 { // a tree, written from its leaves
			steps[i-1].Needs = []string{fmt.Sprint("s", min(maxSteps-1, i+i/3))}
		}
	}
	job := b.create(t, steps...)
	w.begin()
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status)
	require.Len(t, object(t, string(got.FinalOutput)), maxSteps)
	require.Len(t, b.tools.called(), maxSteps)
	for operation, n := range b.tools.counted() {
		require.Equal(t, 1, n, operation)
	}
	require.EqualValues(t, 3*maxSteps, b.spent(t))
	require.LessOrEqual(t, asked.n.Load(), int64(maxSteps+200), "what ends and what begins is one statement")
}

func TestTheDearestJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, registry.MaxPrice)
	b.grantMuch(t)
	steps := make([]stepJSON, maxSteps)
	for i := range steps {
		steps[i] = stepJSON{ID: fmt.Sprint("s", i), Tool: tool}
	}
	job := b.create(t, steps...)
	w := b.worker(t, nil)
	held := b.claim(t)
	held.Fence++ // a second worker's
	b.exec(t, `UPDATE uaol_jobs.runs SET fence = fence + 1`)
	run := newRun(w.Engine, &held)
	// All have succeeded; only the end is done here.
	b.exec(t, `INSERT INTO uaol_jobs.steps (job_id, position, item, status, attempt, seq, result)
		SELECT $1, n, -1, 'Success', 1, 1, '{}' FROM generate_series(0, $2::bigint - 1) n`, job.ID, maxSteps)
	run.work(t.Context())
	require.Equal(t, Success, b.job(t, job.ID).Status)
	require.EqualValues(t, maxSteps*registry.MaxPrice, b.spent(t))
}

func TestTwoEnginesShareTwoHundredJobs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	two, three := b.tool(t, 2), b.tool(t, 3)
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		if stepOf(in) == "fails" {
			return isError("as it should")
		}
		return echo(in), nil
	})
	first, second := b.start(t), b.start(t)
	require.NotNil(t, first)
	require.NotNil(t, second)
	const jobs = 200
	ids := make([]uuid.UUID, jobs)
	errs := make([]error, jobs)
	var making sync.WaitGroup
	room := make(chan struct{}, 8)
	for i := range jobs {
		making.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			steps := []stepJSON{{ID: "c", Tool: two, Needs: []string{"a", "b"}}, {ID: "b", Tool: three}, {ID: "a", Tool: two}}
			if i%4 == 0 {
				steps = append(steps, stepJSON{ID: "fails", Tool: three, Needs: []string{"c"}}, stepJSON{ID: "never", Tool: three, Needs: []string{"fails"}})
			}
			job, err := b.service.Create(tContext, b.caller, Request{Definition: definition(t, steps...)})
			ids[i], errs[i] = job.ID, err
		})
	}
	making.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	b.seen.wait(t, func(all []events.Event) bool {
		n := 0
		for _, e := range all {
			if e.Type == "job.ended" {
				n++
			}
		}
		return n == jobs
	})
	require.EqualValues(t, 150, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE status = 'Success'`))
	require.EqualValues(t, 50, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE status = 'Failed'`))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE attempts <> 1 OR end_time IS NULL`), "each was claimed once and is over")
	require.Zero(t, b.number(t, `SELECT (SELECT count(*) FROM uaol_jobs.queue) + (SELECT count(*) FROM uaol_jobs.runs)`))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.steps WHERE attempt > 1 OR status IN ('Pending', 'Running')`))
	require.Len(t, b.tools.called(), jobs*3+jobs/4)
	for operation, n := range b.tools.counted() {
		require.Equal(t, 1, n, operation)
	}
	require.EqualValues(t, jobs*7, b.spent(t))
	require.EqualValues(t, jobs*3, b.number(t, `SELECT count(*) FROM uaol_billing.journal WHERE kind = 'settle'`))
}

func TestAPanicIsNotTheProcesss(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var once sync.Once
	panicked := make(chan struct{})
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) {
		once.Do(func() { close(panicked); panic("a defect") })
		return echo(in), nil
	})
	w := b.start(t)
	job := b.create(t, stepJSON{ID: "a", Tool: b.tool(t, 4)})
	receive(t, panicked)
	got := b.ended(t, job.ID)
	require.Equal(t, "Step a failed: an internal error occurred", failureOf(t, got))
	require.NotNil(t, w)
	require.Zero(t, b.spent(t))
}
