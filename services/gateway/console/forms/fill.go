package forms

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// Fill fills arguments in; whole says that the form holds all of them, so that it gives
// them back.
func Fill(fields []Field, arguments json.RawMessage) (values Values, whole bool) {
	values = Values{}
	o, ok := objectOf(arguments)
	if !ok {
		return values, false
	}
	fill(fields, o, values)
	back, faults := Arguments(fields, values)
	return values, len(faults) == 0 && same(back, arguments)
}

func fill(fields []Field, o object, values Values) {
	for _, f := range fields {
		if value, there := o[f.Label]; there {
			f.fill(value, values)
		}
	}
}

func (f Field) fill(value json.RawMessage, values Values) {
	text := compact(value)
	if text == "null" && f.Nullable && !offers(f, text) {
		return
	}
	switch f.Kind {
	case Object:
		if o, ok := objectOf(value); ok {
			fill(f.Fields, o, values)
		}
	case Choices, Lines:
		var items []json.RawMessage
		if json.Unmarshal(value, &items) != nil {
			return
		}
		var lines []string
		for _, item := range items {
			line := compact(item)
			if f.Item == Text {
				line = unquoted(line)
			}
			lines = append(lines, line)
		}
		if f.Kind == Choices {
			values[f.Name] = lines
		} else {
			values[f.Name] = []string{strings.Join(lines, "\n")}
		}
	case Text, Prose:
		values[f.Name] = []string{unquoted(text)}
	default:
		values[f.Name] = []string{text}
	}
}

// unquoted is a text as it is read; what is none stays as it is written.
func unquoted(value string) string {
	var text string
	if json.Unmarshal([]byte(value), &text) == nil {
		return text
	}
	return value
}

// same compares two documents by what they say.
func same(a, b json.RawMessage) bool {
	x, errX := decoded(a)
	y, errY := decoded(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func decoded(text json.RawMessage) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // numbers as they are written
	err = decoder.Decode(&value)
	return value, err
}

// Defaults are what a form holds at first.
func Defaults(fields []Field) Values {
	values := Values{}
	for _, f := range fields {
		if f.Default != "" {
			f.fill(json.RawMessage(f.Default), values)
		} else if f.Kind == Object && f.Required {
			for name, value := range Defaults(f.Fields) {
				values[name] = value
			}
		}
	}
	return values
}

// Show gives the fields with what they hold and what is wrong with it, and those faults
// that are about none of them.
func Show(fields []Field, values Values, faults map[string]string) (shown []Field, rest map[string]string) {
	rest = map[string]string{}
	for path, message := range faults {
		rest[path] = message
	}
	return show(fields, values, rest), rest
}

func show(fields []Field, values Values, faults map[string]string) []Field {
	shown := slices.Clone(fields)
	for i := range shown {
		f := &shown[i]
		f.Value = values.get(f.Name)
		f.Fields = show(f.Fields, values, faults)
		f.Options = slices.Clone(f.Options)
		for j := range f.Options {
			f.Options[j].Chosen = slices.Contains(values[f.Name], f.Options[j].Value)
		}
		f.Fault = take(faults, f.Path)
	}
	return shown
}

// take takes the faults of a path and of what lies below it; those of fields that lie
// there have been taken before.
func take(faults map[string]string, path string) string {
	var found []string
	for at, message := range faults {
		below, ok := strings.CutPrefix(at, path)
		if !ok || below != "" && below[0] != '.' && below[0] != '[' {
			continue
		}
		if below != "" {
			message = strings.TrimPrefix(below, ".") + " " + message
		}
		found = append(found, message)
		delete(faults, at)
	}
	slices.Sort(found)
	return strings.Join(found, "; ")
}

// Sample is what a call could be given, for examples: what is required, and what has a
// value of its own.
func Sample(fields []Field) json.RawMessage {
	values := Defaults(fields)
	sample(fields, values)
	text, faults := Arguments(fields, values)
	if len(faults) > 0 {
		return json.RawMessage("{}")
	}
	return text
}

func sample(fields []Field, values Values) {
	for _, f := range fields {
		switch {
		case !f.Required, len(values[f.Name]) > 0:
		case f.Kind == Object:
			sample(f.Fields, values)
		case f.Example != "":
			values[f.Name] = []string{f.Example}
		case f.Kind == Choice, f.Kind == Choices:
			values[f.Name] = []string{f.Options[0].Value}
		case f.Kind == Switch:
			values[f.Name] = []string{"true"}
		case f.Kind == Number, f.Kind == Lines && f.Item == Number:
			values[f.Name] = []string{"1"}
		case f.Kind == Lines && f.Item == Switch:
			values[f.Name] = []string{"true"}
		case f.Kind == JSON && strings.HasPrefix(f.Type, "array"):
			values[f.Name] = []string{"[]"}
		case f.Kind == JSON:
			values[f.Name] = []string{"{}"}
		case f.Input == "date":
			values[f.Name] = []string{"2026-01-31"}
		default:
			values[f.Name] = []string{"text"}
		}
	}
}

// Without leaves out the members that somebody else gives.
func Without(fields []Field, names map[string]string) []Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f Field) bool {
		_, given := names[f.Label]
		return given
	})
}
