package jobs

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// TestWorkflowsThatAreRunAreThere, and are the caller's; nobody learns of others'.
func TestWorkflowsThatAreRunAreThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	id := b.saves(t, tool, `{"id":"a","tool_id":%q,"action":"do"}`)
	archived := b.saves(t, tool, `{"id":"a","tool_id":%q,"action":"do"}`)
	require.NoError(t, b.service.ArchiveWorkflow(t.Context(), b.caller, archived))
	b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
	other, err := b.service.SaveWorkflow(t.Context(), b.user(), WorkflowRequest{Name: "x", Definition: b.raw(t, tool, `{"id":"a","tool_id":%q,"action":"do"}`)})
	require.NoError(t, err)
	none := uuid.New()
	text := json.RawMessage(fmt.Sprintf(`{"steps":[
		{"id":"a","kind":"workflow","workflow_id":%q},
		{"id":"b","kind":"workflow","workflow_id":%q,"version":1,"when":"input.x"},
		{"id":"c","kind":"workflow","workflow_id":%q,"version":2},
		{"id":"d","kind":"workflow","workflow_id":%q,"for_each":{"items":[]}},
		{"id":"e","kind":"workflow","workflow_id":%q},
		{"id":"f","kind":"workflow","workflow_id":%q,"when":"false"}]}`, id, id, id, other.ID, archived, none))
	want := []services.Fault{
		{Path: "body.workflow_definition.steps[2].version", Message: fmt.Sprintf("there is no version 2 of the workflow %s", id)},
		{Path: "body.workflow_definition.steps[3].workflow_id", Message: fmt.Sprintf("there is no workflow %s", other.ID)},
		{Path: "body.workflow_definition.steps[4].workflow_id", Message: fmt.Sprintf("there is no workflow %s", archived)},
		{Path: "body.workflow_definition.steps[5].workflow_id", Message: fmt.Sprintf("there is no workflow %s", none)},
	}
	_, err = b.service.Create(t.Context(), b.caller, Request{Definition: text})
	require.Equal(t, want, faultsOf(t, err))
	_, err = b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: "y", Definition: text})
	require.Equal(t, want, faultsOf(t, err))
	cron := "@daily"
	_, err = b.service.AddSchedule(t.Context(), b.caller, ScheduleChange{Cron: &cron, Definition: text})
	require.Equal(t, want, faultsOf(t, err))
}

// TestAWorkflowThatRunsItselfIsRefused where nothing could end it.
func TestAWorkflowThatRunsItselfIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	const plain = `{"id":"a","tool_id":%q,"action":"do"}`
	first, second := b.saves(t, tool, plain), b.saves(t, tool, plain)
	change := func(id uuid.UUID, definition json.RawMessage) error {
		_, err := b.service.ChangeWorkflow(t.Context(), b.caller, id, WorkflowChange{Definition: definition})
		return err
	}
	refused := func(err error, id uuid.UUID) {
		t.Helper()
		require.Equal(t, []services.Fault{{Path: "body.workflow_definition.steps[0].workflow_id",
			Message: fmt.Sprintf("never ends: the workflow %s would run itself again and again; a step with a condition (when) may", id)}}, faultsOf(t, err))
	}
	refused(change(first, child(first, "")), first)
	refused(change(first, child(first, `,"on_error":"fail","retry":{"attempts":2}`)), first)
	require.NoError(t, change(second, child(first, "")))
	refused(change(first, child(second, "")), first)
	require.Equal(t, []string{"body.workflow_definition.steps[0].version"}, pathsOf(t, change(first, child(first, `,"version":2`))), "which it would be")

	require.NoError(t, change(first, child(first, `,"version":1`)), "the one before")
	require.NoError(t, change(first, child(second, `,"when":"input.n > 0"`)))
	require.NoError(t, change(first, child(second, `,"for_each":{"items":"{{input}}"}`)), "the list may be empty")
	require.NoError(t, change(first, child(second, `,"version":1`)))

	b.exec(t, `UPDATE uaol_jobs.workflow_versions SET definition = $2 WHERE workflow_id = $1 AND version = 1`, second, string(child(first, "")))
	_, err := b.service.Create(t.Context(), b.caller, Request{Workflow: &first})
	refused(err, first)
	_, err = b.service.Create(t.Context(), b.caller, Request{Workflow: &second, Version: 1})
	refused(err, second)
	_, err = b.service.Create(t.Context(), b.caller, Request{Definition: child(first, "")})
	require.ErrorContains(t, err, "never ends")
	_, err = b.service.Create(t.Context(), b.caller, Request{Workflow: &first, Version: 1})
	require.NoError(t, err)
}

func TestWorkflowsThatAreTooDeep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.saves(t, b.tool(t, 0), `{"id":"a","tool_id":%q,"action":"do"}`)
	for range deepest - 1 {
		made, err := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: uuid.NewString(), Definition: child(id, "")})
		require.NoError(t, err)
		id = made.ID
	}
	b.start(t)
	require.Equal(t, Success, b.ended(t, b.request(t, Request{Workflow: &id}).ID).Status)
	_, err := b.service.Create(t.Context(), b.caller, Request{Definition: child(id, "")})
	require.Equal(t, []services.Fault{{Path: "body.workflow_definition.steps[0].workflow_id",
		Message: "is too deep: workflows may be within each other 8 deep"}}, faultsOf(t, err))
}
