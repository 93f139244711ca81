package retrieval

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// Candidate is a passage that may answer a question, as far as ranking needs it.
type Candidate struct {
	ID     int64
	Terms  []string // of its text
	Above  []string // of its headings and of its file's name
	Vector []float32
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
	if len(candidates) == 0 || corpus.Passages == 0 {
		return nil
	}
	length := math.Max(float64(corpus.Terms)/float64(corpus.Passages), 1)
	weights := make([]float64, len(asked))
	for i, forms := range asked {
		having := int64(0)
		for _, form := range forms {
			having = max(having, corpus.Having[form])
		}
		weights[i] = math.Log(1 + (float64(corpus.Passages)-float64(having)+0.5)/(float64(having)+0.5))
	}
	scores := make([]scored, 0, len(candidates))
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
	return ranked(scores)
}

// ByMeaning ranks candidates by how near their vectors are to a question's (cosine).
func ByMeaning(asked []float32, candidates []Candidate) []int64 {
	size := norm2(asked)
	scores := make([]scored, 0, len(candidates))
	for _, c := range candidates {
		if len(c.Vector) != len(asked) || size == 0 {
			continue
		}
		dot, own := 0.0, 0.0
		for i, x := range c.Vector {
			dot += float64(x) * float64(asked[i])
			own += float64(x) * float64(x)
		}
		if own > 0 {
			scores = append(scores, scored{c.ID, dot / (size * math.Sqrt(own))})
		}
	}
	return ranked(scores)
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

// ranked gives ids, the best first; equals by their ids, so that the same question has
// the same answer.
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

// Packed writes a vector as the database keeps it.
func Packed(v []float32) []byte {
	packed := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(packed[4*i:], math.Float32bits(x))
	}
	return packed
}

// Unpacked reads what Packed wrote; nil for nothing.
func Unpacked(packed []byte) []float32 {
	if len(packed) == 0 || len(packed)%4 != 0 {
		return nil
	}
	v := make([]float32, len(packed)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(packed[4*i:]))
	}
	return v
}
