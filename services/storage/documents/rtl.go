package documents

import (
	"slices"
	"strings"
	"unicode"

	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
)

// rightToLeft is true for letters of the scripts that are written so.
func rightToLeft(r rune) bool {
	return r >= 0x0590 && r <= 0x08ff || r >= 0xfb1d && r <= 0xfdff || r >= 0xfe70 && r <= 0xfefc || r >= 0x10800 && r <= 0x10fff || r >= 0x1e800 && r <= 0x1efff
}

// pdfWord is a word of a page.
type pdfWord struct {
	text []rune
	x    float64 // where its first letter is
}

// logical reads a page with text from right to left. PDFium puts the letters of such
// words in order, but leaves words as they stand from left to right.
func (f pdfFile) logical(text references.FPDF_TEXTPAGE, count int) (string, error) {
	var b strings.Builder
	var line []pdfWord
	end := func() {
		for i, word := range reorder(line) {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(string(word.text))
		}
		line = line[:0]
	}
	within := false
	for i := range count {
		char, err := f.pdfium.FPDFText_GetUnicode(&requests.FPDFText_GetUnicode{TextPage: text, Index: i})
		if err != nil {
			return "", err
		}
		r := rune(char.Unicode)
		switch {
		case r == '\n':
			end()
			b.WriteByte('\n')
			within = false
		case r == 0 || r == '\r':
		case unicode.IsSpace(r):
			within = false
		case within:
			line[len(line)-1].text = append(line[len(line)-1].text, r)
		default:
			word := pdfWord{text: []rune{r}}
			box, err := f.pdfium.FPDFText_GetCharBox(&requests.FPDFText_GetCharBox{TextPage: text, Index: i})
			if err == nil {
				word.x = box.Left
			}
			line = append(line, word)
			within = true
		}
	}
	end()
	return b.String(), nil
}

// reorder puts a line's words, which stand in the order of their places, into the
// order in which they are read.
func reorder(line []pdfWord) []pdfWord {
	right, left := 0, 0 // letters of each direction
	rising, before := 0, -1
	for i, word := range line {
		for _, r := range word.text {
			if rightToLeft(r) {
				right++
			} else if unicode.IsLetter(r) {
				left++
			}
		}
		if !word.right() {
			continue
		}
		if before >= 0 && word.x > line[before].x {
			rising++
		} else if before >= 0 {
			rising--
		}
		before = i
	}
	if right == 0 || rising < 0 { // it is in order
		return line
	}
	if right > left {
		slices.Reverse(line)
		turnRuns(line, func(w pdfWord) bool { return !w.right() })
	} else {
		turnRuns(line, pdfWord.right)
	}
	return line
}

// turnRuns turns each run of words around that are of one direction.
func turnRuns(line []pdfWord, of func(pdfWord) bool) {
	for i := 0; i < len(line); i++ {
		j := i
		for j < len(line) && of(line[j]) {
			j++
		}
		slices.Reverse(line[i:j])
		i = max(i, j-1)
	}
}

func (w pdfWord) right() bool { return slices.ContainsFunc(w.text, rightToLeft) }
