package console

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"uaol/providers/api"
	"uaol/services"
)

// checked is what a definition would be as a job.
type checked struct {
	Valid  bool             `json:"valid"`
	Faults []services.Fault `json:"faults"`
	Steps  []struct {
		ID        string   `json:"id"`
		Kind      string   `json:"kind"`
		Action    string   `json:"action"`
		DependsOn []string `json:"depends_on"`
		Credits   int64    `json:"credits"`
		Each      bool     `json:"each"`
	} `json:"steps"`
	Credits int64           `json:"credits"`
	More    bool            `json:"more"`
	Input   json.RawMessage `json:"input_schema"`
}

// Reads are the members of the input that the definition reads.
func (c checked) Reads() []string {
	var schema struct {
		Properties map[string]any `json:"properties"`
	}
	_ = json.Unmarshal(c.Input, &schema) // then it is not known what it reads
	return sorted(schema.Properties)
}

// Example is an input with all members that are read, to be filled in.
func (c checked) Example() string {
	names := c.Reads()
	if len(names) == 0 {
		return ""
	}
	example := make(map[string]string, len(names))
	for _, name := range names {
		example[name] = ""
	}
	return indented(example)
}

// editor is a definition that somebody writes.
type editor struct {
	Text    string // the definition
	Input   string // of a job
	ID      string // of the saved workflow that is changed; "" for a new one
	Version int64
	Name    string
	Says    string // its description
	Checked checked
	Problem string
	Faults  map[string]string
	Tools   []toolName
	First   string // a method to begin with
}

// toolName is a tool as it is put into a definition.
type toolName struct {
	ID    string `json:"tool_id"`
	Name  string `json:"name"`
	Price int64  `json:"credit_cost_per_call"`
}

// newWorkflow is the editor with the definition of a job, of a template, or of nothing yet.
func newWorkflow(v *visit) (view, error) {
	var e editor
	switch {
	case v.asked("job") != "":
		var j job
		if err := v.get(path(nil, "jobs", v.asked("job")), &j); err != nil {
			return view{}, err
		}
		e.Text = indented(j.Definition)
		if says(j.Input) {
			e.Input = indented(j.Input)
		}
	case v.asked("template") != "":
		var templates []gapped
		if err := v.get("/workflows/templates", &templates); err != nil {
			return view{}, err
		}
		for _, t := range templates {
			if t.Name == v.asked("template") {
				e.Text, e.Says = indented(t.Definition), t.Description
			}
		}
	}
	return v.edit(e)
}

func editWorkflow(v *visit) (view, error) {
	var w workflow
	if err := v.get(path(nil, "workflows", v.r.PathValue("workflow")), &w); err != nil {
		return view{}, err
	}
	return v.edit(editor{Text: indented(w.Definition), ID: w.ID, Version: w.Version, Name: w.Name, Says: w.Description})
}

// edit shows the editor with what is known of the definition.
func (v *visit) edit(e editor) (view, error) {
	if err := v.get("/tools?limit=100", &e.Tools); err != nil {
		return view{}, err
	}
	if e.Text == "" {
		e.Text = v.example(e.Tools)
	}
	var err error
	e.Checked, err = v.check(e.Text)
	title, status := "Write a workflow", 0
	if e.ID != "" {
		title = "Change " + e.Name
	}
	if e.Problem != "" {
		status = http.StatusUnprocessableEntity
	}
	return view{Template: "editor", Title: title, Section: "workflows", Data: e, Status: status}, err
}

// example is a definition to begin with: a call of the first tool's first method, with
// all arguments that it must have.
func (v *visit) example(tools []toolName) string {
	type call struct {
		ID         string         `json:"id"`
		Tool       string         `json:"tool_id"`
		Action     string         `json:"action"`
		Parameters map[string]any `json:"parameters"`
	}
	first := call{ID: "first", Tool: "the tool's id", Action: "its method", Parameters: map[string]any{}}
	if len(tools) > 0 {
		first.Tool = tools[0].ID
		var methods []struct {
			Name   string   `json:"name"`
			Schema required `json:"inputSchema"`
		}
		if v.get(path(nil, "proxy", first.Tool, "tools"), &methods) == nil && len(methods) > 0 {
			first.Action, first.Parameters = methods[0].Name, methods[0].Schema.example()
		}
	}
	return indented(map[string]any{"steps": []call{first}})
}

// required is as much of a JSON Schema as an example is made of.
type required struct {
	Required   []string `json:"required"`
	Properties map[string]struct {
		Type     any   `json:"type"`
		Default  any   `json:"default"`
		Examples []any `json:"examples"`
		Enum     []any `json:"enum"`
	} `json:"properties"`
}

func (s required) example() map[string]any {
	made := map[string]any{}
	for _, name := range s.Required {
		property := s.Properties[name]
		switch {
		case property.Default != nil:
			made[name] = property.Default
		case len(property.Examples) > 0:
			made[name] = property.Examples[0]
		case len(property.Enum) > 0:
			made[name] = property.Enum[0]
		default:
			made[name] = zeroOf(property.Type)
		}
	}
	return made
}

func zeroOf(kind any) any {
	switch kind {
	case "number", "integer":
		return 1
	case "boolean":
		return false
	case "array":
		return []any{}
	case "object":
		return map[string]any{}
	}
	return "hello"
}

// check asks what a definition would be. What is no JSON is a fault of it as well.
func (v *visit) check(text string) (checked, error) {
	if fault := jsonFault(text); fault != "" {
		return checked{Faults: []services.Fault{{Path: "body.workflow_definition", Message: fault}}}, nil
	}
	var found checked
	err := v.send(http.MethodPost, "/workflows/check", map[string]any{"workflow_definition": json.RawMessage(text)}, &found)
	return found, err
}

// checkWorkflow answers what is typed with what it would be.
func checkWorkflow(v *visit) error {
	found, err := v.check(v.form("definition"))
	if err != nil {
		return err
	}
	return v.render(view{Template: "editor", Title: "Write a workflow", Section: "workflows", Data: editor{Checked: found, Text: v.form("definition")}})
}

// editorOf is the editor as the form was sent.
func (v *visit) editorOf() editor {
	version, _ := strconv.ParseInt(v.form("version"), 10, 64) // 0 of a new one
	return editor{Text: v.form("definition"), Input: v.form("input"), ID: v.form("id"), Version: version, Name: v.form("name"), Says: v.form("description")}
}

// editAgain shows the editor with what is wrong.
func (v *visit) editAgain(err error) error {
	if api.StatusOf(err) >= http.StatusInternalServerError {
		return err
	}
	e := v.editorOf()
	e.Problem, e.Faults = messageOf(err), faultsOf(err)
	v.standAt(Prefix + "/workflows/new")
	if e.ID != "" {
		v.standAt(Prefix + path(nil, "workflows", e.ID, "edit"))
	}
	shown, viewErr := v.edit(e)
	if viewErr != nil {
		return viewErr
	}
	return v.render(shown)
}

func runDefinition(v *visit) error {
	body := map[string]any{}
	definition, err := v.json("definition")
	if err == nil {
		body["workflow_definition"] = definition
		err = v.putInput(body)
	}
	var made job
	if err == nil {
		err = v.send(http.MethodPost, "/jobs", body, &made)
	}
	if err != nil {
		return v.editAgain(err)
	}
	return v.to(Prefix+path(nil, "jobs", made.ID), "The job has begun.")
}

func (v *visit) putInput(body map[string]any) error {
	input, err := v.json("input")
	if input != nil {
		body["input"] = input
	}
	return err
}

func saveWorkflow(v *visit) error {
	e := v.editorOf()
	definition, err := v.json("definition")
	body := map[string]any{"name": strings.TrimSpace(e.Name), "description": e.Says, "workflow_definition": definition}
	var saved workflow
	if err == nil && e.ID == "" {
		err = v.send(http.MethodPost, "/workflows", body, &saved)
	} else if err == nil {
		body["if_version"] = e.Version
		err = v.send(http.MethodPut, path(nil, "workflows", e.ID), body, &saved)
	}
	if err != nil {
		return v.editAgain(err)
	}
	return v.to(Prefix+path(nil, "workflows", saved.ID), "Version "+strconv.FormatInt(saved.Version, 10)+" of "+saved.Name+" is saved.")
}
