package storage

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/embeddings/embeddingstest"
	"uaol/services"
	"uaol/services/storage/library"
)

// TestQuestionsAreAnswered asks the questions that ranking is measured with of the
// whole way: files that are uploaded, read, divided and searched in the database.
// Retrieval without vectors has to answer four of five that share words with their
// passage within five places.
func TestQuestionsAreAnswered(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	b.reads(t)
	b.corpus(t, ada)
	shared := b.measure(t, ada, "shared")
	t.Logf("%s questions with shared words, of files in the database: words find %s", shared.count(), shared)
	require.GreaterOrEqual(t, shared.rate(), 0.80)
}

// TestQuestionsAreAnsweredByMeaning goes the same way with vectors of a real model: then
// more of all questions are answered than by words.
func TestQuestionsAreAnsweredByMeaning(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	b.reads(t)
	b.corpus(t, ada)
	words := b.measure(t, ada, "")
	model := embeddingstest.Client(t)
	b.embeds(t, model)
	b.embedded(t, model.Model())
	both := b.measure(t, ada, "")
	t.Logf("%s questions, of files in the database: words find %s, with vectors %s", both.count(), words, both)
	require.Greater(t, both.rate(), words.rate())
	require.Greater(t, both.mrr(), words.mrr())
}

// corpus uploads the documents that the questions are about.
func (b *bench) corpus(t testing.TB, owner services.Caller) {
	t.Helper()
	files, err := filepath.Glob("retrieval/testdata/corpus/*")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 24)
	for _, path := range files {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		_, d := b.read(t, owner, filepath.Base(path), string(content))
		require.Equal(t, library.Read, d.Status, path)
	}
}

// figures are how many questions were answered within five places, and where.
type figures struct{ hits, n, sum float64 }

func (f figures) rate() float64  { return f.hits / f.n }
func (f figures) mrr() float64   { return f.sum / f.n }
func (f figures) count() string  { return fmt.Sprintf("%.0f", f.n) }
func (f figures) String() string { return fmt.Sprintf("%.3f at 5, MRR %.3f", f.rate(), f.mrr()) }

// measure asks the questions of a kind; "" for all.
func (b *bench) measure(t testing.TB, caller services.Caller, kind string) (f figures) {
	t.Helper()
	questions, err := os.Open("retrieval/testdata/questions.jsonl")
	require.NoError(t, err)
	defer questions.Close()
	for lines := bufio.NewScanner(questions); lines.Scan(); {
		var q struct {
			Kind, Question, File, Quote string
			Also                        []struct{ File, Quote string }
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &q))
		if kind != "" && q.Kind != kind {
			continue
		}
		q.Also = append(q.Also, struct{ File, Quote string }{q.File, q.Quote})
		found, err := b.library.Search(t.Context(), caller, library.Question{Query: q.Question, Limit: 5})
		require.NoError(t, err)
		f.n++
		for i, p := range found {
			answers := false
			for _, a := range q.Also {
				answers = answers || p.Filename == a.File && strings.Contains(spaced(p.Text), spaced(a.Quote))
			}
			if answers {
				f.hits, f.sum = f.hits+1, f.sum+1/float64(i+1)
				break
			}
		}
	}
	return f
}

func spaced(text string) string { return strings.Join(strings.Fields(text), " ") }
