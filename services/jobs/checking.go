package jobs

import (
	"context"
	"encoding/json"

	"uaol/services"
	"uaol/services/jobs/workflow"
)

// CheckRequest is a definition to be looked at.
type CheckRequest struct {
	Definition json.RawMessage `json:"workflow_definition"`
}

// Checked is what a job of a definition would be, or why there can be none.
type Checked struct {
	Valid   bool             `json:"valid"`
	Faults  []services.Fault `json:"faults" doc:"all that is wrong, each with its path"`
	Steps   []CheckedStep    `json:"steps" doc:"in the definition's order; empty if it is not valid"`
	Credits int64            `json:"credits" doc:"of the steps whose number and price are known beforehand"`
	More    bool             `json:"more" doc:"there are steps whose number or price is known only when they are reached"`
	Input   json.RawMessage  `json:"input_schema,omitempty" doc:"a JSON Schema of the input that is read"`
}

// CheckedStep is one of its steps.
type CheckedStep struct {
	ID        string        `json:"id"`
	Kind      workflow.Kind `json:"kind"`
	Action    string        `json:"action,omitempty"`
	DependsOn []string      `json:"depends_on" doc:"what it waits for, said or not: also what it refers to"`
	Credits   int64         `json:"credits" doc:"of one call"`
	Each      bool          `json:"each,omitempty" doc:"it is done for each item of a list"`
}

// Check looks at a definition as if a job were to be made of it, and makes none.
// What is wrong with it is the answer and no error.
func (s *Service) Check(ctx context.Context, caller services.Caller, in CheckRequest) (Checked, error) {
	found := Checked{Faults: []services.Fault{}, Steps: []CheckedStep{}}
	drafts, err := s.drafts(ctx, caller, []Request{{Definition: in.Definition, saved: true}}, func(int) string { return "body" })
	if e, ok := services.AsError(err); ok && e.Kind == services.Invalid {
		if faults, told := e.Details.([]services.Fault); told {
			found.Faults = faults
			return found, nil
		}
	}
	if err != nil {
		return Checked{}, err
	}
	d := &drafts[0]
	found.Valid, found.Credits, found.More, found.Input = true, d.Cost, d.later, d.workflow.InputSchema()
	for i := range d.workflow.Steps {
		step := &d.workflow.Steps[i]
		one := CheckedStep{ID: step.ID, Kind: step.Kind, DependsOn: dependenciesOf(d.workflow, i), Each: step.ForEach != nil}
		if step.Tool != nil {
			one.Action = step.Tool.Action
		}
		if i < len(d.frozen) {
			one.Credits = d.frozen[i].Price
		}
		found.Steps = append(found.Steps, one)
	}
	return found, nil
}

// dependenciesOf are the ids of the steps that one waits for.
func dependenciesOf(d *workflow.Definition, i int) []string {
	ids := make([]string, len(d.Steps[i].Needs))
	for j, need := range d.Steps[i].Needs {
		ids[j] = d.Steps[need].ID
	}
	return ids
}
