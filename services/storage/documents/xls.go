package documents

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// workbook is a file of Excel 97 to 2003, whose form is BIFF8 ([MS-XLS]).
type workbook struct {
	stream  []byte
	walked  int // bytes of it that were gone through
	sheets  []boundSheet
	strings sharedStrings
	numbers numberFormats
	cells   []xlsCell // of the sheet that is read
	most    limits
}

// boundSheet is a sheet's name and place.
type boundSheet struct {
	name string
	at   int
	kind byte // 0 has cells
}

// xlsCell is a cell that has something, and the record that says what.
type xlsCell struct {
	row, column uint16
	at          uint32
}

// mostColumns of a sheet ([MS-XLS] Col).
const mostColumns = 256

func (x *extraction) xls() (Document, error) {
	stream, err := x.compound.stream("Workbook")
	if err != nil {
		return Document{}, err
	}
	if len(stream) > math.MaxInt32 { // places in it have 32 bits
		return Document{}, tooLarge("This file has more than 2 GB; split it and upload its parts")
	}
	b := &workbook{stream: stream, most: x.limits}
	if err := b.substream(0, b.global); err != nil {
		return Document{}, err
	}
	defer b.numbers.close()
	w := x.writer("xls")
	for i, sheet := range b.sheets {
		w.part(Part{Sheet: clean(sheet.name)})
		if sheet.kind != 0 { // a chart, or macros
			w.warn(fmt.Sprintf("sheet %q has no cells that can be read", clean(sheet.name)))
		} else if err := b.sheet(w, sheet); err != nil {
			return Document{}, err
		}
		x.progress(i+1, len(b.sheets))
	}
	return w.finish(), nil
}

// global sees the records that are about all sheets ([MS-XLS] Globals Substream).
func (b *workbook) global(r record) error {
	s := &scanner{data: r.data}
	switch r.kind {
	case xlsBOF:
		if version := s.u16(); s.err == nil && version != 0x0600 { // [MS-XLS] BOF
			return oldExcel()
		}
	case xlsFilePass:
		return encrypted("workbook")
	case xls1904:
		b.numbers.since1904 = s.u16() == 1
	case xlsXF:
		s.u16()
		b.numbers.formats = append(b.numbers.formats, s.u16())
	case xlsFormat:
		id := s.u16()
		code, err := b.rest(r, s).text(2)
		if err != nil {
			return err
		}
		b.numbers.code(id, code)
	case xlsSheet:
		at, kind := s.u32(), s.u16()>>8
		name, err := b.rest(r, s).text(1)
		if err != nil {
			return err
		}
		b.sheets = append(b.sheets, boundSheet{name, int(at), byte(kind)})
		if len(b.sheets) > b.most.Pages {
			return tooLarge("This workbook has more than %d sheets; split it and upload its parts", b.most.Pages)
		}
	case xlsSST:
		return b.strings.read(b.continued(r), b.most.Text)
	}
	return s.err
}

func oldExcel() error {
	return unsupported("Files of Excel 95 and older are not read; save it as .xlsx")
}

// sheet writes a sheet's rows.
func (b *workbook) sheet(w *writer, sheet boundSheet) error {
	b.cells = b.cells[:0]
	awaits := -1 // the formula whose text the next String record is
	err := b.substream(sheet.at, func(r record) error {
		s := &scanner{data: r.data}
		if r.kind == xlsString {
			if awaits >= 0 {
				b.cells[awaits].at, awaits = uint32(r.at), -1
			}
			return nil
		}
		c := xlsCell{at: uint32(r.at)}
		columns := 1
		switch r.kind {
		case xlsMulRk:
			columns = (len(r.data) - 6) / 6
		case xlsFormula, xlsRString, xlsLabelSST, xlsNumber, xlsLabel, xlsBoolErr, xlsRk:
		default:
			return nil
		}
		c.row, c.column = s.u16(), s.u16()
		if s.err != nil {
			return s.err
		}
		if int(c.column)+columns > mostColumns {
			return fmt.Errorf("column %d", int(c.column)+columns)
		}
		for range columns {
			b.cells = append(b.cells, c)
			c.column++
		}
		if len(b.cells) > b.most.Text/2 { // each is at least a character and what separates it from the next
			return tooMuchText(b.most.Text)
		}
		if r.kind == xlsFormula {
			awaits = len(b.cells) - 1
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Excel writes them in order, but reads them in any.
	order := func(a, b xlsCell) int {
		return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.column, b.column))
	}
	if !slices.IsSortedFunc(b.cells, order) {
		slices.SortStableFunc(b.cells, order)
	}
	return b.rows(w)
}

// rows writes the cells that were found.
func (b *workbook) rows(w *writer) error {
	line := make([]string, 0, mostColumns)
	for i, last := 0, 0; i < len(b.cells); {
		row := b.cells[i].row
		line = line[:0]
		for ; i < len(b.cells) && b.cells[i].row == row; i++ {
			text, err := b.shown(b.cells[i])
			if err != nil {
				return err
			}
			for len(line) <= int(b.cells[i].column) {
				line = append(line, "")
			}
			line[b.cells[i].column] = text
		}
		if w.row(line) { // blank rows count only before another
			w.doc.Rows += int(row) + 1 - last
			last = int(row) + 1
		}
		if w.size > w.most {
			return w.write("")
		}
	}
	return nil
}

// shown is a cell as Excel shows it ([MS-XLS] BoolErr, Formula, Label, LabelSst, MulRk,
// Number, RK, String).
func (b *workbook) shown(c xlsCell) (string, error) {
	r, err := recordAt(b.stream, int(c.at))
	if err != nil {
		return "", err
	}
	if r.kind == xlsString {
		return b.continued(r).text(2)
	}
	s := &scanner{data: r.data}
	s.bytes(4)
	format := s.u16()
	switch r.kind {
	case xlsLabelSST:
		index := s.u32()
		if s.err != nil {
			return "", s.err
		}
		return b.strings.at(index)
	case xlsLabel, xlsRString:
		return b.rest(r, s).text(2)
	case xlsNumber:
		return b.numbers.show(format, s.double()), s.err
	case xlsRk:
		return b.numbers.show(format, rk(s.u32())), s.err
	case xlsMulRk:
		s.data = r.data[2:]
		s.bytes(6 * (int(c.column) - int(s.u16())))
		format = s.u16()
		return b.numbers.show(format, rk(s.u32())), s.err
	case xlsBoolErr:
		value, isError := s.u8(), s.u8() != 0
		return truth(value, isError), s.err
	}
	value := s.bytes(8)
	if s.err != nil {
		return "", s.err
	}
	if binary.LittleEndian.Uint16(value[6:]) != 0xffff { // [MS-XLS] FormulaValue
		return b.numbers.show(format, math.Float64frombits(binary.LittleEndian.Uint64(value))), nil
	}
	switch value[0] {
	case 1, 2:
		return truth(value[2], value[0] == 2), nil
	}
	return "", nil
}

func (s *scanner) double() float64 {
	low := s.u32()
	return math.Float64frombits(uint64(s.u32())<<32 | uint64(low))
}

// rk is a number of 30 bits, and of 32 when its two lowest are what it was made by
// ([MS-XLS] RkNumber).
func rk(bits uint32) float64 {
	value := math.Float64frombits(uint64(bits&^3) << 32)
	if bits&2 != 0 {
		value = float64(int32(bits) >> 2)
	}
	if bits&1 != 0 {
		value /= 100
	}
	return value
}

// truth is what a cell shows that is true, false or wrong ([MS-XLS] Bes, BErr).
func truth(value uint8, isError bool) string {
	switch {
	case !isError && value != 0:
		return "TRUE"
	case !isError:
		return "FALSE"
	}
	switch value {
	case 0x00:
		return "#NULL!"
	case 0x07:
		return "#DIV/0!"
	case 0x0f:
		return "#VALUE!"
	case 0x17:
		return "#REF!"
	case 0x1d:
		return "#NAME?"
	case 0x24:
		return "#NUM!"
	}
	return "#N/A"
}
