package jobs

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
)

// claimed is a job under a worker's lease. Fence stands in every statement that
// a worker writes with: a newer claim makes them touch nothing.
type claimed struct {
	ID           uuid.UUID  `db:"job_id"`
	Account      uuid.UUID  `db:"account_id"`
	Organization uuid.UUID  `db:"organization_id"`
	Key          *uuid.UUID `db:"key_id"`
	Definition   string     `db:"definition"`
	Plan         string     `db:"plan"`
	Input        *string    `db:"input"`
	Cost         int64      `db:"cost"`
	Spent        int64      `db:"spent"` // when it ended before
	Seq          int64      `db:"seq"`
	Deadline     *time.Time `db:"deadline"`
	Turn         *string    `db:"turn"`
	Retries      int        `db:"retries"`
	Parent       *uuid.UUID `db:"parent_id"`
	Fence        int64      `db:"fence"`
	Cancel       bool       `db:"cancel"`
	StartedAt    time.Time  `db:"started_at"`
}

// lanesAtOnce is among how many accounts one claim shares what it takes.
const lanesAtOnce = 64

// claim takes jobs that wait, of as many lanes after the given one as there are:
// of each the same number, in the order of their priority and age. It gives the
// last lane it looked at, nil after the last one there is.
func (r *Repository) claim(ctx context.Context, worker, after uuid.UUID, limit int) (taken []claimed, last uuid.UUID, err error) {
	lanes, err := postgres.Values[uuid.UUID](ctx, r.pool, `
		WITH RECURSIVE lanes AS (
			(SELECT lane FROM uaol_jobs.queue WHERE wake_at IS NULL AND lane > $1 ORDER BY lane LIMIT 1)
			UNION ALL
			SELECT (SELECT q.lane FROM uaol_jobs.queue q WHERE q.wake_at IS NULL AND q.lane > l.lane ORDER BY q.lane LIMIT 1)
			FROM lanes l WHERE l.lane IS NOT NULL
		)
		SELECT lane FROM lanes WHERE lane IS NOT NULL LIMIT $2`, after, min(lanesAtOnce, limit))
	if err != nil || len(lanes) == 0 {
		return nil, uuid.Nil, err
	}
	if len(lanes) == min(lanesAtOnce, limit) {
		last = lanes[len(lanes)-1]
	}
	taken, err = postgres.All[claimed](ctx, r.pool, `
		WITH taken AS (
			DELETE FROM uaol_jobs.queue q WHERE q.job_id IN (
				SELECT x.job_id FROM unnest((SELECT $2::text[])) AS l (lane), LATERAL (
					SELECT w.job_id FROM uaol_jobs.queue w WHERE w.lane = l.lane::uuid AND w.wake_at IS NULL
					ORDER BY w.priority DESC, w.enqueued_at, w.job_id LIMIT $3 FOR UPDATE SKIP LOCKED) x)
				AND EXISTS (SELECT 1 FROM uaol_jobs.workers a WHERE a.worker_id = $1 AND a.lease_until > now())
			RETURNING q.job_id, q.fence + 1 AS fence, q.cancel, coalesce(q.started_at, now()) AS started_at
		), begun AS (
			INSERT INTO uaol_jobs.runs (job_id, worker_id, fence, cancel, started_at)
			SELECT job_id, $1, fence, cancel, started_at FROM taken
		)
		SELECT j.job_id, j.organization_id, j.account_id, j.key_id, j.definition, j.plan, j.input, j.cost, j.spent, j.seq, j.deadline, j.turn, j.retries, j.parent_id, t.fence, t.cancel, t.started_at
		FROM taken t JOIN uaol_jobs.jobs j ON j.job_id = t.job_id`,
		worker, postgres.UUIDs(lanes), (limit+len(lanes)-1)/len(lanes))
	return taken, last, err
}

// promote makes jobs claimable whose moment has come.
func (r *Repository) promote(ctx context.Context, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		UPDATE uaol_jobs.queue SET wake_at = NULL WHERE job_id IN (
			SELECT job_id FROM uaol_jobs.queue WHERE wake_at <= now() ORDER BY wake_at LIMIT $1 FOR UPDATE SKIP LOCKED)`, limit)
}

// signIn makes a worker's lease.
func (r *Repository) signIn(ctx context.Context, worker uuid.UUID, lease time.Duration) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_jobs.workers AS w (worker_id, lease_until, process) VALUES ($1, now() + $2 * interval '1 millisecond', $3)
		ON CONFLICT (worker_id) DO UPDATE SET lease_until = excluded.lease_until`, worker, lease.Milliseconds(), process())
	return err
}

// process names this one: its machine, and its number there.
func process() string {
	host, _ := os.Hostname() // without it the number still says something
	return host + "/" + strconv.Itoa(os.Getpid())
}

// prolong renews a worker's lease; false when it has ended, and others may have
// taken what the worker had.
func (r *Repository) prolong(ctx context.Context, worker uuid.UUID, lease time.Duration) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_jobs.workers SET lease_until = now() + $2 * interval '1 millisecond'
		WHERE worker_id = $1 AND lease_until > now()`, worker, lease.Milliseconds())
	return n == 1, err
}

// signOff ends a worker's lease; what it still has is others' to take.
func (r *Repository) signOff(ctx context.Context, worker uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `DELETE FROM uaol_jobs.workers WHERE worker_id = $1`, worker)
	return err
}

// held is a job that the database says a worker has.
type held struct {
	ID     uuid.UUID `db:"job_id"`
	Fence  int64     `db:"fence"`
	Cancel bool      `db:"cancel"`
	Pokes  int64     `db:"pokes"`
}

// look tells what became of jobs that a worker has.
func (r *Repository) look(ctx context.Context, ids []uuid.UUID) ([]held, error) {
	return postgres.All[held](ctx, r.pool, `
		SELECT job_id, fence, cancel, pokes FROM uaol_jobs.runs WHERE job_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
}

// heldBy lists all that a worker has, also what it does not know of because the
// answer to its claim was lost.
func (r *Repository) heldBy(ctx context.Context, worker uuid.UUID) ([]held, error) {
	return postgres.All[held](ctx, r.pool, `
		SELECT job_id, fence, cancel, pokes FROM uaol_jobs.runs WHERE worker_id = $1`, worker)
}

// bury ends the leases that have run out, and lets others take what those workers
// had, where they left it.
func (r *Repository) bury(ctx context.Context) (freed int64, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) (err error) {
		if _, err = postgres.Exec(ctx, tx, `DELETE FROM uaol_jobs.workers WHERE lease_until <= now()`); err != nil {
			return err
		}
		freed, err = postgres.Exec(ctx, tx, `
			WITH left_behind AS (
				DELETE FROM uaol_jobs.runs r WHERE NOT EXISTS (SELECT 1 FROM uaol_jobs.workers w WHERE w.worker_id = r.worker_id)
				RETURNING r.job_id, r.fence, r.cancel, r.started_at
			)
			INSERT INTO uaol_jobs.queue (job_id, lane, priority, fence, status, cancel, started_at)
			SELECT l.job_id, j.account_id, CASE WHEN l.cancel THEN 32767 ELSE j.priority END, l.fence, 'Running', l.cancel, l.started_at
			FROM left_behind l JOIN uaol_jobs.jobs j ON j.job_id = l.job_id`)
		return err
	})
	return freed, err
}
