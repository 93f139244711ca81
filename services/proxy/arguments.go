package proxy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync"

	"uaol/services"
)

// arguments are a call's, as they came and as they are understood.
type arguments struct {
	raw   json.RawMessage
	value map[string]any
}

// readArguments reads an object; nothing and null stand for an empty one. What
// different readers would understand differently is refused, and so are numbers
// that only serve to keep their reader busy.
func readArguments(raw json.RawMessage) (arguments, error) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		raw = json.RawMessage("{}")
	}
	fault := func(message string) (arguments, error) {
		return arguments{}, services.Faults(services.Fault{Path: "body.params", Message: message})
	}
	if raw[0] != '{' {
		return fault("must be an object")
	}
	if !json.Valid(raw) {
		return fault("malformed JSON")
	}
	written, depth := members(raw)
	if depth > deepest {
		return fault("is nested too deeply")
	}
	value := decode(raw)
	count, reasonable := 0, true
	measure(value, &count, &reasonable)
	if !reasonable {
		return fault("has a number that is too long")
	}
	if count != written {
		return fault("has a member twice")
	}
	object, _ := value.(map[string]any)
	return arguments{raw, object}, nil
}

// Longest numbers that are passed on: a schema's multipleOf and the like are
// worked out exactly, at a cost that grows with the number and not with its text.
const (
	longestNumber  = 400 // characters
	largestPowerOf = 400 // ten
	deepest        = 100 // objects and lists in each other: reading takes time for each level
)

// measure counts the members of all objects and looks at the numbers.
func measure(value any, count *int, reasonable *bool) {
	switch v := value.(type) {
	case map[string]any:
		*count += len(v)
		for _, each := range v {
			measure(each, count, reasonable)
		}
	case []any:
		for _, each := range v {
			measure(each, count, reasonable)
		}
	case json.Number:
		text := string(v)
		if i := strings.IndexAny(text, "eE"); i >= 0 {
			power, err := strconv.Atoi(text[i+1:])
			*reasonable = *reasonable && err == nil && power >= -largestPowerOf && power <= largestPowerOf
		}
		*reasonable = *reasonable && len(text) <= longestNumber
	}
}

// members counts the members that are written, by their colons, and how deep
// objects and lists stand in each other.
func members(raw []byte) (n, deepest int) {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case ':':
			n++
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		}
	}
	return n, deepest
}

// with adds what the tool's definition injects. The caller can't set that.
func (a arguments) with(injected map[string]string) (arguments, error) {
	if len(injected) == 0 {
		return a, nil
	}
	var faults []services.Fault
	names := make([]string, 0, len(injected))
	for name := range injected {
		names = append(names, name)
		if _, given := a.value[name]; given {
			faults = append(faults, services.Fault{Path: "body.params." + name, Message: "is set by the tool's own settings; leave it out"})
		}
	}
	if len(faults) > 0 {
		return arguments{}, services.Faults(faults...)
	}
	slices.Sort(names)
	whole := []byte{'{'}
	value := make(map[string]any, len(a.value)+len(names))
	for name, v := range a.value {
		value[name] = v
	}
	for i, name := range names {
		member, err := json.Marshal(map[string]string{name: injected[name]})
		if err != nil {
			return arguments{}, err
		}
		if i > 0 {
			whole = append(whole, ',')
		}
		whole = append(whole, member[1:len(member)-1]...)
		value[name] = injected[name]
	}
	rest := bytes.TrimSpace(a.raw[1:])
	if rest[0] != '}' {
		whole = append(whole, ',')
	}
	return arguments{append(whole, rest...), value}, nil
}

// digests names arguments without showing them: who has the key can tell whether
// two calls had the same.
type digests struct{ pool sync.Pool }

type digest struct {
	mac  hash.Hash
	sum  [sha256.Size]byte
	text [2 * sha256.Size]byte
}

func newDigests(key DigestKey) *digests {
	return &digests{sync.Pool{New: func() any { return &digest{mac: hmac.New(sha256.New, key)} }}}
}

func (d *digests) of(a arguments) string {
	with := d.pool.Get().(*digest)
	defer d.pool.Put(with)
	with.mac.Reset()
	_, _ = with.mac.Write(compact(a.raw)) // a hash takes everything
	hex.Encode(with.text[:], with.mac.Sum(with.sum[:0]))
	return string(with.text[:])
}

func compact(raw json.RawMessage) []byte {
	if !bytes.ContainsAny(raw, " \t\r\n") {
		return raw
	}
	var short bytes.Buffer
	if json.Compact(&short, raw) != nil {
		return raw
	}
	return short.Bytes()
}

// Bounds of a shape.
const (
	longestShape = 512 // bytes
	deepestShape = 4   // objects and lists within each other
	widestShape  = 32  // members of one object
	longestName  = 40
)

// shape is what arguments look like: names and JSON types, no values. A name
// that looks like a value, in a map from some to others, is left out.
func (a arguments) shape() string {
	b := appendShape(make([]byte, 0, 64), a.value, 0)
	if len(b) > longestShape {
		b = append(b[:longestShape-len("…")], "…"...) // all before it is ASCII
	}
	return string(b)
}

func appendShape(b []byte, value any, depth int) []byte {
	if len(b) > longestShape {
		return b
	}
	switch v := value.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return append(b, "boolean"...)
	case string:
		return append(b, "string"...)
	case json.Number:
		return append(b, "number"...)
	case []any:
		if len(v) == 0 || depth == deepestShape {
			return append(b, "array"...)
		}
		return append(appendShape(append(b, '['), v[0], depth+1), ']')
	case map[string]any:
		if depth == deepestShape {
			return append(b, "object"...)
		}
		return appendMembers(b, v, depth)
	}
	return b
}

func appendMembers(b []byte, object map[string]any, depth int) []byte {
	var few [8]string
	names, hidden := few[:0], false
	for name := range object {
		if looksLikeName(name) && len(object) <= widestShape {
			names = append(names, name)
		} else {
			hidden = true
		}
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendShape(append(append(b, name...), ':'), object[name], depth+1)
	}
	if hidden {
		b = append(b, "..."...)
	}
	return append(b, '}')
}

// looksLikeName tells the names of parameters from data that serves as a key.
func looksLikeName(name string) bool {
	if name == "" || len(name) > longestName {
		return false
	}
	digits := 0
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_', r == '-', r == '.', r == '$':
		case r >= '0' && r <= '9':
			digits++
		default:
			return false
		}
	}
	return digits <= 3
}
