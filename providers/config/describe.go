package config

import (
	"reflect"
	"sort"
	"strings"
)

// Setting is one variable as people see it in `uaol config` and .env.example.
type Setting struct {
	Variable string
	Default  string
	Doc      string
	Want     string
	Secret   bool
	Part     string // of the program that reads it, such as "postgres" or "billing/ledger"

	field string
}

// Settings are all that any process reads.
type Settings []Setting

// Describe lists the settings that the given config structs read, by name.
func Describe(structs ...any) []Setting {
	var all []Setting
	seen := map[string]bool{}
	for _, s := range structs {
		for _, setting := range settings(reflect.TypeOf(s)) {
			if !seen[setting.Variable] {
				seen[setting.Variable] = true
				all = append(all, setting)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Variable < all[j].Variable })
	return all
}

// Shown is a setting's value as `uaol config` may print it.
func (s Setting) Shown(e *Environment) string {
	value, ok := e.Lookup(s.Variable)
	switch {
	case !ok:
		return s.Default
	case s.Secret:
		return "(set)"
	}
	return Redact(value)
}

func settings(t reflect.Type) []Setting {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var found []Setting
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous || (field.Type.Kind() == reflect.Struct && field.Tag.Get("env") == "" && field.IsExported()) {
			found = append(found, settings(field.Type)...)
			continue
		}
		variable := field.Tag.Get("env")
		if variable == "" {
			continue
		}
		want := field.Tag.Get("want")
		if want == "" {
			want = wants[field.Type.String()]
		}
		if want == "" {
			want = wants[field.Type.Kind().String()]
		}
		found = append(found, Setting{
			Variable: variable,
			Default:  field.Tag.Get("envDefault"),
			Doc:      field.Tag.Get("doc"),
			Want:     want,
			Secret:   field.Tag.Get("secret") == "true",
			Part:     partOf(t),
			field:    field.Name,
		})
	}
	return found
}

// partOf is a struct's package, without the directories that all have.
func partOf(t reflect.Type) string {
	part := strings.TrimPrefix(t.PkgPath(), "uaol/")
	return strings.TrimPrefix(strings.TrimPrefix(part, "providers/"), "services/")
}

var wants = map[string]string{
	"time.Duration": "a duration such as 30s or 5m",
	"bool":          "true or false",
	"int":           "a whole number",
	"int32":         "a whole number",
	"int64":         "a whole number",
	"string":        "a text",
	"slice":         "a list separated by commas",
}
