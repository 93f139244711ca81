package retrieval_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/embeddings/embeddingstest"
	"uaol/services/storage/retrieval"
)

// depth is how many passages of each ranking are put together, as when documents are
// searched.
const depth = 100

// figures are what a way of finding comes to.
type figures struct {
	hits, sum float64 // among the first five; of 1/place
	n         float64
}

func (f *figures) add(place int) {
	f.n++
	if place > 0 {
		f.sum += 1 / float64(place)
	}
	if place > 0 && place <= 5 {
		f.hits++
	}
}

func (f *figures) rate() float64 { return f.hits / f.n }
func (f *figures) mrr() float64  { return f.sum / f.n }

// embed gives each passage a vector of its headings and its text, and the questions
// theirs.
func (l *library) embed(t testing.TB, questions []question) [][]float32 {
	t.Helper()
	model := embeddingstest.Client(t)
	texts := make([]string, len(l.passages))
	for i, p := range l.passages {
		for _, h := range p.Heading {
			texts[i] += h + "\n"
		}
		texts[i] += p.Text
	}
	vectors, err := model.Embed(t.Context(), texts)
	require.NoError(t, err)
	l.vectors = vectors
	texts = texts[:0]
	for _, q := range questions {
		texts = append(texts, q.Question)
	}
	vectors, err = model.Embed(t.Context(), texts)
	require.NoError(t, err)
	return vectors
}

func (l *library) byMeaning(asked []float32) []int64 {
	near := retrieval.NewNearest(asked, len(l.vectors), cmp.Compare[int64])
	for i, v := range l.vectors {
		near.See(int64(i), v)
	}
	return near.Ranking()
}

// TestVectorsFind measures what a real model adds to words: both together find what
// either finds, over all questions, and most of what the better one does of each kind.
func TestVectorsFind(t *testing.T) {
	t.Parallel()
	l, questions := openLibrary(t), readQuestions(t)
	vectors := l.embed(t, questions)
	table := map[string]map[string]*figures{}
	ways := []string{"full text", "vectors", "both"}
	for _, way := range ways {
		table[way] = map[string]*figures{"shared": {}, "paraphrased": {}, "all": {}}
	}
	for i, q := range questions {
		asked := retrieval.Asked(q.Question)
		meaning := l.byMeaning(vectors[i])
		for way, ranking := range map[string][]int64{
			"full text": retrieval.ByWords(asked, l.all, l.corpus),
			"vectors":   meaning,
			"both":      retrieval.Together(first(retrieval.BySureWords(asked, l.all, l.corpus)), first(meaning)),
		} {
			place := l.place(q, ranking)
			table[way][q.Kind].add(place)
			table[way]["all"].add(place)
		}
	}
	kinds := []string{"shared", "paraphrased", "all"}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-10s", "")
	for _, kind := range kinds {
		fmt.Fprintf(&b, " | %-20s", fmt.Sprintf("%s (%.0f)", kind, table["both"][kind].n))
	}
	for _, way := range ways {
		fmt.Fprintf(&b, "\n%-10s", way)
		for _, kind := range kinds {
			fmt.Fprintf(&b, " | %.3f @5, MRR %.3f", table[way][kind].rate(), table[way][kind].mrr())
		}
	}
	t.Log(b.String())

	require.GreaterOrEqual(t, table["full text"]["shared"].rate(), 0.80)
	for _, way := range ways[:2] {
		require.GreaterOrEqual(t, table["both"]["all"].rate(), table[way]["all"].rate(), "both beside %s alone", way)
		require.GreaterOrEqual(t, table["both"]["all"].mrr(), table[way]["all"].mrr(), "both beside %s alone", way)
	}
	for _, kind := range kinds[:2] {
		better := max(table["full text"][kind].rate(), table["vectors"][kind].rate())
		require.GreaterOrEqual(t, table["both"][kind].rate(), 0.9*better, kind)
	}
}

func first(ranking []int64) []int64 { return ranking[:min(len(ranking), depth)] }
