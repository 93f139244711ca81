package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// CompileSchema reads the JSON Schema of a method, 2020-12 unless it says
// otherwise. It may refer to itself and to nothing else. No schema, or null,
// gives nil.
func CompileSchema(schema json.RawMessage) (*jsonschema.Schema, error) {
	if schema = bytes.TrimSpace(schema); len(schema) == 0 || string(schema) == "null" {
		return nil, nil
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	if _, object := document.(map[string]any); !object {
		return nil, errors.New("it is not an object")
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	compiler.UseRegexpEngine(pattern)
	const here = "urn:uaol:schema"
	if err := compiler.AddResource(here, document); err != nil {
		return nil, err
	}
	return compiler.Compile(here)
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %.200s; other documents are not loaded", url)
}

// pattern reads a regular expression. Those of JavaScript that Go's engine does
// not know, such as look-aheads, match everything: the tool itself checks them.
func pattern(text string) (jsonschema.Regexp, error) {
	if known, err := regexp.Compile(text); err == nil {
		return known, nil
	}
	return anything(text), nil
}

type anything string

func (a anything) MatchString(string) bool { return true }
func (a anything) String() string          { return string(a) }
