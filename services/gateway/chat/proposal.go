package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"uaol/services"
	"uaol/services/jobs/workflow"
)

// Proposal is a workflow that a model has put together. Nothing of it runs until the
// caller sends Start.
type Proposal struct {
	Name  string `json:"name"`
	Start Start  `json:"start"`
}

// Start is the one request that starts a proposal.
type Start struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Key    string          `json:"idempotencyKey" doc:"for the header Idempotency-Key: the same proposal is started once"`
	Body   json.RawMessage `json:"body"`
}

// step is one of a proposal, as the model writes it.
type step struct {
	ID         string          `json:"id"`
	Tool       string          `json:"tool"`
	Parameters json.RawMessage `json:"parameters"`
	DependsOn  []string        `json:"depends_on"`
}

// propose keeps a workflow that is right, and tells the model what is wrong with another.
func (t *turn) propose(arguments string) string {
	var given struct {
		Name  string `json:"name"`
		Steps []step `json:"steps"`
	}
	if err := json.Unmarshal([]byte(arguments), &given); err != nil {
		return "The proposal is not as its schema says: " + err.Error()
	}
	var faults []string
	steps := make([]map[string]any, len(given.Steps))
	for i, s := range given.Steps {
		m, ok := t.box.methods[s.Tool]
		if !ok {
			faults = append(faults, fmt.Sprintf("steps[%d].tool: there is no tool %.80q", i, s.Tool))
			m.offer.ToolID = uuid.Max
		}
		if len(s.Parameters) == 0 {
			s.Parameters = json.RawMessage("{}")
		}
		steps[i] = map[string]any{"id": s.ID, "tool_id": m.offer.ToolID, "action": m.Name, "parameters": s.Parameters}
		if len(s.DependsOn) > 0 {
			steps[i]["depends_on"] = s.DependsOn
		}
	}
	definition, err := json.Marshal(map[string]any{"steps": steps})
	if err == nil && len(faults) == 0 {
		_, err = workflow.Parse(definition)
	}
	var body []byte
	if err == nil {
		body, err = json.Marshal(map[string]any{"workflow_definition": json.RawMessage(definition)})
	}
	if err != nil {
		faults = append(faults, faultsOf(err)...)
	}
	if len(faults) > 0 {
		return "The workflow can't be proposed:\n" + strings.Join(faults, "\n")
	}
	t.proposal = &Proposal{Name: given.Name, Start: Start{Method: "POST", Path: "/jobs", Key: t.id.String(), Body: body}}
	return "The workflow is shown to the user, who may start it. Say in a sentence what it does."
}

func faultsOf(err error) (all []string) {
	var own *services.Error
	if errors.As(err, &own) {
		faults, _ := own.Details.([]services.Fault)
		for _, f := range faults {
			all = append(all, f.Path+": "+f.Message)
		}
	}
	if len(all) == 0 {
		all = append(all, err.Error())
	}
	return all
}
