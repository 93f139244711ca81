package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// accounts are among whom the queue of TestCrowd is shared.
const accounts = 100

// TestCrowd: how quickly jobs are claimed, and worked off, before and after a
// great many are there.
func TestCrowd(t *testing.T) {
	queued, finished := size(t, "UAOL_BENCH_QUEUED", 8000), size(t, "UAOL_BENCH_FINISHED", 20_000)
	n := min(max(queued/10, 2*atOnce), queued)
	d := newDatabase(t, true)
	var rows [][]string
	var before, after float64
	for round := range 2 {
		// A new process each time: nothing is known of what was before.
		counting := &counter{}
		u := startUAOL(t, d, withNothing(0, true), counting)
		if round == 1 {
			d.finish(t, u, finished)
		}
		waiting := n
		if round == 1 {
			waiting = queued
		}
		queue(t, u, waiting)
		d.settle(t, u)
		u.expect(n)
		m := d.measure(t, n, func() {
			u.work()
			u.wait(t)
		})
		claimed, claiming := counting.claimed.Load(), time.Duration(counting.claiming.Load())
		rate := float64(claimed) / claiming.Seconds()
		if round == 0 {
			before = rate
		} else {
			after = rate
		}
		u.stop()
		var left, ended int64
		d.look(t, `SELECT (SELECT count(*) FROM uaol_jobs.queue), (SELECT count(*) FROM uaol_jobs.jobs WHERE end_time IS NOT NULL)`, &left, &ended)
		rows = append(rows, []string{[]string{"before", "after"}[round], fmt.Sprint(waiting), fmt.Sprint(ended - u.ended.Load()),
			fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.0f", float64(claimed)/float64(counting.claims.Load())), fmt.Sprintf("%.0f", m.rate()),
			fmt.Sprintf("%.0f", float64(m.server.Microseconds())/float64(n)), m.waits})
	}
	table(fmt.Sprintf("the first %d jobs of a queue of %d accounts: claimed at %.2f times the rate of before", n, accounts, after/before),
		[]string{"", "queued", "ended", "claimed/s of claiming", "in one claim", "jobs/s, worked off", "µs CPU/job in PostgreSQL", "PostgreSQL's connections"}, rows)
	d.drop(t)
}

// queue makes jobs of several accounts.
func queue(t testing.TB, u *uaol, n int) {
	t.Helper()
	job := request(t, u.step("a"))
	for i := range accounts {
		home := uuid.New()
		caller := services.Caller{Account: uuid.New(), Organization: home, Home: home, Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
		if size := n*(i+1)/accounts - n*i/accounts; size > 0 {
			u.create(t, caller, size, job)
		}
	}
}

// finish lets there be many jobs that have ended: one is made and worked on, and
// its rows are copied with ids like ours, spread over the days before.
func (d *database) finish(t testing.TB, u *uaol, n int) {
	t.Helper()
	var id uuid.UUID
	require.NoError(t, u.pool.QueryRow(t.Context(), `SELECT job_id FROM uaol_jobs.jobs WHERE status = 'Success' LIMIT 1`).Scan(&id))
	_, err := u.pool.Exec(t.Context(), `CREATE TABLE public.copies AS
		SELECT i, (to_hex(i % 16) || lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - ($1 - i) * 100), 11, '0') || '8' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid AS id
		FROM generate_series(1, $1::bigint) i`, n)
	require.NoError(t, err)
	for _, name := range []string{"jobs", "steps"} {
		var columns []string
		require.NoError(t, u.pool.QueryRow(t.Context(), `SELECT array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns
			WHERE table_schema = 'uaol_jobs' AND table_name = $1 AND column_name <> 'job_id' AND is_generated = 'NEVER' AND is_identity = 'NO'`, name).Scan(&columns))
		list := strings.Join(columns, ", ")
		_, err := u.pool.Exec(t.Context(), `INSERT INTO uaol_jobs.`+name+` (job_id, `+list+`)
			SELECT c.id, x.* FROM public.copies c CROSS JOIN (SELECT `+list+` FROM uaol_jobs.`+name+` WHERE job_id = $1) x`, id)
		require.NoError(t, err)
	}
	_, err = u.pool.Exec(t.Context(), `DROP TABLE public.copies`)
	require.NoError(t, err)
}

// settle leaves nothing for autovacuum to do while it is measured.
func (d *database) settle(t testing.TB, u *uaol) {
	t.Helper()
	_, err := u.pool.Exec(t.Context(), `VACUUM ANALYZE`)
	require.NoError(t, err)
}

// look reads a row of the database itself.
func (d *database) look(t testing.TB, sql string, into ...any) {
	t.Helper()
	pool := d.pool(t, nil)
	defer pool.Close()
	require.NoError(t, pool.QueryRow(t.Context(), sql).Scan(into...))
}
