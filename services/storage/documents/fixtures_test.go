package documents

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what is found as what is expected")

// shown is a document as the files beside the fixtures have it.
func shown(d Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d pages, %d rows, %d columns\n", d.Type, d.Pages, d.Rows, d.Columns)
	for _, w := range d.Warnings {
		fmt.Fprintf(&b, "! %s\n", w)
	}
	for _, p := range d.Parts {
		fmt.Fprintf(&b, "== page %d, sheet %q, %q\n%s\n", p.Page, p.Sheet, p.Heading, p.Text)
	}
	return b.String()
}

// TestFixtures reads files that LibreOffice has written, of one text, one workbook and
// one presentation; what they say stands beside them.
func TestFixtures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/files/*")
	require.NoError(t, err)
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".txt") {
			continue
		}
		seen++
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			doc, err := read(t, "", content)
			require.NoError(t, err)
			if *update {
				require.NoError(t, os.WriteFile(file+".txt", []byte(shown(doc)), 0o600))
			}
			want, err := os.ReadFile(file + ".txt")
			require.NoError(t, err)
			require.Equal(t, string(want), shown(doc))
		})
	}
	require.Greater(t, seen, 9)
}
