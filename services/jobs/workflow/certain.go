package workflow

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"uaol/services"
)

// mostReads bounds the places of a definition that are held against an input.
const mostReads = 1000

// inputRead is a place that is filled in from the input.
type inputRead struct {
	step    int // none: the output
	at      string
	path    []string
	perhaps bool // it may never be
}

// certain marks the steps that a job which succeeds has run: nothing passes them over,
// and nothing goes on without them.
func (p *parser) certain() {
	steps := p.d.Steps
	passed := make([]bool, len(steps)) // they may be passed over
	var look []int
	for i := range steps {
		if steps[i].When != nil || steps[i].Compensation {
			look = append(look, i)
		}
	}
	for len(look) > 0 {
		i := look[len(look)-1]
		if look = look[:len(look)-1]; !passed[i] {
			passed[i] = true
			look = append(look, steps[i].NeededBy...)
		}
	}
	for i := range steps {
		steps[i].Certain = !passed[i] && steps[i].OnError != Continue
	}
	p.d.mentions = p.reads
	p.d.reads = slices.DeleteFunc(slices.Clone(p.reads), func(r inputRead) bool { return r.perhaps || r.step != none && !steps[r.step].Certain })
}

// Lacks lists the places that cannot be filled in because the input, of which nil is
// null, has no such member. These are only such that every job fails of which does not
// fail before: of steps that are Certain, and of the output.
func (d *Definition) Lacks(input json.RawMessage) (faults []services.Fault) {
	if len(d.reads) == 0 {
		return nil
	}
	var value any
	if len(bytes.TrimSpace(input)) > 0 {
		var err error
		if value, err = decode(input); err != nil {
			return nil // which is another's to say
		}
	}
	for _, r := range d.reads {
		if reason := lacks(value, r.path); reason != "" && len(faults) < maxFaults {
			faults = append(faults, services.Fault{Path: r.at, Message: reason})
		}
	}
	return faults
}

func lacks(value any, path []string) (reason string) {
	if value == nil {
		return "there is no input, and it reads {{input." + short(strings.Join(path, ".")) + "}}"
	}
	for i, name := range path {
		next, ok := member(value, name)
		if !ok {
			return short(strings.Join(append([]string{"input"}, path[:i]...), ".")) + " has no member " + short(name)
		}
		value = next
	}
	return ""
}
