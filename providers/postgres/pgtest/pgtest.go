// Package pgtest gives each test a migrated PostgreSQL database of its own.
//
// A test process starts one cluster, when the first test asks, from a template
// that is made once per machine. The cluster ends with the process. Variables:
//
//   - UAOL_TEST_PGBOUNCER=1 hands out databases behind a pgbouncer in
//     transaction mode, with the query mode of pgx's that suits it.
//   - UAOL_TEST_STATEMENTS=file collects the statements that the product runs.
//   - UAOL_TEST_SERIALIZABLE=1 makes transactions serializable by default, as
//     they are on CockroachDB.
//   - UAOL_TEST_UNRELIABLE=1 does so too, and puts a proxy in between that has
//     5 % of all statements fail with SQLSTATE 40001 and ends 5 % of connections
//     at their COMMIT; UAOL_TEST_SEED (a number) chooses which.
//   - UAOL_POSTGRES_ARCHIVE as for the program, where no PostgreSQL is installed.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"uaol/providers/postgres"
)

const (
	answering = 30 * time.Second // a statement of pgtest's own, on a busy machine
	closing   = 10 * time.Second // a pool whose connections were all given back
	poolSize  = 10
)

var count atomic.Int64

// New is a pool on a new database, which ends with the test.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(URL(t))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	cfg.MaxConns = poolSize
	postgres.Equip(cfg, Tracers()...)
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() {
			pool.Close()
			close(closed)
		}()
		timer := time.NewTimer(closing)
		defer timer.Stop()
		select {
		case <-closed:
		case <-timer.C:
			t.Errorf("pgtest: %d connections were not given back to the pool", pool.Stat().AcquiredConns())
		}
	})
	return pool
}

// URL is the address of a new database, which ends with the test, for code that
// opens its own pool.
func URL(t testing.TB) string {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	name := fmt.Sprintf("t%d", count.Add(1))
	if err := c.create(name); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := c.drop(name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return c.url(name)
}

// Main is for a TestMain: it runs the tests, stops the cluster and removes its
// files, and fails when goroutines are left. Without it the next test process
// removes the files.
func Main(m *testing.M, options ...goleak.Option) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	if err := goleak.Find(options...); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = 1
	}
	os.Exit(code)
}
