package config

import (
	"errors"
	"reflect"
)

// Faults tells all that is wrong with the settings that the given config structs read,
// not only what stops a start first: each fault is looked past by leaving the variable
// out, as far as that helps.
func Faults(e *Environment, structs ...any) []error {
	var all []error
	seen := map[string]bool{}
	for _, s := range structs {
		left := e
		for {
			err := parseInto(left, reflect.New(reflect.TypeOf(s)).Interface())
			if err == nil {
				break
			}
			var fault *Fault
			if !errors.As(err, &fault) {
				all = append(all, err)
				break
			}
			_, set := left.Lookup(fault.Variable)
			if !seen[fault.Variable] {
				seen[fault.Variable] = true
				all = append(all, fault)
			}
			if !set { // it is wanted, and what else is wrong can't be seen
				break
			}
			left = left.With(map[string]string{fault.Variable: ""})
		}
	}
	return all
}
