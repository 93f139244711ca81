package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/registry"
)

// Codes of calls whose schemas stand in their way.
const (
	CodeInvalidResult = "INVALID_RESULT" // the tool's answer is not what it promised
	CodeInvalidSchema = "INVALID_SCHEMA" // what a method takes can't be made out
)

// schemas keeps pinned methods' schemas compiled.
type schemas struct {
	compiled *otter.Cache[schemaKey, *compiled]
}

type schemaKey struct {
	tool    uuid.UUID
	version int64
	method  string
	digest  string
}

// compiled is what a method takes and gives; nil takes and gives anything.
type compiled struct {
	input, output *jsonschema.Schema
	mirrors       []upstream.Mirror
	fault         error
}

func newSchemas() *schemas {
	return &schemas{otter.Must(&otter.Options[schemaKey, *compiled]{MaximumSize: 5_000})}
}

func (s *schemas) close() { s.compiled.StopAllGoroutines() }

// of gives a method's schemas. Those of a tool that is not pinned are nobody's
// promise and are not looked at.
func (s *schemas) of(offer registry.Offer, method registry.Method) *compiled {
	if !offer.Pinned {
		return &compiled{}
	}
	key := schemaKey{offer.ToolID, offer.Version, method.Name, method.Digest}
	if key.digest == "" {
		sum := sha256.Sum256(append(append([]byte(nil), method.InputSchema...), method.OutputSchema...))
		key.digest = hex.EncodeToString(sum[:])
	}
	if known, ok := s.compiled.GetIfPresent(key); ok {
		return known
	}
	made := &compiled{mirrors: upstream.Mirrors(method.InputSchema)}
	if made.input, made.fault = compile(method.InputSchema); made.fault == nil {
		made.output, made.fault = compile(method.OutputSchema)
	}
	if made.fault != nil {
		made.fault = services.Errorf(services.Upstream, "The schema of the method %s can't be used: %s", method.Name, shortened(made.fault.Error())).
			WithCode(CodeInvalidSchema)
	}
	s.compiled.Set(key, made)
	return made
}

// compile reads a schema of JSON Schema 2020-12 or of the draft that it names,
// back to 4. It must be whole: nothing is fetched for it.
func compile(schema json.RawMessage) (*jsonschema.Schema, error) {
	if schema = bytes.TrimSpace(schema); len(schema) == 0 || string(schema) == "null" {
		return nil, nil
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	const here = "https://tool.invalid/method" // .invalid: where nobody can be
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(nothing{})
	compiler.UseRegexpEngine(patterns)
	if err := compiler.AddResource(here, document); err != nil {
		return nil, err
	}
	return compiler.Compile(here)
}

// nothing is a loader for references that lead out of a schema.
type nothing struct{}

func (nothing) Load(url string) (any, error) {
	return nil, errors.New("it refers to another document, " + url)
}

// patterns are Go's regular expressions, whose time grows with the text alone.
// One that only other engines know, with look-ahead for example, matches
// anything here: the tool checks it itself.
func patterns(pattern string) (jsonschema.Regexp, error) {
	if compiled, err := regexp.Compile(pattern); err == nil {
		return compiled, nil
	}
	return anything(pattern), nil
}

type anything string

func (anything) MatchString(string) bool { return true }

func (a anything) String() string { return string(a) }

// mostFaults is how many faults are told at once.
const mostFaults = 20

// takes checks arguments; kind Invalid with every fault and its path.
func (c *compiled) takes(a arguments, injected map[string]string) error {
	if c.fault != nil {
		return c.fault
	}
	if c.input == nil {
		return nil
	}
	faults := faultsOf(c.input.Validate(a.value), "body.params", injected)
	if len(faults) == 0 {
		return nil
	}
	return services.Faults(faults...)
}

// gives checks a result's structured content; kind Upstream.
func (c *compiled) gives(answer *upstream.Answer) error {
	if c.output == nil || answer.Failed || answer.Asks {
		return nil
	}
	wrong := services.Errorf(services.Upstream, "The tool's result does not match its schema").WithCode(CodeInvalidResult)
	if answer.Structured == nil {
		return wrong.WithDetails([]services.Fault{{Path: "result.structuredContent", Message: "is required"}})
	}
	unreadable := func() error {
		return wrong.WithDetails([]services.Fault{{Path: "result.structuredContent", Message: "can't be read"}})
	}
	if _, depth := members(answer.Structured); depth > deepest {
		return unreadable()
	}
	value, count, reasonable := decode(answer.Structured), 0, true
	if measure(value, &count, &reasonable); !reasonable {
		return unreadable()
	}
	if faults := faultsOf(c.output.Validate(value), "result.structuredContent", nil); len(faults) > 0 {
		return wrong.WithDetails(faults)
	}
	return nil
}

var english = message.NewPrinter(language.English)

// faultsOf lists what is wrong, by path. Of what was injected the caller learns
// no more than that it is wrong.
func faultsOf(err error, root string, injected map[string]string) []services.Fault {
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []services.Fault{{Path: root, Message: "can't be checked"}}
	}
	var faults []services.Fault
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(faults) >= mostFaults {
			return
		}
		if len(e.Causes) > 0 {
			for _, cause := range e.Causes {
				walk(cause)
			}
			return
		}
		faults = append(faults, leaf(e, root, injected)...)
	}
	walk(invalid)
	return faults[:min(len(faults), mostFaults)]
}

func leaf(e *jsonschema.ValidationError, root string, injected map[string]string) []services.Fault {
	path := root + pathOf(e.InstanceLocation)
	each := func(names []string, message string) (faults []services.Fault) {
		for _, name := range names {
			faults = append(faults, services.Fault{Path: path + pathOf([]string{name}), Message: message})
		}
		return faults
	}
	if len(e.InstanceLocation) > 0 {
		if _, ours := injected[e.InstanceLocation[0]]; ours {
			return []services.Fault{{Path: path, Message: "is set by the tool's own settings, and is not what its method takes"}}
		}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return each(k.Missing, "is required")
	case *kind.AdditionalProperties:
		return each(k.Properties, "is not a parameter of this method")
	case *kind.FalseSchema:
		return []services.Fault{{Path: path, Message: "must be left out"}}
	}
	return []services.Fault{{Path: path, Message: shortened(e.ErrorKind.LocalizedString(english))}}
}

// pathOf writes a location as the contract does: .name and [0].
func pathOf(location []string) string {
	var path strings.Builder
	for _, part := range location {
		if _, err := strconv.Atoi(part); err == nil {
			path.WriteString("[" + part + "]")
		} else {
			path.WriteString("." + shortened(part))
		}
	}
	return path.String()
}

// shortened is a stranger's text on one line of limited length.
func shortened(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > 200 {
		return string(runes[:200]) + "…"
	}
	return text
}
