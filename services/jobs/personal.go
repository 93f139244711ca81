package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// eraseBatch is how many jobs one transaction removes.
const eraseBatch = 100

// exportedJob is a job with all that came of it; its steps hold its output.
type exportedJob struct {
	Job
	FinalOutput any         `json:"final_output,omitempty"` // instead of Job's, which would say it twice
	Steps       []StepState `json:"steps"`
}

type place struct {
	At time.Time
	ID uuid.UUID
}

// Export implements services.Keeper.
func (s *Service) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.Sections(ctx, in, s.exportJobs, s.exportWorkflows, s.exportSchedules)
}

// exportJobs hands out one job at a time: each may hold maxResults.
func (s *Service) exportJobs(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "jobs", func(h services.Holding, after *place) ([]exportedJob, error) {
		if after == nil {
			after = &place{}
		}
		jobs, err := s.repository.oldest(ctx, h, *after)
		if err != nil || len(jobs) == 0 {
			return nil, err
		}
		steps, err := s.repository.stepsOf(ctx, jobs[0])
		if err != nil {
			return nil, err
		}
		states, err := s.states(jobs[0], steps)
		return []exportedJob{{Job: jobs[0].Job, Steps: states}}, err
	}, func(j exportedJob) place { return place{j.CreatedAt.Time, j.ID} })
}

// Erase implements services.Keeper: it cancels what goes on and removes what has
// ended, with its events; kind Conflict until all of it has ended.
func (s *Service) Erase(ctx context.Context, who services.Person) error {
	if err := s.repository.eraseSaved(ctx, who); err != nil {
		return err
	}
	open, err := s.repository.going(ctx, who.Organizations)
	if err != nil {
		return err
	}
	for _, job := range open {
		if _, err := s.repository.requestCancel(ctx, job.ID); err != nil {
			return err
		}
		s.bus.Publish(events.New(signalled, job.ID.String(), job.Organization, nil))
	}
	for removed := eraseBatch; removed == eraseBatch; {
		if removed, err = s.repository.removeEnded(ctx, who.Organizations, eraseBatch); err != nil {
			return err
		}
	}
	if err := s.repository.removeArchive(ctx, who.Organizations); err != nil {
		return err
	}
	if err := s.repository.removeMinutes(ctx, who.Organizations); err != nil {
		return err
	}
	elsewhere, err := s.repository.disown(ctx, who)
	if err == nil && len(open)+elsewhere > 0 {
		err = services.Errorf(services.Conflict, "%d jobs have to end first", len(open)+elsewhere)
	}
	return err
}

func (r *Repository) held(ctx context.Context, h services.Holding, after place, limit int) ([]jobRow, error) {
	return postgres.All[jobRow](ctx, r.pool, `
		SELECT `+jobColumns+ofJobs+`
		WHERE j.organization_id = $1 AND ($2::uuid IS NULL OR j.account_id = $2::uuid) AND (j.created_at, j.job_id) > ($3::timestamptz, $4::uuid)
		ORDER BY j.created_at, j.job_id LIMIT $5`, h.Organization, h.Maker, after.At, after.ID, limit)
}

// oldest gives the first job after a place, wherever it is.
func (r *Repository) oldest(ctx context.Context, h services.Holding, after place) ([]jobRow, error) {
	jobs, err := r.held(ctx, h, after, 1)
	if err != nil {
		return nil, err
	}
	rows, err := postgres.All[archiveRow](ctx, r.pool, `
		SELECT job_id, organization_id, account_id, created_at, document FROM uaol_jobs.archive
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR account_id = $2::uuid) AND (created_at, job_id) > ($3::timestamptz, $4::uuid)
		ORDER BY created_at, job_id LIMIT 1`, h.Organization, h.Maker, after.At, after.ID)
	if err != nil || len(rows) == 0 {
		return jobs, err
	}
	if len(jobs) > 0 && jobs[0].CreatedAt.Before(rows[0].CreatedAt) {
		return jobs, nil
	}
	away, err := rows[0].open()
	return []jobRow{away}, err
}

func (r *Repository) removeArchive(ctx context.Context, organizations []uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_jobs.archive WHERE organization_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(organizations))
	return err
}

type owned struct {
	ID           uuid.UUID `db:"job_id"`
	Organization uuid.UUID `db:"organization_id"`
}

// going lists the organisations' jobs that have not ended.
func (r *Repository) going(ctx context.Context, organizations []uuid.UUID) ([]owned, error) {
	return postgres.All[owned](ctx, r.pool, `
		SELECT job_id, organization_id FROM uaol_jobs.jobs
		WHERE organization_id = ANY ($1::text[]::uuid[]) AND end_time IS NULL`, postgres.UUIDs(organizations))
}

// removeEnded removes some of the organisations' jobs that have ended, with
// their steps and events, and counts them. A job's events were written between
// its making and its end: by that time they are found without reading all.
func (r *Repository) removeEnded(ctx context.Context, organizations []uuid.UUID, limit int) (removed int, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		ids, err := postgres.Values[uuid.UUID](ctx, tx, `
			SELECT job_id FROM uaol_jobs.jobs
			WHERE organization_id = ANY ($1::text[]::uuid[]) AND end_time IS NOT NULL
			ORDER BY job_id LIMIT $2 FOR UPDATE`, postgres.UUIDs(organizations), limit)
		if removed = len(ids); err != nil || removed == 0 {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `
			DELETE FROM uaol_jobs.outbox o USING uaol_jobs.jobs j
			WHERE j.job_id = ANY ($1::text[]::uuid[]) AND o.organization_id = j.organization_id
				AND o.created_at BETWEEN j.created_at AND j.updated_at + interval '1 second'`, postgres.UUIDs(ids)); err != nil {
			return err
		}
		return removeJobs(ctx, tx, ids)
	})
	return removed, err
}

// removeJobs removes jobs that have ended, with all that belongs to them.
func removeJobs(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) error {
	texts := postgres.UUIDs(ids)
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.steps WHERE job_id = ANY ($1::text[]::uuid[])`, texts); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.decisions WHERE job_id = ANY ($1::text[]::uuid[])`, texts); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.failures WHERE job_id = ANY ($1::text[]::uuid[])`, texts); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.callbacks WHERE job_id = ANY ($1::text[]::uuid[])`, texts); err != nil {
		return err
	}
	_, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.jobs WHERE job_id = ANY ($1::text[]::uuid[])`, texts)
	return err
}

// disown forgets what a guest had made, and makes jobs in other organisations
// nobody's: they are those organisations' own. It counts those that go on, which
// their workers still write to.
func (r *Repository) disown(ctx context.Context, who services.Person) (left int, err error) {
	if _, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_jobs.guests WHERE account_id = $1`, who.Account); err != nil || who.Guest {
		return 0, err
	}
	organizations := postgres.UUIDs(who.Organizations)
	if _, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_jobs.jobs SET account_id = $3
		WHERE account_id = $1 AND NOT organization_id = ANY ($2::text[]::uuid[]) AND end_time IS NOT NULL`,
		who.Account, organizations, uuid.Nil); err != nil {
		return 0, err
	}
	if _, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_jobs.archive SET account_id = $3 WHERE account_id = $1 AND NOT organization_id = ANY ($2::text[]::uuid[])`,
		who.Account, organizations, uuid.Nil); err != nil {
		return 0, err
	}
	if _, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_jobs.decisions SET account_id = $2 WHERE account_id = $1`, who.Account, uuid.Nil); err != nil {
		return 0, err
	}
	return postgres.Value[int](ctx, r.pool, `
		SELECT count(*) FROM uaol_jobs.jobs
		WHERE account_id = $1 AND NOT organization_id = ANY ($2::text[]::uuid[])`, who.Account, organizations)
}
