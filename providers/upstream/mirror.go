package upstream

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Mirror is an argument that the stateless protocol wants in a header too, so
// that what stands between needs not read the body: x-mcp-header in the schema.
type Mirror struct {
	path   []string
	header string
}

// Mirrors reads a method's input schema for them.
func Mirrors(schema json.RawMessage) []Mirror { return mirrorsIn(schema, nil, nil) }

// deepest bounds how far into a schema Mirrors looks.
const deepest = 16

func mirrorsIn(schema json.RawMessage, path []string, found []Mirror) []Mirror {
	var s struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if len(path) > deepest || json.Unmarshal(schema, &s) != nil {
		return found
	}
	for name, property := range s.Properties {
		at := append(append([]string(nil), path...), name)
		var marked struct {
			Header string `json:"x-mcp-header"`
		}
		if json.Unmarshal(property, &marked) == nil && isToken(marked.Header) {
			found = append(found, Mirror{at, "Mcp-Param-" + marked.Header})
		}
		found = mirrorsIn(property, at, found)
	}
	return found
}

// isToken reports whether a header may have the name, by RFC 9110, 5.6.2.
func isToken(name string) bool {
	return name != "" && len(name) < 100 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// mirrorFault says why no client of the stateless protocol may call a method with that
// schema: a name that no header can have, twice the same, or a place or a type that
// can't be mirrored.
func mirrorFault(schema json.RawMessage) error {
	if !bytes.Contains(schema, []byte(`"x-mcp-header"`)) {
		return nil
	}
	var root any
	if json.Unmarshal(schema, &root) != nil {
		return nil // the schema's own fault
	}
	return mirrorFaultIn(root, true, map[string]bool{})
}

// mirrorFaultIn looks into a part of a schema. reachable says that only properties lead
// there.
func mirrorFaultIn(part any, reachable bool, names map[string]bool) error {
	switch part := part.(type) {
	case []any:
		for _, each := range part {
			if err := mirrorFaultIn(each, false, names); err != nil {
				return err
			}
		}
	case map[string]any:
		if name, marked := part["x-mcp-header"]; marked {
			text, _ := name.(string)
			kind, _ := part["type"].(string)
			switch {
			case !isToken(text):
				return fmt.Errorf("%.40q can't be a header's name", text)
			case names[strings.ToLower(text)]:
				return fmt.Errorf("the header %.40s stands for two arguments", text)
			case !reachable:
				return fmt.Errorf("the header %.40s stands for what may not be there", text)
			case kind != "string" && kind != "integer" && kind != "boolean":
				return fmt.Errorf("the header %.40s stands for an argument that is no text, whole number or boolean", text)
			}
			names[strings.ToLower(text)] = true
		}
		for key, value := range part {
			properties, ok := value.(map[string]any)
			if key != "properties" || !ok {
				if err := mirrorFaultIn(value, false, names); err != nil {
					return err
				}
				continue
			}
			for _, property := range properties {
				if err := mirrorFaultIn(property, reachable, names); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// SetMirrors sets the headers for the arguments that are given.
func SetMirrors(to http.Header, mirrors []Mirror, arguments json.RawMessage) {
	for _, m := range mirrors {
		if text, ok := mirrored(m.in(arguments)); ok {
			to.Set(m.header, text)
		}
	}
}

// in is the mirrored argument; nil where it is not given.
func (m Mirror) in(arguments json.RawMessage) json.RawMessage {
	value := arguments
	for _, name := range m.path {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil
		}
		value = object[name]
	}
	return value
}

// HeaderText writes a text for a header, as the stateless protocol wants it: what is not
// plain ASCII goes as base64.
func HeaderText(text string) string {
	plain := text == strings.TrimSpace(text) && !strings.HasPrefix(text, encodedFrom) &&
		!strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e })
	if plain {
		return text
	}
	return encodedFrom + base64.StdEncoding.EncodeToString([]byte(text)) + encodedTo
}

// How base64 is told from other texts in a header.
const (
	encodedFrom = "=?base64?"
	encodedTo   = "?="
)

// PlainText reads a header that HeaderText may have written; false for one that nobody
// could have.
func PlainText(header string) (string, bool) {
	inner, encoded := strings.CutPrefix(header, encodedFrom)
	if inner, ok := strings.CutSuffix(inner, encodedTo); encoded && ok {
		text, err := base64.StdEncoding.DecodeString(inner)
		return string(text), err == nil && utf8.Valid(text)
	}
	return header, !strings.ContainsFunc(header, func(r rune) bool { return r < 0x20 && r != '\t' || r > 0x7e })
}

// mirrored writes a text, an integer or a boolean for a header; what is not
// plain ASCII goes as base64.
func mirrored(value json.RawMessage) (string, bool) {
	var text string
	switch {
	case isNull(value):
		return "", false
	case string(value) == "true", string(value) == "false":
		return string(value), true
	case json.Unmarshal(value, &text) == nil:
		return HeaderText(text), true
	}
	number, err := strconv.ParseFloat(string(value), 64)
	const safe = 1 << 53
	if err != nil || number != float64(int64(number)) || number <= -safe || number >= safe {
		return "", false
	}
	return strconv.FormatInt(int64(number), 10), true
}

// CheckMirrors says which header does not repeat its argument, as the stateless protocol
// wants it.
func CheckMirrors(mirrors []Mirror, arguments json.RawMessage, header http.Header) error {
	for _, m := range mirrors {
		value, said := m.in(arguments), header.Values(m.header)
		want, given := mirrored(value)
		if !given && len(said) == 0 {
			continue
		}
		if !given || len(said) != 1 || !says(strings.TrimSpace(said[0]), want, value[0] != '"') {
			return fmt.Errorf("the header %s does not say what the argument %s says", m.header, strings.Join(m.path, "."))
		}
	}
	return nil
}

// says reports whether a header says what another one does; numbers may be written in
// several ways.
func says(header, want string, number bool) bool {
	is, ok := PlainText(header)
	plain, _ := PlainText(want)
	if !number || is == plain {
		return ok && is == plain
	}
	x, err := strconv.ParseFloat(is, 64)
	y, err2 := strconv.ParseFloat(plain, 64)
	return err == nil && err2 == nil && x == y
}
