package imports

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas makes JSON Schema 2020-12 of a document's schemas. It works on the
// document as it was written, so that no keyword gets lost.
type schemas struct {
	root map[string]any
	old  bool // OpenAPI 3.0, whose schemas are a dialect of their own
}

// direction is which way what a schema describes goes.
type direction string

const (
	forInput  direction = "readOnly" // members so marked can't be sent
	forOutput direction = "writeOnly"
)

// object is an object's schema in the making, with what it refers to.
type object struct {
	s          *schemas
	way        direction
	properties map[string]any
	required   []string
	rest       map[string]any // further keywords
	defs       map[string]any
	names      map[string]string // of defs, by reference
	fault      error
}

func newObject(s *schemas, way direction) *object {
	return &object{s: s, way: way, properties: map[string]any{}, rest: map[string]any{}, defs: map[string]any{}, names: map[string]string{}}
}

func (o *object) add(name string, schema any, description string, required bool) {
	converted := o.convert(schema, 0)
	if m, ok := converted.(map[string]any); ok && description != "" && m["description"] == nil {
		m["description"] = clean(description, maxDescription)
	}
	o.properties[name] = converted
	if required {
		o.required = append(o.required, name)
	}
}

// merge takes an object's members over as the object's own.
func (o *object) merge(schema any) {
	converted, ok := o.convert(o.s.follow(asMap(schema)), 0).(map[string]any)
	if !ok {
		return
	}
	for key, value := range converted {
		switch key {
		case "properties":
			maps.Copy(o.properties, asMap(value))
		case "required":
			for _, name := range asList(value) {
				if text, ok := name.(string); ok {
					o.required = append(o.required, text)
				}
			}
		case "type", "description", "title", "default", "minProperties", "maxProperties":
		default:
			o.rest[key] = value
		}
	}
}

// schema gives the whole, if it is one.
func (o *object) schema() (json.RawMessage, error) {
	if o.fault != nil {
		return nil, o.fault
	}
	whole := maps.Clone(o.rest)
	whole["type"] = "object"
	if len(o.properties) > 0 {
		whole["properties"] = o.properties
	}
	if len(o.required) > 0 {
		slices.Sort(o.required)
		whole["required"] = slices.Compact(o.required)
	}
	if len(o.defs) > 0 {
		whole["$defs"] = o.defs
	}
	text, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	if len(text) > maxMethod {
		return nil, errors.New("its schemas are too large")
	}
	return text, compiles(text)
}

func compiles(text []byte) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(nowhere{})
	if err := compiler.AddResource("urn:method", value); err != nil {
		return err
	}
	if _, err := compiler.Compile("urn:method"); err != nil {
		return fmt.Errorf("its schema is not one: %w", err)
	}
	return nil
}

type nowhere struct{}

func (nowhere) Load(address string) (any, error) {
	return nil, fmt.Errorf("%s is outside the document", address)
}

// Keywords by what is in them.
var (
	oneSchema  = []string{"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contentSchema"}
	schemaList = []string{"allOf", "anyOf", "oneOf", "prefixItems"}
	schemaMap  = []string{"properties", "patternProperties", "dependentSchemas"}
	asWritten  = []string{
		"type", "title", "description", "format", "enum", "const", "default", "minimum", "maximum", "multipleOf", "minLength", "maxLength",
		"pattern", "minItems", "maxItems", "uniqueItems", "minContains", "maxContains", "required", "minProperties", "maxProperties",
		"exclusiveMinimum", "exclusiveMaximum", "dependentRequired", "deprecated", "examples", "contentMediaType", "contentEncoding",
	}
)

// convert gives a schema in 2020-12, its references leading to $defs. What it
// does not know says nothing to callers and is left away.
func (o *object) convert(schema any, depth int) any {
	node, ok := schema.(map[string]any)
	if depth > maxDepth {
		o.fail(errors.New("its schemas are nested too deeply"))
		return map[string]any{}
	}
	if !ok {
		if always, isBool := schema.(bool); isBool {
			return always
		}
		return map[string]any{}
	}
	out := map[string]any{}
	if ref, ok := node["$ref"].(string); ok {
		out["$ref"] = o.refer(ref, depth)
		if o.s.old {
			return out // 3.0 ignores what stands beside it
		}
	}
	for _, key := range asWritten {
		if value, ok := node[key]; ok {
			out[key] = value
		}
	}
	for _, key := range oneSchema {
		if value, ok := node[key]; ok {
			out[key] = o.convert(value, depth+1)
		}
	}
	for _, key := range schemaList {
		var list []any
		for _, value := range asList(node[key]) {
			list = append(list, o.convert(value, depth+1))
		}
		if len(list) > 0 {
			out[key] = list
		}
	}
	for _, key := range schemaMap {
		if members, ok := node[key].(map[string]any); ok {
			made := map[string]any{}
			for name, value := range members {
				if key != "patternProperties" || isPattern(name) {
					made[name] = o.convert(value, depth+1)
				}
			}
			out[key] = made
		}
	}
	o.adapt(node, out)
	return out
}

// adapt mends what 2020-12 says otherwise, or what our validator can't do.
func (o *object) adapt(node, out map[string]any) {
	if pattern, ok := out["pattern"].(string); ok && !isPattern(pattern) {
		delete(out, "pattern") // the server judges it itself
	}
	if text, ok := out["description"].(string); ok {
		out["description"] = clean(text, maxDescription)
	}
	if required, ok := out["required"].([]any); ok {
		kept := slices.DeleteFunc(slices.Clone(required), func(name any) bool {
			text, ok := name.(string)
			member := o.s.follow(asMap(asMap(node["properties"])[text]))
			marked, _ := member[string(o.way)].(bool)
			return !ok || marked
		})
		out["required"] = kept
	} else {
		delete(out, "required") // a parameter's, in a wrong place
	}
	if !o.s.old {
		return
	}
	for _, bound := range [][2]string{{"exclusiveMinimum", "minimum"}, {"exclusiveMaximum", "maximum"}} {
		exclusive, isBool := out[bound[0]].(bool)
		if !isBool {
			continue
		}
		delete(out, bound[0])
		if limit, ok := out[bound[1]]; exclusive && ok {
			out[bound[0]] = limit
			delete(out, bound[1])
		}
	}
	if nullable, _ := node["nullable"].(bool); nullable {
		if kind, ok := out["type"].(string); ok {
			out["type"] = []any{kind, "null"}
			if enum, ok := out["enum"].([]any); ok && !slices.Contains(enum, nil) {
				out["enum"] = append(slices.Clone(enum), nil)
			}
		}
	}
}

// isPattern reports whether our validator can use a pattern: Go's expressions
// lack some of JavaScript's.
func isPattern(text string) bool {
	_, err := regexp.Compile(text)
	return err == nil
}

var notInDefs = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// refer gives the place in $defs where the target of a reference is, or will be:
// a schema may refer to itself.
func (o *object) refer(ref string, depth int) string {
	if name, known := o.names[ref]; known {
		return "#/$defs/" + name
	}
	target := o.s.at(strings.TrimPrefix(ref, "#"))
	if target == nil || !strings.HasPrefix(ref, "#/") {
		o.fail(fmt.Errorf("it refers to %.100s, where nothing is", ref))
		return "#"
	}
	base := notInDefs.ReplaceAllString(ref[strings.LastIndex(ref, "/")+1:], "_")
	name := base
	for n := 2; o.defs[name] != nil; n++ {
		name = base + "_" + strconv.Itoa(n)
	}
	o.names[ref], o.defs[name] = name, map[string]any{}
	o.defs[name] = o.convert(target, depth+1)
	return "#/$defs/" + name
}

func (o *object) fail(err error) {
	if o.fault == nil {
		o.fault = err
	}
}

// members gives an object's properties if that is all that its schema says.
func (s *schemas) members(schema any) (map[string]any, bool) {
	node := s.follow(asMap(schema))
	members := asMap(node["properties"])
	for _, key := range []string{"allOf", "anyOf", "oneOf", "not", "if", "$ref", "discriminator"} {
		if node[key] != nil {
			return nil, false
		}
	}
	return members, node["type"] == "object" || node["type"] == nil && len(members) > 0
}

// follow gives what a reference refers to.
func (s *schemas) follow(node map[string]any) map[string]any {
	for range maxDepth {
		ref, ok := node["$ref"].(string)
		if !ok {
			break
		}
		target, ok := s.at(strings.TrimPrefix(ref, "#")).(map[string]any)
		if !ok {
			return nil
		}
		node = target
	}
	return node
}

// at gives what a JSON pointer (RFC 6901) points to; nil when nothing is there.
func (s *schemas) at(pointer string) any {
	var value any = s.root
	if pointer == "" {
		return value
	}
	for _, token := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		token = unescape(token)
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

func escape(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "%", "%25").Replace(token)
}

func unescape(token string) string {
	return strings.NewReplacer("~1", "/", "~0", "~", "%25", "%", "%7B", "{", "%7D", "}", "%20", " ").Replace(token)
}

func asMap(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

func asList(value any) []any {
	list, _ := value.([]any)
	return list
}
