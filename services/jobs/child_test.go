package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services/proxy"
)

// saves saves a workflow of raw steps.
func (b *bench) saves(t testing.TB, tool uuid.UUID, steps string) uuid.UUID {
	t.Helper()
	made, err := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: uuid.NewString(), Definition: b.raw(t, tool, steps)})
	require.NoError(t, err)
	return made.ID
}

func child(id uuid.UUID, more string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"steps":[{"id":"sub","kind":"workflow","workflow_id":%q%s}]}`, id, more))
}

func TestAWorkflowWithinAWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3)
	id := b.saves(t, tool, `{"id":"a","tool_id":%q,"action":"do","parameters":{"x":"{{input.n}}"}}`)
	b.start(t)
	job := b.request(t, Request{Input: json.RawMessage(`{"n":7}`), Definition: json.RawMessage(fmt.Sprintf(`{"steps":[
		{"id":"sub","kind":"workflow","workflow_id":%q,"input":{"n":"{{input.n}}"}},
		{"id":"each","kind":"workflow","workflow_id":%q,"input":{"n":"{{item}}"},"for_each":{"items":[1,2,3]}},
		{"id":"after","tool_id":%q,"action":"do","parameters":{"got":"{{sub.result.a.structuredContent.x}}"}}]}`, id, id, tool))})
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status, "%v", got.ErrorMessage)
	require.Contains(t, string(got.FinalOutput), `"got":7`)
	require.EqualValues(t, 5, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.EqualValues(t, 4, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE parent_id = $1`, job.ID))
	require.EqualValues(t, 15, b.spent(t), "each for itself")
}

func TestAWorkflowWithinThatFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.saves(t, b.tool(t, 3), `{"id":"a","tool_id":%q,"action":"do"}`)
	b.failingUntil("a")
	b.start(t)
	job := b.request(t, Request{Definition: child(id, `,"retry":{"attempts":2,"backoff":"1ms"}`)})
	require.Equal(t, "Step sub failed: the workflow ended as Failed: Step a failed: the tool says: broken", failureOf(t, b.ended(t, job.ID)))
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE parent_id = $1`, job.ID), "another attempt is another job")
	require.Zero(t, b.spent(t))
}

// unsaid is a job whose worker died between making the job of a step and saying so, and
// while that one's call was at its tool.
func unsaid(t *testing.T) (b *bench, job, sub uuid.UUID) {
	t.Helper()
	b = setup(t)
	id := b.saves(t, b.tool(t, 3), `{"id":"a","tool_id":%q,"action":"do"}`)
	g := newGate(t)
	b.tools.answers(g.pass)
	first := b.start(t, handingBackIn(0))
	job = b.request(t, Request{Definition: child(id, "")}).ID
	g.wait(t)
	b.waits(t, job, "sub", Waiting)
	first.kill()
	b.exec(t, `DELETE FROM uaol_jobs.steps WHERE job_id = $1`, job)
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT job_id FROM uaol_jobs.jobs WHERE parent_id = $1`, job).Scan(&sub))
	return b, job, sub
}

// TestAWorkflowWithinIsMadeOnce, whatever becomes of the worker that waits for it,
// and ends with the job that it is a step of.
func TestAWorkflowWithinIsMadeOnce(t *testing.T) {
	t.Parallel()
	b, job, sub := unsaid(t)
	b.exec(t, `UPDATE uaol_jobs.workers SET lease_until = now()`)
	b.tools.answers(func(_ context.Context, in proxy.CallRequest) (proxy.CallResult, error) { return echo(in), nil })
	b.start(t)
	b.exec(t, `UPDATE uaol_jobs.queue SET wake_at = NULL`)
	eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE parent_id = $1`, job) == 1
	})
	b.waits(t, sub, "a", Unknown)
	_, err := b.service.Cancel(t.Context(), b.caller, job)
	require.NoError(t, err)
	require.Equal(t, Cancelled, b.ended(t, job).Status)
	require.Equal(t, Cancelled, b.ended(t, sub).Status)
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.Zero(t, b.spent(t))
}

// TestAWorkflowWithinEndsThoughNobodySaidSo: a worker that made it died before it could
// say so, and the job around it is cancelled before another has looked.
func TestAWorkflowWithinEndsThoughNobodySaidSo(t *testing.T) {
	t.Parallel()
	b, job, sub := unsaid(t)
	_, err := b.service.Cancel(t.Context(), b.caller, job)
	require.NoError(t, err)
	b.exec(t, `UPDATE uaol_jobs.workers SET lease_until = now()`)
	b.start(t)
	require.Equal(t, Cancelled, b.ended(t, job).Status)
	require.Equal(t, Cancelled, b.ended(t, sub).Status)
	require.Zero(t, b.spent(t))
}

// TestAWorkflowWithinEndsFirst: a worker that dies when a job's end is not stored yet
// leaves no job behind that goes on for it.
func TestAWorkflowWithinEndsFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3)
	saved, err := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: "asks", Definition: json.RawMessage(`{"steps":[{"id":"ask","kind":"approval","message":"go?"}]}`)})
	require.NoError(t, err)
	b.start(t, func(e *Engine) { e.meter = &dying{b.meter, 0} })
	job := b.request(t, Request{Definition: json.RawMessage(fmt.Sprintf(`{"steps":[
		{"id":"a","tool_id":%q,"action":"do"},{"id":"sub","kind":"workflow","workflow_id":%q}]}`, tool, saved.ID))})
	b.waits(t, job.ID, "a", Success)
	b.waits(t, job.ID, "sub", Waiting)
	var sub uuid.UUID
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT job_id FROM uaol_jobs.jobs WHERE parent_id = $1`, job.ID).Scan(&sub))
	_, err = b.service.Cancel(t.Context(), b.caller, job.ID)
	require.NoError(t, err)
	require.Equal(t, Cancelled, b.ended(t, sub).Status)
	require.Equal(t, Running, b.job(t, job.ID).Status, "its worker could not pay")
}

func TestWorkflowsAreNotWithinEachOtherForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.saves(t, b.tool(t, 0), `{"id":"a","tool_id":%q,"action":"do"}`)
	_, err := b.service.ChangeWorkflow(t.Context(), b.caller, id, WorkflowChange{Definition: child(id, `,"when":"true"`)}) // it might end
	require.NoError(t, err)
	b.start(t)
	job := b.request(t, Request{Workflow: &id})
	require.Contains(t, failureOf(t, b.ended(t, job.ID)), "within each other more than 8 deep")
	require.EqualValues(t, deepest, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
}

// TestAJobThatIsGone has ended, for whoever wants to tell it something: nobody waits
// for it.
func TestAJobThatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	open, err := b.repository.signal(t.Context(), b.pool, uuid.New(), true)
	require.NoError(t, err)
	require.False(t, open)
}
