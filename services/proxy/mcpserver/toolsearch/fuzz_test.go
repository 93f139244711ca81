package toolsearch_test

import (
	"testing"
	"time"

	"uaol/services/proxy/mcpserver/toolsearch"
)

// FuzzSearch: whatever a server lists and somebody asks, an answer comes soon, is in
// order and names methods that there are.
func FuzzSearch(f *testing.F) {
	f.Add("create_issue", "github", "Create an issue. In a repository", []byte(`{"properties":{"title":{"type":"string","description":"What \u0061 person reads"}}}`), "new issue on GitHub")
	f.Add("getHTTPServer2", "HTTP", "", []byte(`{"anyOf":[{"properties":{"a":{"enum":["x",1,null]}}},{"items":{"const":"y"}}]}`), "getHTTPServer2")
	f.Add("天気", "wetter", "東京。", []byte(`[]`), "東京の天気")
	f.Add("É\u0301cole", "a-b_c", "İ\n", []byte(`{"properties":{"\\":{"description":"\""}}}`), "e\u0301COLE to do")
	f.Add("", "", "", []byte(`{"properties"`), "")
	f.Fuzz(func(t *testing.T, name, tool, description string, schema []byte, query string) {
		methods := []toolsearch.Method{
			{Names: []string{name, tool + "__" + name}, Tool: tool, Description: description, Schema: schema},
			{Names: []string{description}, Title: name, ToolDescription: query, Schema: schema},
			{Names: []string{query}, Tool: description, Description: name},
		}
		began := time.Now()
		x := toolsearch.New(methods)
		hits := x.Search(query, 2)
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("took %s", took)
		}
		if len(hits) > 2 {
			t.Fatalf("%d hits", len(hits))
		}
		for i, hit := range hits {
			if hit.Index < 0 || hit.Index >= len(methods) || !(hit.Score > 0) || i > 0 && hit.Score > hits[i-1].Score {
				t.Fatalf("%v", hits)
			}
		}
		if again := x.Search(query, 2); len(again) != len(hits) {
			t.Fatalf("%v, then %v", hits, again)
		}
	})
}
