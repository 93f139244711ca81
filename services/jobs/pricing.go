package jobs

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/jobs/workflow"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// pricer looks tools up, each once.
type pricer struct {
	service *Service
	caller  services.Caller
	known   map[uuid.UUID]*registry.Offer
	saving  uuid.UUID // the saved workflow that gets another version, or nil
}

// price freezes the versions of a draft's tools and their methods' prices. An old
// definition is one that was accepted before.
func (p *pricer) price(ctx context.Context, d *draft, old bool) (err error) {
	read := p.service.repository.definitions.fresh
	if old {
		read = p.service.repository.definitions.of
	}
	if d.workflow, err = read(d.Definition); err != nil {
		return err
	}
	if err := p.look(ctx, d.workflow); err != nil {
		return err
	}
	faults, err := p.contains(ctx, d)
	if err != nil {
		return err
	}
	frozenAs := make(plan, len(d.workflow.Steps))
	for i := range d.workflow.Steps {
		step := &d.workflow.Steps[i]
		if step.Tool == nil {
			d.later = d.later || step.Kind == workflow.Child // which may cost something
			continue
		}
		offer := p.known[step.Tool.ToolID]
		if offer == nil || !offer.VisibleTo(p.caller) {
			faults = append(faults, services.Fault{Path: workflow.StepPath(i) + ".tool_id", Message: fmt.Sprintf("there is no approved tool %s", step.Tool.ToolID)})
			continue
		}
		method, err := offer.Find(step.Tool.Action)
		if err != nil {
			faults = append(faults, services.Fault{Path: workflow.StepPath(i) + ".action", Message: message(err)})
			continue
		}
		faults = append(faults, p.arguments(*offer, method, step.Tool, i)...)
		d.later = d.later || step.ForEach != nil && offer.PriceOf(step.Tool.Action) > 0
		frozenAs[i] = frozen{Version: offer.Version, Price: offer.PriceOf(step.Tool.Action),
			Safe: offer.Pinned && proxy.Repeatable([]upstream.Method{method.Method}, step.Tool.Action)}
	}
	if len(faults) > 0 {
		return services.Faults(faults...)
	}
	d.frozen, d.Plan = frozenAs, frozenAs.text()
	d.Cost, d.calls = frozenAs.cost(d.workflow)
	return nil
}

// arguments lists what is wrong with a step's arguments, whatever its references
// will stand for.
func (p *pricer) arguments(offer registry.Offer, method registry.Method, call *workflow.ToolCall, i int) []services.Fault {
	value, holes := call.Parameters.Value()
	given, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	unknown := make([][]string, len(holes))
	for i, hole := range holes {
		unknown[i] = hole
	}
	return p.service.checker.Faults(offer, method, given, unknown, workflow.StepPath(i)+".parameters")
}

func (p *pricer) look(ctx context.Context, d *workflow.Definition) error {
	var ids []uuid.UUID
	for i := range d.Steps {
		if tool := d.Steps[i].Tool; tool != nil {
			if _, ok := p.known[tool.ToolID]; !ok && !slices.Contains(ids, tool.ToolID) {
				ids = append(ids, tool.ToolID)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	offers, err := p.service.catalog.Offers(ctx, registry.ToolsRequest{IDs: ids})
	if err != nil {
		return err
	}
	for _, id := range ids {
		p.known[id] = nil
	}
	for i := range offers {
		p.known[offers[i].ToolID] = &offers[i]
	}
	return nil
}
