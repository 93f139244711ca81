package toolsearch

import (
	"bytes"
	"encoding/json"

	"uaol/providers/upstream"
)

// Bounds of what is read of a schema, whatever somebody wrote.
const (
	largestSchema = 256 << 10 // bytes; what is larger is not read
	deepest       = 4         // properties of properties
	mostOfLevel   = 200       // schemas that are read of one level
)

// readSchema visits what a JSON Schema says of arguments: their names, and what is
// written about them, which are descriptions, titles and the values that they may have.
// It goes level by level, so that what comes first matters most, until a visit returns
// false.
func readSchema(schema []byte, visit func(text string, isName bool) bool) {
	if len(schema) > largestSchema || !json.Valid(schema) {
		return
	}
	level, next := [][]byte{schema}, [][]byte{}
	for depth := 0; depth < deepest && len(level) > 0; depth++ {
		next = next[:0]
		more := true
		add := func(schema []byte) {
			if len(next) < mostOfLevel {
				next = append(next, schema)
			}
		}
		for _, schema := range level {
			upstream.Members(schema, func(key, value []byte) {
				switch string(key) {
				case "properties":
					upstream.Members(value, func(name, schema []byte) {
						more = more && visit(plain(name), true)
						add(schema)
					})
				case "items", "additionalProperties":
					add(value)
				case "anyOf", "oneOf", "allOf":
					upstream.Elements(value, add)
				case "description", "title", "const":
					// The schema itself is the method's, which has these of its own.
					if depth > 0 && isText(value) {
						more = more && visit(unquoted(value), false)
					}
				case "enum":
					upstream.Elements(value, func(value []byte) {
						if isText(value) {
							more = more && visit(unquoted(value), false)
						}
					})
				}
			})
			if !more {
				return
			}
		}
		level, next = next, level
	}
}

func isText(value []byte) bool { return len(value) > 1 && value[0] == '"' }

func unquoted(value []byte) string { return plain(value[1 : len(value)-1]) }

// plain is a text of valid JSON without its escapes.
func plain(written []byte) string {
	if bytes.IndexByte(written, '\\') < 0 {
		return string(written)
	}
	var text string
	if json.Unmarshal(append(append([]byte{'"'}, written...), '"'), &text) != nil {
		return string(written)
	}
	return text
}
