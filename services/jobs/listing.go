package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// List gives those of the caller's jobs that are in a status, newest first; "" is
// any. Those that were put away are among them.
func (s *Service) List(ctx context.Context, caller services.Caller, status Status, before time.Time, beforeID uuid.UUID, limit int) (jobs []Job, err error) {
	var rows, away []jobRow
	switch status {
	case "":
		rows, err = s.repository.owned(ctx, caller.Organization, before, beforeID, limit)
	case Failed, Cancelled:
		rows, err = s.repository.endedBadly(ctx, caller.Organization, status, before, beforeID, limit)
	case Success:
		rows, err = s.repository.succeeded(ctx, caller.Organization, before, beforeID, limit)
	default:
		rows, err = s.repository.goingOn(ctx, caller.Organization, status, before, beforeID, limit)
	}
	if err == nil && (status == "" || status.Ended()) {
		away, err = s.repository.archivedOf(ctx, caller.Organization, string(status), before, beforeID, limit)
	}
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, merged(rows, away, limit)...)
}

// endedBadly lists jobs that have failed or were cancelled, those that were driven
// again too. They are few among many, and have an index of their own.
func (r *Repository) endedBadly(ctx context.Context, organization uuid.UUID, status Status, before time.Time, beforeID uuid.UUID, limit int) ([]jobRow, error) {
	return postgres.All[jobRow](ctx, r.pool, `
		SELECT `+jobColumns+` FROM uaol_jobs.failures f JOIN uaol_jobs.jobs j ON j.job_id = f.job_id
			LEFT JOIN uaol_jobs.queue q ON q.job_id = j.job_id LEFT JOIN uaol_jobs.runs r ON r.job_id = j.job_id
		WHERE f.organization_id = $1 AND f.status = $2 AND (f.created_at, f.job_id) < ($3::timestamptz, $4::uuid)
		ORDER BY f.created_at DESC, f.job_id DESC LIMIT $5`, organization, string(status), before, beforeID, limit)
}

func (r *Repository) succeeded(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]jobRow, error) {
	return postgres.All[jobRow](ctx, r.pool, `
		SELECT `+jobColumns+ofJobs+`
		WHERE j.organization_id = $1 AND j.status = 'Success' AND (j.created_at, j.job_id) < ($2::timestamptz, $3::uuid)
		ORDER BY j.created_at DESC, j.job_id DESC LIMIT $4`, organization, before, beforeID, limit)
}

// goingOn lists jobs that have not ended by what they are doing, which the queue
// says or, without a word in it, whoever works on them.
func (r *Repository) goingOn(ctx context.Context, organization uuid.UUID, status Status, before time.Time, beforeID uuid.UUID, limit int) ([]jobRow, error) {
	return postgres.All[jobRow](ctx, r.pool, `
		SELECT `+jobColumns+ofJobs+`
		WHERE j.organization_id = $1 AND j.end_time IS NULL AND coalesce(q.status, 'Running') = $2 AND (j.created_at, j.job_id) < ($3::timestamptz, $4::uuid)
		ORDER BY j.created_at DESC, j.job_id DESC LIMIT $5`, organization, string(status), before, beforeID, limit)
}
