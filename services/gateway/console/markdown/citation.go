package markdown

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// references are the passages that one text may refer to.
type references struct {
	prefix string
	cited  []Citation
	made   int // tells links to the same passage apart
}

var citedKey = parser.NewContextKey()

// of finds a passage by its number.
func (r *references) of(number string) (Citation, bool) {
	for _, c := range r.cited {
		if strconv.Itoa(c.N) == number {
			return c, true
		}
	}
	return Citation{}, false
}

// citation is one or more numbers in brackets.
type citation struct {
	ast.BaseInline
	numbers []string
	of      *references
}

var kindCitation = ast.NewNodeKind("Citation")

// Kind implements ast.Node.
func (*citation) Kind() ast.NodeKind { return kindCitation }

// Dump implements ast.Node.
func (c *citation) Dump(source []byte, level int) {
	ast.DumpHelper(c, source, level, map[string]string{"Numbers": strings.Join(c.numbers, ",")}, nil)
}

// reference is as the chat service takes it for one.
var reference = regexp.MustCompile(`^\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]`)

// citationParser reads numbers in brackets of which one at least is a passage's.
type citationParser struct{}

// Trigger implements parser.InlineParser.
func (citationParser) Trigger() []byte { return []byte{'['} }

// Parse implements parser.InlineParser.
func (citationParser) Parse(_ ast.Node, block text.Reader, pc parser.Context) ast.Node {
	known, _ := pc.Get(citedKey).(*references)
	line, _ := block.PeekLine()
	match := reference.FindSubmatch(line)
	if known == nil || match == nil {
		return nil
	}
	made, some := &citation{of: known}, false
	for number := range strings.SplitSeq(string(match[1]), ",") {
		number = strings.TrimSpace(number)
		_, found := known.of(number)
		some = some || found
		made.numbers = append(made.numbers, number)
	}
	if !some {
		return nil
	}
	block.Advance(len(match[0]))
	return made
}

// mostPassage of a passage is shown at a reference to it, in characters.
const mostPassage = 400

// citation writes links to passages, each with what stands there. In a link's own text
// they are just numbers, for a link has no link in it.
func (elements) citation(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n := node.(*citation)
	if !entering {
		return ast.WalkContinue, nil
	}
	if linked(n) {
		_, _ = w.WriteString("[" + strings.Join(n.numbers, ", ") + "]")
		return ast.WalkContinue, nil
	}
	for _, number := range n.numbers {
		c, known := n.of.of(number)
		if !known {
			_, _ = w.WriteString("[" + number + "]")
			continue
		}
		n.of.made++
		id := fmt.Sprintf("%s-passage-%d", n.of.prefix, n.of.made)
		_, _ = fmt.Fprintf(w, `<span class="cite"><a href="%s" aria-describedby="%s">%s</a><span class="passage" role="tooltip" id="%s"><strong>%s</strong>: %s</span></span>`,
			escaped(c.Href), escaped(id), number, escaped(id), escaped(c.Label), escaped(beginning(c.Passage)))
	}
	return ast.WalkContinue, nil
}

func beginning(passage string) string {
	words := strings.Join(strings.Fields(passage), " ")
	if runes := []rune(words); len(runes) > mostPassage {
		words = string(runes[:mostPassage]) + "…"
	}
	return words
}
