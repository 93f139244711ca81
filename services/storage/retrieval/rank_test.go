package retrieval_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services/storage/retrieval"
)

// TestSureWords: a passage with one of a question's words stands among those that are
// found by meaning only when it is the best there is.
func TestSureWords(t *testing.T) {
	t.Parallel()
	texts := []string{
		"The pump stops when the valve sticks",
		"Press the red button until the pump stops, open the valve and wait for the lamp",
		"Error Z-4711 tells of a pump",
		"Somebody stops by for lunch",
		"The red tape of the contract",
	}
	corpus := retrieval.Corpus{Passages: int64(len(texts)), Having: map[string]int64{}}
	var all []retrieval.Candidate
	for i, text := range texts {
		terms := retrieval.Terms(text)
		all = append(all, retrieval.Candidate{ID: int64(i), Terms: terms})
		corpus.Terms += int64(len(terms))
		seen := map[string]bool{}
		for _, term := range terms {
			if !seen[term] {
				corpus.Having[term]++
				seen[term] = true
			}
		}
	}
	asked := retrieval.Asked("which button stops the pump when a valve sticks and the red lamp blinks")
	require.Len(t, retrieval.ByWords(asked, all, corpus), 5, "whoever shares a word")
	require.ElementsMatch(t, []int64{0, 1}, retrieval.BySureWords(asked, all, corpus))
	asked = retrieval.Asked("our customers abroad complain about " + strings.Repeat("wonderful gadgets ", 9) + " that display Z-4711")
	require.Equal(t, []int64{2}, retrieval.BySureWords(asked, all, corpus), "the only one with what was asked for")
	require.Empty(t, retrieval.BySureWords(retrieval.Asked("unheard"), all, corpus))
	require.Empty(t, retrieval.BySureWords(asked, nil, corpus))
}
