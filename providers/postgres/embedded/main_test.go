package embedded

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/postgres/embedded/child"
)

// TestMain also makes the test binary the other process that some tests need.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		serve(os.Args[2])
	}
	goleak.VerifyTestMain(m)
}

// serve runs a server until its standard input ends, after saying that it does.
func serve(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	s, err := New(Config{DataDir: dir}, zap.NewNop())
	fail(err)
	fail(s.Start(context.Background()))
	fail(execute(context.Background(), s.URL(), "CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (7)"))
	fmt.Println("ready", s.process.Pid())
	_, _ = io.Copy(io.Discard, os.Stdin)
	fail(s.Stop(context.Background()))
	os.Exit(0)
}

// other is another process that serves dir.
type other struct {
	*exec.Cmd
	postgres int // process id
	quit     func()
}

// startOther answers when the other process says that it is ready.
func startOther(t *testing.T, dir string, as *child.User) *other {
	t.Helper()
	cmd := exec.Command(sharedBinary(t), "serve", dir)
	cmd.Dir = "/"
	if as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(as.UID), Gid: uint32(as.GID)}}
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	o := &other{Cmd: cmd, quit: func() { _ = in.Close() }}
	t.Cleanup(func() {
		o.quit()
		_ = cmd.Wait() // a test may have waited for it already
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, ready := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	require.True(t, ready, line)
	o.postgres, err = strconv.Atoi(pid)
	require.NoError(t, err)
	return o
}

// sharedBinary is this binary in a place that every user can reach.
func sharedBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	if os.Geteuid() != 0 {
		return self
	}
	text, err := os.ReadFile(self)
	require.NoError(t, err)
	path := filepath.Join(openDir(t), "test")
	require.NoError(t, os.WriteFile(path, text, 0o755))
	require.NoError(t, os.Chmod(path, 0o755))
	return path
}

// openDir is a temporary directory that every user may pass through, which that
// of testing is not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uaol-embedded-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// started is a running server that the test's end stops, and what it logged.
func started(t *testing.T, cfg Config) (*Server, *observer.ObservedLogs) {
	t.Helper()
	s, logs := made(t, cfg)
	require.NoError(t, s.Start(context.Background()))
	return s, logs
}

func made(t *testing.T, cfg Config) (*Server, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	s, err := New(cfg, zap.New(core))
	require.NoError(t, err)
	t.Cleanup(func() { stop(t, s) })
	return s, logs
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	require.NoError(t, s.Stop(context.Background()))
}

// fast is a configuration for tests that are about something else than data.
func fast(t *testing.T) Config {
	t.Helper()
	return Config{DataDir: filepath.Join(openDir(t), "data"), Fast: true}
}

func run(t *testing.T, url, sql string) {
	t.Helper()
	require.NoError(t, execute(context.Background(), url, sql))
}

// ask runs a query for one value.
func ask(t *testing.T, url, sql string) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	var value string
	require.NoError(t, conn.QueryRow(ctx, sql).Scan(&value))
	return value
}

// gone waits until no process works inside dir.
func gone(t *testing.T, dir string, within time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool { return len(inside(dir)) == 0 }, within, 5*time.Millisecond,
		"processes are left in %s: %v", dir, inside(dir))
}

// inside lists the processes whose working directory is dir, as PostgreSQL's is
// its cluster. It sees none where there is no /proc.
func inside(dir string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && runs(pid, dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func cluster(t *testing.T, s *Server) string {
	t.Helper()
	dir, err := s.Cluster()
	require.NoError(t, err)
	return dir
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
}
