package jobs

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/jobs/workflow"
)

// mostFollowed bounds how many saved workflows are read to see whether one comes back
// to itself. What is further away the engine finds when it runs.
const mostFollowed = 100

// contained is a saved workflow that a definition runs.
type contained struct {
	there  bool      // the workflow is
	of     version   // number 0: there is no such version
	always []version // what it runs in turn, however it goes

	looked bool // by below
	depth  int
	back   *version
}

// contents are the workflows that a definition runs, by what it calls them: of version
// 0 it means the newest.
type contents struct {
	pricer *pricer
	itself version // what the definition is, or will be
	known  map[version]*contained
	reads  int
}

// contains lists what is wrong with the workflows that a definition runs: there is none,
// or it would never end. Without such steps it asks nothing.
func (p *pricer) contains(ctx context.Context, d *draft) (faults []services.Fault, err error) {
	wanted, always := childrenOf(d.workflow, false), childrenOf(d.workflow, true)
	if len(wanted) == 0 {
		return nil, nil
	}
	c := contents{pricer: p, itself: version{d.Workflow, d.Version}, known: map[version]*contained{}}
	if p.saving != uuid.Nil {
		c.itself = version{p.saving, 0}
	}
	for level := 1; len(wanted) > 0 && level < deepest; level++ {
		if err := c.ask(ctx, wanted, always); err != nil {
			return nil, err
		}
		next := []version{}
		for _, name := range always {
			next = append(next, c.known[name].always...)
		}
		wanted = slices.DeleteFunc(next, func(name version) bool { return c.known[name] != nil })
		always = wanted
	}
	for i := range d.workflow.Steps {
		if child := d.workflow.Steps[i].Child; child != nil {
			if member, reason := c.wrong(&d.workflow.Steps[i]); reason != "" {
				faults = append(faults, services.Fault{Path: workflow.StepPath(i) + member, Message: reason})
			}
		}
	}
	return faults, nil
}

// childrenOf are the workflows that a definition runs, or only those that it runs
// however it goes: with a condition, or for a list that may be empty, a workflow may
// well run itself and come to its end.
func childrenOf(d *workflow.Definition, always bool) (all []version) {
	seen := map[version]bool{}
	for i := range d.Steps {
		s := &d.Steps[i]
		if s.Child == nil || always && (!s.Certain || s.ForEach != nil) {
			continue
		}
		if name := (version{s.Child.WorkflowID, s.Child.Version}); !seen[name] {
			seen[name] = true
			all = append(all, name)
		}
	}
	return all
}

// ask looks workflows up, and reads those that are always run.
func (c *contents) ask(ctx context.Context, names, always []version) error {
	type row struct {
		Place      int64   `db:"place"`
		Number     int64   `db:"number"`
		Definition *string `db:"definition"`
	}
	ids, numbers, read := make([]string, len(names)), make([]int64, len(names)), make([]bool, len(names))
	for i, name := range names {
		ids[i], numbers[i] = name.Workflow.String(), name.Number
		c.known[name] = &contained{}
		if name != c.itself && c.reads < mostFollowed && slices.Contains(always, name) {
			read[i] = true
			c.reads++
		}
	}
	rows, err := postgres.All[row](ctx, c.pricer.service.repository.pool, `
		SELECT n.place, coalesce(v.version, 0) AS number, CASE WHEN n.read THEN v.definition END AS definition
		FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::boolean[])) WITH ORDINALITY AS n (id, number, read, place)
		JOIN uaol_jobs.workflows w ON w.workflow_id = n.id::uuid AND w.organization_id = $4 AND w.archived_at IS NULL
		LEFT JOIN uaol_jobs.workflow_versions v ON v.workflow_id = w.workflow_id AND v.version = CASE n.number WHEN 0 THEN w.version ELSE n.number END`,
		ids, numbers, read, c.pricer.caller.Organization)
	if err != nil {
		return err
	}
	for _, row := range rows {
		name := names[row.Place-1]
		found := c.known[name]
		found.there, found.of = true, version{name.Workflow, row.Number}
		if name == c.itself {
			found.of = name
		}
		if row.Definition == nil {
			continue
		}
		definition, err := c.pricer.service.repository.definitions.of(*row.Definition)
		if err != nil {
			return err
		}
		found.always = childrenOf(definition, true)
	}
	return nil
}

// wrong says what is wrong with the workflow of a step, and in which member.
func (c *contents) wrong(step *workflow.Step) (member, reason string) {
	name := version{step.Child.WorkflowID, step.Child.Version}
	found := c.known[name]
	switch {
	case !found.there:
		return ".workflow_id", fmt.Sprintf("there is no workflow %s", name.Workflow)
	case found.of.Number == 0 && name != c.itself:
		return ".version", fmt.Sprintf("there is no version %d of the workflow %s", name.Number, name.Workflow)
	case !step.Certain || step.ForEach != nil:
		return "", ""
	}
	switch depth, back := c.below(name, nil); {
	case back != nil:
		return ".workflow_id", fmt.Sprintf("never ends: the workflow %s would run itself again and again; a step with a condition (when) may", back.Workflow)
	case depth >= deepest:
		return ".workflow_id", fmt.Sprintf("is too deep: workflows may be within each other %d deep", deepest)
	}
	return "", ""
}

// below tells how deep workflows are within each other from here, and which one comes
// back to itself, as far as they were read. What leads to a circle does so from
// wherever one comes, so each is looked at once.
func (c *contents) below(name version, path []version) (depth int, back *version) {
	found := c.known[name]
	if found == nil || found.of.Workflow == uuid.Nil {
		return 1, nil
	}
	if found.of == c.itself || slices.Contains(path, found.of) {
		return 1, &found.of
	}
	if found.looked {
		return found.depth, found.back
	}
	path = append(path, found.of)
	for _, next := range found.always {
		n, circle := c.below(next, path)
		found.depth = max(found.depth, n)
		if circle != nil {
			found.back = circle
		}
	}
	found.looked = true
	found.depth++
	return found.depth, found.back
}
