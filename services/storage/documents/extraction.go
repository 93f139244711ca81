package documents

import (
	"fmt"
	"io"
	"runtime/debug"
	"time"
)

// extraction is the reading of one file, in the process that is made for it.
type extraction struct {
	file     io.ReaderAt
	size     int64
	name     string // as its owner calls it
	limits   limits
	temp     string // directory for what does not fit into memory
	progress func(done, total int)
	// read is a Reader; nil when there is none, and noReader says why.
	read     func(png []byte) (string, error)
	noReader string
	engine   func() (*pdfEngine, error)
	zip      *archive // of an office file, with its main part
	main     string
	compound *compound // of a file of Office 97
	ocr      reading
}

// panicked is a defect that a file has found in a reader.
type panicked struct {
	value any
	stack []byte
}

func (p panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// run reads the file.
func (x *extraction) run() (doc Document, err error) {
	x.ocr.begun = time.Now()
	kind := "file"
	defer func() {
		if p := recover(); p != nil {
			doc, err = Document{}, panicked{p, debug.Stack()}
		}
		if err != nil {
			doc, err = Document{}, faultOf(kind, err)
		}
	}()
	if x.size == 0 {
		return Document{Type: "text", Warnings: []string{"the file is empty"}}, nil
	}
	format, err := x.sniff()
	if err != nil {
		return doc, err
	}
	kind = format.name
	doc, err = format.read(x)
	if err == nil && len(doc.Parts) == 0 && len(doc.Warnings) == 0 {
		doc.Warnings = []string{"there is no text in this file"}
	}
	return doc, err
}

func (x *extraction) writer(kind string) *writer { return newWriter(kind, x.limits.Text) }

// content is the whole file, for formats that are text: what is much larger than all
// the text that is taken is not even read.
func (x *extraction) content() ([]byte, error) {
	if x.size > 4*int64(x.limits.Text) {
		return nil, tooMuchText(x.limits.Text)
	}
	return io.ReadAll(io.NewSectionReader(x.file, 0, x.size))
}
