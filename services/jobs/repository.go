package jobs

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is the jobs service's SQL.
type Repository struct {
	pool   *pgxpool.Pool
	outbox events.Outbox
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository {
	return &Repository{pool: pool, outbox: events.NewOutbox(services.Jobs)}
}

// jobColumns puts the steps' results together for a job that has succeeded.
const jobColumns = `j.job_id, j.account_id, j.organization_id, j.workflow_definition, j.status, j.start_time, j.end_time,
	CASE WHEN j.status = 'Success' THEN (
		SELECT jsonb_object_agg(s.step_id, s.result) FROM uaol_jobs.steps s WHERE s.job_id = j.job_id) END AS final_output,
	j.error_message, j.retry_count, j.created_at, j.updated_at`

func (r *Repository) byID(ctx context.Context, id uuid.UUID) (Job, error) {
	return postgres.One[Job](ctx, r.pool, `SELECT `+jobColumns+` FROM uaol_jobs.jobs j WHERE j.job_id = $1`, id)
}

// owned lists an organisation's jobs, newest first, before the given one.
func (r *Repository) owned(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Job, error) {
	return postgres.All[Job](ctx, r.pool, `
		SELECT `+jobColumns+` FROM uaol_jobs.jobs j
		WHERE j.organization_id = $1 AND (j.created_at, j.job_id) < ($2::timestamptz, $3::uuid)
		ORDER BY j.created_at DESC, j.job_id DESC LIMIT $4`, organization, before, beforeID, limit)
}

func (r *Repository) steps(ctx context.Context, id uuid.UUID) ([]StepState, error) {
	return postgres.All[StepState](ctx, r.pool, `
		SELECT step_id, tool_id, tool_version, action, price, status, attempt, result, error, start_time, end_time
		FROM uaol_jobs.steps WHERE job_id = $1 ORDER BY position`, id)
}

// insert adds a job with its steps; it gives the job as it was added, because
// a worker may have begun with it by the time it could be read again.
func (r *Repository) insert(ctx context.Context, id uuid.UUID, caller services.Caller, definition json.RawMessage, cost int64, steps []StepState) (job Job, happened events.Event, err error) {
	happened = events.New("job.created", id.String(), caller.Organization, map[string]any{"steps": len(steps), "credits": cost})
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if err := countGuest(ctx, tx, caller, len(steps)); err != nil {
			return err
		}
		var err error
		if job, err = postgres.One[Job](ctx, tx, `
			INSERT INTO uaol_jobs.jobs AS j (job_id, organization_id, account_id, workflow_definition, status, cost, start_time)
			VALUES ($1, $2, $3, $4::jsonb, 'Queued', $5, now()) RETURNING `+jobColumns,
			id, caller.Organization, caller.Account, string(definition), cost); err != nil {
			return err
		}
		if err := insertSteps(ctx, tx, id, steps); err != nil {
			return err
		}
		return r.outbox.Append(ctx, tx, happened)
	})
	return job, happened, err
}

// countGuest takes a guest's workflow and its calls off what a guest may make;
// the constraints of the table refuse what is too much.
func countGuest(ctx context.Context, tx pgx.Tx, caller services.Caller, calls int) error {
	if caller.Role != services.RoleGuest {
		return nil
	}
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_jobs.guests AS g (account_id, workflows, calls) VALUES ($1, 1, $2)
		ON CONFLICT (account_id) DO UPDATE SET workflows = g.workflows + 1, calls = g.calls + excluded.calls`, caller.Account, calls)
	switch {
	case postgres.Violates(err, "guests_workflows"):
		return services.Errorf(services.Forbidden, "A guest may create 10 workflows; register to go on").WithCode("QUOTA_EXCEEDED")
	case postgres.Violates(err, "guests_calls"):
		return services.Errorf(services.Forbidden, "A guest may make 100 tool calls; register to go on").WithCode("QUOTA_EXCEEDED")
	}
	return err
}

func insertSteps(ctx context.Context, tx pgx.Tx, job uuid.UUID, steps []StepState) error {
	n := len(steps)
	ids, tools, actions := make([]string, n), make([]string, n), make([]string, n)
	positions, versions, prices := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, s := range steps {
		ids[i], tools[i], actions[i] = s.ID, s.ToolID.String(), s.Action
		positions[i], versions[i], prices[i] = int64(i), s.Version, s.Price
	}
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_jobs.steps (job_id, step_id, position, tool_id, tool_version, action, price, status)
		SELECT $1, s.id, s.position, s.tool::uuid, s.version, s.action, s.price, 'Pending'
		FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
			AS s (id, position, tool, version, action, price)`,
		job, ids, positions, tools, versions, actions, prices)
	return err
}

// claimed is a job under lease. Fence stands in every statement that a worker
// writes with: a newer claim makes them touch nothing.
type claimed struct {
	ID              uuid.UUID       `db:"job_id"`
	Account         uuid.UUID       `db:"account_id"`
	Organization    uuid.UUID       `db:"organization_id"`
	Definition      json.RawMessage `db:"workflow_definition"`
	Cost            int64           `db:"cost"`
	Fence           int64           `db:"fence"`
	CancelRequested bool            `db:"cancel_requested"`
}

// claim takes jobs that wait, or whose worker's lease has ended, oldest first.
func (r *Repository) claim(ctx context.Context, limit int, lease time.Duration) ([]claimed, error) {
	return postgres.All[claimed](ctx, r.pool, `
		UPDATE uaol_jobs.jobs SET
			status = 'Running', fence = fence + 1, claim_at = now() + $2 * interval '1 millisecond', updated_at = now(),
			start_time = CASE WHEN fence = 0 THEN now() ELSE start_time END,
			retry_count = retry_count + CASE WHEN fence = 0 THEN 0 ELSE 1 END
		WHERE job_id IN (
			SELECT job_id FROM uaol_jobs.jobs WHERE claim_at <= now()
			ORDER BY claim_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING job_id, account_id, organization_id, workflow_definition, cost, fence, cancel_requested`,
		limit, lease.Milliseconds())
}

type kept struct {
	ID              uuid.UUID `db:"job_id"`
	CancelRequested bool      `db:"cancel_requested"`
}

// keep prolongs leases; what it does not give back was lost.
func (r *Repository) keep(ctx context.Context, held map[uuid.UUID]int64, lease time.Duration) ([]kept, error) {
	ids, fences := make([]string, 0, len(held)), make([]int64, 0, len(held))
	for id, fence := range held {
		ids, fences = append(ids, id.String()), append(fences, fence)
	}
	return postgres.All[kept](ctx, r.pool, `
		UPDATE uaol_jobs.jobs j SET claim_at = now() + $3 * interval '1 millisecond'
		FROM unnest($1::text[], $2::bigint[]) AS held (id, fence)
		WHERE j.job_id = held.id::uuid AND j.fence = held.fence AND j.claim_at IS NOT NULL
		RETURNING j.job_id, j.cancel_requested`, ids, fences, lease.Milliseconds())
}

// handBack lets another worker take a job at once.
func (r *Repository) handBack(ctx context.Context, job claimed) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_jobs.jobs SET claim_at = now() WHERE job_id = $1 AND fence = $2 AND claim_at IS NOT NULL`, job.ID, job.Fence)
	return err
}

// underLease is the condition of every write of a worker: it locks the job's
// row, so that a claim and a late write can't pass each other.
const underLease = `WITH lease AS (
	SELECT job_id FROM uaol_jobs.jobs WHERE job_id = $1 AND fence = $2 AND claim_at IS NOT NULL FOR UPDATE) `

// beginStep notes that a step's call is about to leave; false when the lease
// was lost.
func (r *Repository) beginStep(ctx context.Context, job claimed, step string) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, underLease+`
		UPDATE uaol_jobs.steps SET status = 'Running', attempt = attempt + 1, start_time = coalesce(start_time, now())
		WHERE job_id IN (SELECT job_id FROM lease) AND step_id = $3 AND status = 'Pending'`, job.ID, job.Fence, step)
	return n == 1, err
}

// resetStep lets a step whose call may be repeated begin anew.
func (r *Repository) resetStep(ctx context.Context, job claimed, step string) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, underLease+`
		UPDATE uaol_jobs.steps SET status = 'Pending'
		WHERE job_id IN (SELECT job_id FROM lease) AND step_id = $3 AND status = 'Running'`, job.ID, job.Fence, step)
	return n == 1, err
}

// endStep stores what came of a step; false when the lease was lost.
func (r *Repository) endStep(ctx context.Context, job claimed, step string, status Status, result json.RawMessage, failure string) (stored bool, happened events.Event, err error) {
	happened = events.New("step.ended", job.ID.String()+"/"+step, job.Organization, map[string]any{"status": status})
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, underLease+`
			UPDATE uaol_jobs.steps SET status = $4, result = $5::jsonb, error = nullif($6, ''), end_time = now()
			WHERE job_id IN (SELECT job_id FROM lease) AND step_id = $3 AND status IN ('Running', 'Pending')`,
			job.ID, job.Fence, step, string(status), nullJSON(result), plain(failure))
		if stored = n == 1; err != nil || !stored {
			return err
		}
		return r.outbox.Append(ctx, tx, happened)
	})
	return stored, happened, err
}

// end makes a job's end known; false when the lease was lost. Steps whose turn
// did not come are closed with it.
func (r *Repository) end(ctx context.Context, job claimed, status Status, failure string) (stored bool, happened events.Event, err error) {
	happened = events.New("job."+map[Status]string{Success: "succeeded", Failed: "failed", Cancelled: "cancelled"}[status],
		job.ID.String(), job.Organization, map[string]any{"error": plain(failure)})
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_jobs.jobs SET status = $3, error_message = nullif($4, ''), end_time = now(), updated_at = now(), claim_at = NULL
			WHERE job_id = $1 AND fence = $2 AND claim_at IS NOT NULL`, job.ID, job.Fence, string(status), plain(failure))
		if stored = n == 1; err != nil || !stored {
			return err
		}
		left := Skipped
		if status == Cancelled {
			left = Cancelled
		}
		if _, err = postgres.Exec(ctx, tx, `
			UPDATE uaol_jobs.steps SET status = $2 WHERE job_id = $1 AND status = 'Pending'`, job.ID, string(left)); err != nil {
			return err
		}
		return r.outbox.Append(ctx, tx, happened)
	})
	return stored, happened, err
}

// requestCancel asks whoever works on a job to stop. A queued one is made
// claimable, so that a worker ends it at once.
func (r *Repository) requestCancel(ctx context.Context, id uuid.UUID) (open bool, err error) {
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_jobs.jobs SET cancel_requested = true, updated_at = now() WHERE job_id = $1 AND claim_at IS NOT NULL`, id)
	return n == 1, err
}

// open gives those of the jobs that exist and have not ended.
func (r *Repository) open(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT job_id FROM uaol_jobs.jobs WHERE job_id = ANY ($1::text[]::uuid[]) AND claim_at IS NOT NULL`, texts)
}

// nullJSON is a value for a jsonb parameter that may be null.
func nullJSON(text json.RawMessage) *string {
	if len(text) == 0 {
		return nil
	}
	s := string(text)
	return &s
}
