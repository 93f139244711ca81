// Package blobstest holds what every blobs.Store promises, as a test, and a real S3
// server for it.
package blobstest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/blobs"
	"uaol/services"
)

// Contract holds a store to what blobs.Store says.
func Contract(t *testing.T, store blobs.Store) {
	s := &tested{store, bytes.Repeat([]byte{7}, blobs.SecretSize)}
	t.Run("put, get, delete", s.putAndDelete)
	t.Run("from anywhere", s.fromAnywhere)
	t.Run("cut short", s.cutShort)
	t.Run("whole", s.whole)
}

type tested struct {
	blobs.Store
	secret []byte
}

func (s *tested) put(t testing.TB, key string, content []byte) {
	t.Helper()
	size, err := s.Put(t.Context(), key, s.secret, bytes.NewReader(content))
	require.NoError(t, err)
	require.EqualValues(t, len(content), size)
}

func (s *tested) get(t testing.TB, key string, size int) []byte {
	t.Helper()
	content, err := s.Open(t.Context(), key, s.secret, int64(size))
	require.NoError(t, err)
	got, err := io.ReadAll(content)
	require.NoError(t, err)
	require.NoError(t, content.Close())
	return got
}

func (s *tested) putAndDelete(t *testing.T) {
	key := uuid.NewString()
	require.NoError(t, s.Delete(t.Context(), key))
	_, err := s.Open(t.Context(), key, s.secret, 6)
	require.True(t, services.Is(err, services.NotFound), err)
	for _, content := range []string{"first", "", "second"} {
		s.put(t, key, []byte(content))
		require.Equal(t, content, string(s.get(t, key, len(content))))
	}
	_, err = s.Open(t.Context(), key, s.secret, 5)
	require.Error(t, err, "of another size")
	require.NoError(t, s.Delete(t.Context(), key))
	require.NoError(t, s.Delete(t.Context(), key))
	_, err = s.Open(t.Context(), key, s.secret, 6)
	require.True(t, services.Is(err, services.NotFound), err)
}

func (s *tested) fromAnywhere(t *testing.T) {
	key, plain := uuid.NewString(), make([]byte, 300_001)
	_, _ = rand.Read(plain)
	s.put(t, key, plain)
	content, err := s.Open(t.Context(), key, s.secret, int64(len(plain)))
	require.NoError(t, err)
	require.Equal(t, int64(len(plain)), content.Size())
	for _, from := range []int64{300_000, 0, 65_536, 299_999, 65_535} {
		_, err = content.Seek(from, io.SeekStart)
		require.NoError(t, err)
		got, err := io.ReadAll(io.LimitReader(content, 70_000))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain[from:min(int(from)+70_000, len(plain))], got), from)
	}
	_, err = content.Seek(-1, io.SeekStart)
	require.Error(t, err)
	end, err := content.Seek(5, io.SeekEnd)
	require.NoError(t, err)
	require.EqualValues(t, len(plain)+5, end)
	_, err = content.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, content.Close())
}

// cutShort: a content whose sender goes away, or fails, leaves the old one.
func (s *tested) cutShort(t *testing.T) {
	key := uuid.NewString()
	s.put(t, key, []byte("old"))
	broken := errors.New("the line was cut")
	_, err := s.Put(t.Context(), key, s.secret, io.MultiReader(bytes.NewReader(make([]byte, 100_000)), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	_, err = s.Put(t.Context(), key, s.secret, iotest.ErrReader(services.Errorf(services.TooLarge, "mine")))
	require.True(t, services.Is(err, services.TooLarge), err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Put(gone, key, s.secret, bytes.NewReader([]byte("new")))
	require.Error(t, err)
	require.Equal(t, "old", string(s.get(t, key, 3)))
}

// whole: who reads while somebody writes sees a whole content.
func (s *tested) whole(t *testing.T) {
	key := uuid.NewString()
	contents := [][]byte{bytes.Repeat([]byte("a"), 1<<20), bytes.Repeat([]byte("b"), 1<<20)}
	s.put(t, key, contents[0])
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		defer close(stop)
		for i := range 10 {
			if _, err := s.Put(t.Context(), key, s.secret, bytes.NewReader(contents[i%2])); err != nil {
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
		got := s.get(t, key, 1<<20)
		require.True(t, bytes.Equal(got, contents[0]) || bytes.Equal(got, contents[1]), "a mixture of %d bytes", len(got))
	}
	group.Wait()
}
