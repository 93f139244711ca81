package documents

import (
	"errors"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

// sharedStrings are the texts of cells, each stored once ([MS-XLS] SST). They are
// kept one after the other: a file of small strings has millions.
type sharedStrings struct {
	text []byte
	ends []uint32
}

// read reads them as far as they go, since programs have written wrong numbers of them.
func (s *sharedStrings) read(c *continued, most int) error {
	if err := c.skip(4); err != nil {
		return err
	}
	count, err := c.number(4)
	if err != nil {
		return err
	}
	for range count {
		if c.ended() {
			return nil
		}
		text, err := c.text(2)
		if err != nil {
			return err
		}
		s.text = append(s.text, text...)
		s.ends = append(s.ends, uint32(len(s.text)))
		if len(s.text)+len(s.ends) > most { // each stands in a cell
			return tooMuchText(most)
		}
	}
	return nil
}

func (s *sharedStrings) at(index uint32) (string, error) {
	if int64(index) >= int64(len(s.ends)) {
		return "", errors.New("a text that is not there")
	}
	from := uint32(0)
	if index > 0 {
		from = s.ends[index-1]
	}
	return string(s.text[from:s.ends[index]]), nil
}

const (
	mostFormats = 1000 // that are used; Excel takes some two hundred of one's own
	mostCode    = 255  // letters of one ([MS-XLS] Format)
	mostDigits  = 1e15 // beyond that numbers are not exact, nor dates any
)

// numberFormats shows numbers as cells do: dates, shares and amounts are all numbers.
// What a format means is asked of the library that reads .xlsx, so that the two say the
// same; it shows what is in a workbook, and so it is given one.
type numberFormats struct {
	since1904 bool // dates count from
	formats   []uint16
	codes     map[uint16]string
	book      *excelize.File
	cells     map[uint16]string // of book, by format; "" shows numbers as they are
}

// code takes a format's code. Formats have it even if they are built in, as their
// writer's country has them; but dates that any country shows its way are ISO's here.
func (n *numberFormats) code(id uint16, code string) {
	if n.codes == nil {
		n.codes = map[uint16]string{}
	}
	if id != 14 && id != 22 && utf8.RuneCountInString(code) <= mostCode {
		n.codes[id] = code
	}
}

func (n *numberFormats) show(format uint16, value float64) string {
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return "#NUM!"
	case math.Abs(value) < mostDigits && int(format) < len(n.formats):
		if cell := n.cell(n.formats[format]); cell != "" {
			if n.book.SetCellFloat(sheet1, cell, value, -1, 64) == nil {
				if text, err := n.book.GetCellValue(sheet1, cell); err == nil {
					return text
				}
			}
		}
	}
	return strconv.FormatFloat(value, 'G', 15, 64) // as many digits as Excel has
}

const sheet1 = "Sheet1"

// cell is the cell that has a format.
func (n *numberFormats) cell(id uint16) string {
	cell, known := n.cells[id]
	if known || len(n.cells) >= mostFormats {
		return cell
	}
	if n.cells == nil {
		n.cells = map[uint16]string{}
	}
	n.cells[id] = ""
	style := &excelize.Style{NumFmt: int(id)}
	if code, own := n.codes[id]; own {
		if style = (&excelize.Style{CustomNumFmt: &code}); code == "General" || code == "" {
			return ""
		}
	} else if id == 0 || id >= 164 {
		return ""
	}
	if n.book == nil {
		n.book = excelize.NewFile(isoDates)
		if n.book.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &n.since1904}) != nil {
			return ""
		}
	}
	made, err := n.book.NewStyle(style)
	if err != nil {
		return ""
	}
	cell = "A" + strconv.Itoa(len(n.cells))
	if n.book.SetCellStyle(sheet1, cell, cell, made) != nil {
		return ""
	}
	n.cells[id] = cell
	return cell
}

func (n *numberFormats) close() {
	if n.book != nil {
		_ = n.book.Close()
	}
}
