package retrieval_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/cases"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

type place struct {
	File  string `json:"file"`
	Quote string `json:"quote"`
}

type question struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Question string `json:"question"`
	place
	Also []place `json:"also,omitempty"`
}

func (q question) places() []place { return append([]place{q.place}, q.Also...) }

// A measurement means something only as far as its questions do. These tests
// hold what testdata/README.md says of them.

func TestQuestionsAreEnough(t *testing.T) {
	questions, perFile, paraphrased := readQuestions(t), map[string]int{}, 0
	for _, q := range questions {
		perFile[q.File]++
		if q.Kind == "paraphrased" {
			paraphrased++
		}
	}
	t.Logf("%d questions, %d of them paraphrased", len(questions), paraphrased)
	assert.GreaterOrEqual(t, len(questions), 200)
	assert.GreaterOrEqual(t, 3*paraphrased, len(questions), "a third is paraphrased")
	corpus := readCorpus(t)
	assert.GreaterOrEqual(t, len(corpus), 24)
	for file, text := range corpus {
		assert.GreaterOrEqual(t, perFile[file], 4, "questions on %s", file)
		words := len(strings.Fields(text))
		assert.True(t, 300 <= words && words <= 1500, "%s has %d words", file, words)
	}
}

func TestQuestionsAreDistinct(t *testing.T) {
	ids, asked := map[string]bool{}, map[string]bool{}
	for _, q := range readQuestions(t) {
		assert.Regexp(t, `^q\d{3}$`, q.ID)
		assert.False(t, ids[q.ID], "%s stands twice", q.ID)
		assert.False(t, asked[q.Question], "%s asks what another asks", q.ID)
		assert.Contains(t, []string{"shared", "paraphrased"}, q.Kind, q.ID)
		ids[q.ID], asked[q.Question] = true, true
	}
}

// A quote in two places would count a wrong passage as a hit.
func TestQuotesStandInTheirPlaceOnly(t *testing.T) {
	corpus := readCorpus(t)
	for _, q := range readQuestions(t) {
		named := map[string]bool{}
		for _, p := range q.places() {
			named[p.File] = true
			require.Contains(t, corpus, p.File, q.ID)
			assert.Equal(t, 1, strings.Count(corpus[p.File], p.Quote), "%s: %q in %s", q.ID, p.Quote, p.File)
			n := utf8.RuneCountInString(p.Quote)
			assert.True(t, 20 <= n && n <= 200, "%s: %q has %d characters", q.ID, p.Quote, n)
			assert.NotContains(t, p.Quote, "\n", q.ID)
		}
		for file, text := range corpus {
			for _, p := range q.places() {
				assert.False(t, !named[file] && strings.Contains(text, p.Quote), "%s: %q is in %s too", q.ID, p.Quote, file)
			}
		}
	}
}

// Nor may they be made of the quote's words alone, which no one who does not
// know the passage would ask.
func TestSharedQuestionsShareAWordAndAreNoCopies(t *testing.T) {
	for _, q := range readQuestions(t) {
		if q.Kind == "shared" {
			found := common(q.Question, q.Quote, sameStem)
			assert.NotEmpty(t, found, "%s: %s", q.ID, q.Question)
			assert.NotEqual(t, contentWords(q.Question), found, "%s: %s", q.ID, q.Question)
		}
	}
}

// The whole sentences around a quote are looked at, and a word that begins
// another counts as shared: a search for words must have nothing to hold on to.
func TestParaphrasedQuestionsShareNone(t *testing.T) {
	corpus := readCorpus(t)
	for _, q := range readQuestions(t) {
		if q.Kind != "paraphrased" {
			continue
		}
		for _, p := range q.places() {
			sentences := widen(corpus[p.File], p.Quote)
			assert.Empty(t, common(q.Question, sentences, related), "%s: %s / %s", q.ID, q.Question, sentences)
		}
	}
}

func TestWordsAreCompared(t *testing.T) {
	for _, c := range []struct {
		a, b           string
		sameStem, akin bool
	}{
		{"The rooms", "a ROOM", false, true},
		{"Gebühren", "gebuhr", true, true},
		{"recorded", "recordings", true, true},
		{"working", "works", false, false},
		{"worked", "work", false, true},
		{"of the many", "of the many", false, false},
		{"60 days", "6 hours", false, false},
	} {
		assert.Equal(t, c.sameStem, len(common(c.a, c.b, sameStem)) > 0, "%s / %s", c.a, c.b)
		assert.Equal(t, c.akin, len(common(c.a, c.b, related)) > 0, "%s / %s", c.a, c.b)
	}
	text := "One. Two three, four.\nFive? Six."
	assert.Equal(t, "Two three, four.", widen(text, "three"))
	assert.Equal(t, "Five? Six.", widen(text, "ve? S"))
}

func readQuestions(t *testing.T) []question {
	t.Helper()
	data, err := os.ReadFile("testdata/questions.jsonl")
	require.NoError(t, err)
	var all []question
	for i, line := range bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
		var q question
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&q), "line %d", i+1)
		_, err := d.Token()
		require.ErrorIs(t, err, io.EOF, "line %d holds one question", i+1)
		all = append(all, q)
	}
	return all
}

func readCorpus(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/corpus/*")
	require.NoError(t, err)
	corpus := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, utf8.Valid(data), path)
		corpus[filepath.Base(path)] = string(data)
	}
	return corpus
}

var sentenceEnd = regexp.MustCompile(`[.!?] |\n`)

// widen returns the sentences of text that quote touches.
func widen(text, quote string) string {
	from := strings.Index(text, quote)
	to := from + len(quote)
	start, end := 0, len(text)
	for _, at := range sentenceEnd.FindAllStringIndex(text, -1) {
		if at[1] <= from {
			start = at[1]
		}
		// The mark that ends the quote ends its sentence as well.
		if at[0]+1 >= to {
			end = at[0] + 1
			break
		}
	}
	return strings.TrimSpace(text[start:end])
}

// common lists the content words of a that are alike to one of b.
func common(a, b string, alike func(v, w string) bool) []string {
	var found []string
	inB := contentWords(b)
	for _, v := range contentWords(a) {
		if slices.ContainsFunc(inB, func(w string) bool { return alike(v, w) }) {
			found = append(found, v)
		}
	}
	return found
}

func contentWords(s string) []string {
	words := strings.FieldsFunc(fold(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.DeleteFunc(words, func(w string) bool {
		// One letter is what an apostrophe leaves, as in l'eau or the cook's.
		return stopWords[w] || len(w) == 1 && w[0] > '9'
	})
}

func fold(s string) string {
	strip := transform.Chain(cases.Fold(), norm.NFKD, runes.Remove(runes.In(unicode.Mn)))
	folded, _, err := transform.String(strip, s)
	if err != nil {
		panic(err) // these transformers fail on nothing
	}
	return folded
}

func sameStem(v, w string) bool { return stem(v) == stem(w) }

func stem(w string) string {
	if r := []rune(w); len(r) >= 5 {
		return string(r[:5])
	}
	return w
}

// related is stricter than sameStem: day is related to days. Numbers are not
// related by how they begin.
func related(v, w string) bool {
	if len(v) > len(w) {
		v, w = w, v
	}
	return sameStem(v, w) || len(v) >= 3 && !unicode.IsDigit(rune(v[0])) && strings.HasPrefix(w, v)
}
