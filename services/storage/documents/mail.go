package documents

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"strings"

	"golang.org/x/net/html/charset"
)

// mostNesting is how deep parts of a mail, and mails in mails, may stand in each other.
const mostNesting = 20

// mail reads a mail: who wrote what to whom, its text, and what hangs on it by name.
func (x *extraction) mail() (Document, error) {
	content, err := x.content()
	if err != nil {
		return Document{}, err
	}
	message, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		return Document{}, err
	}
	w := x.writer("mail")
	words := &mime.WordDecoder{CharsetReader: charset.NewReaderLabel}
	for _, name := range []string{"From", "To", "Cc", "Date", "Subject"} {
		if value := message.Header.Get(name); value != "" {
			if decoded, err := words.DecodeHeader(value); err == nil {
				value = decoded
			}
			if err := w.line(name + ": " + strings.Join(strings.Fields(value), " ")); err != nil {
				return Document{}, err
			}
		}
	}
	if err := w.line(""); err != nil {
		return Document{}, err
	}
	err = mailPart(w, header(message.Header), message.Body, 0)
	return w.finish(), err
}

// header is a mail's or a part's.
type header map[string][]string

func (h header) get(name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func mailPart(w *writer, h header, body io.Reader, depth int) error {
	kind, parameters, err := mime.ParseMediaType(h.get("Content-Type"))
	if err != nil || kind == "" {
		kind = "text/plain"
	}
	switch strings.ToLower(h.get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	disposition, names, _ := mime.ParseMediaType(h.get("Content-Disposition"))
	if name := names["filename"]; disposition == "attachment" || name != "" {
		w.warn(fmt.Sprintf("the attachment %q is not part of this text", clean(name)))
		return nil
	}
	switch {
	case strings.HasPrefix(kind, "multipart/") && depth < mostNesting:
		return mailParts(w, kind, multipart.NewReader(body, parameters["boundary"]), depth)
	case kind == "text/html":
		return writeHTML(w, body, h.get("Content-Type"))
	case strings.HasPrefix(kind, "text/"):
		if name := parameters["charset"]; name != "" {
			if decoded, err := charset.NewReaderLabel(name, body); err == nil {
				body = decoded
			}
		}
		text, err := io.ReadAll(body)
		if err != nil && len(text) == 0 {
			return err
		}
		return w.write(string(text))
	}
	return nil
}

// mailParts writes all parts, or of alternatives the first that has any text: plain
// text comes first, and says the same as the web page after it.
func mailParts(w *writer, kind string, parts *multipart.Reader, depth int) error {
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil //nolint:nilerr // what is cut off ends there
		}
		before := w.size
		if err := mailPart(w, header(part.Header), part, depth+1); err != nil {
			return err
		}
		if kind == "multipart/alternative" && w.size > before+1 {
			return nil
		}
	}
}

// unescape reads %XX in a path, where that is well formed.
func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}
