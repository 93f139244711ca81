package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
)

// claimSchedules takes some whose moment has come, for so long. What is due is
// settled by the first claim: as_of stays until the schedule goes on.
func (r *Repository) claimSchedules(ctx context.Context, limit int, lifetime time.Duration) ([]Schedule, error) {
	return postgres.All[Schedule](ctx, r.pool, `
		UPDATE uaol_jobs.schedules AS s SET claimed_until = now() + $2 * interval '1 second', as_of = coalesce(s.as_of, now())
		WHERE s.schedule_id IN (
			SELECT d.schedule_id FROM uaol_jobs.schedules d
			WHERE d.next_at <= now() AND (d.claimed_until IS NULL OR d.claimed_until <= now())
			ORDER BY d.next_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING `+scheduleColumns+`, s.definition`, limit, int64(lifetime/time.Second))
}

// existing tells which of the jobs there are.
func (r *Repository) existing(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	found, err := postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT job_id FROM uaol_jobs.jobs WHERE job_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
	there := make(map[uuid.UUID]bool, len(found))
	for _, id := range found {
		there[id] = true
	}
	return there, err
}

// stopSchedule disables a schedule, unless somebody has changed it since it was
// claimed.
func (r *Repository) stopSchedule(ctx context.Context, s *Schedule, why string) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_jobs.schedules SET enabled = false, next_at = NULL, as_of = NULL, claimed_until = NULL, last_error = $3, revision = revision + 1
		WHERE schedule_id = $1 AND revision = $2`, s.ID, s.Revision, plain(why))
	return err
}

// trouble notes what is tried again, once the claim has ended.
func (r *Repository) trouble(ctx context.Context, s *Schedule, what string) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_jobs.schedules SET last_error = $3 WHERE schedule_id = $1 AND revision = $2 AND next_at IS NOT NULL`, s.ID, s.Revision, plain(what))
	return err
}

// advance notes what came of moments and lets the schedule wait for its next one;
// there is none after next when that is zero. A schedule that went on meanwhile,
// or got another timetable, stays as it is; one that is gone leaves nothing.
func (r *Repository) advance(ctx context.Context, s *Schedule, next time.Time, runs []came) error {
	n := len(runs)
	moments, jobs, refusals := make([]time.Time, n), make([]*string, n), make([]*string, n)
	var lastJob *string
	for i, run := range runs {
		moments[i], jobs[i], refusals[i] = run.At, textOf(run.Job), run.Error
		if jobs[i] != nil {
			lastJob = jobs[i]
		}
	}
	var then, lastAt *time.Time
	var refusal *string
	if !next.IsZero() {
		then = &next
	}
	if n > 0 {
		lastAt, refusal = &runs[n-1].At, runs[n-1].Error
	}
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		there, err := postgres.Values[uuid.UUID](ctx, tx, `SELECT schedule_id FROM uaol_jobs.schedules WHERE schedule_id = $1 FOR UPDATE`, s.ID)
		if err != nil || len(there) == 0 {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_jobs.schedules SET next_at = $4::timestamptz, enabled = $4::timestamptz IS NOT NULL,
				revision = revision + CASE WHEN $4::timestamptz IS NULL THEN 1 ELSE 0 END, as_of = NULL, claimed_until = NULL, last_at = coalesce($5, last_at),
				last_job = coalesce($6::text::uuid, last_job), last_error = CASE WHEN $5::timestamptz IS NULL THEN last_error ELSE $7 END
			WHERE schedule_id = $1 AND next_at = $2 AND as_of = $3`, s.ID, s.NextAt.Time, *s.AsOf, then, lastAt, lastJob, refusal); err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_jobs.schedule_runs AS u (schedule_id, scheduled_at, job_id, error)
			SELECT $1, w.scheduled_at, w.job::uuid, w.error FROM unnest($2::timestamptz[], $3::text[], $4::text[]) AS w (scheduled_at, job, error)
			ON CONFLICT (schedule_id, scheduled_at) DO UPDATE SET job_id = coalesce(excluded.job_id, u.job_id),
				error = CASE WHEN coalesce(excluded.job_id, u.job_id) IS NULL THEN excluded.error END`, s.ID, moments, jobs, refusals); err != nil {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `
			DELETE FROM uaol_jobs.schedule_runs WHERE schedule_id = $1 AND scheduled_at < now() - interval '90 days'`, s.ID)
		return err
	})
}
