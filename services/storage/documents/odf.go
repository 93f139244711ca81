package documents

import (
	"encoding/xml"
	"strconv"
	"strings"
)

const (
	// mostRepeats of a cell or row that is stored once: sheets end with a row of blanks
	// that is repeated to the last row there can be.
	mostRepeats = 1000
	mostSpaces  = 1000
)

func (x *extraction) odt() (Document, error) { return x.openDocument("odt") }
func (x *extraction) ods() (Document, error) { return x.openDocument("ods") }
func (x *extraction) odp() (Document, error) { return x.openDocument("odp") }

// openDocument reads what LibreOffice and its like write.
func (x *extraction) openDocument(kind string) (Document, error) {
	closed := false
	err := x.zip.each("META-INF/manifest.xml", func(token xml.Token) error {
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "encryption-data" {
			closed = true
		}
		return nil
	})
	if closed {
		return Document{}, encrypted("OpenDocument file")
	}
	if err != nil {
		return Document{}, err
	}
	t := &openText{x: x, w: x.writer(kind), kind: kind}
	if err := x.zip.each("content.xml", t.see); err != nil {
		return Document{}, err
	}
	for _, note := range t.notes {
		if err := t.w.line(note); err != nil {
			return Document{}, err
		}
	}
	return t.w.finish(), nil
}

// openText turns the elements of content.xml into lines.
type openText struct {
	x    *extraction
	w    *writer
	kind string
	skip int

	open  []*openParagraph
	lists []int // items so far
	mark  bool  // the next paragraph is an item's first
	notes []string
	note  []string // of the note that has not ended; nil outside of one
	cite  *strings.Builder

	rows    []*openRow
	titled  bool // in a frame that holds a slide's title
	speaker bool // in a slide's notes
}

type openParagraph struct {
	text  strings.Builder
	level int
}

type openRow struct {
	cells   []string
	cell    []string
	repeat  int // of the cell
	repeats int // of the row
	blank   int // cells before the next that says something
}

func (t *openText) see(token xml.Token) error {
	switch token := token.(type) {
	case xml.StartElement:
		if row := t.row(); t.skip == 0 && token.Name.Local == "covered-table-cell" && t.kind == "ods" && row != nil {
			row.blank += repeats(token, "number-columns-repeated", mostRepeats) // of a merged cell
		}
		if t.skip > 0 || unseenOpen(token.Name.Local) {
			t.skip++
			return nil
		}
		return t.start(token)
	case xml.EndElement:
		if t.skip > 0 {
			t.skip--
			return nil
		}
		return t.end(token.Name.Local)
	case xml.CharData:
		if t.skip == 0 {
			t.words(string(token))
		}
	}
	return nil
}

func unseenOpen(name string) bool {
	switch name {
	case "tracked-changes", "annotation", "sequence-decls", "automatic-styles", "font-face-decls", "scripts", "forms", "shapes", "covered-table-cell", "ruby-text":
		return true
	}
	return false
}

func (t *openText) words(text string) {
	if t.cite != nil {
		t.cite.WriteString(text)
	} else if p := t.paragraph(); p != nil {
		p.text.WriteString(text)
	}
}

func (t *openText) paragraph() *openParagraph {
	if len(t.open) == 0 {
		return nil
	}
	return t.open[len(t.open)-1]
}

func (t *openText) row() *openRow {
	if len(t.rows) == 0 {
		return nil
	}
	return t.rows[len(t.rows)-1]
}

func (t *openText) start(e xml.StartElement) error {
	switch e.Name.Local {
	case "p", "h":
		p := &openParagraph{}
		if e.Name.Local == "h" {
			p.level = max(repeats(e, "outline-level", 10), 1)
		}
		t.open = append(t.open, p)
	case "s":
		t.words(strings.Repeat(" ", repeats(e, "c", mostSpaces)))
	case "tab":
		t.words("\t")
	case "line-break":
		t.words("\n")
	case "list":
		t.lists = append(t.lists, 0)
	case "list-item":
		t.mark = true
	case "note":
		t.note = []string{}
	case "note-citation":
		t.cite = &strings.Builder{}
	case "table":
		if t.kind == "ods" && len(t.rows) == 0 {
			t.w.part(Part{Sheet: attr(e, "name")})
		}
	case "table-row":
		t.rows = append(t.rows, &openRow{repeats: repeats(e, "number-rows-repeated", mostRepeats)})
	case "table-cell":
		if row := t.row(); row != nil {
			row.repeat = repeats(e, "number-columns-repeated", mostRepeats)
		}
	case "page":
		return t.page()
	case "frame":
		t.titled = attr(e, "class") == "title"
	case "notes":
		t.speaker = true
	}
	return nil
}

func (t *openText) page() error {
	t.w.doc.Pages++
	if t.w.doc.Pages > t.x.limits.Pages {
		return tooLarge("This presentation has more than the %d slides that are read; split it and upload its parts", t.x.limits.Pages)
	}
	t.w.part(Part{Page: t.w.doc.Pages})
	return nil
}

// repeats is how often something stands where it is stored once.
func repeats(e xml.StartElement, name string, most int) int {
	n, err := strconv.Atoi(attr(e, name))
	if err != nil || n < 1 {
		return 1
	}
	return min(n, most)
}

func (t *openText) end(name string) error {
	switch name {
	case "p", "h":
		p := t.paragraph()
		if p == nil {
			return nil
		}
		t.open = t.open[:len(t.open)-1]
		return t.finished(p)
	case "list":
		if len(t.lists) > 0 {
			t.lists = t.lists[:len(t.lists)-1]
		}
		t.mark = false
	case "list-item":
		t.mark = false
	case "note-citation":
		mark := "[^" + strings.TrimSpace(t.cite.String()) + "]"
		t.cite = nil
		t.words(mark)
		t.note = []string{mark + ":"}
	case "note":
		if len(t.note) > 1 {
			t.notes = append(t.notes, strings.Join(t.note, " "))
		}
		t.note = nil
	case "table-cell":
		t.cell()
	case "table-row":
		return t.rowEnd()
	case "frame":
		t.titled = false
	case "notes":
		t.speaker = false
	}
	return nil
}

func (t *openText) finished(p *openParagraph) error {
	text := p.text.String()
	blank := strings.TrimSpace(text) == ""
	row := t.row()
	switch {
	case blank && (row != nil || t.note != nil || t.kind == "odp"):
		return nil
	case t.note != nil:
		t.note = append(t.note, strings.TrimSpace(text))
		return nil
	case row != nil:
		row.cell = append(row.cell, strings.Join(strings.Fields(text), " "))
		return nil
	case t.titled:
		return t.w.heading(1, text)
	case t.speaker:
		return t.w.line("Notes: " + text)
	case p.level > 0:
		return t.w.heading(p.level, text)
	}
	if t.mark && !blank && t.kind == "odt" {
		text = strings.Repeat("  ", min(len(t.lists)-1, 20)) + "- " + text
		t.mark = false
	}
	return t.w.line(text)
}

func (t *openText) cell() {
	row := t.row()
	if row == nil {
		return
	}
	text := strings.Join(row.cell, " ")
	row.cell = nil
	if text == "" {
		row.blank += row.repeat
		return
	}
	for range min(row.blank, mostRepeats) {
		row.cells = append(row.cells, "")
	}
	row.blank = 0
	for range row.repeat {
		row.cells = append(row.cells, text)
	}
}

func (t *openText) rowEnd() error {
	row := t.row()
	if row == nil {
		return nil
	}
	t.rows = t.rows[:len(t.rows)-1]
	if outer := t.row(); outer != nil {
		outer.cell = append(outer.cell, strings.Join(row.cells, " "))
		return nil
	}
	if t.kind != "ods" {
		return t.w.line(strings.Join(row.cells, "\t"))
	}
	for range row.repeats {
		if !t.w.row(row.cells) {
			break
		}
		t.w.doc.Rows++
	}
	return t.w.write("")
}
