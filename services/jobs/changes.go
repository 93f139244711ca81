package jobs

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// change is what a worker writes of its job at once: what steps came to, and
// whether the job goes on, ends, or leaves the worker.
type change struct {
	Job   uuid.UUID
	Fence int64
	Org   uuid.UUID // whose the job is, where steps are told of
	Seq   int64     // of this change
	Steps []stepChange

	Ends   Status // Success, Failed, Cancelled, or ""
	Error  string
	Output *string
	Spent  int64   // credits, at all its ends
	Adds   int64   // of these, those that this end has charged
	Turn   *string // that the job's end passes on

	// Leaves says that the job goes back to the queue, until Wake: nil is now,
	// forever until somebody signals. What came from outside since Pokes wakes it
	// at once.
	Leaves bool
	Wake   *time.Time
	Status Status // while it is there
	Pokes  int64
}

// forever is how long a job waits for somebody.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// stepChange is a step's new state.
type stepChange struct {
	Position int
	Item     int
	Status   Status
	Attempt  int
	Result   *string
	Error    *string
	Detail   *string
	Took     time.Duration // until now, if it was not written when it began
	Asks     uuid.UUID     // the organisation whose people have to decide, or nil
	Tells    string        // the type of the event that tells of it, or ""
	Step     string        // its name, for that
}

// changeMany writes changes; when one of them has something in it that the database
// does not take, the others are none the worse. Those that are not answered had no
// lease any more.
func (r *Repository) changeMany(ctx context.Context, all []change) (map[int]error, error) {
	written := make(map[int]error, len(all))
	done, err := r.changeAll(ctx, all)
	if err == nil {
		for i := range done {
			written[i] = nil
		}
		return written, nil
	}
	if services.Is(err, services.Unavailable) {
		return nil, err
	}
	if len(all) == 1 {
		written[0] = err
		return written, nil
	}
	for i := range all {
		one, err := r.changeMany(ctx, all[i:i+1])
		if err != nil {
			return nil, err
		}
		if failed, ok := one[0]; ok {
			written[i] = failed
		}
	}
	return written, nil
}

// changeAll writes changes whose worker still has the job, and answers those with
// true; the others are answered with nothing. A job's row in runs is locked first, or
// taken away where the job leaves its worker, so that a claim and a late write can't
// pass each other. It is looked up for each row of the batch: a database would rather
// read all that there is of a table that it takes for small, and this one holds more
// of the dead than of the living; IS TRUE keeps it from joining. The arrays come out of
// subqueries, so that their length is no reason to plan the statement anew each time;
// that takes longer than to carry it out.
func (r *Repository) changeAll(ctx context.Context, all []change) (map[int]bool, error) {
	shard := r.shards.Take()
	defer r.shards.Give(shard)
	turns := turnsOf(all)
	if len(turns) == 0 {
		return r.write(ctx, r.pool, shard, all)
	}
	var done map[int]bool
	err := postgres.InTx(ctx, r.pool, func(tx pgx.Tx) (err error) {
		if done, err = r.write(ctx, tx, shard, all); err != nil {
			return err
		}
		for _, i := range turns {
			if done[i] {
				if err := passOn(ctx, tx, *all[i].Turn, all[i].Job); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return done, err
}

// write also counts the jobs that end, and this is the only statement that ends any: who
// has not got the lease finds no row in runs, ends nothing and counts nothing. A job that
// is retried ends again, and is counted again. Jobs that are made have other rows than
// those that end, so that no circle of waiting goes through both and the turns.
func (r *Repository) write(ctx context.Context, q postgres.Querier, shard int16, all []change) (map[int]bool, error) {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(all[a].Job[:], all[b].Job[:]) })
	b := changeRows{told: r.outward}
	for _, i := range order {
		b.add(i, &all[i])
	}
	held, err := postgres.Values[int32](ctx, q, `
		WITH given AS MATERIALIZED (
			SELECT c.*, c.id::uuid AS job_id
			FROM unnest((SELECT $1::integer[]), (SELECT $2::text[]), (SELECT $3::bigint[]), (SELECT $4::bigint[]), (SELECT $5::integer[]), (SELECT $6::integer[]), (SELECT $7::text[]), (SELECT $8::integer[]),
				(SELECT $9::text[]), (SELECT $10::text[]), (SELECT $11::text[]), (SELECT $12::bigint[]), (SELECT $13::text[]), (SELECT $14::text[]), (SELECT $15::text[]), (SELECT $16::bigint[]), (SELECT $17::boolean[]), (SELECT $18::timestamptz[]),
				(SELECT $19::text[]), (SELECT $20::bigint[]), (SELECT $21::boolean[]), (SELECT $22::text[]), (SELECT $23::text[]), (SELECT $24::text[]), (SELECT $25::text[]), (SELECT $26::bigint[]))
				AS c (place, id, fence, seq, position, item, step_status, attempt, result, step_error, detail, took,
					ends, error, output, spent, leaves, wake_at, waiting_status, pokes, parts, asks, tells, step, organization, adds)
		), gone AS (
			DELETE FROM uaol_jobs.runs r
			WHERE r.job_id = ANY (ARRAY (SELECT c.job_id FROM given c WHERE c.parts)) AND ((r.job_id, r.fence) IN (SELECT c.job_id, c.fence FROM given c WHERE c.parts)) IS TRUE
			RETURNING r.job_id, r.started_at, r.cancel, r.pokes
		), kept AS MATERIALIZED (
			SELECT c.*, r.started_at, r.cancel, r.pokes AS poked FROM given c
			CROSS JOIN LATERAL (SELECT h.started_at, h.cancel, h.pokes FROM uaol_jobs.runs h WHERE h.job_id = c.job_id AND h.fence = c.fence FOR UPDATE) r
			WHERE NOT c.parts
		), held AS MATERIALIZED (
			SELECT c.*, r.started_at, r.cancel, r.pokes AS poked FROM given c JOIN gone r ON r.job_id = c.job_id WHERE c.parts
			UNION ALL SELECT * FROM kept
		), stepped AS (
			INSERT INTO uaol_jobs.steps AS s (job_id, position, item, status, attempt, seq, result, error, detail, asks, start_time, end_time)
			SELECT job_id, position, item, step_status, attempt, seq, result, step_error, detail, asks::uuid,
				CASE WHEN step_status IN ('Pending', 'Skipped') THEN NULL ELSE now() - took * interval '1 microsecond' END,
				CASE WHEN step_status IN ('Success', 'Failed', 'Cancelled', 'Skipped') OR step_status = 'Unknown' AND asks IS NULL THEN now() END
			FROM held WHERE position IS NOT NULL
			ON CONFLICT (job_id, position, item) DO UPDATE SET status = excluded.status, attempt = excluded.attempt, seq = excluded.seq,
				result = excluded.result, error = excluded.error, detail = excluded.detail, asks = excluded.asks,
				start_time = coalesce(s.start_time, excluded.start_time), end_time = excluded.end_time
				WHERE s.seq < excluded.seq
		), ended AS (
			UPDATE uaol_jobs.jobs j SET status = h.ends, error_message = h.error, output = h.output, spent = h.spent, seq = h.seq,
				attempts = h.fence, start_time = h.started_at, end_time = now(), updated_at = now()
			FROM held h WHERE j.job_id = h.job_id AND h.ends IS NOT NULL
			RETURNING j.organization_id, j.job_id, j.status, j.error_message, j.created_at, j.callback_url, h.adds
		), counted AS (
			INSERT INTO uaol_jobs.job_minutes AS m (organization_id, minute, shard, status, jobs, credits)
			SELECT organization_id, date_trunc('minute', now()), $27::smallint, status, count(*), sum(adds)::bigint FROM ended
			GROUP BY organization_id, status ORDER BY organization_id, status
			ON CONFLICT (organization_id, minute, shard, status) DO UPDATE SET jobs = m.jobs + excluded.jobs, credits = m.credits + excluded.credits
		), failed AS (
			INSERT INTO uaol_jobs.failures (job_id, organization_id, status, created_at)
			SELECT job_id, organization_id, status, created_at FROM ended WHERE status <> 'Success'
		), calling AS (
			INSERT INTO uaol_jobs.callbacks (job_id, lane, url, status, error_message)
			SELECT job_id, organization_id::text || '/' || lower(coalesce(substring(callback_url FROM '//([^/?#]*)'), '')), callback_url, status, error_message
			FROM ended WHERE callback_url IS NOT NULL
			ON CONFLICT (job_id) DO UPDATE SET event_id = excluded.event_id, status = excluded.status, error_message = excluded.error_message,
				ended_at = excluded.ended_at, attempts = 0, due_at = excluded.due_at, delivered_at = NULL, last_error = NULL
		), queued AS (
			INSERT INTO uaol_jobs.queue (job_id, lane, priority, wake_at, fence, status, cancel, started_at)
			SELECT h.job_id, j.account_id, CASE WHEN h.cancel THEN 32767 ELSE j.priority END,
				CASE WHEN h.cancel OR h.poked > h.pokes THEN NULL ELSE h.wake_at END, h.fence, h.waiting_status, h.cancel, h.started_at
			FROM held h JOIN uaol_jobs.jobs j ON j.job_id = h.job_id WHERE h.leaves
		), numbered AS (
			UPDATE uaol_jobs.jobs j SET seq = greatest(j.seq, h.seq), updated_at = now() FROM held h WHERE j.job_id = h.job_id AND h.leaves
		), told AS (
			INSERT INTO uaol_jobs.outbox (event_id, type, subject, organization_id, data, created_at)
			SELECT gen_random_uuid(), 'job.ended', '', organization_id, jsonb_build_object('jobs', jsonb_agg(jsonb_build_array(job_id, status))),
				now() + interval '1 microsecond' -- after what its last steps came to
			FROM (SELECT *, row_number() OVER () / `+jobsAnEvent+` AS part FROM ended) e GROUP BY organization_id, part
		), told_steps AS (
			INSERT INTO uaol_jobs.outbox (event_id, type, subject, organization_id, data)
			SELECT gen_random_uuid(), tells, '', organization::uuid, jsonb_build_object('steps', jsonb_agg(
				jsonb_build_object('job', job_id, 'step', step, 'item', nullif(item, -1), 'attempt', attempt)))
			FROM (SELECT *, row_number() OVER () / `+stepsAnEvent+` AS part FROM held WHERE tells IS NOT NULL) s GROUP BY tells, organization, part
		)
		SELECT place FROM held`,
		b.places, b.ids, b.fences, b.seqs, b.positions, b.items, b.statuses, b.attempts,
		b.results, b.errors, b.details, b.took, b.ends, b.failures, b.outputs, b.spent, b.leaves, b.wakes, b.waiting, b.pokes, b.parts, b.asks, b.tells, b.names, b.orgs, b.adds, shard)
	if err != nil {
		return nil, err
	}
	done := make(map[int]bool, len(all))
	for _, place := range held {
		done[int(place)] = true
	}
	return done, nil
}

// changeRows are the columns of a batch: a row a step, the first of a change with
// what it says of the job.
type changeRows struct {
	places                     []int32
	ids                        []string
	fences, seqs, spent, pokes []int64
	adds                       []int64
	positions                  []*int32
	items, attempts            []int32
	statuses                   []string
	results, errors, details   []*string
	asks                       []*string
	took                       []int64
	ends, failures, outputs    []*string
	leaves, parts              []bool
	wakes                      []*time.Time
	waiting                    []string
	tells, names, orgs         []*string // all empty where nobody is told: the others are filled up with nulls
	told                       bool
}

// stepsAnEvent is how many steps one event tells of, as jobsAnEvent of jobs.
const stepsAnEvent = "15"

func (b *changeRows) add(place int, c *change) {
	id := c.Job.String()
	for i := range max(len(c.Steps), 1) {
		b.places, b.ids, b.fences, b.seqs = append(b.places, int32(place)), append(b.ids, id), append(b.fences, c.Fence), append(b.seqs, c.Seq)
		b.step(c, i)
		b.tell(c, i)
		var ends, failure, output *string
		if i == 0 && c.Ends != "" {
			status := string(c.Ends)
			ends, output = &status, c.Output
			if c.Error != "" {
				text := plain(c.Error)
				failure = &text
			}
		}
		b.ends, b.failures, b.outputs, b.spent = append(b.ends, ends), append(b.failures, failure), append(b.outputs, output), append(b.spent, c.Spent)
		b.adds = append(b.adds, c.Adds)
		b.leaves, b.parts, b.wakes = append(b.leaves, i == 0 && c.Leaves), append(b.parts, c.Leaves || c.Ends != ""), append(b.wakes, c.Wake)
		b.waiting, b.pokes = append(b.waiting, string(c.Status)), append(b.pokes, c.Pokes)
	}
}

func (b *changeRows) step(c *change, i int) {
	var position *int32
	var s stepChange
	if i < len(c.Steps) {
		s = c.Steps[i]
		at := int32(s.Position)
		position = &at
	}
	b.positions, b.items, b.attempts = append(b.positions, position), append(b.items, int32(s.Item)), append(b.attempts, int32(s.Attempt))
	b.statuses, b.results, b.errors = append(b.statuses, string(s.Status)), append(b.results, s.Result), append(b.errors, s.Error)
	b.details, b.took, b.asks = append(b.details, s.Detail), append(b.took, s.Took.Microseconds()), append(b.asks, textOf(s.Asks))
}

func (b *changeRows) tell(c *change, i int) {
	if !b.told {
		return
	}
	var tells, name, org *string
	if i < len(c.Steps) && c.Steps[i].Tells != "" {
		tells, name, org = &c.Steps[i].Tells, &c.Steps[i].Step, textOf(c.Org)
	}
	b.tells, b.names, b.orgs = append(b.tells, tells), append(b.names, name), append(b.orgs, org)
}

// handBack lets another worker take a job at once.
func (r *Repository) handBack(ctx context.Context, job uuid.UUID, fence int64) error {
	_, err := r.changeAll(ctx, []change{{Job: job, Fence: fence, Leaves: true, Status: Running}})
	return err
}
