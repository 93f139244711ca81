package documents

import (
	"path"
	"strings"
)

// epub reads e-books, whose chapters are web pages, in the order of reading.
func (x *extraction) epub() (Document, error) {
	var container struct {
		Roots []struct {
			Path string `xml:"full-path,attr"`
		} `xml:"rootfiles>rootfile"`
	}
	if err := x.zip.unmarshal("META-INF/container.xml", &container); err != nil {
		return Document{}, err
	}
	if _, closed := x.zip.files["META-INF/rights.xml"]; closed {
		return Document{}, encrypted("e-book")
	}
	if len(container.Roots) == 0 {
		return Document{}, damaged("e-book", errMissing)
	}
	var book struct {
		Items []struct {
			ID   string `xml:"id,attr"`
			Href string `xml:"href,attr"`
			Type string `xml:"media-type,attr"`
		} `xml:"manifest>item"`
		Spine []struct {
			ID string `xml:"idref,attr"`
		} `xml:"spine>itemref"`
	}
	root := container.Roots[0].Path
	if err := x.zip.unmarshal(root, &book); err != nil {
		return Document{}, err
	}
	chapters := map[string]string{}
	for _, item := range book.Items {
		if strings.Contains(item.Type, "html") {
			chapters[item.ID] = path.Join(path.Dir(root), unescape(item.Href))
		}
	}
	w := x.writer("epub")
	for i, item := range book.Spine {
		name, ok := chapters[item.ID]
		if !ok {
			continue
		}
		w.part(Part{})
		if err := x.chapter(w, name); err != nil {
			return Document{}, err
		}
		x.progress(i+1, len(book.Spine))
	}
	return w.finish(), nil
}

func (x *extraction) chapter(w *writer, name string) error {
	r, err := x.zip.open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	return writeHTML(w, r, "")
}
