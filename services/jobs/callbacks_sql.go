package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// callback gives what is known of telling of a job's end; kind NotFound when
// nobody is to be told.
func (r *Repository) callback(ctx context.Context, job uuid.UUID) (Callback, error) {
	return postgres.One[Callback](ctx, r.pool, `
		SELECT j.callback_url AS url, c.event_id, c.status, coalesce(c.attempts, 0) AS attempts, c.due_at, c.delivered_at, c.last_error
		FROM uaol_jobs.jobs j LEFT JOIN uaol_jobs.callbacks c ON c.job_id = j.job_id
		WHERE j.job_id = $1 AND j.callback_url IS NOT NULL`, job)
}

// lane is those of an organisation's callbacks that go to one host.
type lane struct {
	Name string `db:"lane"`
	Due  bool   `db:"due"`
}

// callbackLanes looks at the lanes after the given one in which anything waits,
// and tells in which of them something is due. It costs a look a lane, however
// much waits in it.
func (r *Repository) callbackLanes(ctx context.Context, after string, most int) ([]lane, error) {
	return postgres.All[lane](ctx, r.pool, `
		WITH RECURSIVE lanes AS (
			(SELECT lane FROM uaol_jobs.callbacks WHERE due_at IS NOT NULL AND lane > $1 ORDER BY lane LIMIT 1)
			UNION ALL
			SELECT (SELECT c.lane FROM uaol_jobs.callbacks c WHERE c.due_at IS NOT NULL AND c.lane > l.lane ORDER BY c.lane LIMIT 1)
			FROM lanes l WHERE l.lane IS NOT NULL
		)
		SELECT l.lane, EXISTS (SELECT 1 FROM uaol_jobs.callbacks c WHERE c.lane = l.lane AND c.due_at <= now()) AS due
		FROM lanes l WHERE l.lane IS NOT NULL LIMIT $2`, after, most)
}

// telling is one end that somebody is to be told of.
type telling struct {
	Job      uuid.UUID     `db:"job_id"`
	Event    uuid.UUID     `db:"event_id"`
	Lane     string        `db:"lane"`
	URL      string        `db:"url"`
	Status   Status        `db:"status"`
	Error    *string       `db:"error_message"`
	EndedAt  services.Time `db:"ended_at"`
	Attempt  int           `db:"attempts"`
	Metadata *string       `db:"metadata"`
	Size     int64         `db:"size"` // bytes of its output, or of what that is put together from
}

// claimCallbacks takes what has been due longest in each lane, as much as there is
// room for, and lets nobody else take it for as long as the lease.
func (r *Repository) claimCallbacks(ctx context.Context, lanes []string, rooms []int32, lease time.Duration) ([]telling, error) {
	return postgres.All[telling](ctx, r.pool, `
		WITH due AS (
			SELECT x.job_id, l.room, row_number() OVER (PARTITION BY l.lane ORDER BY x.due_at) AS place
			FROM unnest($1::text[], $2::integer[]) AS l (lane, room), LATERAL (
				SELECT c.job_id, c.due_at FROM uaol_jobs.callbacks c WHERE c.lane = l.lane AND c.due_at <= now()
				ORDER BY c.due_at LIMIT $4 FOR UPDATE SKIP LOCKED) x
		), taken AS (
			UPDATE uaol_jobs.callbacks c SET due_at = now() + $3 * interval '1 millisecond', attempts = attempts + 1
			WHERE c.job_id = ANY (ARRAY (SELECT d.job_id FROM due d WHERE d.place <= d.room))
			RETURNING c.job_id, c.event_id, c.lane, c.url, c.status, c.error_message, c.ended_at, c.attempts
		)
		SELECT t.*, j.metadata, coalesce(octet_length(j.output)::bigint,
			(SELECT sum(octet_length(s.result))::bigint FROM uaol_jobs.steps s WHERE s.job_id = t.job_id), 0) AS size
		FROM taken t JOIN uaol_jobs.jobs j ON j.job_id = t.job_id`, lanes, rooms, lease.Milliseconds(), mostOfHost)
}

// callbackOutcome is what came of telling once.
type callbackOutcome struct {
	Job     uuid.UUID
	Event   uuid.UUID
	Attempt int
	Error   string         // "" is that it was delivered
	Again   *time.Duration // from now; nil is never
}

// told writes down what came of telling. About another end than the one that was
// told it says nothing; nor does a failure when another attempt has begun since.
func (r *Repository) told(ctx context.Context, all []callbackOutcome) (map[int]struct{}, error) {
	n := len(all)
	jobs, ends, attempts := make([]string, n), make([]string, n), make([]int32, n)
	failures, pauses := make([]*string, n), make([]*int64, n)
	done := make(map[int]struct{}, n)
	for i, o := range all {
		jobs[i], ends[i], attempts[i], done[i] = o.Job.String(), o.Event.String(), int32(o.Attempt), struct{}{}
		if o.Error != "" {
			failures[i] = &o.Error
		}
		if o.Again != nil {
			pause := o.Again.Milliseconds()
			pauses[i] = &pause
		}
	}
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_jobs.callbacks c SET delivered_at = CASE WHEN o.failure IS NULL THEN now() END,
			due_at = now() + o.pause * interval '1 millisecond', last_error = o.failure
		FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::bigint[]) AS o (job, event, attempt, failure, pause)
		WHERE c.job_id = o.job::uuid AND c.event_id = o.event::uuid AND c.delivered_at IS NULL AND (o.failure IS NULL OR c.attempts = o.attempt)`,
		jobs, ends, attempts, failures, pauses)
	return done, err
}
