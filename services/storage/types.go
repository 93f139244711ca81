package storage

import (
	"mime"
	"path"
	"slices"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// plainly are the texts that no byte tells apart: there a name's end decides.
var plainly = map[string]string{
	".csv": "text/csv", ".tsv": "text/tab-separated-values", ".md": "text/markdown", ".markdown": "text/markdown",
	".json": "application/json", ".jsonl": "application/jsonl", ".xml": "text/xml", ".yaml": "application/yaml", ".yml": "application/yaml",
}

// typeOf is a content's type: what it looks like and, among texts, what its name says.
func typeOf(found *mimetype.MIME, filename string) string {
	if found.Is("text/plain") {
		if known, ok := plainly[strings.ToLower(path.Ext(filename))]; ok {
			return known
		}
	}
	return found.String()
}

// claimable reports whether a content may be called that type: what it looks like, what
// that is a kind of, or any kind of text where it is one.
func claimable(found *mimetype.MIME, claimed string) bool {
	base, _, err := mime.ParseMediaType(claimed)
	if err != nil {
		return false
	}
	for m := found; m != nil; m = m.Parent() {
		if m.Is(base) {
			return true
		}
	}
	return found.Is("text/plain") && (strings.HasPrefix(base, "text/") && base != "text/html" || textual[base])
}

var textual = map[string]bool{"application/json": true, "application/jsonl": true, "application/xml": true, "application/yaml": true, "application/javascript": true}

// mostRead is the largest file that text is taken out of, in bytes.
const mostRead = 100 << 20

// read are types beside texts and images that text may be in.
var read = []string{"pdf", "officedocument", "opendocument", "msword", "ms-excel", "ms-powerpoint", "ole-storage", "rtf", "epub", "json", "xml", "rfc822"}

// readable reports whether a file is a document: whether there may be text in it.
func readable(f File) bool {
	return f.Size <= mostRead && discussable(f.ContentType)
}

// discussable reports whether a content of that type is one that text may be in.
func discussable(contentType string) bool {
	base, _, _ := mime.ParseMediaType(contentType)
	return strings.HasPrefix(base, "text/") || slices.Contains(pictures, base) ||
		slices.ContainsFunc(read, func(part string) bool { return strings.Contains(base, part) })
}

// pictures are the images that text is recognised in.
var pictures = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// shown are the types that a browser shows by itself and runs nothing of.
var shown = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "text/plain": true}

// served is how a content is handed out: as what, and whether to be shown or stored.
// Nothing is shown that a browser would execute.
func served(f File) (contentType, disposition string) {
	base, _, _ := mime.ParseMediaType(f.ContentType)
	how := "attachment"
	if shown[base] {
		how = "inline"
	}
	disposition = mime.FormatMediaType(how, map[string]string{"filename": path.Base("/" + strings.ReplaceAll(f.Filename, "\\", "/"))})
	if disposition == "" { // a name that can't be written there
		disposition = how
	}
	return f.ContentType, disposition
}
