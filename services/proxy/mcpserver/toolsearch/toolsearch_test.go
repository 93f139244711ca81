package toolsearch_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/services/proxy/mcpserver/toolsearch"
)

// desk is a few methods of a few tools.
var desk = []toolsearch.Method{
	{Names: []string{"create_issue", "github__create_issue"}, Tool: "github", Description: "Create a new issue in a repository. Needs a token."},
	{Names: []string{"list_issues", "github__list_issues"}, Tool: "github", Description: "List issues of a repository"},
	{Names: []string{"create_issue", "tracker__create_issue"}, Tool: "tracker", Description: "Create an issue"},
	{Names: []string{"sendMessage", "chat__sendMessage"}, Tool: "chat", Description: "Send a message to a channel",
		Schema: []byte(`{"type":"object","properties":{"recipient":{"type":"string","description":"Where it goes"},"urgency":{"enum":["calm","frantic"]}}}`)},
	{Names: []string{"list-channels", "chat__list-channels"}, Tool: "chat", Description: "Channels of the workspace"},
	{Names: []string{"delete_file", "disk__delete_file"}, Tool: "disk", Title: "Shredder", Description: "Removes a file"},
	{Names: []string{"get_webhook", "disk__get_webhook"}, Tool: "disk"},
	{Names: []string{"subscriptions", "disk__subscriptions"}, Tool: "disk", ToolDescription: "A cupboard for papers"},
	{Names: []string{"天気予報", "wetter__天気予報"}, Tool: "wetter", Description: "東京の天気予報を調べる"},
	{Names: []string{"Übersicht", "wetter__Übersicht"}, Tool: "wetter"},
}

func found(x *toolsearch.Index, query string, limit int) (names []string) {
	for _, hit := range x.Search(query, limit) {
		m := desk[hit.Index]
		names = append(names, m.Names[len(m.Names)-1])
	}
	return names
}

func TestSearch(t *testing.T) {
	x := toolsearch.New(desk)
	for query, want := range map[string]string{
		"open a new issue on GitHub":      "github__create_issue",
		"which issues does GitHub have":   "github__list_issues",
		"write a message":                 "chat__sendMessage",   // by what people say for sending
		"erase some file":                 "disk__delete_file",   // and for deleting
		"RECIPIENTS":                      "chat__sendMessage",   // an argument's name
		"frantic":                         "chat__sendMessage",   // a value that it may have
		"where does it go, frantically":   "chat__sendMessage",   // in another form
		"shredder":                        "disk__delete_file",   // a title
		"web hook":                        "disk__get_webhook",   // written as two words
		"who subscribed":                  "disk__subscriptions", // a word of the same family
		"getWebhook":                      "disk__get_webhook",
		"東京の天気":                           "wetter__天気予報", // a script without spaces
		"ubersicht":                       "wetter__Übersicht",
		"sent messages":                   "chat__sendMessage", // an irregular form
		"What channels are there in chat": "chat__list-channels",
	} {
		all := found(x, query, 3)
		require.NotEmpty(t, all, query)
		require.Equal(t, want, all[0], "%s: %s", query, all)
	}
	require.Contains(t, found(x, "cupboard", 3), "disk__subscriptions")
}

// TestNamedTool: whoever names a tool gets its methods before all others', and where
// nothing else is said, all of them.
func TestNamedTool(t *testing.T) {
	x := toolsearch.New(desk)
	require.Equal(t, []string{"tracker__create_issue"}, found(x, "a workspace in the tracker", 1), "though another has the word")
	require.ElementsMatch(t, []string{"chat__sendMessage", "chat__list-channels"}, found(x, "chat", 10))
	require.Equal(t, "tracker__create_issue", found(x, "create an issue in the tracker", 5)[0])
	require.Equal(t, "github__create_issue", found(x, "create an issue in Git Hub", 5)[0])
}

// TestWanted: who asks something is rather answered than obeyed, and the other way round.
func TestWanted(t *testing.T) {
	x := toolsearch.New([]toolsearch.Method{
		{Names: []string{"transfer_report"}}, {Names: []string{"analyze_report"}}, {Names: []string{"report"}},
		{Names: []string{"describe_ledger"}}, {Names: []string{"post_ledger"}},
	})
	require.Equal(t, 2, x.Search("report", 1)[0].Index)
	places := func(query string) (all []int) {
		for _, hit := range x.Search(query, 5) {
			all = append(all, hit.Index)
		}
		return all
	}
	require.Equal(t, []int{2, 1, 0}, places("how is the report"))
	require.Equal(t, []int{2, 0, 1}, places("press on with the report"))
	require.Equal(t, []int{3, 4}, places("where is that ledger"))
	require.Equal(t, []int{4, 3}, places("archive the ledger"))
}

// TestWithinATool: a word that is in all that a named tool does tells its methods from
// none of each other, however rare it is elsewhere.
func TestWithinATool(t *testing.T) {
	var methods []toolsearch.Method
	for i := range 40 {
		methods = append(methods, toolsearch.Method{Names: []string{fmt.Sprintf("note_%c%c", 'a'+i/20, 'a'+i%20)}, Tool: "diary"})
	}
	for _, name := range []string{"card_cover", "card_owner", "card_color", "card_number"} {
		methods = append(methods, toolsearch.Method{Names: []string{name}, Tool: "kanban", Description: "Card of the board"})
	}
	methods = append(methods, toolsearch.Method{Names: []string{"note_line"}, Tool: "kanban", Description: "Below it"})
	x := toolsearch.New(methods)
	require.Equal(t, []string{"card_cover"}, methods[x.Search("the card note", 1)[0].Index].Names)
	require.Equal(t, []string{"note_line"}, methods[x.Search("the card note in kanban", 1)[0].Index].Names)
}

// TestExactName: a name finds its method, however it is written, though another word
// for it might fit others better.
func TestExactName(t *testing.T) {
	x := toolsearch.New(desk)
	require.Equal(t, "tracker__create_issue", found(x, "tracker__create_issue", 5)[0])
	require.Equal(t, "github__create_issue", found(x, "GITHUB create issue", 5)[0])
	require.ElementsMatch(t, []string{"github__create_issue", "tracker__create_issue"}, found(x, "CreateIssue", 5)[:2])
	require.Equal(t, "chat__sendMessage", found(x, "send-message", 5)[0])
}

func TestNothing(t *testing.T) {
	x := toolsearch.New(desk)
	for _, query := range []string{"", " ", "the of and", "12 34", "zyzzyva", "\xff\xfe"} {
		require.Empty(t, x.Search(query, 5), query)
	}
	require.Empty(t, x.Search("issue", 0))
	require.Empty(t, x.Search("issue", -1))
	require.Empty(t, toolsearch.New(nil).Search("issue", 5))
	require.Empty(t, toolsearch.New(make([]toolsearch.Method, 3)).Search("issue", 5))
	require.Len(t, x.Search("issue", 2), 2)
	require.Len(t, x.Search("issue", 1000), 3)
}

// TestProperties: the shelf's name of any method finds it first, scores fall, nothing
// comes twice, less is asked for is a beginning of more, and what is asked again is
// answered again.
func TestProperties(t *testing.T) {
	word := rapid.SampledFrom(strings.Fields("create delete list get issue file message user page search set of the a1 HTTPServer 天気 É x"))
	texts := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(word, 0, 6).Draw(t, "words"), rapid.SampledFrom([]string{" ", "_", "-", "", ". "}).Draw(t, "by"))
	})
	rapid.Check(t, func(t *rapid.T) {
		methods := make([]toolsearch.Method, rapid.IntRange(0, 12).Draw(t, "methods"))
		for i := range methods {
			tool := rapid.SampledFrom([]string{"desk", "git-hub", "", "get"}).Draw(t, "tool")
			name := fmt.Sprintf("%s %s", texts.Draw(t, "name"), strings.Repeat("q", i+2)) // unlike all others
			methods[i] = toolsearch.Method{
				Names: []string{name, tool + "__" + name}, Tool: tool, Title: texts.Draw(t, "title"), Description: texts.Draw(t, "description"),
				Schema: []byte(fmt.Sprintf(`{"properties":{%q:{"description":%q}}}`, texts.Draw(t, "argument"), texts.Draw(t, "said"))),
			}
		}
		x := toolsearch.New(methods)
		for i, m := range methods {
			hits := x.Search(m.Names[1], 3)
			require.NotEmpty(t, hits, m.Names[1])
			require.Equal(t, i, hits[0].Index, m.Names[1])
		}
		query := texts.Draw(t, "query")
		all := x.Search(query, 100)
		require.Equal(t, all, toolsearch.New(methods).Search(query, 100))
		require.Equal(t, fmt.Sprint(all[:min(2, len(all))]), fmt.Sprint(x.Search(query, 2)))
		seen := map[int]bool{}
		for i, hit := range all {
			require.False(t, seen[hit.Index])
			seen[hit.Index] = true
			require.Positive(t, hit.Score)
			if i > 0 && hit.Score == all[i-1].Score {
				require.Greater(t, hit.Index, all[i-1].Index)
			} else if i > 0 {
				require.Less(t, hit.Score, all[i-1].Score)
			}
		}
	})
}

// TestAtOnce: many may ask at once, and hear what they hear alone.
func TestAtOnce(t *testing.T) {
	x := toolsearch.New(desk)
	queries := []string{"create an issue", "tracker", "message chat", "subscribed files", "webhook"}
	var alone []string
	for _, query := range queries {
		alone = append(alone, fmt.Sprint(x.Search(query, 5)))
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 500 {
				n := (i + k) % len(queries)
				if got := fmt.Sprint(x.Search(queries[n], 5)); got != alone[n] {
					t.Errorf("%s: %s and %s", queries[n], alone[n], got)
				}
			}
		})
	}
	wg.Wait()
}

// TestBounds: what somebody writes costs a bounded time and memory, however much it is.
func TestBounds(t *testing.T) {
	huge := strings.Repeat("word and more ", 1<<20)
	deep := []byte(strings.Repeat(`{"properties":{"a":`, 4000) + `{"description":"bottom"}` + strings.Repeat("}}", 4000))
	var wide strings.Builder
	wide.WriteString(`{"properties":{"needle":{},`)
	for i := range 5000 {
		fmt.Fprintf(&wide, `"p%dx":{"description":"said of it"},`, i)
	}
	wide.WriteString(`"last":{"description":"haystack"}}}`)
	methods := []toolsearch.Method{
		{Names: []string{huge}, Tool: huge, Title: huge, Description: huge, ToolDescription: huge},
		{Names: []string{"deep"}, Schema: deep},
		{Names: []string{"wide"}, Schema: []byte(wide.String())},
		{Names: []string{"larger"}, Schema: []byte(`{"properties":{"x":{"description":"` + huge + `"}}}`)},
		{Names: []string{"broken"}, Schema: []byte(`{"properties":{"torn`)},
		{Names: nil, Description: "nameless"},
		{Title: strings.Repeat(". ", 1<<20) + "afterwards"},
	}
	x := toolsearch.New(methods)
	require.Equal(t, 2, x.Search("needle", 1)[0].Index)
	require.Empty(t, x.Search("last", 1), "so many arguments are not read")
	require.Empty(t, x.Search("haystack", 1), "what comes after so much else is not read")
	require.Empty(t, x.Search("bottom", 1), "nor is what is so deep")
	require.Empty(t, x.Search("torn", 1))
	require.Empty(t, x.Search("afterwards", 1))
	require.Equal(t, 4, x.Search("broken", 1)[0].Index)
	require.Equal(t, 5, x.Search("nameless", 1)[0].Index)
	require.NotPanics(t, func() { x.Search(huge, 5) })
}
