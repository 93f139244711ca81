// Package markdown makes HTML of what models write. Whatever they write, or were made to
// write by a document or a tool, only the elements, attributes and kinds of links that
// stand here come out: HTML in it is text, nothing is loaded from anywhere, and there is
// neither a style nor a script (FuzzRender).
package markdown

import (
	"bytes"
	"errors"
	"html/template"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Citation is a passage that a text refers to by its number in brackets, as in [2].
type Citation struct {
	N       int
	Href    string // where the passage is
	Label   string // of what it is a passage
	Passage string
}

const (
	// most is the longest text that is taken for Markdown, in bytes: some texts take time
	// that grows with the square of their length (TestHardTexts).
	most = 32 << 10
	// deepest is how far elements may stand in each other; HTML's own parsers end at 512.
	deepest = 100
)

// nested are quotes and lists that begin in each other on one line, as nobody means them.
var nested = regexp.MustCompile(`(?m)^(?:[ \t]*(?:>|[-+*]|\d{1,9}[.)])){33}`)

// Render makes HTML of a text, which stays as it is when it is too much to be taken for
// Markdown. Ids in it begin with prefix, which is another one for each text of a page.
func Render(source, prefix string, cited []Citation) template.HTML {
	source = strings.ReplaceAll(strings.ToValidUTF8(source, "\ufffd"), "\x00", "\ufffd")
	var out bytes.Buffer
	if len(source) > most || nested.MatchString(source) || write(&out, source, prefix, cited) != nil {
		out.Reset()
		out.WriteString(`<pre class="code" tabindex="0" role="group" aria-label="Text">`)
		template.HTMLEscape(&out, []byte(source))
		out.WriteString("</pre>\n")
	}
	return template.HTML(out.String()) //nolint:gosec // all that the renderers below write is escaped
}

var errDeep = errors.New("too much stands in each other")

func write(out *bytes.Buffer, source, prefix string, cited []Citation) error {
	ctx := parser.NewContext()
	ctx.Set(citedKey, &references{prefix: prefix, cited: cited})
	doc := converter.Parser().Parse(text.NewReader([]byte(source)), parser.WithContext(ctx))
	depth := 0
	if err := ast.Walk(doc, func(_ ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			depth--
		} else if depth++; depth > deepest {
			return ast.WalkStop, errDeep
		}
		return ast.WalkContinue, nil
	}); err != nil {
		return err
	}
	return converter.Renderer().Render(out, []byte(source), doc)
}

// converter reads CommonMark with tables, ~~strikethrough~~, task lists and bare links,
// but no HTML: without its parsers that is text like any other.
var converter = goldmark.New(
	goldmark.WithParser(parser.NewParser(
		parser.WithBlockParsers(
			util.Prioritized(parser.NewSetextHeadingParser(), 100),
			util.Prioritized(parser.NewThematicBreakParser(), 200),
			util.Prioritized(parser.NewListParser(), 300),
			util.Prioritized(parser.NewListItemParser(), 400),
			util.Prioritized(parser.NewCodeBlockParser(), 500),
			util.Prioritized(parser.NewATXHeadingParser(), 600),
			util.Prioritized(parser.NewFencedCodeBlockParser(), 700),
			util.Prioritized(parser.NewBlockquoteParser(), 800),
			util.Prioritized(parser.NewParagraphParser(), 1000),
		),
		parser.WithInlineParsers(
			util.Prioritized(parser.NewCodeSpanParser(), 100),
			util.Prioritized(citationParser{}, 150), // before links
			util.Prioritized(parser.NewLinkParser(), 200),
			util.Prioritized(parser.NewAutoLinkParser(), 300),
			util.Prioritized(parser.NewEmphasisParser(), 500),
		),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...),
		parser.WithASTTransformers(util.Prioritized(headings{}, 100)),
	)),
	goldmark.WithRenderer(renderer.NewRenderer(renderer.WithNodeRenderers(
		util.Prioritized(elements{}, 100), // in the place of the library's
		util.Prioritized(html.NewRenderer(html.WithHardWraps()), 1000),
	))),
	goldmark.WithExtensions(
		extension.Strikethrough, extension.TaskList, extension.Linkify,
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)),
	),
)

// headings puts a text's headings below that of the message, which is an h2, and none
// more than one level below the one before.
type headings struct{}

// Transform implements parser.ASTTransformer.
func (headings) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	var all []*ast.Heading
	highest := 6
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if h, ok := n.(*ast.Heading); ok && entering {
			all = append(all, h)
			highest = min(highest, h.Level)
		}
		return ast.WalkContinue, nil
	})
	before := 2
	for _, h := range all {
		if h.ChildCount() == 0 {
			h.Parent().RemoveChild(h.Parent(), h)
			continue
		}
		h.Level = min(h.Level-highest+3, before+1, 6)
		before = h.Level
	}
}
