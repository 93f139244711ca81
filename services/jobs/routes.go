package jobs

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// Handler is the jobs service over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations is the jobs service's part of the API, as data.
func Operations() []api.Operation { return (*Handler)(nil).operations() }

func (h *Handler) operations() []api.Operation {
	return []api.Operation{
		api.Post("/jobs", "Run a workflow", h.create, api.Allow(api.Guest), api.Status(http.StatusCreated),
			api.Says("body.workflow_definition", "workflow_definition with steps is required")),
		api.Get("/jobs", "The caller's jobs, newest first", h.list, api.Allow(api.Guest)),
		api.Get("/jobs/{jobId}", "One job", h.get, api.Allow(api.Guest)),
		api.Get("/jobs/{jobId}/steps", "A job's steps as far as they have come", h.steps, api.Allow(api.Guest)),
		api.Post("/jobs/{jobId}/cancel", "Stop a job", h.cancel, api.Allow(api.Guest)),
	}
}

type createInput struct {
	Body struct {
		Definition json.RawMessage `json:"workflow_definition" doc:"{steps:[{id,tool_id,action,parameters,depends_on}],metadata}"`
	}
}

func (h *Handler) create(ctx context.Context, caller services.Caller, in *createInput) (api.Data[Job], error) {
	job, err := h.service.Create(ctx, caller, in.Body.Definition)
	return api.OK(job), err
}

func (h *Handler) list(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Job], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Job, error) {
		return h.service.List(ctx, caller, before, beforeID, limit)
	}, func(row Job) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

type jobInput struct {
	ID uuid.UUID `path:"jobId" format:"uuid"`
}

func (h *Handler) get(ctx context.Context, caller services.Caller, in *jobInput) (api.Data[Job], error) {
	job, err := h.service.Get(ctx, caller, in.ID)
	return api.OK(job), err
}

func (h *Handler) steps(ctx context.Context, caller services.Caller, in *jobInput) (api.Page[StepState], error) {
	steps, err := h.service.Steps(ctx, caller, in.ID)
	return api.List(steps, ""), err
}

func (h *Handler) cancel(ctx context.Context, caller services.Caller, in *jobInput) (api.Message, error) {
	open, err := h.service.Cancel(ctx, caller, in.ID)
	if err == nil && !open {
		return api.Done("Job has already ended"), nil
	}
	return api.Done("Job cancellation requested"), err
}
