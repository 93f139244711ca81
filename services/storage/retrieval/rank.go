package retrieval

import (
	"cmp"
	"math"
	"slices"
)

// Candidate is a passage that may answer a question, as far as ranking needs it.
type Candidate struct {
	ID    int64
	Terms []string // of its text
	Above []string // of its headings and of its file's name
}

// Corpus is what is known of all passages among which the candidates are.
type Corpus struct {
	Passages int64
	Terms    int64            // of all passages together
	Having   map[string]int64 // passages that a term is in
}

// Of BM25 (Robertson and Zaragoza, 2009): how soon more of a term counts no more, and
// how much longer passages are held to their length. A term of a heading counts as
// two of the text.
const (
	k1    = 1.2
	b     = 0.6
	above = 2
)

// ByWords ranks candidates by the words that they share with a question (BM25); those
// that share none are left out. A word's forms count as one.
func ByWords(asked [][]string, candidates []Candidate, corpus Corpus) []int64 {
	scores, _ := byWords(asked, candidates, corpus)
	return ranked(scores)
}

// fair is the part of the score that a passage could have at most, with each word of the
// question that any has over and over, from which on its place says something. From 0.15
// to 0.3 it makes little difference (docs/architecture.md).
const fair = 0.2

// BySureWords is ByWords without the passages that share too little of the question, such
// as a common word of eight. Where words are all there is to go by these do no harm, but
// put together with others their places would count as much as those of passages that
// are found by their meaning. The first one stays: it may be the only one with a name or
// a number that was asked for.
func BySureWords(asked [][]string, candidates []Candidate, corpus Corpus) []int64 {
	scores, most := byWords(asked, candidates, corpus)
	ids := ranked(scores) // sorts them
	for i, s := range scores {
		if i > 0 && s.score < fair*most {
			return ids[:i]
		}
	}
	return ids
}

// byWords also gives the score that no passage exceeds.
func byWords(asked [][]string, candidates []Candidate, corpus Corpus) (scores []scored, most float64) {
	if len(candidates) == 0 || corpus.Passages == 0 {
		return nil, 0
	}
	length := math.Max(float64(corpus.Terms)/float64(corpus.Passages), 1)
	weights := make([]float64, len(asked))
	for i, forms := range asked {
		having := int64(0)
		for _, form := range forms {
			having = max(having, corpus.Having[form])
		}
		weights[i] = math.Log(1 + (float64(corpus.Passages)-float64(having)+0.5)/(float64(having)+0.5))
		if having > 0 { // what no passage has tells none from another
			most += weights[i] * (k1 + 1)
		}
	}
	scores = make([]scored, 0, len(candidates))
	for _, c := range candidates {
		counts := make(map[string]float64, len(c.Terms))
		for _, term := range c.Terms {
			counts[term]++
		}
		for _, term := range c.Above {
			counts[term] += above
		}
		sum, held := 0.0, k1*(1-b+b*float64(len(c.Terms))/length)
		for i, forms := range asked {
			n := 0.0
			for _, form := range forms {
				n = max(n, counts[form])
			}
			sum += weights[i] * n * (k1 + 1) / (n + held)
		}
		if sum > 0 {
			scores = append(scores, scored{c.ID, sum})
		}
	}
	return scores, most
}

func norm2(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// rrf is the constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009):
// how little the first places of one list count more than the next.
const rrf = 60

// Together makes one ranking of several, by the places that things have in each.
func Together(rankings ...[]int64) []int64 {
	sums := map[int64]float64{}
	for _, ranking := range rankings {
		for place, id := range ranking {
			sums[id] += 1 / float64(rrf+place+1)
		}
	}
	scores := make([]scored, 0, len(sums))
	for id, sum := range sums {
		scores = append(scores, scored{id, sum})
	}
	return ranked(scores)
}

type scored struct {
	id    int64
	score float64
}

// ranked sorts, and gives ids, the best first; equals by their ids, so that the same
// question has the same answer.
func ranked(scores []scored) []int64 {
	slices.SortFunc(scores, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
	})
	ids := make([]int64, len(scores))
	for i, s := range scores {
		ids[i] = s.id
	}
	return ids
}
