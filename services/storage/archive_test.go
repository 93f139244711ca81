package storage

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// TestNothingLeavesWhileABackupIsMade: neither a removal nor the sweeper takes a
// content away that a snapshot may name; afterwards the sweeper does.
func TestNothingLeavesWhileABackupIsMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	organization := uuid.New()
	caller := services.Caller{Organization: organization, Account: organization}
	f := b.upload(t, caller, "a.txt", "kept for the backup")
	held, release, err := HoldContents(t.Context(), b.pool)
	require.NoError(t, err)

	var named []Kept
	require.NoError(t, EachKept(t.Context(), b.pool, func(k Kept) error { named = append(named, k); return nil }))
	require.Len(t, named, 1)
	require.NoError(t, b.service.Delete(t.Context(), caller, f.ID))
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_storage.contents SET created_at = now() - interval '1 hour'`)
	require.NoError(t, err)
	require.NoError(t, NewSweeper(b.service).settle(t.Context()))
	archive := NewArchive(b.shelf, b.service.ring)
	content, err := archive.Open(t.Context(), named[0])
	require.NoError(t, err, "it is still there")
	require.NoError(t, content.Close())
	require.NoError(t, held.Err())

	require.NoError(t, release())
	require.NoError(t, NewSweeper(b.service).settle(t.Context()))
	require.NoFileExists(t, filepath.Join(b.dir, named[0].ID.String()))
	_, err = archive.Open(t.Context(), named[0])
	require.True(t, named[0].Lost(err))
	var rows int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM uaol_storage.contents) + (SELECT count(*) FROM uaol_storage.backups)`).Scan(&rows))
	require.Zero(t, rows)
}

// TestAHoldThatDiedEnds: a backup that was killed keeps nothing for long.
func TestAHoldThatDiedEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.pool.Exec(t.Context(), `INSERT INTO uaol_storage.backups (backup_id, expires_at) VALUES ($1, now() - interval '1 second')`, uuid.New())
	require.NoError(t, err)
	organization := uuid.New()
	caller := services.Caller{Organization: organization, Account: organization}
	f := b.upload(t, caller, "a.txt", "goes")
	require.NoError(t, b.service.Delete(t.Context(), caller, f.ID))
	left, err := os.ReadDir(b.dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
