package embedded

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// pretended makes programs that call themselves PostgreSQL 99 and can make no cluster.
func pretended(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uaol-embedded-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	initdb := "#!/bin/sh\ncase \"$*\" in *--show*) echo VERSION=99.1; echo POSTGRES_BKI=$0;; *) echo no room; exit 1;; esac\n"
	for name, text := range map[string]string{"initdb": initdb, "postgres": "#!/bin/sh\nexit 1\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		require.NoError(t, os.Chmod(filepath.Join(dir, name), 0o755))
	}
	return dir
}

// TestCarryingThatFails leaves the data where it is, with the programs it has.
func TestCarryingThatFails(t *testing.T) {
	t.Parallel()
	cfg := fast(t)
	s, _ := started(t, cfg)
	run(t, s.URL(), "CREATE TABLE kept AS SELECT 42 AS n")
	dir := cluster(t, s)
	stop(t, s)

	cfg.SearchDirs = append(usual(), pretended(t))
	cfg.Carry = func(context.Context, string, string) error { panic("there is nothing to carry to") }
	s, logs := started(t, cfg)
	require.Equal(t, "42", ask(t, s.URL(), "SELECT n FROM kept"))
	said := logs.FilterMessage("the data stays with its PostgreSQL, because it could not be carried over").All()
	require.Len(t, said, 1)
	require.Contains(t, said[0].ContextMap()["error"], "no room")
	for _, rest := range []string{carrying, carrying + ".new", carried} {
		require.NoDirExists(t, dir+rest)
	}
	stop(t, s)
	cfg.Carry = nil
	s, logs = started(t, cfg)
	require.Equal(t, "42", ask(t, s.URL(), "SELECT n FROM kept"))
	require.Zero(t, logs.FilterMessage("carrying the data over to a later PostgreSQL").Len(), "not where nobody knows how")
}

// TestCarryingIsEnded by the next start, wherever the one before it died.
func TestCarryingIsEnded(t *testing.T) {
	t.Parallel()
	clusterOf := func(dir, major string) {
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte(major+"\n"), 0o600))
	}
	for name, test := range map[string]struct{ begun, want map[string]string }{
		"nothing was begun":      {map[string]string{"": "15"}, map[string]string{"": "15"}},
		"while it was copied":    {map[string]string{"": "15", carrying: "18"}, map[string]string{"": "15"}},
		"when it was complete":   {map[string]string{"": "15", carried: "18"}, map[string]string{"": "18", aside + "15": "15"}},
		"between the two names":  {map[string]string{carried: "18", aside + "15": "15"}, map[string]string{"": "18", aside + "15": "15"}},
		"when it was in place":   {map[string]string{"": "18", aside + "15": "15"}, map[string]string{"": "18", aside + "15": "15"}},
		"before there was a one": {map[string]string{}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := made(t, fast(t))
			require.NoError(t, s.makeDataDir())
			home := filepath.Join(s.dataDir, "postgres")
			for suffix, major := range test.begun {
				clusterOf(home+suffix, major)
			}
			require.NoError(t, s.settle())
			for suffix, major := range test.want {
				text, err := os.ReadFile(filepath.Join(home+suffix, "PG_VERSION"))
				require.NoError(t, err)
				require.Equal(t, major+"\n", string(text))
			}
			require.NoDirExists(t, home+carried)
		})
	}
}
