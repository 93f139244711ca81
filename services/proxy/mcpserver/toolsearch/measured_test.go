package toolsearch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services/proxy/mcpserver/toolsearch"
)

// tally is how well questions are answered.
type tally struct {
	asked, first, five int
	sum                float64
}

func (n *tally) add(place int) {
	n.asked++
	if place == 0 {
		return
	}
	n.sum += 1 / float64(place)
	if place == 1 {
		n.first++
	}
	if place <= 5 {
		n.five++
	}
}

func (n *tally) rate() float64 { return float64(n.five) / float64(n.asked) }

func (n *tally) String() string {
	of := float64(n.asked)
	return fmt.Sprintf("%3d questions, hit rate at 1 %.3f, at 5 %.3f, MRR %.3f", n.asked, float64(n.first)/of, n.rate(), n.sum/of)
}

// methodsOf are methods as the endpoint has them: under the name that they have there,
// and their own.
func methodsOf(t testing.TB, all []listed) (methods []toolsearch.Method) {
	t.Helper()
	for _, m := range all {
		schema, err := json.Marshal(m.Tool.InputSchema)
		require.NoError(t, err)
		methods = append(methods, toolsearch.Method{
			Names: []string{m.Tool.Name, m.Server + "__" + m.Tool.Name}, Title: m.Tool.Title, Description: m.Tool.Description,
			Tool: m.Server, Schema: schema,
		})
	}
	return methods
}

// TestSearchFinds: of what npm's MCP servers offer, that which somebody wants is nine
// times out of ten among the first five, and these are a fraction of the list.
func TestSearchFinds(t *testing.T) {
	if os.Getenv("UAOL_TEST_SEARCH") == "" {
		t.Skip("UAOL_TEST_SEARCH is not set: no servers are started")
	}
	all := listAll(t)
	servers := map[string]bool{}
	for _, m := range all {
		servers[m.Server] = true
	}
	t.Logf("%d methods of %d servers", len(all), len(servers))
	require.GreaterOrEqual(t, len(all), 500)
	require.GreaterOrEqual(t, len(servers), 15)
	methods := methodsOf(t, all)
	began := time.Now()
	index := toolsearch.New(methods)
	t.Logf("the index is made in %s", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	for _, q := range readQuestions(t) {
		index.Search(q.Question, 5)
	}
	t.Logf("a search takes %s", (time.Since(began) / time.Duration(len(readQuestions(t)))).Round(time.Microsecond))
	var seen, held, both tally
	kind := map[string]*tally{}
	answers := 0
	for _, q := range readQuestions(t) {
		place := 0
		for i, hit := range index.Search(q.Question, len(all)) {
			m := all[hit.Index]
			if i < 5 {
				answers += len(definition(t, m))
			}
			if place == 0 && (name(m) == q.Method || slices.Contains(q.Also, name(m))) {
				place = i + 1
			}
		}
		if kind[q.Kind] == nil {
			kind[q.Kind] = &tally{}
		}
		kind[q.Kind].add(place)
		both.add(place)
		half := &seen
		if q.held() {
			half = &held
		}
		half.add(place)
		if (place == 0 || place > 5) && (!q.held() || os.Getenv("UAOL_TEST_SEARCH") == "all") { // who changes the ranking looks at one half
			t.Logf("missed (%d): %s: %s: %s", place, q.ID, q.Question, q.Method)
		}
	}
	t.Logf("half that was looked at: %s", &seen)
	t.Logf("half that was not:       %s", &held)
	t.Logf("all:                     %s", &both)
	for _, k := range kinds {
		t.Logf("%-9s                %s", k, kind[k])
	}
	listing := 0
	for _, m := range all {
		listing += len(definition(t, m))
	}
	of := both.asked
	t.Logf("tokens, at four bytes each: %d for all definitions, %d for the five of an answer", listing/4, answers/of/4)
	require.GreaterOrEqual(t, both.rate(), 0.9)
	require.GreaterOrEqual(t, held.rate(), 0.85)
}

// definition is a method as tools/list has it.
func definition(t testing.TB, m listed) []byte {
	t.Helper()
	text, err := json.Marshal(m.Tool)
	require.NoError(t, err)
	return text
}
