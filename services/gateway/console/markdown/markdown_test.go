package markdown

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

var passages = []Citation{
	{N: 1, Href: "/console/files/a?page=3#page-3", Label: "report.pdf, page 3", Passage: "Sales <rose> by 12 %."},
	{N: 12, Href: "/console/files/b", Label: `"notes".md`, Passage: strings.Repeat("long ", 200)},
}

func TestRender(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"paragraph":       {"a *b* **c** ~~d~~ `e<`", `<p>a <em>b</em> <strong>c</strong> <del>d</del> <code>e&lt;</code></p>`},
		"lines":           {"roses\nviolets", "<p>roses<br>\nviolets</p>"},
		"list":            {"3. a\n4. b", "<ol start=\"3\">\n<li>a</li>\n<li>b</li>\n</ol>"},
		"tasks":           {"- [x] a\n- [ ] b", "<ul>\n<li>☑ a</li>\n<li>☐ b</li>\n</ul>"},
		"link":            {"[a](https://example.com/?b=c&d \"t\")", `<p><a href="https://example.com/?b=c&amp;d" target="_blank" rel="noopener noreferrer">a</a></p>`},
		"bare link":       {"see https://example.com.", `<p>see <a href="https://example.com" target="_blank" rel="noopener noreferrer">https://example.com</a>.</p>`},
		"mail":            {"<a@example.com>", `<p><a href="mailto:a@example.com" target="_blank" rel="noopener noreferrer">a@example.com</a></p>`},
		"script link":     {"[a](javascript:alert(1)) [b](JavaScript&colon;alert(1)) [c](data:text/html,x) <vbscript:x>", `<p>a b c vbscript:x</p>`},
		"own page":        {"[out](/console/sign-out) [home](http:/x)", `<p>out home</p>`},
		"picture":         {"![a *cat*](https://example.com/cat.png)", `<p><a href="https://example.com/cat.png" target="_blank" rel="noopener noreferrer">Picture: a cat</a></p>`},
		"linked picture":  {"[![cat](http://a/b.png)](http://c)", `<p><a href="http://c" target="_blank" rel="noopener noreferrer">Picture: cat</a></p>`},
		"HTML":            {"<script>alert(1)</script>", `<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>`},
		"HTML in words":   {"a <img src=x onerror=alert(1)> <b>c</b>", `<p>a &lt;img src=x onerror=alert(1)&gt; &lt;b&gt;c&lt;/b&gt;</p>`},
		"fence":           {"```go\"><script>\na < b\n```", `<div class="snippet"><span class="label">Code</span><pre tabindex="0" role="group" aria-label="Code"><code>a &lt; b` + "\n" + `</code></pre><button type="button" class="quiet small" data-copy>Copy</button></div>`},
		"fence's name":    {"```c++\nx\n```", `<div class="snippet"><span class="label">c++</span><pre tabindex="0" role="group" aria-label="c++"><code>x` + "\n" + `</code></pre><button type="button" class="quiet small" data-copy>Copy</button></div>`},
		"headings":        {"## a\n#### b\n# c\n#", "<h3>a</h3>\n<h4>b</h4>\n<h3>c</h3>"},
		"citation":        {"It rose [1].", `<p>It rose <span class="cite"><a href="/console/files/a?page=3#page-3" aria-describedby="m-passage-1">1</a><span class="passage" role="tooltip" id="m-passage-1"><strong>report.pdf, page 3</strong>: Sales &lt;rose&gt; by 12 %.</span></span>.</p>`},
		"unknown passage": {"[2] [1234] [a]", `<p>[2] [1234] [a]</p>`},
		"redefined":       {"[2]\n\n[2]: javascript:alert(1)", `<p>2</p>`},
		"in code":         {"`[1]`", `<p><code>[1]</code></p>`},
		"cited in a link": {"[see [1]](http://a)", `<p><a href="http://a" target="_blank" rel="noopener noreferrer">see [1]</a></p>`},
		"nothing":         {"", ""},
		"table": {"|a|b|\n|:-:|-|\n|1|2|", `<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>` +
			"\n<thead>\n<tr>\n<th align=\"center\">a</th>\n<th>b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td align=\"center\">1</td>\n<td>2</td>\n</tr>\n</tbody>\n</table></div>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, strings.TrimSpace(string(Render(c.text, "m", passages))))
		})
	}
}

func TestManyCitations(t *testing.T) {
	t.Parallel()
	out := string(Render("Both [1, 12, 7], and again [12].", "m", passages))
	require.Equal(t, 3, strings.Count(out, `class="cite"`))
	require.Contains(t, out, "[7]")
	require.Contains(t, out, `id="m-passage-3"><strong>&#34;notes&#34;.md</strong>`)
	require.Less(t, len(out), 2500, "a long passage is shown in part")
}

// TestHardTexts: texts that are made to take long, or to stand in each other for ever, do
// not.
func TestHardTexts(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{">", "> ", "- ", "1. ", "[", "![", "[a](", "*a **a ", "*a_ ", "_", "`", "<", "|a", "[1]", "~~", "\\", "&", "www.", "a@", "[a]: b\n"} {
		for _, text := range []string{strings.Repeat(piece, most/len(piece)), strings.Repeat(piece, most)} {
			conform(t, text)
		}
	}
	conform(t, strings.Repeat("*a ", 1000)+strings.Repeat("a* ", 1000))
	deep := ""
	for i := range 100 {
		deep += strings.Repeat("  ", i) + "- a\n"
	}
	conform(t, deep)
	require.Contains(t, string(Render(deep, "m", nil)), `<pre class="code"`)
	require.Contains(t, string(Render(strings.Repeat("> ", 33)+"a", "m", nil)), `<pre class="code"`)
	require.Contains(t, string(Render(strings.Repeat("> ", 32)+"a", "m", nil)), "<blockquote>")
}

// allowed are the elements that come out, and their attributes with the values that these
// may have; nil for those that are looked at by themselves or are any text.
var allowed = map[string]map[string][]string{
	"p": {}, "em": {}, "strong": {}, "del": {}, "hr": {}, "br": {}, "blockquote": {}, "ul": {}, "ol": {"start": nil}, "li": {}, "code": {},
	"h3": {}, "h4": {}, "h5": {}, "h6": {}, "table": {}, "thead": {}, "tbody": {}, "tr": {},
	"th": {"align": {"left", "center", "right"}}, "td": {"align": {"left", "center", "right"}},
	"pre":    {"class": {"code"}, "tabindex": {"0"}, "role": {"group"}, "aria-label": nil},
	"div":    {"class": {"snippet", "scroll"}, "tabindex": {"0"}, "role": {"group"}, "aria-label": {"Table"}},
	"span":   {"class": {"label", "cite", "passage"}, "role": {"tooltip"}, "id": nil},
	"button": {"type": {"button"}, "class": {"quiet small"}, "data-copy": {""}},
	"a":      {"href": nil, "target": {"_blank"}, "rel": {"noopener noreferrer"}, "aria-describedby": nil},
}

// conform checks that a text becomes what is allowed, and nothing else.
func conform(t *testing.T, text string) {
	t.Helper()
	out := string(Render(text, "m", passages))
	nodes, err := html.ParseFragment(strings.NewReader(out), &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div})
	require.NoError(t, err)
	ids := map[string]bool{}
	var look func(n *html.Node)
	look = func(n *html.Node) {
		switch n.Type {
		case html.ElementNode:
			attributes, known := allowed[n.Data]
			require.True(t, known, "element %s in %s of %q", n.Data, out, text)
			require.Empty(t, n.Namespace)
			at := map[string]string{}
			for _, a := range n.Attr {
				values, known := attributes[a.Key]
				require.True(t, known && a.Namespace == "", "attribute %s of %s in %s of %q", a.Key, n.Data, out, text)
				require.True(t, values == nil || slices.Contains(values, a.Val), "%s=%q in %s of %q", a.Key, a.Val, out, text)
				at[a.Key] = a.Val
			}
			if n.Data == "a" {
				leads(t, at)
			}
			if id, ok := at["id"]; ok {
				require.Regexp(t, `^m-passage-\d+$`, id)
				require.False(t, ids[id], "twice: %s", id)
				ids[id] = true
			}
		case html.TextNode:
		default:
			require.Fail(t, "a node that is neither element nor text", "%v in %s of %q", n.Type, out, text)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			look(c)
		}
	}
	for _, n := range nodes {
		look(n)
	}
}

// leads checks where a link leads: to a passage, or elsewhere without a trace.
func leads(t *testing.T, at map[string]string) {
	t.Helper()
	if at["aria-describedby"] != "" {
		require.True(t, slices.ContainsFunc(passages, func(c Citation) bool { return c.Href == at["href"] }), "%v", at)
		return
	}
	u, err := url.Parse(at["href"])
	require.NoError(t, err)
	require.Contains(t, []string{"http", "https", "mailto"}, u.Scheme, "%v", at)
	require.Equal(t, "noopener noreferrer", at["rel"])
	require.Equal(t, "_blank", at["target"])
}

func FuzzRender(f *testing.F) {
	for _, seed := range []string{
		"# a\n\n> b\n\n1. c\n\n```js\nd\n```\n", "|a|b|\n|-|:-:|\n|[1]|`x|y`|\n", "[a](javascript:alert(1)) ![b](data:image/svg+xml,x)",
		"<script>alert(1)</script>\n<a href=x onclick=y>\n<!-- c -->\n<![CDATA[x]]>\n<?php?>", "[1] [1,12] [2]\n\n[1]: javascript:x\n[2]: <java\nscript:x>",
		"<http://a\"onmouseover=\"x> <javascript:x> www.a.b/<x>\" a@b.c\"onx=\"y", "[a](<http://b \" onx='y'>) [a](http://b 'c\"d') [![x](http://y)](http://z)",
		"&lt;script&gt; &#x3c;b&#x3e; &#0; \\<b\\> \x00 \xff\xfe \u202e", "- [x] <input autofocus onfocus=alert(1)>\n    indented <style>\n", "~~~\"><svg onload=x>\n</pre><script>\n~~~",
		"a\n===\n\n***\n\n* * *\n- - [ ] x", fmt.Sprintf("%s[1]%s", strings.Repeat("> ", 30), strings.Repeat("*", 30)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { conform(t, text) })
}
