package documents

import (
	"image"
	_ "image/gif"  // a format that is read
	_ "image/jpeg" // a format that is read
	_ "image/png"  // a format that is read
	"io"
	"time"

	_ "golang.org/x/image/webp" // a format that is read
)

// image reads what can be recognised in a picture.
func (x *extraction) image() (Document, error) {
	size, _, err := image.DecodeConfig(io.NewSectionReader(x.file, 0, x.size))
	if err != nil {
		return Document{}, err
	}
	w := x.writer("image")
	w.doc.Width, w.doc.Height = size.Width, size.Height
	switch {
	case x.read == nil:
		w.warn("this is an image and " + x.noReader)
		return w.finish(), nil
	case size.Width <= 0 || size.Height <= 0 || size.Width > mostPixels/size.Height:
		w.warn("this image has more pixels than are looked at; make it smaller")
		return w.finish(), nil
	}
	picture, _, err := image.Decode(io.NewSectionReader(x.file, 0, x.size))
	if err != nil {
		return Document{}, err
	}
	x.ocr.begun = time.Now()
	text, err := x.recognize(picture)
	if err != nil {
		w.warn("the text in this image could not be recognised: " + err.Error())
	}
	if err := w.write(text); err != nil {
		return Document{}, err
	}
	return w.finish(), nil
}
