package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// measured is what some jobs took.
type measured struct {
	jobs       int
	took       time.Duration
	wal        int64 // bytes that the server wrote to its log
	statements int64 // -1 where nobody counts them
	own        time.Duration
	server     time.Duration // what PostgreSQL's processes worked
	waits      string
}

func (m measured) rate() float64 { return float64(m.jobs) / m.took.Seconds() }

// measure lets f work on jobs and looks at what it costs. It begins after a
// checkpoint, so that all sides write their first changes of a page in full.
func (d *database) measure(t testing.TB, jobs int, f func()) measured {
	t.Helper()
	d.exec(t, "CHECKPOINT")
	if server.counts {
		d.exec(t, "SELECT pg_stat_statements_reset()")
	}
	m := measured{jobs: jobs, statements: -1}
	wal, own, other := d.wal(t), ownCPU(), serverCPU()
	look := d.sample(t)
	begun := time.Now()
	f()
	m.took = time.Since(begun)
	m.waits = look()
	m.own, m.server, m.wal = ownCPU()-own, serverCPU()-other, d.wal(t)-wal
	if server.counts {
		m.statements = d.number(t, `SELECT coalesce(sum(s.calls), 0)::bigint FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1`, d.name)
		if tellsStatements() {
			d.tellStatements(t)
		}
	}
	return m
}

// tellStatements prints what the server was busy with the longest.
func (d *database) tellStatements(t testing.TB) {
	t.Helper()
	rows, err := d.admin.Query(context.Background(), `
		SELECT s.calls::text, round(s.total_plan_time::numeric, 1)::text, round(s.total_exec_time::numeric, 1)::text, s.rows::text, left(regexp_replace(s.query, '\s+', ' ', 'g'), 160)
		FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1 ORDER BY s.total_plan_time + s.total_exec_time DESC LIMIT 10`, d.name)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) {
		cells := make([]string, 5)
		return cells, row.Scan(&cells[0], &cells[1], &cells[2], &cells[3], &cells[4])
	})
	if err != nil {
		t.Fatal(err)
	}
	table(t.Name()+": statements", []string{"calls", "planning ms", "ms", "rows", "statement"}, all)
}

// tellTables prints what was written where, and how much of it without indexes.
func (d *database) tellTables(t testing.TB) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), d.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	time.Sleep(1200 * time.Millisecond) // until backends have told
	rows, err := conn.Query(context.Background(), `
		SELECT schemaname || '.' || relname, n_tup_ins::text, n_tup_upd::text, n_tup_hot_upd::text, n_tup_del::text, seq_scan::text, idx_scan::text,
			pg_size_pretty(pg_table_size(relid)), pg_size_pretty(pg_indexes_size(relid))
		FROM pg_stat_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY n_tup_ins + n_tup_upd + n_tup_del DESC LIMIT 12`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) {
		cells := make([]string, 9)
		return cells, row.Scan(&cells[0], &cells[1], &cells[2], &cells[3], &cells[4], &cells[5], &cells[6], &cells[7], &cells[8])
	})
	if err != nil {
		t.Fatal(err)
	}
	table(t.Name()+": tables", []string{"table", "inserted", "updated", "without indexes", "deleted", "scans", "by index", "size", "indexes"}, all)
}

func (d *database) wal(t testing.TB) int64 {
	t.Helper()
	return d.number(t, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`)
}

func (d *database) number(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	if err := d.admin.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// sample looks now and then at what the database's connections wait for, until
// the function it gives is called, which tells.
func (d *database) sample(t testing.TB) (tell func() string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), server.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	over, seen, looks := make(chan struct{}), map[string]int{}, 0
	var group sync.WaitGroup
	group.Go(func() {
		defer conn.Close(context.Background())
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
			}
			rows, err := conn.Query(context.Background(), `SELECT coalesce(wait_event, 'CPU') FROM pg_stat_activity WHERE datname = $1 AND state = 'active'`, d.name)
			if err != nil {
				return
			}
			events, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return
			}
			looks++
			for _, e := range events {
				seen[e]++
			}
		}
	})
	return func() string {
		close(over)
		group.Wait()
		return told(seen, looks)
	}
}

// told says how many connections were at work, and at what.
func told(seen map[string]int, looks int) string {
	names, all := []string{}, 0
	for name, n := range seen {
		names, all = append(names, name), all+n
	}
	if all == 0 {
		return "-"
	}
	slices.SortFunc(names, func(a, b string) int { return seen[b] - seen[a] })
	parts := []string{fmt.Sprintf("%.1f at work:", float64(all)/float64(looks))}
	for _, name := range names[:min(3, len(names))] {
		parts = append(parts, fmt.Sprintf("%s %d%%", name, 100*seen[name]/all))
	}
	return strings.Join(parts, " ")
}

func ownCPU() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// serverCPU is what PostgreSQL has worked since it began, where /proc tells.
func serverCPU() (total time.Duration) {
	const tick = 10 * time.Millisecond // of Linux, for everybody who reads
	postmaster := server.postmaster()
	processes, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range processes {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		end := strings.LastIndexByte(string(text), ')') // a name may hold anything
		fields := strings.Fields(string(text[end+1:]))
		if len(fields) < 15 {
			continue
		}
		itself := filepath.Base(filepath.Dir(path)) == postmaster
		if fields[1] != postmaster && !itself {
			continue
		}
		of := fields[11:13]
		if itself {
			of = fields[11:15] // with the children that have ended
		}
		for _, f := range of {
			n, _ := strconv.ParseInt(f, 10, 64)
			total += time.Duration(n) * tick
		}
	}
	return total
}
