package toolsearch

// form is a term that a word of a query may have.
type form struct {
	term   int32
	weight float64
	asked  bool // it is the word itself
	rare   float64
}

// asked are a query's words that any method has, each in all its forms.
func (x *Index) asked(query string, without map[string]bool) (all [][]form) {
	seen := map[string]bool{}
	// word reports whether the word itself is known.
	word := func(word string, weight float64) bool {
		root := known.root(word)
		if seen[root] {
			return true
		}
		forms, itself := x.forms(root, weight, !function[word])
		if len(forms) > 0 {
			seen[root] = true
			all = append(all, forms)
		}
		return itself
	}
	before := ""
	eachWord(query, func(w string, parts []string) bool {
		if before != "" { // to do is todo, and web hook a webhook
			if _, ok := x.terms[stem(before+w)]; ok {
				word(before+w, 1)
			}
		}
		before = w
		if without[w] || function[w] && known.others[known.root(w)] == nil || word(w, 1) {
			return len(all) < mostAsked
		}
		for _, p := range parts {
			if !function[p] {
				word(p, part)
			}
		}
		return len(all) < mostAsked
	})
	return all
}

// forms are a stem, if it is asked for itself, those that people use for it, and those
// of its family.
func (x *Index) forms(root string, weight float64, itself bool) (all []form, there bool) {
	if term, ok := x.terms[root]; ok && itself {
		all, there = append(all, form{term: term, weight: weight, asked: true}), true
	}
	for _, other := range known.others[root] {
		if term, ok := x.terms[other]; ok {
			all = append(all, form{term: term, weight: weight * akin})
		}
	}
	if begin, ok := begins(root); ok {
		for _, term := range x.families[begin] {
			if other := x.stems[term]; other != root && kin(root, other) {
				all = append(all, form{term: term, weight: weight * related})
			}
		}
	}
	return all, there
}

// family is how many letters words of one family have in common, unless the one begins
// with all of the other: subscribe and subscription, audit and auditor.
const family = 6

// begins is what the words of a stem's family begin with.
func begins(root string) (string, bool) {
	if len(root) < family-1 {
		return "", false
	}
	return root[:family-1], true
}

func kin(a, b string) bool {
	n := min(len(a), len(b), family)
	return a[:n] == b[:n]
}
