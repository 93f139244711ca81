package retrieval_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services/storage/retrieval"
)

// library is the corpus in passages, all in memory.
type library struct {
	files    []string
	passages []retrieval.Passage
	all      []retrieval.Candidate
	corpus   retrieval.Corpus
	vectors  [][]float32 // of the passages
}

func openLibrary(t testing.TB) *library {
	t.Helper()
	l := &library{corpus: retrieval.Corpus{Having: map[string]int64{}}}
	entries, err := os.ReadDir("testdata/corpus")
	require.NoError(t, err)
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join("testdata/corpus", entry.Name()))
		require.NoError(t, err)
		for _, p := range retrieval.Passages(sections(string(text))) {
			c := retrieval.Candidate{ID: int64(len(l.all)), Terms: retrieval.Terms(p.Text), Above: retrieval.Terms(strings.Join(p.Heading, " ") + " " + entry.Name())}
			l.files, l.passages, l.all = append(l.files, entry.Name()), append(l.passages, p), append(l.all, c)
			l.corpus.Passages++
			l.corpus.Terms += int64(len(c.Terms))
			seen := map[string]bool{}
			for _, term := range append(slices.Clone(c.Terms), c.Above...) {
				if !seen[term] {
					seen[term] = true
					l.corpus.Having[term]++
				}
			}
		}
	}
	return l
}

// sections divides a text at its Markdown headings.
func sections(text string) (all []retrieval.Section) {
	var path []string
	var b strings.Builder
	flush := func() {
		all = append(all, retrieval.Section{Place: retrieval.Place{Heading: slices.Clone(path)}, Text: b.String()})
		b.Reset()
	}
	for _, line := range strings.Split(text, "\n") {
		if level := len(line) - len(strings.TrimLeft(line, "#")); level > 0 && strings.HasPrefix(line[level:], " ") {
			flush()
			path = append(path[:min(level-1, len(path))], strings.TrimSpace(line[level:]))
			continue
		}
		b.WriteString(line + "\n")
	}
	flush()
	return all
}

// place is the first place from 1 of a passage that answers, 0 for none.
func (l *library) place(q question, ranking []int64) int {
	for i, id := range ranking {
		for _, a := range q.places() {
			if l.files[id] == a.File && strings.Contains(spaced(l.passages[id].Text), spaced(a.Quote)) {
				return i + 1
			}
		}
	}
	return 0
}

func spaced(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestWordsFind: full text alone answers four of five questions that share words with
// their passage within five places.
func TestWordsFind(t *testing.T) {
	t.Parallel()
	l := openLibrary(t)
	hits, sums, n := map[string]int{}, map[string]float64{}, map[string]int{}
	for _, q := range readQuestions(t) {
		place := l.place(q, retrieval.ByWords(retrieval.Asked(q.Question), l.all, l.corpus))
		n[q.Kind]++
		if place > 0 {
			sums[q.Kind] += 1 / float64(place)
		}
		if place > 0 && place <= 5 {
			hits[q.Kind]++
		} else if q.Kind == "shared" {
			t.Logf("missed (%d): %s: %s", place, q.ID, q.Question)
		}
	}
	for _, kind := range []string{"shared", "paraphrased"} {
		t.Logf("%-12s %d questions, full text: hit rate at 5 %.3f, MRR %.3f", kind, n[kind], float64(hits[kind])/float64(n[kind]), sums[kind]/float64(n[kind]))
	}
	require.GreaterOrEqual(t, float64(hits["shared"])/float64(n["shared"]), 0.80)
}
