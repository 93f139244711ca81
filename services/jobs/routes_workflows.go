package jobs

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

func (h *Handler) workflowOperations() []api.Operation {
	return []api.Operation{
		api.Get("/workflows", "Saved workflows, newest first", h.workflows),
		api.Post("/workflows", "Save a workflow, of a definition or of a template", h.saveWorkflow, api.Status(http.StatusCreated)),
		api.Get("/workflows/templates", "Templates that workflows are made of", h.templates),
		api.Post("/workflows/check", "What a job of a definition would be, or what is wrong with it; nothing is made", h.check, api.Allow(api.Guest), api.Reads()),
		api.Get("/workflows/{workflowId}", "One workflow, with what its newest version says", h.workflow),
		api.Put("/workflows/{workflowId}", "Change a workflow: another definition makes a new version", h.changeWorkflow),
		api.Delete("/workflows/{workflowId}", "Archive a workflow: its jobs stay, and nothing new begins", h.archiveWorkflow),
		api.Get("/workflows/{workflowId}/versions", "A workflow's versions, newest first", h.workflowVersions),
		api.Get("/workflows/{workflowId}/versions/{version}", "One version, with what it says", h.workflowVersion),
	}
}

type workflowInput struct {
	ID uuid.UUID `path:"workflowId" format:"uuid"`
}

func (h *Handler) workflows(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Workflow], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Workflow, error) {
		return h.service.Workflows(ctx, caller, before, beforeID, limit)
	}, func(row Workflow) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

type saveWorkflowInput struct {
	api.Once
	Body WorkflowRequest
}

func (h *Handler) saveWorkflow(ctx context.Context, caller services.Caller, in *saveWorkflowInput) (api.Data[Workflow], error) {
	saved, err := h.service.SaveWorkflow(ctx, caller, in.Body)
	return api.OK(saved), err
}

func (h *Handler) templates(context.Context, services.Caller, *struct{}) (api.Page[Template], error) {
	return api.List(Templates(), ""), nil
}

func (h *Handler) check(ctx context.Context, caller services.Caller, in *struct{ Body CheckRequest }) (api.Data[Checked], error) {
	found, err := h.service.Check(ctx, caller, in.Body)
	return api.OK(found), err
}

func (h *Handler) workflow(ctx context.Context, caller services.Caller, in *workflowInput) (api.Data[Workflow], error) {
	found, err := h.service.Workflow(ctx, caller, in.ID)
	return api.OK(found), err
}

type changeWorkflowInput struct {
	ID   uuid.UUID `path:"workflowId" format:"uuid"`
	Body WorkflowChange
}

func (h *Handler) changeWorkflow(ctx context.Context, caller services.Caller, in *changeWorkflowInput) (api.Data[Workflow], error) {
	changed, err := h.service.ChangeWorkflow(ctx, caller, in.ID, in.Body)
	return api.OK(changed), err
}

func (h *Handler) archiveWorkflow(ctx context.Context, caller services.Caller, in *workflowInput) (api.Message, error) {
	return api.Done("Workflow archived"), h.service.ArchiveWorkflow(ctx, caller, in.ID)
}

type workflowVersionsInput struct {
	ID uuid.UUID `path:"workflowId" format:"uuid"`
	api.Paging
}

func (h *Handler) workflowVersions(ctx context.Context, caller services.Caller, in *workflowVersionsInput) (api.Page[WorkflowVersion], error) {
	below, err := api.ReadCursor[int64](in.Cursor)
	if err != nil {
		return api.Page[WorkflowVersion]{}, err
	}
	if below == 0 {
		below = math.MaxInt64
	}
	rows, err := h.service.WorkflowVersions(ctx, caller, in.ID, below, in.Limit+1)
	return api.Cut(rows, in.Limit, func(row WorkflowVersion) any { return row.Version }), err
}

type workflowVersionInput struct {
	ID      uuid.UUID `path:"workflowId" format:"uuid"`
	Version int64     `path:"version" minimum:"1"`
}

func (h *Handler) workflowVersion(ctx context.Context, caller services.Caller, in *workflowVersionInput) (api.Data[WorkflowVersion], error) {
	found, err := h.service.WorkflowVersion(ctx, caller, in.ID, in.Version)
	return api.OK(found), err
}
