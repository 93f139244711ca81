package forms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// options are the values that a schema lists, if it lists them all.
func options(o object) (all []Option) {
	add := func(value json.RawMessage, label string) {
		text := compact(value)
		if text == "" {
			return
		}
		if label == "" {
			label = plain(text)
		}
		all = append(all, Option{Value: text, Label: label})
	}
	labels := read[[]string](o, "enumNames")
	for i, value := range read[[]json.RawMessage](o, "enum") {
		label := ""
		if i < len(labels) {
			label = labels[i]
		}
		add(value, label)
	}
	if len(all) == 0 && o["const"] != nil {
		add(o["const"], "")
	}
	for _, name := range []string{"oneOf", "anyOf"} {
		cases := read[[]object](o, name)
		for _, one := range cases {
			if len(all) == 0 && one["const"] == nil || one == nil {
				break
			}
			if one["const"] == nil { // not all of them are values
				return nil
			}
			add(one["const"], one.text("title"))
		}
	}
	if len(all) > mostOptions { // they are typed in
		return nil
	}
	return all
}

// plain is a value without the quotes of a text; an empty one keeps them, to be seen.
func plain(value string) string {
	if text := unquoted(value); text != "" {
		return text
	}
	return value
}

// compact is a value on one line; "" for what is none.
func compact(value json.RawMessage) string {
	var out bytes.Buffer
	if len(value) == 0 || json.Compact(&out, value) != nil {
		return ""
	}
	return out.String()
}

// example is a value that the schema gives as one, as it would be written.
func example(o object) string {
	for _, value := range append(read[[]json.RawMessage](o, "examples"), o["example"]) {
		if text := compact(value); text != "" {
			return plain(text)
		}
	}
	return ""
}

// shortText is the longest that a text may be which is written on one line.
const shortText = 120

// textual says how a text is written.
func textual(o object) (kind Kind, input, mode string) {
	switch o.text("format") {
	case "date":
		return Text, "date", ""
	case "password":
		return Text, "password", ""
	case "email", "idn-email":
		return Text, "text", "email"
	case "uri", "url", "iri", "uri-reference":
		return Text, "text", "url"
	case "date-time", "time", "duration", "uuid", "hostname", "ipv4", "ipv6":
		return Text, "text", ""
	}
	if read[bool](o, "writeOnly") {
		return Text, "password", ""
	}
	longest := read[*int64](o, "maxLength")
	if o.text("pattern") != "" || longest != nil && *longest <= shortText {
		return Text, "text", ""
	}
	return Prose, "", ""
}

// limits says in words what values may be.
func limits(o object) (all []string) {
	number := func(name, words string) {
		if n := read[json.Number](o, name); n != "" {
			all = append(all, fmt.Sprintf(words, n))
		}
	}
	if form := o.text("format"); form != "" {
		all = append(all, form)
	}
	number("minimum", "at least %s")
	number("exclusiveMinimum", "more than %s")
	number("maximum", "at most %s")
	number("exclusiveMaximum", "less than %s")
	number("multipleOf", "a multiple of %s")
	number("minLength", "at least %s characters")
	number("maxLength", "at most %s characters")
	if pattern := o.text("pattern"); pattern != "" {
		all = append(all, "like "+pattern)
	}
	number("minItems", "at least %s of them")
	number("maxItems", "at most %s of them")
	if read[bool](o, "uniqueItems") {
		all = append(all, "each once")
	}
	if values := options(o); len(values) > 0 {
		labels := make([]string, 0, mostNamed)
		for i, v := range values {
			if i == mostNamed {
				labels = append(labels, "…")
				break
			}
			labels = append(labels, v.Label)
		}
		all = append(all, "one of "+strings.Join(labels, ", "))
	}
	return all
}

const mostNamed = 20 // values that are named in a sentence
