package toolsearch

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// scratch is what a search counts in; all of it is zero in between.
type scratch struct {
	score, name   []float64 // by method: of all words
	best, nearest []float64 // of one word
	found, having []int32   // methods that have any word, and that one
	shares        []float64 // by tool: how much of its name was said
	tools         []int32   // that are meant
}

func newScratch(x *Index) *scratch {
	return &scratch{
		score: make([]float64, x.methods), name: make([]float64, x.methods),
		best: make([]float64, x.methods), nearest: make([]float64, x.methods),
		shares: make([]float64, len(x.ofTool)),
	}
}

// faint is what a method scores because its tool was named.
const faint = 0.3

// Search gives at most so many methods for what somebody wants, the likeliest first;
// equals in their order. Those that share no word with it are not among them.
func (x *Index) Search(query string, limit int) []Hit {
	if limit <= 0 || x.methods == 0 {
		return nil
	}
	s, _ := x.scratch.Get().(*scratch)
	defer x.scratch.Put(s)
	most, names := x.tools(s, query)
	for _, word := range x.asked(query, names) {
		x.look(s, word)
	}
	for _, tool := range s.tools {
		for _, method := range x.ofTool[tool] {
			s.add(method, faint)
		}
	}
	wanted := intentOf(query, false)
	hits := make([]Hit, 0, len(s.found))
	for _, method := range s.found {
		score := s.score[method] * (1 + covering*s.name[method])
		if most > 0 {
			score *= elsewhere + (1-elsewhere)*s.shares[x.toolOf[method]]/most
		}
		if own := x.intents[method]; own != unclear && wanted != unclear && own != wanted {
			score *= against
		}
		hits = append(hits, Hit{int(method), score})
		s.score[method], s.name[method] = 0, 0
	}
	for _, tool := range s.tools {
		s.shares[tool] = 0
	}
	s.found, s.tools = s.found[:0], s.tools[:0]
	return first(x.exactly(query, hits), limit)
}

func (s *scratch) add(method int32, score float64) {
	if s.score[method] == 0 {
		s.found = append(s.found, method)
	}
	s.score[method] += score
}

// tools finds which tools a query means by their names: s.tools and s.shares. It gives
// the largest of these shares, and the words of the names, which say nothing else then.
func (x *Index) tools(s *scratch, query string) (most float64, names map[string]bool) {
	said, before := map[string]bool{}, ""
	hear := func(word string) {
		if said[word] {
			return
		}
		said[word] = true
		for _, n := range x.called[word] {
			if s.shares[n.tool] == 0 {
				s.tools = append(s.tools, n.tool)
			}
			s.shares[n.tool] += n.part
		}
	}
	eachWord(query, func(word string, _ []string) bool {
		hear(word)
		if before != "" {
			hear(before + word)
		}
		before = word
		return len(said) < 2*mostAsked
	})
	kept := s.tools[:0]
	for _, tool := range s.tools {
		if s.shares[tool] < meant {
			s.shares[tool] = 0
			continue
		}
		kept = append(kept, tool)
		most = max(most, s.shares[tool])
	}
	s.tools, names = kept, map[string]bool{}
	for word := range said {
		for _, n := range x.called[word] {
			if s.shares[n.tool] > 0 {
				names[word] = true
			}
		}
	}
	return most, names
}

// look counts a word for the methods that have it in any of its forms.
func (x *Index) look(s *scratch, word []form) {
	common := math.Inf(1)
	for i := range word {
		word[i].rare = x.tells(s, word[i].term)
		common = min(common, word[i].rare)
	}
	for _, form := range word {
		// What people say for something tells hardly more than what it is called: that
		// few descriptions say display is no reason to prefer these to those that show.
		worth := form.weight * form.rare
		if !form.asked {
			worth = form.weight * (form.rare + common) / 2
		}
		for _, p := range x.postings[form.term] {
			if s.best[p.method] == 0 {
				s.having = append(s.having, p.method)
			}
			s.best[p.method] = max(s.best[p.method], worth*float64(p.gain))
			s.nearest[p.method] = max(s.nearest[p.method], form.weight*float64(p.name))
		}
	}
	for _, method := range s.having {
		s.add(method, s.best[method])
		s.name[method] += s.nearest[method]
		s.best[method], s.nearest[method] = 0, 0
	}
	s.having = s.having[:0]
}

// tells is how rare a term is among those methods that are meant: card tells nothing
// within a tool of which each method is about cards.
func (x *Index) tells(s *scratch, term int32) float64 {
	if len(s.tools) == 0 {
		return x.rareness[term]
	}
	all, having := 0, 0
	for _, tool := range s.tools {
		all += len(x.ofTool[tool])
	}
	for _, p := range x.postings[term] {
		if s.shares[x.toolOf[p.method]] > 0 {
			having++
		}
	}
	return rare(float64(all), float64(having))
}

// exactly puts what has just the name that was asked for before all others.
func (x *Index) exactly(query string, hits []Hit) []Hit {
	named := x.named[inWords(query)]
	if len(named) == 0 {
		return hits
	}
	most, at := 0.0, make(map[int]int, len(hits))
	for i, hit := range hits {
		most, at[hit.Index] = max(most, hit.Score), i
	}
	for _, method := range named {
		i, ok := at[int(method)]
		if !ok {
			i = len(hits)
			hits = append(hits, Hit{Index: int(method)})
		}
		hits[i].Score += most + 1
	}
	return hits
}

func first(hits []Hit, limit int) []Hit {
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Index, b.Index))
	})
	return slices.Clip(hits[:min(limit, len(hits))])
}

// inWords writes a name or a query as words, so that create_issue is createIssue and
// "Create issue".
func inWords(text string) string {
	var b strings.Builder
	eachWord(text, func(word string, parts []string) bool {
		if len(parts) == 0 {
			parts = []string{word}
		}
		for _, p := range parts {
			b.WriteString(p)
			b.WriteByte(' ')
		}
		return b.Len() < longestName
	})
	return b.String()
}
