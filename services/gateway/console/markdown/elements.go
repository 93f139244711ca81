package markdown

import (
	"bytes"
	"html/template"
	"net/url"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	extended "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/util"
)

// elements writes what is not as the library writes it.
type elements struct{}

// RegisterFuncs implements renderer.NodeRenderer.
func (e elements) RegisterFuncs(to renderer.NodeRendererFuncRegisterer) {
	to.Register(kindCitation, e.citation)
	to.Register(ast.KindLink, e.link)
	to.Register(ast.KindAutoLink, e.autoLink)
	to.Register(ast.KindImage, e.image)
	to.Register(ast.KindCodeBlock, e.code)
	to.Register(ast.KindFencedCodeBlock, e.code)
	to.Register(extended.KindTable, e.table)
	to.Register(extended.KindTaskCheckBox, e.checkBox)
}

func escaped(s string) string { return template.HTMLEscapeString(s) }

// anchor begins a link to an address of the kinds that may be linked to; "" for others,
// of which only the text is written. It opens beside the conversation, which may be
// under way, and tells nobody where it was.
func anchor(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return ""
		}
	case "mailto":
	default:
		return ""
	}
	return `<a href="` + escaped(address) + `" target="_blank" rel="noopener noreferrer">`
}

// linked reports what is in a link's text, or a picture's.
func linked(n ast.Node) bool {
	for p := n.Parent(); p != nil; p = p.Parent() {
		if p.Kind() == ast.KindLink || p.Kind() == ast.KindImage {
			return true
		}
	}
	return false
}

func (elements) link(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	begin := anchor(string(util.URLEscape(node.(*ast.Link).Destination, true)))
	if linked(node) {
		begin = ""
	}
	switch {
	case begin == "":
	case entering:
		_, _ = w.WriteString(begin)
	default:
		_, _ = w.WriteString("</a>")
	}
	return ast.WalkContinue, nil
}

func (elements) autoLink(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	n := node.(*ast.AutoLink)
	address := string(util.URLEscape(n.URL(source), false))
	if n.AutoLinkType == ast.AutoLinkEmail && !strings.HasPrefix(strings.ToLower(address), "mailto:") {
		address = "mailto:" + address
	}
	label := escaped(string(n.Label(source)))
	if begin := anchor(address); begin != "" && !linked(n) {
		label = begin + label + "</a>"
	}
	_, _ = w.WriteString(label)
	return ast.WalkContinue, nil
}

// image links to a picture, for pages load nothing from elsewhere.
func (elements) image(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	var words bytes.Buffer
	texts(&words, source, node)
	label := escaped(strings.TrimSpace("Picture: " + words.String()))
	if begin := anchor(string(util.URLEscape(node.(*ast.Image).Destination, true))); begin != "" && !linked(node) {
		label = begin + label + "</a>"
	}
	_, _ = w.WriteString(label)
	return ast.WalkSkipChildren, nil
}

// texts gathers the words in a node.
func texts(to *bytes.Buffer, source []byte, n ast.Node) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			to.Write(c.Value(source))
		case *ast.String:
			to.Write(c.Value)
		case *citation:
			to.WriteString("[" + strings.Join(c.numbers, ", ") + "]")
		default:
			texts(to, source, c)
		}
	}
}

var language = regexp.MustCompile(`^[A-Za-z0-9+#.-]{1,30}$`)

// code is as the console's own parts for what is copied (templates/parts.html, "snippet").
func (elements) code(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	name := "Code"
	if fenced, ok := node.(*ast.FencedCodeBlock); ok && language.Match(fenced.Language(source)) {
		name = string(fenced.Language(source))
	}
	_, _ = w.WriteString(`<div class="snippet"><span class="label">` + name + `</span><pre tabindex="0" role="group" aria-label="` + name + `"><code>`)
	lines := node.Lines()
	for i := range lines.Len() {
		line := lines.At(i)
		template.HTMLEscape(w, line.Value(source))
	}
	_, _ = w.WriteString("</code></pre><button type=\"button\" class=\"quiet small\" data-copy>Copy</button></div>\n")
	return ast.WalkSkipChildren, nil
}

// table can be scrolled by itself.
func (elements) table(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		_, _ = w.WriteString(`<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>` + "\n")
	} else {
		_, _ = w.WriteString("</table></div>\n")
	}
	return ast.WalkContinue, nil
}

func (elements) checkBox(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	switch {
	case !entering:
	case node.(*extended.TaskCheckBox).IsChecked:
		_, _ = w.WriteString("☑ ")
	default:
		_, _ = w.WriteString("☐ ")
	}
	return ast.WalkContinue, nil
}
