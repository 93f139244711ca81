package documents

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
)

const (
	mostStyles = 0x0ffe // [MS-DOC] Stshif
	mostUses   = 0x07fe // of lists ([MS-DOC] sprmPIlfo)

	styleHeading  = 1 // to 9 are the numbers of Word's headings ([MS-DOC] StdfBase)
	styleTitle    = 62
	styleNoBase   = 0x0fff
	styleWithText = 1 // of a paragraph, not of characters or a table
)

// styles finds the styles of headings and lists, by their numbers ([MS-DOC] STSH).
func (d *word97) styles() (map[string]style, error) {
	all, base := map[string]style{}, map[string]string{}
	content, err := d.listed(tableStyles)
	if err != nil || content == nil {
		return all, err
	}
	s := &scanner{data: content}
	head := &scanner{data: s.bytes(int(s.u16()))}
	count, fixed := int(head.u16()), int(head.u16())
	if s.err != nil || head.err != nil || count > mostStyles {
		return all, errors.New("styles that are no such")
	}
	for i := range count {
		if len(s.data) == 0 { // the rest are none
			break
		}
		size := int(s.u16())
		one := &scanner{data: s.bytes(size)}
		if len(s.data) > 0 { // each begins at an even place
			s.bytes(size & 1)
		}
		if s.err != nil {
			break
		}
		if len(one.data) > 0 {
			all[strconv.Itoa(i)], base[strconv.Itoa(i)] = readStyle(one, fixed)
		}
	}
	inherit(all, base)
	return all, s.err
}

// readStyle reads one ([MS-DOC] STD, StdfBase): which of Word's own it is, what it is
// based on, its name, and what its paragraphs look like.
func readStyle(s *scanner, fixed int) (one style, base string) {
	f := &scanner{data: s.bytes(fixed)}
	id, kind := f.u16()&0x0fff, f.u16()
	if kind>>4 != styleNoBase {
		base = strconv.Itoa(int(kind >> 4))
	}
	s.bytes(2*int(s.u16()) + 2) // its name in its owner's language
	switch {
	case id >= styleHeading && id <= styleHeading+8:
		one.outline = int(id)
	case id == styleTitle:
		one.outline = 1
	}
	if kind&0xf != styleWithText {
		return one, base
	}
	look := paragraphLook{}
	properties := &scanner{data: s.bytes(int(s.u16()))}
	properties.u16()
	eachSprm(properties.data, look.see)
	one.list, one.level = look.list, look.level
	if one.outline == 0 {
		one.outline = look.outline
	}
	return one, base
}

// wordLists reads the lists and their uses, which paragraphs name.
type wordLists struct {
	scanner
	lists map[uint32]*numberedList
}

// lists gives the uses of lists by their numbers ([MS-DOC] PlfLst, PlfLfo).
func (d *word97) lists() (*numbering, error) {
	n := &numbering{lists: map[string]*numberedList{}}
	at, size, err := d.place(tableLists)
	if err != nil || size == 0 {
		return n, err
	}
	// The levels of all lists follow the table, and are no part of it.
	content, err := part(d.table, at, int64(len(d.table))-at)
	if err != nil {
		return n, err
	}
	w := &wordLists{scanner: scanner{data: content}, lists: map[uint32]*numberedList{}}
	w.read()
	if w.err != nil {
		return n, w.err
	}
	if content, err = d.listed(tableListUses); err != nil || content == nil {
		return n, err
	}
	w.scanner = scanner{data: content}
	w.readUses(n)
	return n, w.err
}

// read reads the lists ([MS-DOC] LSTF).
func (w *wordLists) read() {
	var all []*numberedList
	var levels []int
	for range w.u16() {
		id := w.u32()
		w.bytes(4 + 18)
		simple := w.u8()&1 != 0
		w.u8()
		if w.err != nil {
			return
		}
		list := &numberedList{}
		w.lists[id] = list
		all = append(all, list)
		if simple {
			levels = append(levels, 1)
		} else {
			levels = append(levels, len(list.levels))
		}
	}
	for i, list := range all {
		for level := range levels[i] {
			list.levels[level] = w.level()
			if w.err != nil {
				return
			}
		}
	}
}

// level reads how a level of a list is numbered ([MS-DOC] LVL, LVLF).
func (w *wordLists) level() (level listLevel) {
	level.start = int(int32(w.u32()))
	level.format = numberFormat(w.u8())
	w.bytes(19)
	characters, paragraphs := int(w.u8()), int(w.u8())
	w.bytes(2 + characters + paragraphs)
	text := &scanner{data: w.bytes(2 * int(w.u16()))}
	var b strings.Builder
	var units []uint16
	for len(text.data) > 0 {
		if unit := text.u16(); unit < 9 { // the number of that level
			b.WriteString(string(utf16.Decode(units)) + "%" + strconv.Itoa(int(unit)+1))
			units = units[:0]
		} else {
			units = append(units, unit)
		}
	}
	level.text = b.String() + string(utf16.Decode(units))
	return level
}

// readUses reads the uses of lists, which may have them begin anew or look otherwise
// ([MS-DOC] LFO, LFOData, LFOLVL).
func (w *wordLists) readUses(n *numbering) {
	type use struct {
		list    *numberedList
		changes int
	}
	var uses []use
	for range min(w.u32(), mostUses) {
		list := w.lists[w.u32()]
		w.bytes(8)
		uses = append(uses, use{list, int(w.u8())})
		w.bytes(3)
	}
	for i, u := range uses {
		w.u32()
		if w.err != nil {
			return
		}
		list := u.list
		if list != nil && u.changes > 0 {
			list = &numberedList{levels: list.levels}
		}
		for range u.changes {
			start, flags := int(int32(w.u32())), w.u32()
			change, at := listLevel{}, int(flags&0xf)
			if flags&0x20 != 0 {
				change = w.level()
			}
			if list == nil || at >= len(list.levels) || w.err != nil {
				continue
			}
			if flags&0x20 != 0 {
				list.levels[at] = change
			}
			if flags&0x10 != 0 {
				list.levels[at].start = start
			}
		}
		if list != nil {
			n.lists[strconv.Itoa(i+1)] = list
		}
	}
}

// numberFormat is a way to write numbers by its name in .docx ([MS-OSHARED] MSONFC).
func numberFormat(number uint8) string {
	switch number {
	case 1:
		return "upperRoman"
	case 2:
		return "lowerRoman"
	case 3:
		return "upperLetter"
	case 4:
		return "lowerLetter"
	case 22:
		return "decimalZero"
	case 23:
		return "bullet"
	case 255:
		return "none"
	}
	return "decimal"
}
