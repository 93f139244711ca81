package jobs

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// Service is the jobs service's use cases; Engine does the work.
type Service struct {
	repository *Repository
	engine     *Engine
	catalog    registry.Catalog
	meter      billing.Meter
	policy     *egress.Policy
	checker    *proxy.Checker
	bus        *events.Bus
	log        *zap.Logger
}

// NewService makes a Service, which must be closed.
func NewService(repository *Repository, engine *Engine, catalog registry.Catalog, meter billing.Meter, policy *egress.Policy, bus *events.Bus, log *zap.Logger) *Service {
	s := &Service{repository: repository, engine: engine, catalog: catalog, meter: meter, policy: policy, checker: proxy.NewChecker(), bus: bus, log: log}
	engine.children = s
	return s
}

// Close ends what goes on in the background.
func (s *Service) Close() { s.checker.Close() }

// Get gives one of the caller's jobs.
func (s *Service) Get(ctx context.Context, caller services.Caller, id uuid.UUID) (Job, error) {
	row, err := s.find(ctx, caller, id)
	if err != nil {
		return Job{}, err
	}
	shown, err := s.shown(ctx, row)
	if err != nil {
		return Job{}, err
	}
	asked, err := s.repository.requestOf(ctx, row)
	shown[0].Input = asked.Input
	return shown[0], err
}

func (s *Service) find(ctx context.Context, caller services.Caller, id uuid.UUID) (jobRow, error) {
	row, err := s.repository.byID(ctx, id)
	if services.Is(err, services.NotFound) {
		row, err = s.repository.archivedByID(ctx, id)
	}
	if services.Is(err, services.NotFound) {
		return jobRow{}, services.Errorf(services.NotFound, "Job not found")
	}
	if err == nil && !caller.Owns(row.Organization) {
		return jobRow{}, services.Errorf(services.Forbidden, "Access denied")
	}
	return row, err
}

// shown puts the outputs of jobs together that have succeeded: what the
// definition says, else each step's result by its id.
func (s *Service) shown(ctx context.Context, rows ...jobRow) ([]Job, error) {
	return shown(ctx, s.repository, rows...)
}

func shown(ctx context.Context, repository *Repository, rows ...jobRow) ([]Job, error) {
	var ids []uuid.UUID
	for _, row := range rows {
		if row.Status == Success && row.FinalOutput == nil && row.archived == nil {
			ids = append(ids, row.ID)
		}
	}
	by := map[uuid.UUID][]stepRow{}
	for _, row := range rows {
		if row.archived != nil {
			by[row.ID] = row.archived.Steps
		}
	}
	if len(ids) > 0 {
		steps, err := repository.steps(ctx, ids...)
		if err != nil {
			return nil, err
		}
		for _, step := range steps {
			by[step.Job] = append(by[step.Job], step)
		}
	}
	jobs := make([]Job, len(rows))
	for i, row := range rows {
		jobs[i] = row.Job
		if row.Status != Success || row.FinalOutput != nil {
			continue
		}
		definition, err := repository.definitions.of(string(row.Definition))
		if err != nil {
			return nil, err
		}
		results := make(map[string]json.RawMessage, len(definition.Steps))
		for _, u := range unitsOf(definition, by[row.ID]) {
			if result := u.outcome(); result != nil {
				results[definition.Steps[u.position].ID] = result
			}
		}
		if jobs[i].FinalOutput, err = encode(results); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// Cancel asks for a job's end; open is false when it has ended already.
func (s *Service) Cancel(ctx context.Context, caller services.Caller, id uuid.UUID) (open bool, err error) {
	if _, err := s.find(ctx, caller, id); err != nil {
		return false, err
	}
	open, err = s.repository.requestCancel(ctx, id)
	if open {
		s.bus.Publish(events.New(signalled, id.String(), caller.Organization, nil))
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
