package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"uaol/providers/postgres/embedded"
	"uaol/providers/postgres/embedded/child"
)

// starting bounds the first test's wait: it may have to download and migrate.
const starting = 5 * time.Minute

// cluster is this test process's PostgreSQL.
type cluster struct {
	work     *workDir
	server   *embedded.Server
	sockets  string
	pooler   *child.Child // nil without pgbouncer
	creation string
}

var (
	mu      sync.Mutex
	running *cluster
	failure error
)

// shared starts the cluster once; a failure is every test's.
func shared() (*cluster, error) {
	mu.Lock()
	defer mu.Unlock()
	if running == nil && failure == nil {
		running, failure = start()
	}
	return running, failure
}

func stop() error {
	mu.Lock()
	defer mu.Unlock()
	if running == nil {
		return nil
	}
	c := running
	running, failure = nil, errors.New("the cluster was stopped")
	return c.stop()
}

func start() (*cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	sweep()
	work, err := newWorkDir()
	if err != nil {
		return nil, err
	}
	c := &cluster{work: work}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *cluster) start(ctx context.Context) (err error) {
	if c.server, err = newServer(c.work.path); err != nil {
		return err
	}
	version, err := c.server.Version(ctx)
	if err != nil {
		return err
	}
	cached, err := template(ctx, version)
	if err != nil {
		return err
	}
	dir, err := c.server.Cluster()
	if err != nil {
		return err
	}
	if err := copyTree(cached, dir); err != nil {
		return fmt.Errorf("copy the template: %w", err)
	}
	if err := c.server.Start(ctx); err != nil {
		return err
	}
	cfg, err := pgconn.ParseConfig(c.server.URL())
	if err != nil {
		return err
	}
	c.sockets = cfg.Host
	c.creation = "CREATE DATABASE %s TEMPLATE " + cfg.Database
	if !strings.HasPrefix(version, "14.") {
		c.creation += " STRATEGY FILE_COPY" // quicker than the log where fsync is off
	}
	if set("UAOL_TEST_PGBOUNCER") {
		c.pooler, err = startPooler(ctx, c.work.path, c.sockets)
	}
	return err
}

func (c *cluster) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), answering)
	defer cancel()
	if c.pooler != nil {
		c.pooler.Kill()
		<-c.pooler.Done()
	}
	var err error
	if c.server != nil {
		err = c.server.Stop(ctx)
	}
	return errors.Join(err, c.work.remove())
}

// newServer runs PostgreSQL on a directory of pgtest's. Tests of one process may
// open more connections at once than a deployment.
func newServer(dir string) (*embedded.Server, error) {
	archive, _ := os.LookupEnv("UAOL_POSTGRES_ARCHIVE")
	buffers := "32MB"
	if set(durable) {
		buffers = "128MB" // PostgreSQL's default
	}
	return embedded.New(embedded.Config{
		DataDir: dir, Archive: archive, Fast: !set(durable),
		Settings: map[string]string{"max_connections": "300", "shared_buffers": buffers},
	}, zap.NewNop())
}

func set(variable string) bool {
	value, _ := os.LookupEnv(variable)
	return value == "1" || value == "true"
}

func (c *cluster) url(name string) string {
	if c.pooler != nil {
		return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%s&default_query_exec_mode=exec", name, c.sockets, poolerPort)
	}
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=5432", name, c.sockets)
}

func (c *cluster) create(name string) error {
	statements := []string{fmt.Sprintf(c.creation, name)}
	if set("UAOL_TEST_SERIALIZABLE") {
		statements = append(statements, "ALTER DATABASE "+name+" SET default_transaction_isolation = 'serializable'")
	}
	return c.admin(statements...)
}

func (c *cluster) drop(name string) error {
	return c.admin("DROP DATABASE " + name + " WITH (FORCE)")
}

// admin runs statements on a connection of their own, past any pooler.
func (c *cluster) admin(statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), answering)
	defer cancel()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=5432", c.sockets))
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement).ReadAll(); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", statement, err), conn.Close(ctx))
		}
	}
	return conn.Close(ctx)
}
