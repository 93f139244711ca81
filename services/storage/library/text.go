package library

import (
	"bytes"
	"strings"

	"uaol/services/storage/documents"
)

// withoutMark leaves out what some programs begin a text in UTF-8 with.
func withoutMark(raw []byte) []byte { return bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")) }

// sheets names each sheet above its rows.
func sheets(doc documents.Document) string {
	var b strings.Builder
	for _, part := range doc.Parts {
		b.WriteString("Sheet: " + part.Sheet + "\n" + part.Text + "\n\n")
	}
	return b.String()
}

// paragraphs parts them by empty lines.
func paragraphs(doc documents.Document) string {
	var b strings.Builder
	for _, part := range doc.Parts {
		for line := range strings.SplitSeq(part.Text, "\n") {
			b.WriteString(line + "\n\n")
		}
	}
	return b.String()
}

// cutMark stands where something is left out.
const cutMark = "…"

// shortened is the beginning of a text, of at most so many bytes, and whether that is
// less than all.
func shortened(text string, most int) (string, bool) {
	if len(text) <= most {
		return text, false
	}
	return strings.ToValidUTF8(text[:max(most-len(cutMark), 0)], "") + cutMark, true
}
