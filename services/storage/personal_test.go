package storage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/peers/peerstest"
	"uaol/services"
)

// TestKeeper runs the interface's contract over both of its bodies.
func TestKeeper(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		keeperContract(t, b, b.everything)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		url := peerstest.Serve(t, b.routes()...)
		custody := remoteKeeper(ClientConfig{URL: url}, peerstest.Tokens(t))
		require.NoError(t, custody.Missing)
		keeperContract(t, b, custody.Keeper)
	})
	custody := remoteKeeper(ClientConfig{}, peerstest.Tokens(t))
	require.ErrorContains(t, custody.Missing, "UAOL_STORAGE_URL is not set", "an address that is missing stops nobody's start")
}

func keeperContract(t *testing.T, b *bench, keeper services.Keeper) {
	ctx, ada, bob := t.Context(), user(), user()
	team := uuid.New()
	inTeam := func(caller services.Caller) services.Caller { caller.Organization = team; return caller }
	b.upload(t, ada, "a.txt", "one")
	b.upload(t, ada, "b.txt", "two")
	for _, caller := range []services.Caller{ada, inTeam(ada), bob, inTeam(bob)} {
		tell(t, b.talks, caller, uuid.New(), "", said("hello", "good day"))
	}
	_, err := b.service.Presign(ctx, ada, "c.txt", "text/plain", nil, time.Hour)
	require.NoError(t, err)
	hers, his, bobs := b.upload(t, inTeam(ada), "hers.txt", "x"), b.upload(t, inTeam(bob), "his.txt", "x"), b.upload(t, bob, "bob.txt", "x")

	in := services.ExportRequest{Person: services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}, Shared: []uuid.UUID{team}}}
	var names []string
	said := 0
	for {
		part, err := keeper.Export(ctx, in)
		require.NoError(t, err)
		if part.Section == "conversations" {
			said += len(part.Items)
			part.Items = nil
		}
		for _, item := range part.Items {
			var f File
			require.NoError(t, json.Unmarshal(item, &f))
			names = append(names, f.Filename)
		}
		if in.After = part.Next; in.After == "" {
			break
		}
	}
	require.Equal(t, []string{"a.txt", "b.txt", "hers.txt"}, names)
	require.Equal(t, 2, said)

	for range 2 { // it may be repeated
		require.NoError(t, keeper.Erase(ctx, services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}}))
		require.Equal(t, hers.SHA256, his.SHA256)
		require.ElementsMatch(t, []string{hers.Content.String(), bobs.Content.String()}, b.blobs(t), "the team's two files have one content")
		require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.tickets`))
		require.EqualValues(t, 2, b.number(t, `SELECT count(*) FROM uaol_storage.conversations`), "Bob's")
		require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.usage WHERE organization_id = $1`, ada.Organization))
		require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.files WHERE account_id = $1 OR organization_id = $2`, ada.Account, ada.Organization))
		b.whole(t)
	}
	files, err := b.service.List(ctx, inTeam(bob), hers.CreatedAt.AddDate(1, 0, 0), uuid.Max, 10)
	require.NoError(t, err)
	require.Len(t, files, 2, "the team keeps its files")
}

// TestEraseGoesOnWhereItWasCut: what could not be removed is found again.
func TestEraseGoesOnWhereItWasCut(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	for i := range 2*eraseBatch + 3 {
		b.upload(t, ada, "x", fmt.Sprint(i))
	}
	stuck := b.upload(t, ada, "stuck", "x")
	path := filepath.Join(b.dir, stuck.Content.String())
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.MkdirAll(filepath.Join(path, "in the way"), 0o700))
	who := services.Person{Account: ada.Account, Organizations: []uuid.UUID{ada.Organization}}
	require.Error(t, b.service.Erase(t.Context(), who), "the person is not forgotten while something of theirs is there")
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_storage.contents`), "its row says that there is something to remove")
	require.NoError(t, os.Remove(filepath.Join(path, "in the way")))
	require.NoError(t, b.service.Erase(t.Context(), who))
	require.Empty(t, b.blobs(t))
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_storage.contents`))
}
