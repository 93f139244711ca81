// Package config reads the settings of a process: once, before anything else
// is built, from the environment and the .env file, into one map that every
// module parses its own part from. It is the only package that asks the
// operating system for environment variables (a linter holds that).
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/joho/godotenv"
)

// FileVariable names the .env file to read instead of ./.env.
const FileVariable = "UAOL_ENV_FILE"

// Environment is every variable this process was given. It is made once and
// never changes, so no module can have read a setting "too early".
type Environment struct {
	File   string            // absolute path of the .env file; "" when there was none
	values map[string]string // what modules parse
	source map[string]string // "environment" or the file's path, by variable
}

// Read takes the process's environment and the .env file. Real variables win
// over the file's. A file that UAOL_ENV_FILE names must exist; ./.env need not.
func Read() (*Environment, error) {
	return ReadFrom(os.Environ(), ".")
}

// ReadFrom is Read for a given environment (in the form of os.Environ) and
// working directory.
func ReadFrom(environ []string, dir string) (*Environment, error) {
	real := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			real[name] = value
		}
	}
	path, named := real[FileVariable], true
	if path == "" {
		path, named = ".env", false
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FileVariable, err)
	}
	file, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return newEnvironment(real, nil, ""), nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Fault{Variable: FileVariable, Value: path, Want: "the path of an existing file"}
	case err != nil:
		return nil, err
	}
	return newEnvironment(real, file, path), nil
}

// Of makes an Environment of the given variables alone, for tests and demos.
func Of(values map[string]string) *Environment { return newEnvironment(values, nil, "") }

// With returns a copy in which the given variables are set as though the
// process had been started with them: for flags and for the demo.
func (e *Environment) With(values map[string]string) *Environment {
	with := &Environment{File: e.File, values: maps.Clone(e.values), source: maps.Clone(e.source)}
	for name, value := range values {
		with.values[name], with.source[name] = value, "command line"
	}
	return with
}

// Again reads the .env file once more, for a secret in it that may have been changed
// since. All else is as it was when the process started.
func (e *Environment) Again() (*Environment, error) {
	real := map[string]string{}
	for name, value := range e.values {
		if e.source[name] != ".env" {
			real[name] = value
		}
	}
	file, err := readFile(e.File)
	if err != nil {
		return nil, err
	}
	return newEnvironment(real, file, e.File), nil
}

// Lookup gives a variable's value and whether it is set and not empty; the
// original treats an empty variable as an unset one, and so do we.
func (e *Environment) Lookup(name string) (string, bool) {
	value := e.values[name]
	return value, value != ""
}

// Source says where a variable came from: "environment", ".env" or
// "command line"; "" when it is not set.
func (e *Environment) Source(name string) string { return e.source[name] }

// Count is the number of variables that came from the .env file.
func (e *Environment) Count() int {
	n := 0
	for _, source := range e.source {
		if source == ".env" {
			n++
		}
	}
	return n
}

func newEnvironment(real, file map[string]string, path string) *Environment {
	e := &Environment{File: path, values: map[string]string{}, source: map[string]string{}}
	for name, value := range file {
		e.values[name], e.source[name] = value, ".env"
	}
	for name, value := range real {
		if value == "" && e.values[name] != "" {
			continue // an empty real variable does not hide the file's
		}
		e.values[name], e.source[name] = value, "environment"
	}
	return e
}

// readFile parses a .env file. Its parser's errors quote the whole line, which
// may hold a secret, so ours name only the file and the line's number.
func readFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FileVariable, err)
	}
	values, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: line %d is not NAME=value; mend it or name another file with %s",
			path, faultyLine(string(text)), FileVariable)
	}
	return values, nil
}

// faultyLine finds the line at which a .env text stops being readable: the one
// after the longest part that can be read. A value in quotes may have several.
func faultyLine(text string) int {
	lines := strings.Split(text, "\n")
	for n := len(lines) - 1; n > 0; n-- {
		if _, err := godotenv.Unmarshal(strings.Join(lines[:n], "\n") + "\n"); err == nil {
			return n + 1
		}
	}
	return 1
}
