package jobs

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/providers/peers/peerstest"
	"uaol/services"
	"uaol/services/proxy"
)

// TestRunner runs the interface's contract over both of its bodies.
func TestRunner(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		runnerContract(t, b, b.service)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		client, err := NewClient(ClientConfig{URL: peerstest.Serve(t, routes(NewHandler(b.service), b.pool, events.Outlet{}).Routes.Operations...)}, peerstest.Tokens(t))
		require.NoError(t, err)
		t.Cleanup(client.peer.Close)
		runnerContract(t, b, client)
	})
}

func runnerContract(t *testing.T, b *bench, runner Runner) {
	tool := b.tool(t, 5)
	first := b.saved(t, "first", definition(t, stepJSON{ID: "a", Tool: tool, Params: map[string]any{"x": "{{input.m}}"}}))
	careful := b.saved(t, "careful", json.RawMessage(`{"steps":[{"id":"ask","kind":"approval","approves":"act"},{"id":"act","tool_id":"`+tool.String()+`","action":"do"}]}`))
	guest := b.caller
	guest.Role = services.RoleGuest
	stranger := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser}

	all, err := runner.Runnable(t.Context(), RunnableRequest{Caller: b.caller})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, Runnable{ID: first.ID, Name: "first", Version: 1, Cost: 5, Input: all[0].Input}, all[0])
	require.JSONEq(t, `{"type":"object","properties":{"m":{"description":"Read by the step a"}},"required":["m"]}`, string(all[0].Input))
	for _, other := range []services.Caller{guest, stranger} {
		none, err := runner.Runnable(t.Context(), RunnableRequest{Caller: other})
		require.NoError(t, err)
		require.Empty(t, none)
	}

	most := int64(4)
	for name, c := range map[string]struct {
		in   BeginRequest
		want peerstest.Parts
	}{
		"no input":      {BeginRequest{Workflow: first.ID, Key: "1"}, peerstest.Parts{Kind: services.Invalid, Message: "body.input: there is no input, and it reads {{input.m}}, which the workflow reads in steps[0].parameters.x", Details: `[{"path":"body.input","message":"there is no input, and it reads {{input.m}}, which the workflow reads in steps[0].parameters.x"}]`}},
		"no workflow":   {BeginRequest{Workflow: uuid.New(), Key: "2"}, peerstest.Parts{Kind: services.NotFound, Message: "Workflow not found"}},
		"more than may": {BeginRequest{Workflow: first.ID, Key: "3", Input: json.RawMessage(`{"m":1}`), MaxCost: &most}, peerstest.Parts{Kind: services.Insufficient, Code: proxy.CodeTooDear, Message: "The workflow costs 5 credits, more than the 4 that it may cost"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.Caller = b.caller
			_, err := runner.Begin(t.Context(), c.in)
			if c.want.Details == "" {
				c.want.Details = "null"
			}
			require.Equal(t, c.want, peerstest.PartsOf(t, err))
		})
	}
	_, err = runner.Begin(t.Context(), BeginRequest{Caller: stranger, Workflow: first.ID, Key: "4"})
	require.True(t, services.Is(err, services.NotFound), err)

	is, err := runner.Begin(t.Context(), BeginRequest{Caller: b.caller, Workflow: first.ID, Input: json.RawMessage(`{"m":1}`), Key: "5"})
	require.NoError(t, err)
	again, err := runner.Begin(t.Context(), BeginRequest{Caller: b.caller, Workflow: first.ID, Input: json.RawMessage(`{"m":1}`), Key: "5"})
	require.NoError(t, err)
	require.Equal(t, is.Job.ID, again.Job.ID, "the same key is the same job")
	require.Equal(t, Queued, is.Job.Status)
	require.Equal(t, 1, is.Steps)
	b.start(t)
	for !is.Job.Status.Ended() {
		next, err := runner.Standing(t.Context(), StandingRequest{Caller: b.caller, Job: is.Job.ID, After: is.Mark, Wait: MostWait})
		require.NoError(t, err)
		require.NotEqual(t, is.Mark, next.Mark, "it waits for news")
		is = next
	}
	require.Equal(t, Success, is.Job.Status)
	require.EqualValues(t, 5, is.Credits)
	require.Equal(t, 1, is.Done)
	require.Equal(t, "a: Success", is.Newest)
	require.NotEmpty(t, is.Job.FinalOutput)
	_, err = runner.Standing(t.Context(), StandingRequest{Caller: stranger, Job: is.Job.ID})
	require.True(t, services.Is(err, services.Forbidden), err)

	for _, approve := range []bool{true, false} {
		is, err := runner.Begin(t.Context(), BeginRequest{Caller: b.caller, Workflow: careful.ID, Key: uuid.NewString()})
		require.NoError(t, err)
		for len(is.Asks) == 0 {
			is, err = runner.Standing(t.Context(), StandingRequest{Caller: b.caller, Job: is.Job.ID, After: is.Mark, Wait: MostWait})
			require.NoError(t, err)
		}
		ask := is.Asks[0]
		require.Equal(t, "ask/1", ask.Key)
		require.Equal(t, tool, ask.Call.ToolID)
		err = runner.Answer(t.Context(), AnswerRequest{Caller: b.caller, Job: is.Job.ID, Step: ask.Step, Digest: "another", Approve: approve})
		require.True(t, services.Is(err, services.Conflict), err)
		require.NoError(t, runner.Answer(t.Context(), AnswerRequest{Caller: b.caller, Job: is.Job.ID, Step: ask.Step, Digest: ask.Digest, Approve: approve}))
		want := map[bool]Status{true: Success, false: Failed}[approve]
		require.Equal(t, want, b.ended(t, is.Job.ID).Status)
	}

	is, err = runner.Begin(t.Context(), BeginRequest{Caller: b.caller, Workflow: careful.ID, Key: "6"})
	require.NoError(t, err)
	err = runner.Stop(t.Context(), StandingRequest{Caller: stranger, Job: is.Job.ID})
	require.True(t, services.Is(err, services.Forbidden), err)
	require.NoError(t, runner.Stop(t.Context(), StandingRequest{Caller: b.caller, Job: is.Job.ID}))
	require.Equal(t, Cancelled, b.ended(t, is.Job.ID).Status)
	require.NoError(t, runner.Stop(t.Context(), StandingRequest{Caller: b.caller, Job: is.Job.ID}), "it stays as it is")
	b.audit(t)
}

// TestWhatIsNotRunnable: workflows whose tool is gone, or is not for the caller, and
// archived ones.
func TestWhatIsNotRunnable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool, later := b.tool(t, 1), b.tool(t, 2)
	stays := b.saved(t, "stays", definition(t, stepJSON{ID: "a", Tool: later}))
	b.saved(t, "loses its tool", definition(t, stepJSON{ID: "a", Tool: tool}))
	archived := b.saved(t, "archived", definition(t, stepJSON{ID: "a", Tool: later}))
	many := b.saved(t, "many", json.RawMessage(`{"steps":[{"id":"a","tool_id":"`+later.String()+`","action":"do","for_each":{"items":"{{input.all}}"}}]}`))
	require.NoError(t, b.service.ArchiveWorkflow(t.Context(), b.caller, archived.ID))
	b.exec(t, `UPDATE uaol_registry.tools SET status = 'Disabled' WHERE tool_id = $1`, tool)
	var names []string
	all, err := b.service.Runnable(t.Context(), RunnableRequest{Caller: b.caller})
	require.NoError(t, err)
	for _, w := range all {
		names = append(names, w.Name)
		require.Equal(t, w.ID == many.ID, w.Open, w.Name)
	}
	require.Equal(t, []string{stays.Name, many.Name}, names)
	most := int64(1000)
	_, err = b.service.Begin(t.Context(), BeginRequest{Caller: b.caller, Workflow: many.ID, Key: "k", Input: json.RawMessage(`{"all":[1]}`), MaxCost: &most})
	require.True(t, services.IsCode(err, proxy.CodeTooDear), err)
}
