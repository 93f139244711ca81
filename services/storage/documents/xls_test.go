package documents

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func record97(kind uint16, values ...any) []byte {
	data := little(values...)
	return little(kind, uint16(len(data)), data)
}

func bof97(version, kind uint16) []byte {
	return record97(xlsBOF, version, kind, make([]byte, 12))
}

// wide97 and narrow97 are strings whose characters have two bytes or one.
func wide97(text string) []byte {
	b := utf16Of(text, false, false)
	return little(uint16(len(b)/2), 1, b)
}

func narrow97(text string) []byte { return little(uint16(len(text)), 0, text) }

// book97 is a workbook of these sheets, with records about all of them. A sheet whose
// name begins with an asterisk is a chart.
func book97(global []byte, names []string, sheets ...[]byte) []byte {
	at := len(bof97(0x0600, 5)) + len(global) + len(record97(xlsEOF))
	for _, name := range names {
		at += xlsHead + 8 + len(name)
	}
	stream := little(bof97(0x0600, 5), global)
	var all []byte
	for i, name := range names {
		kind := 0
		if name[0] == '*' {
			kind = 2
		}
		stream = append(stream, record97(xlsSheet, uint32(at+len(all)), 0, kind, len(name), 0, name)...)
		all = append(all, little(bof97(0x0600, 0x10), sheets[i], record97(xlsEOF))...)
	}
	return little(stream, record97(xlsEOF), all)
}

func sheets97(cells []byte) []byte { return book97(nil, []string{"S"}, cells) }

// row97 is a first row of texts.
func row97(texts ...string) (cells []byte) {
	for i, text := range texts {
		cells = append(cells, record97(xlsLabel, uint16(0), uint16(i), uint16(0), wide97(text))...)
	}
	return cells
}

func readBook(t testing.TB, stream []byte) (Document, error) {
	t.Helper()
	return read(t, "", compoundOf(stored{name: "Workbook", content: stream}))
}

// TestSharedStrings cuts strings everywhere, with characters of one and two bytes
// before and after.
func TestSharedStrings(t *testing.T) {
	t.Parallel()
	const text = "abcdé"
	more := little(uint16(2), 0, "ok")
	cells := little(record97(xlsLabelSST, uint16(0), uint16(0), uint16(0), uint32(0)), record97(xlsLabelSST, uint16(0), uint16(1), uint16(0), uint32(1)))
	latin := []byte("abcd\xe9")
	two := utf16Of(text, false, false)
	for cut := range 6 {
		for form := range 8 {
			before, after := form&1, form>>1&1
			first, second := latin[:cut], latin[cut:]
			if before == 1 {
				first = two[:2*cut]
			}
			if after == 1 {
				second = two[2*cut:]
			}
			head, tail := little(uint16(5), before), []byte(nil)
			if form&4 != 0 { // with fonts, and how it is pronounced
				head, tail = little(uint16(5), before|12, uint16(2), uint32(7)), make([]byte, 15)
			}
			global := little(record97(xlsSST, uint32(9), uint32(2), head, first), record97(xlsContinue, after, second, tail, more))
			if cut == 5 { // nothing is left to go on with
				global = little(record97(xlsSST, uint32(9), uint32(2), head, first), record97(xlsContinue, tail, more))
			}
			doc, err := readBook(t, book97(global, []string{"S"}, cells))
			require.NoError(t, err)
			require.Equal(t, text+"\tok", doc.Text(), "cut at %d, form %b", cut, form)
		}
	}
	// Every number of a string's head may be cut too.
	whole := little(uint32(1), uint32(2), uint16(1), 13, uint16(1), uint32(3), "\xac\x20", make([]byte, 4+3), more)
	const character = 4 + 4 + 2 + 1 + 2 + 4 // its place; in a string the rest begins with a flag
	for cut := range whole {
		before, after := whole[:cut], whole[cut:]
		if cut == character {
			after = little(1, after)
		}
		doc, err := readBook(t, book97(little(record97(xlsSST, before), record97(xlsContinue, after)), []string{"S"}, cells))
		if cut == character+1 {
			requireFault(t, err, services.Invalid, CodeBroken, "")
			continue
		}
		if cut == len(whole)-2 || cut == len(whole)-1 {
			continue // likewise
		}
		require.NoError(t, err, cut)
		require.Equal(t, "€\tok", doc.Text(), cut)
	}
	_, err := readBook(t, book97(record97(xlsSST, uint32(9), uint32(9), more), []string{"S"}, cells))
	requireFault(t, err, services.Invalid, CodeBroken, "") // the second is not there
}

func TestXlsCells(t *testing.T) {
	t.Parallel()
	cell := func(kind uint16, row, column, format int, values ...any) []byte {
		return record97(kind, uint16(row), uint16(column), uint16(format), little(values...))
	}
	formula := func(row, column int, value []byte) []byte {
		return cell(xlsFormula, row, column, 0, value, uint16(0), uint32(0), uint16(0))
	}
	result := func(kind, value int) []byte { return little(kind, 0, value, 0, 0, 0, uint16(0xffff)) }
	const date, share = 1, 2
	global := little(
		record97(xlsFormat, uint16(164), narrow97("yyyy-mm-dd")), record97(xlsFormat, uint16(14), narrow97("dd/mm/yy")),
		record97(xlsXF, uint16(0), uint16(0), make([]byte, 16)), record97(xlsXF, uint16(0), uint16(14), make([]byte, 16)), record97(xlsXF, uint16(0), uint16(10), make([]byte, 16)), record97(xlsXF, uint16(0), uint16(164), make([]byte, 16)))
	numbers := little(
		cell(xlsRk, 4, 0, 0, uint32(42<<2|2)), // rows in another order than theirs
		cell(xlsNumber, 0, 0, 0, 0.1), cell(xlsNumber, 0, 1, date, 45351.0), cell(xlsNumber, 0, 2, share, 0.125), cell(xlsNumber, 0, 3, 3, 45351.0), cell(xlsNumber, 0, 4, 99, 1e20), cell(xlsNumber, 0, 5, date, math.NaN()), cell(xlsNumber, 0, 6, date, 1e200),
		cell(xlsRk, 1, 0, 0, uint32(math.Float64bits(1.5)>>32)), cell(xlsRk, 1, 1, 0, uint32(math.Float64bits(150)>>32)|1), cell(xlsRk, 1, 2, 0, uint32(0xffffff00)|2), cell(xlsRk, 1, 3, 0, uint32(1234<<2|3)),
		record97(xlsMulRk, uint16(2), uint16(1), uint16(0), uint32(1<<2|2), uint16(date), uint32(45351<<2|2), uint16(0), uint32(3<<2|2), uint16(3)),
		cell(xlsBoolErr, 3, 0, 0, 1, 0), cell(xlsBoolErr, 3, 1, 0, 0, 0), cell(xlsBoolErr, 3, 2, 0, 7, 1), cell(xlsBoolErr, 3, 3, 0, 0x2a, 1), cell(xlsBoolErr, 3, 4, 0, 0, 1), cell(xlsBoolErr, 3, 5, 0, 0x0f, 1), cell(xlsBoolErr, 3, 6, 0, 0x17, 1), cell(xlsBoolErr, 3, 7, 0, 0x1d, 1), cell(xlsBoolErr, 3, 8, 0, 0x24, 1))
	others := little(
		formula(0, 0, little(2.5)), formula(0, 1, result(1, 1)), formula(0, 2, result(2, 0x07)), formula(0, 3, result(3, 0)),
		formula(0, 4, result(0, 0)), record97(0x04bc, make([]byte, 10)), record97(xlsString, uint16(4), 0, "te"), record97(xlsContinue, 1, "x\x00t\x00"),
		formula(0, 5, result(0, 0)), // whose text is missing
		bof97(0x0600, 0x20), row97("in a chart"), record97(xlsEOF),
		cell(xlsLabel, 1, 0, 0, wide97("東京")), cell(xlsRString, 1, 1, 0, narrow97("rich"), uint16(0)), cell(xlsLabel, 1, 2, 0, narrow97("two\nlines")),
		cell(xlsLabel, 2, 0, 0, narrow97("first")), cell(xlsLabel, 2, 0, 0, narrow97("last")),
		cell(xlsNumber, 9, 255, 0, 1.0))
	doc, err := readBook(t, book97(global, []string{"Numbers", "*Chart", "Others"}, numbers, nil, others))
	require.NoError(t, err)
	require.Equal(t, []string{`sheet "*Chart" has no cells that can be read`}, doc.Warnings)
	require.Equal(t, [2]int{15, 256}, [2]int{doc.Rows, doc.Columns})
	require.Equal(t, []Part{
		{Sheet: "Numbers", Text: "0.1\t2024-02-29\t12.50%\t2024-02-29\t1E+20\t#NUM!\t1E+200\n1.5\t1.5\t-64\t12.34\n\t1\t2024-02-29\t3\nTRUE\tFALSE\t#DIV/0!\t#N/A\t#NULL!\t#VALUE!\t#REF!\t#NAME?\t#NUM!\n42"},
		{Sheet: "Others", Text: "2.5\tTRUE\t#DIV/0!\t\ttext\n東京\trich\ttwo lines\nlast\n" + strings.Repeat("\t", 255) + "1"},
	}, doc.Parts)
}

func TestXlsRefuses(t *testing.T) {
	t.Parallel()
	closed, err := os.ReadFile("testdata/encrypted.xls")
	require.NoError(t, err)
	overlapping := book97(nil, []string{"A", "B"}, row97(strings.Repeat("x", 5000)), nil)
	const first, second = 20 + 4, 20 + 13 + 4 // their places in the records about them
	copy(overlapping[second:][:4], overlapping[first:])
	shared := little(record97(xlsSST, uint32(1), uint32(1), narrow97(strings.Repeat("x", 1000))))
	var many []byte
	for i := range 3000 {
		many = append(many, record97(xlsLabelSST, uint16(i), uint16(0), uint16(0), uint32(0))...)
	}
	for name, test := range map[string]struct {
		content []byte
		kind    services.Kind
		code    string
		says    string
	}{
		"encrypted by LibreOffice": {closed, services.Invalid, CodeEncrypted, "workbook"},
		"encrypted":                {compoundOf(stored{name: "Workbook", content: little(bof97(0x0600, 5), record97(xlsFilePass, make([]byte, 6)))}), services.Invalid, CodeEncrypted, "workbook"},
		"Excel 95":                 {compoundOf(stored{name: "Book"}), services.Unsupported, "", "Excel 95"},
		"Excel 95 by its version":  {compoundOf(stored{name: "Workbook", content: bof97(0x0500, 5)}), services.Unsupported, "", "Excel 95"},
		"Excel 3":                  {little("\x09\x02\x06\x00\x00\x00\x10\x00", make([]byte, 20)), services.Unsupported, "", "Excel 95"},
		"Word 2":                   {little("\xdb\xa5\x2d\x00\x00\x00\x10\x00", make([]byte, 20)), services.Unsupported, "", "Word 95"},
		"sheets that overlap":      {compoundOf(stored{name: "Workbook", content: overlapping}), services.Invalid, CodeBroken, ""},
		"too many sheets":          {compoundOf(stored{name: "Workbook", content: book97(nil, slices.Repeat([]string{"A"}, 51), slices.Repeat([][]byte{nil}, 51)...)}), services.Invalid, CodeTooLarge, "50 sheets"},
		"a text too often":         {compoundOf(stored{name: "Workbook", content: book97(shared, []string{"S"}, many)}), services.Invalid, CodeTooLarge, "1 MB of text"},
		"a text that is too long":  {compoundOf(stored{name: "Workbook", content: book97(little(record97(xlsSST, uint32(999), uint32(999)), slices.Repeat(record97(xlsContinue, narrow97(strings.Repeat("x", 8000))), 200)), nil)}), services.Invalid, CodeTooLarge, "1 MB of text"},
		"a column too far":         {compoundOf(stored{name: "Workbook", content: sheets97(record97(xlsRk, uint16(0), uint16(256), uint16(0), uint32(0)))}), services.Invalid, CodeBroken, ""},
		"half a cell":              {compoundOf(stored{name: "Workbook", content: sheets97(record97(xlsNumber, uint16(0), uint16(0), uint16(0), uint32(0)))}), services.Invalid, CodeBroken, ""},
		"no end":                   {compoundOf(stored{name: "Workbook", content: append(sheets97(row97(strings.Repeat("x", 5000)))[:5100], 1)}), services.Invalid, CodeBroken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := extractionOf(t, "", test.content)
			x.limits.Text, x.limits.Pages = 1<<20, 50
			_, err := x.run()
			requireFault(t, err, test.kind, test.code, test.says)
		})
	}
}

// TestFormatsAreBounded: what a format makes of a number costs about the same for all.
func TestFormatsAreBounded(t *testing.T) {
	t.Parallel()
	n := &numberFormats{}
	defer n.close()
	for i := range 3 * mostFormats {
		n.formats = append(n.formats, uint16(i))
		n.code(uint16(i), fmt.Sprintf(`0.0"f%d"`, i))
	}
	n.code(200, strings.Repeat("0", mostCode+1))
	require.Equal(t, "1.5f199", n.show(199, 1.5))
	for i := range n.formats {
		n.show(uint16(i), 1.5)
	}
	require.Len(t, n.cells, mostFormats)
	require.Equal(t, "1.5", n.show(uint16(len(n.formats)-1), 1.5))
}

// FuzzXls fuzzes the stream of a workbook.
func FuzzXls(f *testing.F) {
	for name, content := range olds(f) {
		if x := extractionOf(f, name, content); strings.HasSuffix(name, ".xls") && len(content) < 32<<10 {
			c, err := x.openCompound()
			require.NoError(f, err)
			stream, err := c.stream("Workbook")
			require.NoError(f, err)
			f.Add(stream)
		}
	}
	f.Add(sheets97(row97("one", "€")))
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) < 64<<10 {
			requireSound(t, extractionOf(t, "", compoundOf(stored{name: "Workbook", content: stream})))
		}
	})
}

// FuzzFormats has the library show numbers by any code.
func FuzzFormats(f *testing.F) {
	for _, code := range []string{"yyyy-mm-dd hh:mm:ss.000", `[$-F800]dddd\, mmmm dd\, yyyy`, `#,##0.00_);[Red](#,##0.00)`, "# ?/?", "0.00E+00", "[h]:mm", `"a"0;"b"0;"c";@`, "[<5]0;[>9]0.0;General", "ge.m.d", "0.0,,", "%"} {
		f.Add(code, 45351.5, true)
		f.Add(code, -1.25, false)
	}
	f.Fuzz(func(t *testing.T, code string, value float64, since1904 bool) {
		n := &numberFormats{since1904: since1904, formats: []uint16{164}}
		defer n.close()
		n.code(164, code)
		text := n.show(0, value)
		require.Less(t, len(text), 1<<16)
	})
}
