package documents

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
)

// writeHTML writes what a page shows to who reads it. contentType may name the
// encoding, as a mail's part does; otherwise the page does, or its bytes.
func writeHTML(w *writer, r io.Reader, contentType string) error {
	peek := bufio.NewReaderSize(r, 4096)
	head, _ := peek.Peek(1024)
	encoding, _, sure := charset.DetermineEncoding(head, contentType)
	var text io.Reader = peek
	if sure || guessCharset(head) != utf8Text {
		text = encoding.NewDecoder().Reader(peek)
	}
	root, err := html.ParseWithOptions(text, html.ParseOptionEnableScripting(false))
	if err != nil {
		return err
	}
	page := &pageText{w: w}
	if err := page.walk(root); err != nil {
		return err
	}
	return page.end()
}

// pageText turns a page's elements into lines. The parser allows no more than 512
// elements within each other, so that going down into them is no danger.
type pageText struct {
	w    *writer
	text strings.Builder // of the line that has not ended
	gap  bool            // a space comes before the next word
	pre  int
	row  *htmlRow
	list []int  // numbers of the next items; -1 is for lists without
	mark string // of the item that has no line yet
}

type htmlRow struct{ cells []string }

// unseen are elements that show no text of their own.
func unseen(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Head, atom.Svg, atom.Iframe, atom.Object, atom.Audio, atom.Video, atom.Canvas, atom.Datalist, atom.Select:
		return true
	}
	for _, a := range n.Attr {
		switch a.Key {
		case "hidden":
			return true
		case "style":
			style := strings.ToLower(strings.ReplaceAll(a.Val, " ", ""))
			if strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") {
				return true
			}
		}
	}
	return false
}

// block elements begin and end a line.
func block(a atom.Atom) bool {
	switch a {
	case atom.P, atom.Div, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Nav, atom.Aside, atom.Ul, atom.Ol, atom.Li, atom.Dl, atom.Dt, atom.Dd,
		atom.Table, atom.Caption, atom.Blockquote, atom.Pre, atom.Figure, atom.Figcaption, atom.Form, atom.Fieldset, atom.Legend, atom.Address, atom.Hr, atom.Details, atom.Summary, atom.Body:
		return true
	}
	return false
}

func (p *pageText) walk(n *html.Node) error {
	switch n.Type {
	case html.TextNode:
		p.words(n.Data)
		return nil
	case html.ElementNode:
		if n.DataAtom == atom.Head {
			return p.title(n)
		}
		if unseen(n) {
			return nil
		}
		return p.element(n)
	case html.DocumentNode:
		return p.children(n)
	}
	return nil
}

// title is a page's name, which stands above all of it.
func (p *pageText) title(head *html.Node) error {
	for n := head.FirstChild; n != nil; n = n.NextSibling {
		if n.DataAtom == atom.Title && n.FirstChild != nil {
			return p.w.heading(0, strings.Join(strings.Fields(n.FirstChild.Data), " "))
		}
	}
	return nil
}

func (p *pageText) children(n *html.Node) error {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if err := p.walk(c); err != nil {
			return err
		}
	}
	return nil
}

func (p *pageText) element(n *html.Node) error {
	switch n.DataAtom {
	case atom.Br:
		if p.row != nil {
			p.gap = true
			return nil
		}
		return p.end()
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		if p.row == nil {
			return p.headline(n, int(n.Data[1]-'0'))
		}
	case atom.Tr:
		if p.row == nil {
			return p.tableRow(n)
		}
	case atom.Td, atom.Th:
		if p.row != nil {
			return p.cell(n)
		}
	}
	if !block(n.DataAtom) {
		return p.children(n)
	}
	if p.row != nil { // a cell is one line
		p.gap = true
		err := p.children(n)
		p.gap = true
		return err
	}
	if err := p.end(); err != nil {
		return err
	}
	leave := p.enter(n)
	err := p.children(n)
	if err == nil {
		err = p.end()
	}
	leave()
	return err
}

// enter notes what an element means for the lines in it.
func (p *pageText) enter(n *html.Node) (leave func()) {
	switch n.DataAtom {
	case atom.Ul, atom.Ol:
		next := -1
		if n.DataAtom == atom.Ol {
			next = 1
		}
		p.list = append(p.list, next)
		return func() { p.list = p.list[:len(p.list)-1] }
	case atom.Li:
		if at := len(p.list) - 1; at >= 0 {
			p.mark = strings.Repeat("  ", min(at, 20)) + "- "
			if p.list[at] >= 0 {
				p.mark = fmt.Sprintf("%s%d. ", strings.Repeat("  ", min(at, 20)), p.list[at])
				p.list[at]++
			}
			return func() { p.mark = "" }
		}
	case atom.Pre:
		p.pre++
		return func() { p.pre-- }
	}
	return func() {}
}

func (p *pageText) headline(n *html.Node, level int) error {
	if err := p.end(); err != nil {
		return err
	}
	if err := p.children(n); err != nil {
		return err
	}
	text := p.text.String()
	p.text.Reset()
	p.gap = false
	return p.w.heading(level, text)
}

func (p *pageText) tableRow(n *html.Node) error {
	if err := p.end(); err != nil {
		return err
	}
	p.row = &htmlRow{}
	if err := p.children(n); err != nil {
		return err
	}
	cells := p.row.cells
	p.row = nil
	p.text.Reset() // what stands between cells is no text
	p.gap = false
	return p.w.line(strings.Join(cells, "\t"))
}

func (p *pageText) cell(n *html.Node) error {
	outer := p.text.String() // of a table within a cell
	if len(p.row.cells) == 0 {
		outer = ""
	}
	p.text.Reset()
	p.gap = false
	if err := p.children(n); err != nil {
		return err
	}
	p.row.cells = append(p.row.cells, strings.TrimSpace(p.text.String()))
	p.text.Reset()
	p.text.WriteString(outer)
	p.gap = false
	return nil
}

// words adds text; outside of <pre> spaces are one.
func (p *pageText) words(text string) {
	if p.pre > 0 && p.row == nil {
		p.text.WriteString(text)
		return
	}
	for i, word := range strings.FieldsFunc(text, htmlSpace) {
		if i > 0 || p.gap || htmlSpace(rune(text[0])) {
			p.space()
		}
		p.text.WriteString(word)
		p.gap = false
	}
	if text != "" && htmlSpace(rune(text[len(text)-1])) {
		p.gap = true
	}
}

// htmlSpace is what a page shows as one space; a no-break space is not among it.
func htmlSpace(r rune) bool { return r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == '\f' }

func (p *pageText) space() {
	if line := p.text.String(); line != "" && line[len(line)-1] != ' ' {
		p.text.WriteByte(' ')
	}
}

// end ends the line.
func (p *pageText) end() error {
	text := p.text.String()
	p.text.Reset()
	p.gap = false
	if strings.TrimSpace(text) == "" {
		return nil
	}
	text, p.mark = p.mark+strings.Trim(text, "\n"), ""
	return p.w.line(text)
}
