package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

const scheduleColumns = `s.schedule_id, s.organization_id, s.account_id, s.key_id, s.cron, s.time_zone, s.missed, s.workflow_id, s.workflow_version,
	s.input, s.priority, s.concurrency_key, s.callback_url, s.metadata, s.enabled, s.next_at, s.as_of, s.revision, s.last_at, s.last_job, s.last_error, s.created_at, s.updated_at`

// now is the database's clock, by which moments are due.
func (r *Repository) now(ctx context.Context) (time.Time, error) {
	return postgres.Value[time.Time](ctx, r.pool, `SELECT now()`)
}

// mostSchedules is how many an organisation may have.
const mostSchedules = 1000

// addSchedule writes a schedule; kind Conflict when there are as many as may be.
// Those of one organisation are added one after the other, so that each is counted:
// they take a turn that is given back before anybody else can see it.
func (r *Repository) addSchedule(ctx context.Context, caller services.Caller, s Schedule) (made Schedule, err error) {
	turn := "schedules of " + caller.Organization.String()
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `INSERT INTO uaol_jobs.turns (turn, job_id) VALUES ($1, $2)`, turn, s.ID); err != nil {
			return err
		}
		n, err := postgres.Value[int](ctx, tx, `SELECT count(*) FROM uaol_jobs.schedules WHERE organization_id = $1 AND schedule_id <> $2`, caller.Organization, s.ID)
		if err != nil {
			return err
		}
		if n >= mostSchedules {
			return services.Errorf(services.Conflict, "An organisation may have at most %d schedules; delete some", mostSchedules)
		}
		if made, err = insertSchedule(ctx, tx, caller, s); err != nil {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.turns WHERE turn = $1`, turn)
		return err
	})
	return made, err
}

func insertSchedule(ctx context.Context, tx pgx.Tx, caller services.Caller, s Schedule) (Schedule, error) {
	return postgres.One[Schedule](ctx, tx, `
		INSERT INTO uaol_jobs.schedules AS s (schedule_id, organization_id, account_id, key_id, cron, time_zone, missed, workflow_id, workflow_version,
			definition, input, priority, concurrency_key, callback_url, metadata, enabled, next_at)
		VALUES ($1, $2, $3, nullif($4::uuid, $18::uuid), $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
		RETURNING `+scheduleColumns+`, s.definition`,
		s.ID, caller.Organization, caller.Account, caller.Key, s.Cron, s.TimeZone, string(s.Missed), s.Workflow, s.Version,
		storedText(s.Definition), storedText(s.Input), s.Priority, s.Turn, s.Callback, storedText(s.Metadata), s.Enabled, s.NextAt, uuid.Nil)
}

// changeSchedule writes a change of what was read; kind NotFound when it is not so
// any more. anew says that the moments so far count no more.
func (r *Repository) changeSchedule(ctx context.Context, caller services.Caller, s Schedule, anew bool) (Schedule, error) {
	return postgres.One[Schedule](ctx, r.pool, `
		UPDATE uaol_jobs.schedules AS s SET account_id = $3, key_id = nullif($4::uuid, $18::uuid), cron = $5, time_zone = $6, missed = $7, workflow_id = $8, workflow_version = $9,
			definition = $10, input = $11, priority = $12, concurrency_key = $13, callback_url = $14, metadata = $15, enabled = $16,
			next_at = CASE WHEN $19 THEN $17::timestamptz ELSE s.next_at END, as_of = CASE WHEN $19 THEN NULL ELSE s.as_of END,
			claimed_until = CASE WHEN $19 THEN NULL ELSE s.claimed_until END, last_error = NULL, revision = s.revision + 1, updated_at = now()
		WHERE s.schedule_id = $1 AND s.organization_id = $2 AND s.revision = $20
		RETURNING `+scheduleColumns+`, s.definition`,
		s.ID, caller.Organization, caller.Account, caller.Key, s.Cron, s.TimeZone, string(s.Missed), s.Workflow, s.Version,
		storedText(s.Definition), storedText(s.Input), s.Priority, s.Turn, s.Callback, storedText(s.Metadata), s.Enabled, s.NextAt, uuid.Nil, anew, s.Revision)
}

func (r *Repository) schedules(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Schedule, error) {
	return postgres.All[Schedule](ctx, r.pool, `
		SELECT `+scheduleColumns+`, NULL::text AS definition FROM uaol_jobs.schedules s
		WHERE s.organization_id = $1 AND (s.created_at, s.schedule_id) < ($2::timestamptz, $3::uuid)
		ORDER BY s.created_at DESC, s.schedule_id DESC LIMIT $4`, organization, before, beforeID, limit)
}

func (r *Repository) schedule(ctx context.Context, organization, id uuid.UUID) (Schedule, error) {
	return postgres.One[Schedule](ctx, r.pool, `
		SELECT `+scheduleColumns+`, s.definition FROM uaol_jobs.schedules s WHERE s.schedule_id = $1 AND s.organization_id = $2`, id, organization)
}

func (r *Repository) deleteSchedule(ctx context.Context, organization, id uuid.UUID) (found bool, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.schedules WHERE schedule_id = $1 AND organization_id = $2`, id, organization)
		if found = n == 1; err != nil || !found {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.schedule_runs WHERE schedule_id = $1`, id)
		return err
	})
	return found, err
}

func (r *Repository) scheduleRuns(ctx context.Context, id uuid.UUID, before time.Time, limit int) ([]ScheduleRun, error) {
	return postgres.All[ScheduleRun](ctx, r.pool, `
		SELECT u.scheduled_at, u.job_id, u.error, u.created_at,
			CASE WHEN j.job_id IS NULL THEN NULL WHEN j.end_time IS NOT NULL THEN j.status ELSE coalesce(q.status, 'Running') END AS status
		FROM uaol_jobs.schedule_runs u LEFT JOIN uaol_jobs.jobs j ON j.job_id = u.job_id LEFT JOIN uaol_jobs.queue q ON q.job_id = u.job_id
		WHERE u.schedule_id = $1 AND u.scheduled_at < $2 ORDER BY u.scheduled_at DESC LIMIT $3`, id, before, limit)
}

// ranNow notes a job that somebody asked for, unless the schedule is gone.
func (r *Repository) ranNow(ctx context.Context, id, job uuid.UUID, at time.Time) error {
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_jobs.schedules SET last_at = $2, last_job = $3, last_error = CASE WHEN enabled THEN NULL ELSE last_error END
			WHERE schedule_id = $1`, id, at, job)
		if err != nil || n == 0 {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `
			INSERT INTO uaol_jobs.schedule_runs (schedule_id, scheduled_at, job_id) VALUES ($1, $2, $3)
			ON CONFLICT (schedule_id, scheduled_at) DO NOTHING`, id, at, job)
		return err
	})
}
