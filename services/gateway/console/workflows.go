package console

import (
	"encoding/json"
	"net/http"
	"time"

	"uaol/providers/api"
)

func workflowRoutes() []route {
	return []route{
		see("/workflows", workflowsPage),
		see("/workflows/new", newWorkflow).forGuests(),
		do("/workflows/check", checkWorkflow).forGuests(),
		do("/workflows/run", runDefinition).forGuests(),
		do("/workflows/save", saveWorkflow),
		see("/workflows/{workflow}", workflowPage),
		see("/workflows/{workflow}/edit", editWorkflow),
		do("/workflows/{workflow}/run", runWorkflow),
		do("/workflows/{workflow}/archive", archiveWorkflow),
	}
}

// workflow is a saved one.
type workflow struct {
	ID          string          `json:"workflow_id"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Version     int64           `json:"version"`
	Definition  json.RawMessage `json:"workflow_definition"`
	Archived    *time.Time      `json:"archived_at"`
	Created     time.Time       `json:"created_at"`
	Updated     time.Time       `json:"updated_at"`
}

type workflowsData struct {
	Workflows []workflow
	More      string
	Templates []gapped
}

// gapped is a template: a workflow with gaps.
type gapped struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Parameters  []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"parameters"`
	Definition json.RawMessage `json:"workflow_definition"`
}

func workflowsPage(v *visit) (view, error) {
	var data workflowsData
	var next string
	err := together(
		func() (err error) {
			next, err = v.list(path(some("cursor", v.asked("cursor"), "limit", pageSize), "workflows"), &data.Workflows)
			return err
		},
		func() error { return v.get("/workflows/templates", &data.Templates) },
	)
	if next != "" {
		data.More = Prefix + path(some("cursor", next), "workflows")
	}
	return view{Template: "workflows", Title: "Workflows", Section: "workflows", Data: data}, err
}

type workflowData struct {
	Workflow workflow
	Checked  checked
	Versions []struct {
		Version int64     `json:"version"`
		Created time.Time `json:"created_at"`
	}
	Input   string
	Problem string
	Faults  map[string]string
	Curl    string
}

func workflowPage(v *visit) (view, error) { return v.workflowView(workflowData{}) }

func (v *visit) workflowView(data workflowData) (view, error) {
	id := v.r.PathValue("workflow")
	err := together(
		func() error { return v.get(path(nil, "workflows", id), &data.Workflow) },
		func() error { return v.get(path(some("limit", "20"), "workflows", id, "versions"), &data.Versions) },
	)
	if err != nil {
		return view{}, err
	}
	if data.Checked, err = v.check(string(data.Workflow.Definition)); err != nil {
		return view{}, err
	}
	if data.Input == "" {
		data.Input = data.Checked.Example()
	}
	data.Curl = "curl -s " + v.console.base(v.r) + "/jobs -H \"X-API-Key: $KEY\" -H 'Content-Type: application/json' \\\n  -d '{\"workflow_id\":\"" + id + "\"}'"
	status := 0
	if data.Problem != "" {
		status = http.StatusUnprocessableEntity
	}
	return view{Template: "workflow", Title: data.Workflow.Name, Section: "workflows", Data: data, Status: status}, nil
}

func runWorkflow(v *visit) error {
	body := map[string]any{"workflow_id": v.r.PathValue("workflow")}
	err := v.putInput(body)
	var made job
	if err == nil {
		err = v.send(http.MethodPost, "/jobs", body, &made)
	}
	if err == nil {
		return v.to(Prefix+path(nil, "jobs", made.ID), "The job has begun.")
	}
	if api.StatusOf(err) >= http.StatusInternalServerError {
		return err
	}
	v.standAt(Prefix + path(nil, "workflows", v.r.PathValue("workflow")))
	shown, viewErr := v.workflowView(workflowData{Input: v.form("input"), Problem: messageOf(err), Faults: faultsOf(err)})
	if viewErr != nil {
		return viewErr
	}
	return v.render(shown)
}

func archiveWorkflow(v *visit) error {
	if err := v.send(http.MethodDelete, path(nil, "workflows", v.r.PathValue("workflow")), nil, nil); err != nil {
		return err
	}
	return v.to(Prefix+"/workflows", "The workflow is archived: its jobs stay, and nothing new begins.")
}
