// Package forms makes forms of JSON Schemas, and arguments of what people filled in. A
// schema is a stranger's: what is no form by its kind or its size is left to be written
// as JSON.
package forms

import (
	"strconv"
	"strings"
	"unicode"
)

// Kind is how a value is filled in.
type Kind string

// The kinds.
const (
	Text    Kind = "text"    // one line
	Prose   Kind = "prose"   // several lines
	Number  Kind = "number"  // also whole ones
	Switch  Kind = "switch"  // true or false, one of which is always given
	Choice  Kind = "choice"  // one of some values, or nothing
	Choices Kind = "choices" // some of some values, each once
	Lines   Kind = "lines"   // a list of simple values, each on its own line
	Object  Kind = "object"  // the fields of an object
	JSON    Kind = "json"    // all else
)

// Option is a value that can be chosen.
type Option struct {
	Value  string // JSON
	Label  string
	Chosen bool
}

// Field is one value of a form.
type Field struct {
	Name     string // of the form's control: a JSON pointer behind "arg"
	ID       string // of the element
	Path     string // that the API's faults name, such as body.params.city
	Label    string // the member's own name
	Title    string
	About    string
	Type     string   // in JSON Schema's words
	Limits   []string // of its values, for people
	Kind     Kind
	Required bool
	Nullable bool
	Old      bool   // deprecated
	Default  string // JSON
	Example  string // as it would be written
	Input    string // the type of an input element
	Mode     string // inputmode of it
	Options  []Option
	Fields   []Field // of an object
	Each     []Field // what the objects in a list hold: to be read, not filled in
	Item     Kind    // of Lines: Text or Number, or Switch for true and false

	Value string // what it holds
	Fault string // what is wrong with that
}

// Prefix begins the names of all controls, so that no property's name meets those of the
// form's own.
const Prefix = "arg"

// Root is where the API has the arguments.
const Root = "body.params"

// pathOf is the path of a member, as the proxy writes those of its faults.
func pathOf(parent, name string) string {
	if _, err := strconv.Atoi(name); err == nil {
		return parent + "[" + name + "]"
	}
	return parent + "." + shortened(name)
}

const longestName = 200 // characters

func shortened(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > longestName {
		return string(runes[:longestName]) + "…"
	}
	return text
}

var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// Row is a field in a table of all of them.
type Row struct {
	Field
	Whole string // its name with those that it is within
}

// Rows lists fields with those within them.
func Rows(fields []Field) []Row { return rows(fields, "") }

func rows(fields []Field, before string) (all []Row) {
	for _, f := range fields {
		all = append(all, Row{f, before + f.Label})
		all = append(all, rows(f.Fields, before+f.Label+".")...)
		all = append(all, rows(f.Each, before+f.Label+"[].")...)
	}
	return all
}
