package jobs

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
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
func Operations() []api.Operation {
	return append((*Handler)(nil).operations(), (*CallbacksHandler)(nil).operations()...)
}

func (h *Handler) operations() []api.Operation {
	return append([]api.Operation{
		api.Post("/jobs", "Run a workflow", h.create, api.Allow(api.Guest), api.Status(http.StatusCreated),
			api.Says("body.workflow_definition", "workflow_definition with steps is required")),
		api.Get("/jobs", "The caller's jobs, newest first", h.list, api.Allow(api.Guest)),
		api.Get("/jobs/waiting", "The steps that wait for somebody's decision, newest first", h.waiting, api.Allow(api.Guest)),
		api.Get("/jobs/dead", "Jobs that have failed for good, newest first", h.dead, api.Allow(api.Guest)),
		api.Post("/jobs/dead/redrive", "Make new jobs of ones that have failed", h.redrive, api.Allow(api.Guest), api.Status(http.StatusCreated)),
		api.Get("/jobs/statistics", "How many jobs were made and ended, how, and what they cost, by the minute or longer; one that is retried and ends again has ended again",
			h.statistics, api.Allow(api.Guest)),
		api.Post("/jobs/{jobId}/retry", "Take a job up again where it failed", h.retry, api.Allow(api.Guest)),
		api.Get("/jobs/{jobId}", "One job", h.get, api.Allow(api.Guest)),
		api.Get("/jobs/{jobId}/steps", "A job's steps as far as they have come", h.steps, api.Allow(api.Guest)),
		api.Post("/jobs/batch", "Run up to 10,000 workflows: all of them or none", h.createMany, api.Allow(api.Guest), api.Status(http.StatusCreated)),
		api.Post("/jobs/{jobId}/steps/{stepId}/decision", "Decide about a step that waits for somebody", h.decide, api.Allow(api.Guest)),
		api.GetStream("/jobs/{jobId}/events", "What becomes of a job, as server-sent events until its end", h.events, api.Allow(api.Guest)),
		api.Post("/jobs/{jobId}/cancel", "Stop a job", h.cancel, api.Allow(api.Guest)),
	}, append(h.workflowOperations(), h.scheduleOperations()...)...)
}

type createInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"requests with the same one are the same request"`
	Body Request
}

func (h *Handler) create(ctx context.Context, caller services.Caller, in *createInput) (api.Data[Job], error) {
	in.Body.Key = in.Key
	job, err := h.service.Create(ctx, caller, in.Body)
	return api.OK(job), err
}

type createManyInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"requests with the same one are the same request"`
	Body struct {
		Definition json.RawMessage `json:"workflow_definition,omitempty" doc:"of those jobs that have none of their own"`
		Workflow   *uuid.UUID      `json:"workflow_id,omitempty" format:"uuid" doc:"likewise, instead of workflow_definition"`
		Version    int64           `json:"workflow_version,omitempty" minimum:"1" doc:"of workflow_id"`
		Jobs       []Request       `json:"jobs"`
	}
}

type madeJob struct {
	ID     uuid.UUID `json:"job_id"`
	Status Status    `json:"status"`
}

func (h *Handler) createMany(ctx context.Context, caller services.Caller, in *createManyInput) (api.Data[[]madeJob], error) {
	for i := range in.Body.Jobs {
		job := &in.Body.Jobs[i]
		if !given(job.Definition) && job.Workflow == nil && job.Version == 0 {
			job.Definition, job.Workflow, job.Version, job.shared = in.Body.Definition, in.Body.Workflow, in.Body.Version, true
		}
		if in.Key != "" {
			job.Key = in.Key + "/" + strconv.Itoa(i)
		}
	}
	ids, err := h.service.CreateMany(ctx, caller, in.Body.Jobs)
	made := make([]madeJob, len(ids))
	for i, id := range ids {
		made[i] = madeJob{id, Queued}
	}
	return api.OK(made), err
}

type decideInput struct {
	ID   uuid.UUID `path:"jobId" format:"uuid"`
	Step string    `path:"stepId"`
	Body struct {
		Decision Decision `json:"decision" enum:"retry,skip,fail,approve,reject"`
		Item     *int     `json:"item,omitempty" doc:"of a for_each step"`
		Digest   string   `json:"digest,omitempty" doc:"of the call that is approved: another is not"`
	}
}

func (h *Handler) decide(ctx context.Context, caller services.Caller, in *decideInput) (api.Message, error) {
	err := h.service.Decide(ctx, caller, in.ID, DecideRequest{Step: in.Step, Item: in.Body.Item, Decision: in.Body.Decision, Digest: in.Body.Digest})
	return api.Done("Decision taken"), err
}

type listInput struct {
	api.Paging
	Status Status `query:"status" enum:"Queued,Running,Retrying,Success,Failed,Cancelled" doc:"only those"`
}

func (h *Handler) list(ctx context.Context, caller services.Caller, in *listInput) (api.Page[Job], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Job, error) {
		return h.service.List(ctx, caller, in.Status, before, beforeID, limit)
	}, func(row Job) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

func (h *Handler) dead(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Job], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Job, error) {
		return h.service.Dead(ctx, caller, before, beforeID, limit)
	}, func(row Job) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

func (h *Handler) waiting(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Asked], error) {
	before, err := api.ReadCursor[askedPlace](in.Cursor)
	if err != nil {
		return api.Page[Asked]{}, err
	}
	if before.Since.IsZero() {
		before = newestAsked
	}
	rows, err := h.service.Waiting(ctx, caller, before, in.Limit+1)
	return api.Cut(rows, in.Limit, func(row Asked) any { return row.place }), err
}

func (h *Handler) redrive(ctx context.Context, caller services.Caller, in *struct{ Body RedriveRequest }) (api.Data[[]Redriven], error) {
	made, err := h.service.Redrive(ctx, caller, in.Body)
	return api.OK(made), err
}

func (h *Handler) retry(ctx context.Context, caller services.Caller, in *jobInput) (api.Data[Job], error) {
	job, err := h.service.Retry(ctx, caller, in.ID)
	return api.OK(job), err
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
