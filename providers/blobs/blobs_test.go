package blobs

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"uaol/providers/config"
	"uaol/services"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func setup(t *testing.T) (store *Store, data string) {
	t.Helper()
	data = t.TempDir()
	store = New(config.Process{DataDir: data})
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store, data
}

func TestPutAndDelete(t *testing.T) {
	t.Parallel()
	store, data := setup(t)
	require.NoDirExists(t, filepath.Join(data, "files"), "made when needed")
	require.NoError(t, store.Delete(t.Context(), "none"))
	for _, content := range []string{"first", "", "second"} {
		require.NoError(t, store.Put(t.Context(), "key", []byte(content)))
		got, err := os.ReadFile(filepath.Join(data, "files", "key"))
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
	info, err := os.Stat(filepath.Join(data, "files", "key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, store.Delete(t.Context(), "key"))
	require.NoError(t, store.Delete(t.Context(), "key"))
	entries, err := os.ReadDir(filepath.Join(data, "files"))
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestTraversal: no key leads out of the directory, also not over a link.
func TestTraversal(t *testing.T) {
	t.Parallel()
	store, data := setup(t)
	outside := filepath.Join(data, "outside")
	require.NoError(t, os.WriteFile(outside, []byte("kept"), 0o600))
	require.NoError(t, store.Put(t.Context(), "key", nil))
	require.NoError(t, os.Symlink(outside, filepath.Join(data, "files", "link.new")))
	for _, key := range []string{"../outside", "../../etc/passwd", "/etc/passwd", outside, "a/../../outside", "..", "", "link", "a\x00b", "sub/key"} {
		require.Error(t, store.Put(t.Context(), key, []byte("overwritten")), key)
	}
	for _, key := range []string{"../outside", outside, "a/../../outside"} {
		_ = store.Delete(t.Context(), key) // an error or not: it must stay
	}
	got, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Equal(t, "kept", string(got))
}

// TestAtomic: who reads while somebody writes sees a whole content.
func TestAtomic(t *testing.T) {
	t.Parallel()
	store, data := setup(t)
	contents := [][]byte{bytes.Repeat([]byte("a"), 1<<20), bytes.Repeat([]byte("b"), 1<<20)}
	require.NoError(t, store.Put(t.Context(), "key", contents[0]))
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		defer close(stop)
		for i := range 10 {
			if err := store.Put(t.Context(), "key", contents[i%2]); err != nil {
				t.Error(err)
			}
		}
	})
	for done := false; !done; {
		select {
		case <-stop:
			done = true
		default:
		}
		got, err := os.ReadFile(filepath.Join(data, "files", "key"))
		require.NoError(t, err)
		require.True(t, bytes.Equal(got, contents[0]) || bytes.Equal(got, contents[1]), "a mixture of %d bytes", len(got))
	}
	group.Wait()
}

// TestFailedPutKeepsTheOld: when the new content cannot take its place, the
// old one stays and nothing lies about.
func TestFailedPutKeepsTheOld(t *testing.T) {
	t.Parallel()
	store, data := setup(t)
	require.NoError(t, os.MkdirAll(filepath.Join(data, "files", "key", "full"), 0o700)) // a rename onto it fails
	require.Error(t, store.Put(t.Context(), "key", []byte("new")))
	require.NoFileExists(t, filepath.Join(data, "files", "key.new"))
	require.DirExists(t, filepath.Join(data, "files", "key", "full"))
}

func TestUnusableDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	store := New(config.Process{DataDir: file})
	for _, err := range []error{store.Put(t.Context(), "key", nil), store.Delete(t.Context(), "key")} {
		require.True(t, services.Is(err, services.Unavailable), err)
		require.ErrorContains(t, err, "UAOL_DATA_DIR")
	}
	require.NoError(t, store.Close())
}
