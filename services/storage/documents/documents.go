// Package documents reads what files say: PDF, office files, tables, pages, mail and
// images. Files come from strangers and their formats are intricate, so that they are
// read by a process of their own (Work), which is bounded and may die; the server
// only asks it (Extractor).
package documents

import (
	"strings"
)

// Document is what a file says.
type Document struct {
	// Type is what the file is by its bytes: pdf, docx, doc, xlsx, xls, csv, pptx, odt,
	// ods, odp, epub, html, markdown, json, xml, rtf, mail, text or image.
	Type string `json:"type"`
	// Pages counts a PDF's pages or a presentation's slides, Rows and Columns a table's
	// (the widest row's, over all sheets), Width and Height an image's pixels; 0 elsewhere.
	Pages   int `json:"pages,omitempty"`
	Rows    int `json:"rows,omitempty"`
	Columns int `json:"columns,omitempty"`
	Width   int `json:"width,omitempty"`
	Height  int `json:"height,omitempty"`
	// Parts are in reading order; none is empty.
	Parts []Part `json:"parts,omitempty"`
	// Warnings say, for people, what is missing here and why.
	Warnings []string `json:"warnings,omitempty"`
}

// Part is a run of text of one place: a page, a sheet, a section.
type Part struct {
	Page  int    `json:"page,omitempty"` // from 1
	Sheet string `json:"sheet,omitempty"`
	// Heading is the path of headings that the text stands under. A section's text
	// begins with its own heading, which is the path's last.
	Heading []string `json:"heading,omitempty"`
	// Text has one line for each paragraph or table row; a row's cells are separated by tabs.
	Text string `json:"text"`
}

// Text is all there is to read, parts separated by an empty line.
func (d Document) Text() string {
	var b strings.Builder
	for i, part := range d.Parts {
		if i > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(part.Text)
	}
	return b.String()
}
