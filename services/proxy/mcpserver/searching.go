package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"hash/maphash"
	"strconv"

	"github.com/maypok86/otter/v2"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/proxy/mcpserver/toolsearch"
)

// searched is a shelf for clients that can't carry hundreds of definitions: it lists two
// methods, by which all others are found and called. The others can be called by their
// names too.
type searched struct{ shelf }

// What a searched shelf lists.
const (
	searchTools = "search_tools"
	callTool    = "call_tool"
)

const searchDefinitions = `{"name":"` + searchTools + `","title":"Find tools","description":"Finds tools for a task, best first, among all that you may call: with their names, what they do, what they cost in credits and which arguments they take. Search before you say that something can't be done. Call what you have found with ` + callTool + `.","inputSchema":{"type":"object","properties":{"query":{"type":"string","description":"what is to be done, in a few words","minLength":1,"maxLength":1000},"limit":{"type":"integer","description":"how many at most; 5 by default","minimum":1,"maximum":50}},"required":["query"]},"annotations":{"readOnlyHint":true},"_meta":{"uaol/credits":0}},` +
	`{"name":"` + callTool + `","title":"Call a tool","description":"Calls a tool that ` + searchTools + ` has found. It costs what the tool costs.","inputSchema":{"type":"object","properties":{"name":{"type":"string","description":"the tool's name","minLength":1},"arguments":{"type":"object","description":"its arguments, as its inputSchema has them"}},"required":["name"]}}`

// foundAtOnce is how many methods a search gives that says no limit, and mostFound at most.
const (
	foundAtOnce = 5
	mostFound   = 50
)

// indexes keep what was made to search the lists that callers have in common.
type indexes struct {
	kept *otter.Cache[uint64, *toolsearch.Index]
}

func newIndexes() *indexes {
	return &indexes{otter.Must(&otter.Options[uint64, *toolsearch.Index]{MaximumSize: 200})}
}

func (x *indexes) close() { x.kept.StopAllGoroutines() }

// of gives the index of a list.
func (x *indexes) of(all []exposed) *toolsearch.Index {
	var sum maphash.Hash
	sum.SetSeed(seed)
	for i := range all {
		_, _ = sum.Write(all[i].text) // a sum takes anything
	}
	key := sum.Sum64()
	if known, ok := x.kept.GetIfPresent(key); ok {
		return known
	}
	methods := make([]toolsearch.Method, len(all))
	for i, e := range all {
		methods[i].Names, methods[i].Tool = []string{e.own, e.name}, e.tool
		upstream.Members(e.text, func(key, value []byte) {
			switch string(key) {
			case "title":
				_ = json.Unmarshal(value, &methods[i].Title)
			case "description":
				_ = json.Unmarshal(value, &methods[i].Description)
			case "inputSchema":
				methods[i].Schema = value
			}
		})
	}
	made := toolsearch.New(methods)
	x.kept.Set(key, made)
	return made
}

// listSearch lists the two methods of a searched shelf.
func (q *request) listSearch(context.Context) {
	q.complete(`"tools":[`+searchDefinitions+`]`, keepGreeting)
}

// searchTools answers with the methods that a query finds.
func (q *request) searchTools(ctx context.Context) {
	var given struct {
		Query string `json:"query"`
		Limit *int   `json:"limit"`
	}
	limit := foundAtOnce
	wrong := q.params.arguments == nil || json.Unmarshal(q.params.arguments, &given) != nil || given.Query == "" || len(given.Query) > 1000
	if given.Limit != nil {
		limit = *given.Limit
	}
	if wrong || limit < 1 || limit > mostFound {
		q.reply.result(finished(said("query must be a text of 1 to 1000 characters, and limit a number of 1 to 50", true), q.modern, "complete", nil))
		return
	}
	all, err := q.endpoint.listed(ctx, q.caller, q.shelf)
	if err != nil {
		q.fail(err)
		return
	}
	var found bytes.Buffer
	found.WriteString(`{"tools":[`)
	for i, hit := range q.endpoint.indexes.of(all).Search(given.Query, limit) {
		if i > 0 {
			found.WriteByte(',')
		}
		found.Write(all[hit.Index].text)
	}
	found.WriteString(`],"of":` + strconv.Itoa(len(all)) + `}`)
	q.reply.result(finished(said(found.String(), false), q.modern, "complete", nil))
}

// viaCallTool makes the request one for the method that call_tool names; false when it
// names none, and is answered.
func (q *request) viaCallTool() bool {
	var said struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if q.params.arguments == nil || json.Unmarshal(q.params.arguments, &said) != nil || said.Name == "" || said.Name == callTool || said.Name == searchTools {
		q.fail(services.Errorf(services.Invalid, "%s takes the name of a tool and its arguments", callTool))
		return false
	}
	q.params.name, q.params.arguments, q.nested = said.Name, said.Arguments, true
	return true
}
