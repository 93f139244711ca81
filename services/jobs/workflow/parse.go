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
	return Stored(text)
}

// Stored is Parse for what a database gives back: the same definition, in which
// spaces between members may have taken it beyond the limit.
func Stored(text json.RawMessage) (*Definition, error) {
	if !utf8.Valid(text) {
		return nil, services.Faults(services.Fault{Path: at, Message: "is not UTF-8"})
	}
	value, err := decode(text)
	members, _ := value.(map[string]any)
	steps, _ := members["steps"].([]any)
	if err != nil || len(steps) == 0 {
		return nil, noSteps()
	}
	if len(steps) > maxSteps {
		return nil, services.Faults(services.Fault{Path: at + ".steps", Message: fmt.Sprintf("has more than %d steps", maxSteps)})
	}
	p := parser{
		d:     &Definition{Steps: make([]Step, len(steps)), index: make(map[string]int, len(steps))},
		needs: make([][]int, len(steps)),
	}
	p.definition(members, steps)
	if len(p.faults) > 0 {
		return nil, services.Faults(p.faults...)
	}
	return p.d, nil
}

// noSteps has the contract's message alone, without the path before it.
func noSteps() error {
	const message = "workflow_definition with steps is required"
	err := services.Faults(services.Fault{Path: at + ".steps", Message: message})
	err.Message = message
	return err
}

type parser struct {
	d      *Definition
	needs  [][]int // of each step, as they are found
	faults []services.Fault

	conditions int // bytes of all so far
}

func (p *parser) fault(path, format string, args ...any) {
	if len(p.faults) == maxFaults {
		return
	}
	p.faults = append(p.faults, services.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

// definition reads all steps, of which each may name all others.
func (p *parser) definition(members map[string]any, steps []any) {
	objects := make([]map[string]any, len(steps))
	for i, step := range steps {
		objects[i], _ = step.(map[string]any)
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
		c := compiler{parser: p, at: at + ".output"}
		p.d.Output = c.template(output)
	}
	if len(p.faults) == 0 {
		p.order()
	}
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// identify reads a step's id, under which the others know it.
func (p *parser) identify(i int, members map[string]any) {
	p.d.Steps[i].Compensate = none
	p.d.Steps[i].ApprovedBy = none
	if members == nil {
		p.fault(StepPath(i), "must be an object")
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
