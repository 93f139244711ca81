package desktop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/tailscale/hujson"
)

// document is a configuration file that people write too: JSON with comments and commas
// at the end. All of it but what is set stays as it is, byte by byte.
type document struct {
	before  []byte // a mark of UTF-8
	root    hujson.Value
	unit    string // one step of indentation
	newline string
}

var byteOrder = []byte("\xef\xbb\xbf")

// parse reads a file; one that is empty is an object without members.
func parse(text []byte) (*document, error) {
	d := &document{unit: "  ", newline: "\n"}
	if bytes.HasPrefix(text, byteOrder) {
		d.before, text = byteOrder, text[len(byteOrder):]
	}
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n")
	}
	if bytes.Contains(text, []byte("\r\n")) {
		d.newline = "\r\n"
	}
	var err error
	if d.root, err = hujson.Parse(text); err != nil {
		return nil, fmt.Errorf("it is not JSON: %s", strings.TrimPrefix(err.Error(), "hujson: "))
	}
	root, ok := d.root.Value.(*hujson.Object)
	if !ok {
		return nil, errors.New("it holds no JSON object")
	}
	if len(root.Members) > 0 {
		if unit, ok := indentation(root.Members[0].Name.BeforeExtra); ok && unit != "" {
			d.unit = unit
		}
	}
	return d, nil
}

func (d *document) text() []byte { return append(bytes.Clone(d.before), d.root.Pack()...) }

// get gives the value at a path; false where there is none.
func (d *document) get(path ...string) (value any, ok bool) {
	at := d.root.Value
	for _, name := range path {
		object, is := at.(*hujson.Object)
		if !is {
			return nil, false
		}
		i := find(object, name)
		if i < 0 {
			return nil, false
		}
		at = object.Members[i].Value.Value
	}
	return valueOf(at)
}

func valueOf(at hujson.ValueTrimmed) (value any, ok bool) {
	standard := hujson.Value{Value: at}.Clone()
	standard.Standardize()
	ok = json.Unmarshal(standard.Pack(), &value) == nil
	return value, ok
}

// set puts a value at a path, and makes the objects on the way there.
func (d *document) set(value any, path ...string) error {
	at, depth := &d.root, 0
	for ; depth < len(path); depth++ {
		object, ok := at.Value.(*hujson.Object)
		if !ok {
			return fmt.Errorf("%s in it is no object", strings.Join(path[:depth], "."))
		}
		i := find(object, path[depth])
		if i < 0 {
			break
		}
		at = &object.Members[i].Value
	}
	if depth == len(path) {
		if is, ok := valueOf(at.Value); ok && reflect.DeepEqual(is, generic(value)) {
			return nil
		}
		written, err := d.written(value, strings.Repeat(d.unit, depth))
		if err == nil {
			at.Value = written
		}
		return err
	}
	for i := len(path) - 1; i > depth; i-- {
		value = members{{path[i], value}}
	}
	return d.add(at.Value.(*hujson.Object), path[depth], value, depth)
}

// written is a value as it is written where lines begin with an indentation.
func (d *document) written(value any, indent string) (hujson.ValueTrimmed, error) {
	text, err := plain(value)
	if err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	if err := json.Indent(&lines, text, indent, d.unit); err != nil {
		return nil, err
	}
	parsed, err := hujson.Parse(bytes.ReplaceAll(lines.Bytes(), []byte("\n"), []byte(d.newline)))
	return parsed.Value, err
}

// short is a value as it is written where all is on one line.
func short(value any) (hujson.ValueTrimmed, error) {
	text, err := plain(value)
	if err != nil {
		return nil, err
	}
	parsed, err := hujson.Parse(text)
	return parsed.Value, err
}

// add appends a member to an object at a depth, on a line of its own unless the others
// have none either.
func (d *document) add(object *hujson.Object, name string, value any, depth int) error {
	indent, end := strings.Repeat(d.unit, depth+1), d.newline+strings.Repeat(d.unit, depth)
	inline, trailing := false, false
	if n := len(object.Members); n > 0 {
		last := object.Members[n-1]
		own, lines := indentation(last.Name.BeforeExtra)
		if lines {
			indent = own
		}
		inline = !lines && !bytes.ContainsRune(object.AfterExtra, '\n')
		trailing = last.Value.AfterExtra != nil
	}
	before := d.newline + indent
	written, err := d.written(value, indent)
	if inline {
		before = " "
		written, err = short(value)
	}
	if err != nil {
		return err
	}
	left := bytes.TrimRight(object.AfterExtra, " \t\r\n") // comments on what is there
	if len(object.Members)+len(left) > 0 {
		end = string(object.AfterExtra[len(left):])
	}
	member := hujson.ObjectMember{
		Name:  hujson.Value{BeforeExtra: append(bytes.Clone(left), before...), Value: hujson.String(name)},
		Value: hujson.Value{BeforeExtra: hujson.Extra(" "), Value: written},
	}
	if trailing {
		member.Value.AfterExtra = hujson.Extra{}
	}
	object.Members, object.AfterExtra = append(object.Members, member), hujson.Extra(end)
	return nil
}

// remove takes a member away; what people have written before it stays.
func (d *document) remove(path ...string) {
	at := d.root.Value
	for depth, name := range path {
		object, ok := at.(*hujson.Object)
		if !ok {
			return
		}
		i := find(object, name)
		if i < 0 {
			return
		}
		if at = object.Members[i].Value.Value; depth < len(path)-1 {
			continue
		}
		gone := object.Members[i]
		left := bytes.TrimRight(gone.Name.BeforeExtra, " \t\r\n")
		object.Members = append(object.Members[:i], object.Members[i+1:]...)
		n := len(object.Members)
		if i < n {
			object.Members[i].Name.BeforeExtra = d.joined(left, object.Members[i].Name.BeforeExtra)
			return
		}
		if n > 0 && gone.Value.AfterExtra == nil { // the one before is the last now, and has no comma
			left = d.joined(object.Members[n-1].Value.AfterExtra, left)
			object.Members[n-1].Value.AfterExtra = nil
		}
		if n > 0 && gone.Value.AfterExtra != nil && object.Members[n-1].Value.AfterExtra == nil {
			object.Members[n-1].Value.AfterExtra = hujson.Extra{} // it has a comma still
		}
		object.AfterExtra = d.joined(left, object.AfterExtra)
		if n == 0 && len(bytes.TrimSpace(object.AfterExtra)) == 0 {
			object.AfterExtra = nil
		}
	}
}

// joined puts comments and spaces together, so that a comment up to the end of its line
// takes nothing else with it.
func (d *document) joined(one, other []byte) hujson.Extra {
	line := one[bytes.LastIndexByte(one, '\n')+1:]
	both := bytes.Clone(one)
	if bytes.Contains(line, []byte("//")) && !bytes.HasPrefix(bytes.TrimLeft(other, " \t\r"), []byte("\n")) {
		both = append(both, d.newline...)
	}
	return append(both, other...)
}

// find gives a member's place, the last's of several, since it is the one that counts.
func find(object *hujson.Object, name string) int {
	for i := len(object.Members) - 1; i >= 0; i-- {
		if literal, ok := object.Members[i].Name.Value.(hujson.Literal); ok && literal.String() == name {
			return i
		}
	}
	return -1
}

// indentation is what stands before a member on its line; false where it has none of its
// own.
func indentation(before hujson.Extra) (string, bool) {
	i := bytes.LastIndexByte(before, '\n')
	if i < 0 {
		return "", false
	}
	line := string(before[i+1:])
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))], true
}

// members are an object's, in their order.
type members []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes them as an object.
func (m members) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, each := range m {
		if i > 0 {
			text = append(text, ',')
		}
		for j, part := range []any{each.name, each.value} {
			written, err := plain(part)
			if err != nil {
				return nil, err
			}
			if j > 0 {
				text = append(text, ':')
			}
			text = append(text, written...)
		}
	}
	return append(text, '}'), nil
}

// plain is a value as JSON, in which paths are as people write them.
func plain(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(text.Bytes()), err
}

// generic is a value as it is read from JSON.
func generic(value any) (is any) {
	text, err := plain(value)
	if err != nil || json.Unmarshal(text, &is) != nil {
		return nil
	}
	return is
}
