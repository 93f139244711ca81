package console

import (
	"net/http"

	"uaol/providers/api"
	"uaol/services"
)

// newToolData is the page on which tools come in.
type newToolData struct {
	By      string // url, import or connect
	Form    toolForm
	Tool    *tool // that is changed; nil for a new one
	Faults  formFaults
	Problem *problem
	Import  importForm
	Outcome *imported
	Connect []snippet
}

// protocols are those that a tool at an address may speak.
var protocols = []string{"mcp", "sse", "json-rpc", "rest"}

// Protocols are those to choose from: a command's for who may register one.
func (d newToolData) Protocols(admin bool) []string {
	if admin || d.Form.Protocol == "stdio" {
		return append(append([]string{}, protocols...), "stdio")
	}
	return protocols
}

func newTool(v *visit) (view, error) {
	if !v.who.Writes() {
		return view{}, services.Errorf(services.Forbidden, "Viewers of an organisation register no tools")
	}
	by := v.asked("by")
	if by != "import" && by != "connect" {
		by = "url"
	}
	return v.newToolView(newToolData{By: by, Form: newToolForm}), nil
}

func (v *visit) newToolView(data newToolData) view {
	title, status := "New tool", 0
	if data.Tool != nil {
		title = "Change " + data.Tool.Name
	}
	if data.Problem != nil {
		status = http.StatusUnprocessableEntity
	}
	export := "export UAOL_URL=" + v.console.base(v.r) + " UAOL_API_KEY=$KEY\n"
	data.Connect = []snippet{
		{"A server that listens at an address", export + "uaol connect http://localhost:3001/mcp"},
		{"A command that speaks over standard input and output", export + "uaol connect -- npx -y @modelcontextprotocol/server-everything"},
	}
	return view{Template: "tool-form", Title: title, Section: "tools", Data: data, Status: status}
}

// toolFormAgain shows the form with what is wrong.
func (v *visit) toolFormAgain(data newToolData, err error, faults map[string]string) error {
	if err != nil && api.StatusOf(err) >= http.StatusInternalServerError {
		return err
	}
	data.Faults, data.Problem = faults, &problem{Message: "Nothing was saved: something can't be read"}
	if err != nil {
		p := problemOf(err)
		data.Problem, data.Faults = &p, p.Faults
	}
	return v.render(v.newToolView(data))
}

func registerTool(v *visit) error {
	data := newToolData{By: "url", Form: v.toolFormSent()}
	body, faults := data.Form.change(newToolForm)
	if len(faults) > 0 {
		return v.toolFormAgain(data, nil, faults)
	}
	var made tool
	if err := v.send(http.MethodPost, "/tools", body, &made); err != nil {
		return v.toolFormAgain(data, err, nil)
	}
	return v.to(made.At(), "The tool is registered. It can be called once a platform admin has approved it.")
}

func editTool(v *visit) (view, error) {
	var t tool
	if err := v.get(path(nil, "tools", v.r.PathValue("tool")), &t); err != nil {
		return view{}, err
	}
	own, err := v.owns(t)
	if err == nil && !own {
		err = services.Errorf(services.Forbidden, "This tool belongs to another organisation, whose members can change it").WithCode("OTHERS_TOOL")
	}
	return v.newToolView(newToolData{By: "url", Form: toolFormOf(t), Tool: &t}), err
}

// changeTool sends only what differs: what is called or paid for makes a version.
func changeTool(v *visit) error {
	var t tool
	if err := v.get(path(nil, "tools", v.r.PathValue("tool")), &t); err != nil {
		return err
	}
	data := newToolData{By: "url", Form: v.toolFormSent(), Tool: &t}
	body, faults := data.Form.change(toolFormOf(t))
	if len(faults) > 0 {
		return v.toolFormAgain(data, nil, faults)
	}
	if len(body) == 0 {
		return v.to(t.At(), "Nothing was changed.")
	}
	var changed tool
	if err := v.send(http.MethodPut, path(nil, "tools", t.ID), body, &changed); err != nil {
		return v.toolFormAgain(data, err, nil)
	}
	if changed.Pending != nil && (t.Pending == nil || *changed.Pending != *t.Pending) {
		return v.to(t.At(), "Saved. What is called or paid for waits for a platform admin; until then the version before goes on.")
	}
	return v.to(t.At(), "Saved.")
}
