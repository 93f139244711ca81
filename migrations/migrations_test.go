package migrations_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/migrations"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func TestMain(m *testing.M) {
	isChild()
	pgtest.Main(m)
}

// bench is a database with nothing of ours in it.
type bench struct {
	url  string // direct: migrations may use a session's lock, which a pooler can't keep
	pool *pgxpool.Pool
}

func setup(t testing.TB) *bench {
	t.Helper()
	url := pgtest.URL(t)
	url = strings.NewReplacer("port=6432", "port=5432", "&default_query_exec_mode=cache_describe", "").Replace(url)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	for _, owner := range migrations.Owners() {
		_, err := pool.Exec(t.Context(), "DROP SCHEMA "+migrations.Schema(owner)+" CASCADE")
		require.NoError(t, err)
	}
	return &bench{url: url, pool: pool}
}

// picture is every table, column, index and constraint outside PostgreSQL's own
// schemas, and every row of public's tables.
func (b *bench) picture(t testing.TB, schemas string) string {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `
		SELECT 'column ' || table_schema || '.' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
		FROM information_schema.columns WHERE table_schema LIKE $1
		UNION ALL SELECT 'index ' || schemaname || ' ' || indexdef FROM pg_indexes WHERE schemaname LIKE $1
		UNION ALL SELECT 'constraint ' || n.nspname || '.' || c.conname || ' ' || pg_get_constraintdef(c.oid)
		FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname LIKE $1
		UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname LIKE $1
		ORDER BY 1`, schemas)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(lines, "\n")
}

func (b *bench) ready(t testing.TB) {
	t.Helper()
	states, err := migrations.Status(t.Context(), b.pool, migrations.Owners()...)
	require.NoError(t, err)
	require.Empty(t, migrations.Behind(states))
	require.Len(t, states, len(migrations.Owners()))
	for _, s := range states {
		require.Equal(t, migrations.Latest(s.Service), s.Version)
		require.Positive(t, s.Version)
		require.False(t, s.Dirty)
	}
}

func TestUpFromNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	states, err := migrations.Status(t.Context(), b.pool, migrations.Owners()...)
	require.NoError(t, err, "no tables at all is a state, not an error")
	require.NotEmpty(t, migrations.Behind(states))
	require.NoError(t, migrations.Up(t.Context(), b.url))
	b.ready(t)
	before := b.picture(t, `uaol\_%`)
	require.NoError(t, migrations.Up(t.Context(), b.url), "again, there is nothing to do")
	require.Equal(t, before, b.picture(t, `uaol\_%`))
}

// TestDownAndUp takes each service's newest step back, then all of them, and
// gets the same tables again.
func TestDownAndUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, migrations.Up(t.Context(), b.url))
	before := b.picture(t, `uaol\_%`)
	for _, all := range []bool{false, true} {
		for i, owner := range migrations.Owners() {
			latest := migrations.Latest(owner)
			steps := uint(1)
			if all {
				steps = latest
			}
			require.NoError(t, migrations.Down(t.Context(), b.url, int(steps), owner))
			states, err := migrations.Status(t.Context(), b.pool, migrations.Owners()...)
			require.NoError(t, err)
			for j, s := range states {
				require.Equal(t, j > i, s.Ready(), "only the services that were named")
				require.False(t, s.Dirty)
			}
			require.Equal(t, latest-steps, states[i].Version)
			if all {
				var tables []string
				require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = $1`,
					migrations.Schema(owner)).Scan(&tables))
				require.Equal(t, []string{"schema_migrations"}, tables)
			}
		}
		require.NoError(t, migrations.Up(t.Context(), b.url))
		b.ready(t)
		require.Equal(t, before, b.picture(t, `uaol\_%`))
	}
}

// TestTwoAtOnce: replicas that start together.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := migrations.Up(context.Background(), b.url); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	b.ready(t)
}

// TestForeignTablesStay: somebody else's tables, also under names that we use,
// are as they were.
func TestForeignTablesStay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.pool.Exec(t.Context(), `
		CREATE TABLE public.accounts (id serial PRIMARY KEY, name text NOT NULL);
		CREATE TABLE public.jobs (job_id text PRIMARY KEY, account int REFERENCES public.accounts (id));
		CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
		CREATE INDEX accounts_name ON public.accounts (name);
		CREATE SCHEMA other; CREATE TABLE other.tools (x int);
		INSERT INTO public.accounts (name) VALUES ('kept'); INSERT INTO public.jobs VALUES ('kept', 1);
		INSERT INTO public.schema_migrations VALUES (42, true)`)
	require.NoError(t, err)
	rows := func() (text string) {
		require.NoError(t, b.pool.QueryRow(t.Context(), `
			SELECT (SELECT string_agg(a::text, ';') FROM public.accounts a) || (SELECT string_agg(j::text, ';') FROM public.jobs j)
				|| (SELECT string_agg(m::text, ';') FROM public.schema_migrations m)`).Scan(&text))
		return text
	}
	public, other, contents := b.picture(t, "public"), b.picture(t, "other"), rows()
	require.Contains(t, public, "accounts_name")
	same := func() {
		t.Helper()
		require.Equal(t, public, b.picture(t, "public"))
		require.Equal(t, other, b.picture(t, "other"))
		require.Equal(t, contents, rows())
	}
	require.NoError(t, migrations.Up(t.Context(), b.url))
	b.ready(t)
	same()
	for _, owner := range migrations.Owners() {
		require.NoError(t, migrations.Down(t.Context(), b.url, int(migrations.Latest(owner)), owner))
	}
	same()
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1/db?connect_timeout=1", "postgres://u:hunter2@h:port/db", "hunter2"} {
		err := migrations.Up(t.Context(), url)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// TestNewerTables: the other side of a rolling upgrade has migrated further.
func TestNewerTables(t *testing.T) {
	t.Parallel()
	require.True(t, migrations.State{Version: 9, Latest: 2}.Ready())
	require.False(t, migrations.State{Version: 1, Latest: 2}.Ready())
	require.False(t, migrations.State{Version: 2, Latest: 2, Dirty: true}.Ready())
	require.Equal(t, "auth is at 1 of 2, jobs is at 0 of 3", migrations.Behind([]migrations.State{
		{Service: services.Auth, Version: 1, Latest: 2}, {Service: services.Billing, Version: 3, Latest: 3}, {Service: services.Jobs, Latest: 3}}))
}
