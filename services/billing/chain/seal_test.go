package chain

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func testKey(t testing.TB, first byte) *Key {
	t.Helper()
	key, err := NewKey(append(make([]byte, 31), first))
	require.NoError(t, err)
	return key
}

func TestSeals(t *testing.T) {
	t.Parallel()
	key, stranger := testKey(t, 1), testKey(t, 2)
	trusted := NewTrusted(stranger.Public(), key.Public())
	seal := key.Sign(Seal{Number: 3, Previous: Genesis(), Root: Genesis(), Entries: 4, SealedAt: time.Now()})
	require.NoError(t, trusted.Check(seal))
	require.ErrorContains(t, NewTrusted(stranger.Public()).Check(seal), "not trusted")
	require.Error(t, NewTrusted().Check(seal))

	for i := range reflect.TypeFor[Seal]().NumField() {
		changed, name := seal, reflect.TypeFor[Seal]().Field(i).Name
		other(t, reflect.ValueOf(&changed).Elem().Field(i))
		require.Error(t, trusted.Check(changed), name)
		require.Equal(t, name == "Signature", changed.Digest() == seal.Digest(), name)
	}
	forged := stranger.Sign(seal)
	forged.KeyID = key.Public().ID()
	require.ErrorContains(t, trusted.Check(forged), "not that of its key")

	text, err := json.Marshal(seal)
	require.NoError(t, err)
	var back Seal
	require.NoError(t, json.Unmarshal(text, &back))
	require.NoError(t, trusted.Check(back))
	require.Equal(t, seal.Head(), back.Head())
	_, err = NewKey([]byte("short"))
	require.Error(t, err)
}

func TestRangesLeafCoversAllOfIt(t *testing.T) {
	t.Parallel()
	r := Range{Organization: uuid.New(), First: 1, Last: 3, Digest: Genesis()}
	for i := range reflect.TypeFor[Range]().NumField() {
		changed := r
		other(t, reflect.ValueOf(&changed).Elem().Field(i))
		require.NotEqual(t, r.Leaf(), changed.Leaf(), reflect.TypeFor[Range]().Field(i).Name)
	}
}

func TestPublicKeysAsText(t *testing.T) {
	t.Parallel()
	public := testKey(t, 1).Public()
	back, err := ParsePublic(public.String())
	require.NoError(t, err)
	require.Equal(t, public, back)
	require.True(t, IsPublic(public.String()))
	for _, bad := range []string{"", "ed25519:", "ed25519:zz", public.String() + "00", public.String()[8:]} {
		_, err := ParsePublic(bad)
		require.Error(t, err, bad)
	}
	var b Bytes
	require.Error(t, b.UnmarshalText([]byte("xyz")))
}

// TestInclusion is what a receipt rests on: it holds for its entry and for no
// other, and nothing about it can be changed.
func TestInclusion(t *testing.T) {
	t.Parallel()
	key := testKey(t, 1)
	trusted := NewTrusted(key.Public())
	organization := uuid.New()
	var entries []Entry
	var leaves [][32]byte
	for seq := int64(5); seq < 12; seq++ {
		e := Entry{Organization: organization, Seq: seq, Operation: "x", Kind: Grant, Amount: 1, Balance: seq, CreatedAt: time.Now()}
		entries, leaves = append(entries, e), append(leaves, e.Leaf())
	}
	digest := Root(leaves)
	ours := Range{Organization: organization, First: 5, Last: 11, Digest: digest[:]}
	ranges := [][32]byte{Range{Organization: uuid.New(), First: 1, Last: 1, Digest: Genesis()}.Leaf(), ours.Leaf()}
	root := Root(ranges)
	seal := key.Sign(Seal{Number: 1, Previous: Genesis(), Root: root[:], Entries: 8, SealedAt: time.Now()})
	path, err := Prove(leaves, 2)
	require.NoError(t, err)
	rangePath, err := Prove(ranges, 1)
	require.NoError(t, err)
	in := Inclusion{Organization: organization, Seq: 7, Range: ours, Path: path, Place: 1, Ranges: 2, RangePath: rangePath, Seal: seal}
	require.NoError(t, in.Verify(entries[2], trusted))
	require.ErrorContains(t, in.Verify(entries[2], NewTrusted()), "the seal does not count")
	require.ErrorContains(t, in.Verify(entries[3], trusted), "another entry")
	changed := entries[2]
	changed.Amount++
	require.ErrorContains(t, in.Verify(changed, trusted), "not in its range")
	for name, change := range map[string]func(*Inclusion){
		"place":  func(in *Inclusion) { in.Place = 0 },
		"ranges": func(in *Inclusion) { in.Ranges = 4 },
		"first":  func(in *Inclusion) { in.Range.First-- },
		"last":   func(in *Inclusion) { in.Range.Last++ },
		"empty":  func(in *Inclusion) { in.Range.Last = 0 },
		"root":   func(in *Inclusion) { in.Seal.Root = Genesis() },
		"number": func(in *Inclusion) { in.Seal.Number++ },
	} {
		wrong := in
		change(&wrong)
		require.Error(t, wrong.Verify(entries[2], trusted), name)
	}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	var back Inclusion
	require.NoError(t, json.Unmarshal(text, &back))
	require.NoError(t, back.Verify(entries[2], trusted))
}
