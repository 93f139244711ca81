package embedded

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/postgres/embedded/child"
)

func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	asRoot(t)
	dir := openDir(t)
	nobody := child.ByID(65534, 65534)
	require.NoError(t, hand(dir, nobody))
	data := filepath.Join(dir, "data")
	o := startOther(t, data, nobody)
	info, err := os.Stat(filepath.Join(data, "postgres", "PG_VERSION"))
	require.NoError(t, err)
	uid, _ := owner(info)
	require.Equal(t, nobody.UID, uid)
	info, err = os.Stat(data)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	o.quit()
	require.NoError(t, o.Wait())

	// Root runs it as its owner, who can have it back afterwards.
	require.NoError(t, os.Remove(filepath.Join(data, lockName)))
	require.NoError(t, os.Remove(filepath.Join(data, logName)))
	s, _ := started(t, Config{DataDir: data})
	require.Equal(t, "7", ask(t, s.URL(), "SELECT n FROM kept"))
	stop(t, s)
	o = startOther(t, data, nobody)
	o.quit()
	require.NoError(t, o.Wait())
}

func TestDataDirectoryThatRootKeepsForItself(t *testing.T) {
	t.Parallel()
	asRoot(t)
	cfg := fast(t)
	require.NoError(t, os.Mkdir(cfg.DataDir, 0o700))
	s, _ := started(t, cfg)
	require.Equal(t, filepath.Join(cfg.DataDir, "postgres"), cluster(t, s))
	info, err := os.Stat(cfg.DataDir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o710), info.Mode().Perm(), "passed through by one group, read by nobody")
}

func TestClosedParent(t *testing.T) {
	t.Parallel()
	asRoot(t)
	dir := openDir(t)
	require.NoError(t, os.Chmod(dir, 0o700))
	s, logs := made(t, Config{DataDir: filepath.Join(dir, "data"), Fast: true})
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(filepath.Join(away, hash(s.dataDir, 12)))) })
	require.NoError(t, s.Start(context.Background()))
	where := filepath.Join(away, hash(s.dataDir, 12))
	require.Equal(t, where, ask(t, s.URL(), "SHOW data_directory"))
	said := logs.FilterMessage("the cluster lives outside the data directory").All()
	require.Len(t, said, 1)
	require.Equal(t, where, said[0].ContextMap()["cluster"])
	require.Contains(t, said[0].ContextMap()["because"], dir)
	run(t, s.URL(), "CREATE TABLE kept AS SELECT 42 AS n")
	stop(t, s)

	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, s.Start(context.Background()))
	require.Equal(t, "42", ask(t, s.URL(), "SELECT n FROM kept"), "data is used where it is")
	stop(t, s)

	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data", "postgres"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "postgres", "PG_VERSION"), []byte("15\n"), 0o600))
	require.NoError(t, os.Chmod(dir, 0o700))
	require.ErrorContains(t, s.Start(context.Background()), dir+" is closed to user", "data that cannot be reached is not replaced")
}

func TestClusterOfAnotherUser(t *testing.T) {
	t.Parallel()
	asRoot(t)
	data := openDir(t)
	nobody := child.ByID(65534, 65534)
	require.NoError(t, hand(data, nobody))
	require.NoError(t, os.Mkdir(filepath.Join(data, "postgres"), 0o700))
	require.NoError(t, os.Chown(filepath.Join(data, "postgres"), 4242, 4242))
	var out strings.Builder
	cmd := exec.Command(sharedBinary(t), "serve", data)
	cmd.Dir, cmd.Stdout = "/", &out
	require.Error(t, child.Run(context.Background(), cmd, nobody))
	require.Equal(t, "the cluster in "+data+"/postgres belongs to user 4242: start as that user or as root, or set UAOL_DATA_DIR\n", out.String())
}

func TestRestoredByRoot(t *testing.T) {
	t.Parallel()
	asRoot(t)
	s, _ := started(t, fast(t))
	run(t, s.URL(), "CREATE TABLE kept AS SELECT 42 AS n")
	stop(t, s)
	require.NoError(t, hand(cluster(t, s), child.ByID(0, 0)))
	require.NoError(t, s.Start(context.Background()))
	require.Equal(t, "42", ask(t, s.URL(), "SELECT n FROM kept"))
}

func TestPlantedSocketDirectory(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(t *testing.T, dir string){
		"link": func(t *testing.T, dir string) {
			target := openDir(t)
			require.NoError(t, os.Chmod(target, 0o700))
			require.NoError(t, os.Symlink(target, dir))
		},
		"file": func(t *testing.T, dir string) { require.NoError(t, os.WriteFile(dir, nil, 0o700)) },
		"open to all": func(t *testing.T, dir string) {
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.Chmod(dir, 0o777))
		},
		"of another user": func(t *testing.T, dir string) {
			asRoot(t)
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.Chown(dir, 4242, 4242))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := made(t, fast(t))
			plant(t, s.sockets)
			t.Cleanup(func() { require.NoError(t, os.RemoveAll(s.sockets)) })
			err := s.Start(context.Background())
			require.ErrorContains(t, err, s.sockets+" is not a directory of user")
			require.ErrorContains(t, err, "remove it")
		})
	}
}
