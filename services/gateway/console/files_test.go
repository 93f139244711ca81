package console

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// TestAsFile: only what runs nothing is shown, and nothing else says what it is.
func TestAsFile(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		contentType, disposition string
		show                     bool
		wantType, want           string
	}{
		{"image/png", `inline; filename=a.png`, true, "image/png", `inline; filename=a.png`},
		{"image/png", `inline; filename=a.png`, false, "application/octet-stream", `attachment; filename=a.png`},
		{"text/plain; charset=utf-8", `inline; filename="a b.txt"`, true, "text/plain; charset=utf-8", `inline; filename="a b.txt"`},
		{"application/pdf", `attachment; filename*=utf-8''%C3%BC.pdf`, true, "application/pdf", `inline; filename*=utf-8''%C3%BC.pdf`},
		{"text/html; charset=utf-8", `attachment; filename=a.html`, true, "application/octet-stream", `attachment; filename=a.html`},
		{"image/svg+xml", `inline`, true, "application/octet-stream", `attachment`},
		{"TEXT/HTML", `inline`, true, "application/octet-stream", `attachment`},
		{"text/plain;;", `inline`, true, "application/octet-stream", `attachment`},
		{"", ``, true, "application/octet-stream", `attachment`},
	} {
		header := http.Header{"Content-Type": {row.contentType}, "Content-Disposition": {row.disposition}, "Content-Security-Policy": {policy}}
		asFile(header, row.show)
		require.Equal(t, row.wantType, header.Get("Content-Type"), row)
		require.Equal(t, row.want, header.Get("Content-Disposition"), row)
		require.Equal(t, []string{filePolicy}, header.Values("Content-Security-Policy"))
	}
	require.Contains(t, filePolicy, "sandbox")
	require.NotContains(t, filePolicy, "allow")
}

func TestMarked(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text, query string
		want        []stretch
	}{
		{"Everybody has paid leave.", "How much PAID leave?", []stretch{{"Everybody has ", false}, {"paid", true}, {" ", false}, {"leave", true}, {".", false}}},
		{"Leaves fall", "leave", []stretch{{"Leaves", true}, {" fall", false}}},
		{"is it so", "is it so", []stretch{{"is it so", false}}},
		{"Grüße aus Köln", "KÖLN", []stretch{{"Grüße aus ", false}, {"Köln", true}}},
		{"", "word", nil},
		{"text", "", []stretch{{"text", false}}},
	} {
		require.Equal(t, row.want, marked(row.text, row.query), row)
	}
}

// FuzzMarked: whatever is marked, the text stays what it is.
func FuzzMarked(f *testing.F) {
	f.Add("Everybody has thirty days.", "thirty days")
	f.Add("İstanbul ǅ ß", "İ ǆ SS")
	f.Add("\xff\xfe", "\xff")
	f.Fuzz(func(t *testing.T, text, query string) {
		var b strings.Builder
		for _, s := range marked(text, query) {
			require.NotEmpty(t, s.Text)
			require.True(t, !s.Marked || utf8.ValidString(s.Text))
			b.WriteString(s.Text)
		}
		require.Equal(t, text, b.String())
	})
}

// TestByPage: passages that stand on one page or sheet are shown together.
func TestByPage(t *testing.T) {
	t.Parallel()
	pages := byPage([]passage{{Ordinal: 0, Page: 1}, {Ordinal: 1, Page: 1}, {Ordinal: 2, Page: 3}, {Ordinal: 3, Sheet: "a"}, {Ordinal: 4, Sheet: "b"}})
	require.Len(t, pages, 4)
	require.Len(t, pages[0].Passages, 2)
	require.Equal(t, []int{1, 3, 0, 0}, []int{pages[0].Page, pages[1].Page, pages[2].Page, pages[3].Page})
	require.Equal(t, "b", pages[3].Sheet)
	require.Empty(t, byPage(nil))
}

func TestPassage(t *testing.T) {
	t.Parallel()
	p := passage{File: "id", Ordinal: 7, Page: 3, Heading: []string{"Handbook", "Holidays"}}
	require.Equal(t, "page 3 › Handbook › Holidays", p.Where())
	require.Equal(t, "/console/files/id?page=3#page-3", p.Link())
	p = passage{File: "id", Ordinal: 7, Sheet: "2026"}
	require.Equal(t, "sheet 2026", p.Where())
	require.Equal(t, "/console/files/id?from=7#passage-7", p.Link())
	require.Empty(t, passage{}.Where())
}

func TestKind(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]string{
		"application/pdf": "PDF", "text/plain; charset=utf-8": "text", "text/markdown": "Markdown", "image/png": "PNG image",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel", "application/zip": "application/zip",
		"application/vnd.oasis.opendocument.text": "OpenDocument", "image/svg+xml": "XML",
	} {
		require.Equal(t, want, storedFile{ContentType: contentType}.Kind(), contentType)
	}
}

func TestStorageUsed(t *testing.T) {
	t.Parallel()
	for want, used := range map[int64]storageUsed{0: {Bytes: 5}, 50: {Bytes: 5, Limit: 10}, 100: {Bytes: 50, Limit: 10}} {
		require.Equal(t, want, used.Share())
	}
}
