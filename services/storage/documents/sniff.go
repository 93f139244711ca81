package documents

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"
)

// format is a way to read files.
type format struct {
	name string // for people
	read func(x *extraction) (Document, error)
}

// headSize is how much of a file says what it is; it is what http.DetectContentType
// looks at and what PDF allows before its first line, and more.
const headSize = 8 << 10

// sniff finds out what a file is by its bytes. Its name only decides between formats
// that are text.
func (x *extraction) sniff() (format, error) {
	head := make([]byte, min(headSize, x.size))
	if n, err := x.file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return format{}, err
	} else if n < len(head) {
		return format{}, io.ErrUnexpectedEOF
	}
	switch {
	case pdfBegin(head):
		return format{"PDF", (*extraction).pdf}, nil
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return x.sniffZip()
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return x.sniffCompound()
	case bytes.HasPrefix(head, []byte(`{\rtf`)):
		return format{"RTF file", (*extraction).rtf}, nil
	}
	switch kind := http.DetectContentType(head); kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return format{"image", (*extraction).image}, nil
	default:
		if charset := guessCharset(head); charset != "" {
			return x.sniffText(head, charset), nil
		}
		if err := olderOffice(head); err != nil {
			return format{}, err
		}
		if kind, _, _ = strings.Cut(kind, ";"); kind == "application/octet-stream" || kind == "text/plain" {
			return format{}, unsupported("What this file is can't be told from its content; text is read from PDF, office files, web pages, tables, plain text and images")
		}
		return format{}, unsupported("No text is read from files of the type %s; convert it to PDF, an office file or plain text", kind)
	}
}

// pdfBegin finds a PDF's first line, before which mail and web programs leave some
// lines of their own.
func pdfBegin(head []byte) bool {
	at := bytes.Index(head[:min(1024, len(head))], []byte("%PDF-"))
	return at == 0 || at > 0 && (head[at-1] == '\n' || head[at-1] == '\r' || head[at-1] == 0xbf) && bytes.Contains(head[at:], []byte(" obj"))
}

// sniffText tells formats that are text apart.
func (x *extraction) sniffText(head []byte, charset string) format {
	text, _, _ := decode(head, charset)
	if len(text) >= utf8.UTFMax && int64(len(head)) < x.size {
		text = strings.ToValidUTF8(text[:len(text)-utf8.UTFMax], "") // the cut may be within a character
	}
	begin := strings.ToLower(strings.TrimSpace(text))
	extension := strings.ToLower(path.Ext(x.name))
	switch {
	case htmlBegin(begin):
		return format{"web page", (*extraction).html}
	case strings.HasPrefix(begin, "<?xml") && strings.Contains(begin, "<html"):
		return format{"web page", (*extraction).html}
	case strings.HasPrefix(begin, "<?xml"), strings.HasPrefix(begin, "<") && (extension == ".xml" || extension == ".svg"):
		return format{"XML file", (*extraction).xml}
	case extension == ".html" || extension == ".htm" || extension == ".xhtml":
		return format{"web page", (*extraction).html}
	case mailBegin(text) && (extension == ".eml" || extension == "" || extension == ".txt"):
		return format{"mail", (*extraction).mail}
	case extension == ".md" || extension == ".markdown":
		return format{"Markdown file", (*extraction).markdown}
	case extension == ".csv" || extension == ".tsv" || extension == ".tab":
		return format{"table", (*extraction).csv}
	case extension == ".json" || (extension == "" || extension == ".txt") && jsonBegin(begin):
		return format{"JSON file", (*extraction).json}
	case extension == "" && tableBegin(text):
		return format{"table", (*extraction).csv}
	}
	return format{"text", (*extraction).text}
}

func htmlBegin(begin string) bool {
	for strings.HasPrefix(begin, "<!--") {
		_, rest, ok := strings.Cut(begin, "-->")
		if !ok {
			return false
		}
		begin = strings.TrimSpace(rest)
	}
	for _, tag := range []string{"<!doctype html", "<html", "<head", "<body"} {
		if rest, ok := strings.CutPrefix(begin, tag); ok && (rest == "" || strings.ContainsAny(rest[:1], " \t\r\n>")) {
			return true
		}
	}
	return false
}

// jsonBegin tells whether a text begins like a JSON object or array.
func jsonBegin(begin string) bool {
	if begin == "" || begin[0] != '{' && begin[0] != '[' {
		return false
	}
	decoder := json.NewDecoder(strings.NewReader(begin))
	for range 8 {
		if _, err := decoder.Token(); err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
	return true
}

// mailBegin tells whether a text begins with a mail's header.
func mailBegin(text string) bool {
	known := 0
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name, _, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(name, " \t") {
			return false
		}
		switch strings.ToLower(name) {
		case "from", "to", "date", "subject", "received", "message-id", "mime-version", "return-path", "content-type":
			known++
		}
	}
	return known >= 3
}

// sniffCompound is for files of Office 97 and for encrypted ones of today: both are
// containers whose directory names what they hold.
func (x *extraction) sniffCompound() (format, error) {
	var has func(name string) bool
	c, broken := x.openCompound()
	if broken == nil {
		x.compound, has = c, c.has
	} else {
		all, err := io.ReadAll(io.NewSectionReader(x.file, 0, min(x.size, 64<<20)))
		if err != nil {
			return format{}, err
		}
		has = func(name string) bool { return bytes.Contains(all, wide(name)) }
	}
	what, read, err := "office file", (func(*extraction) (Document, error))(nil), error(nil)
	switch {
	case has("EncryptedPackage"), has("EncryptionInfo"):
		err = encrypted("office file")
	case has("WordDocument"):
		what, read = "Word file", (*extraction).doc
	case has("Workbook"):
		what, read = "workbook", (*extraction).xls
	case has("Book"):
		err = oldExcel()
	case has("PowerPoint Document"):
		err = unsupported("Files of PowerPoint 97 to 2003 (.ppt) are not read; save it as .pptx")
	case has("__properties_version1.0"):
		err = unsupported("Mails of Outlook (.msg) are not read; save it as .eml or text")
	case broken == nil:
		err = unsupported("Files of old office programs are not read; save it as .docx, .xlsx, .pptx or PDF")
	}
	if err == nil {
		err = faultOf(what, broken)
	}
	return format{what, read}, err
}

// wide is a name as containers have it, in UTF-16.
func wide(name string) (all []byte) {
	for _, c := range []byte(name) {
		all = append(all, c, 0)
	}
	return all
}

// olderOffice tells files of programs before Office 97 that are no containers, by how
// they begin: a workbook's first record, BOF in each of its forms, or Word's own sign.
func olderOffice(head []byte) error {
	for _, sign := range []string{"\x09\x00\x04\x00", "\x09\x02\x06\x00", "\x09\x04\x06\x00", "\x09\x08\x08\x00", "\x09\x08\x10\x00"} {
		if bytes.HasPrefix(head, []byte(sign)) {
			return oldExcel()
		}
	}
	for _, sign := range []string{"\xdb\xa5\x2d\x00", "\x31\xbe\x00\x00", "\xdc\xa5\x65\x00"} {
		if bytes.HasPrefix(head, []byte(sign)) {
			return oldWord()
		}
	}
	return nil
}

// sniffZip looks at what an archive says that it is.
func (x *extraction) sniffZip() (format, error) {
	a, err := x.archive()
	if err != nil {
		return format{}, faultOf("archive or office file", err)
	}
	x.zip = a
	if kind, err := a.head("mimetype", 200); err == nil {
		kind := strings.TrimSpace(kind)
		for prefix, f := range map[string]format{
			"application/epub+zip":                            {"e-book", (*extraction).epub},
			"application/vnd.oasis.opendocument.text":         {"OpenDocument text", (*extraction).odt},
			"application/vnd.oasis.opendocument.spreadsheet":  {"OpenDocument spreadsheet", (*extraction).ods},
			"application/vnd.oasis.opendocument.presentation": {"OpenDocument presentation", (*extraction).odp},
		} {
			if kind == prefix || kind == prefix+"-template" {
				return f, nil
			}
		}
		return format{}, unsupported("No text is read from files of the type %q; save it as PDF, .docx, .xlsx or .odt", clean(kind))
	}
	main, kind, err := a.mainPart()
	if err != nil {
		return format{}, err
	}
	x.main = main
	switch {
	case strings.Contains(kind, "wordprocessingml") || strings.Contains(kind, "ms-word"):
		return format{"Word file", (*extraction).docx}, nil
	case strings.Contains(kind, "presentationml") || strings.Contains(kind, "ms-powerpoint"):
		return format{"presentation", (*extraction).pptx}, nil
	case strings.Contains(kind, "ms-excel.sheet.binary"):
		return format{}, unsupported("Binary workbooks (.xlsb) are not read; save it as .xlsx")
	case strings.Contains(kind, "spreadsheetml") || strings.Contains(kind, "ms-excel"):
		return format{"workbook", (*extraction).xlsx}, nil
	}
	return format{}, unsupported("Archives are not read; unpack it and upload its files")
}
