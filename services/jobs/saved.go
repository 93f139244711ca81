package jobs

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// version names one version of a saved workflow; the zero one is of none.
type version struct {
	Workflow uuid.UUID
	Number   int64
}

// errNoWorkflow is the same for other organisations' workflows.
var errNoWorkflow = services.Errorf(services.NotFound, "Workflow not found")

// savedDefinition gives what a version of one of an organisation's saved workflows
// says; version 0 is the newest. Kind NotFound when there is none of which
// something new may begin: an archived one is none.
func (s *Service) savedDefinition(ctx context.Context, organization, id uuid.UUID, number int64) (definition string, actual int64, err error) {
	type row struct {
		Definition string `db:"definition"`
		Version    int64  `db:"version"`
	}
	found, err := postgres.One[row](ctx, s.repository.pool, `
		SELECT v.definition, v.version FROM uaol_jobs.workflows w
		JOIN uaol_jobs.workflow_versions v ON v.workflow_id = w.workflow_id AND v.version = CASE $3::bigint WHEN 0 THEN w.version ELSE $3::bigint END
		WHERE w.workflow_id = $1 AND w.organization_id = $2 AND w.archived_at IS NULL`, id, organization, number)
	if services.Is(err, services.NotFound) {
		err = errNoWorkflow
	}
	return found.Definition, found.Version, err
}

// sources gives jobs that are being made the text that they are made of. Of a
// batch most name the same saved workflow: each is looked up once.
type sources struct {
	service *Service
	known   map[version]source
}

type source struct {
	text string
	of   version
}

// fill takes over the request's own definition or the saved one that it names.
// Without either there is no text, and what reads it says so.
func (s *sources) fill(ctx context.Context, d *draft, in *Request, at string) (faults []services.Fault, err error) {
	switch {
	case in.Workflow == nil && in.Version != 0:
		return []services.Fault{{Path: at + ".workflow_version", Message: "goes only with workflow_id"}}, nil
	case in.Workflow == nil:
		d.Definition, d.Workflow, d.Version = string(in.Definition), in.was.Workflow, in.was.Number
		return nil, nil
	case given(in.Definition):
		return []services.Fault{{Path: at + ".workflow_id", Message: "goes not together with workflow_definition"}}, nil
	}
	wanted := version{*in.Workflow, in.Version}
	found, ok := s.known[wanted]
	if !ok {
		found.of.Workflow = wanted.Workflow
		found.text, found.of.Number, err = s.service.savedDefinition(ctx, d.Organization, wanted.Workflow, wanted.Number)
		if err != nil {
			return nil, err
		}
		if s.known == nil {
			s.known = map[version]source{}
		}
		s.known[wanted] = found
	}
	d.Definition, d.Workflow, d.Version = found.text, found.of.Workflow, found.of.Number
	return nil, nil
}

// given tells whether a member of a request says anything.
func given(text json.RawMessage) bool { return len(text) > 0 && string(text) != "null" }

// checked reads and prices a request as one for a job is, without holding
// anything.
func (s *Service) checked(ctx context.Context, caller services.Caller, in Request) error {
	_, err := s.drafts(ctx, caller, []Request{in}, func(int) string { return "body" })
	return err
}

// moved gives an error's faults other paths; those that have none stay.
func moved(err error, paths map[string]string) error {
	var e *services.Error
	if !errors.As(err, &e) {
		return err
	}
	of, ok := e.Details.([]services.Fault)
	if !ok {
		return err
	}
	faults := make([]services.Fault, len(of))
	for i, f := range of {
		faults[i] = f
		if path, there := paths[f.Path]; there {
			faults[i].Path = path
		}
	}
	return services.Faults(faults...)
}
