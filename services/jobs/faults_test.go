package jobs

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// TestFaultsOfABatchAreWhereTheyAre, also of a batch of one.
func TestFaultsOfABatchAreWhereTheyAre(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bad := json.RawMessage(`{"steps":[{"id":"a"}]}`)
	_, err := b.service.CreateMany(t.Context(), b.caller, []Request{{Definition: bad}})
	require.Equal(t, []string{"body.jobs[0].workflow_definition.steps[0].tool_id", "body.jobs[0].workflow_definition.steps[0].action"}, pathsOf(t, err))
	require.EqualError(t, err, "body.jobs[0].workflow_definition.steps[0].tool_id: must be a tool's id")
	_, err = b.service.CreateMany(t.Context(), b.caller, []Request{{Definition: json.RawMessage(`{}`)}})
	require.EqualError(t, err, "body.jobs[0].workflow_definition.steps: workflow_definition with steps is required")
	_, err = b.service.CreateMany(t.Context(), b.caller, []Request{{Definition: bad, shared: true}, {Definition: bad, shared: true, Timeout: "soon"}})
	require.Equal(t, []string{"body.workflow_definition.steps[0].tool_id", "body.workflow_definition.steps[0].action", "body.jobs[1].timeout"}, pathsOf(t, err), "the batch's own is wrong once")
}

// TestWhatIsWrongWithAJobIsToldBesideItsDefinition's faults.
func TestWhatIsWrongWithAJobIsToldBesideItsDefinition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.service.Create(t.Context(), b.caller, Request{Definition: json.RawMessage(`{}`), Timeout: "soon", Metadata: json.RawMessage(`1`)})
	require.Equal(t, []string{"body.workflow_definition.steps", "body.timeout", "body.metadata"}, pathsOf(t, err))
	require.EqualError(t, err, "workflow_definition with steps is required")
}

// TestAnInputThatLacksWhatIsRead is refused before anything is held or run.
func TestAnInputThatLacksWhatIsRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 3)
	const steps = `{"id":"a","tool_id":%q,"action":"do","parameters":{"x":"{{input.m}}"}}`
	text := b.raw(t, tool, steps)
	for input, want := range map[string]string{`{"k":1}`: "input has no member m", ``: "there is no input, and it reads {{input.m}}"} {
		_, err := b.service.Create(t.Context(), b.caller, Request{Definition: text, Input: json.RawMessage(input)})
		require.Equal(t, []services.Fault{{Path: "body.workflow_definition.steps[0].parameters.x", Message: want}}, faultsOf(t, err))
	}
	_, err := b.service.CreateMany(t.Context(), b.caller, []Request{{Definition: text, Input: json.RawMessage(`{"m":1}`)}, {Definition: text, Input: json.RawMessage(`{}`)}})
	require.Equal(t, []string{"body.jobs[1].workflow_definition.steps[0].parameters.x"}, pathsOf(t, err))

	id := b.saves(t, tool, steps)
	_, err = b.service.Create(t.Context(), b.caller, Request{Workflow: &id, Input: json.RawMessage(`{}`)})
	require.Equal(t, []services.Fault{{Path: "body.input", Message: "input has no member m, which the workflow reads in steps[0].parameters.x"}}, faultsOf(t, err))
	cron := "@daily"
	_, err = b.service.AddSchedule(t.Context(), b.caller, ScheduleChange{Cron: &cron, Workflow: &id})
	require.Equal(t, []string{"body.input"}, pathsOf(t, err))
	_, err = b.service.AddSchedule(t.Context(), b.caller, ScheduleChange{Cron: &cron, Workflow: &id, Input: json.RawMessage(`{"m":1}`)})
	require.NoError(t, err)
	b.request(t, Request{Workflow: &id, Input: json.RawMessage(`{"m":null}`)})
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
}

// TestWhatWasAcceptedGoesOn: the language has come to refuse it since.
func TestWhatWasAcceptedGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	fine := b.raw(t, tool, `{"id":"a","tool_id":%q,"action":"do"}`)
	slip := b.raw(t, tool, `{"id":"a","tool_id":%q,"action":"do","retries":3}`)
	_, err := b.service.Create(t.Context(), b.caller, Request{Definition: slip})
	require.Equal(t, []string{"body.workflow_definition.steps[0].retries"}, pathsOf(t, err))
	id := b.saves(t, tool, `{"id":"a","tool_id":%q,"action":"do"}`)
	cron := "@daily"
	schedule, err := b.service.AddSchedule(t.Context(), b.caller, ScheduleChange{Cron: &cron, Definition: fine})
	require.NoError(t, err)
	b.exec(t, `UPDATE uaol_jobs.workflow_versions SET definition = $1`, string(slip))
	b.exec(t, `UPDATE uaol_jobs.schedules SET definition = $1`, string(slip))
	b.start(t)
	require.Equal(t, Success, b.ended(t, b.request(t, Request{Workflow: &id}).ID).Status)
	job, err := b.service.RunSchedule(t.Context(), b.caller, schedule.ID, "")
	require.NoError(t, err)
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	hourly := "@hourly"
	_, err = b.service.ChangeSchedule(t.Context(), b.caller, schedule.ID, ScheduleChange{Cron: &hourly})
	require.NoError(t, err)
	_, err = b.service.ChangeSchedule(t.Context(), b.caller, schedule.ID, ScheduleChange{Definition: slip})
	require.Equal(t, []string{"body.workflow_definition.steps[0].retries"}, pathsOf(t, err))
	_, err = b.service.Create(t.Context(), b.caller, Request{Definition: slip})
	require.Error(t, err, "though it is known by now")

	failed := b.request(t, Request{Definition: b.raw(t, tool, `{"id":"a","tool_id":%q,"action":"do","parameters":{"x":1}}`)})
	b.ended(t, failed.ID)
	b.exec(t, `UPDATE uaol_jobs.jobs SET definition = $2, status = 'Failed' WHERE job_id = $1`, failed.ID, string(slip))
	b.exec(t, `INSERT INTO uaol_jobs.failures (job_id, organization_id, status, created_at) SELECT job_id, organization_id, status, created_at FROM uaol_jobs.jobs WHERE job_id = $1`, failed.ID)
	made, err := b.service.Redrive(t.Context(), b.caller, RedriveRequest{Jobs: []uuid.UUID{failed.ID}})
	require.NoError(t, err)
	require.Equal(t, Success, b.ended(t, made[0].Job).Status)
}
