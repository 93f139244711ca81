package documents

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
)

// Characters that are more than text ([MS-DOC] sprmCFSpec, Overview of Tables, Plcfld).
const (
	wordCell      = 0x07
	wordLine      = 0x0b
	wordPage      = 0x0c // of a page or a section
	wordParagraph = 0x0d
	wordColumn    = 0x0e
	wordField     = 0x13 // its instructions begin
	wordResult    = 0x14 // they end and what is shown begins
	wordFieldEnd  = 0x15
	wordHyphen    = 0x1e // where no line may end
	wordSymbol    = 0x28 // when its format says which
)

// western1 has what characters of one byte mean, those of Windows-1252 ([MS-DOC] FcCompressed).
var western1 = func() (units [256]uint16) {
	for i := range units {
		units[i] = uint16(charmap.Windows1252.DecodeByte(byte(i)))
	}
	return units
}()

// wordText97 makes lines of a file's characters; what paragraphs and rows become is
// what those of .docx become.
type wordText97 struct {
	d          *word97
	body       *wordText
	characters formatting
	character  characterLook
	paragraphs formatting

	units  []uint16 // of the paragraph so far
	taken  int      // of text, whatever becomes of it
	fields []bool   // that have not ended: whether instructions go on
	hidden int      // instructions that go on

	walked uint32 // characters
	marks  int
	notes  [2]wordNotes
}

// wordNotes are the places of one kind of notes' marks, in their order ([MS-DOC] PlcffndRef,
// PlcffndTxt), and those of the notes within their story.
type wordNotes struct {
	refs, notes plc
	next        int
	story       int
	found       []wordNote
}

// wordNote is a note that the text has a mark of.
type wordNote struct {
	mark     string
	from, to uint32
}

func (d *word97) text(w *writer) *wordText97 {
	t := &wordText97{d: d, body: &wordText{w: w}}
	var styles, lists error
	t.body.styles, styles = d.styles()
	t.body.numbers, lists = d.lists()
	if styles != nil || lists != nil {
		w.warn("which paragraphs are headings and which numbers they have can't be told")
	}
	characters, err := d.listed(tableCharacters)
	paragraphs, err2 := d.listed(tableParagraphs)
	if err != nil || err2 != nil {
		w.warn("which text is hidden and where tables' rows end can't be told")
	}
	t.characters = formatting{main: d.main, pages: plcOf(characters, 4), size: 1}
	t.paragraphs = formatting{main: d.main, pages: plcOf(paragraphs, 4), size: 13}
	for i, kind := range []struct{ refs, notes, story int }{{tableFootnoteRefs, tableFootnotes, storyFootnotes}, {tableEndnoteRefs, tableEndnotes, storyEndnotes}} {
		refs, err := d.listed(kind.refs)
		notes, err2 := d.listed(kind.notes)
		if err != nil || err2 != nil {
			w.warn("notes can't be read")
			continue
		}
		t.notes[i] = wordNotes{refs: plcOf(refs, 2), notes: plcOf(notes, 0), story: kind.story}
	}
	return t
}

// story writes one of the stories of the text.
func (t *wordText97) story(which int) error {
	return t.run(t.d.stories[which], t.d.stories[which+1], which == storyText)
}

func (t *wordText97) note(note wordNote) error {
	t.body.prefix = note.mark + ": "
	defer func() { t.body.prefix = "" }()
	return t.run(note.from, note.to, false)
}

// run writes the text from one place to another, which is the main text or one beside it.
func (t *wordText97) run(from, to uint32, main bool) error {
	if t.walked += to - from; t.walked > t.d.pieces.end() {
		return errors.New("notes that overlap")
	}
	err := t.d.pieces.each(from, to, func(at, stored uint32, unit uint16) error {
		if main {
			if err := t.seeNotes(at, stored); err != nil {
				return err
			}
		}
		return t.see(stored, unit, main)
	})
	if err != nil {
		return err
	}
	if t.hidden > 0 {
		t.body.w.warn("a field has no end, and what follows it may be missing")
	}
	t.fields, t.hidden = t.fields[:0], 0
	if len(t.units) > 0 {
		if err := t.end(paragraphLook{}, main); err != nil {
			return err
		}
	}
	return t.body.endRow()
}

// seeNotes writes the mark of a note that the text has here.
func (t *wordText97) seeNotes(at, stored uint32) error {
	for i := range t.notes {
		n := &t.notes[i]
		for n.next < n.refs.n && n.refs.at(n.next) < at {
			n.next++
		}
		if n.next >= n.refs.n || n.refs.at(n.next) != at || !t.visible(stored) {
			continue
		}
		if n.next >= n.notes.n {
			return errors.New("a note that is not there")
		}
		from, to := n.notes.at(n.next), n.notes.at(n.next+1)
		base, end := t.d.stories[n.story], t.d.stories[n.story+1]
		if from > to || to > end-base {
			return errors.New("a note that is elsewhere")
		}
		t.marks++
		mark := fmt.Sprintf("[^%d]", t.marks)
		n.found = append(n.found, wordNote{mark, base + from, base + to})
		for _, c := range mark {
			if err := t.add(uint16(c)); err != nil {
				return err
			}
		}
	}
	return nil
}

// visible tells whether a character is shown.
func (t *wordText97) visible(stored uint32) bool {
	if t.characters.find(stored) {
		t.character = characterLookOf(t.characters.found)
	}
	return t.hidden == 0 && !t.character.hidden
}

// add takes something of the paragraph, or a part of it, and bounds what is kept.
func (t *wordText97) add(units ...uint16) error {
	t.units = append(t.units, units...)
	if t.taken += max(1, len(units)); t.taken > t.body.w.most {
		return tooMuchText(t.body.w.most)
	}
	return nil
}

func (t *wordText97) see(stored uint32, unit uint16, main bool) error {
	switch unit {
	case wordField:
		t.fields = append(t.fields, true)
		t.hidden++
		return t.add()
	case wordResult, wordFieldEnd:
		t.fieldGoesOn(unit == wordFieldEnd)
		return nil
	case wordCell:
		t.fields, t.hidden = t.fields[:0], 0 // none goes on in another cell
		look := t.look(stored)
		look.table = true
		if look.rowEnd && len(t.units) == 0 {
			return t.body.endRow()
		}
		err := t.end(look, main)
		t.body.endCell()
		return err
	case wordParagraph, wordPage:
		if t.hidden > 0 || unit == wordPage && len(t.units) == 0 {
			return nil
		}
		return t.end(t.look(stored), main)
	}
	if !t.visible(stored) {
		return nil
	}
	switch unit {
	case '\t':
	case wordLine, wordColumn:
		unit = '\n'
	case wordHyphen:
		unit = '-'
	case wordSymbol:
		if t.character.symbol != 0 {
			unit = t.character.symbol
		}
		if unit >= 0xe000 && unit < 0xf900 { // only its font knows what it looks like
			return nil
		}
	default:
		if unit < ' ' {
			return nil
		}
	}
	return t.add(unit)
}

// fieldGoesOn ends the instructions of the innermost field, or all of it.
func (t *wordText97) fieldGoesOn(end bool) {
	last := len(t.fields) - 1
	if last < 0 {
		return
	}
	if t.fields[last] {
		t.hidden--
	}
	if t.fields[last] = false; end {
		t.fields = t.fields[:last]
	}
}

// end ends a paragraph.
func (t *wordText97) end(look paragraphLook, main bool) error {
	p := &paragraph{style: strconv.Itoa(int(look.style)), outline: look.outline, list: look.list, level: look.level}
	text := string(utf16.Decode(t.units))
	t.units = t.units[:0]
	if err := t.add(); err != nil {
		return err
	}
	if look.table {
		p.cells = 1
		if t.body.row() == nil {
			t.body.cells = append(t.body.cells, &tableRow{})
		}
	} else if err := t.body.endRow(); err != nil {
		return err
	} else if !main && strings.TrimSpace(text) == "" {
		return nil
	}
	p.text.WriteString(text)
	return t.body.finished(p)
}
