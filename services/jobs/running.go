package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/jobs/workflow"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// mostRunnable saved workflows of one organisation are offered by name.
const mostRunnable = 500

type runnableRow struct {
	ID          uuid.UUID `db:"workflow_id"`
	Name        string    `db:"name"`
	Description string    `db:"description"`
	Version     int64     `db:"version"`
	Definition  string    `db:"definition"`
}

func (r *Repository) runnable(ctx context.Context, organization uuid.UUID) ([]runnableRow, error) {
	return postgres.All[runnableRow](ctx, r.pool, `
		SELECT w.workflow_id, w.name, w.description, w.version, v.definition FROM uaol_jobs.workflows w
		JOIN uaol_jobs.workflow_versions v ON v.workflow_id = w.workflow_id AND v.version = w.version
		WHERE w.organization_id = $1 AND w.archived_at IS NULL ORDER BY w.created_at, w.workflow_id LIMIT $2`, organization, mostRunnable)
}

// Runnable implements Runner. A workflow of which no job could be made now, because a
// tool of it is gone or is not for the caller, is none.
func (s *Service) Runnable(ctx context.Context, in RunnableRequest) ([]Runnable, error) {
	if in.Caller.Role == services.RoleGuest { // who can save none
		return []Runnable{}, nil
	}
	rows, err := s.repository.runnable(ctx, in.Caller.Organization)
	if err != nil {
		return nil, err
	}
	pricing := pricer{service: s, caller: in.Caller, known: map[uuid.UUID]*registry.Offer{}}
	var together workflow.Definition
	for _, row := range rows {
		if d, err := s.repository.definitions.of(row.Definition); err == nil {
			together.Steps = append(together.Steps, d.Steps...)
		}
	}
	if err := pricing.look(ctx, &together); err != nil {
		return nil, err
	}
	all := make([]Runnable, 0, len(rows))
	for _, row := range rows {
		d := draft{creation: creation{Definition: row.Definition, Organization: in.Caller.Organization, Account: in.Caller.Account, Workflow: row.ID, Version: row.Version}}
		var refused *services.Error
		err := pricing.price(ctx, &d, true)
		if errors.As(err, &refused) && (refused.Kind == services.Invalid || refused.Kind == services.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Runnable{ID: row.ID, Name: row.Name, Description: row.Description, Version: row.Version,
			Input: d.workflow.InputSchema(), Cost: d.Cost, Open: d.later})
	}
	return all, nil
}

// Begin implements Runner.
func (s *Service) Begin(ctx context.Context, in BeginRequest) (Standing, error) {
	made, err := s.Create(ctx, in.Caller, Request{Workflow: &in.Workflow, Input: in.Input, Key: in.Key, most: in.MaxCost})
	if err != nil {
		return Standing{}, err
	}
	return s.Standing(ctx, StandingRequest{Caller: in.Caller, Job: made.ID})
}

// affords refuses a job that may cost more than its caller wants to pay.
func (d *draft) affords(most *int64) error {
	switch {
	case most == nil:
		return nil
	case d.Cost > *most:
		return services.Errorf(services.Insufficient, "The workflow costs %d credits, more than the %d that it may cost", d.Cost, *most).WithCode(proxy.CodeTooDear)
	case d.later:
		return services.Errorf(services.Insufficient, "What the workflow costs is not known before it runs, and it may not cost more than %d credits", *most).WithCode(proxy.CodeTooDear)
	}
	return nil
}

// Standing implements Runner.
func (s *Service) Standing(ctx context.Context, in StandingRequest) (Standing, error) {
	changed, leave := s.repository.hub.follow(in.Job)
	defer leave()
	over := time.NewTimer(time.Duration(min(in.Wait, MostWait)) * time.Millisecond)
	defer over.Stop()
	for {
		is, err := s.standing(ctx, in.Caller, in.Job)
		if err != nil || in.After == "" || is.Mark != in.After || is.Job.Status.Ended() {
			return is, err
		}
		select {
		case <-changed:
		case <-over.C:
			return is, nil
		case <-ctx.Done():
			return is, ctx.Err()
		}
	}
}

func (s *Service) standing(ctx context.Context, caller services.Caller, id uuid.UUID) (Standing, error) {
	row, err := s.find(ctx, caller, id)
	if err != nil {
		return Standing{}, err
	}
	rows, err := s.repository.stepsOf(ctx, row)
	if err != nil {
		return Standing{}, err
	}
	states, err := s.states(row, rows)
	if err != nil {
		return Standing{}, err
	}
	shown, err := s.shown(ctx, row)
	if err != nil {
		return Standing{}, err
	}
	is := Standing{Job: *shown[0].state(), CreatedAt: row.CreatedAt, ChangedAt: row.UpdatedAt}
	last := int64(0)
	for _, r := range rows {
		last = max(last, r.Seq)
	}
	is.Mark = string(row.Status) + "/" + strconv.FormatInt(last, 10)
	is.tell(states)
	return is, nil
}

// tell sums a job's steps up.
func (is *Standing) tell(states []StepState) {
	var newest time.Time
	for _, step := range states {
		whole := step.Item == nil
		if whole {
			is.Steps++
		}
		if step.Kind == workflow.Child {
			is.Children = true
		}
		if step.Status.Ended() {
			if whole {
				is.Done++
			}
			if step.Status == Success && step.Kind == workflow.Tool && !hasItems(states, step) {
				is.Credits += step.Price
			}
		}
		if step.EndTime != nil && step.EndTime.After(newest) {
			newest = step.EndTime.Time
			is.Newest = fmt.Sprintf("%s: %s", step.ID, step.Status)
		}
		if step.Status == Waiting && step.Kind == workflow.Approval && step.Asks != nil {
			key := step.ID + "/" + strconv.Itoa(step.Attempt)
			is.Asks = append(is.Asks, Ask{key, step.ID, step.Item, step.Asks.Message, step.Asks.Call, step.Asks.Digest})
		}
	}
	if newest.After(is.ChangedAt.Time) {
		is.ChangedAt = services.Time{Time: newest}
	}
}

// hasItems tells the step that its items were run for: they cost what it says.
func hasItems(states []StepState, step StepState) bool {
	if step.Item != nil {
		return false
	}
	for _, other := range states {
		if other.ID == step.ID && other.Item != nil {
			return true
		}
	}
	return false
}

// Answer implements Runner.
func (s *Service) Answer(ctx context.Context, in AnswerRequest) error {
	decision := Reject
	if in.Approve {
		decision = Approve
	}
	return s.Decide(ctx, in.Caller, in.Job, DecideRequest{Step: in.Step, Item: in.Item, Decision: decision, Digest: in.Digest})
}

// Stop implements Runner.
func (s *Service) Stop(ctx context.Context, in StandingRequest) error {
	_, err := s.Cancel(ctx, in.Caller, in.Job)
	return err
}
