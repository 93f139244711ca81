package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"uaol/migrations"
	"uaol/providers/postgres"
	"uaol/providers/postgres/embedded"
)

// poolSize is the program's default; everybody has as many connections.
const poolSize = 20

// cluster is the one PostgreSQL of a run.
type cluster struct {
	once    sync.Once
	failed  error
	dir     string
	sockets string
	uaol    string // the migrated database, which others are copies of
	counts  bool   // pg_stat_statements is there
	server  *embedded.Server
	mu      sync.Mutex
	made    int
}

var server cluster

// admin is a connection past all databases that are measured.
func (c *cluster) admin(t testing.TB) *pgx.Conn {
	t.Helper()
	c.once.Do(func() { c.failed = c.start() })
	if c.failed != nil {
		t.Fatalf("PostgreSQL: %v", c.failed)
	}
	conn, err := pgx.Connect(context.Background(), c.url("postgres"))
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (c *cluster) url(database string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=5432", database, c.sockets)
}

// start makes a cluster on a disk. Its settings are the program's, but for the
// memory, which is PostgreSQL's default, and a count of statements where there is
// the module for it.
func (c *cluster) start() (err error) {
	if c.dir, err = os.MkdirTemp(os.Getenv("UAOL_BENCH_DIR"), "uaol-bench-"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, c.counts = range []bool{true, false} {
		settings := map[string]string{"shared_buffers": "128MB"}
		if c.counts {
			settings["shared_preload_libraries"] = "pg_stat_statements"
			if tellsStatements() {
				settings["pg_stat_statements.track_planning"] = "on" // costs something itself
			}
		}
		c.server, err = embedded.New(embedded.Config{DataDir: c.dir, Archive: os.Getenv("UAOL_POSTGRES_ARCHIVE"), Settings: settings}, zap.NewNop())
		if err != nil {
			return err
		}
		if err = c.server.Start(ctx); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	cfg, err := pgconn.ParseConfig(c.server.URL())
	if err != nil {
		return err
	}
	c.sockets, c.uaol = cfg.Host, cfg.Database
	if err := migrations.Up(ctx, c.server.URL()); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if c.counts {
		if _, err := conn.Exec(ctx, `CREATE EXTENSION pg_stat_statements`); err != nil {
			return err
		}
	}
	return c.tell(ctx, conn)
}

// tell prints how careful the database is.
func (c *cluster) tell(ctx context.Context, conn *pgx.Conn) error {
	var version, settings string
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version'), (SELECT string_agg(name || ' = ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings
		WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers', 'max_wal_size', 'autovacuum'))`).Scan(&version, &settings); err != nil {
		return err
	}
	home, err := c.server.Cluster()
	if err != nil {
		return err
	}
	fmt.Printf("PostgreSQL %s on %s: %s; %d connections a side\n", version, filesystem(home), settings, poolSize)
	return nil
}

// filesystem names what a directory lies on: on tmpfs fsync costs nothing, and
// the figures of everybody who waits for a disk are worth nothing.
func filesystem(dir string) string {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return "an unknown filesystem"
	}
	known := map[uint64]string{0x01021994: "tmpfs (NOT A DISK: set UAOL_BENCH_DIR)", 0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlayfs"}
	if name, ok := known[uint64(stat.Type)]; ok {
		return name
	}
	return fmt.Sprintf("filesystem %#x", stat.Type)
}

func (c *cluster) stop() error {
	if c.dir == "" {
		return nil
	}
	var errs []error
	if c.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		errs = append(errs, c.server.Stop(ctx))
		if home, err := c.server.Cluster(); err == nil {
			errs = append(errs, os.RemoveAll(home)) // as root it lies elsewhere
		}
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// postmaster is PostgreSQL's first process, which the others are children of.
func (c *cluster) postmaster() string {
	home, err := c.server.Cluster()
	if err != nil {
		return ""
	}
	text, _ := os.ReadFile(filepath.Join(home, "postmaster.pid"))
	pid, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(pid)
}

// database is one that ends with the test.
type database struct {
	name  string
	url   string
	admin *pgx.Conn
}

// newDatabase is an empty one, or one with the program's tables.
func newDatabase(t testing.TB, migrated bool) *database {
	t.Helper()
	d := &database{admin: server.admin(t)}
	server.mu.Lock()
	server.made++
	d.name = fmt.Sprintf("b%d", server.made)
	server.mu.Unlock()
	d.url = server.url(d.name)
	template := "template0"
	if migrated {
		template = server.uaol
	}
	d.exec(t, "CREATE DATABASE "+d.name+" TEMPLATE "+template)
	return d
}

// drop ends a database before its test does, so that its rows are nobody's burden.
func (d *database) drop(t testing.TB) { d.exec(t, "DROP DATABASE "+d.name+" WITH (FORCE)") }

func (d *database) exec(t testing.TB, sql string) {
	t.Helper()
	if _, err := d.admin.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// pool opens as many connections as the program does.
func (d *database) pool(t testing.TB, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	pool, err := openPool(d.url, tracer)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func openPool(url string, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns, cfg.ConnConfig.Tracer, cfg.AfterConnect = poolSize, tracer, postgres.KnowUUIDs
	return pgxpool.NewWithConfig(context.Background(), cfg)
}
