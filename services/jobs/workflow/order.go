package workflow

import (
	"slices"
	"strings"
)

// compensations marks the steps that others name in on_error, before anything
// refers to them.
func (p *parser) compensations(objects []map[string]any) {
	for i, members := range objects {
		handling, _ := members["on_error"].(map[string]any)
		id, _ := handling["compensate"].(string)
		if j, ok := p.d.index[id]; ok {
			p.d.Steps[i].Compensate = j
			p.d.Steps[j].Compensation = true
		}
	}
}

// approvals makes a step wait for the one that approves it, and that one wait
// for all that the step needs: the person sees the very call.
func (p *parser) approvals() {
	asked := slices.Clone(p.needs) // without what approvals add
	for i := range p.d.Steps {
		a := p.d.Steps[i].Approval
		if a == nil || a.Approves == none {
			continue
		}
		switch s := &p.d.Steps[a.Approves]; {
		case p.d.Steps[i].Compensation:
			p.fault(StepPath(i)+".approves", "is not for a compensation step, for which nobody waits")
		case s.Kind == "": // that was told
		case s.Kind != Tool:
			p.fault(StepPath(i)+".approves", "%q is no step of the kind %q", s.ID, Tool)
		case s.Compensation:
			p.fault(StepPath(i)+".approves", "%q is a compensation step, which waits for nobody", s.ID)
		case s.ForEach != nil:
			p.fault(StepPath(i)+".approves", "%q has for_each: its calls cannot be shown as one", s.ID)
		case s.ApprovedBy != none:
			p.fault(StepPath(i)+".approves", "%q is approved by the step %q already", s.ID, p.d.Steps[s.ApprovedBy].ID)
		default:
			s.ApprovedBy = i
			for _, need := range asked[a.Approves] {
				if need != i {
					p.needs[i] = append(p.needs[i], need)
				}
			}
			p.needs[a.Approves] = append(p.needs[a.Approves], i)
		}
	}
}

// order sorts the dependencies, makes their reverse and finds cycles: what is
// left when the steps that wait for nobody, and then those that nobody waits
// for, have been taken away again and again.
func (p *parser) order() {
	steps := p.d.Steps
	for i := range steps {
		slices.Sort(p.needs[i])
		steps[i].Needs = slices.Compact(p.needs[i])
		for _, need := range steps[i].Needs {
			steps[need].NeededBy = append(steps[need].NeededBy, i)
		}
	}
	left := make([]bool, len(steps))
	for i := range left {
		left[i] = true
	}
	needs := func(i int) []int { return steps[i].Needs }
	neededBy := func(i int) []int { return steps[i].NeededBy }
	peel(left, needs, neededBy)
	peel(left, neededBy, needs)
	var stuck []string
	for i, s := range steps {
		if left[i] {
			stuck = append(stuck, s.ID)
		}
	}
	if len(stuck) > 0 {
		p.fault(at+".steps", "these steps wait for each other: %s", strings.Join(stuck, ", "))
	}
}

// peel takes away what waits for nothing that is left, until nothing does.
func peel(left []bool, waitsFor, frees func(int) []int) {
	waits := make([]int, len(left))
	var free []int
	for i := range left {
		for _, other := range waitsFor(i) {
			if left[other] {
				waits[i]++
			}
		}
		if left[i] && waits[i] == 0 {
			free = append(free, i)
		}
	}
	for len(free) > 0 {
		i := free[len(free)-1]
		free = free[:len(free)-1]
		left[i] = false
		for _, next := range frees(i) {
			if waits[next]--; waits[next] == 0 && left[next] {
				free = append(free, next)
			}
		}
	}
}
