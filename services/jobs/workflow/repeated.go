package workflow

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// repeated tells of members that an object has more than once, of which the decoder
// keeps the last. It looks for them only where some are missing in what was decoded.
func (p *parser) repeated(text []byte, value any) {
	if written(text) == kept(value) {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	r := repetitions{parser: p, decoder: decoder}
	r.value()
}

// written counts the members in a text that is JSON: each has a colon.
func written(text []byte) (n int) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ':':
			n++
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return n
}

// kept counts the members of a decoded value.
func kept(value any) (n int) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			n += kept(item)
		}
	case map[string]any:
		n = len(v)
		for _, item := range v {
			n += kept(item)
		}
	}
	return n
}

type repetitions struct {
	parser  *parser
	decoder *json.Decoder
	stack   []segment
}

// value reads one value, which is known to be JSON.
func (r *repetitions) value() {
	token, _ := r.decoder.Token()
	switch token {
	case json.Delim('['):
		for i := 0; r.decoder.More(); i++ {
			r.within(segment{i: i})
		}
	case json.Delim('{'):
		told := map[string]bool{}
		for r.decoder.More() {
			token, _ := r.decoder.Token()
			name, _ := token.(string)
			if said, there := told[name]; there && !said {
				r.parser.doubt(where(at, append(r.stack, segment{name: name, isMember: true})), "is given more than once")
			}
			_, told[name] = told[name]
			r.within(segment{name: name, isMember: true})
		}
	default:
		return
	}
	_, _ = r.decoder.Token() // its end
}

func (r *repetitions) within(s segment) {
	r.stack = append(r.stack, s)
	r.value()
	r.stack = r.stack[:len(r.stack)-1]
}

// where is the path of a part of a value, as faults name it. It is of a length that
// can be read.
func where(at string, stack []segment) string {
	path := []byte(at)
	for _, s := range stack[:min(len(stack), maxDepth)] {
		if s.isMember {
			path = append(append(path, '.'), short(s.name)...)
		} else {
			path = append(strconv.AppendInt(append(path, '['), int64(s.i), 10), ']')
		}
	}
	return string(path)
}

const mostName = 100 // bytes of a name or a reference in a fault

func short(text string) string {
	if len(text) > mostName {
		return strings.ToValidUTF8(text[:mostName], "") + "…"
	}
	return text
}
