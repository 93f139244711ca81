package chain

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// other changes a field to something else.
func other(t testing.TB, field reflect.Value) {
	t.Helper()
	switch v := field.Addr().Interface().(type) {
	case *uuid.UUID:
		v[15] ^= 1
	case **uuid.UUID:
		if *v == nil {
			*v = &uuid.UUID{}
		} else {
			id := **v
			id[0] ^= 1
			*v = &id
		}
	case *int64:
		*v ^= 1
	case *string:
		*v += "x"
	case *Kind:
		*v += "x"
	case *time.Time:
		*v = v.Add(time.Microsecond)
	case *Bytes:
		*v = append(Bytes{1}, *v...)
	default:
		t.Fatalf("a field of type %T", v)
	}
}

// TestLeafCoversEveryColumn: an entry with any field changed has another leaf.
func TestLeafCoversEveryColumn(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	for _, e := range []Entry{
		{},
		{Organization: uuid.New(), Seq: 1, Operation: "a", Kind: Settle, Amount: 2, Balance: 3, Hold: &id, Spender: &id, Tool: &id, Job: &id, Facts: "{}", CreatedAt: time.Now()},
	} {
		seen := map[[32]byte]string{e.Leaf(): "itself"}
		for i := range reflect.TypeFor[Entry]().NumField() {
			changed, name := e, reflect.TypeFor[Entry]().Field(i).Name
			other(t, reflect.ValueOf(&changed).Elem().Field(i))
			require.Empty(t, seen[changed.Leaf()], name)
			seen[changed.Leaf()] = name
		}
		require.Len(t, seen, 13, "one for each of the journal's columns")
	}
	a, b := Entry{Operation: "ab", Kind: "c"}, Entry{Operation: "a", Kind: "bc"}
	require.NotEqual(t, a.Leaf(), b.Leaf(), "what one column ends with is not what the next begins with")
	a, b = Entry{Hold: &id}, Entry{Spender: &id}
	require.NotEqual(t, a.Leaf(), b.Leaf())
	require.NotEqual(t, Entry{}.Leaf(), Entry{Hold: &uuid.Nil}.Leaf(), "no hold is not a hold of zeros")
}

// TestLeavesStay: books that were sealed have to be readable for good. This leaf
// may change only together with the name of its encoding.
func TestLeavesStay(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("00000000-0000-0000-0000-000000000001")
	leaf := Entry{Organization: id, Seq: 1, Operation: "month/1", Kind: Grant, Amount: 100, Balance: 100, Job: &id, Facts: "{}", CreatedAt: time.UnixMicro(1)}.Leaf()
	require.Equal(t, "6a669333db3156b58ac61914a79b1f778ca9bfe6690d3f65929b05eddf8846b4", Bytes(leaf[:]).String())
	seal := Seal{Number: 1, Previous: Genesis(), Root: leaf[:], Entries: 1, SealedAt: time.UnixMicro(1), KeyID: Bytes{1}}.Digest()
	require.Equal(t, "005e41148c9c258219a29fd0e6e3eddc27103ae5d4ac7c28a607ba34fe0eb268", Bytes(seal[:]).String())
}

// TestEntriesInJSON come back with the same leaf, and times have the database's
// precision.
func TestEntriesInJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anyEntry(t)
		text, err := json.Marshal(e)
		require.NoError(t, err)
		var back Entry
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, e.Leaf(), back.Leaf())
	})
	at := time.Date(2026, 8, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	text, err := json.Marshal(Entry{CreatedAt: at})
	require.NoError(t, err)
	require.Contains(t, string(text), `"createdAt":"2026-08-01T11:00:00.123456Z"`)
}

func anyEntry(t *rapid.T) Entry {
	id := rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(raw []byte) uuid.UUID { return uuid.UUID(raw) })
	return Entry{
		Organization: id.Draw(t, "organization"), Seq: rapid.Int64().Draw(t, "seq"), Operation: rapid.String().Draw(t, "operation"),
		Kind: Kind(rapid.String().Draw(t, "kind")), Amount: rapid.Int64().Draw(t, "amount"), Balance: rapid.Int64().Draw(t, "balance"),
		Hold: rapid.Ptr(id, true).Draw(t, "hold"), Spender: rapid.Ptr(id, true).Draw(t, "spender"),
		Tool: rapid.Ptr(id, true).Draw(t, "tool"), Job: rapid.Ptr(id, true).Draw(t, "job"), Facts: rapid.String().Draw(t, "facts"),
		CreatedAt: time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at")),
	}
}
