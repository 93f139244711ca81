package jobs

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// creation is a job to be.
type creation struct {
	ID           uuid.UUID
	Organization uuid.UUID
	Account      uuid.UUID
	Key          uuid.UUID // API key, or nil
	Definition   string
	Plan         string
	Input        *string
	Metadata     *string
	Callback     *string
	Turn         *string // organisation/concurrency_key
	Cost         int64
	Priority     int
	RunAt        *time.Time
	Deadline     *time.Time
	Within       *int64 // milliseconds that lead to Deadline
	Digest       []byte // of the request with an Idempotency-Key
	Parent       *parent
	Workflow     uuid.UUID // saved, or nil
	Version      int64
	Retries      int // which of its holds it is paid out of
	// Worker takes it at once if it is not nil: then it never waits in the queue.
	Worker uuid.UUID
}

// parent is the step that a job is the work of.
type parent struct {
	Job      uuid.UUID
	Position int
	Item     int
}

// createEach writes jobs, each for itself: one that can't be written harms no
// other. Those whose id is taken are left as they are and have no answer.
func (r *Repository) createEach(ctx context.Context, all []creation) (map[int]Status, error) {
	shard := r.shards.Take()
	made, err := r.create(ctx, r.pool, shard, all)
	r.shards.Give(shard)
	done := make(map[int]Status, len(made))
	switch {
	case err == nil:
		for _, m := range made {
			done[int(m.Place)-1] = m.status()
		}
		return done, nil
	case services.Is(err, services.Conflict) && len(all) == 1: // another has just made it
		return done, nil
	case services.Is(err, services.Unavailable) || len(all) == 1:
		return nil, err
	}
	for i := range all {
		one, err := r.createEach(ctx, all[i:i+1])
		if err != nil {
			return nil, err
		}
		if status, ok := one[0]; ok {
			done[i] = status
		}
	}
	return done, nil
}

// jobsAnEvent is how many jobs one event tells of. An event of more than two
// kilobytes PostgreSQL would try to compress, which ids are no good for.
const jobsAnEvent = "30"

// made is a job that was written.
type made struct {
	Place int64 `db:"place"` // among those that were to be, from 1
	Begun bool  `db:"begun"` // its worker has it
}

func (m made) status() Status {
	if m.Begun {
		return Running
	}
	return Queued
}

// create counts and tells of the jobs that it has made. Only an id that is made of a request may be
// taken; others are new and are not looked up. A worker whose lease has ended, which it
// may not know yet, takes none: they wait in the queue.
func (r *Repository) create(ctx context.Context, q postgres.Querier, shard int16, all []creation) ([]made, error) {
	n := len(all)
	ids, organizations, accounts, keys := make([]string, n), make([]string, n), make([]string, n), make([]*string, n)
	texts, plans, inputs, metadata := make([]string, n), make([]string, n), make([]*string, n), make([]*string, n)
	callbacks, turns, retries := make([]*string, n), make([]*string, n), make([]int32, n)
	costs, priorities := make([]int64, n), make([]int32, n)
	runAts, deadlines, withins, digests := make([]*time.Time, n), make([]*time.Time, n), make([]*int64, n), make([][]byte, n)
	parents, positions, items := make([]*string, n), make([]*int32, n), make([]*int32, n)
	workflows, versions, workers := make([]*string, n), make([]*int64, n), make([]*string, n)
	for i := range all {
		c := &all[i]
		ids[i], organizations[i], accounts[i], keys[i] = c.ID.String(), c.Organization.String(), c.Account.String(), textOf(c.Key)
		texts[i], plans[i], inputs[i], metadata[i], callbacks[i], turns[i] = c.Definition, c.Plan, c.Input, c.Metadata, c.Callback, c.Turn
		costs[i], priorities[i], runAts[i], digests[i] = c.Cost, int32(c.Priority), c.RunAt, c.Digest
		deadlines[i], withins[i] = c.Deadline, c.Within
		if p := c.Parent; p != nil {
			position, item := int32(p.Position), int32(p.Item)
			parents[i], positions[i], items[i] = textOf(p.Job), &position, &item
		}
		if c.Workflow != uuid.Nil {
			workflows[i], versions[i] = textOf(c.Workflow), &c.Version
		}
		workers[i], retries[i] = textOf(c.Worker), int32(c.Retries)
	}
	return postgres.All[made](ctx, q, `
		WITH wanted AS (
			SELECT id::uuid AS job_id, org::uuid AS organization_id, account::uuid AS account_id, api_key::uuid AS key_id,
				definition, plan, input, metadata, callback, turn, cost, priority, run_at, deadline, timeout_ms, digest, parent::uuid AS parent_id, position, item,
				workflow::uuid AS workflow_id, version, retries, place,
				CASE WHEN worker::uuid IN (SELECT w.worker_id FROM uaol_jobs.workers w WHERE w.lease_until > now()) THEN worker::uuid END AS worker_id
			FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::text[]), (SELECT $5::text[]), (SELECT $6::text[]), (SELECT $7::text[]), (SELECT $8::text[]), (SELECT $9::bigint[]), (SELECT $10::integer[]),
				(SELECT $11::timestamptz[]), (SELECT $12::timestamptz[]), (SELECT $13::bytea[]), (SELECT $14::text[]), (SELECT $15::integer[]), (SELECT $16::integer[]), (SELECT $17::text[]), (SELECT $18::bigint[]), (SELECT $19::text[]), (SELECT $20::text[]), (SELECT $21::text[]), (SELECT $22::integer[]), (SELECT $23::bigint[]))
				WITH ORDINALITY AS w (id, org, account, api_key, definition, plan, input, metadata, cost, priority,
					run_at, deadline, digest, parent, position, item, workflow, version, worker, callback, turn, retries, timeout_ms, place)
			WHERE digest IS NULL OR (SELECT j.job_id FROM uaol_jobs.jobs j WHERE j.job_id = w.id::uuid) IS NULL
		), made AS (
			INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, key_id, definition, plan, input, metadata, callback_url, turn, cost, priority, deadline, timeout_ms,
				request_digest, parent_id, parent_position, parent_item, workflow_id, workflow_version, retries)
			SELECT job_id, organization_id, account_id, key_id, definition, plan, input, metadata, callback, turn, cost, priority, deadline, timeout_ms,
				digest, parent_id, position, item, workflow_id, version, retries FROM wanted
		), counted AS (
			INSERT INTO uaol_jobs.job_minutes AS m (organization_id, minute, shard, status, jobs, credits)
			SELECT organization_id, date_trunc('minute', now()), $24::smallint, 'Queued', count(*), 0 FROM wanted
			GROUP BY organization_id ORDER BY organization_id
			ON CONFLICT (organization_id, minute, shard, status) DO UPDATE SET jobs = m.jobs + excluded.jobs
		), taken AS (
			INSERT INTO uaol_jobs.turns AS t (turn, job_id)
			SELECT turn, (array_agg(job_id ORDER BY priority DESC, place))[1] FROM wanted WHERE turn IS NOT NULL GROUP BY turn ORDER BY turn
			ON CONFLICT (turn) DO UPDATE SET waiting = t.waiting + 1
			RETURNING t.turn, t.job_id
		), begun AS (
			INSERT INTO uaol_jobs.runs (job_id, worker_id, fence, started_at)
			SELECT job_id, worker_id, 1, now() FROM wanted WHERE worker_id IS NOT NULL
		), waiting AS (
			INSERT INTO uaol_jobs.queue (job_id, lane, priority, wake_at, turn)
			SELECT job_id, account_id, priority, CASE WHEN late THEN timestamptz '9999-01-01 00:00:00Z' WHEN run_at > now() THEN run_at END, CASE WHEN late THEN turn END
			FROM (SELECT *, turn IS NOT NULL AND job_id NOT IN (SELECT t.job_id FROM taken t) AS late FROM wanted) w
			WHERE worker_id IS NULL
		), told AS (
			INSERT INTO uaol_jobs.outbox (event_id, type, subject, organization_id, data)
			SELECT gen_random_uuid(), 'job.created', '', organization_id, jsonb_build_object('jobs', jsonb_agg(job_id),
				'waiting', count(*) FILTER (WHERE worker_id IS NULL AND (run_at IS NULL OR run_at <= now())))
			FROM wanted GROUP BY organization_id, place / `+jobsAnEvent+`
		)
		SELECT place, worker_id IS NOT NULL AS begun FROM wanted`,
		ids, organizations, accounts, keys, texts, plans, inputs, metadata, costs, priorities,
		runAts, deadlines, digests, parents, positions, items, workflows, versions, workers, callbacks, turns, retries, withins, shard)
}

// countGuest takes a guest's workflows and their calls off what a guest may
// make; the constraints of the table refuse what is too much.
func countGuest(ctx context.Context, tx pgx.Tx, caller services.Caller, workflows, calls int) error {
	if caller.Role != services.RoleGuest {
		return nil
	}
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_jobs.guests AS g (account_id, workflows, calls) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET workflows = g.workflows + $2, calls = g.calls + excluded.calls`, caller.Account, workflows, calls)
	switch {
	case postgres.Violates(err, "guests_workflows"):
		return services.Errorf(services.Forbidden, "A guest may create 10 workflows; register to go on").WithCode("QUOTA_EXCEEDED")
	case postgres.Violates(err, "guests_calls"):
		return services.Errorf(services.Forbidden, "A guest may make 100 tool calls; register to go on").WithCode("QUOTA_EXCEEDED")
	}
	return err
}

// textOf is an id as a text parameter; nil for none.
func textOf(id uuid.UUID) *string {
	if id == uuid.Nil {
		return nil
	}
	text := id.String()
	return &text
}

// storedText is JSON as a text parameter; nil for none.
func storedText(text json.RawMessage) *string {
	if len(text) == 0 {
		return nil
	}
	s := string(text)
	return &s
}
