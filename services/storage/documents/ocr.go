package documents

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"strings"
	"time"
)

// Reader reads the text in an image, which is PNG and made by us, never a
// stranger's bytes. It is asked in the server's process, since it may need keys and
// the network.
type Reader interface {
	Read(ctx context.Context, png []byte) (string, error)
}

// reading is what became of the images of one file.
type reading struct {
	begun time.Time
	done  int     // pages that were read
	none  pageSet // without any OCR
	more  pageSet // beyond how many are read
	late  pageSet // beyond the time for it
	bad   pageSet // that could not be read
	cause string  // of the last of those
}

// recognizePage gives a scanned page's text: what is recognised on it, or, where that
// can't be had, the little that it says itself.
func (x *extraction) recognizePage(f pdfFile, index int, own string) string {
	page := index + 1
	switch {
	case x.read == nil:
		x.ocr.none = append(x.ocr.none, page)
		return own
	case x.ocr.done >= x.limits.OCRPages:
		x.ocr.more = append(x.ocr.more, page)
		return own
	case time.Since(x.ocr.begun) > x.limits.OCRTime:
		x.ocr.late = append(x.ocr.late, page)
		return own
	}
	x.ocr.done++
	drawn, cleanup, err := f.render(index)
	var text string
	if err == nil {
		defer cleanup()
		text, err = x.recognize(drawn)
	}
	if err != nil {
		x.ocr.bad, x.ocr.cause = append(x.ocr.bad, page), err.Error()
		return own
	}
	if letters(text) < letters(own) {
		return own
	}
	return text
}

func (x *extraction) recognize(picture image.Image) (string, error) {
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&b, picture); err != nil {
		return "", err
	}
	return x.read(b.Bytes())
}

// tellOCR says what is missing of scanned pages.
func (x *extraction) tellOCR(w *writer) {
	for _, missing := range []struct {
		pages pageSet
		why   string
	}{
		{x.ocr.none, "scanned and " + x.noReader},
		{x.ocr.more, fmt.Sprintf("scanned and beyond the %d of a PDF that are recognised (MAX_PDF_PAGES_FOR_OCR)", x.limits.OCRPages)},
		{x.ocr.late, "scanned and there was no time to recognise them (UAOL_DOCUMENT_TIMEOUT)"},
		{x.ocr.bad, "scanned and could not be recognised: " + x.ocr.cause},
	} {
		if len(missing.pages) > 0 {
			w.warn(missing.pages.say("is "+missing.why, "are "+missing.why))
		}
	}
}

// pageSet is page numbers in order.
type pageSet []int

// say names pages as people do: "pages 3-5 and 9 are …".
func (p pageSet) say(one, many string) string {
	if len(p) == 1 {
		return fmt.Sprintf("page %d %s", p[0], one)
	}
	var runs []string
	for i := 0; i < len(p); {
		j := i
		for j+1 < len(p) && p[j+1] == p[j]+1 {
			j++
		}
		if j > i {
			runs = append(runs, fmt.Sprintf("%d-%d", p[i], p[j]))
		} else {
			runs = append(runs, fmt.Sprint(p[i]))
		}
		i = j + 1
	}
	last := len(runs) - 1
	if last > 0 {
		runs = []string{strings.Join(runs[:last], ", ") + " and " + runs[last]}
	}
	return "pages " + runs[0] + " " + many
}
