package config

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.uber.org/fx"
)

// Module gives the graph its Environment.
func Module(e *Environment) fx.Option {
	return fx.Module("config",
		fx.Supply(e),
		For[Process](),
		fx.Provide(newChecked),
	)
}

// Checked says that every config of this process has been read and found
// good. No config is handed out without it, and so nothing that touches the
// world (the database pool first of all) can be built any earlier: this is the
// cure of the race that the original had.
type Checked struct{ Count int }

// verdict is what came of reading one config.
type verdict struct {
	fx.Out
	Err error `group:"configs"`
}

type verdicts struct {
	fx.In
	Errs []error `group:"configs"`
}

func newChecked(v verdicts) (Checked, error) {
	return Checked{Count: len(v.Errs)}, worst(v.Errs)
}

// For lets a module read its own part of the environment: it provides T once
// all configs are good.
func For[T any]() fx.Option {
	return fx.Provide(
		func(e *Environment) verdict { _, err := Parse[T](e); return verdict{Err: err} },
		func(e *Environment, _ Checked) (T, error) { return Parse[T](e) },
	)
}

// WhenNeeded provides T without making Checked wait for it: for the address of
// a service that this process may never call.
func WhenNeeded[T any]() fx.Option {
	return fx.Provide(func(e *Environment, _ Checked) (T, error) { return Parse[T](e) })
}

// worst is the error to show: of several faults the one to mend first, with the
// names of the others, so that the same settings always give the same line.
func worst(errs []error) error {
	byVariable := map[string]*Fault{}
	for _, err := range errs {
		var fault *Fault
		if err == nil {
			continue
		}
		if !errors.As(err, &fault) {
			return err
		}
		byVariable[fault.Variable] = fault
	}
	variables := slices.SortedFunc(maps.Keys(byVariable), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	if len(variables) == 0 {
		return nil
	}
	first := *byVariable[variables[0]]
	if len(variables) > 1 {
		first.Want += "; then see to " + strings.Join(variables[1:], ", ")
	}
	return &first
}

// rank puts first what decides what else is wanted.
func rank(variable string) int {
	switch variable {
	case "UAOL_ENV":
		return 0
	case "DATABASE_URL":
		return 1
	}
	return 2
}
