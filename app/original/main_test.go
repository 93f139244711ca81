package original

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/postgres/pgtest"
	"uaol/services/auth"
	"uaol/services/billing"
	"uaol/services/billing/ledger"
	"uaol/services/jobs"
	"uaol/services/registry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is a database with the original's tables and one of ours.
type bench struct {
	source, target *pgxpool.Pool
	to             Target
}

// setup makes both; the source has the tables of the given files of testdata, all of
// them without any named.
func setup(t testing.TB, files ...string) *bench {
	t.Helper()
	b := &bench{source: pgtest.New(t), target: pgtest.New(t)}
	if len(files) == 0 {
		files = []string{"schema.sql", "later.sql"}
	}
	for _, name := range files {
		text, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err)
		b.put(t, string(text))
	}
	policy, err := egress.New(egress.Config{Allow: []string{"localhost:3001"}})
	require.NoError(t, err)
	history := jobs.NewRepository(b.target)
	t.Cleanup(history.Close)
	b.to = Target{Auth: auth.NewRepository(b.target), Billing: billing.NewRepository(b.target), Registry: registry.NewRepository(b.target),
		Jobs: history, Policy: policy}
	return b
}

// put writes to the source; statements without arguments may be many.
func (b *bench) put(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := b.source.Exec(t.Context(), sql, args...)
	require.NoError(t, err, sql)
}

// user adds a user to the source. Those added later are younger.
func (b *bench) user(t testing.TB, email string, credits int64, tier string) (id uuid.UUID, key string) {
	t.Helper()
	id = uuid.New()
	key = "uaol_" + strings.ReplaceAll(uuid.NewString(), "-", "") + "_m1a2b3c4"
	b.put(t, `INSERT INTO public.users (user_id, email, current_credits, subscription_tier, api_key, created_at)
		SELECT $1, $2, $3, $4, $5, '2025-01-01'::timestamptz + count(*) * interval '1 minute' FROM public.users`, id, email, credits, tier, key)
	return id, key
}

func (b *bench) tool(t testing.TB, developer uuid.UUID, name, url string, price int64, status, protocol string) (id uuid.UUID) {
	t.Helper()
	id = uuid.New()
	b.put(t, `INSERT INTO public.mcp_tools (tool_id, name, gateway_url, credit_cost_per_call, developer_id, status, protocol)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, id, name, url, price, developer, status, protocol)
	return id
}

func (b *bench) job(t testing.TB, user uuid.UUID, status, output string) (id uuid.UUID) {
	t.Helper()
	id = uuid.New()
	b.put(t, `INSERT INTO public.processing_jobs (job_id, user_id, workflow_definition, status, final_output, end_time, error_message)
		VALUES ($1, $2, '{"steps":[{"id":"a","tool_id":"0199c0de-0000-7000-8000-000000000001","action":"echo","parameters":{"x":1}}]}', $3,
			nullif($4, '')::jsonb, CASE WHEN $3 IN ('Success', 'Failed') THEN now() END, CASE WHEN $3 = 'Failed' THEN 'it broke' END)`, id, user, status, output)
	return id
}

// run imports, all in small batches.
func (b *bench) run(t testing.TB, change ...func(*Options)) *Report {
	t.Helper()
	report, err := b.try(t.Context(), change...)
	require.NoError(t, err)
	return report
}

func (b *bench) try(ctx context.Context, change ...func(*Options)) (*Report, error) {
	in := Options{From: b.source.Config().ConnString(), Batch: 3}
	for _, f := range change {
		f(&in)
	}
	return Run(ctx, b.to, in)
}

func dry(in *Options) { in.DryRun = true }

// found lists the ids of a finding, in order.
func (r *Report) found(code Code) (ids []string) {
	for _, g := range r.Findings {
		if g.Code == code {
			for _, item := range g.Items {
				ids = append(ids, item.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func (r *Report) counted(code Code) int64 {
	for _, g := range r.Findings {
		if g.Code == code {
			return g.Count
		}
	}
	return 0
}

func texts(ids ...uuid.UUID) (all []string) {
	for _, id := range ids {
		all = append(all, id.String())
	}
	slices.Sort(all)
	return all
}

// value reads one value from the target.
func value[T any](t testing.TB, pool *pgxpool.Pool, sql string, args ...any) (v T) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), sql, args...).Scan(&v), sql)
	return v
}

// contents is all that a database's tables of the schemas hold, a line for a row.
func contents(t testing.TB, pool *pgxpool.Pool, schemas string) string {
	t.Helper()
	names := value[[]string](t, pool, `SELECT array_agg(format('%I.%I', schemaname, tablename) ORDER BY 1) FROM pg_tables WHERE schemaname LIKE $1`, schemas)
	var all strings.Builder
	for _, name := range names {
		fmt.Fprintf(&all, "%s\n%s\n", name, value[string](t, pool, `SELECT coalesce(string_agg(x::text, E'\n' ORDER BY x::text), '') FROM `+name+` x`))
	}
	return all.String()
}

// meant is what an import has made of users, keys, credits, tools and jobs, without
// what is different each time.
func meant(t testing.TB, pool *pgxpool.Pool) (all string) {
	t.Helper()
	for _, sql := range []string{
		`SELECT account_id, organization_id, kind, email, admin, email_verified_at, password_hash, created_at FROM uaol_auth.accounts`,
		`SELECT organization_id, name, personal FROM uaol_auth.organizations`,
		`SELECT account_id, organization_id, name, hash, prefix, scopes, revoked_at FROM uaol_auth.api_keys`,
		`SELECT action, account_id, organization_id FROM uaol_auth.audit`,
		`SELECT organization_id, tier, available, held, grants, last_seq, monthly, holder FROM uaol_billing.accounts`,
		`SELECT organization_id, seq, operation_id, kind, amount, balance, facts FROM uaol_billing.journal`,
		`SELECT tool_id, organization_id, developer_id, name, gateway_url, protocol, credit_cost_per_call, status, version, approved_version, pending_version, created_at FROM uaol_registry.tools`,
		`SELECT tool_id, version, status, definition, pinned, created_by, reason FROM uaol_registry.versions`,
		`SELECT tool_id, version, act, account_id, reason FROM uaol_registry.decisions`,
		`SELECT type, subject, organization_id, data FROM uaol_registry.outbox`,
		`SELECT job_id, organization_id, account_id, status, created_at, end_time, document FROM uaol_jobs.archive`,
	} {
		all += value[string](t, pool, `SELECT coalesce(string_agg(x::text, E'\n' ORDER BY x::text), '') FROM (`+sql+`) x`) + "\n\n"
	}
	return all
}

// verified checks the books.
func (b *bench) verified(t testing.TB) *ledger.Report {
	t.Helper()
	report, err := ledger.Verify(t.Context(), ledger.Database(b.target), ledger.Options{})
	require.NoError(t, err)
	require.True(t, report.OK(), report.String())
	return report
}

func plans(t testing.TB) billing.PlansConfig {
	t.Helper()
	cfg, err := config.Parse[billing.PlansConfig](config.Of(nil))
	require.NoError(t, err)
	return cfg
}
