package ledger

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services/billing/chain"
)

// shelf is a small set of books in memory.
type shelf struct{}

func (shelf) Read(_ context.Context, to Reader) error {
	one, two, at := uuid.UUID{15: 1}, uuid.UUID{15: 2}, time.UnixMicro(1_800_000_000_123_456).UTC()
	e := chain.Entry{Organization: one, Seq: 1, Operation: "month/1", Kind: chain.Grant, Amount: 5, Balance: 5, Facts: `{"é":"<&>"}`, CreatedAt: at}
	leaf := e.Leaf()
	r := Range{Number: 1, Range: chain.Range{Organization: one, First: 1, Last: 1, Digest: leaf[:]}}
	root := r.Leaf()
	who := chain.Spender{Organization: one, Account: two, Key: one, Salt: make(chain.Bytes, 16)}
	key, err := chain.NewKey(make([]byte, 32))
	if err != nil {
		return err
	}
	return errors.Join(to.Begin(Beginning{At: at, Through: 1}),
		to.Organization(Organization{ID: one, Account: &chain.Account{LastSeq: 1, Available: 5, Grants: 5, Monthly: 5}}), to.Range(r),
		to.Spender(Spender{ID: who.ID(), Account: &who.Account, Key: &who.Key, Salt: who.Salt}), to.Spender(Spender{ID: two}), to.Entry(e),
		to.Organization(Organization{ID: two}), to.Hold(Hold{ID: two, Amount: 1, State: "open"}),
		to.Seal(key.Sign(chain.Seal{Number: 1, Previous: chain.Genesis(), Root: root[:], Entries: 1, SealedAt: at})))
}

func read(text []byte) error {
	_, err := Verify(context.Background(), inMemory(text), Options{})
	return err
}

// TestDamagedExports are noticed wherever a byte was changed, lost or added.
func TestDamagedExports(t *testing.T) {
	t.Parallel()
	text := copied(t, shelf{})
	require.NoError(t, read(text))
	require.Equal(t, text, copied(t, inMemory(text)), "a copy of a copy")
	report, err := Verify(t.Context(), inMemory(text), Options{Now: time.UnixMicro(1)})
	require.NoError(t, err)
	require.Equal(t, []string{"organisation 00000000-0000-0000-0000-000000000002, hold 00000000-0000-0000-0000-000000000002: the journal does not have it",
		"organisation 00000000-0000-0000-0000-000000000002: it has no account", "seal 1: it is signed with the key 139e3940e64b5491, which is not trusted; if it was one of yours, name it in UAOL_LEDGER_SECRET_PREVIOUS"},
		[]string{report.Findings[0].String(), report.Findings[1].String(), report.Findings[2].String()})
	for i := range text {
		for _, change := range []byte{1, 2, 0x20, 0x80} {
			broken := bytes.Clone(text)
			broken[i] ^= change
			require.Error(t, read(broken), "byte %d", i)
		}
		require.Error(t, read(text[:i]), "cut to %d", i)
		require.Error(t, read(append(text[:i:i], text[i+1:]...)), "without byte %d", i)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	for i := range lines {
		require.Error(t, read(bytes.Join(append(lines[:i:i], lines[i+1:]...), nil)), "without line %d", i)
		require.Error(t, read(append(bytes.Join(append(lines[:i+1:i+1], lines[i:]...), nil), '\n')), "line %d twice", i)
	}
	require.ErrorContains(t, read(append(bytes.Clone(text), "\n"...)), "goes on after its end")
	require.ErrorContains(t, read(nil), "cut off")
	require.ErrorContains(t, read([]byte("hello\n")), "cannot be read")
	require.ErrorContains(t, read([]byte("{}\n")), "this is no export")
	require.ErrorContains(t, read([]byte(`{"export":{"format":"uaol ledger","version":2}}`+"\n")), "this program reads version 1")
	require.ErrorContains(t, read(bytes.Repeat([]byte("x"), longestLine+10)), "too long")
}

// TestOrderOfExports: somebody who makes a file of their own can't hide anything
// by putting lines where they are not looked for.
func TestOrderOfExports(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(string(copied(t, shelf{})), "\n")
	header, one, ranges, spender, entry, two, hold, seal := lines[0], lines[1], lines[2], lines[3], lines[5], lines[6], lines[7], lines[8]
	for name, order := range map[string][]string{
		"two beginnings":               {header, header},
		"an entry first":               {header, entry},
		"a hold first":                 {header, hold},
		"another's entry":              {header, two, entry},
		"another's range":              {header, two, ranges},
		"organisations backwards":      {header, two, one},
		"an organisation twice":        {header, one, one},
		"an entry before its range":    {header, one, entry, ranges},
		"a spender first":              {header, spender},
		"a spender before its range":   {header, one, spender, ranges},
		"a spender after an entry":     {header, one, entry, spender},
		"an entry after a hold":        {header, one, hold, entry},
		"an organisation after a seal": {header, one, seal, two},
		"an entry after a seal":        {header, one, seal, entry},
		"nothing":                      {header, "{}\n"},
		"two on a line":                {header, strings.TrimSpace(one) + two},
		"something else":               {header, `{"gift":{}}` + "\n"},
	} {
		text := strings.Join(order, "")
		sum := sha256.Sum256([]byte(text))
		end, err := json.Marshal(exportLine{End: &exportEnd{SHA256: sum[:]}})
		require.NoError(t, err)
		require.ErrorContains(t, read([]byte(text+string(end)+"\n")), "line "+string(rune('0'+len(order))), name)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	text := copied(t, shelf{})
	dir := t.TempDir()
	plain, packed := filepath.Join(dir, "books.jsonl"), filepath.Join(dir, "books.jsonl.gz")
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	_, err := w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(plain, text, 0o600))
	require.NoError(t, os.WriteFile(packed, small.Bytes(), 0o600))
	for _, path := range []string{plain, packed} {
		require.Equal(t, text, copied(t, File(path)))
	}
	require.NoError(t, os.WriteFile(packed, small.Bytes()[:small.Len()-3], 0o600))
	for _, path := range []string{packed, filepath.Join(dir, "none"), filepath.Join(dir, "none.gz")} {
		require.Error(t, Export(t.Context(), File(path), &small))
	}
	require.NoError(t, os.WriteFile(packed, text, 0o600))
	require.ErrorIs(t, Export(t.Context(), File(packed), &small), gzip.ErrHeader)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Export(gone, File(plain), &small), context.Canceled)
}

// FuzzExport: whatever a file holds, it is refused or read as it was written.
func FuzzExport(f *testing.F) {
	var text bytes.Buffer
	if err := Export(context.Background(), shelf{}, &text); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Add(text.Bytes()[:300])
	f.Add([]byte(`{"export":{"format":"uaol ledger","version":1,"at":"2026-01-01T00:00:00Z","through":0}}` + "\n" + `{"end":{}}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Verify(context.Background(), inMemory(text), Options{}); err != nil {
			return
		}
		var back bytes.Buffer
		if err := Export(context.Background(), inMemory(text), &back); err != nil || !bytes.Equal(text, back.Bytes()) {
			t.Fatalf("%q was read as %q: %v", text, back.Bytes(), err)
		}
	})
}
