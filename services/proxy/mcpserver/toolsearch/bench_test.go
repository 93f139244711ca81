package toolsearch_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"uaol/services/proxy/mcpserver/toolsearch"
)

// catalog is many methods of the usual size: 230 bytes of description and 900 of a
// schema, in words some of which are frequent.
func catalog(n int) []toolsearch.Method {
	source := rand.New(rand.NewPCG(1, 2))
	syllables := strings.Fields("ba ce di fo gu ha ki lo me nu pa re si to va we xi yo ze tra stu ple")
	var vocabulary []string
	for range 4000 {
		var word strings.Builder
		for range 2 + source.IntN(3) {
			word.WriteString(syllables[source.IntN(len(syllables))])
		}
		vocabulary = append(vocabulary, word.String())
	}
	vocabulary = append(vocabulary, strings.Fields("create update delete list get find issue file message user page")...)
	words := func(n int) string {
		var some []string
		for range n {
			at := int(source.ExpFloat64() * 400)
			some = append(some, vocabulary[len(vocabulary)-1-min(at, len(vocabulary)-1)])
		}
		return strings.Join(some, " ")
	}
	methods := make([]toolsearch.Method, n)
	for i := range methods {
		tool := fmt.Sprintf("%s-%d", vocabulary[i/20], i/20)
		name := strings.ReplaceAll(words(3), " ", "_")
		var schema strings.Builder
		for range 8 {
			fmt.Fprintf(&schema, `,%q:{"type":"string","description":%q}`, strings.ReplaceAll(words(2), " ", "_"), words(9))
		}
		methods[i] = toolsearch.Method{
			Names: []string{name, tool + "__" + name}, Tool: tool, Description: words(8) + ". " + words(24),
			Schema: []byte(`{"type":"object","properties":{` + schema.String()[1:] + `}}`),
		}
	}
	return methods
}

// BenchmarkNew makes an index of 500 methods: less than 20 ms.
func BenchmarkNew(b *testing.B) {
	methods := catalog(500)
	b.ReportAllocs()
	for b.Loop() {
		toolsearch.New(methods)
	}
}

// BenchmarkSearch asks 500 methods: less than 0.5 ms.
func BenchmarkSearch(b *testing.B) {
	x := toolsearch.New(catalog(500))
	b.ReportAllocs()
	for b.Loop() {
		if len(x.Search("please create a new page about the user and list all of the messages that he found in the file", 5)) == 0 {
			b.Fatal("nothing was found")
		}
	}
}
