package jobs

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/batch"
	"uaol/providers/events"
	"uaol/providers/minutes"
	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is the jobs service's SQL. Its hot statements write thousands of
// jobs at once: creations.go, claims.go and changes.go.
type Repository struct {
	pool        *pgxpool.Pool
	outbox      events.Outbox
	outward     bool // there is a broker, and so somebody to tell of steps and signals
	definitions *definitions
	hub         *hub
	creations   batch.Group[creation, Status]
	changes     batch.Group[change, error]
	shards      *minutes.Shards
}

// Telling lets it write, or not, what only those outside want to know.
func (r *Repository) Telling(outward bool) *Repository {
	r.outward = outward
	return r
}

// NewRepository makes a Repository, which must be closed.
func NewRepository(pool *pgxpool.Pool) *Repository {
	r := &Repository{pool: pool, outbox: events.NewOutbox(services.Jobs), definitions: newDefinitions(), hub: newHub(pool), shards: minutes.NewShards()}
	r.creations.Write = r.createEach
	r.changes.Write = r.changeMany
	r.changes.Writers, r.changes.Worth = 2, 100 // one batch is put together while another waits for the disk
	return r
}

// Close ends what goes on in the background.
func (r *Repository) Close() {
	r.hub.close()
	r.definitions.close()
}

// jobColumns are a job's as others see it: what it is doing while it has not
// ended is said by the queue and by whoever works on it.
const jobColumns = `j.job_id, j.account_id, j.organization_id, j.definition, j.workflow_id, j.workflow_version, j.plan, j.retries, j.output, j.error_message, j.end_time, j.created_at, j.updated_at,
	CASE WHEN j.end_time IS NOT NULL THEN j.status ELSE coalesce(q.status, 'Running') END AS status,
	coalesce(j.start_time, r.started_at, q.started_at, j.created_at) AS start_time,
	j.retries AS retry_count`

const ofJobs = ` FROM uaol_jobs.jobs j LEFT JOIN uaol_jobs.queue q ON q.job_id = j.job_id LEFT JOIN uaol_jobs.runs r ON r.job_id = j.job_id `

// jobRow is a job with what its steps are shown by.
type jobRow struct {
	Job
	Plan    string `db:"plan"`
	Retries int    `db:"retries"`

	archived *archived // of a job that was put away
}

func (r *Repository) byID(ctx context.Context, id uuid.UUID) (jobRow, error) {
	return postgres.One[jobRow](ctx, r.pool, `SELECT `+jobColumns+ofJobs+`WHERE j.job_id = $1`, id)
}

func (r *Repository) byIDs(ctx context.Context, ids []uuid.UUID) ([]jobRow, error) {
	return postgres.All[jobRow](ctx, r.pool, `SELECT `+jobColumns+ofJobs+`WHERE j.job_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
}

// owned lists an organisation's jobs, newest first, before the given one.
func (r *Repository) owned(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]jobRow, error) {
	return postgres.All[jobRow](ctx, r.pool, `
		SELECT `+jobColumns+ofJobs+`
		WHERE j.organization_id = $1 AND (j.created_at, j.job_id) < ($2::timestamptz, $3::uuid)
		ORDER BY j.created_at DESC, j.job_id DESC LIMIT $4`, organization, before, beforeID, limit)
}

// stepRow is what a step came to.
type stepRow struct {
	Job       uuid.UUID      `db:"job_id"`
	Position  int            `db:"position"`
	Item      int            `db:"item"`
	Status    Status         `db:"status"`
	Attempt   int            `db:"attempt"`
	Seq       int64          `db:"seq"`
	Result    *string        `db:"result"`
	Error     *string        `db:"error"`
	Detail    *string        `db:"detail"`
	StartTime *services.Time `db:"start_time"`
	EndTime   *services.Time `db:"end_time"`
}

// steps gives the rows of jobs' steps, by job and position.
func (r *Repository) steps(ctx context.Context, jobs ...uuid.UUID) ([]stepRow, error) {
	return stepsOf(ctx, r.pool, jobs...)
}

func stepsOf(ctx context.Context, q postgres.Querier, jobs ...uuid.UUID) ([]stepRow, error) {
	return postgres.All[stepRow](ctx, q, `
		SELECT job_id, position, item, status, attempt, seq, result, error, detail, start_time, end_time
		FROM uaol_jobs.steps WHERE job_id = ANY ($1::text[]::uuid[]) ORDER BY job_id, position, item`, postgres.UUIDs(jobs))
}

// stepsAfter gives the rows that were written after a change of the job, in the
// order of the changes.
func (r *Repository) stepsAfter(ctx context.Context, job uuid.UUID, seq int64) ([]stepRow, error) {
	return postgres.All[stepRow](ctx, r.pool, `
		SELECT job_id, position, item, status, attempt, seq, result, error, detail, start_time, end_time
		FROM uaol_jobs.steps WHERE job_id = $1 AND seq > $2 ORDER BY seq, position, item`, job, seq)
}

// requestCancel asks whoever works on a job to stop. One that waits is the next
// of its lane, so that a worker ends it at once.
func (r *Repository) requestCancel(ctx context.Context, id uuid.UUID) (open bool, err error) {
	return r.signal(ctx, r.pool, id, true)
}

// signal tells a job that something came from outside: it is woken if it waits,
// and its worker finds it when it has one. A job goes from one place to the other
// at once; whoever saw it in between looks again. One that is not there any more has ended.
func (r *Repository) signal(ctx context.Context, q postgres.Querier, id uuid.UUID, cancel bool) (open bool, err error) {
	const looks = 20
	for range looks {
		n, err := postgres.Value[int64](ctx, q, `
			WITH waiting AS (
				UPDATE uaol_jobs.queue SET wake_at = CASE WHEN $2 OR wake_at IS NULL OR fence > 0 THEN NULL ELSE wake_at END,
					cancel = cancel OR $2, priority = CASE WHEN $2 THEN 32767 ELSE priority END
				WHERE job_id = $1 RETURNING 1
			), working AS (
				UPDATE uaol_jobs.runs SET pokes = pokes + 1, cancel = cancel OR $2 WHERE job_id = $1 RETURNING 1
			), told AS (
				INSERT INTO uaol_jobs.outbox (event_id, type, subject, organization_id, data)
				SELECT gen_random_uuid(), 'job.signalled', job_id::text, organization_id, '{}' FROM uaol_jobs.jobs
				WHERE $3 AND job_id = $1 AND (EXISTS (SELECT 1 FROM waiting) OR EXISTS (SELECT 1 FROM working))
			)
			SELECT (SELECT count(*) FROM waiting) + (SELECT count(*) FROM working)
				+ CASE WHEN EXISTS (SELECT 1 FROM uaol_jobs.jobs WHERE job_id = $1 AND end_time IS NULL) THEN 0 ELSE 2 END`, id, cancel, r.outward)
		if err != nil || n > 0 {
			return n == 1, err
		}
	}
	return false, services.Errorf(services.Unavailable, "The job changes hands just now; try again")
}

// open gives those of the jobs that exist and have not ended.
func (r *Repository) open(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	return postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT job_id FROM uaol_jobs.jobs WHERE job_id = ANY ($1::text[]::uuid[]) AND end_time IS NULL`, postgres.UUIDs(ids))
}

// rawOf is a text column as JSON; null when there is none.
func rawOf(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}
