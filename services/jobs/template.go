package jobs

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"uaol/services"
)

// referenceForm is {{step.result}} or {{step.result.some.0.path}}.
var referenceForm = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_-]{1,64})\.result((?:\.[^\s{}.]+)*)\s*\}\}`)

type reference struct {
	text string // as it was written, without braces
	step string
	path []string // into the step's result
}

func referencesIn(text string) []reference {
	var found []reference
	for _, m := range referenceForm.FindAllStringSubmatch(text, -1) {
		found = append(found, newReference(m))
	}
	return found
}

func newReference(match []string) reference {
	r := reference{step: match[1], text: match[1] + ".result" + match[2]}
	if match[2] != "" {
		r.path = strings.Split(match[2][1:], ".")
	}
	return r
}

// maxInserted bounds what references may blow parameters up to, in bytes.
const maxInserted = 8 << 20

// fill puts results where parameters refer to them. A text that is exactly one
// reference becomes the value it refers to, of whatever type; inside a longer
// text values become text. What was inserted is not looked at again.
func fill(parameters map[string]any, results map[string]json.RawMessage) (json.RawMessage, error) {
	f := filler{results: results, parsed: map[string]any{}}
	filled, err := f.value(parameters)
	if err != nil {
		return nil, err
	}
	text, err := encode(filled)
	if err == nil && len(text) > maxInserted {
		err = services.Errorf(services.Invalid, "the parameters grew beyond %d bytes", maxInserted)
	}
	return text, err
}

type filler struct {
	results map[string]json.RawMessage
	parsed  map[string]any
	size    int
}

func (f *filler) value(value any) (any, error) {
	switch v := value.(type) {
	case string:
		return f.text(v)
	case []any:
		filled := make([]any, len(v))
		for i, item := range v {
			var err error
			if filled[i], err = f.value(item); err != nil {
				return nil, err
			}
		}
		return filled, nil
	case map[string]any:
		filled := make(map[string]any, len(v))
		for key, item := range v {
			var err error
			if filled[key], err = f.value(item); err != nil {
				return nil, err
			}
		}
		return filled, nil
	}
	return value, nil
}

func (f *filler) text(text string) (any, error) {
	matches := referenceForm.FindAllStringSubmatchIndex(text, -1)
	if len(matches) == 0 {
		return text, nil
	}
	if m := matches[0]; m[0] == 0 && m[1] == len(text) {
		return f.whole(referencesIn(text)[0])
	}
	var b strings.Builder
	last := 0
	for i, r := range referencesIn(text) {
		value, err := f.resolve(r)
		if err != nil {
			return nil, err
		}
		inserted, err := asText(value)
		if err != nil {
			return nil, err
		}
		b.WriteString(text[last:matches[i][0]])
		b.WriteString(inserted)
		last = matches[i][1]
		if err := f.grow(len(inserted)); err != nil {
			return nil, err
		}
	}
	b.WriteString(text[last:])
	return b.String(), nil
}

// whole is the value that a text consists of, written already: that is how its
// size is known before there are a thousand copies of it.
func (f *filler) whole(r reference) (any, error) {
	value, err := f.resolve(r)
	if err != nil {
		return nil, err
	}
	text, err := encode(value)
	if err != nil {
		return nil, err
	}
	return text, f.grow(len(text))
}

func (f *filler) grow(by int) error {
	if f.size += by; f.size > maxInserted {
		return services.Errorf(services.Invalid, "the parameters grew beyond %d bytes", maxInserted)
	}
	return nil
}

func (f *filler) resolve(r reference) (any, error) {
	value, ok := f.parsed[r.step]
	if !ok {
		raw, there := f.results[r.step]
		if !there {
			return nil, services.Errorf(services.Invalid, "{{%s}}: the step has no result", r.text)
		}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			return nil, services.Errorf(services.Invalid, "{{%s}}: the result is not JSON", r.text)
		}
		f.parsed[r.step] = value
	}
	for _, part := range r.path {
		next, ok := member(value, part)
		if !ok {
			return nil, services.Errorf(services.Invalid, "{{%s}}: the result has no %q there", r.text, part)
		}
		value = next
	}
	return value, nil
}

func member(value any, name string) (any, bool) {
	switch v := value.(type) {
	case map[string]any:
		found, ok := v[name]
		return found, ok
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
			return v[i], true
		}
	}
	return nil, false
}

// asText writes a value into a text: texts as they are, all else as compact JSON.
func asText(value any) (string, error) {
	if text, ok := value.(string); ok {
		return text, nil
	}
	encoded, err := encode(value)
	return string(encoded), err
}

// encode writes compact JSON in which <, > and & are themselves.
func encode(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
