package documents

import (
	"fmt"
	"io"
	"strings"

	"github.com/xuri/excelize/v2"
)

// spill is from how many bytes on a sheet's XML is put into a file.
const spill = 16 << 20

// isoDates writes dates whose form is left to the reader's country as ISO does.
var isoDates = excelize.Options{ShortDatePattern: "yyyy-mm-dd", LongDatePattern: "yyyy-mm-dd", LongTimePattern: "hh:mm:ss"}

// xlsx reads Excel's files: what cells show, formulas with the value they had when the
// file was saved.
func (x *extraction) xlsx() (doc Document, err error) {
	if err := x.zip.check(); err != nil {
		return doc, err
	}
	options := isoDates
	options.UnzipSizeLimit, options.UnzipXMLSizeLimit, options.TmpDir = x.limits.Unpacked, min(spill, x.limits.Unpacked), x.temp
	book, err := excelize.OpenReader(io.NewSectionReader(x.file, 0, x.size), options)
	if err != nil {
		return doc, err
	}
	defer book.Close()
	w := x.writer("xlsx")
	sheets := book.GetSheetList()
	for i, sheet := range sheets {
		w.part(Part{Sheet: sheet})
		if err := readSheet(w, book, sheet); err != nil {
			return doc, err
		}
		x.progress(i+1, len(sheets))
	}
	return w.finish(), nil
}

func readSheet(w *writer, book *excelize.File, sheet string) error {
	rows, err := book.Rows(sheet)
	if err != nil {
		w.warn(fmt.Sprintf("sheet %q has no cells that can be read", sheet)) // a chart
		return nil
	}
	defer rows.Close()
	blank := 0 // rows since the last that has something; they count only before another
	for rows.Next() {
		cells, err := rows.Columns()
		if err != nil {
			return err
		}
		blank++
		if w.row(cells) {
			w.doc.Rows += blank
			blank = 0
		}
		if w.size > w.most {
			return w.write("")
		}
	}
	return rows.Error()
}

// row writes a table's row, if it has anything, and counts its columns.
func (w *writer) row(cells []string) bool {
	filled := 0
	for i, cell := range cells {
		if strings.ContainsAny(cell, "\t\r\n") {
			cells[i] = strings.Join(strings.Fields(cell), " ")
		}
		if strings.TrimSpace(cells[i]) != "" {
			filled = i + 1
		}
	}
	if filled == 0 {
		return false
	}
	w.doc.Columns = max(w.doc.Columns, filled)
	_ = w.line(strings.Join(cells[:filled], "\t")) // what is too much shows in size
	return true
}
