package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/app/original"
	"uaol/providers/postgres/pgtest"
)

// originals is how many users the source has; each has a key, credits and a job.
const originals = 3000

// originalDatabase is a database of the original's, well filled.
func originalDatabase(t testing.TB) (url string) {
	t.Helper()
	url = pgtest.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, name := range []string{"schema.sql", "later.sql"} {
		text, err := os.ReadFile("../../app/original/testdata/" + name)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), string(text))
		require.NoError(t, err)
	}
	for _, sql := range []string{
		`INSERT INTO public.users (user_id, email, current_credits, subscription_tier, api_key)
			SELECT md5(n::text)::uuid, 'User' || n || '@example.com', n, 'Pro', 'uaol_' || md5('key' || n) || '_' || n FROM generate_series(1, $1::int) n`,
		`INSERT INTO public.mcp_tools (tool_id, name, gateway_url, credit_cost_per_call, developer_id, status)
			SELECT md5('tool' || n)::uuid, 'Tool', 'https://tools.example.com/' || n, 2, md5(n::text)::uuid, 'Approved' FROM generate_series(1, $1::int / 100) n`,
		`INSERT INTO public.processing_jobs (job_id, user_id, workflow_definition, status, final_output, end_time)
			SELECT md5('job' || n)::uuid, md5(n::text)::uuid, '{"steps":[{"id":"a","tool_id":"x","action":"y"}]}', 'Success', jsonb_build_object('n', n), now()
			FROM generate_series(1, $1::int) n`,
	} {
		_, err := conn.Exec(t.Context(), sql, originals)
		require.NoError(t, err)
	}
	return url
}

// importProgram is the import as a process of its own.
func importProgram(t testing.TB, dir, target string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(self, append([]string{"import", "original"}, args...)...)
	command.Env = []string{asUAOL + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "UAOL_DATA_DIR=" + dir, "DATABASE_URL=" + target}
	return command
}

func importReport(t testing.TB, command *exec.Cmd) (report original.Report) {
	t.Helper()
	text, err := command.Output()
	require.NoError(t, err, "%s", text)
	require.NoError(t, json.Unmarshal(text, &report))
	return report
}

// TestImportIsKilled kills imports while users, tools and jobs are written; the next
// one goes on, and what it leaves is served.
func TestImportIsKilled(t *testing.T) {
	t.Parallel()
	from, target, dir := originalDatabase(t), pgtest.URL(t), t.TempDir()
	conn, err := pgx.Connect(t.Context(), target)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	count := func(sql string) (n int) {
		require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	said := importReport(t, importProgram(t, dir, target, "--from", from, "--json", "--dry-run"))
	require.Zero(t, count(`SELECT count(*) FROM uaol_auth.accounts`))
	kills := 0
	for _, at := range []string{
		`SELECT count(*) FROM uaol_billing.journal`,
		`SELECT count(*) - 600 FROM uaol_auth.accounts`,
		`SELECT count(*) - 1500 FROM uaol_auth.accounts`,
		`SELECT count(*) FROM uaol_registry.tools`,
		`SELECT count(*) FROM uaol_jobs.archive`,
		`SELECT count(*) - 1000 FROM uaol_jobs.archive`,
	} {
		command := importProgram(t, dir, target, "--from", from)
		require.NoError(t, command.Start())
		for count(at) <= 0 && t.Context().Err() == nil { // each time a question to the database
		}
		require.NoError(t, command.Process.Kill())
		if command.Wait() != nil {
			kills++
		}
	}
	require.Equal(t, 6, kills, "the import is slower than that")
	last := importReport(t, importProgram(t, dir, target, "--from", from, "--json"))
	require.Equal(t, original.Count{Found: originals, Brought: last.Users.Brought, Already: originals - last.Users.Brought}, last.Users)
	require.Equal(t, int64(originals*(originals+1)/2), said.Granted)
	require.Equal(t, original.Count{Found: originals, Brought: originals}, said.Jobs)
	for sql, want := range map[string]int{
		`SELECT count(*) FROM uaol_auth.accounts`:              originals,
		`SELECT count(*) FROM uaol_auth.organizations`:         originals,
		`SELECT count(*) FROM uaol_auth.api_keys`:              originals,
		`SELECT sum(available) FROM uaol_billing.accounts`:     originals * (originals + 1) / 2,
		`SELECT count(*) FROM uaol_billing.journal`:            originals,
		`SELECT count(*) FROM uaol_registry.tools`:             originals / 100,
		`SELECT count(*) FROM uaol_registry.versions`:          originals / 100,
		`SELECT count(*) FROM uaol_jobs.archive`:               originals,
		`SELECT count(DISTINCT slug) FROM uaol_registry.tools`: originals / 100,
	} {
		require.Equal(t, want, count(sql), sql)
	}

	text, err := importProgram(t, dir, target, "--from", from, "--dry-run").Output()
	require.NoError(t, err)
	for _, line := range []string{
		"                       FOUND  BROUGHT  HERE BEFORE  LEFT\nusers                  3000   0        3000         0\n",
		"0 credits granted.\n", "This was a dry run: nothing was written.\n",
	} {
		require.Contains(t, string(text), line)
	}

	data := openDir(t)
	p := startProgram(t, data, "DATABASE_URL="+target)
	var me struct{ ID, Email string }
	var key, id, job string
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT 'uaol_' || md5('key7') || '_7', md5('7')::uuid::text, md5('job7')::uuid::text`).Scan(&key, &id, &job))
	p.do(t, key, "GET", "/auth/me", "", &me)
	require.Equal(t, id, me.ID)
	require.Equal(t, "user7@example.com", me.Email)
	var balance struct{ Credits string }
	p.do(t, key, "GET", "/credits/balance", "", &balance)
	require.Equal(t, "100007", balance.Credits, "the plan's month, and its own")
	type shown struct {
		ID     string          `json:"job_id"`
		User   string          `json:"user_id"`
		Status string          `json:"status"`
		Output json.RawMessage `json:"final_output"`
	}
	want := shown{ID: job, User: id, Status: "Success", Output: json.RawMessage(`{"n":7}`)}
	var one shown
	p.do(t, key, "GET", "/jobs/"+job, "", &one)
	require.Equal(t, want, one)
	for _, list := range []string{"/jobs", "/jobs?status=Success"} {
		var all []shown
		p.do(t, key, "GET", list, "", &all)
		require.Equal(t, []shown{want}, all)
	}
	var waiting []struct {
		ID string `json:"tool_id"`
	}
	p.do(t, adminKey, "GET", "/tools?status=Pending&limit=200", "", &waiting)
	require.Len(t, waiting, originals/100)

	verify := importProgram(t, data, target)
	verify.Args = []string{verify.Args[0], "ledger", "verify"}
	text, err = verify.CombinedOutput()
	require.NoError(t, err, "%s", text)
}
