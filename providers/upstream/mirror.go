package upstream

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
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

func isToken(name string) bool {
	return name != "" && len(name) < 100 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// mirror sets the headers for the arguments that are given.
func mirror(to http.Header, mirrors []Mirror, arguments json.RawMessage) {
	for _, m := range mirrors {
		value := arguments
		for _, name := range m.path {
			var object map[string]json.RawMessage
			if json.Unmarshal(value, &object) != nil {
				object = nil
			}
			value = object[name]
		}
		if text, ok := mirrored(value); ok {
			to.Set(m.header, text)
		}
	}
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
		plain := text == strings.TrimSpace(text) && !strings.HasPrefix(text, "=?base64?") &&
			!strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e })
		if !plain {
			text = "=?base64?" + base64.StdEncoding.EncodeToString([]byte(text)) + "?="
		}
		return text, true
	}
	number, err := strconv.ParseFloat(string(value), 64)
	const safe = 1 << 53
	if err != nil || number != float64(int64(number)) || number <= -safe || number >= safe {
		return "", false
	}
	return strconv.FormatInt(int64(number), 10), true
}
