package documents

import (
	"bytes"
	"encoding/json"
	"strings"

	"golang.org/x/net/html/charset"
)

// text takes a text as it is.
func (x *extraction) text() (Document, error) { return x.asIs("text") }

// json takes JSON as it is; lines of JSON too.
func (x *extraction) json() (Document, error) {
	text, err := x.plain()
	if err != nil {
		return Document{}, err
	}
	kind := "json"
	if !json.Valid([]byte(text)) {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !json.Valid([]byte(line)) {
				kind = "text"
				break
			}
		}
	}
	return x.taken(kind, text)
}

// xml takes XML as it is: what it means only its reader knows. Nothing that it
// declares is followed or expanded.
func (x *extraction) xml() (Document, error) {
	content, err := x.content()
	if err != nil {
		return Document{}, err
	}
	text, _, err := decode(content, guessCharset(content[:min(len(content), headSize)]))
	if err != nil {
		return Document{}, err
	}
	// <?xml … encoding="…"?>
	head, _, _ := strings.Cut(text, "?>")
	if _, name, ok := strings.Cut(head, "encoding="); ok && len(name) > 1 {
		name, _, _ = strings.Cut(name[1:], name[:1])
		if encoding, known := charset.Lookup(name); encoding != nil && known != "utf-8" && !strings.HasPrefix(known, "utf-16") {
			if decoded, err := encoding.NewDecoder().Bytes(content); err == nil {
				text = string(decoded)
			}
		}
	}
	return x.taken("xml", text)
}

func (x *extraction) asIs(kind string) (Document, error) {
	text, err := x.plain()
	if err != nil {
		return Document{}, err
	}
	return x.taken(kind, text)
}

func (x *extraction) taken(kind, text string) (Document, error) {
	w := x.writer(kind)
	err := w.write(text)
	return w.finish(), err
}

// markdown is taken as it is, in sections.
func (x *extraction) markdown() (Document, error) {
	text, err := x.plain()
	if err != nil {
		return Document{}, err
	}
	w := x.writer("markdown")
	fence, prose := "", false // prose: the line before is a paragraph's
	lines := strings.SplitAfter(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		bare := strings.TrimSpace(line)
		if mark := fenceMark(bare); mark != "" && (fence == "" || strings.HasPrefix(mark, fence) && mark == bare) {
			if prose = false; fence == "" {
				fence = mark
			} else {
				fence = ""
			}
		} else if fence == "" {
			level, title := atxHeading(line)
			if level == 0 && !prose {
				level, title = underline(lines, i), bare
			}
			if prose = level == 0 && bare != ""; level > 0 {
				w.section(level, title)
			}
		}
		if err := w.write(line); err != nil {
			return Document{}, err
		}
	}
	return w.finish(), nil
}

// fenceMark is what begins or ends a block of code.
func fenceMark(bare string) string {
	for _, sign := range []string{"`", "~"} {
		if mark := bare[:len(bare)-len(strings.TrimLeft(bare, sign))]; len(mark) >= 3 {
			return mark
		}
	}
	return ""
}

// atxHeading reads "## Title ##".
func atxHeading(line string) (level int, title string) {
	line = strings.TrimRight(line, " \t\n")
	text := strings.TrimLeft(line, " ")
	if len(line)-len(text) > 3 {
		return 0, ""
	}
	title = strings.TrimLeft(text, "#")
	level = len(text) - len(title)
	if level == 0 || level > 6 || title == "" || title[0] != ' ' && title[0] != '\t' {
		return 0, ""
	}
	return level, strings.TrimSpace(strings.TrimRight(title, "#"))
}

// underline is the level of a heading whose next line is === or ---.
func underline(lines []string, i int) int {
	if i+1 >= len(lines) || strings.TrimSpace(lines[i]) == "" {
		return 0
	}
	if strings.ContainsAny(strings.TrimSpace(lines[i])[:1], "-*+>|#`~") {
		return 0
	}
	next := strings.TrimRight(lines[i+1], " \t\n")
	switch {
	case len(next) >= 2 && strings.Trim(next, "=") == "":
		return 1
	case len(next) >= 2 && strings.Trim(next, "-") == "":
		return 2
	}
	return 0
}

// html reads web pages.
func (x *extraction) html() (Document, error) {
	content, err := x.content()
	if err != nil {
		return Document{}, err
	}
	w := x.writer("html")
	if err := writeHTML(w, bytes.NewReader(content), ""); err != nil {
		return Document{}, err
	}
	return w.finish(), nil
}
