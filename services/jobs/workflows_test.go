package jobs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/jobs/workflow"
)

func (b *bench) saved(t testing.TB, name string, definition json.RawMessage) Workflow {
	t.Helper()
	made, err := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: name, Definition: definition})
	require.NoError(t, err)
	return made
}

// pathsOf are where the faults of an error are.
func pathsOf(t require.TestingT, err error) (paths []string) {
	for _, f := range faultsOf(t, err) {
		paths = append(paths, f.Path)
	}
	return paths
}

// TestSavedDefinitionsAreCheckedAsJobsAre: the same faults at the same paths.
func TestSavedDefinitionsAreCheckedAsJobsAre(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 20_000)
	kept := b.saved(t, "kept", definition(t, stepJSON{ID: "a", Tool: tool}))
	for name, bad := range map[string]string{
		"nothing":         ``,
		"null":            `null`,
		"no steps":        `{}`,
		"no object":       `"abc"`,
		"a circle":        string(definition(t, stepJSON{ID: "a", Tool: tool, Needs: []string{"a"}})),
		"unknown tool":    string(definition(t, stepJSON{ID: "a", Tool: tool}, stepJSON{ID: "b", Tool: uuid.New()})),
		"no such step":    string(definition(t, stepJSON{ID: "a", Tool: tool, Params: map[string]any{"x": "{{b.result}}"}})),
		"several at once": string(definition(t, stepJSON{ID: "a!", Tool: tool}, stepJSON{ID: "b", Tool: tool, Needs: []string{"z"}})),
	} {
		_, want := b.service.Create(t.Context(), b.caller, Request{Definition: json.RawMessage(bad)})
		require.Equal(t, services.Invalid, services.KindOf(want), name)
		_, err := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: "x", Definition: json.RawMessage(bad)})
		require.Equal(t, faultsOf(t, want), faultsOf(t, err), name)
		require.Equal(t, want.Error(), err.Error(), name)
		if given(json.RawMessage(bad)) {
			_, err = b.service.ChangeWorkflow(t.Context(), b.caller, kept.ID, WorkflowChange{Definition: json.RawMessage(bad)})
			require.Equal(t, faultsOf(t, want), faultsOf(t, err), name)
		}
	}
	require.Zero(t, b.number(t, `SELECT coalesce(sum(held), 0)::bigint FROM uaol_billing.accounts`), "saving holds nothing")
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.workflow_versions`))
	for _, name := range []string{" ", "\t\n"} {
		_, err := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: name, Definition: kept.Definition})
		require.Equal(t, []string{"body.name"}, pathsOf(t, err))
		_, err = b.service.ChangeWorkflow(t.Context(), b.caller, kept.ID, WorkflowChange{Name: &name})
		require.Equal(t, []string{"body.name"}, pathsOf(t, err))
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	texts := []json.RawMessage{definition(t, stepJSON{ID: "a", Tool: tool}), definition(t, stepJSON{ID: "b", Tool: tool})}
	made := b.saved(t, "one", texts[0])
	require.EqualValues(t, 1, made.Version)
	change := func(in WorkflowChange) (Workflow, error) {
		return b.service.ChangeWorkflow(t.Context(), b.caller, made.ID, in)
	}
	name, description := "two", "what it does"
	got, err := change(WorkflowChange{Name: &name, Description: &description})
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Version, "it says the same")
	require.Equal(t, []string{"two", "what it does", string(texts[0])}, []string{got.Name, got.Description, string(got.Definition)})
	got, err = change(WorkflowChange{Definition: json.RawMessage(strings.ReplaceAll(string(texts[0]), ",", " ,\n"))})
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Version, "the same, written in another way")
	got, err = change(WorkflowChange{Definition: texts[1], IfVersion: 1})
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Version)
	require.Equal(t, "two", got.Name)
	_, err = change(WorkflowChange{Definition: texts[0], IfVersion: 1})
	require.Equal(t, services.Conflict, services.KindOf(err))
	_, err = change(WorkflowChange{Name: &name, IfVersion: 3})
	require.Equal(t, services.Conflict, services.KindOf(err))

	found, err := b.service.Workflow(t.Context(), b.caller, made.ID)
	require.NoError(t, err)
	require.Equal(t, string(texts[1]), string(found.Definition))
	for i, text := range texts {
		v, err := b.service.WorkflowVersion(t.Context(), b.caller, made.ID, int64(i+1))
		require.NoError(t, err)
		require.Equal(t, string(text), string(v.Definition))
		require.Equal(t, b.caller.Account, v.Account)
	}
	_, err = b.service.WorkflowVersion(t.Context(), b.caller, made.ID, 3)
	require.Equal(t, services.NotFound, services.KindOf(err))
}

// TestNamesAreUnique among the workflows of an organisation that are not archived.
func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})
	first := b.saved(t, "name", text)
	other := b.saved(t, "other", text)
	_, err := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: "name", Definition: text})
	require.Equal(t, services.Conflict, services.KindOf(err))
	require.ErrorContains(t, err, `There is a workflow "name" already`)
	name := "name"
	_, err = b.service.ChangeWorkflow(t.Context(), b.caller, other.ID, WorkflowChange{Name: &name})
	require.ErrorContains(t, err, `There is a workflow "name" already`)
	b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
	_, err = b.service.SaveWorkflow(t.Context(), b.user(), WorkflowRequest{Name: "name", Definition: text})
	require.NoError(t, err, "another organisation's")
	require.NoError(t, b.service.ArchiveWorkflow(t.Context(), b.caller, first.ID))
	require.NoError(t, b.service.ArchiveWorkflow(t.Context(), b.caller, first.ID), "twice is once")
	_, err = b.service.ChangeWorkflow(t.Context(), b.caller, other.ID, WorkflowChange{Name: &name})
	require.NoError(t, err)
	_, err = b.service.ChangeWorkflow(t.Context(), b.caller, first.ID, WorkflowChange{Definition: text})
	require.ErrorContains(t, err, "archived")
}

// TestChangesAtOnce: each makes a version of its own; of those that say what they
// saw, one does.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 0)
	made := b.saved(t, "w", definition(t, stepJSON{ID: "a", Tool: tool}))
	const many = 8
	at := func(ifVersion int64) (done []int64, refused int) {
		var mu sync.Mutex
		var group sync.WaitGroup
		for i := range many {
			group.Go(func() {
				got, err := b.service.ChangeWorkflow(tContext, b.caller, made.ID,
					WorkflowChange{Definition: definition(t, stepJSON{ID: fmt.Sprintf("s%d-%d", ifVersion, i), Tool: tool}), IfVersion: ifVersion})
				mu.Lock()
				defer mu.Unlock()
				if services.Is(err, services.Conflict) {
					refused++
				} else if err != nil {
					t.Error(err)
				} else {
					done = append(done, got.Version)
				}
			})
		}
		group.Wait()
		slices.Sort(done)
		return done, refused
	}
	done, refused := at(0)
	require.Equal(t, []int64{2, 3, 4, 5, 6, 7, 8, 9}, done)
	require.Zero(t, refused)
	done, refused = at(9)
	require.Equal(t, []int64{10}, done)
	require.Equal(t, many-1, refused)
	require.EqualValues(t, 10, b.number(t, `SELECT count(DISTINCT definition) FROM uaol_jobs.workflow_versions`), "nothing was lost")
	_, err := b.pool.Exec(t.Context(), `INSERT INTO uaol_jobs.workflow_versions (workflow_id, version, definition, account_id) VALUES ($1, 10, '', $1)`, made.ID)
	require.ErrorContains(t, err, "workflow_versions_once")
}

// TestJobsOfSavedWorkflows carry the text that was in force, and say of what they
// are.
func TestJobsOfSavedWorkflows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 1)
	first, second := definition(t, stepJSON{ID: "a", Tool: tool}), definition(t, stepJSON{ID: "b", Tool: tool})
	w := b.saved(t, "w", first)
	_, err := b.service.ChangeWorkflow(t.Context(), b.caller, w.ID, WorkflowChange{Definition: second})
	require.NoError(t, err)
	one := b.request(t, Request{Workflow: &w.ID, Version: 1})
	newest := b.request(t, Request{Workflow: &w.ID, Definition: json.RawMessage("null"), Key: "k"})
	for _, job := range []Job{newest, b.job(t, newest.ID)} {
		require.Equal(t, string(second), string(job.Definition))
		require.Equal(t, []any{w.ID, int64(2)}, []any{*job.Workflow, *job.Version})
	}
	require.Equal(t, string(first), string(b.job(t, one.ID).Definition))
	require.EqualValues(t, 1, *b.job(t, one.ID).Version)

	third := definition(t, stepJSON{ID: "c", Tool: tool})
	_, err = b.service.ChangeWorkflow(t.Context(), b.caller, w.ID, WorkflowChange{Definition: third})
	require.NoError(t, err)
	again, err := b.service.Create(t.Context(), b.caller, Request{Workflow: &w.ID, Definition: json.RawMessage("null"), Key: "k"})
	require.NoError(t, err, "the same request, though the workflow has changed")
	require.Equal(t, newest.ID, again.ID)

	ids, err := b.service.CreateMany(t.Context(), b.caller, []Request{{Workflow: &w.ID}, {Definition: first}, {Workflow: &w.ID, Version: 2}, {Workflow: &w.ID}})
	require.NoError(t, err)
	for i, want := range []json.RawMessage{third, first, second, third} {
		require.Equal(t, string(want), string(b.job(t, ids[i]).Definition))
		require.Equal(t, i != 1, b.job(t, ids[i]).Workflow != nil)
	}

	// What was driven again is still of its workflow, also of an archived one.
	require.NoError(t, b.service.ArchiveWorkflow(t.Context(), b.caller, w.ID))
	_, err = b.service.Create(t.Context(), b.caller, Request{Workflow: &w.ID})
	require.Equal(t, services.NotFound, services.KindOf(err), "nothing new begins of it")
	_, err = b.service.Cancel(t.Context(), b.caller, one.ID)
	require.NoError(t, err)
	b.start(t)
	require.Equal(t, Cancelled, b.ended(t, one.ID).Status)
	require.Equal(t, Success, b.ended(t, newest.ID).Status, "what was made of it goes on")
	redriven, err := b.service.Redrive(t.Context(), b.caller, RedriveRequest{Jobs: []uuid.UUID{one.ID}})
	require.NoError(t, err)
	require.Equal(t, w.ID, *b.job(t, redriven[0].Job).Workflow)
	require.EqualValues(t, 1, *b.job(t, redriven[0].Job).Version)
	got, err := b.service.Workflow(t.Context(), b.caller, w.ID)
	require.NoError(t, err)
	require.NotNil(t, got.ArchivedAt)
}

func TestWhichWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := definition(t, stepJSON{ID: "a", Tool: b.tool(t, 0)})
	w := b.saved(t, "w", text)
	for name, test := range map[string]struct {
		in   Request
		path string
	}{
		"both":            {Request{Definition: text, Workflow: &w.ID}, "body.workflow_id"},
		"neither":         {Request{}, "body.workflow_definition.steps"},
		"a lonely number": {Request{Definition: text, Version: 1}, "body.workflow_version"},
	} {
		_, err := b.service.Create(t.Context(), b.caller, test.in)
		require.Equal(t, []string{test.path}, pathsOf(t, err), name)
		_, err = b.service.CreateMany(t.Context(), b.caller, []Request{{Definition: text}, test.in})
		require.Equal(t, []string{"body.jobs[1]" + strings.TrimPrefix(test.path, "body")}, pathsOf(t, err), name)
	}
	nobodys := uuid.New()
	for name, in := range map[string]Request{"no workflow": {Workflow: &nobodys}, "no version": {Workflow: &w.ID, Version: 2}} {
		_, err := b.service.Create(t.Context(), b.caller, in)
		require.Equal(t, services.NotFound, services.KindOf(err), name)
	}
	stranger := b.user()
	_, err := b.service.Create(t.Context(), stranger, Request{Workflow: &w.ID})
	require.Equal(t, errNoWorkflow, err)
	for name, ask := range map[string]func() error{
		"see":      func() error { _, err := b.service.Workflow(t.Context(), stranger, w.ID); return err },
		"versions": func() error { _, err := b.service.WorkflowVersions(t.Context(), stranger, w.ID, 9, 9); return err },
		"version":  func() error { _, err := b.service.WorkflowVersion(t.Context(), stranger, w.ID, 1); return err },
		"change": func() error {
			_, err := b.service.ChangeWorkflow(t.Context(), stranger, w.ID, WorkflowChange{Definition: json.RawMessage("7")})
			return err
		},
		"archive": func() error { return b.service.ArchiveWorkflow(t.Context(), stranger, w.ID) },
		"engine": func() error {
			_, _, err := b.service.savedDefinition(t.Context(), stranger.Organization, w.ID, 0)
			return err
		},
	} {
		require.Equal(t, services.NotFound, services.KindOf(ask()), name)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 2)
	for _, template := range Templates() {
		parameters := map[string]string{}
		for _, p := range template.Parameters {
			require.Contains(t, string(template.Definition), `"<`+p.Name+`>"`)
			if parameters[p.Name] = `do "it"`; p.id {
				parameters[p.Name] = tool.String()
			}
		}
		text, _, err := fromTemplate(template.Name, parameters)
		require.NoError(t, err)
		_, err = workflow.Parse(text)
		require.NoError(t, err)
		saved, err := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: template.Name, Template: template.Name, Parameters: parameters})
		require.NoError(t, err)
		require.Equal(t, string(text), string(saved.Definition))
		require.Equal(t, template.Description, saved.Description)
	}
	good := map[string]string{"tool_id": tool.String(), "action": "do"}
	with := func(name, value string) map[string]string {
		return map[string]string{"tool_id": good["tool_id"], "action": good["action"], name: value}
	}
	for name, test := range map[string]struct {
		in    WorkflowRequest
		paths []string
	}{
		"unknown":            {WorkflowRequest{Template: "nonsense"}, []string{"body.template"}},
		"both":               {WorkflowRequest{Template: "document-question", Definition: json.RawMessage(`{}`)}, []string{"body.template"}},
		"no parameters":      {WorkflowRequest{Template: "document-question"}, []string{"body.parameters.tool_id", "body.parameters.action"}},
		"no id":              {WorkflowRequest{Template: "document-question", Parameters: with("tool_id", "search")}, []string{"body.parameters.tool_id"}},
		"another form of id": {WorkflowRequest{Template: "document-question", Parameters: with("tool_id", "urn:uuid:"+tool.String())}, []string{"body.parameters.tool_id"}},
		"blank":              {WorkflowRequest{Template: "document-question", Parameters: with("action", " ")}, []string{"body.parameters.action"}},
		"too many":           {WorkflowRequest{Template: "document-question", Parameters: with("model", "x")}, []string{"body.parameters.model"}},
		"no tool":            {WorkflowRequest{Template: "document-question", Parameters: with("tool_id", uuid.NewString())}, []string{"body.parameters.tool_id"}},
	} {
		test.in.Name = "x"
		_, err := b.service.SaveWorkflow(t.Context(), b.caller, test.in)
		require.Equal(t, test.paths, pathsOf(t, err), name)
	}
	offer, pinned := offered(1)
	b.service.catalog = offering{offer: offer}
	_, err := b.service.SaveWorkflow(t.Context(), b.caller, WorkflowRequest{Name: "x", Template: "document-question", Parameters: map[string]string{"tool_id": pinned.String(), "action": "nothing"}})
	require.Equal(t, []string{"body.parameters.action"}, pathsOf(t, err))
}

// asking sends requests to this service alone, as accounts or as a guest.
func (b *bench) asking(t testing.TB, more ...api.Operation) func(who, method, path, body string) (int, map[string]any) {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	api.Mount(router, api.Guards{Authenticator: known{}}, true, append(NewHandler(b.service).operations(), more...)...)
	return func(who, method, path, body string) (int, map[string]any) {
		request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(api.GuestHeader, "guest")
		if who != "" {
			request.Header.Set("Authorization", "Bearer "+who)
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, request)
		return w.Code, object(t, w.Body.String())
	}
}

// me is the account that a bearer token of asking is for.
func (b *bench) me() string {
	me := uuid.New()
	b.caller = services.Caller{Account: me, Organization: me, Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
	return me.String()
}

func messageOf(answer map[string]any) string {
	return answer["error"].(map[string]any)["message"].(string)
}

func TestWorkflowRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	me, ask := b.me(), b.asking(t)
	tool := b.tool(t, 0)
	text := string(definition(t, stepJSON{ID: "a", Tool: tool}))
	status, answer := ask(me, http.MethodPost, "/workflows", `{"name":"w0","description":"d","workflow_definition":`+text+`}`)
	require.Equal(t, http.StatusCreated, status, answer)
	made := answer["data"].(map[string]any)
	for _, field := range []string{"workflow_id", "user_id", "name", "description", "version", "workflow_definition", "archived_at", "created_at", "updated_at"} {
		require.Contains(t, made, field)
	}
	id := made["workflow_id"].(string)
	for body, want := range map[string]string{
		`{"workflow_definition":` + text + `}`:                                   "body.name",
		`{"name":"x"}`:                                                           "workflow_definition with steps is required",
		`{"name":"","workflow_definition":` + text + `}`:                         "body.name",
		`{"name":"x","template":"document-question","parameters":{"tool_id":7}}`: "body.parameters.tool_id",
	} {
		status, answer := ask(me, http.MethodPost, "/workflows", body)
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Contains(t, messageOf(answer), want, body)
	}
	status, _ = ask(me, http.MethodPost, "/workflows", `{"name":"w0","workflow_definition":`+text+`}`)
	require.Equal(t, http.StatusConflict, status)
	for i := 1; i < 3; i++ {
		status, answer = ask(me, http.MethodPost, "/workflows", fmt.Sprintf(`{"name":"w%d","workflow_definition":%s}`, i, text))
		require.Equal(t, http.StatusCreated, status, answer)
		status, answer = ask(me, http.MethodPut, "/workflows/"+id, fmt.Sprintf(`{"workflow_definition":%s,"if_version":%d}`, definition(t, stepJSON{ID: fmt.Sprint("s", i), Tool: tool}), i))
		require.Equal(t, http.StatusOK, status, answer)
	}
	status, _ = ask(me, http.MethodPut, "/workflows/"+id, `{"if_version":1,"name":"y"}`)
	require.Equal(t, http.StatusConflict, status)
	pages := func(path, field string) (all []any) {
		for cursor := ""; ; {
			status, answer := ask(me, http.MethodGet, path+"?limit=2&cursor="+cursor, "")
			require.Equal(t, http.StatusOK, status)
			for _, row := range answer["data"].([]any) {
				require.NotContains(t, row, "workflow_definition")
				all = append(all, row.(map[string]any)[field])
			}
			next, more := answer["nextCursor"].(string)
			if !more {
				return all
			}
			cursor = next
		}
	}
	require.Equal(t, []any{"w2", "w1", "w0"}, pages("/workflows", "name"))
	require.Equal(t, []any{json.Number("3"), json.Number("2"), json.Number("1")}, pages("/workflows/"+id+"/versions", "version"))
	_, answer = ask(me, http.MethodGet, "/workflows/templates", "")
	require.Equal(t, "document-question", answer["data"].([]any)[0].(map[string]any)["name"])
	_, answer = ask(me, http.MethodGet, "/workflows/"+id+"/versions/1", "")
	require.Contains(t, answer["data"], "workflow_definition")

	status, answer = ask(me, http.MethodPost, "/jobs", `{"workflow_id":"`+id+`","workflow_version":1}`)
	require.Equal(t, http.StatusCreated, status, answer)
	require.Equal(t, id, answer["data"].(map[string]any)["workflow_id"])
	require.Equal(t, json.Number("1"), answer["data"].(map[string]any)["workflow_version"])
	status, answer = ask(me, http.MethodPost, "/jobs/batch", `{"workflow_id":"`+id+`","jobs":[{},{"workflow_definition":`+text+`}]}`)
	require.Equal(t, http.StatusCreated, status, answer)
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs WHERE workflow_version = 3`))
	for body, path := range map[string]string{
		`{"workflow_definition":{"steps":"x"},"jobs":[{},{}]}`:                        "body.workflow_definition.steps",
		`{"jobs":[{"workflow_definition":{"steps":"x"}}]}`:                            "body.jobs[0].workflow_definition.steps",
		`{"jobs":[{"workflow_definition":{"steps":[{"id":"a","id":"a","kind":3}]}}]}`: "body.jobs[0].workflow_definition.steps[0].id",
	} {
		status, answer = ask(me, http.MethodPost, "/jobs/batch", body)
		require.Equal(t, http.StatusBadRequest, status, answer)
		require.Equal(t, path, answer["error"].(map[string]any)["details"].([]any)[0].(map[string]any)["path"])
	}
	for body, want := range map[string]int{
		`{"workflow_id":"nonsense"}`:                        http.StatusBadRequest,
		`{"workflow_id":"` + id + `","workflow_version":0}`: http.StatusBadRequest,
		`{"workflow_id":"` + uuid.NewString() + `"}`:        http.StatusNotFound,
	} {
		status, _ := ask(me, http.MethodPost, "/jobs", body)
		require.Equal(t, want, status, body)
	}
	status, _ = ask("", http.MethodPost, "/workflows", `{"name":"x","workflow_definition":`+text+`}`)
	require.Equal(t, http.StatusUnauthorized, status, "guests save nothing")
	status, _ = ask(uuid.NewString(), http.MethodGet, "/workflows/"+id, "")
	require.Equal(t, http.StatusNotFound, status)
	status, answer = ask(me, http.MethodDelete, "/workflows/"+id, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "Workflow archived", answer["message"])
	require.Equal(t, []any{"w2", "w1"}, pages("/workflows", "name"))
}

// TestSavedWorkflowsAreHandedOutAndErased: one's own, and of a team's what one wrote.
func TestSavedWorkflowsAreHandedOutAndErased(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := func(id string) json.RawMessage {
		text := definition(t, stepJSON{ID: id, Tool: b.tool(t, 0)})
		b.exec(t, `UPDATE uaol_registry.tools SET visibility = 'public'`)
		return text
	}
	ada := b.caller
	bob := b.user()
	inTeam := bob
	inTeam.Account = ada.Account
	b.saved(t, "hers", text("a"))
	for _, who := range []services.Caller{inTeam, bob} {
		made, err := b.service.SaveWorkflow(t.Context(), who, WorkflowRequest{Name: "of " + who.Account.String(), Definition: text("c")})
		require.NoError(t, err)
		_, err = b.service.ChangeWorkflow(t.Context(), inTeam, made.ID, WorkflowChange{Definition: text("d")})
		require.NoError(t, err)
	}
	who := services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}, Shared: []uuid.UUID{bob.Organization}}
	in := services.ExportRequest{Person: who}
	var items []string
	for {
		part, err := b.service.Export(t.Context(), in)
		require.NoError(t, err)
		for _, item := range part.Items {
			require.Equal(t, "workflows", part.Section)
			items = append(items, string(item))
		}
		if in.After = part.Next; in.After == "" {
			break
		}
	}
	require.Len(t, items, 3)
	require.NotContains(t, strings.Join(items, ""), bob.Account.String())
	require.Equal(t, 4, strings.Count(strings.Join(items, ""), `"workflow_definition":`))

	require.NoError(t, b.service.Erase(t.Context(), who))
	require.NoError(t, b.service.Erase(t.Context(), who), "it may be repeated")
	require.Zero(t, b.number(t, `SELECT (SELECT count(*) FROM uaol_jobs.workflows WHERE organization_id = $1 OR account_id = $2)
		+ (SELECT count(*) FROM uaol_jobs.workflow_versions WHERE account_id = $2)`, ada.Organization, ada.Account))
	require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_jobs.workflows`), "the team keeps its own")
	require.EqualValues(t, 4, b.number(t, `SELECT count(*) FROM uaol_jobs.workflow_versions`))
	listed, err := b.service.Workflows(t.Context(), bob, time.Now().Add(time.Hour), uuid.Max, 10)
	require.NoError(t, err)
	require.Len(t, listed, 2)
}
