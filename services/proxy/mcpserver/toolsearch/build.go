package toolsearch

import (
	"math"
	"slices"
	"strings"
)

// New makes an index of methods.
func New(methods []Method) *Index {
	x := &Index{
		methods: len(methods), terms: map[string]int32{}, families: map[string][]int32{},
		named: map[string][]int32{}, called: map[string][]share{},
	}
	b := builder{Index: x, forms: map[string]int32{}, said: make([]occurrence, 0, 128*len(methods))}
	for i := range methods {
		b.read(int32(i), &methods[i])
	}
	b.count()
	b.group(methods)
	x.scratch.New = func() any { return newScratch(x) }
	return x
}

// builder gathers what is said of methods.
type builder struct {
	*Index
	forms map[string]int32 // terms by words in all forms
	said  []occurrence     // by method
	words [fields]float64  // of all methods
}

type occurrence struct {
	method, term int32
	field        field
}

// none is the term of words that tell nothing.
const none = -1

// term gives the number of a word's stem.
func (b *builder) term(word string) int32 {
	if term, ok := b.forms[word]; ok {
		return term
	}
	if function[word] {
		b.forms[strings.Clone(word)] = none
		return none
	}
	root := stem(word)
	term, ok := b.terms[root]
	if !ok {
		term, root = int32(len(b.terms)), strings.Clone(root)
		b.terms[root] = term
		b.stems = append(b.stems, root)
		if begin, ok := begins(root); ok {
			b.families[begin] = append(b.families[begin], term)
		}
	}
	b.forms[strings.Clone(word)] = term
	return term
}

// say notes the words of a text, and gives how many.
func (b *builder) say(method int32, f field, text string) (n int) {
	note := func(word string) {
		if term := b.term(word); term != none {
			b.said = append(b.said, occurrence{method, term, f})
			n++
		}
	}
	eachWord(text, func(word string, parts []string) bool {
		note(word)
		for _, p := range parts {
			note(p)
		}
		return n < mostWords
	})
	return n
}

func (b *builder) read(method int32, m *Method) {
	begin := len(b.said)
	b.names(method, m)
	b.say(method, inTitle, m.Title)
	summary, rest := parted(m.Description)
	b.say(method, inSummary, summary)
	b.say(method, inDescription, rest)
	b.say(method, inToolDescription, m.ToolDescription)
	left := mostWords
	readSchema(m.Schema, func(text string, isName bool) bool {
		f := inSchema
		if isName {
			f = inArguments
		}
		left -= b.say(method, f, text)
		return left > 0
	})
	for _, o := range b.said[begin:] {
		b.words[o.field]++
	}
}

// names notes what a method is called. What its tool is called says nothing about which
// of the tool's methods it is, and what stands in two names is said once.
func (b *builder) names(method int32, m *Method) {
	begin, ofTool := len(b.said), map[string]bool{}
	eachWord(m.Tool, func(word string, _ []string) bool {
		ofTool[stem(word)] = true
		return len(ofTool) < mostWords
	})
	wanted := unclear
	for i, name := range m.Names {
		if key := inWords(name); key != "" && !slices.Contains(b.named[key], method) {
			b.named[key] = append(b.named[key], method)
		}
		if i == 0 {
			wanted = intentOf(name, true)
		}
		first := len(b.said)
		b.say(method, inName, name)
		kept := b.said[:first]
		for _, o := range b.said[first:] {
			before := func(other occurrence) bool { return other.term == o.term }
			if !ofTool[b.stems[o.term]] && (i == 0 || !slices.ContainsFunc(b.said[begin:first], before)) {
				kept = append(kept, o)
			}
		}
		b.said = kept
	}
	b.intents = append(b.intents, wanted)
}

// parted divides a description after its first sentence or line.
func parted(description string) (summary, rest string) {
	description = strings.TrimSpace(description)
	end := len(description)
	for _, mark := range []string{". ", "\n"} {
		if at := strings.Index(description, mark); at >= 0 {
			end = min(end, at)
		}
	}
	return description[:end], description[end:]
}

// count turns what is said into what methods have of each term.
func (b *builder) count() {
	all := float64(b.methods)
	b.postings, b.rareness = make([][]posting, len(b.terms)), make([]float64, len(b.terms))
	sums, inNames := make([]float64, len(b.terms)), make([]float32, len(b.terms))
	type found struct {
		term int32
		posting
	}
	having, list := make([]int32, len(b.terms)), make([]found, 0, len(b.said))
	for said := b.said; len(said) > 0; {
		method, own, n := said[0].method, [fields]float64{}, 0
		for n < len(said) && said[n].method == method {
			own[said[n].field]++
			n++
		}
		var each [fields]float64
		for f := range fields {
			if own[f] > 0 {
				each[f] = weights[f] / (1 - lengths[f] + lengths[f]*own[f]*all/b.words[f])
			}
		}
		first := len(list)
		for _, o := range said[:n] {
			if sums[o.term] == 0 {
				list = append(list, found{o.term, posting{method: method}})
				having[o.term]++
			}
			sums[o.term] += each[o.field]
			if o.field == inName {
				inNames[o.term] = 1
			}
		}
		for i := first; i < len(list); i++ {
			p := &list[i]
			p.gain, p.name = float32(sums[p.term]*(saturation+1)/(sums[p.term]+saturation)), inNames[p.term]
			sums[p.term], inNames[p.term] = 0, 0
		}
		said = said[n:]
	}
	places := make([]posting, len(list)) // of all terms
	for term, n := range having {
		b.postings[term], places = places[:0:n], places[n:]
	}
	for _, p := range list {
		b.postings[p.term] = append(b.postings[p.term], p.posting)
	}
	whole := make([]float32, b.methods) // what the words of a name are together
	for term, list := range b.postings {
		b.rareness[term] = rare(all, float64(len(list)))
		for _, p := range list {
			whole[p.method] += p.name * float32(b.rareness[term])
		}
	}
	for term, list := range b.postings {
		for i, p := range list {
			if p.name > 0 {
				list[i].name = float32(b.rareness[term]) / whole[p.method]
			}
		}
	}
}

// nameless words are in the names of many tools and name none.
var nameless = set("mcp server api tools official")

// group tells tools apart by their names.
func (b *builder) group(methods []Method) {
	known := map[string]int32{}
	for i := range methods {
		name := methods[i].Tool
		tool, ok := known[name]
		if !ok {
			tool = int32(len(b.ofTool))
			known[name] = tool
			b.ofTool = append(b.ofTool, nil)
			b.call(tool, name)
		}
		b.toolOf = append(b.toolOf, tool)
		b.ofTool[tool] = append(b.ofTool[tool], int32(i))
	}
}

// call notes the words of a tool's name by how rare each is. They are not stemmed:
// contentful is a name, and content a word.
func (b *builder) call(tool int32, name string) {
	words, whole := map[string]float64{}, 0.0
	eachWord(name, func(word string, _ []string) bool {
		if words[word] == 0 && !nameless[word] {
			words[word] = math.Log(1 + float64(b.methods))
			if term, ok := b.terms[stem(word)]; ok {
				words[word] = b.rareness[term]
			}
			whole += words[word]
		}
		return len(words) < mostAsked
	})
	for word, one := range words {
		b.called[strings.Clone(word)] = append(b.called[word], share{tool, one / whole})
	}
}
