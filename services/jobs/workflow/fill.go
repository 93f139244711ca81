package workflow

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"uaol/services"
)

// Scope is what references and conditions read.
type Scope struct {
	Input       json.RawMessage       // of the job; nil is null
	Results     func(step int) Result // asked only for steps in Needs (and those that an output refers to)
	Item, Index json.RawMessage       // in a step with for_each
}

// Result is what has become of a step.
type Result struct {
	Status string
	Result json.RawMessage // nil: it has none
	Error  string          // "": it did not fail
}

// maxFilled bounds what references may blow a value up to, in bytes.
const maxFilled = 8 << 20

// Fill puts what references name in their places. A text that is exactly one
// reference becomes the value, of whatever type; inside a longer text values
// become text. What was inserted is not looked at again. Errors are Invalid.
// The result may be shared, as that of Constant is.
func (t *Template) Fill(scope Scope) (json.RawMessage, error) {
	if len(t.holes) == 0 {
		return t.literals[0], nil
	}
	f := filler{scope: scope}
	return f.fill(t)
}

// Text is the filled value as a text: a text itself, all else as compact JSON.
func (t *Template) Text(scope Scope) (string, error) {
	if text, ok := t.value.(string); ok && len(t.holes) == 0 {
		return text, nil
	}
	f := filler{scope: scope}
	if t.isReference() {
		value, err := f.value(&t.holes[0].reference)
		if err != nil {
			return "", err
		}
		text := asText(value)
		return text, bounded(len(text))
	}
	filled, err := f.fill(t)
	if err != nil || filled[0] != '"' {
		return string(filled), err
	}
	var text string
	err = json.Unmarshal(filled, &text)
	return text, err
}

// isReference reports whether the template is exactly one reference.
func (t *Template) isReference() bool {
	return len(t.holes) == 1 && len(t.literals[0]) == 0 && len(t.literals[1]) == 0
}

type filler struct {
	scope   Scope
	decoded []decodedValue // few, so that a search is faster than a map
}

type decodedValue struct {
	from  source
	step  int
	value any
}

func (f *filler) fill(t *Template) (json.RawMessage, error) {
	var dst []byte
	for i := range t.holes {
		dst = append(dst, t.literals[i]...)
		var err error
		if dst, err = f.insert(dst, &t.holes[i]); err != nil {
			return nil, err
		}
		if err := bounded(len(dst)); err != nil {
			return nil, err
		}
	}
	dst = append(dst, t.literals[len(t.holes)]...)
	if err := bounded(len(dst)); err != nil {
		return nil, err
	}
	return dst, nil
}

func bounded(size int) error {
	if size > maxFilled {
		return services.Errorf(services.Invalid, "filled in, the value is more than %d bytes", maxFilled)
	}
	return nil
}

func (f *filler) insert(dst []byte, h *hole) ([]byte, error) {
	if !h.inside && len(h.path) == 0 {
		if raw, ok := f.raw(&h.reference); ok && raw != nil && utf8.Valid(raw) {
			b := bytes.NewBuffer(dst)
			if json.Compact(b, raw) != nil {
				return nil, notJSON(&h.reference)
			}
			return b.Bytes(), nil
		}
	}
	value, err := f.value(&h.reference)
	if err != nil {
		return nil, err
	}
	if h.inside {
		return appendEscaped(dst, asText(value)), nil
	}
	return appendValue(dst, value), nil
}

// raw is the encoded value that a reference leads into; ok is false for those
// that are not kept encoded.
func (f *filler) raw(r *reference) (raw json.RawMessage, ok bool) {
	switch r.from {
	case theResult:
		return f.scope.Results(r.step).Result, true
	case theInput:
		return f.scope.Input, true
	case theItem:
		return f.scope.Item, true
	case theIndex:
		return f.scope.Index, true
	}
	return nil, false
}

func (f *filler) value(r *reference) (any, error) {
	switch r.from {
	case theStatus:
		return f.scope.Results(r.step).Status, nil
	case theError:
		if failure := f.scope.Results(r.step).Error; failure != "" {
			return failure, nil
		}
		return nil, nil
	}
	value, err := f.decode(r)
	if err != nil {
		return nil, err
	}
	for _, part := range r.path {
		next, ok := member(value, part)
		if !ok {
			return nil, services.Errorf(services.Invalid, "{{%s}}: the %s has no %q there", r.text, r.from, part)
		}
		value = next
	}
	return value, nil
}

func (f *filler) decode(r *reference) (any, error) {
	for i := range f.decoded {
		if d := &f.decoded[i]; d.from == r.from && d.step == r.step {
			return d.value, nil
		}
	}
	raw, _ := f.raw(r)
	if raw == nil && r.from == theResult {
		return nil, services.Errorf(services.Invalid, "{{%s}}: the step has no result", r.text)
	}
	var value any
	if raw != nil {
		var err error
		if value, err = decode(raw); err != nil {
			return nil, notJSON(r)
		}
	}
	f.decoded = append(f.decoded, decodedValue{from: r.from, step: r.step, value: value})
	return value, nil
}

func notJSON(r *reference) error {
	return services.Errorf(services.Invalid, "{{%s}}: the %s is not JSON", r.text, r.from)
}

func (s source) String() string {
	return [...]string{theResult: "result", theError: "error", theStatus: "status", theInput: "input", theItem: "item", theIndex: "index"}[s]
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
