package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"uaol/providers/postgres/embedded/child"
)

const (
	poolerPort = "6432" // of the socket's name only
	poolerLog  = "pgbouncer.log"
)

// poolerConfig lets every database through and, in transaction mode, gives each
// transaction any connection.
const poolerConfig = `[databases]
* = host=%[1]s port=5432 user=postgres
[pgbouncer]
listen_port = %[2]s
unix_socket_dir = %[1]s
unix_socket_mode = 0700
auth_type = any
pool_mode = transaction
max_client_conn = 1000
default_pool_size = 20
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
%[3]s
`

// poolerProgram finds pgbouncer.
func poolerProgram() (string, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // which not every user's PATH has
	}
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("no pgbouncer found: install it (e.g. apt-get install pgbouncer) or unset UAOL_TEST_PGBOUNCER")
	}
	return path, nil
}

// startPooler runs it in front of the cluster with that socket; more is added to its
// configuration, where what comes last counts.
func startPooler(ctx context.Context, work, sockets, more string) (*child.Child, error) {
	path, err := poolerProgram()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(work, "pgbouncer.ini")
	if err := os.WriteFile(file, fmt.Appendf(nil, poolerConfig, sockets, poolerPort, more), 0o644); err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(work, poolerLog))
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the child has its own
	cmd := exec.Command(path, file)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin"}
	cmd.Stdout, cmd.Stderr = out, out
	pooler, err := child.Start(cmd, child.Unprivileged(), syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	if err := poolerAnswers(ctx, pooler, sockets); err != nil {
		text, _ := os.ReadFile(out.Name())
		pooler.Kill()
		<-pooler.Done()
		return nil, fmt.Errorf("pgbouncer: %w: %s", err, text)
	}
	return pooler, nil
}

func poolerAnswers(ctx context.Context, pooler *child.Child, sockets string) error {
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-pooler.Done():
			return fmt.Errorf("it ended: %w", pooler.Err())
		case <-ctx.Done():
			return ctx.Err()
		}
		conn, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=%s", sockets, poolerPort))
		if err == nil {
			return conn.Close(ctx)
		}
	}
}
