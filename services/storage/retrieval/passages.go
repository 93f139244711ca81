package retrieval

import (
	"strings"
	"unicode/utf8"
)

// Place is where a text stands in its document.
type Place struct {
	Page    int      // from 1; 0 where there are none
	Sheet   string   // of a table
	Heading []string // those above it
}

// Section is a run of text of one place, in the order of reading.
type Section struct {
	Place
	Text string
}

// Passage is what is found: a few paragraphs that stand together. All passages of a
// document, one after the other, are its text.
type Passage struct {
	Place
	Text string
}

// Sizes of passages, in bytes. One is full when the next paragraph would make it larger
// than wanted; a paragraph larger than most is divided.
const (
	wanted = 700
	most   = 1400
)

// Passages divides a document by its structure: passages end where places do, and
// between paragraphs rather than in them.
func Passages(sections []Section) (all []Passage) {
	for _, section := range sections {
		var b strings.Builder
		flush := func() {
			if text := strings.TrimSpace(b.String()); text != "" {
				all = append(all, Passage{section.Place, text})
			}
			b.Reset()
		}
		for _, paragraph := range paragraphs(section.Text) {
			for _, piece := range pieces(paragraph) {
				if b.Len() > 0 && b.Len()+len(piece) > wanted {
					flush()
				}
				if b.Len() > 0 {
					b.WriteString("\n\n")
				}
				b.WriteString(piece)
			}
		}
		flush()
	}
	return all
}

// paragraphs are parted by empty lines; lines that stand close, as those of tables and
// lists do, stay together as far as they fit.
func paragraphs(text string) (all []string) {
	for _, block := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		var b strings.Builder
		for _, line := range strings.Split(strings.Trim(block, "\n"), "\n") {
			if b.Len() > 0 && b.Len()+len(line) > wanted {
				all = append(all, b.String())
				b.Reset()
			}
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(line)
		}
		if strings.TrimSpace(b.String()) != "" {
			all = append(all, b.String())
		}
	}
	return all
}

// pieces divides what is too large, at the ends of sentences, of words or, where there
// are none, anywhere.
func pieces(text string) (all []string) {
	for len(text) > most {
		at := cutBefore(text, most)
		all = append(all, strings.TrimSpace(text[:at]))
		text = strings.TrimSpace(text[at:])
	}
	if text != "" {
		all = append(all, text)
	}
	return all
}

var ends = []string{". ", "! ", "? ", "。", "！", "？", "\n", "; ", ", ", " "}

func cutBefore(text string, limit int) int {
	for _, end := range ends {
		if at := strings.LastIndex(text[:limit], end); at > limit/2 {
			return at + len(end)
		}
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return limit
}
