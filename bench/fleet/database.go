package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"uaol/providers/postgres/embedded"
)

// Database is a PostgreSQL of its own, as durable as in production.
type Database struct {
	server *embedded.Server
	URL    string
}

func startDatabase(t testing.TB, env ...string) *Database {
	t.Helper()
	server, err := embedded.New(embedded.Config{
		DataDir: place(t, "database"), Archive: os.Getenv("UAOL_POSTGRES_ARCHIVE"),
		Settings: map[string]string{"shared_buffers": "256MB", "max_connections": "400"},
		Env:      env,
	}, zap.NewNop())
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	d := &Database{server: server, URL: server.URL()}
	if err := d.Start(); err != nil {
		t.Fatalf("fleet: PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Errorf("fleet: PostgreSQL: %v", err)
		}
		if home, err := server.Cluster(); err == nil {
			_ = os.RemoveAll(home) // as root it lies elsewhere
		}
	})
	return d
}

// Start returns once it answers.
func (d *Database) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startsWithin)
	defer cancel()
	return d.server.Start(ctx)
}

// Stop ends it as an operator does, with its clients' connections.
func (d *Database) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return d.server.Stop(ctx)
}

// Crash ends it as a loss of power does, and starts it again, which repairs it.
func (d *Database) Crash() error {
	pid, err := d.process()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	<-d.server.Done()
	if err := d.Stop(); err != nil {
		return err
	}
	return d.Start()
}

// process is the number of the server's.
func (d *Database) process() (pid int, err error) {
	home, err := d.server.Cluster()
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join(home, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(strings.TrimSpace(first))
}

func (d *Database) pid(t testing.TB) int {
	t.Helper()
	pid, err := d.process()
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	return pid
}

// Number is the only value that a statement gives.
func (d *Database) Number(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.URL)
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("fleet: %s: %v", sql, err)
	}
	return n
}

// Texts are the values of a statement's only column.
func (d *Database) Texts(t testing.TB, sql string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.URL)
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("fleet: %s: %v", sql, err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("fleet: %s: %v", sql, err)
	}
	return texts
}

func (d *Database) String() string { return fmt.Sprintf("PostgreSQL at %s", d.URL) }
