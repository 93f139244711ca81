package forms

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a form.
const (
	mostFields  = 150
	mostOptions = 300
	deepest     = 4  // objects within each other
	mostHops    = 10 // of references to references
)

// Of makes the fields of a method's arguments out of their schema. There are none where
// it names none, or where they would be too many.
func Of(schema json.RawMessage) []Field {
	root, ok := objectOf(schema)
	if !ok {
		return nil
	}
	r := &reader{root: root, left: mostFields}
	top, _ := r.resolved(root)
	fields := r.members(top, Field{Name: Prefix, ID: Prefix, Path: Root}, 0)
	if r.left < 0 {
		return nil
	}
	return fields
}

// object is a JSON object, each of whose members is read as what it should be: a member
// that is something else counts as absent.
type object map[string]json.RawMessage

func objectOf(text json.RawMessage) (object, bool) {
	var o object
	return o, json.Unmarshal(text, &o) == nil && o != nil
}

func read[T any](o object, name string) (value T) {
	if json.Unmarshal(o[name], &value) != nil {
		var nothing T
		return nothing
	}
	return value
}

func (o object) text(name string) string { return read[string](o, name) }

// types are those that a schema allows, without null.
func (o object) types() (types []string, nullable bool) {
	types = read[[]string](o, "type")
	if one := o.text("type"); one != "" {
		types = []string{one}
	}
	nullable = slices.Contains(types, "null") || read[bool](o, "nullable")
	return slices.DeleteFunc(types, func(t string) bool { return t == "null" }), nullable
}

// names are an object's members in the order in which they are written.
func names(text json.RawMessage) (names []string) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	for decoder.More() {
		name, err := decoder.Token()
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			return nil
		}
		if text, ok := name.(string); ok && !slices.Contains(names, text) {
			names = append(names, text)
		}
		if len(names) > mostFields {
			return names
		}
	}
	return names
}

type reader struct {
	root object
	left int // fields that there may still be
}

// members are the fields of an object's properties, those first that are needed.
func (r *reader) members(o object, parent Field, depth int) (fields []Field) {
	properties, _ := objectOf(o["properties"])
	required := read[[]string](o, "required")
	for i, name := range names(o["properties"]) {
		if r.left--; r.left < 0 {
			return fields
		}
		f := Field{
			Name: parent.Name + "/" + pointer.Replace(name), ID: parent.ID + "-" + strconv.Itoa(i), Path: pathOf(parent.Path, name),
			Label: name, Required: slices.Contains(required, name),
		}
		fields = append(fields, r.field(f, properties[name], depth))
	}
	slices.SortStableFunc(fields, func(a, b Field) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return fields
}

// field completes a field by its schema.
func (r *reader) field(f Field, schema json.RawMessage, depth int) Field {
	f.Kind, f.Type = JSON, "any"
	written, ok := objectOf(schema)
	if !ok {
		return f
	}
	o, nullable := r.resolved(written)
	types, orNull := o.types()
	f.Nullable = nullable || orNull
	f.Title, f.About, f.Old = o.text("title"), o.text("description"), read[bool](o, "deprecated")
	f.Limits, f.Default, f.Example = limits(o), compact(o["default"]), example(o)
	if len(types) == 0 {
		types = suggested(o)
	}
	f.Type = strings.Join(types, " or ")
	f.Options = options(o)
	switch {
	case len(f.Options) > 0:
		f.Kind = Choice
	case len(types) != 1:
	case types[0] == "string":
		f.Kind, f.Input, f.Mode = textual(o)
	case types[0] == "integer", types[0] == "number":
		f.Kind, f.Input, f.Mode = Number, "text", "decimal"
	case types[0] == "boolean" && f.Required && !f.Nullable:
		f.Kind = Switch
	case types[0] == "boolean":
		f.Kind, f.Options = Choice, []Option{{Value: "true", Label: "true"}, {Value: "false", Label: "false"}}
	case types[0] == "array":
		f = r.list(f, o, depth)
	case types[0] == "object":
		if depth < deepest {
			f.Fields = r.members(o, f, depth+1)
		}
		if len(f.Fields) > 0 {
			f.Kind = Object
		}
	}
	if f.Type == "" {
		f.Type = "any"
	}
	if f.Nullable {
		f.Type += " or null"
	}
	return f
}

// suggested are the types of a schema that does not say them, by what else it says.
func suggested(o object) []string {
	types := map[string]bool{}
	for _, option := range options(o) {
		value, _ := decoded(json.RawMessage(option.Value))
		switch value.(type) {
		case string:
			types["string"] = true
		case json.Number:
			types["number"] = true
		case bool:
			types["boolean"] = true
		}
	}
	if len(types) > 0 {
		return slices.Sorted(maps.Keys(types))
	}
	switch {
	case o["properties"] != nil:
		return []string{"object"}
	case o["items"] != nil:
		return []string{"array"}
	}
	return nil
}

// list completes a field that is an array.
func (r *reader) list(f Field, o object, depth int) Field {
	written, ok := objectOf(o["items"])
	if !ok || o["prefixItems"] != nil {
		return f
	}
	item, nullable := r.resolved(written)
	types, orNull := item.types()
	if len(types) == 0 {
		types = suggested(item)
	}
	if len(types) != 1 || nullable || orNull {
		return f
	}
	f.Type = "array of " + types[0]
	choices := options(item)
	switch {
	case len(choices) > 0 && read[bool](o, "uniqueItems"):
		f.Kind, f.Options = Choices, choices
		return f
	case types[0] == "string":
		f.Kind, f.Item = Lines, Text
	case types[0] == "integer", types[0] == "number":
		f.Kind, f.Item = Lines, Number
	case types[0] == "boolean":
		f.Kind, f.Item = Lines, Switch
	case types[0] == "object" && depth < deepest:
		inner := f
		inner.Name += "/-" // no control is called so
		f.Each = r.members(item, inner, depth+1)
	}
	for _, limit := range limits(item) {
		f.Limits = append(f.Limits, "each "+limit)
	}
	return f
}

// resolved follows references within the document, and takes apart what only says that
// null will do as well.
func (r *reader) resolved(o object) (_ object, nullable bool) {
	for range mostHops {
		inner, orNull, ok := r.inner(o)
		if !ok {
			break
		}
		merged := object{}
		for name, value := range inner {
			merged[name] = value
		}
		for name, value := range o { // what stands beside a reference is nearer
			switch name {
			case "$ref", "allOf", "anyOf", "oneOf":
			default:
				merged[name] = value
			}
		}
		o, nullable = merged, nullable || orNull
	}
	return o, nullable
}

// inner is the one schema that another stands for.
func (r *reader) inner(o object) (inner object, nullable, ok bool) {
	if ref := o.text("$ref"); ref != "" {
		inner, ok = r.at(ref)
		return inner, false, ok
	}
	if all := read[[]object](o, "allOf"); len(all) == 1 && all[0] != nil {
		return all[0], false, true
	}
	for _, name := range []string{"anyOf", "oneOf"} {
		some := read[[]object](o, name)
		rest := slices.DeleteFunc(some, func(one object) bool { return one.text("type") == "null" })
		if len(rest) == 1 && rest[0] != nil {
			return rest[0], len(rest) < len(read[[]object](o, name)), true
		}
	}
	return nil, false, false
}

// at finds what a reference such as #/$defs/City points to.
func (r *reader) at(ref string) (object, bool) {
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, false
	}
	if decoded, err := url.PathUnescape(fragment); err == nil {
		fragment = decoded
	}
	here := r.root
	for i, part := range strings.Split(fragment, "/") {
		if i == 0 {
			if part != "" { // an anchor
				return nil, false
			}
			continue
		}
		if here, ok = objectOf(here[unpointer.Replace(part)]); !ok {
			return nil, false
		}
	}
	return here, true
}

var unpointer = strings.NewReplacer("~1", "/", "~0", "~")
