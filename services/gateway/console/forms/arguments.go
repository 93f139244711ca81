package forms

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Values are what the controls of a form hold, by their names, as browsers send them.
type Values map[string][]string

func (v Values) get(name string) string {
	if len(v[name]) == 0 {
		return ""
	}
	return v[name][0]
}

// Arguments makes an object of what was filled in, and says by their paths what of it
// can't be any value. What was left empty is left out: whether it may be is the API's
// to say.
func Arguments(fields []Field, values Values) (json.RawMessage, map[string]string) {
	w := writer{values: values, faults: map[string]string{}}
	text, _ := w.members(fields)
	return text, w.faults
}

type writer struct {
	values Values
	faults map[string]string
}

// weight says how much there is in a field.
type weight int

const (
	nothing weight = iota // it is left out
	implied               // it is written if what it is in is written
	filled
)

func (w writer) fault(path, message string) ([]byte, weight) {
	w.faults[path] = message
	return nil, nothing
}

// members writes an object; the weight is that of its heaviest member.
func (w writer) members(fields []Field) (text []byte, all weight) {
	var out bytes.Buffer
	out.WriteByte('{')
	for _, f := range fields {
		value, one := w.field(f)
		if one == nothing && f.Required && f.Nullable && w.faults[f.Path] == "" {
			value, one = []byte("null"), implied
		}
		if one == nothing {
			continue
		}
		if all != nothing {
			out.WriteByte(',')
		}
		all = max(all, one)
		out.Write(quoted(f.Label))
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), all
}

func quoted(text string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a text can always be written
	return bytes.TrimRight(out.Bytes(), "\n")
}

// weighed is a value that may have been left empty.
func (f Field) weighed(text []byte, empty bool) ([]byte, weight) {
	switch {
	case !empty:
		return text, filled
	case f.Required && !f.Nullable:
		return text, implied
	}
	return nil, nothing
}

func (w writer) field(f Field) ([]byte, weight) {
	value := w.values.get(f.Name)
	switch f.Kind {
	case Object:
		text, all := w.members(f.Fields)
		return f.weighed(text, all != filled)
	case Switch:
		return f.weighed([]byte(strconv.FormatBool(value == "true")), value != "true")
	case Choice:
		switch {
		case value == "":
			return nil, nothing
		case !offers(f, value):
			return w.fault(f.Path, "must be one of those that can be chosen")
		}
		return []byte(value), filled
	case Choices:
		return w.choices(f)
	case Lines:
		return w.lines(f, value)
	case Number:
		if value = strings.TrimSpace(value); value != "" && !isNumber(value) {
			return w.fault(f.Path, "must be a number, such as 12 or 0.5")
		}
	case JSON:
		var any json.RawMessage
		if value = strings.TrimSpace(value); value == "" {
			return nil, nothing
		}
		if err := json.Unmarshal([]byte(value), &any); err != nil {
			return w.fault(f.Path, "must be JSON: "+err.Error())
		}
		value = compact(any)
	default:
		if value != "" {
			return quoted(unix(value)), filled
		}
	}
	if value == "" {
		return nil, nothing
	}
	return []byte(value), filled
}

func offers(f Field, value string) bool {
	return slices.ContainsFunc(f.Options, func(o Option) bool { return o.Value == value })
}

// unix is a text with the line ends that programs expect: forms send others.
func unix(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

func isNumber(text string) bool {
	return text != "" && strings.IndexByte("-0123456789", text[0]) >= 0 && json.Valid([]byte(text))
}

func (w writer) choices(f Field) ([]byte, weight) {
	var chosen []string
	for _, o := range f.Options { // in their own order
		if slices.Contains(w.values[f.Name], o.Value) {
			chosen = append(chosen, o.Value)
		}
	}
	for _, value := range w.values[f.Name] {
		if !offers(f, value) {
			return w.fault(f.Path, "must be of those that can be chosen")
		}
	}
	return f.weighed([]byte("["+strings.Join(chosen, ",")+"]"), len(chosen) == 0)
}

func (w writer) lines(f Field, value string) ([]byte, weight) {
	var items []string
	for line := range strings.SplitSeq(unix(value), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		item, at := strings.TrimSpace(line), f.Path+"["+strconv.Itoa(len(items))+"]"
		switch {
		case f.Item == Text:
			item = string(quoted(line))
		case f.Item == Number && !isNumber(item):
			return w.fault(at, item+" is no number")
		case f.Item == Switch && item != "true" && item != "false":
			return w.fault(at, item+" is neither true nor false")
		}
		items = append(items, item)
	}
	return f.weighed([]byte("["+strings.Join(items, ",")+"]"), len(items) == 0)
}
