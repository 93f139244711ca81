package workflow

import (
	"regexp"
	"strings"
)

// source is what a reference reads.
type source int

const (
	theResult source = iota
	theError
	theStatus
	theInput
	theItem
	theIndex
)

// reference is one {{…}}.
type reference struct {
	text string // as it was written, without braces and the spaces at them
	from source
	id   string   // the step's, when it reads one
	step int      // its index
	path []string // into the value
}

func (r reference) ofStep() bool { return r.from <= theStatus }
func (r reference) ofItem() bool { return r.from >= theItem }

// referenceForm is what may be a reference: {{name}} or {{name.some.0.path}}.
var referenceForm = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_-]{1,64})((?:\.[^\s{}.]+)*)\s*\}\}`)

// found is a reference with the place in its text, braces and all.
type found struct {
	reference
	from, to int
}

// referencesIn finds the references of a text, from left to right. What looks
// like one and is none of the language's, say {{name}}, is ordinary text.
func referencesIn(text string) []found {
	if !strings.Contains(text, "{{") {
		return nil
	}
	var all []found
	for _, m := range referenceForm.FindAllStringSubmatchIndex(text, -1) {
		if r, ok := newReference(text[m[2]:m[3]], text[m[4]:m[5]]); ok {
			all = append(all, found{reference: r, from: m[0], to: m[1]})
		}
	}
	return all
}

// newReference tells what a name and the path after it, which is empty or
// begins with a dot, refer to.
func newReference(name, path string) (r reference, ok bool) {
	r.text = name + path
	if path != "" {
		r.path = strings.Split(path[1:], ".")
	}
	switch name {
	case "input":
		r.from = theInput
		return r, true
	case "item":
		r.from = theItem
		return r, true
	case "index":
		r.from = theIndex
		return r, path == ""
	}
	r.id = name
	switch {
	case path == ".error":
		r.from, r.path = theError, nil
	case path == ".status":
		r.from, r.path = theStatus, nil
	case len(r.path) > 0 && r.path[0] == "result":
		r.from, r.path = theResult, r.path[1:]
	default:
		return r, false
	}
	return r, true
}
