package documents

import (
	"encoding/xml"
	"errors"
	"fmt"
	"path"
	"strings"
)

// docx reads Word's files.
func (x *extraction) docx() (Document, error) {
	styles, err := readStyles(x.zip, path.Join(path.Dir(x.main), "styles.xml"))
	if err != nil {
		return Document{}, err
	}
	numbers, err := readNumbering(x.zip, path.Join(path.Dir(x.main), "numbering.xml"))
	if err != nil {
		return Document{}, err
	}
	w := x.writer("docx")
	body := &wordText{w: w, styles: styles, numbers: numbers, marks: map[string]string{}}
	if err := x.zip.each(x.main, body.see); err != nil {
		return Document{}, err
	}
	for _, notes := range []struct{ part, kind string }{{"footnotes.xml", "footnote"}, {"endnotes.xml", "endnote"}} {
		if err := x.notes(body, path.Join(path.Dir(x.main), notes.part), notes.kind); err != nil {
			return Document{}, err
		}
	}
	return w.finish(), nil
}

// notes writes the foot- or endnotes that the text refers to, under its last heading.
func (x *extraction) notes(body *wordText, part, kind string) error {
	note := &wordText{w: body.w, styles: body.styles, numbers: body.numbers, marks: body.marks}
	id := ""
	err := x.zip.each(part, func(token xml.Token) error {
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local == kind {
				if id = ""; attr(t, "type") == "" { // others are the line above the notes
					id = attr(t, "id")
				}
				note.prefix = body.noteMark(kind, id) + ": "
			}
		case xml.EndElement:
			if t.Name.Local == kind {
				id = ""
			}
		}
		if id == "" {
			return nil
		}
		return note.see(token)
	})
	if errors.Is(err, errMissing) {
		return nil
	}
	return err
}

// noteMark is [^1] for the first note that the text refers to, and so on: their ids
// are not their numbers.
func (t *wordText) noteMark(kind, id string) string {
	mark, ok := t.marks[kind+id]
	if !ok {
		mark = fmt.Sprintf("[^%d]", len(t.marks)+1)
		t.marks[kind+id] = mark
	}
	return mark
}

// wordText turns the elements of a WordprocessingML part into lines.
type wordText struct {
	w       *writer
	styles  map[string]style
	numbers *numbering
	marks   map[string]string // of notes, by kind and id
	prefix  string            // of the next paragraph

	open  []*paragraph // the innermost is last: text boxes stand within paragraphs
	cells []*tableRow  // of tables within tables
	skip  int          // depth in what is not shown
	props int          // depth in properties, where elements mean something else
	text  bool         // within w:t
	run   bool         // of a run: hidden
}

// paragraph is one that has not ended.
type paragraph struct {
	text        strings.Builder
	style       string
	outline     int // 1 to 9; 0 is the style's
	list, level string
	cells       int // how many tables it stands in
}

// tableRow is a row that has not ended.
type tableRow struct {
	cells []string
	cell  []string // its paragraphs
}

func (t *wordText) see(token xml.Token) error {
	switch token := token.(type) {
	case xml.StartElement:
		t.start(token)
	case xml.EndElement:
		return t.end(token)
	case xml.CharData:
		if p := t.paragraph(); t.text && p != nil && t.skip == 0 && !t.run {
			p.text.Write(token)
		}
	}
	return nil
}

// hiddenWord are elements whose text is not what the document says: what was deleted or
// moved away, and the older form of what stands in two forms.
func hiddenWord(name string) bool {
	switch name {
	case "del", "moveFrom", "Fallback", "delText", "instrText", "annotation":
		return true
	}
	return false
}

func (t *wordText) start(e xml.StartElement) {
	name := e.Name.Local
	if t.skip > 0 || hiddenWord(name) {
		t.skip++
		return
	}
	if t.props > 0 {
		t.props++
		t.property(e)
		return
	}
	p := t.paragraph()
	switch name {
	case "p":
		if !drawing(e.Name) {
			t.open = append(t.open, &paragraph{cells: len(t.cells)})
		}
	case "pPr", "rPr", "tblPr", "trPr", "tcPr", "sectPr", "tblGrid", "tcBorders":
		if t.props = 1; name == "rPr" {
			t.run = false
		}
	case "r":
		t.run = false
	case "t":
		t.text = !drawing(e.Name)
	case "tr":
		t.cells = append(t.cells, &tableRow{})
	case "footnoteReference", "endnoteReference":
		if p != nil {
			p.text.WriteString(t.noteMark(strings.TrimSuffix(name, "Reference"), attr(e, "id")))
		}
	}
	if p == nil || t.run {
		return
	}
	switch name {
	case "tab", "ptab":
		p.text.WriteByte('\t')
	case "br", "cr":
		p.text.WriteByte('\n')
	case "noBreakHyphen":
		p.text.WriteByte('-')
	}
}

// drawing is DrawingML's namespace, whose elements have the same names.
func drawing(name xml.Name) bool {
	return strings.Contains(name.Space, "drawingml") || name.Space == "a"
}

// property is an element within properties.
func (t *wordText) property(e xml.StartElement) {
	p := t.paragraph()
	if p == nil {
		return
	}
	value := attr(e, "val")
	switch e.Name.Local {
	case "pStyle":
		p.style = value
	case "outlineLvl":
		p.outline = outline(value)
	case "numId":
		p.list = value
	case "ilvl":
		p.level = value
	case "vanish":
		// The mark at a paragraph's end has properties too, within the paragraph's own.
		if t.props == 2 {
			t.run = value != "0" && value != "false"
		}
	}
}

func (t *wordText) end(e xml.EndElement) error {
	if t.skip > 0 {
		t.skip--
		return nil
	}
	if t.props > 0 {
		t.props--
		return nil
	}
	switch e.Name.Local {
	case "t":
		t.text = false
	case "r":
		t.run = false
	case "p":
		if p := t.paragraph(); p != nil && !drawing(e.Name) {
			t.open = t.open[:len(t.open)-1]
			return t.finished(p)
		}
	case "tc":
		t.endCell()
	case "tr":
		return t.endRow()
	}
	return nil
}

func (t *wordText) endCell() {
	if row := t.row(); row != nil {
		row.cells = append(row.cells, strings.Join(row.cell, " "))
		row.cell = nil
	}
}

func (t *wordText) endRow() error {
	row := t.row()
	if row == nil {
		return nil
	}
	t.cells = t.cells[:len(t.cells)-1]
	text := strings.Join(row.cells, "\t")
	if outer := t.row(); outer != nil {
		outer.cell = append(outer.cell, strings.Join(strings.Fields(text), " "))
		return nil
	}
	return t.w.line(text)
}

func (t *wordText) paragraph() *paragraph {
	if len(t.open) == 0 {
		return nil
	}
	return t.open[len(t.open)-1]
}

func (t *wordText) row() *tableRow {
	if len(t.cells) == 0 {
		return nil
	}
	return t.cells[len(t.cells)-1]
}

// finished writes a paragraph, or puts it into its cell.
func (t *wordText) finished(p *paragraph) error {
	s := t.styles[p.style]
	text := p.text.String()
	blank := strings.TrimSpace(text) == ""
	list, level := p.list, p.level
	if list == "" {
		list, level = s.list, s.level
	}
	if mark := t.numbers.mark(list, level); mark != "" && !blank {
		text = mark + " " + text
	}
	if t.prefix != "" && !blank {
		text, t.prefix = t.prefix+strings.TrimSpace(text), ""
	}
	if row := t.row(); row != nil && p.cells > 0 {
		if !blank {
			row.cell = append(row.cell, strings.Join(strings.Fields(text), " "))
		}
		return nil
	}
	rank := p.outline
	if rank == 0 {
		rank = s.outline
	}
	if rank > 0 && !blank {
		return t.w.heading(rank, text)
	}
	return t.w.line(text)
}
