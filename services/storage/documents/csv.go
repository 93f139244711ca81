package documents

import (
	"encoding/csv"
	"errors"
	"io"
	"path"
	"strings"
)

// delimiters that tables use; of two that fit as well the first is taken.
const delimiters = ",;\t|"

// csv reads tables of text.
func (x *extraction) csv() (Document, error) {
	text, err := x.plain()
	if err != nil {
		return Document{}, err
	}
	w := x.writer("csv")
	signs := delimiters
	if extension := strings.ToLower(path.Ext(x.name)); extension == ".tsv" || extension == ".tab" {
		signs = "\t" + delimiters
	}
	comma, _ := sniffDelimiter(text, signs)
	if rest, ok := strings.CutPrefix(text, "sep="); ok && len(rest) > 1 && strings.ContainsAny(rest[:1], delimiters) && (rest[1] == '\r' || rest[1] == '\n') {
		comma, text = rune(rest[0]), strings.TrimLeft(rest[1:], "\r\n") // Excel's own way to tell
	}
	err = eachRecord(text, comma, func(cells []string) error {
		if w.row(cells) {
			w.doc.Rows++
		}
		if w.size > w.most {
			return w.write("")
		}
		return nil
	})
	return w.finish(), err
}

func eachRecord(text string, comma rune, see func([]string) error) error {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = comma, -1, true, true
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var fault *csv.ParseError
		if errors.As(err, &fault) && len(cells) == 0 {
			return err
		}
		if err := see(cells); err != nil {
			return err
		}
	}
}

// sniffDelimiter finds what separates cells: what gives the most rows the same number
// of them. sure is false where that is hardly a table.
func sniffDelimiter(text, signs string) (delimiter rune, sure bool) {
	const look = 64 << 10
	whole := len(text) <= look
	text = text[:min(len(text), look)]
	delimiter = rune(signs[0])
	best := 0.0
	for _, comma := range signs {
		counts, rows := map[int]int{}, 0
		_ = eachRecord(text, comma, func(cells []string) error {
			counts[len(cells)]++
			rows++
			return nil
		})
		if rows > 1 && !whole {
			rows-- // the last may be cut
		}
		for cells, times := range counts {
			fit := float64(min(times, rows)) / float64(max(rows, 1))
			if cells < 2 || fit < 0.5 && rows > 1 {
				continue
			}
			if score := fit * (1 + float64(min(cells, 50))/100); score > best {
				best, delimiter, sure = score, comma, rows > 2 && fit > 0.95
			}
		}
	}
	return delimiter, sure
}

// tableBegin tells whether a text without a telling name is a table.
func tableBegin(text string) bool {
	cut := strings.LastIndexByte(text, '\n')
	if cut < 0 {
		return false
	}
	comma, sure := sniffDelimiter(text[:cut], delimiters)
	return sure && (comma != ',' || !strings.Contains(text, ", ")) // prose has commas too
}
