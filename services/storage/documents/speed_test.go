package documents

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// prosePDF has pages of 50 lines, about 4,000 letters each.
func prosePDF(pages int) []byte {
	words := strings.Fields("the of and to in is was that for it with as his on be at by had not are but from or have an they which one you were all her she there would their we him been has when who will no more if out so up said what its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many fore before must through back years where much your way well down should because each just those people how too little state good very make world still see own work men day get here old life both between being under never same another know while last might us great since off come")
	random := rand.New(rand.NewPCG(1, 2))
	var all []pdfPage
	for n := range pages {
		var b strings.Builder
		for line := range 50 {
			var text []string
			for size := 0; size < 78; size += len(text[len(text)-1]) + 1 {
				text = append(text, words[random.IntN(len(words))])
			}
			b.WriteString(strings.Replace(pdfLine(40, 750-14*line, strings.Join(text, " ")), "/F 12", "/F 10", 1))
		}
		b.WriteString(pdfLine(300, 20, fmt.Sprint("Page ", n+1)))
		all = append(all, pdfPage{content: b.String()})
	}
	return makePDF(all...)
}

// TestBesidePdftotext reads a PDF of 100 pages as often as poppler does, in turns, and
// compares how many pages each reads in a second: ours through the whole of Extract,
// warm; poppler's by running it, since that is how it is used.
func TestBesidePdftotext(t *testing.T) {
	poppler, err := exec.LookPath("pdftotext")
	if err != nil {
		require.Empty(t, os.Getenv("CI"), "CI has poppler-utils")
		t.Skip("pdftotext (poppler-utils) is not installed")
	}
	const pages, rounds = 100, 7
	content := prosePDF(pages)
	file := filepath.Join(t.TempDir(), "prose.pdf")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	e := extractor(t, nil)
	cold := time.Now()
	_, err = e.extract(t, "", content)
	require.NoError(t, err)
	t.Logf("the first file takes %s", time.Since(cold).Round(time.Millisecond))

	best := [2]time.Duration{time.Hour, time.Hour}
	var ours Document
	var theirs []byte
	for range rounds {
		began := time.Now()
		ours, err = e.Extract(t.Context(), bytes.NewReader(content), "", nil)
		best[0] = min(best[0], time.Since(began))
		require.NoError(t, err)
		began = time.Now()
		theirs, err = exec.Command(poppler, "-enc", "UTF-8", file, "-").Output()
		best[1] = min(best[1], time.Since(began))
		require.NoError(t, err)
	}
	require.Equal(t, strings.Fields(string(theirs)), strings.Fields(ours.Text()), "both say the same")
	rate := func(d time.Duration) float64 { return pages / d.Seconds() }
	used, _ := resident(e.pid(t))
	t.Logf("%.0f pages a second, pdftotext %.0f: %.2f of it; the process has %d MB", rate(best[0]), rate(best[1]), rate(best[0])/rate(best[1]), used>>20)
	require.Greater(t, rate(best[0])/rate(best[1]), 0.25)
	require.Less(t, used, int64(300<<20))
}

// BenchmarkPDF is the same for who looks for where the time goes.
func BenchmarkPDF(b *testing.B) {
	content := prosePDF(100)
	e := extractor(b, nil)
	_, err := e.extract(b, "", content)
	require.NoError(b, err)
	b.ResetTimer()
	for b.Loop() {
		_, err := e.extract(b, "", content)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "pages/s")
}
