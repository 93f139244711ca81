package proxy

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/minutes"
	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is the proxy's SQL.
type Repository struct {
	pool   *pgxpool.Pool
	shards *minutes.Shards
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository {
	return &Repository{pool: pool, shards: minutes.NewShards()}
}

// Record is a call as it was recorded.
type Record struct {
	Call
	LatencyMS float64       `json:"latencyMs" db:"latency_ms"`
	CreatedAt services.Time `json:"createdAt" db:"created_at"`
}

const recordColumns = `call_id, organization_id, account_id, key_id, tool_id, version, method, digest, shape, outcome, code,
	bytes_out, bytes_in, credits, job_id, step, trace_id, latency_us::float8 / 1000 AS latency_ms, created_at`

// insert records calls and counts them; one that is recorded stays as it is, and is not
// counted again, whoever repeats it: the till when it heard no answer, the Sweeper with a
// call that was recorded after all. The count stands because nothing of a record that it
// goes by is changed later: a call that was asked something and is made again is another
// call, a key (once_repository.go) has one call, and disown takes only people away. What
// is forgotten was called all the same, so forget takes nothing from the counts, which go
// by their own age.
//
// Rows of counts are locked in the order of their key, after all records are written: who
// has one waits for none that is before it, and for no record.
func (r *Repository) insert(ctx context.Context, calls []Call) error {
	var (
		ids, organizations, accounts, keys, tools, jobs            = texts(calls), texts(calls), texts(calls), texts(calls), texts(calls), texts(calls)
		methods, digests, shapes, outcomes, codes, steps, traceIDs = texts(calls), texts(calls), texts(calls), texts(calls), texts(calls), texts(calls), texts(calls)
		versions, latencies, bytesOut, bytesIn, credits            = numbers(calls), numbers(calls), numbers(calls), numbers(calls), numbers(calls)
		moments                                                    = make([]time.Time, len(calls))
	)
	for i, c := range calls {
		ids[i], organizations[i], accounts[i], tools[i] = c.ID.String(), c.Organization.String(), c.Account.String(), c.ToolID.String()
		keys[i], jobs[i] = orEmpty(c.Key), orEmpty(c.JobID)
		methods[i], digests[i], shapes[i], outcomes[i] = c.Method, c.Digest, c.Shape, string(c.Outcome)
		codes[i], steps[i], traceIDs[i] = c.Code, c.Step, c.TraceID
		versions[i], latencies[i], bytesOut[i], bytesIn[i], credits[i] = c.Version, c.Latency.Microseconds(), c.BytesOut, c.BytesIn, c.Credits
		moments[i] = c.At
	}
	shard := r.shards.Take()
	defer r.shards.Give(shard)
	_, err := postgres.Exec(ctx, r.pool, `
		WITH recorded AS (
			INSERT INTO uaol_proxy.calls (call_id, organization_id, account_id, key_id, tool_id, version, method, digest, shape,
				outcome, code, latency_us, bytes_out, bytes_in, credits, job_id, step, trace_id, created_at)
			SELECT c.call_id::uuid, c.organization_id::uuid, c.account_id::uuid, nullif(c.key_id, '')::uuid, c.tool_id::uuid, c.version, c.method,
				c.digest, c.shape, c.outcome, c.code, c.latency_us, c.bytes_out, c.bytes_in, c.credits, nullif(c.job_id, '')::uuid,
				c.step, c.trace_id, c.created_at
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[],
				$11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], $17::text[], $18::text[], $19::timestamptz[])
				AS c (call_id, organization_id, account_id, key_id, tool_id, version, method, digest, shape, outcome, code,
					latency_us, bytes_out, bytes_in, credits, job_id, step, trace_id, created_at)
			ON CONFLICT (call_id) DO NOTHING
			RETURNING organization_id, date_trunc('minute', created_at) AS minute, outcome,
				CASE outcome WHEN 'refused' THEN 0 ELSE width_bucket(latency_us, $20::bigint[]) END AS latency, credits
		)
		INSERT INTO uaol_proxy.call_minutes AS m (organization_id, minute, shard, outcome, latency, calls, credits)
		SELECT organization_id, minute, $21::smallint, outcome, latency, count(*), sum(credits)::bigint FROM recorded
		GROUP BY organization_id, minute, outcome, latency ORDER BY organization_id, minute, outcome, latency
		ON CONFLICT (organization_id, minute, shard, outcome, latency) DO UPDATE SET calls = m.calls + excluded.calls, credits = m.credits + excluded.credits`,
		ids, organizations, accounts, keys, tools, versions, methods, digests, shapes, outcomes, codes,
		latencies, bytesOut, bytesIn, credits, jobs, steps, traceIDs, moments, ranges, shard)
	return err
}

func texts(calls []Call) []string  { return make([]string, len(calls)) }
func numbers(calls []Call) []int64 { return make([]int64, len(calls)) }

func orEmpty(id *uuid.UUID) string {
	if id == nil || *id == uuid.Nil {
		return ""
	}
	return id.String()
}

// Filter says which calls are asked for; what is empty asks for all.
type Filter struct {
	Organization, Account, Tool, Key, Job uuid.UUID
	Method                                string
	Outcome                               Outcome
	From, To                              time.Time // To is not included
}

// list gives an organisation's calls before a moment and an id, newest first.
func (r *Repository) list(ctx context.Context, f Filter, before time.Time, beforeID uuid.UUID, limit int) ([]Record, error) {
	return postgres.All[Record](ctx, r.pool, `
		SELECT `+recordColumns+` FROM uaol_proxy.calls
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR account_id = $2::uuid) AND ($3::uuid IS NULL OR tool_id = $3::uuid)
			AND ($4::uuid IS NULL OR key_id = $4::uuid) AND ($5::uuid IS NULL OR job_id = $5::uuid)
			AND ($6::text = '' OR method = $6) AND ($7::text = '' OR outcome = $7)
			AND ($8::timestamptz IS NULL OR created_at >= $8::timestamptz) AND ($9::timestamptz IS NULL OR created_at < $9::timestamptz)
			AND (created_at, call_id) < ($10::timestamptz, $11::uuid)
		ORDER BY created_at DESC, call_id DESC LIMIT $12`,
		f.Organization, asked(f.Account), asked(f.Tool), asked(f.Key), asked(f.Job), f.Method, string(f.Outcome), moment(f.From), moment(f.To),
		before, beforeID, limit)
}

// asked and moment give NULL for what is not asked for.
func asked(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// find gives a call; kind NotFound.
func (r *Repository) find(ctx context.Context, id uuid.UUID) (Record, error) {
	return postgres.One[Record](ctx, r.pool, `SELECT `+recordColumns+` FROM uaol_proxy.calls WHERE call_id = $1`, id)
}

// among gives those calls of the ids that are recorded.
func (r *Repository) among(ctx context.Context, ids []uuid.UUID) ([]Record, error) {
	return postgres.All[Record](ctx, r.pool, `
		SELECT `+recordColumns+` FROM uaol_proxy.calls WHERE call_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
}

// forget removes some calls that are older than so many days, and counts them.
func (r *Repository) forget(ctx context.Context, days, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.calls WHERE call_id IN (
			SELECT call_id FROM uaol_proxy.calls WHERE created_at < now() - $1 * interval '1 day' ORDER BY created_at LIMIT $2)`, days, limit)
}
