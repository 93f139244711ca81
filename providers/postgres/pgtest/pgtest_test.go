package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/migrations"
)

// TestMain also makes the test binary the process that a test kills.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "cluster" {
		c, err := shared()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready", c.work.path, c.sockets)
		select {}
	}
	Main(m)
}

func value(t *testing.T, pool *pgxpool.Pool, sql string) (text string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(context.Background(), sql).Scan(&text))
	return text
}

func TestDatabasesAreMigratedAndApart(t *testing.T) {
	t.Parallel()
	a, b := New(t), New(t)
	for _, owner := range migrations.Owners() {
		states, err := migrations.Status(context.Background(), a, owner)
		require.NoError(t, err)
		require.Empty(t, migrations.Behind(states))
	}
	_, err := a.Exec(context.Background(), "CREATE TABLE mine (id int)")
	require.NoError(t, err)
	_, err = b.Exec(context.Background(), "SELECT * FROM mine")
	require.ErrorContains(t, err, "does not exist")
}

func TestDatabaseEndsWithItsTest(t *testing.T) {
	t.Parallel()
	var url, name string
	t.Run("inner", func(t *testing.T) {
		url = URL(t)
		pool, err := pgxpool.New(context.Background(), url)
		require.NoError(t, err)
		name = value(t, pool, "SELECT current_database()")
		t.Cleanup(pool.Close) // runs before the drop
		left, err := pgxpool.New(context.Background(), url)
		require.NoError(t, err)
		require.NoError(t, left.Ping(context.Background()))
		go left.Close()
	})
	there := value(t, New(t), "SELECT count(*)::text FROM pg_database WHERE datname = '"+name+"'")
	require.Equal(t, "0", there)
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := New(t).Ping(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestIsolation(t *testing.T) {
	t.Parallel()
	want := "read committed"
	if set("UAOL_TEST_SERIALIZABLE") {
		want = "serializable"
	}
	require.Equal(t, want, value(t, New(t), "SHOW transaction_isolation"))
}

// Behind the pooler in transaction mode two statements of one client may run on
// two connections, and statements cannot be prepared on one of them.
func TestPooler(t *testing.T) {
	t.Parallel()
	pool := New(t)
	if !set("UAOL_TEST_PGBOUNCER") {
		require.Contains(t, pool.Config().ConnString(), "port=5432")
		return
	}
	require.Contains(t, pool.Config().ConnString(), "port="+poolerPort)
	require.Contains(t, pool.Config().ConnString(), "default_query_exec_mode=cache_describe")
	for i := range 50 {
		require.Equal(t, "1", value(t, pool, fmt.Sprintf("SELECT '1' WHERE %d = %d", i%7, i%7)))
	}
}

func TestHashCoversNamesAndContents(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, files := range []fstest.MapFS{
		{"a/1.sql": {Data: []byte("x")}}, {"a/2.sql": {Data: []byte("x")}}, {"a/1.sql": {Data: []byte("y")}},
		{"a/1.sql": {Data: []byte("x")}, "b/1.sql": {}},
	} {
		sum, err := hashFiles(files)
		require.NoError(t, err)
		require.False(t, seen[sum])
		seen[sum] = true
	}
}

func TestSweepRemovesOnlyTheDead(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "cluster")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	words := strings.Fields(line)
	require.Len(t, words, 3, line)
	work, sockets := words[1], words[2]

	sweep()
	require.DirExists(t, work, "it lives")
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { // its PostgreSQL removes its own socket as it ends
		_, err := os.Lstat(filepath.Join(sockets, ".s.PGSQL.5432"))
		return os.IsNotExist(err)
	}, 5*time.Second, 5*time.Millisecond)
	sweep()
	require.NoDirExists(t, work)
	require.NoFileExists(t, work+".lock")
	require.NoDirExists(t, sockets)
}

func TestPruneRemovesWhatIsNotUsed(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{"old": unused + time.Hour, "new": time.Hour} {
		dir := filepath.Join(base, name)
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.Chtimes(dir, now, now.Add(-age)))
	}
	prune(base)
	require.NoDirExists(t, filepath.Join(base, "old"))
	require.DirExists(t, filepath.Join(base, "new"))
}
