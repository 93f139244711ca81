package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"

	"uaol/providers/events"
	"uaol/services"
	"uaol/services/jobs/workflow"
)

// unitsOf puts a job's rows in the places of its definition's steps.
func unitsOf(d *workflow.Definition, rows []stepRow) []unit {
	units := make([]unit, len(d.Steps))
	for i := range units {
		units[i] = unit{position: i, item: whole, status: Pending}
	}
	for _, row := range rows {
		if row.Position >= len(units) {
			continue
		}
		u := &units[row.Position]
		if row.Item != whole {
			for len(u.items) <= row.Item {
				u.items = append(u.items, unit{position: row.Position, item: len(u.items), status: Pending})
			}
			u = &u.items[row.Item]
		}
		u.status, u.attempt, u.result = row.Status, row.Attempt, rawOf(row.Result)
	}
	return units
}

// Steps gives the steps of one of the caller's jobs as far as they have come, in
// the order of the definition, and the items of for_each after theirs.
func (s *Service) Steps(ctx context.Context, caller services.Caller, id uuid.UUID) ([]StepState, error) {
	job, err := s.find(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	rows, err := s.repository.stepsOf(ctx, job)
	if err != nil {
		return nil, err
	}
	return s.states(job, rows)
}

// stepsOf gives a job's rows, also of one that was put away.
func (r *Repository) stepsOf(ctx context.Context, job jobRow) ([]stepRow, error) {
	if job.archived != nil {
		return job.archived.Steps, nil
	}
	return r.steps(ctx, job.ID)
}

func (s *Service) states(job jobRow, rows []stepRow) ([]StepState, error) {
	definition, err := s.repository.definitions.of(string(job.Definition))
	if err != nil { // it was good when the job was made; its rows say no more than positions
		return nil, nil
	}
	frozen, err := planOf(job.Plan)
	if err != nil || len(frozen) != len(definition.Steps) {
		frozen = make(plan, len(definition.Steps))
	}
	by := map[int][]stepRow{}
	for _, row := range rows {
		by[row.Position] = append(by[row.Position], row)
	}
	var states []StepState
	for i := range definition.Steps {
		state := stateOf(definition, i, frozen[i])
		if job.Status.Ended() {
			if state.Status = Skipped; job.Status == Cancelled {
				state.Status = Cancelled
			}
		}
		if len(by[i]) == 0 || by[i][0].Item != whole {
			if len(by[i]) > 0 && !job.Status.Ended() {
				state.Status = Running
			}
			states = append(states, state)
		}
		for _, row := range by[i] {
			states = append(states, state.with(row))
		}
	}
	return states, nil
}

func stateOf(definition *workflow.Definition, i int, f frozen) StepState {
	step := &definition.Steps[i]
	state := StepState{ID: step.ID, Kind: step.Kind, DependsOn: dependenciesOf(definition, i), Version: f.Version, Price: f.Price, Status: Pending}
	if step.Tool != nil {
		state.ToolID, state.Action = step.Tool.ToolID, step.Tool.Action
	}
	return state
}

// state is what a row says of its step.
func (s *Service) state(job jobRow, row stepRow) (StepState, error) {
	definition, err := s.repository.definitions.of(string(job.Definition))
	if err != nil {
		return StepState{}, err
	}
	frozenAs, err := planOf(job.Plan)
	if err != nil || row.Position >= len(definition.Steps) || row.Position >= len(frozenAs) {
		return StepState{}, services.Errorf(services.Internal, "a step is not in its job's workflow").Because(err)
	}
	return stateOf(definition, row.Position, frozenAs[row.Position]).with(row), nil
}

// with is a step's state as its row says.
func (s StepState) with(row stepRow) StepState {
	s.Status, s.Attempt, s.Result, s.Error, s.StartTime, s.EndTime = row.Status, row.Attempt, rawOf(row.Result), row.Error, row.StartTime, row.EndTime
	if row.Item != whole {
		s.Item, s.DependsOn = &row.Item, nil
	}
	if row.Detail != nil && (row.Status == Waiting || row.Status == Retrying) {
		var q question
		if row.Status == Waiting && json.Unmarshal([]byte(*row.Detail), &q) == nil {
			s.Asks = &q
		}
		if until, err := momentOf(*row.Detail); err == nil {
			s.WaitsUntil = &services.Time{Time: until}
		}
	}
	return s
}

// DecideRequest is what somebody decides about a step.
type DecideRequest struct {
	Step     string
	Item     *int
	Decision Decision
	Digest   string // of the call that is approved; "" is the one that waits
}

// Decide ends the wait of a step for somebody. Kinds: NotFound, Conflict when it
// does not wait for that, or when another call waits than the one that was seen.
func (s *Service) Decide(ctx context.Context, caller services.Caller, id uuid.UUID, in DecideRequest) error {
	job, err := s.find(ctx, caller, id)
	if err != nil {
		return err
	}
	definition, err := s.repository.definitions.of(string(job.Definition))
	if err != nil {
		return err
	}
	position, ok := definition.Index(in.Step)
	if !ok {
		return services.Errorf(services.NotFound, "The job has no step %s", in.Step)
	}
	if job.Status.Ended() {
		return errEnded
	}
	d := decided{Position: position, Item: whole, Decision: in.Decision, Account: caller.Account}
	if in.Item != nil {
		d.Item = *in.Item
	}
	rows, err := s.repository.steps(ctx, id)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(rows, func(row stepRow) bool { return row.Position == d.Position && row.Item == d.Item })
	if at < 0 {
		return services.Errorf(services.Conflict, "The step %s does not wait for anybody", in.Step)
	}
	d.Attempt = rows[at].Attempt
	switch wanted := in.Decision == Approve || in.Decision == Reject; {
	case wanted && rows[at].Status == Waiting && definition.Steps[position].Approval != nil:
		var q question
		if err := json.Unmarshal([]byte(*rows[at].Detail), &q); err != nil {
			return err
		}
		if in.Digest != "" && in.Digest != q.Digest {
			return services.Errorf(services.Conflict, "Another call waits for approval than the one with this digest")
		}
		d.Digest = q.Digest
	case !wanted && rows[at].Status == Unknown:
	default:
		return services.Errorf(services.Conflict, "The step %s is %s and does not wait for that decision", in.Step, rows[at].Status)
	}
	if err := s.repository.decideOnce(ctx, id, d); err != nil {
		return err
	}
	s.bus.Publish(events.New(signalled, id.String(), caller.Organization, nil))
	return nil
}

// encode writes compact JSON in which <, > and & are themselves.
func encode(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
