package jobs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/google/uuid"

	"uaol/services"
)

// The most that a definition may hold.
const (
	maxSteps = 1000
	maxBytes = 1 << 20
	maxDepth = 64 // of nested parameters

	maxFaults = 100 // that are told at once
)

// Workflow is a definition that was found good.
type Workflow struct {
	Steps []Step
}

// Step is one call of a tool's method.
type Step struct {
	ID         string
	ToolID     uuid.UUID
	Action     string
	Parameters map[string]any
	Needs      []string // steps it depends on, said or by reference; sorted
}

const at = "body.workflow_definition"

var errNoSteps = services.Faults(services.Fault{Path: at + ".steps", Message: "workflow_definition with steps is required"})

// ParseWorkflow reads a definition and lists what is wrong with it.
func ParseWorkflow(text json.RawMessage) (Workflow, error) {
	if len(text) > maxBytes {
		return Workflow{}, services.Faults(services.Fault{Path: at, Message: fmt.Sprintf("has more than %d bytes", maxBytes)})
	}
	if reason := unstorable(text); reason != "" {
		return Workflow{}, services.Faults(services.Fault{Path: at, Message: reason})
	}
	return parse(text)
}

// parse also reads what the database gives back, which is the same but may be
// longer. Members have exactly their names: a second spelling of one, which
// encoding/json takes for the same in structs, would be stored beside it and
// come back in another order.
func parse(text json.RawMessage) (Workflow, error) {
	var d map[string]json.RawMessage
	var definitions []json.RawMessage
	if json.Unmarshal(text, &d) != nil || json.Unmarshal(d["steps"], &definitions) != nil || len(definitions) == 0 {
		return Workflow{}, withMessage(errNoSteps)
	}
	if len(definitions) > maxSteps {
		return Workflow{}, services.Faults(services.Fault{Path: at + ".steps", Message: fmt.Sprintf("has more than %d steps", maxSteps)})
	}
	var p parser
	for i, d := range definitions {
		p.step(i, d)
	}
	p.references()
	if len(p.faults) == 0 {
		p.order()
	}
	if len(p.faults) > 0 {
		return Workflow{}, services.Faults(p.faults...)
	}
	return Workflow{Steps: p.steps}, nil
}

// withMessage uses the contract's message alone, without the path before it.
func withMessage(e *services.Error) *services.Error {
	with := *e
	with.Message = "workflow_definition with steps is required"
	return &with
}

type parser struct {
	steps  []Step
	faults []services.Fault
}

func (p *parser) fault(path, format string, args ...any) {
	if len(p.faults) == maxFaults {
		return
	}
	p.faults = append(p.faults, services.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

var stepIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (p *parser) step(i int, text json.RawMessage) {
	path := stepPath(i)
	s := Step{Parameters: map[string]any{}}
	var d map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&d) != nil || d == nil {
		p.fault(path, "must be an object")
		p.steps = append(p.steps, s)
		return
	}
	if id, ok := d["id"].(string); !ok || !stepIDForm.MatchString(id) || id == "input" {
		p.fault(path+".id", "must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not \"input\"")
	} else {
		s.ID = id
	}
	tool, _ := d["tool_id"].(string)
	if id, err := uuid.Parse(tool); err != nil {
		p.fault(path+".tool_id", "must be a tool's id")
	} else {
		s.ToolID = id
	}
	if action, ok := d["action"].(string); !ok || action == "" || len(action) > 256 {
		p.fault(path+".action", "must name a method of the tool")
	} else {
		s.Action = action
	}
	switch parameters := d["parameters"].(type) {
	case nil:
	case map[string]any:
		if depth(parameters) > maxDepth {
			p.fault(path+".parameters", "is nested more than %d deep", maxDepth)
		} else {
			s.Parameters = parameters
		}
	default:
		p.fault(path+".parameters", "must be an object")
	}
	s.Needs = p.dependsOn(path, d["depends_on"])
	p.steps = append(p.steps, s)
}

func (p *parser) dependsOn(path string, value any) []string {
	if value == nil {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		p.fault(path+".depends_on", "must be a list of step ids")
		return nil
	}
	var needs []string
	for i, item := range list {
		if id, ok := item.(string); ok {
			needs = append(needs, id)
		} else {
			p.fault(fmt.Sprintf("%s.depends_on[%d]", path, i), "must be a step's id")
		}
	}
	return needs
}

// references checks ids against each other and makes a reference a dependency.
func (p *parser) references() {
	known := map[string]bool{}
	for i, s := range p.steps {
		if s.ID != "" && known[s.ID] {
			p.fault(stepPath(i)+".id", "%q is the id of another step too", s.ID)
		}
		known[s.ID] = true
	}
	for i := range p.steps {
		s := &p.steps[i]
		needs := map[string]bool{}
		for j, id := range s.Needs {
			if !known[id] {
				p.fault(fmt.Sprintf("%s.depends_on[%d]", stepPath(i), j), "there is no step %q", id)
			}
			needs[id] = true
		}
		walk(s.Parameters, stepPath(i)+".parameters", func(path, text string) {
			for _, r := range referencesIn(text) {
				if !known[r.step] {
					p.fault(path, "{{%s}} refers to no step of this workflow", r.text)
				}
				needs[r.step] = true
			}
		})
		s.Needs = s.Needs[:0]
		for id := range needs {
			s.Needs = append(s.Needs, id)
		}
		sort.Strings(s.Needs)
	}
}

// order finds cycles: what is left when the steps that wait for nobody, and
// then those that nobody waits for, have been taken away again and again.
func (p *parser) order() {
	left := make(map[string]bool, len(p.steps))
	needs, neededBy := map[string][]string{}, map[string][]string{}
	for _, s := range p.steps {
		left[s.ID], needs[s.ID] = true, s.Needs
		for _, need := range s.Needs {
			neededBy[need] = append(neededBy[need], s.ID)
		}
	}
	peel(left, needs, neededBy)
	peel(left, neededBy, needs)
	var stuck []string
	for _, s := range p.steps {
		if left[s.ID] {
			stuck = append(stuck, s.ID)
		}
	}
	if len(stuck) > 0 {
		p.fault(at+".steps", "these steps wait for each other: %s", strings.Join(stuck, ", "))
	}
}

// peel takes away what waits for nothing that is left, until nothing does.
func peel(left map[string]bool, waitsFor, frees map[string][]string) {
	waits := make(map[string]int, len(left))
	var free []string
	for id := range left {
		for _, other := range waitsFor[id] {
			if left[other] {
				waits[id]++
			}
		}
		if waits[id] == 0 {
			free = append(free, id)
		}
	}
	for len(free) > 0 {
		id := free[len(free)-1]
		free = free[:len(free)-1]
		delete(left, id)
		for _, next := range frees[id] {
			if waits[next]--; waits[next] == 0 {
				free = append(free, next)
			}
		}
	}
}

func stepPath(i int) string { return fmt.Sprintf("%s.steps[%d]", at, i) }

// walk visits every text in a JSON value, with its path.
func walk(value any, path string, visit func(path, text string)) {
	switch v := value.(type) {
	case string:
		visit(path, v)
	case []any:
		for i, item := range v {
			walk(item, fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			walk(v[k], path+"."+k, visit)
		}
	}
}

func depth(value any) int {
	deepest := 0
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			deepest = max(deepest, depth(item))
		}
	case map[string]any:
		for _, item := range v {
			deepest = max(deepest, depth(item))
		}
	default:
		return 0
	}
	return deepest + 1
}
