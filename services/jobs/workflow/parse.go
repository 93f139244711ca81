package workflow

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"uaol/services"
)

// The most that a definition may hold.
const (
	maxSteps = 1000
	maxBytes = 1 << 20
	maxDepth = 64 // of nested values

	maxFaults = 100 // that are told at once
)

const day = 24 * time.Hour

// Parse reads a definition. What is wrong with it comes back as one Invalid
// error with the first hundred faults.
func Parse(text json.RawMessage) (*Definition, error) {
	if len(text) > maxBytes {
		return nil, services.Faults(services.Fault{Path: at, Message: fmt.Sprintf("has more than %d bytes", maxBytes)})
	}
	return read(text, true)
}

// Stored is Parse for what a database gives back: the same definition, in which
// spaces between members may have taken it beyond the limit. One that was accepted
// before Parse came to refuse it means what it did; then it is Outdated.
func Stored(text json.RawMessage) (*Definition, error) { return read(text, false) }

func read(text json.RawMessage, fresh bool) (*Definition, error) {
	if !utf8.Valid(text) {
		return nil, services.Faults(services.Fault{Path: at, Message: "is not UTF-8"})
	}
	value, err := decode(text)
	if err != nil && len(text) > 0 {
		return nil, noSteps(services.Fault{Path: at, Message: "is not JSON"})
	}
	p := parser{d: &Definition{}, fresh: fresh}
	p.repeated(text, value)
	members, _ := value.(map[string]any)
	object{p: &p, at: at, members: members}.misspelt(ofDefinition)
	steps, _ := members["steps"].([]any)
	if len(steps) == 0 {
		return nil, noSteps(append(p.faults, missing(value))...)
	}
	if len(steps) > maxSteps {
		return nil, services.Faults(services.Fault{Path: at + ".steps", Message: fmt.Sprintf("has more than %d steps", maxSteps)})
	}
	p.d.Steps, p.d.index = make([]Step, len(steps)), make(map[string]int, len(steps))
	p.needs = make([][]int, len(steps))
	p.definition(members, steps)
	if len(p.faults) > 0 {
		return nil, services.Faults(p.faults...)
	}
	return p.d, nil
}

const stepsRequired = "workflow_definition with steps is required"

// noSteps has the contract's message alone, without the path before it.
func noSteps(faults ...services.Fault) error {
	err := services.Faults(faults...)
	err.Message = stepsRequired
	return err
}

// missing says why a value has no steps.
func missing(value any) services.Fault {
	members, ok := value.(map[string]any)
	switch steps, list := members["steps"].([]any); {
	case !ok && value != nil:
		return services.Fault{Path: at, Message: "must be an object with steps, and is " + kindOf(value)}
	case members["steps"] != nil && !list:
		return services.Fault{Path: at + ".steps", Message: "must be a list of steps, and is " + kindOf(members["steps"])}
	case members["workflow_definition"] != nil && steps == nil:
		return services.Fault{Path: at + ".workflow_definition", Message: "is no member: what is in it belongs one level up"}
	}
	return services.Fault{Path: at + ".steps", Message: stepsRequired}
}

type parser struct {
	d      *Definition
	needs  [][]int // of each step, as they are found
	faults []services.Fault
	fresh  bool // somebody sends it now

	conditions int         // bytes of all so far
	reads      []inputRead // of the input
}

func (p *parser) fault(path, format string, args ...any) {
	if len(p.faults) == maxFaults {
		return
	}
	p.faults = append(p.faults, services.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

// doubt is a fault of what somebody sends now, which was none when the language was
// younger.
func (p *parser) doubt(path, format string, args ...any) {
	if p.d.outdated = true; p.fresh {
		p.fault(path, format, args...)
	}
}

// definition reads all steps, of which each may name all others.
func (p *parser) definition(members map[string]any, steps []any) {
	objects := make([]map[string]any, len(steps))
	for i, step := range steps {
		var ok bool
		if objects[i], ok = step.(map[string]any); !ok {
			p.fault(StepPath(i), "must be an object, and is %s", kindOf(step))
		}
		p.identify(i, objects[i])
	}
	p.compensations(objects)
	for i, members := range objects {
		if members != nil {
			p.step(i, members)
		}
	}
	p.approvals()
	whole := object{p: p, at: at, members: members}
	whole.object("metadata")
	p.d.Timeout = whole.duration("timeout", 0, time.Second, 30*day)
	if output, ok := members["output"]; ok && output != nil {
		c := compiler{parser: p, at: at + ".output", step: none}
		p.d.Output = c.template(output)
	}
	if len(p.faults) == 0 {
		p.order()
		p.certain()
	}
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// identify reads a step's id, under which the others know it.
func (p *parser) identify(i int, members map[string]any) {
	p.d.Steps[i].Compensate = none
	p.d.Steps[i].ApprovedBy = none
	if members == nil {
		return
	}
	id, ok := members["id"].(string)
	switch _, taken := p.d.index[id]; {
	case !ok || !idForm.MatchString(id) || id == "input" || id == "item" || id == "index":
		p.fault(StepPath(i)+".id", `must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not "input", "item" or "index"`)
	case taken:
		p.fault(StepPath(i)+".id", "%q is the id of another step too", id)
	default:
		p.d.Steps[i].ID, p.d.index[id] = id, i
	}
}

const none = -1 // in place of a step's index

// resolve finds the step that a reference names, or says why it means nothing.
func (p *parser) resolve(r *reference, items bool) (reason string) {
	if !r.ofStep() {
		if r.ofItem() && !items {
			return "means nothing outside a step with for_each"
		}
		return ""
	}
	i, ok := p.d.index[r.id]
	if !ok {
		return "refers to no step of this workflow"
	}
	r.step = i
	if p.d.Steps[i].Compensation {
		return "refers to a compensation step, which runs only after a failure"
	}
	return ""
}
