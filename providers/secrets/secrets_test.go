package secrets

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = "v8Jq2mZ4tR7yB1nC5xK9wE3sD6fG0hLp"

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		value       string
		production  bool
		development bool // whether it is refused there
	}{
		"missing":               {"", true, false},
		"good":                  {good, false, false},
		"short":                 {good[:31], true, false},
		"of one letter":         {strings.Repeat("a", 64), true, false},
		"of seven letters":      {strings.Repeat("abcdefg", 8), true, false},
		"the original's":        {"your-super-secret-jwt-key-change-in-production", true, false},
		"the original's, upper": {"YOUR-SUPER-SECRET-JWT-KEY-CHANGE-IN-PRODUCTION", true, false},
		"the original's other":  {"default-encryption-secret-key-32ch", true, false},
		"an example's":          {"changeme" + good, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for production, refused := range map[bool]bool{true: test.production, false: test.development} {
				err := Check("THE_SECRET", test.value, production)
				if !refused {
					require.NoError(t, err)
					continue
				}
				require.ErrorContains(t, err, "THE_SECRET")
				require.ErrorContains(t, err, "want a")
				if test.value != "" {
					require.NotContains(t, err.Error(), test.value)
				}
			}
		})
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	values := make([]string, 50)
	var group sync.WaitGroup
	for i := range values {
		group.Go(func() {
			var err error
			if values[i], err = Kept(dir, "jwt"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, value := range values {
		require.Equal(t, values[0], value)
	}
	require.NoError(t, Check("JWT_SECRET", values[0], true), "what is made is good enough for production")
	other, err := Kept(dir, "encryption")
	require.NoError(t, err)
	require.NotEqual(t, values[0], other)
	again, err := Kept(dir, "jwt")
	require.NoError(t, err)
	require.Equal(t, values[0], again)

	entries, err := os.ReadDir(filepath.Join(dir, "secrets"))
	require.NoError(t, err)
	require.Len(t, entries, 2, "no temporary file is left")
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
	info, err := os.Stat(filepath.Join(dir, "secrets"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

// TestKeptRefusesDamage: an empty file must not become an empty signing key.
func TestKeptRefusesDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "secrets", "jwt")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	for _, text := range []string{"", "short"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Kept(dir, "jwt")
		require.ErrorContains(t, err, "secret jwt is damaged: remove "+path)
	}
	_, err := Kept(path, "jwt") // a file where the directory should be
	require.ErrorContains(t, err, "secret jwt cannot be")
}

// TestPut keeps what came from elsewhere, and replaces nothing.
func TestPut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, Put(dir, "jwt", good))
	require.NoError(t, Put(dir, "jwt", good), "it is there already")
	kept, err := Kept(dir, "jwt")
	require.NoError(t, err)
	require.Equal(t, good, kept)
	require.ErrorIs(t, Put(dir, "jwt", good+"2"), os.ErrExist)
	kept, err = Kept(dir, "jwt")
	require.NoError(t, err)
	require.Equal(t, good, kept)
}
