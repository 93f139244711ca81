package pages

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/acceptance/world"
)

// write makes files of these names and contents, and gives their paths.
func write(t *testing.T, files ...string) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		at := filepath.Join(dir, files[i])
		require.NoError(t, os.WriteFile(at, []byte(files[i+1]), 0o600))
		paths = append(paths, at)
	}
	return paths
}

const handbook = "# Handbook\n\nWelcome to the company.\n\n## Holidays\n\nEverybody has thirty days of paid leave in a year.\n\n## Travel\n\nTrains are booked in second class.\n"

// TestFile: files are uploaded, read, found by what they say, opened at the page where it
// stands, renamed, handed to somebody by a URL, and removed.
func TestFile(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	tab.Go("/console/files")
	tab.Sees("main", "No files yet")
	sample, err := filepath.Abs("../../services/storage/documents/testdata/files/show.pptx")
	require.NoError(t, err)
	tab.Attach("#files", append(write(t, "handbook.md", handbook), sample)...)
	tab.Sees("main", "2 files are stored.", "handbook.md", "show.pptx")
	tab.Until(`document.querySelectorAll('[aria-labelledby=files-title] .badge.good').length == 2`)
	tab.Sees("main table", "2 pages")
	tab.Pictures("files")
	require.Equal(t, "show.pptx", ada.Do(t, http.MethodGet, "/storage/files", nil).Text("data.0.filename"), "the second one is the newest")
	require.Equal(t, "handbook.md", ada.Do(t, http.MethodGet, "/storage/files", nil).Text("data.1.filename"))
	require.Equal(t, "text/markdown", ada.Do(t, http.MethodGet, "/storage/files", nil).Text("data.1.contentType"))

	tab.Fill("#q", "chiffre deux")
	tab.Press("main", "Search")
	tab.Sees("main", "page 2")
	tab.Sees("mark", "deux")
	tab.Pictures("files-search")
	tab.Press("main .found", "show.pptx")
	tab.Until(`location.search == '?page=2' && location.hash == '#page-2'`)
	tab.Sees("main", "Page 2", "Les chiffres", "From the beginning")
	require.NotContains(t, tab.Text(".reading"), "Our plan", "page 1 is not shown")
	tab.Press("main", "From the beginning")
	tab.Sees(".reading", "Our plan", "Page 2")
	id := browser.Run[string](tab, `location.pathname.split('/').pop()`)
	tab.Go("/console/files/" + id + "#page-2")
	tab.Until(`document.querySelector('#page-2:target') != null`)

	tab.Go("/console/files/search?q=days+of+leave")
	tab.Press("main .found", "handbook.md")
	tab.Until(`document.querySelector(':target')?.innerText.includes('thirty days')`)
	tab.Fill("#filename", "rules.md")
	tab.Press("main", "Rename")
	tab.Sees("h1", "rules.md")
	tab.Press("main", "Read again")
	tab.Sees("main", "The file is being read once more.")
	tab.Sees(".reading", "Trains are booked")
	tab.Press("main", "Make the URL")
	signed := secret(tab, "Signed URL")
	anybody := world.New(signed).Do(t, http.MethodGet, "", nil)
	require.Equal(t, http.StatusOK, anybody.Status, anybody)
	require.Equal(t, handbook, string(anybody.Body))
	tab.Pictures("file")
	tab.Press("main", "Remove")
	sure(tab)
	tab.Sees("main", "The file is removed.")
	require.Nil(t, ada.Do(t, http.MethodGet, "/storage/files", nil).At("data.1"))
}

// TestUploadWithoutScripts: the form does it too, all at once.
func TestUploadWithoutScripts(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	tab.Scripts(false)
	tab.Go("/console/files")
	tab.Attach("#files", write(t, "a.txt", "one", "b.txt", "two")...)
	tab.Click("form[data-upload] button")
	tab.Scripts(true)
	tab.Sees("main", "2 files are stored.", "a.txt", "b.txt")
	require.Equal(t, "two", string(ada.Do(t, http.MethodGet, "/uploads/"+ada.Do(t, http.MethodGet, "/storage/files", nil).Text("data.0.fileId"), nil).Body))
}

// TestUploadRefused: a file that does not fit is told of beside its name, and the others
// are stored all the same.
func TestUploadRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, world.Settings{"UAOL_UPLOAD_MAX": "1MB"})
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	tab.Go("/console/files")
	tab.Attach("#files", write(t, "large.txt", strings.Repeat("x", 2<<20), "small.txt", "fits")...)
	tab.Sees(".sending", "large.txt: The file is larger than", "stored")
	tab.Until(`document.querySelectorAll('.sending [data-failed]').length == 1`)
	require.Equal(t, "small.txt", ada.Do(t, http.MethodGet, "/storage/files", nil).Text("data.0.filename"))
	require.Nil(t, ada.Do(t, http.MethodGet, "/storage/files", nil).At("data.1"))
	tab.Problems() // the browser tells of the 413
}

// TestUploadWaits where requests are limited, says so, and stores all that was chosen.
func TestUploadWaits(t *testing.T) {
	t.Parallel()
	b := setup(t, world.Settings{"RATE_LIMIT_PER_MINUTE": "60"})
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	tab.Go("/console/files")
	tab.Sees("main", "No files yet")
	for ada.Do(t, http.MethodGet, "/storage/files", nil).Status == http.StatusOK {
	}
	tab.Attach("#files", write(t, "one.txt", "1", "two.txt", "2", "three.txt", "3")...)
	tab.Sees(".sending", "requests are limited")
	tab.Sees("main", "3 files are stored.", "one.txt", "three.txt")
	tab.Problems() // the browser tells of each 429
}

// TestHostileFiles: whatever a file is, nothing of it runs where the console is.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	client := b.cookies(t, ada)
	const script = `<script>window.taken=1;fetch('/console')</script>`
	for name, want := range map[string]struct{ content, kind, how string }{
		"page.html":   {"<!doctype html><html><body>" + script, "application/octet-stream", "attachment"},
		"image.svg":   {`<svg xmlns="http://www.w3.org/2000/svg">` + script + `</svg>`, "application/octet-stream", "attachment"},
		"feed.xml":    {`<?xml version="1.0"?><x xmlns="http://www.w3.org/1999/xhtml">` + script + `</x>`, "application/octet-stream", "attachment"},
		"program.js":  {"window.taken = 1", "text/plain", "inline"},
		"text.txt":    {"just text " + script, "", ""},
		"a\"b;c.txt":  {"a name", "text/plain", "inline"},
		"picture.png": {"\x89PNG\r\n\x1a\n" + script, "image/png", "inline"},
	} {
		stored := ada.Do(t, http.MethodPost, "/storage/upload", object{"filename": name, "contentType": "text/plain", "data": []byte(want.content)})
		require.Equal(t, http.StatusOK, stored.Status, stored)
		id := stored.Text("data.fileId")
		for query, how := range map[string]string{"": want.how, "?download=yes": "attachment"} {
			answer, err := client.Get(b.world.Gateway + "/console/files/" + id + "/content" + query)
			require.NoError(t, err)
			answer.Body.Close()
			require.Equal(t, http.StatusOK, answer.StatusCode)
			policy := answer.Header.Get("Content-Security-Policy")
			require.Contains(t, policy, "sandbox", name)
			require.Contains(t, policy, "default-src 'none'", name)
			require.NotContains(t, policy, "allow-scripts", name)
			require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"))
			shown := strings.HasPrefix(answer.Header.Get("Content-Disposition"), "inline")
			require.False(t, shown && (strings.Contains(answer.Header.Get("Content-Type"), "html") || strings.Contains(answer.Header.Get("Content-Type"), "xml")), name)
			if how != "" {
				require.True(t, strings.HasPrefix(answer.Header.Get("Content-Disposition"), how), "%s%s: %s", name, query, answer.Header.Get("Content-Disposition"))
			}
			if want.kind != "" && query == "" {
				require.True(t, strings.HasPrefix(answer.Header.Get("Content-Type"), want.kind), "%s: %s", name, answer.Header.Get("Content-Type"))
			}
		}
	}
	tab := b.enter(t, ada)
	for i := range 7 {
		id := ada.Do(t, http.MethodGet, "/storage/files", nil).Text("data." + string(rune('0'+i)) + ".fileId")
		tab.Go("/console/files/" + id)
		tab.Until(`document.readyState == 'complete'`)
		require.Nil(t, browser.Run[any](tab, `window.taken ?? null`))
	}

	stranger := b.cookies(t, b.somebody(t))
	id := ada.Do(t, http.MethodGet, "/storage/files", nil).Text("data.0.fileId")
	for _, part := range []string{"", "/content", "/text"} {
		answer, err := stranger.Get(b.world.Gateway + "/console/files/" + id + part)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusNotFound, answer.StatusCode, part)
	}
}
