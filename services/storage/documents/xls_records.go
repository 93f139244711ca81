package documents

import (
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
)

// Kinds of records that are read ([MS-XLS] Record Enumeration).
const (
	xlsFormula  = 0x0006
	xlsEOF      = 0x000a
	xls1904     = 0x0022
	xlsFilePass = 0x002f
	xlsContinue = 0x003c
	xlsSheet    = 0x0085 // BoundSheet8
	xlsMulRk    = 0x00bd
	xlsRString  = 0x00d6
	xlsXF       = 0x00e0
	xlsSST      = 0x00fc
	xlsLabelSST = 0x00fd
	xlsNumber   = 0x0203
	xlsLabel    = 0x0204
	xlsBoolErr  = 0x0205
	xlsString   = 0x0207
	xlsRk       = 0x027e
	xlsFormat   = 0x041e
	xlsBOF      = 0x0809
)

const xlsHead = 4 // bytes of a record's kind and size

var errSheets = errors.New("sheets that overlap")

// record is one of a workbook's records, which follow each other without an index.
type record struct {
	kind uint16
	at   int
	data []byte
}

func recordAt(stream []byte, at int) (record, error) {
	head, err := part(stream, int64(at), xlsHead)
	if err != nil {
		return record{}, err
	}
	data, err := part(stream, int64(at+xlsHead), int64(binary.LittleEndian.Uint16(head[2:])))
	return record{binary.LittleEndian.Uint16(head), at, data}, err
}

func (r record) next() int { return r.at + xlsHead + len(r.data) }

// substream goes through the records of a part of the workbook, from its BOF to its
// EOF; charts within sheets are such parts too and are left out ([MS-XLS] Workbook
// Stream). Whatever places the sheets are said to have, no more is gone through in all
// than there is.
func (b *workbook) substream(at int, see func(record) error) error {
	depth := 0
	for {
		r, err := recordAt(b.stream, at)
		if err != nil {
			return err
		}
		if b.walked += r.next() - at; b.walked > len(b.stream) {
			return errSheets
		}
		if depth == 0 && r.kind != xlsBOF {
			return errors.New("a sheet that begins with no BOF")
		}
		switch r.kind {
		case xlsBOF:
			if depth++; depth > 1 {
				break
			}
			if err := see(r); err != nil {
				return err
			}
		case xlsEOF:
			if depth--; depth == 0 {
				return nil
			}
		default:
			if depth > 1 {
				break
			}
			if err := see(r); err != nil {
				return err
			}
		}
		at = r.next()
	}
}

// continued reads a record together with the Continue records after it, which hold what
// a record has no room for ([MS-XLS] Continue).
type continued struct {
	stream []byte
	at     int // of the record after this
	data   []byte
	units  []uint16
}

func (b *workbook) continued(r record) *continued {
	return b.rest(r, &scanner{data: r.data})
}

// rest is what is left of a record after its first numbers.
func (b *workbook) rest(r record, s *scanner) *continued {
	return &continued{stream: b.stream, at: r.next(), data: s.data}
}

// more goes to the next Continue record.
func (c *continued) more() error {
	r, err := recordAt(c.stream, c.at)
	if err != nil {
		return err
	}
	if r.kind != xlsContinue {
		return io.ErrUnexpectedEOF
	}
	c.at, c.data = r.next(), r.data
	return nil
}

// ended tells whether there is nothing more.
func (c *continued) ended() bool {
	for len(c.data) == 0 {
		if c.more() != nil {
			return true
		}
	}
	return false
}

func (c *continued) number(n int) (value uint32, err error) {
	for i := range n {
		for len(c.data) == 0 {
			if err := c.more(); err != nil {
				return 0, err
			}
		}
		value |= uint32(c.data[0]) << (8 * i)
		c.data = c.data[1:]
	}
	return value, nil
}

func (c *continued) skip(n int64) error {
	for n > int64(len(c.data)) {
		n -= int64(len(c.data))
		if err := c.more(); err != nil {
			return err
		}
	}
	c.data = c.data[n:]
	return nil
}

// text reads an XLUnicodeRichExtendedString, of which the other kinds of strings are
// simpler forms ([MS-XLS] XLUnicodeRichExtendedString). Its length is a number of so many bytes.
func (c *continued) text(lengthBytes int) (string, error) {
	length, err := c.number(lengthBytes)
	if err != nil {
		return "", err
	}
	flags, err := c.number(1)
	if err != nil {
		return "", err
	}
	var after int64
	if flags&8 != 0 { // runs of fonts
		runs, err := c.number(2)
		if err != nil {
			return "", err
		}
		after += 4 * int64(runs)
	}
	if flags&4 != 0 { // how the text is pronounced
		size, err := c.number(4)
		if err != nil {
			return "", err
		}
		after += int64(size)
	}
	if err := c.characters(int(length), flags&1 != 0); err != nil {
		return "", err
	}
	return string(utf16.Decode(c.units)), c.skip(after)
}

// characters reads so many into units. Those whose upper byte is 0 in all of a string
// are stored without it; where a string goes on in a Continue record, that begins with
// the flag that says so anew for the rest.
func (c *continued) characters(length int, wide bool) error {
	c.units = c.units[:0]
	for len(c.units) < length {
		if len(c.data) == 0 {
			if err := c.more(); err != nil {
				return err
			}
			flags, err := c.number(1)
			if err != nil {
				return err
			}
			wide = flags&1 != 0
			continue
		}
		if !wide {
			n := min(length-len(c.units), len(c.data))
			for _, b := range c.data[:n] {
				c.units = append(c.units, uint16(b))
			}
			c.data = c.data[n:]
			continue
		}
		n := min(length-len(c.units), len(c.data)/2)
		if n == 0 {
			return errors.New("half a character")
		}
		for i := range n {
			c.units = append(c.units, binary.LittleEndian.Uint16(c.data[2*i:]))
		}
		c.data = c.data[2*n:]
	}
	return nil
}
