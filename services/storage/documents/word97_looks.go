package documents

import (
	"encoding/binary"
	"math"
	"sort"
	"strconv"
)

// What is asked of looks: their single properties, by their numbers ([MS-DOC] Single Property Modifiers).
const (
	sprmDeleted   = 0x0800 // by somebody whose changes are kept
	sprmHidden    = 0x083c
	sprmSymbol    = 0x6a09
	sprmTable     = 0x2416 // the paragraph stands in a cell
	sprmRowEnd    = 0x2417
	sprmStyle     = 0x4600
	sprmLevel     = 0x260a // of a list
	sprmList      = 0x460b
	sprmOutline   = 0x2640
	sprmElsewhere = 0x6646 // a paragraph's, in the stream of data
	sprmTabs      = 0xc615
	sprmCells     = 0xd608
)

// page is what looks are stored in: one has those of a run of the file ([MS-DOC] ChpxFkp, PapxFkp).
const lookPage = 512

// formatting finds how characters or paragraphs look by their place in the file.
type formatting struct {
	main  []byte
	pages plc // places of the file, and the page about what follows each
	size  int // of an entry of a page

	from, to uint32 // of what was found last
	found    []byte
}

// find finds how what is stored at a place looks, and tells whether that is another look
// than that of the place before. Where nothing is known, nothing is found.
func (f *formatting) find(stored uint32) bool {
	if stored >= f.from && stored < f.to {
		return false
	}
	f.from, f.to, f.found = stored, stored+1, nil
	if f.pages.n == 0 {
		f.from, f.to = 0, math.MaxUint32
		return true
	}
	i := sort.Search(f.pages.n, func(i int) bool { return f.pages.at(i) > stored }) - 1
	if i < 0 {
		return true
	}
	number := binary.LittleEndian.Uint32(f.pages.about(i)) & 0x3fffff // [MS-DOC] PnFkpChpx
	page, err := part(f.main, lookPage*int64(number), lookPage)
	if err != nil {
		return true
	}
	runs := int(page[lookPage-1])
	if 4*(runs+1)+f.size*runs >= lookPage {
		return true
	}
	place := func(i int) uint32 { return binary.LittleEndian.Uint32(page[4*i:]) }
	i = sort.Search(runs, func(i int) bool { return place(i+1) > stored })
	if i == runs || place(i) > stored {
		return true
	}
	f.from, f.to = place(i), place(i+1)
	if at := 2 * int(page[4*(runs+1)+f.size*i]); at > 0 {
		f.found = f.look(page[at : lookPage-1])
	}
	return true
}

// look takes what a page has at a place: its length in bytes, or in pairs of them for
// paragraphs ([MS-DOC] Chpx, PapxInFkp).
func (f *formatting) look(page []byte) []byte {
	s := &scanner{data: page}
	length := int(s.u8())
	switch {
	case f.size == 1:
	case length == 0:
		length = 2 * int(s.u8())
	default:
		length = 2*length - 1
	}
	return s.bytes(length)
}

// eachSprm goes through properties, which are of the sizes that their numbers tell
// ([MS-DOC] Sprm).
func eachSprm(properties []byte, see func(number uint16, value *scanner)) {
	s := &scanner{data: properties}
	for len(s.data) > 2 {
		number := s.u16()
		size := 0
		switch number >> 13 {
		case 0, 1:
			size = 1
		case 2, 4, 5:
			size = 2
		case 3:
			size = 4
		case 7:
			size = 3
		case 6:
			size = int(s.u8())
			switch {
			case number == sprmCells:
				size += int(s.u8())<<8 - 1
			case number == sprmTabs && size == 255: // [MS-DOC] PChgTabsOperand
				s.bytes(4 * int(s.u8()))
				size = 3 * int(s.u8())
			}
		}
		if value := s.bytes(size); s.err == nil {
			see(number, &scanner{data: value})
		}
	}
}

// characterLook is what matters of how characters look.
type characterLook struct {
	hidden bool   // or deleted
	symbol uint16 // that is shown instead
}

func characterLookOf(properties []byte) (look characterLook) {
	eachSprm(properties, func(number uint16, value *scanner) {
		switch number {
		case sprmDeleted, sprmHidden:
			look.hidden = look.hidden || value.u8()&1 != 0
		case sprmSymbol:
			value.u16()
			look.symbol = value.u16()
		}
	})
	return look
}

// paragraphLook is what matters of how paragraphs look.
type paragraphLook struct {
	style         uint16
	outline       int // as paragraph has it
	list, level   string
	table, rowEnd bool
}

func (look *paragraphLook) see(number uint16, value *scanner) {
	switch number {
	case sprmStyle:
		look.style = value.u16()
	case sprmTable:
		look.table = value.u8() != 0
	case sprmRowEnd:
		look.rowEnd = value.u8() != 0
	case sprmOutline:
		look.outline = outline(strconv.Itoa(int(value.u8())))
	case sprmLevel:
		look.level = strconv.Itoa(int(value.u8()))
	case sprmList: // below 0 it is a list whose indents are the paragraph's own ([MS-DOC] sprmPIlfo)
		use := int(int16(value.u16()))
		look.list = strconv.Itoa(max(use, -use))
	}
}

// look is how the paragraph looks whose mark is stored at a place.
func (t *wordText97) look(stored uint32) (look paragraphLook) {
	t.paragraphs.find(stored)
	s := &scanner{data: t.paragraphs.found}
	look.style = s.u16()
	eachSprm(s.data, func(number uint16, value *scanner) {
		if number != sprmElsewhere { // [MS-DOC] sprmPHugePapx, PrcData
			look.see(number, value)
			return
		}
		more := &scanner{}
		if at := int64(value.u32()); at < int64(len(t.d.data)) {
			more.data = t.d.data[at:]
		}
		eachSprm(more.bytes(int(more.u16())), look.see)
	})
	return look
}
