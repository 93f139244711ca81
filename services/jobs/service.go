package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/events"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/registry"
)

// Service is the jobs service's use cases; Engine does the work.
type Service struct {
	repository *Repository
	catalog    registry.Catalog
	meter      billing.Meter
	bus        *events.Bus
	log        *zap.Logger
}

// NewService makes a Service.
func NewService(repository *Repository, catalog registry.Catalog, meter billing.Meter, bus *events.Bus, log *zap.Logger) *Service {
	return &Service{repository: repository, catalog: catalog, meter: meter, bus: bus, log: log}
}

const (
	// holdFirst is how long a job's hold stands before billing asks whether
	// there is such a job; insertWithin is how long making it may take.
	holdFirst    = 2 * time.Minute
	insertWithin = 30 * time.Second
)

// Create checks a workflow, holds what it will cost and queues it.
func (s *Service) Create(ctx context.Context, caller services.Caller, definition json.RawMessage) (Job, error) {
	ctx, cancel := context.WithTimeout(ctx, insertWithin)
	defer cancel()
	workflow, err := ParseWorkflow(definition)
	if err != nil {
		return Job{}, err
	}
	steps, cost, err := s.price(ctx, caller, workflow)
	if err != nil {
		return Job{}, err
	}
	id := uuid.Must(uuid.NewV7())
	if cost > 0 {
		if _, err := s.meter.Hold(ctx, billing.HoldRequest{ID: id, Caller: caller, Owner: billing.OwnerJob, Amount: cost, Calls: priced(steps), Lifetime: holdFirst}); err != nil {
			return Job{}, err
		}
	}
	job, happened, err := s.repository.insert(ctx, id, caller, definition, cost, steps)
	if err != nil {
		s.giveBack(ctx, id, cost, err)
		return Job{}, err
	}
	s.bus.Publish(happened)
	return job, nil
}

// priced counts the steps that cost something.
func priced(steps []StepState) (n int64) {
	for _, s := range steps {
		if s.Price > 0 {
			n++
		}
	}
	return n
}

// giveBack releases the hold of a job that did not come to be. When nobody can
// tell whether it did, billing's sweeper asks later.
func (s *Service) giveBack(ctx context.Context, id uuid.UUID, cost int64, reason error) {
	if cost == 0 || services.Is(reason, services.Unavailable) || ctx.Err() != nil {
		return
	}
	if _, err := s.meter.Release(ctx, billing.ReleaseRequest{HoldID: id}); err != nil {
		s.log.Warn("a hold stays until the sweeper finds it", zap.Stringer("hold", id), zap.Error(err))
	}
}

// price looks every tool up and freezes its version and its methods' prices for
// the job.
func (s *Service) price(ctx context.Context, caller services.Caller, w Workflow) (steps []StepState, cost int64, err error) {
	var ids []uuid.UUID
	for _, step := range w.Steps {
		if !slices.Contains(ids, step.ToolID) {
			ids = append(ids, step.ToolID)
		}
	}
	offers, err := s.catalog.Offers(ctx, registry.ToolsRequest{IDs: ids})
	if err != nil {
		return nil, 0, err
	}
	var faults []services.Fault
	for i, step := range w.Steps {
		at := slices.IndexFunc(offers, func(o registry.Offer) bool { return o.ToolID == step.ToolID && o.VisibleTo(caller) })
		if at < 0 {
			faults = append(faults, services.Fault{Path: stepPath(i) + ".tool_id", Message: fmt.Sprintf("there is no approved tool %s", step.ToolID)})
			continue
		}
		offer := offers[at]
		price := offer.PriceOf(step.Action)
		cost += price
		steps = append(steps, StepState{ID: step.ID, ToolID: offer.ToolID, Version: offer.Version, Action: step.Action, Price: price})
	}
	if len(faults) > 0 {
		return nil, 0, services.Faults(faults...)
	}
	return steps, cost, nil
}

// Get gives one of the caller's jobs.
func (s *Service) Get(ctx context.Context, caller services.Caller, id uuid.UUID) (Job, error) {
	job, err := s.repository.byID(ctx, id)
	if services.Is(err, services.NotFound) {
		return Job{}, services.Errorf(services.NotFound, "Job not found")
	}
	if err == nil && !caller.Owns(job.Organization) {
		return Job{}, services.Errorf(services.Forbidden, "Access denied")
	}
	return job, err
}

// Steps gives the steps of one of the caller's jobs.
func (s *Service) Steps(ctx context.Context, caller services.Caller, id uuid.UUID) ([]StepState, error) {
	if _, err := s.Get(ctx, caller, id); err != nil {
		return nil, err
	}
	return s.repository.steps(ctx, id)
}

// List gives the caller's jobs, newest first.
func (s *Service) List(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]Job, error) {
	return s.repository.owned(ctx, caller.Organization, before, beforeID, limit)
}

// Cancel asks a job to stop; it tells whether there was anything to stop.
func (s *Service) Cancel(ctx context.Context, caller services.Caller, id uuid.UUID) (open bool, err error) {
	if _, err := s.Get(ctx, caller, id); err != nil {
		return false, err
	}
	open, err = s.repository.requestCancel(ctx, id)
	if open {
		s.bus.Publish(events.New(cancelling, id.String(), caller.Organization, nil))
	}
	return open, err
}

// Ended implements billing.JobDirectory.
func (s *Service) Ended(ctx context.Context, in billing.EndedRequest) ([]uuid.UUID, error) {
	open, err := s.repository.open(ctx, in.JobIDs)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(in.JobIDs), func(id uuid.UUID) bool { return slices.Contains(open, id) }), nil
}
