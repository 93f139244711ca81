package blobs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"uaol/providers/blobs"
	"uaol/providers/blobs/blobstest"
	"uaol/providers/config"
	"uaol/services"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = bytes.Repeat([]byte{7}, blobs.SecretSize)

func setup(t *testing.T) (store *blobs.Directory, files string) {
	t.Helper()
	data := t.TempDir()
	store = blobs.NewDirectory(config.Process{DataDir: data})
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store, filepath.Join(data, "files")
}

func put(t testing.TB, d blobs.Store, key string, content []byte) {
	t.Helper()
	size, err := d.Put(t.Context(), key, secret, bytes.NewReader(content))
	require.NoError(t, err)
	require.EqualValues(t, len(content), size)
}

func TestContract(t *testing.T) {
	t.Parallel()
	store, files := setup(t)
	require.NoDirExists(t, files, "made when needed")
	blobstest.Contract(t, store)
	entries, err := os.ReadDir(files)
	require.NoError(t, err)
	for _, entry := range entries {
		require.NotContains(t, entry.Name(), ".new")
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
	require.Nil(t, store.Direct())
}

// TestEncrypted: on the disk nothing of a content can be read, and nothing of it can
// be changed, moved or left out unnoticed.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	store, files := setup(t)
	plain := bytes.Repeat([]byte("nobody is to read this. "), 10_000)
	put(t, store, "key", plain)
	path := filepath.Join(files, "key")
	onDisk, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(onDisk), "nobody")

	read := func(secret []byte) ([]byte, error) {
		content, err := store.Open(t.Context(), "key", secret, int64(len(plain)))
		if err != nil {
			return nil, err
		}
		defer content.Close()
		return io.ReadAll(content)
	}
	_, err = read(bytes.Repeat([]byte{8}, blobs.SecretSize))
	require.Error(t, err, "another secret")
	for _, at := range []int{0, 20, len(onDisk) / 2, len(onDisk) - 1} {
		changed := bytes.Clone(onDisk)
		changed[at] ^= 1
		require.NoError(t, os.WriteFile(path, changed, 0o600))
		_, err = read(secret)
		require.Error(t, err, "byte %d changed", at)
	}
	const piece = 16 + 64<<10 + 16
	swapped := append(bytes.Clone(onDisk[piece:2*piece]), onDisk[:piece]...)
	for name, content := range map[string][]byte{
		"cut at a piece": onDisk[:2*piece], "cut": onDisk[:len(onDisk)-1], "longer": append(bytes.Clone(onDisk), 0), "empty": nil,
		"pieces swapped": append(swapped, onDisk[2*piece:]...),
	} {
		require.NoError(t, os.WriteFile(path, content, 0o600))
		_, err = read(secret)
		require.Error(t, err, name)
	}
}

// TestTraversal: no key leads out of the directory, also not over a link.
func TestTraversal(t *testing.T) {
	t.Parallel()
	store, files := setup(t)
	outside := filepath.Join(filepath.Dir(files), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("kept"), 0o600))
	put(t, store, "key", nil)
	require.NoError(t, os.Symlink(outside, filepath.Join(files, "link.new")))
	for _, key := range []string{"../outside", "../../etc/passwd", "/etc/passwd", outside, "a/../../outside", "..", "", "link", "a\x00b", "sub/key"} {
		_, err := store.Put(t.Context(), key, secret, bytes.NewReader([]byte("overwritten")))
		require.Error(t, err, key)
		_, err = store.Open(t.Context(), key, secret, 4)
		require.Error(t, err, key)
	}
	for _, key := range []string{"../outside", outside, "a/../../outside"} {
		_ = store.Delete(t.Context(), key) // an error or not: it must stay
	}
	got, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Equal(t, "kept", string(got))
}

// TestCutShort: a content whose sender goes away, or fails, or that finds no place
// leaves nothing behind, and the old one stays.
func TestCutShort(t *testing.T) {
	t.Parallel()
	store, files := setup(t)
	broken := errors.New("the line was cut")
	_, err := store.Put(t.Context(), "key", secret, io.MultiReader(bytes.NewReader(make([]byte, 100_000)), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	mine := services.Errorf(services.TooLarge, "mine")
	_, err = store.Put(t.Context(), "key", secret, iotest.ErrReader(mine))
	require.True(t, services.Is(err, services.TooLarge), err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = store.Put(gone, "key", secret, bytes.NewReader(nil))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, os.MkdirAll(filepath.Join(files, "key", "full"), 0o700)) // a rename onto it fails
	_, err = store.Put(t.Context(), "key", secret, bytes.NewReader([]byte("new")))
	require.Error(t, err)
	entries, err := os.ReadDir(files)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.DirExists(t, filepath.Join(files, "key", "full"))

	// A process that was killed while it wrote.
	require.NoError(t, os.WriteFile(filepath.Join(files, "other"+".new"), []byte("half"), 0o600))
	require.NoError(t, store.Delete(t.Context(), "other"))
	require.NoFileExists(t, filepath.Join(files, "other"+".new"))
}

func TestUnusableDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	store := blobs.NewDirectory(config.Process{DataDir: file})
	_, put := store.Put(t.Context(), "key", secret, bytes.NewReader(nil))
	_, open := store.Open(t.Context(), "key", secret, 0)
	for _, err := range []error{put, open, store.Delete(t.Context(), "key")} {
		require.True(t, services.Is(err, services.Unavailable), err)
		require.ErrorContains(t, err, "UAOL_DATA_DIR")
	}
	require.NoError(t, store.Close())
}

// TestPlainContents: what was stored before contents were encrypted is read as it is,
// and nothing else is.
func TestPlainContents(t *testing.T) {
	t.Parallel()
	store, files := setup(t)
	put(t, store, "sealed", []byte("words"))
	require.NoError(t, os.WriteFile(filepath.Join(files, "plain"), []byte("words"), 0o600))
	content, err := store.Open(t.Context(), "plain", nil, 5)
	require.NoError(t, err)
	got, err := io.ReadAll(content)
	require.NoError(t, err)
	require.Equal(t, "words", string(got))
	require.NoError(t, content.Close())
	_, err = store.Open(t.Context(), "plain", nil, 4)
	require.Error(t, err)
	_, err = store.Open(t.Context(), "plain", secret, 5)
	require.Error(t, err)
	_, err = store.Open(t.Context(), "sealed", nil, 5)
	require.Error(t, err)
}
