package proxy

import (
	"bytes"
	"errors"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"uaol/services"
	"uaol/services/registry"
)

// Checker checks arguments before they are whole, for those who make calls later.
// It must be closed.
type Checker struct{ schemas *schemas }

// NewChecker makes a Checker.
func NewChecker() *Checker { return &Checker{newSchemas()} }

// Close forgets the schemas that are kept compiled.
func (c *Checker) Close() { c.schemas.close() }

// Faults lists what is wrong with arguments whatever will stand in the places
// that are unknown yet, by path below at. Of a method that is not pinned nothing
// is known.
func (c *Checker) Faults(offer registry.Offer, method registry.Method, arguments map[string]any, unknown [][]string, at string) []services.Fault {
	compiled := c.schemas.of(offer, method)
	if compiled.fault != nil {
		return []services.Fault{{Path: at, Message: compiled.fault.Error()}}
	}
	if compiled.input == nil || len(unknown) > 0 && bytes.Contains(method.InputSchema, []byte(`"if"`)) {
		return nil // which of its branches counts may depend on what is unknown
	}
	injected := offer.Inject.Arguments
	var invalid *jsonschema.ValidationError
	if !errors.As(compiled.input.Validate(arguments), &invalid) {
		return nil
	}
	var faults []services.Fault
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(faults) >= mostFaults || undecided(e, unknown) {
			return
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
		if len(e.Causes) == 0 {
			faults = append(faults, leaf(withoutInjected(e, injected), at, injected)...)
		}
	}
	walk(invalid)
	return faults
}

// undecided reports whether what is wrong may yet turn out right: it is about
// something unknown, or about something that an unknown part decides.
func undecided(e *jsonschema.ValidationError, unknown [][]string) bool {
	here := e.InstanceLocation
	for _, path := range unknown {
		if len(path) <= len(here) && slices.Equal(path, here[:len(path)]) {
			return true
		}
		if len(here) > len(path) || !slices.Equal(here, path[:len(here)]) {
			continue
		}
		switch e.ErrorKind.(type) {
		case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Const, *kind.Enum, *kind.UniqueItems, *kind.Contains, *kind.MinContains, *kind.MaxContains:
			return true
		}
	}
	return false
}

// withoutInjected leaves out of what is missing what the tool's own settings add.
func withoutInjected(e *jsonschema.ValidationError, injected map[string]string) *jsonschema.ValidationError {
	required, ok := e.ErrorKind.(*kind.Required)
	if !ok || len(e.InstanceLocation) > 0 || len(injected) == 0 {
		return e
	}
	with := *e
	with.ErrorKind = &kind.Required{Missing: slices.DeleteFunc(slices.Clone(required.Missing), func(name string) bool {
		_, ours := injected[name]
		return ours
	})}
	return &with
}
