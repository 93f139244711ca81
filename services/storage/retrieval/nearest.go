package retrieval

import (
	"container/heap"
	"math"
	"slices"
)

// Nearest keeps, of all vectors that it sees, the ones nearest to a question's (exact
// cosine), so that no more of them are in memory than are wanted.
type Nearest[K any] struct {
	asked   []float32
	size    float64
	most    int
	compare func(a, b K) int // puts equals in an order
	kept    furthest[K]
}

type near[K any] struct {
	name   K
	cosine float64
}

// NewNearest makes a Nearest that keeps at most so many.
func NewNearest[K any](asked []float32, most int, compare func(a, b K) int) *Nearest[K] {
	n := &Nearest[K]{asked: asked, size: norm2(asked), most: most, compare: compare}
	n.kept.better = func(a, b near[K]) int {
		switch {
		case a.cosine > b.cosine:
			return -1
		case a.cosine < b.cosine:
			return 1
		}
		return compare(a.name, b.name)
	}
	return n
}

// See takes a vector into account. One of another length says nothing.
func (n *Nearest[K]) See(name K, vector []float32) {
	cosine, ok := cosine(n.asked, n.size, vector)
	if !ok {
		return
	}
	seen := near[K]{name, cosine}
	if len(n.kept.all) < n.most {
		heap.Push(&n.kept, seen)
		return
	}
	if n.most > 0 && n.kept.better(seen, n.kept.all[0]) < 0 {
		n.kept.all[0] = seen
		heap.Fix(&n.kept, 0)
	}
}

// Ranking gives the names of what was kept, the nearest first.
func (n *Nearest[K]) Ranking() []K {
	sorted := slices.SortedFunc(slices.Values(n.kept.all), n.kept.better)
	names := make([]K, len(sorted))
	for i, s := range sorted {
		names[i] = s.name
	}
	return names
}

func cosine(asked []float32, size float64, vector []float32) (float64, bool) {
	if len(vector) != len(asked) || size == 0 {
		return 0, false
	}
	dot, own := 0.0, 0.0
	for i, x := range vector {
		dot += float64(x) * float64(asked[i])
		own += float64(x) * float64(x)
	}
	return dot / (size * math.Sqrt(own)), own > 0
}

// furthest is a heap with the furthest of all on top.
type furthest[K any] struct {
	all    []near[K]
	better func(a, b near[K]) int
}

func (f *furthest[K]) Len() int           { return len(f.all) }
func (f *furthest[K]) Less(i, j int) bool { return f.better(f.all[i], f.all[j]) > 0 }
func (f *furthest[K]) Swap(i, j int)      { f.all[i], f.all[j] = f.all[j], f.all[i] }
func (f *furthest[K]) Push(x any)         { f.all = append(f.all, x.(near[K])) }
func (f *furthest[K]) Pop() any {
	last := f.all[len(f.all)-1]
	f.all = f.all[:len(f.all)-1]
	return last
}
