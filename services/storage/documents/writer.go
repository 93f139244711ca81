package documents

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// writer collects a document's text, part by part, and counts it.
type writer struct {
	most  int // bytes of text
	size  int
	doc   Document
	place Part // of what is being written; its Text is in text
	text  strings.Builder
	path  []heading
}

type heading struct {
	level int
	text  string
}

func newWriter(kind string, most int) *writer {
	return &writer{most: most, doc: Document{Type: kind}}
}

// line writes one paragraph or row.
func (w *writer) line(text string) error {
	return w.write(strings.TrimRight(text, " \t\n") + "\n")
}

// write adds text as it is.
func (w *writer) write(text string) error {
	if w.size += len(text); w.size > w.most {
		return tooMuchText(w.most)
	}
	w.text.WriteString(clean(text))
	return nil
}

// part begins a part at a place, under no heading.
func (w *writer) part(place Part) {
	w.flush()
	w.path = nil
	w.place = place
}

// heading begins a section: a part at the same place whose first line is the heading.
func (w *writer) heading(level int, text string) error {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	w.section(level, text)
	return w.line(text)
}

// section is heading without the line.
func (w *writer) section(level int, text string) {
	w.flush()
	for len(w.path) > 0 && w.path[len(w.path)-1].level >= level {
		w.path = w.path[:len(w.path)-1]
	}
	w.path = append(w.path, heading{level, strings.Join(strings.Fields(clean(text)), " ")})
	w.place.Heading = nil
	for _, h := range w.path {
		w.place.Heading = append(w.place.Heading, h.text)
	}
}

func (w *writer) flush() {
	part := w.place
	part.Text = strings.Trim(w.text.String(), "\n")
	w.text.Reset()
	if strings.TrimSpace(part.Text) != "" {
		part.Heading = slices.Clone(part.Heading)
		w.doc.Parts = append(w.doc.Parts, part)
	}
}

func (w *writer) warn(text string) { w.doc.Warnings = append(w.doc.Warnings, text) }

// finish gives the document; nothing may be written afterwards.
func (w *writer) finish() Document {
	w.flush()
	return w.doc
}

// clean leaves out what is no text: control characters, which databases refuse, bytes
// that are not UTF-8, and characters that Unicode has for nobody (as 0xFFFE).
func clean(text string) string {
	good := utf8.ValidString(text)
	for i := 0; good && i < len(text); i++ {
		good = text[i] >= ' ' && text[i] != 0x7f && text[i] != 0xef || text[i] == '\n' || text[i] == '\t'
	}
	if good {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case r == '\r', r == '\v', r == '\f':
			return '\n'
		case r < ' ', r == 0x7f, r == utf8.RuneError, r == 0xfffe, r == 0xffff, r == 0xfeff:
			return -1
		}
		return r
	}, strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\r\n", "\n"))
}
