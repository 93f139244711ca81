package console

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/gateway/console/forms"
)

// callData is a method with the form to call it, and what came of a call.
type callData struct {
	Tool     tool
	Method   toolMethod
	Unpinned bool // any method may be called, with any arguments
	Price    int64
	Fields   []forms.Field
	AsJSON   bool
	Only     bool // there is no form but that for JSON
	JSON     string
	Most     string // credits that the call may cost
	Faults   map[string]string
	Told     string // about the form
	Attempt  *attempt
	Snippets []snippet
}

// attempt is what came of a call.
type attempt struct {
	Problem  *problem
	Charged  string
	Paid     bool // there is a receipt
	Call     string
	Took     string
	Repeated bool // nothing was called: it is what the same form was answered before
	Result   toolResult
	Quoted   []snippet
}

func callPage(v *visit) (view, error) {
	data, fields, err := v.callable(v.asked("method"))
	if err != nil {
		return view{}, err
	}
	data.AsJSON = data.Only || v.asked("as") == "json"
	data.JSON = indented(forms.Sample(fields))
	return v.callView(data, fields, forms.Defaults(fields), nil), nil
}

// callable finds a method with its form's fields.
func (v *visit) callable(name string) (data callData, fields []forms.Field, err error) {
	if err = v.get(path(nil, "tools", v.r.PathValue("tool")), &data.Tool); err != nil {
		return data, nil, err
	}
	if len(data.Tool.Methods) == 0 && !v.who.Guest {
		// Of a tool without pins its server tells; whether it does is not needed for a call.
		_ = v.get(path(nil, "proxy", data.Tool.ID, "tools"), &data.Tool.Methods)
		data.Unpinned = true
	}
	there := false
	for _, m := range data.Tool.Methods {
		if m.Name == name {
			data.Method, there = m, true
		}
	}
	if !there && (!data.Unpinned || name == "") {
		return data, nil, services.Errorf(services.NotFound, "%s has no method %s that can be called", data.Tool.Name, name)
	}
	data.Method.Name, data.Price = name, data.Tool.PriceOf(name)
	fields = data.Method.fields(data.Tool)
	data.Only = len(fields) == 0
	return data, fields, nil
}

func (v *visit) callView(data callData, fields []forms.Field, values forms.Values, faults map[string]string) view {
	data.Fields, data.Faults = forms.Show(fields, values, faults)
	if data.Attempt == nil {
		data.Snippets = callSnippets(v.console.base(v.r), data.Tool, data.Method.Name, forms.Sample(fields))
	}
	title, status := data.Method.Name, 0
	if len(faults) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return view{Template: "tool-call", Title: title, Section: "tools", Data: data, Status: status}
}

// callTool makes the call that a form describes, or shows the form in its other way.
func callTool(v *visit) error {
	data, fields, err := v.callable(v.form("method"))
	if err != nil {
		return err
	}
	values := forms.Values(v.r.PostForm)
	data.AsJSON, data.JSON, data.Most = data.Only || v.form("as") == "json", v.form("json"), strings.TrimSpace(v.form("most"))
	arguments, faults := v.arguments(data, fields, values)
	if to := v.form("show"); to != "" && len(faults) == 0 {
		return v.render(v.turned(data, fields, arguments, to))
	}
	if len(faults) > 0 {
		data.Attempt = &attempt{Problem: &problem{Message: "Nothing was called: the arguments can't be read"}}
		return v.render(v.callView(data, fields, values, faults))
	}
	if data.Attempt, err = v.call(data, arguments); err != nil {
		return err
	}
	if p := data.Attempt.Problem; p != nil {
		faults = p.Faults
	}
	data.Attempt.Quoted = callSnippets(v.console.base(v.r), data.Tool, data.Method.Name, arguments)
	return v.render(v.callView(data, fields, values, faults))
}

// arguments are those that the form holds.
func (v *visit) arguments(data callData, fields []forms.Field, values forms.Values) (json.RawMessage, map[string]string) {
	if !data.AsJSON {
		return forms.Arguments(fields, values)
	}
	text := strings.TrimSpace(data.JSON)
	if text == "" {
		text = "{}"
	}
	if fault := jsonFault(text); fault != "" {
		return nil, map[string]string{forms.Root: fault}
	}
	return json.RawMessage(text), nil
}

// turned is the form with the same arguments as JSON, or as fields if those can hold them.
func (v *visit) turned(data callData, fields []forms.Field, arguments json.RawMessage, to string) view {
	values, whole := forms.Fill(fields, arguments)
	data.AsJSON = to == "json" || !whole
	data.JSON = indented(arguments)
	if to == "form" && !whole {
		data.Told = "The form has no place for all of this, so it stays as JSON."
	}
	return v.callView(data, fields, values, nil)
}

// Headers of a call's answer.
const (
	callHeader     = "X-Call-Id"
	creditsHeader  = "X-Credits"
	mostHeader     = "X-Max-Credits"
	repeatedHeader = "Idempotent-Replayed"
	mostFault      = "header." + mostHeader
)

// Others are the faults that stand with no field: all but that of what it may cost.
func (d callData) Others() map[string]string {
	others := maps.Clone(d.Faults)
	delete(others, mostFault)
	return others
}

// call makes the call. What goes wrong with it belongs to the attempt; an error is one
// that ends the visit.
func (v *visit) call(data callData, arguments json.RawMessage) (*attempt, error) {
	body, err := json.Marshal(map[string]any{"method": data.Method.Name, "params": arguments})
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	if key := v.form("once"); key != "" {
		header.Set(api.KeyHeader, key)
	}
	if data.Most != "" {
		header.Set(mostHeader, data.Most)
	}
	begun := time.Now()
	answer, err := v.request(v.ctx, http.MethodPost, path(nil, "proxy", data.Tool.ID, "call"), bytes.NewReader(body), header)
	if err != nil {
		return nil, unavailable(err)
	}
	said, err := read(answer)
	if isKind(err, services.Unauthenticated) {
		return nil, err
	}
	made := &attempt{Took: durationText(time.Since(begun)), Call: answer.Header.Get(callHeader), Repeated: answer.Header.Get(repeatedHeader) != ""}
	charged, _ := strconv.ParseInt(answer.Header.Get(creditsHeader), 10, 64) // 0 where nothing was called
	made.Paid = charged > 0 || made.Repeated && data.Price > 0
	switch {
	case charged > 0:
		made.Charged = creditsText(charged)
	case err == nil && data.Price == 0:
		made.Charged = "free"
	default:
		made.Charged = "nothing charged"
	}
	if err != nil {
		p := problemOf(err)
		p.Next = v.callAdvice(data.Tool, err)
		if len(p.Faults) > 0 {
			p.Message = "The arguments are not what the method takes"
			if p.Faults[mostFault] != "" {
				p.Message = "Nobody can tell what it may cost"
			}
		}
		made.Problem = &p
		return made, nil
	}
	made.Result = resultOf(said.Data)
	return made, nil
}

// callAdvice is what to do about a call that was not made or did not go well.
func (v *visit) callAdvice(t tool, err error) advice {
	switch api.CodeOf(err) {
	case "CREDENTIALS_REQUIRED":
		return advice{"The tool wants something of yours first.", t.At() + "#secrets", "Give it on the tool's page"}
	case "METHOD_QUARANTINED":
		if v.who.Admin {
			return advice{"Its server has changed it by itself.", t.At("review"), "Look at what changed"}
		}
		return advice{"Its server has changed it by itself; a platform admin looks at it before it is called again.", "", ""}
	case "COST_ABOVE_LIMIT":
		return advice{"Nothing was called. Raise what it may cost, or leave that empty.", "", ""}
	case services.CodeOutcomeUnknown:
		return advice{"The tool may have done its work: look there before you call it again.", "", ""}
	}
	if isKind(err, services.Invalid) {
		return advice{"Nothing was called. Correct what is marked, and try again.", "", ""}
	}
	if isKind(err, services.Upstream, services.Timeout) {
		return advice{"This is the tool's own fault, or that of the way to it.", t.At(), "See its health"}
	}
	return adviceFor(err)
}
