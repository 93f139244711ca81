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

func (h *Handler) scheduleOperations() []api.Operation {
	return []api.Operation{
		api.Get("/schedules", "Schedules, newest first", h.schedules),
		api.Post("/schedules", "Run a workflow at the moments of a timetable", h.addSchedule, api.Status(http.StatusCreated),
			api.Says("body.workflow_definition", "workflow_definition with steps is required")),
		api.Get("/schedules/{scheduleId}", "One schedule", h.schedule),
		api.Put("/schedules/{scheduleId}", "Change, enable or disable a schedule, which then acts as the caller", h.changeSchedule),
		api.Delete("/schedules/{scheduleId}", "Remove a schedule: its jobs stay", h.deleteSchedule),
		api.Get("/schedules/{scheduleId}/runs", "What came of a schedule's moments in 90 days, newest first", h.scheduleRuns),
		api.Post("/schedules/{scheduleId}/run", "Make a job of a schedule now", h.runSchedule, api.Status(http.StatusCreated)),
	}
}

type scheduleInput struct {
	ID uuid.UUID `path:"scheduleId" format:"uuid"`
}

func (h *Handler) schedules(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Schedule], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Schedule, error) {
		return h.service.Schedules(ctx, caller, before, beforeID, limit)
	}, func(row Schedule) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

type addScheduleInput struct {
	api.Once
	Body ScheduleChange
}

func (h *Handler) addSchedule(ctx context.Context, caller services.Caller, in *addScheduleInput) (api.Data[Schedule], error) {
	made, err := h.service.AddSchedule(ctx, caller, in.Body)
	return api.OK(made), err
}

func (h *Handler) schedule(ctx context.Context, caller services.Caller, in *scheduleInput) (api.Data[Schedule], error) {
	found, err := h.service.Schedule(ctx, caller, in.ID)
	return api.OK(found), err
}

type changeScheduleInput struct {
	ID   uuid.UUID `path:"scheduleId" format:"uuid"`
	Body ScheduleChange
}

func (h *Handler) changeSchedule(ctx context.Context, caller services.Caller, in *changeScheduleInput) (api.Data[Schedule], error) {
	changed, err := h.service.ChangeSchedule(ctx, caller, in.ID, in.Body)
	return api.OK(changed), err
}

func (h *Handler) deleteSchedule(ctx context.Context, caller services.Caller, in *scheduleInput) (api.Message, error) {
	return api.Done("Schedule removed"), h.service.DeleteSchedule(ctx, caller, in.ID)
}

type scheduleRunsInput struct {
	ID uuid.UUID `path:"scheduleId" format:"uuid"`
	api.Paging
}

func (h *Handler) scheduleRuns(ctx context.Context, caller services.Caller, in *scheduleRunsInput) (api.Page[ScheduleRun], error) {
	before, err := api.ReadCursor[time.Time](in.Cursor)
	if err != nil {
		return api.Page[ScheduleRun]{}, err
	}
	if before.IsZero() {
		before = time.Unix(math.MaxInt32*4, 0)
	}
	rows, err := h.service.ScheduleRuns(ctx, caller, in.ID, before, in.Limit+1)
	return api.Cut(rows, in.Limit, func(row ScheduleRun) any { return row.ScheduledAt.Time }), err
}

type runScheduleInput struct {
	ID  uuid.UUID `path:"scheduleId" format:"uuid"`
	Key string    `header:"Idempotency-Key" maxLength:"255" doc:"requests with the same one are the same request"`
}

func (h *Handler) runSchedule(ctx context.Context, caller services.Caller, in *runScheduleInput) (api.Data[Job], error) {
	job, err := h.service.RunSchedule(ctx, caller, in.ID, in.Key)
	return api.OK(job), err
}
