package documents

import (
	"strconv"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// mostGroups is how deep groups of an RTF file may stand in each other.
const mostGroups = 1000

// rtf reads the text of RTF: its groups but those that are tables of fonts and the like.
func (x *extraction) rtf() (Document, error) {
	content, err := x.content()
	if err != nil {
		return Document{}, err
	}
	r := &rtfReader{w: x.writer("rtf"), in: content, state: rtfState{after: 1}, decode: func(b []byte) string {
		text, _ := charmap.Windows1252.NewDecoder().Bytes(b)
		return string(text)
	}}
	for r.at < len(r.in) {
		if err := r.next(); err != nil {
			return Document{}, err
		}
	}
	if len(r.groups) > 0 {
		return Document{}, damaged("RTF file", nil)
	}
	r.flush()
	err = r.w.line(r.line.String())
	return r.w.finish(), err
}

type rtfState struct {
	skip  bool // what it is about is not text
	after int  // bytes after a \u that say it for older programs
}

type rtfReader struct {
	w      *writer
	in     []byte
	at     int
	state  rtfState
	groups []rtfState
	decode func([]byte) string
	bytes  []byte // in the file's encoding, not yet decoded
	high   rune   // the first half of a character of two
	drop   int    // bytes still to be left out
	line   strings.Builder
}

func (r *rtfReader) next() error {
	c := r.in[r.at]
	r.at++
	switch c {
	case '{':
		r.drop = 0
		if len(r.groups) >= mostGroups {
			return broken("This RTF file is nested too deeply to be read; save it anew")
		}
		r.groups = append(r.groups, r.state)
	case '}':
		r.drop = 0
		r.flush()
		if len(r.groups) == 0 {
			return nil
		}
		r.state = r.groups[len(r.groups)-1]
		r.groups = r.groups[:len(r.groups)-1]
	case '\\':
		return r.control()
	case '\r', '\n', 0:
	default:
		r.byte(c)
	}
	return nil
}

func (r *rtfReader) byte(c byte) {
	switch {
	case r.state.skip:
	case r.drop > 0:
		r.drop--
	default:
		r.bytes = append(r.bytes, c)
	}
}

func (r *rtfReader) flush() {
	if len(r.bytes) > 0 {
		r.line.WriteString(r.decode(r.bytes))
		r.bytes = r.bytes[:0]
	}
}

func (r *rtfReader) say(text string) {
	if r.flush(); !r.state.skip {
		r.line.WriteString(text)
	}
}

// control reads what follows a backslash.
func (r *rtfReader) control() error {
	if r.at >= len(r.in) {
		return nil
	}
	start := r.at
	for r.at < len(r.in) && (r.in[r.at]|0x20 >= 'a' && r.in[r.at]|0x20 <= 'z') {
		r.at++
	}
	if r.at == start {
		r.at++
		return r.symbol(r.in[start])
	}
	word := string(r.in[start:r.at])
	start = r.at
	for r.at < len(r.in) && r.at-start < 11 && (r.in[r.at] >= '0' && r.in[r.at] <= '9' || r.at == start && r.in[r.at] == '-') {
		r.at++
	}
	number, err := strconv.Atoi(string(r.in[start:r.at]))
	if err != nil {
		number = -1 // none
	}
	if r.at < len(r.in) && r.in[r.at] == ' ' {
		r.at++
	}
	return r.word(word, number)
}

func (r *rtfReader) symbol(c byte) error {
	switch c {
	case '\\', '{', '}':
		r.byte(c)
	case '~':
		r.say("\u00a0")
	case '_':
		r.say("-")
	case '*':
		r.state.skip = true
	case '\n', '\r':
		return r.newline()
	case '\'':
		if r.at+2 <= len(r.in) {
			if code, err := strconv.ParseUint(string(r.in[r.at:r.at+2]), 16, 8); err == nil {
				r.byte(byte(code))
			}
			r.at += 2
		}
	}
	return nil
}

func (r *rtfReader) newline() error {
	r.flush()
	if r.state.skip {
		return nil
	}
	text := strings.TrimLeft(r.line.String(), " \t") // before a list's item stands a tab
	r.line.Reset()
	return r.w.line(text)
}

func (r *rtfReader) word(word string, number int) error {
	switch word {
	case "fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "listtable", "listoverridetable", "themedata", "datastore",
		"header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf", "fldinst", "xe", "tc", "filetbl", "revtbl", "rsidtbl", "generator":
		r.flush()
		r.state.skip = true
	case "par", "line", "row", "sect", "page":
		return r.newline()
	case "tab", "cell":
		r.say("\t")
	case "emdash":
		r.say("—")
	case "endash":
		r.say("–")
	case "bullet":
		r.say("•")
	case "lquote":
		r.say("‘")
	case "rquote":
		r.say("’")
	case "ldblquote":
		r.say("“")
	case "rdblquote":
		r.say("”")
	case "ansicpg":
		if encoding, err := htmlindex.Get("windows-" + strconv.Itoa(number)); err == nil {
			r.decode = func(b []byte) string {
				text, _ := encoding.NewDecoder().Bytes(b)
				return string(text)
			}
		}
	case "uc":
		r.state.after = min(max(number, 0), 100)
	case "u":
		r.unicode(rune(uint16(number)))
	case "bin":
		r.at += min(max(number, 0), len(r.in)-r.at)
	}
	return nil
}

// unicode adds a character by its number, of which those beyond 65,535 have two.
func (r *rtfReader) unicode(c rune) {
	r.flush()
	switch {
	case c >= 0xd800 && c < 0xdc00:
		r.high = c
	case c >= 0xdc00 && c < 0xe000 && r.high != 0:
		r.say(string((r.high-0xd800)<<10 + (c - 0xdc00) + 0x10000))
		r.high = 0
	default:
		r.say(string(c))
	}
	r.drop = r.state.after
}
