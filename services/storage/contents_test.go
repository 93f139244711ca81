package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/keyring"
	"uaol/services"
	"uaol/services/billing"
)

// TestEqualContentsAreStoredOnce per organisation, and go with their last file.
func TestEqualContentsAreStoredOnce(t *testing.T) {
	t.Parallel()
	b, owner, other := setup(t), user(), user()
	first, second := b.upload(t, owner, "a", "the same"), b.upload(t, owner, "b", "the same")
	b.upload(t, other, "c", "the same")
	require.Len(t, b.blobs(t), 2, "another's is another's: nobody learns who else has a file")
	require.Equal(t, first.Content, second.Content)
	used, err := b.service.Usage(t.Context(), owner)
	require.NoError(t, err)
	require.Equal(t, Usage{Bytes: 8, Files: 2}, used)
	b.whole(t)
	require.NoError(t, b.service.Delete(t.Context(), owner, first.ID))
	require.Equal(t, "the same", b.fetch(t, second))
	require.NoError(t, b.service.Delete(t.Context(), owner, second.ID))
	require.Len(t, b.blobs(t), 1)
	require.Zero(t, b.number(t, `SELECT bytes + files FROM uaol_storage.usage WHERE organization_id = $1`, owner.Organization))
	b.whole(t)
}

// TestUploadsAndRemovalsAtOnce: whoever comes between, nothing is lost or left.
func TestUploadsAndRemovalsAtOnce(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 15 {
				content := fmt.Sprint("content ", rand.N(3))
				f, err := b.service.Upload(t.Context(), owner, Upload{Filename: "x", Size: -1, Content: strings.NewReader(content)})
				if err != nil {
					t.Error(err)
					return
				}
				opened, err := b.service.Open(t.Context(), f)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(opened)
				if _ = opened.Close(); err != nil || string(got) != content {
					t.Errorf("%q: %v", got, err)
				}
				if rand.N(4) > 0 {
					if err := b.service.Delete(t.Context(), owner, f.ID); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	b.whole(t)
	require.EqualValues(t, len(b.blobs(t)), b.number(t, `SELECT count(*) FROM uaol_storage.contents WHERE state = 'kept'`))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.contents WHERE state <> 'kept'`))
}

// TestRowAndContent: whatever fails, no file is left without its content, and no
// content without a row that somebody finds.
func TestRowAndContent(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	f := b.upload(t, owner, "kept", "x")
	require.NoError(t, os.Remove(filepath.Join(b.dir, f.Content.String())))
	_, err := b.service.Open(t.Context(), f)
	require.True(t, services.Is(err, services.NotFound), err)
	require.NoError(t, b.service.Delete(t.Context(), owner, f.ID), "a content that is gone does not keep its row")

	b.exec(t, `ALTER TABLE uaol_storage.files ADD CONSTRAINT closed CHECK (filename <> 'refused')`)
	_, err = b.service.Upload(t.Context(), owner, Upload{Filename: "refused", Size: -1, Content: strings.NewReader("x")})
	require.Error(t, err)
	broken := errors.New("cut")
	_, err = b.service.Upload(t.Context(), owner, Upload{Filename: "cut", Size: -1, Content: io.MultiReader(strings.NewReader(strings.Repeat("x", 10_000)), iotest.ErrReader(broken))})
	require.ErrorIs(t, err, broken)
	_, err = b.service.Upload(t.Context(), owner, Upload{Filename: "large", Size: -1, Content: bytes.NewReader(make([]byte, 20<<20+1))})
	require.True(t, services.Is(err, services.TooLarge), err)
	_, err = b.service.Upload(t.Context(), owner, Upload{Filename: "large", Size: 20<<20 + 1, Content: iotest.ErrReader(errors.New("read although it was announced"))})
	require.True(t, services.Is(err, services.TooLarge), err)
	require.Empty(t, b.blobs(t))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.contents`))
	b.upload(t, owner, "as large as may be", strings.Repeat("x", 20<<20))
	b.whole(t)
}

// TestNobodyKnows: when the database goes away as a file is made, its content stays
// for the sweeper, who asks the database.
func TestNobodyKnows(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	kept := b.upload(t, owner, "kept", "x")
	var once atomic.Bool
	cut := readerFunc(func(p []byte) (int, error) {
		if !once.Swap(true) {
			return copy(p, "y"), nil
		}
		b.pool.Close()
		return 0, io.EOF
	})
	_, err := b.service.Upload(t.Context(), owner, Upload{Filename: "unknown", Size: -1, Content: cut})
	require.True(t, services.Is(err, services.Unavailable), err)
	require.True(t, services.Is(b.service.Delete(t.Context(), owner, kept.ID), services.Unavailable))
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestSweeper removes what processes have left that died, and nothing else.
func TestSweeper(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	kept := b.upload(t, owner, "kept", "x")
	died := func(state, age string) string {
		id := uuid.NewString()
		b.exec(t, `INSERT INTO uaol_storage.contents (content_id, organization_id, store, state, created_at) VALUES ($1, $2, 'directory', $3, now() - $4::interval)`,
			id, owner.Organization, state, age)
		require.NoError(t, os.WriteFile(filepath.Join(b.dir, id+map[bool]string{true: ".new"}[state == "coming"]), []byte("half"), 0o600))
		return id
	}
	going := died("coming", "23 hours")
	died("coming", "25 hours")
	died("leaving", "2 minutes")
	b.exec(t, `INSERT INTO uaol_storage.contents (content_id, organization_id, store, state, created_at) VALUES ($1, $2, 's3', 'leaving', now() - interval '1 day')`,
		uuid.New(), owner.Organization) // which is not set up here: others go on
	require.NoError(t, NewSweeper(b.service).Sweep(t.Context()))
	require.ElementsMatch(t, []string{kept.Content.String(), going + ".new"}, b.blobs(t))
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_storage.contents`))
	require.Equal(t, "x", b.fetch(t, kept))

	late := died("coming", "25 hours")
	require.NoError(t, NewSweeper(b.service).Sweep(t.Context()))
	_, _, err := b.service.repository.keep(t.Context(), owner.Account, File{ID: uuid.New(), Organization: owner.Organization, Content: uuid.MustParse(late), SHA256: "other"}, 0)
	require.True(t, services.Is(err, services.Conflict), "who comes after the sweeper finds nothing: %v", err)
	b.whole(t)
}

// TestRetention: files go when their plan's days are over.
func TestRetention(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	old, young := b.upload(t, owner, "old", "x"), b.upload(t, owner, "young", "y")
	b.exec(t, `UPDATE uaol_storage.files SET created_at = now() - interval '31 days' WHERE file_id = $1`, old.ID)
	require.NoError(t, NewSweeper(b.service).Sweep(t.Context()))
	require.Len(t, b.blobs(t), 2, "a plan without a word about it keeps them")
	b.plans.set(billing.Plan{FileDays: 30})
	require.NoError(t, NewSweeper(b.service).Sweep(t.Context()))
	require.Equal(t, []string{young.Content.String()}, b.blobs(t))
	_, err := b.service.Get(t.Context(), owner, old.ID)
	require.True(t, services.Is(err, services.NotFound), err)
	b.whole(t)
}

// TestQuota: an organisation has what its plan allows, however many upload at once.
func TestQuota(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	b.plans.set(billing.Plan{Storage: 100})
	var stored atomic.Int64
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			_, err := b.service.Upload(t.Context(), owner, Upload{Filename: "x", Size: -1, Content: strings.NewReader(fmt.Sprintf("%030d", i))})
			switch {
			case err == nil:
				stored.Add(1)
			case !services.Is(err, services.Forbidden):
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 3, stored.Load())
	require.Len(t, b.blobs(t), 3)
	used, err := b.service.Usage(t.Context(), owner)
	require.NoError(t, err)
	require.Equal(t, Usage{Bytes: 90, Files: 3, Limit: 100}, used)
	got := b.do(t, owner, "POST", "/storage/upload", `{"filename":"x","data":"MDAwMDAwMDAwMDAwMDAwMDAwMDA="}`)
	require.Equal(t, http.StatusForbidden, got.Status)
	require.Equal(t, "QUOTA_EXCEEDED", got.Error.Code)
	require.Equal(t, "The plan's storage is full: 90 bytes of 100 bytes are used; remove files or take a larger plan", got.Error.Message)
	b.upload(t, user(), "another's", "room of their own")
	b.whole(t)
}

// TestSameUploadAgain: a request with the same key gives the same file.
func TestSameUploadAgain(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	in := func(content string) Upload {
		return Upload{ID: uploadID(owner, "key"), Filename: "x", Size: -1, Content: strings.NewReader(content)}
	}
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			f, err := b.service.Upload(context.Background(), owner, in("x"))
			if err != nil || f.ID != uploadID(owner, "key") {
				t.Error(f.ID, err)
			}
		})
	}
	group.Wait()
	require.Len(t, b.blobs(t), 1)
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_storage.files`))
	_, err := b.service.Upload(t.Context(), owner, in("y"))
	require.True(t, services.Is(err, services.Conflict), err)
	require.Len(t, b.blobs(t), 1)
	require.NotEqual(t, uploadID(owner, "key"), uploadID(user(), "key"))
	b.whole(t)
}

// TestRotation: another ENCRYPTION_SECRET takes over without a content being touched.
func TestRotation(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	f := b.upload(t, owner, "x", "the words")
	both := ring(t, keyring.Config{Secret: secondSecret, Previous: firstSecret})
	b.service.ring = both
	require.Equal(t, "the words", b.fetch(t, f))
	for _, want := range []int{1, 0} {
		n, err := RotateSecrets(t.Context(), b.service.repository, both)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	b.service.ring = ring(t, keyring.Config{Secret: secondSecret})
	require.Equal(t, "the words", b.fetch(t, f))
	b.service.ring = ring(t, keyring.Config{Secret: firstSecret})
	_, err := b.service.Open(t.Context(), f)
	require.Error(t, err)
	_, err = RotateSecrets(t.Context(), b.service.repository, b.service.ring)
	require.ErrorContains(t, err, "ENCRYPTION_SECRET_PREVIOUS")
}
