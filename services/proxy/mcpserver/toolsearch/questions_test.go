package toolsearch_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// question is one of testdata/questions.json.
type question struct {
	ID       string   `json:"id"`
	Kind     string   `json:"kind"` // of kinds
	Question string   `json:"question"`
	Method   string   `json:"method"` // server/method
	Also     []string `json:"also,omitempty"`
}

// kinds of questions: a few words; a sentence with particulars, as one says it to an
// assistant; and other words than the method's name has, but for a third of them.
var kinds = []string{"short", "sentence", "other"}

const (
	drawn     = 180 // questions
	perServer = 12  // of them at most
	leastOf   = 2   // of each server, if it has so many methods
)

// draw chooses the methods that are asked for, and how, by a digest of their names.
func draw(all []listed) (chosen []question) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b listed) int { return cmp.Compare(lot(name(a)), lot(name(b))) })
	of, taken := map[string]int{}, map[string]bool{}
	for _, most := range []int{leastOf, perServer} {
		for _, m := range all {
			if of[m.Server] < most && !taken[name(m)] && len(chosen) < drawn {
				chosen = append(chosen, question{Method: name(m), Kind: kinds[len(chosen)%len(kinds)]})
				of[m.Server]++
				taken[name(m)] = true
			}
		}
	}
	return chosen
}

func name(m listed) string { return m.Server + "/" + m.Tool.Name }

func lot(text string) string {
	sum := sha256.Sum256([]byte("toolsearch 1 " + text))
	return hex.EncodeToString(sum[:])
}

// held reports the half of the questions that nobody looks at while the ranking is
// made.
func (q question) held() bool { return lot(q.ID) >= "8" }

func readQuestions(t *testing.T) (all []question) {
	t.Helper()
	text, err := os.ReadFile("testdata/questions.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

// TestQuestions holds what testdata/README.md says of the questions.
func TestQuestions(t *testing.T) {
	ids, asked, of := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, q := range readQuestions(t) {
		assert.Regexp(t, `^q\d{3}$`, q.ID)
		assert.False(t, ids[q.ID], "%s stands twice", q.ID)
		assert.False(t, asked[q.Question], "%s asks what another asks", q.ID)
		ids[q.ID], asked[q.Question] = true, true
		server, method, ok := strings.Cut(q.Method, "/")
		assert.True(t, ok, q.ID)
		of[server]++
		said := words(q.Question)
		switch q.Kind {
		case "short":
			assert.LessOrEqual(t, len(strings.Fields(q.Question)), 6, "%s: %s", q.ID, q.Question)
		case "sentence":
			assert.GreaterOrEqual(t, len(said), 7, "%s: %s", q.ID, q.Question)
		case "other":
			own := slices.DeleteFunc(words(method), func(word string) bool { return slices.Contains(words(server), word) })
			var shared []string
			for _, word := range own {
				if slices.ContainsFunc(said, func(other string) bool { return alike(word, other) }) {
					shared = append(shared, word)
				}
			}
			assert.LessOrEqual(t, 3*len(shared), len(own), "%s: %s has %s of %s", q.ID, q.Question, shared, method)
		default:
			assert.Fail(t, "no kind", "%s: %s", q.ID, q.Kind)
		}
	}
	assert.GreaterOrEqual(t, len(ids), 150)
	for server, n := range of {
		assert.LessOrEqual(t, n, perServer, server)
	}
}

// TestQuestionsAreDrawn: what is asked for, and how, was drawn and not chosen.
func TestQuestionsAreDrawn(t *testing.T) {
	if os.Getenv("UAOL_TEST_SEARCH") == "" {
		t.Skip("UAOL_TEST_SEARCH is not set: no servers are started")
	}
	all := listAll(t)
	known := map[string]bool{}
	for _, m := range all {
		known[name(m)] = true
	}
	questions := readQuestions(t)
	for i, want := range draw(all) {
		require.Less(t, i, len(questions))
		q := questions[i]
		assert.Equal(t, want, question{Method: q.Method, Kind: q.Kind}, q.ID)
		for _, other := range q.Also {
			assert.True(t, known[other], "%s: no server has %s", q.ID, other)
		}
	}
}

// words of a text or a name, in lower case.
func words(text string) (all []string) {
	var word []rune
	flush := func() {
		if len(word) > 0 {
			all = append(all, strings.ToLower(string(word)))
		}
		word = nil
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			continue
		}
		if unicode.IsUpper(r) && len(word) > 0 && unicode.IsLower(word[len(word)-1]) {
			flush()
		}
		word = append(word, r)
	}
	flush()
	return all
}

// alike reports whether two words of three letters or more begin alike, one as the
// other or both with the same five letters.
func alike(a, b string) bool {
	n := min(len(a), len(b), 5)
	return n >= 3 && a[:n] == b[:n]
}
