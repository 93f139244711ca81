package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// Asked is a step that waits for somebody's decision, with the job that it is of.
type Asked struct {
	Job       uuid.UUID     `json:"job_id"`
	Workflow  *uuid.UUID    `json:"workflow_id,omitempty" doc:"the saved workflow that the job was made of"`
	CreatedAt services.Time `json:"created_at" doc:"of the job; start_time is the step's"`
	StepState

	place askedPlace
}

// askedPlace is where a step stands among those that wait for somebody. Several of
// one job may have begun in the same moment.
type askedPlace struct {
	Since    time.Time
	Job      uuid.UUID
	Position int32
	Item     int32
}

// newestAsked is where they begin.
var newestAsked = askedPlace{Since: forever, Job: uuid.Max}

// Waiting gives the steps of the caller's jobs that wait for somebody's decision,
// those that have begun last first.
func (s *Service) Waiting(ctx context.Context, caller services.Caller, before askedPlace, limit int) ([]Asked, error) {
	rows, err := s.repository.asked(ctx, caller.Organization, before, limit)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	ids := make([]uuid.UUID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Job
	}
	jobs, err := s.repository.byIDs(ctx, ids)
	if err != nil {
		return nil, err
	}
	by := make(map[uuid.UUID]jobRow, len(jobs))
	for _, job := range jobs {
		by[job.ID] = job
	}
	var all []Asked
	for _, row := range rows {
		job, there := by[row.Job]
		if !there { // it has ended and was removed just now
			continue
		}
		state, err := s.state(job, row)
		if err != nil { // its workflow can't be read any more; the job can still be cancelled
			state = StepState{}.with(row)
		}
		all = append(all, Asked{Job: row.Job, Workflow: job.Workflow, CreatedAt: job.CreatedAt, StepState: state,
			place: askedPlace{row.StartTime.Time, row.Job, int32(row.Position), int32(row.Item)}})
	}
	return all, nil
}

// asked lists the steps that ask an organisation's people, without those that were
// decided about or whose job was told to stop, which its worker has not seen yet.
// The jobs themselves are read apart: many steps may be of one, and it may be large.
// LIMIT 1 lets the planner look each step's job up, in the order of the index.
func (r *Repository) asked(ctx context.Context, organization uuid.UUID, before askedPlace, limit int) ([]stepRow, error) {
	return postgres.All[stepRow](ctx, r.pool, `
		SELECT s.job_id, s.position, s.item, s.status, s.attempt, s.seq, s.result, s.error, s.detail, s.start_time, s.end_time
		FROM uaol_jobs.steps s CROSS JOIN LATERAL (
			SELECT 1 FROM uaol_jobs.jobs j WHERE j.job_id = s.job_id AND j.end_time IS NULL
				AND NOT EXISTS (SELECT 1 FROM uaol_jobs.decisions d
					WHERE d.job_id = s.job_id AND d.position = s.position AND d.item = s.item AND d.attempt = s.attempt)
				AND NOT coalesce((SELECT q.cancel FROM uaol_jobs.queue q WHERE q.job_id = s.job_id),
					(SELECT h.cancel FROM uaol_jobs.runs h WHERE h.job_id = s.job_id), false) LIMIT 1) still
		WHERE s.asks = $1 AND (s.start_time, s.job_id, s.position, s.item) < ($2::timestamptz, $3::uuid, $4::integer, $5::integer)
		ORDER BY s.start_time DESC, s.job_id DESC, s.position DESC, s.item DESC LIMIT $6`,
		organization, before.Since, before.Job, before.Position, before.Item, limit)
}

// asks reports whether a unit waits for somebody's decision. In a job that is about
// to end nothing does: no decision makes a difference there.
func (r *run) asks(u *unit) bool {
	return !r.closing() && (u.status == Unknown || u.status == Waiting && r.workflow.Steps[u.position].Approval != nil)
}
