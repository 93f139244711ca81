package documents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
)

// word97 is a file of Word 97 to 2003 ([MS-DOC]). Its text is one line of characters, in
// which each has a place (CP); it is stored in pieces, and how it looks is stored by
// the characters' places in the file (FC).
type word97 struct {
	main, table, data []byte
	stories           [stories + 1]uint32 // where each begins, and where the last ends
	pieces            pieces
}

// Stories follow each other in the text ([MS-DOC] Document Parts).
const (
	storyText = iota
	storyFootnotes
	storyHeaders
	storyMacros
	storyComments
	storyEndnotes
	storyBoxes
	storyHeaderBoxes
	stories
)

// Tables that the FIB tells the places of, by their number there ([MS-DOC] FibRgFcLcb97).
const (
	tableStyles       = 1
	tableFootnoteRefs = 2
	tableFootnotes    = 3
	tableCharacters   = 12
	tableParagraphs   = 13
	tablePieces       = 33
	tableEndnoteRefs  = 46
	tableEndnotes     = 47
	tableLists        = 73
	tableListUses     = 74
)

const (
	fibSign   = 0xa5   // of all versions, together with a byte of their own; one more in East Asia
	fibWord97 = 0x00c0 // and more is what nFib has, where older programs write less
	fibCounts = 76     // place of the stories' lengths
	fibTables = 154    // place of the tables' places
)

func oldWord() error {
	return unsupported("Files of Word 95 and older are not read; save it as .docx")
}

func (x *extraction) doc() (doc Document, err error) {
	d := &word97{}
	if d.main, err = x.compound.stream("WordDocument"); err != nil {
		return doc, err
	}
	if err = d.open(x); err != nil {
		return doc, err
	}
	w := x.writer("doc")
	t := d.text(w)
	if err = t.story(storyText); err != nil {
		return doc, err
	}
	if err = t.story(storyBoxes); err != nil {
		return doc, err
	}
	for i := range t.notes {
		for _, note := range t.notes[i].found {
			if err = t.note(note); err != nil {
				return doc, err
			}
		}
	}
	return w.finish(), nil
}

// open reads the FIB, which the file begins with, and finds the pieces ([MS-DOC] Fib).
func (d *word97) open(x *extraction) (err error) {
	s := &scanner{data: d.main}
	if sign := s.u16(); s.err == nil && sign>>8 != fibSign && sign>>8 != fibSign+1 {
		return errors.New("it does not begin as files of Word do")
	}
	if version := s.u16(); s.err == nil && version < fibWord97 {
		return oldWord()
	}
	s.bytes(6)
	flags := s.u16()
	if flags&0x0100 != 0 {
		return encrypted("Word file")
	}
	table := "0Table"
	if flags&0x0200 != 0 {
		table = "1Table"
	}
	if d.table, err = x.compound.stream(table); err != nil {
		return err
	}
	if d.data, err = x.compound.stream("Data"); err != nil {
		return err
	}
	content, err := d.listed(tablePieces)
	if err != nil {
		return err
	}
	if d.pieces, err = readPieces(content, d.main, x.limits.Unpacked); err != nil {
		return err
	}
	counts := &scanner{data: d.main[fibCounts:fibTables]}
	for i := range stories {
		length := int64(counts.u32())
		if i == storyMacros { // undefined
			length = 0
		}
		if length += int64(d.stories[i]); length > int64(d.pieces.end()) {
			return errors.New("pieces that end before the text")
		}
		d.stories[i+1] = uint32(length)
	}
	return nil
}

// place is where one of the tables is that the FIB lists; its size is 0 when there is none.
func (d *word97) place(number int) (at, size int64, err error) {
	place, err := part(d.main, fibTables+8*int64(number), 8)
	if err != nil || binary.LittleEndian.Uint16(d.main[fibTables-2:]) <= uint16(number) {
		return 0, 0, err
	}
	return int64(binary.LittleEndian.Uint32(place)), int64(binary.LittleEndian.Uint32(place[4:])), nil
}

// listed is one of those tables.
func (d *word97) listed(number int) ([]byte, error) {
	at, size, err := d.place(number)
	if err != nil || size == 0 {
		return nil, err
	}
	return part(d.table, at, size)
}

// plc is a table of places in the text, followed by something about each, of so many
// bytes ([MS-DOC] PLC).
type plc struct {
	content []byte
	size    int
	n       int
}

func plcOf(content []byte, size int) plc {
	return plc{content, size, max(0, (len(content)-4)/(4+size))}
}

// at is the place where number i begins; that of n is where the last ends.
func (p plc) at(i int) uint32 { return binary.LittleEndian.Uint32(p.content[4*i:]) }

func (p plc) about(i int) []byte { return p.content[4*(p.n+1)+p.size*i:][:p.size] }

// pieces say where the text is stored ([MS-DOC] Clx, PlcPcd).
type pieces struct {
	plc
	main []byte
}

// readPieces checks them all, so that what is in them can be taken as it is. Several may
// have one place, but all of them together no more than a file may unpack to.
func readPieces(clx, main []byte, most int64) (pieces, error) {
	s := &scanner{data: clx}
	kind := s.u8()
	for ; kind == 1 && s.err == nil; kind = s.u8() { // changes of the last saves
		s.bytes(int(s.u16()))
	}
	if kind != 2 {
		return pieces{}, errors.New("no pieces")
	}
	content := s.bytes(int(s.u32()))
	p := pieces{plcOf(content, 8), main}
	if s.err != nil || p.n == 0 || p.at(0) != 0 {
		return pieces{}, errors.New("pieces that are no such")
	}
	if int64(p.end()) > most {
		return pieces{}, tooMuchText(int(most))
	}
	for i := range p.n {
		from, wide := p.place(i)
		length := int64(p.at(i+1)) - int64(p.at(i))
		if length == 0 {
			return pieces{}, errors.New("a piece of nothing")
		}
		if wide {
			length *= 2
		}
		if _, err := part(main, int64(from), length); err != nil {
			return pieces{}, fmt.Errorf("piece %d: %w", i, err)
		}
	}
	return p, nil
}

func (p pieces) end() uint32 { return p.at(p.n) }

// place is where a piece is stored, and whether its characters have two bytes
// ([MS-DOC] FcCompressed).
func (p pieces) place(i int) (from uint32, wide bool) {
	from = binary.LittleEndian.Uint32(p.about(i)[2:])
	if from&0x40000000 != 0 {
		return from & 0x3fffffff / 2, false
	}
	return from & 0x3fffffff, true
}

// each goes through the characters from one place to another, and where each is stored.
func (p pieces) each(from, to uint32, see func(at, stored uint32, unit uint16) error) error {
	first := sort.Search(p.n, func(i int) bool { return p.at(i+1) > from })
	for i := first; i < p.n && p.at(i) < to; i++ {
		begin, end := max(from, p.at(i)), min(to, p.at(i+1))
		stored, wide := p.place(i)
		for at := begin; at < end; at++ {
			place := stored + at - p.at(i)
			var unit uint16
			if wide {
				place += at - p.at(i)
				unit = binary.LittleEndian.Uint16(p.main[place:])
			} else {
				unit = western1[p.main[place]]
			}
			if err := see(at, place, unit); err != nil {
				return err
			}
		}
	}
	return nil
}
