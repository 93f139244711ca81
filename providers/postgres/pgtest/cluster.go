package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"uaol/providers/postgres/embedded"
	"uaol/providers/postgres/embedded/child"
	"uaol/providers/postgres/pgtest/unreliable"
)

// starting bounds the first test's wait: it may have to download and migrate.
const starting = 5 * time.Minute

// cluster is this test process's PostgreSQL.
type cluster struct {
	work     *workDir
	settings map[string]string // besides pgtest's own
	server   *embedded.Server
	sockets  string
	pooler   *child.Child      // nil without pgbouncer
	between  *unreliable.Proxy // nil without faults
	database string            // that is migrated
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
	if err := c.start(ctx, set("UAOL_TEST_PGBOUNCER"), set(faulty)); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *cluster) start(ctx context.Context, pooled, shaky bool) (err error) {
	if c.server, err = newServer(c.work.path, c.settings); err != nil {
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
	c.sockets, c.database = cfg.Host, cfg.Database
	c.creation = "CREATE DATABASE %s TEMPLATE " + cfg.Database
	if !strings.HasPrefix(version, "14.") {
		c.creation += " STRATEGY FILE_COPY" // quicker than the log where fsync is off
	}
	switch {
	case pooled:
		c.pooler, err = startPooler(ctx, c.work.path, c.sockets, "")
	case shaky:
		c.between, err = c.unreliable()
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
	if c.between != nil {
		err = c.between.Close()
	}
	if c.server != nil {
		err = errors.Join(err, c.server.Stop(ctx))
	}
	return errors.Join(err, c.work.remove())
}

// newServer runs PostgreSQL on a directory of pgtest's. Tests of one process may
// open more connections at once than a deployment.
func newServer(dir string, more map[string]string) (*embedded.Server, error) {
	archive, _ := os.LookupEnv("UAOL_POSTGRES_ARCHIVE")
	buffers := "32MB"
	if set(durable) {
		buffers = "128MB" // PostgreSQL's default
	}
	settings := map[string]string{"max_connections": "300", "shared_buffers": buffers}
	maps.Copy(settings, more)
	return embedded.New(embedded.Config{DataDir: dir, Archive: archive, Fast: !set(durable), Settings: settings}, zap.NewNop())
}

func set(variable string) bool {
	value, _ := os.LookupEnv(variable)
	return value == "1" || value == "true"
}

func (c *cluster) url(name string) string {
	if c.pooler != nil {
		return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%s&default_query_exec_mode=cache_describe", name, c.sockets, poolerPort)
	}
	port := "5432"
	if c.between != nil {
		port = unreliablePort
	}
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%s", name, c.sockets, port)
}

func (c *cluster) create(name string) error {
	statements := []string{fmt.Sprintf(c.creation, name)}
	if set("UAOL_TEST_SERIALIZABLE") || set(faulty) {
		statements = append(statements, "ALTER DATABASE "+name+" SET default_transaction_isolation = 'serializable'")
	}
	return c.admin(statements...)
}

func (c *cluster) drop(name string) error {
	return c.admin("DROP DATABASE " + name + " WITH (FORCE)")
}

// admin runs statements that are about databases.
func (c *cluster) admin(statements ...string) error { return c.execute("postgres", statements...) }

// execute runs statements on a connection of their own, past any pooler.
func (c *cluster) execute(database string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), answering)
	defer cancel()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://postgres@/%s?host=%s&port=5432", database, c.sockets))
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
