package embedded

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres/embedded/child"
)

func TestDataIsKeptOverARestart(t *testing.T) {
	t.Parallel()
	cfg := Config{DataDir: filepath.Join(openDir(t), "data")}
	s, logs := started(t, cfg)
	run(t, s.URL(), "CREATE TABLE kept AS SELECT 42 AS n")
	require.Equal(t, 1, logs.FilterMessage("database cluster made").Len())
	stop(t, s)
	gone(t, cluster(t, s), time.Second)
	require.NoDirExists(t, s.sockets)

	require.NoError(t, s.Start(context.Background()))
	require.Equal(t, "42", ask(t, s.URL(), "SELECT n FROM kept"))
	require.Equal(t, 1, logs.FilterMessage("database cluster made").Len(), "the cluster must be made once")
	require.Equal(t, 1, logs.FilterMessage("PostgreSQL stopped").Len())
	require.Equal(t, true, logs.FilterMessage("PostgreSQL stopped").All()[0].ContextMap()["clean"])
	require.Equal(t, s.dataDir, logs.FilterMessage("private PostgreSQL").All()[0].ContextMap()["data"])
}

func TestWhatRuns(t *testing.T) {
	cfg := fast(t)
	cfg.Settings = map[string]string{"work_mem": "5MB", "max_connections": "17"}
	t.Setenv("UAOL_SECRET_OF_THIS_TEST", "hidden")
	s, _ := started(t, cfg)
	for setting, want := range map[string]string{
		"listen_addresses": "", "server_encoding": "UTF8", "lc_collate": "C", "timezone": "UTC",
		"work_mem": "5MB", "max_connections": "17", "fsync": "off",
	} {
		require.Equal(t, want, ask(t, s.URL(), "SHOW "+setting), setting)
	}
	info, err := os.Stat(cfg.DataDir)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o067, "the data directory is its owner's")
	info, err = os.Lstat(s.sockets)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	if runtime.GOOS == "linux" {
		proc := filepath.Join("/proc", strconv.Itoa(s.process.Pid()))
		environ, err := os.ReadFile(filepath.Join(proc, "environ"))
		require.NoError(t, err)
		require.NotContains(t, string(environ), "hidden")
		line, err := os.ReadFile(filepath.Join(proc, "cmdline"))
		require.NoError(t, err)
		require.Contains(t, string(line), "-D\x00"+cluster(t, s))
	}
	require.Error(t, s.Start(context.Background()), "it runs already")
}

func TestDeepAndRelativeDataDirectory(t *testing.T) {
	deep := filepath.Join(openDir(t), strings.Repeat("deep/", 40))
	require.NoError(t, os.MkdirAll(deep, 0o755))
	t.Chdir(deep)
	s, _ := started(t, Config{DataDir: "data", Fast: true})
	require.Equal(t, filepath.Join(deep, "data"), s.dataDir)
	require.Less(t, len(socketFile(s.sockets)), 104) // macOS's limit
	require.Equal(t, "uaol", ask(t, s.URL(), "SELECT current_database()"))
	require.Equal(t, filepath.Join(deep, "data", "postgres"), ask(t, s.URL(), "SHOW data_directory"))

	again, err := New(Config{DataDir: filepath.Join(deep, "data")}, s.log)
	require.NoError(t, err)
	require.Equal(t, s.URL(), again.URL(), "the address follows from the directory")
	_, err = url.Parse(s.URL())
	require.NoError(t, err)
}

func TestSecondServerIsRefused(t *testing.T) {
	t.Parallel()
	cfg := fast(t)
	o := startOther(t, cfg.DataDir, nil)
	s, _ := made(t, cfg)
	err := s.Start(context.Background())
	require.EqualError(t, err, fmt.Sprintf("another uaol (pid %d) is already running on %s; stop it or set UAOL_DATA_DIR", o.Process.Pid, cfg.DataDir))

	o.quit()
	require.NoError(t, o.Wait())
	require.NoError(t, s.Start(context.Background()))
	require.Equal(t, "7", ask(t, s.URL(), "SELECT n FROM kept"))
}

func TestKilledProcessLeavesNothing(t *testing.T) {
	t.Parallel()
	cfg := Config{DataDir: filepath.Join(openDir(t), "data")}
	o := startOther(t, cfg.DataDir, nil)
	s, _ := made(t, cfg)
	dir := cluster(t, s)
	if runtime.GOOS == "linux" {
		require.Contains(t, inside(dir), o.postgres)
	}
	require.NoError(t, o.Process.Kill())
	require.Error(t, o.Wait())
	gone(t, dir, 2*time.Second)
	require.NoError(t, s.Start(context.Background()))
	require.Equal(t, "7", ask(t, s.URL(), "SELECT n FROM kept"))
}

// The next start comes while the killed one's PostgreSQL still ends.
func TestStartRightAfterAKill(t *testing.T) {
	t.Parallel()
	cfg := Config{DataDir: filepath.Join(openDir(t), "data")}
	for range 3 {
		o := startOther(t, cfg.DataDir, nil)
		require.NoError(t, o.Process.Kill())
		require.Error(t, o.Wait())
	}
	s, _ := started(t, cfg)
	require.Equal(t, "3", ask(t, s.URL(), "SELECT count(*)::text FROM kept"))
}

func TestOrphanThatHangsOnIsEnded(t *testing.T) {
	t.Parallel()
	s, logs := started(t, fast(t))
	run(t, s.URL(), "CREATE TABLE kept AS SELECT 42 AS n")
	at, err := s.site()
	require.NoError(t, err)
	with, err := s.programs(context.Background(), at)
	require.NoError(t, err)
	stop(t, s)

	// Without the signal at its parent's death, and with a client that waits.
	require.NoError(t, makeSocketDir(s.sockets, at.user))
	orphan := exec.Command(filepath.Join(with.dir, "postgres"), s.arguments(at.dir)...)
	orphan.Dir, orphan.Env = "/", environment()
	orphan.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if at.user != nil {
		orphan.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(at.user.UID), Gid: uint32(at.user.GID)}
	}
	require.NoError(t, orphan.Start())
	ended := make(chan error, 1)
	go func() { ended <- orphan.Wait() }()
	require.Eventually(t, func() bool { return execute(context.Background(), s.URL(), "SELECT 1") == nil }, 10*time.Second, poll)

	s.wait.orphan = 50 * time.Millisecond
	require.NoError(t, s.Start(context.Background()))
	require.NoError(t, <-ended)
	require.Equal(t, "42", ask(t, s.URL(), "SELECT n FROM kept"))
	require.Equal(t, 1, logs.FilterMessage("ending a PostgreSQL that was left behind").Len())
}

// After a restart of a container the pid file names another program.
func TestPidFileOfAnotherProgram(t *testing.T) {
	t.Parallel()
	s, _ := started(t, fast(t))
	dir := cluster(t, s)
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	require.NoError(t, err)
	at, err := s.site()
	require.NoError(t, err)
	stop(t, s)

	sleep := exec.Command("sleep", "600")
	sleep.Dir = "/"
	bystander, err := child.Start(sleep, at.user, syscall.SIGKILL)
	require.NoError(t, err)
	defer func() {
		bystander.Kill()
		<-bystander.Done()
	}()
	_, rest, _ := strings.Cut(string(text), "\n")
	pid := strconv.Itoa(bystander.Pid()) + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postmaster.pid"), []byte(pid+rest), 0o600))
	require.NoError(t, makeSocketDir(s.sockets, at.user))
	require.NoError(t, os.WriteFile(socketFile(s.sockets)+".lock", []byte(pid+rest), 0o600))
	require.NoError(t, hand(dir, at.user))
	require.NoError(t, hand(s.sockets, at.user))

	s.wait.start = 5 * time.Second
	require.NoError(t, s.Start(context.Background()))
	require.True(t, alive(bystander.Pid()))
}

func TestInterruptedInitdbIsRepeated(t *testing.T) {
	t.Parallel()
	s, _ := made(t, fast(t))
	unfinished := cluster(t, s) + ".new"
	require.NoError(t, os.MkdirAll(filepath.Join(unfinished, "base"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(unfinished, "PG_VERSION"), []byte("15\n"), 0o600))
	require.NoError(t, s.Start(context.Background()))
	require.NoDirExists(t, unfinished)
}

func TestSomethingElseInTheClustersPlace(t *testing.T) {
	t.Parallel()
	s, _ := made(t, fast(t))
	precious := filepath.Join(cluster(t, s), "precious")
	require.NoError(t, os.MkdirAll(precious, 0o700))
	require.ErrorContains(t, s.Start(context.Background()), "holds something that is no cluster: move it away")
	require.DirExists(t, precious)
	require.NoDirExists(t, cluster(t, s)+".new")
}

func TestFailedStartSaysWhy(t *testing.T) {
	t.Parallel()
	cfg := fast(t)
	cfg.Settings = map[string]string{"no_such_setting": "1"}
	s, _ := made(t, cfg)
	err := s.Start(context.Background())
	require.ErrorContains(t, err, `unrecognized configuration parameter "no_such_setting"`)
	require.NotContains(t, err.Error(), "\n")
	delete(s.cfg.Settings, "no_such_setting")
	require.NoError(t, s.Start(context.Background()), "a failed start holds nothing")
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, _ := started(t, fast(t))
	stop(t, s)
	s.wait.start = time.Millisecond
	err := s.Start(context.Background())
	require.ErrorContains(t, err, "PostgreSQL did not answer within 1ms")
	gone(t, cluster(t, s), time.Second)
}

// A backend that does not react must not keep PostgreSQL alive.
func TestStopEscalates(t *testing.T) {
	t.Parallel()
	s, logs := started(t, fast(t))
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.URL())
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }() // whose server is gone by then
	require.NoError(t, syscall.Kill(int(conn.PgConn().PID()), syscall.SIGSTOP))
	s.wait.fast = 100 * time.Millisecond
	stop(t, s)
	gone(t, cluster(t, s), time.Second)
	require.Equal(t, false, logs.FilterMessage("PostgreSQL stopped").All()[0].ContextMap()["clean"])
	require.NoError(t, s.Start(ctx))
}

func TestUnexpectedEndIsReported(t *testing.T) {
	t.Parallel()
	s, logs := started(t, fast(t))
	s.process.Signal(syscall.SIGQUIT)
	<-s.Done()
	require.Eventually(t, func() bool { return logs.FilterMessage("PostgreSQL ended by itself").Len() == 1 }, time.Second, poll)
	stop(t, s)
	require.NoError(t, s.Start(context.Background()))
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), logName)
	l, err := openLog(path)
	require.NoError(t, err)
	l.max = 100
	require.Equal(t, "its log is empty", l.tail())
	for i := range 1000 {
		_, err := fmt.Fprintf(l, "line %d\n", i)
		require.NoError(t, err)
	}
	require.Contains(t, l.tail(), "line 999")
	_, err = fmt.Fprintln(l, "FATAL:  no")
	require.NoError(t, err)
	require.Equal(t, "FATAL:  no", l.tail())
	require.NoError(t, l.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(100))
}
