package documents

import (
	"encoding/xml"
	"errors"
	"strings"
)

// pptx reads PowerPoint's files: slides in their order, each with its notes.
func (x *extraction) pptx() (Document, error) {
	var show struct {
		Slides []struct {
			ID string `xml:"http://schemas.openxmlformats.org/officeDocument/2006/relationships id,attr"`
			// The strict form of the format has a namespace of its own.
			Strict string `xml:"http://purl.oclc.org/ooxml/officeDocument/relationships id,attr"`
		} `xml:"sldIdLst>sldId"`
	}
	if err := x.zip.unmarshal(x.main, &show); err != nil {
		return Document{}, err
	}
	relations, err := x.zip.relations(x.main)
	if err != nil {
		return Document{}, err
	}
	if len(show.Slides) > x.limits.Pages {
		return Document{}, tooLarge("This presentation has %d slides, more than the %d that are read; split it and upload its parts", len(show.Slides), x.limits.Pages)
	}
	w := x.writer("pptx")
	w.doc.Pages = len(show.Slides)
	for i, slide := range show.Slides {
		w.part(Part{Page: i + 1})
		for _, r := range relations {
			if r.ID == slide.ID+slide.Strict {
				if err := x.slide(w, r.Target); err != nil {
					return Document{}, err
				}
			}
		}
		x.progress(i+1, len(show.Slides))
	}
	return w.finish(), nil
}

// slide writes a slide, the text of its diagrams, and its notes.
func (x *extraction) slide(w *writer, part string) error {
	if err := x.zip.each(part, (&slideText{w: w}).see); err != nil {
		return err
	}
	relations, err := x.zip.relations(part)
	if err != nil {
		return err
	}
	for _, r := range relations {
		var text *slideText
		switch {
		case r.is("diagramData"):
			text = &slideText{w: w}
		case r.is("notesSlide"):
			text = &slideText{w: w, notes: true, prefix: "Notes: "}
		default:
			continue
		}
		if err := x.zip.each(r.Target, text.see); err != nil && !errors.Is(err, errMissing) {
			return err
		}
	}
	return nil
}

// slideText turns a slide's elements into lines.
type slideText struct {
	w      *writer
	notes  bool   // only the notes themselves, not the page around them
	prefix string // of the first line

	kind string // of the shape's placeholder
	skip int
	// lines of the shape that has not ended; a title is written as one.
	lines []string
	text  *strings.Builder
	t     bool
	row   []string
	cell  []string
	table int
}

func (s *slideText) see(token xml.Token) error {
	switch token := token.(type) {
	case xml.StartElement:
		if s.skip > 0 || token.Name.Local == "Fallback" {
			s.skip++
			return nil
		}
		s.start(token)
	case xml.EndElement:
		if s.skip > 0 {
			s.skip--
			return nil
		}
		return s.end(token.Name.Local)
	case xml.CharData:
		if s.t && s.text != nil && s.skip == 0 {
			s.text.Write(token)
		}
	}
	return nil
}

func (s *slideText) start(e xml.StartElement) {
	switch e.Name.Local {
	case "sp":
		s.kind, s.lines = "", nil
	case "ph":
		if s.kind = attr(e, "type"); s.kind == "" {
			s.kind = "body"
		}
	case "p":
		s.text = &strings.Builder{}
	case "t":
		s.t = true
	case "br":
		if s.text != nil {
			s.text.WriteByte('\n')
		}
	case "tbl":
		s.table++
	case "tr":
		s.row = nil
	case "tc":
		s.cell = nil
	}
}

func (s *slideText) end(name string) error {
	switch name {
	case "t":
		s.t = false
	case "p":
		if s.text == nil {
			return nil
		}
		text := strings.TrimSpace(s.text.String())
		s.text = nil
		if text == "" {
			return nil
		}
		if s.table > 0 {
			s.cell = append(s.cell, strings.Join(strings.Fields(text), " "))
			return nil
		}
		s.lines = append(s.lines, text)
	case "tc":
		s.row = append(s.row, strings.Join(s.cell, " "))
	case "tr":
		return s.w.line(strings.Join(s.row, "\t"))
	case "tbl":
		s.table--
	case "sp":
		return s.shape()
	case "dataModel":
		s.kind = ""
		return s.shape()
	}
	return nil
}

func (s *slideText) shape() error {
	lines, kind := s.lines, s.kind
	s.lines, s.kind = nil, ""
	switch {
	case s.notes && kind != "body", kind == "sldNum", kind == "dt", kind == "ftr", kind == "hdr", len(lines) == 0:
		return nil
	case kind == "title", kind == "ctrTitle":
		return s.w.heading(1, strings.Join(lines, " "))
	}
	for _, line := range lines {
		if err := s.w.line(s.prefix + line); err != nil {
			return err
		}
		s.prefix = ""
	}
	return nil
}
