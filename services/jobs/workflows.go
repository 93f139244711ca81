package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/services"
)

// Workflow is a saved definition. Each change of what it says is a version.
type Workflow struct {
	ID          uuid.UUID       `json:"workflow_id" db:"workflow_id"`
	Account     uuid.UUID       `json:"user_id" db:"account_id" doc:"who made it"`
	Name        string          `json:"name" db:"name"`
	Description string          `json:"description" db:"description"`
	Version     int64           `json:"version" db:"version" doc:"the newest"`
	Definition  json.RawMessage `json:"workflow_definition,omitempty" db:"definition" doc:"the newest version's; not in lists"`
	ArchivedAt  *services.Time  `json:"archived_at" db:"archived_at"`
	CreatedAt   services.Time   `json:"created_at" db:"created_at"`
	UpdatedAt   services.Time   `json:"updated_at" db:"updated_at"`
}

// WorkflowVersion is what a workflow said from then on. It never changes.
type WorkflowVersion struct {
	Version    int64           `json:"version" db:"version"`
	Account    uuid.UUID       `json:"user_id" db:"account_id" doc:"who wrote it"`
	Definition json.RawMessage `json:"workflow_definition,omitempty" db:"definition" doc:"not in lists"`
	CreatedAt  services.Time   `json:"created_at" db:"created_at"`
}

// WorkflowRequest is a workflow to be saved: a definition, or what a template
// makes of parameters.
type WorkflowRequest struct {
	Name        string            `json:"name" minLength:"1" maxLength:"200" doc:"one that no other of the organisation's has"`
	Description string            `json:"description,omitempty" maxLength:"2000"`
	Definition  json.RawMessage   `json:"workflow_definition,omitempty"`
	Template    string            `json:"template,omitempty" maxLength:"100" doc:"instead of workflow_definition: one of GET /workflows/templates"`
	Parameters  map[string]string `json:"parameters,omitempty" doc:"of the template"`
}

// SaveWorkflow saves the first version of a workflow. Its definition is checked as
// a job's is. Kinds: Invalid with all faults, Conflict for a name that is taken.
func (s *Service) SaveWorkflow(ctx context.Context, caller services.Caller, in WorkflowRequest) (Workflow, error) {
	if err := named(in.Name); err != nil {
		return Workflow{}, err
	}
	switch {
	case in.Template != "" && given(in.Definition):
		return Workflow{}, services.Faults(services.Fault{Path: "body.template", Message: "goes not together with workflow_definition"})
	case in.Template != "":
		text, paths, err := fromTemplate(in.Template, in.Parameters)
		if err != nil {
			return Workflow{}, err
		}
		if in.Definition = text; in.Description == "" {
			in.Description = templateNamed(in.Template).Description
		}
		if err := s.checked(ctx, caller, Request{Definition: text, saved: true}); err != nil {
			return Workflow{}, moved(err, paths)
		}
	default:
		if err := s.checked(ctx, caller, Request{Definition: in.Definition, saved: true}); err != nil {
			return Workflow{}, err
		}
	}
	return s.repository.saveWorkflow(ctx, caller, in)
}

// Workflows lists those of the caller's that are not archived, newest first.
func (s *Service) Workflows(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]Workflow, error) {
	return s.repository.workflows(ctx, caller.Organization, before, beforeID, limit)
}

// Workflow gives one, an archived one too; kind NotFound for other
// organisations' as well.
func (s *Service) Workflow(ctx context.Context, caller services.Caller, id uuid.UUID) (Workflow, error) {
	found, err := s.repository.workflow(ctx, caller.Organization, id)
	if services.Is(err, services.NotFound) {
		err = errNoWorkflow
	}
	return found, err
}

// WorkflowVersions lists versions below the given one, newest first.
func (s *Service) WorkflowVersions(ctx context.Context, caller services.Caller, id uuid.UUID, below int64, limit int) ([]WorkflowVersion, error) {
	if _, err := s.Workflow(ctx, caller, id); err != nil {
		return nil, err
	}
	return s.repository.workflowVersions(ctx, id, below, limit)
}

// WorkflowVersion gives one version with what it says.
func (s *Service) WorkflowVersion(ctx context.Context, caller services.Caller, id uuid.UUID, number int64) (WorkflowVersion, error) {
	if _, err := s.Workflow(ctx, caller, id); err != nil {
		return WorkflowVersion{}, err
	}
	found, err := s.repository.workflowVersion(ctx, id, number)
	if services.Is(err, services.NotFound) {
		err = services.Errorf(services.NotFound, "Version not found")
	}
	return found, err
}

// WorkflowChange is what shall be different; what is not said stays.
type WorkflowChange struct {
	Name        *string         `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Description *string         `json:"description,omitempty" maxLength:"2000"`
	Definition  json.RawMessage `json:"workflow_definition,omitempty" doc:"makes a new version, if it says something else than the newest"`
	IfVersion   int64           `json:"if_version,omitempty" minimum:"1" doc:"only if this is still the newest version"`
}

// ChangeWorkflow changes a workflow. Kinds: Invalid with all faults, NotFound,
// Conflict for an archived one, a name that is taken, or a version that is not
// the newest.
func (s *Service) ChangeWorkflow(ctx context.Context, caller services.Caller, id uuid.UUID, in WorkflowChange) (Workflow, error) {
	if _, err := s.Workflow(ctx, caller, id); err != nil { // before what is wrong with the change is told
		return Workflow{}, err
	}
	if in.Name != nil {
		if err := named(*in.Name); err != nil {
			return Workflow{}, err
		}
	}
	if given(in.Definition) {
		if err := s.checked(ctx, caller, Request{Definition: in.Definition, saved: true, saving: id}); err != nil {
			return Workflow{}, err
		}
	}
	return s.repository.changeWorkflow(ctx, caller, id, in)
}

// ArchiveWorkflow lets nothing new begin of a workflow and frees its name. Jobs
// that were made of it go on.
func (s *Service) ArchiveWorkflow(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	found, err := s.repository.archiveWorkflow(ctx, caller.Organization, id)
	if err == nil && !found {
		err = errNoWorkflow
	}
	return err
}

func named(name string) error {
	if strings.TrimSpace(name) == "" {
		return services.Faults(services.Fault{Path: "body.name", Message: "must not be blank"})
	}
	return nil
}

// sameJSON reports whether two texts differ in nothing but spaces.
func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
