package workflow

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// belongs lists the members that only some kinds of steps have.
var belongs = []struct {
	member string
	to     []Kind
}{
	{"tool_id", []Kind{Tool}}, {"action", []Kind{Tool}}, {"parameters", []Kind{Tool}}, {"idempotency_key", []Kind{Tool}},
	{"provider", []Kind{LLM}}, {"model", []Kind{LLM}}, {"system", []Kind{LLM}}, {"prompt", []Kind{LLM}},
	{"max_tokens", []Kind{LLM}}, {"temperature", []Kind{LLM}},
	{"approves", []Kind{Approval}}, {"message", []Kind{Approval}}, {"expires_in", []Kind{Approval}},
	{"duration", []Kind{Sleep}}, {"until", []Kind{Sleep}},
	{"workflow_id", []Kind{Child}}, {"version", []Kind{Child}}, {"input", []Kind{Child}},
	{"for_each", []Kind{Tool, LLM, Child}},
}

// stepReader reads one step.
type stepReader struct {
	object
	i     int
	s     *Step
	items bool // it has for_each
}

func (p *parser) step(i int, members map[string]any) {
	r := stepReader{object: object{p: p, at: StepPath(i), members: members}, i: i, s: &p.d.Steps[i]}
	r.items = r.has("for_each")
	r.s.Kind = r.kind()
	r.misspelt(ofStep[r.s.Kind])
	for _, b := range belongs {
		if r.s.Kind != "" && r.has(b.member) && !slices.Contains(b.to, r.s.Kind) {
			r.fault(b.member, "is not for a step of the kind %q", r.s.Kind)
			delete(members, b.member)
		}
	}
	switch r.s.Kind {
	case Tool:
		r.tool()
	case LLM:
		r.llm()
	case Approval:
		r.approval()
	case Sleep:
		r.sleep()
	case Child:
		r.child()
	}
	r.dependsOn()
	r.control()
}

func (r *stepReader) kind() Kind {
	if !r.has("kind") {
		return Tool
	}
	text, _ := r.members["kind"].(string)
	switch kind := Kind(text); kind {
	case Tool, LLM, Approval, Sleep, Child:
		return kind
	}
	r.fault("kind", `must be "tool", "llm", "approval", "sleep" or "workflow"`)
	return ""
}

// template reads a value with references, on whose steps this one then depends.
func (r *stepReader) template(name string, value any, items bool) *Template {
	t, _ := r.compile(name, value, items)
	return t
}

func (r *stepReader) compile(name string, value any, items bool) (t *Template, ofItem bool) {
	c := compiler{parser: r.p, at: r.path(name), items: items, step: r.i, each: r.items && name != "for_each.items"}
	t = c.template(value)
	r.p.needs[r.i] = append(r.p.needs[r.i], c.needs...)
	return t, c.ofItem
}

// prose reads a text with references; nil when there is none.
func (r *stepReader) prose(name string) *Template {
	text, ok := r.text(name)
	if !ok {
		return nil
	}
	return r.template(name, text, r.items)
}

const maxAction = 256 // bytes of a method's name

func (r *stepReader) tool() {
	call := &ToolCall{ToolID: r.id("tool_id", "a tool's id")}
	if action, ok := r.members["action"].(string); !ok || action == "" || len(action) > maxAction {
		r.fault("action", "must name a method of the tool")
	} else {
		call.Action = action
	}
	parameters, ok := r.object.object("parameters")
	if !ok {
		parameters = map[string]any{}
	}
	call.Parameters = r.template("parameters", parameters, r.items)
	r.s.Tool = call
	key, ok := r.text("idempotency_key")
	if !ok {
		return
	}
	t, ofItem := r.compile("idempotency_key", key, r.items)
	if r.items && !ofItem {
		r.fault("idempotency_key", "must hold {{item}} or {{index}}, else all items have the same key")
	}
	r.s.IdempotencyKey = t
}

// Most that a model may be asked to write, in tokens, and its highest temperature.
const (
	maxTokens      = 1_000_000
	maxTemperature = 2
)

func (r *stepReader) llm() {
	ask := &Prompt{}
	if r.has("provider") {
		switch ask.Provider, _ = r.members["provider"].(string); ask.Provider {
		case "openai", "anthropic", "gemini":
		default:
			r.fault("provider", `must be "openai", "anthropic" or "gemini"`)
		}
	}
	ask.Model, _ = r.text("model")
	ask.System, ask.Prompt = r.prose("system"), r.prose("prompt")
	if !r.has("prompt") {
		r.fault("prompt", "must be a text that is not empty")
	}
	ask.MaxTokens = int(r.whole("max_tokens", 0, 1, maxTokens))
	if r.has("temperature") {
		temperature := r.number("temperature", 0, 0, maxTemperature)
		ask.Temperature = &temperature
	}
	if r.has("price") {
		r.fault("price", "is not for a definition to say")
	}
	r.s.LLM = ask
}

func (r *stepReader) approval() {
	a := &Approve{Approves: none, Message: r.prose("message"), ExpiresIn: r.duration("expires_in", day, time.Second, 30*day)}
	if r.has("approves") {
		if i, ok := r.named("approves", r.members["approves"]); ok {
			a.Approves = i
		}
	} else if !r.has("message") {
		r.fault("message", "must be a text that is not empty, or approves must name a step")
	}
	r.s.Approval = a
}

func (r *stepReader) child() {
	run := &ChildRun{WorkflowID: r.id("workflow_id", "a workflow's id"), Version: r.whole("version", 0, 1, math.MaxInt64)}
	if r.has("input") {
		run.Input = r.template("input", r.members["input"], r.items)
	}
	r.s.Child = run
}

func (r *stepReader) dependsOn() {
	if !r.has("depends_on") {
		return
	}
	var list []any
	switch value := r.members["depends_on"].(type) {
	case []any:
		list = value
	case string:
		r.fault("depends_on", "must be a list of step ids, as in [%q]", short(value))
	default:
		r.fault("depends_on", "must be a list of step ids, and is %s", kindOf(value))
	}
	for j, value := range list {
		name := fmt.Sprintf("depends_on[%d]", j)
		i, ok := r.named(name, value)
		if ok && r.p.d.Steps[i].Compensation {
			r.fault(name, "%q is a compensation step, which runs only after a failure", value)
		} else if ok {
			r.p.needs[r.i] = append(r.p.needs[r.i], i)
		}
	}
}

// named finds a step that a member names.
func (r *stepReader) named(name string, value any) (int, bool) {
	id, ok := value.(string)
	if !ok {
		r.fault(name, "must be a step's id")
		return none, false
	}
	i, ok := r.p.d.index[id]
	if !ok {
		r.fault(name, "there is no step %q", id)
		return none, false
	}
	return i, true
}
