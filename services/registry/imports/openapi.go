package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v4"

	"uaol/providers/upstream"
	"uaol/services"
)

// Bounds of an OpenAPI document.
const (
	maxDocument   = 5_000_000 // bytes
	maxOperations = 1000
	maxParsed     = 20_000_000 // bytes as JSON, with all YAML aliases written out
	maxMethods    = 4_000_000  // bytes of all methods made of it
	maxMethod     = 500_000    // bytes of one method's schemas
	maxDepth      = 100        // of what is nested
)

// OpenAPI makes one REST tool of an OpenAPI 3.0 or 3.1 document in JSON or YAML:
// its operations are the tool's methods. Operations that can't be called come
// out as skipped. address is where the document is, "" when that is not known; a
// relative server address needs it. Nothing that the document refers to outside
// itself is read. Kind Invalid when no tool can be made of it.
func OpenAPI(document []byte, address string) (Entry, []Skipped, error) {
	if len(document) > maxDocument {
		return Entry{}, nil, services.Errorf(services.Invalid, "the document has more than %d MB", maxDocument/1_000_000)
	}
	text, root, err := asJSON(document)
	if err != nil {
		return Entry{}, nil, err
	}
	version, _ := root["openapi"].(string)
	if !strings.HasPrefix(version, "3.0.") && !strings.HasPrefix(version, "3.1.") {
		if swagger, _ := root["swagger"].(string); swagger != "" {
			return Entry{}, nil, services.Errorf(services.Invalid, "this is Swagger %.10s; OpenAPI 3.0 and 3.1 are read", swagger)
		}
		return Entry{}, nil, services.Errorf(services.Invalid, "this is not an OpenAPI 3.0 or 3.1 document")
	}
	if outside := foreign(root, 0); outside != "" {
		return Entry{}, nil, services.Errorf(services.Invalid, "it refers to %.200s, outside of itself: bundle it into one document first", outside)
	}
	if text, err = withTextVersion(text, root); err != nil {
		return Entry{}, nil, err
	}
	loader := openapi3.NewLoader()
	loader.ReadFromURIFunc = func(*openapi3.Loader, *url.URL) ([]byte, error) {
		return nil, errors.New("nothing outside the document is read")
	}
	doc, err := loader.LoadFromData(text)
	if err != nil {
		return Entry{}, nil, services.Errorf(services.Invalid, "the document can't be read: %s", line(err.Error(), 300))
	}
	r := &reader{doc: doc, schemas: schemas{root: root, old: strings.HasPrefix(version, "3.0.")}, taken: map[string]bool{}}
	return r.entry(address)
}

// asJSON gives the document as JSON and as plain values; YAML's aliases are
// written out in both.
func asJSON(document []byte) ([]byte, map[string]any, error) {
	notOne := services.Errorf(services.Invalid, "the document is neither JSON nor YAML with an object in it")
	if !bytes.HasPrefix(bytes.TrimSpace(document), []byte("{")) {
		var loose any
		if err := yaml.Unmarshal(document, &loose); err != nil {
			return nil, nil, notOne.Because(err)
		}
		budget := maxParsed
		plain, err := plainly(loose, 0, &budget)
		if err != nil {
			return nil, nil, err
		}
		if document, err = json.Marshal(plain); err != nil {
			return nil, nil, notOne.Because(err)
		}
	}
	var root map[string]any
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil || root == nil || decoder.More() {
		return nil, nil, notOne.Because(err)
	}
	return document, root, nil
}

// plainly makes of YAML's values those that JSON has: 200 as a key is "200".
func plainly(value any, depth int, budget *int) (any, error) {
	if *budget -= 8; depth > maxDepth || *budget < 0 {
		return nil, services.Errorf(services.Invalid, "the document is nested too deeply, or its aliases make too much of it")
	}
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			plain, err := plainly(inner, depth+1, budget)
			if err != nil {
				return nil, err
			}
			*budget -= len(key)
			out[key] = plain
		}
		return out, nil
	case map[any]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			plain, err := plainly(inner, depth+1, budget)
			if err != nil {
				return nil, err
			}
			out[fmt.Sprint(key)] = plain
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			plain, err := plainly(inner, depth+1, budget)
			if err != nil {
				return nil, err
			}
			out[i] = plain
		}
		return out, nil
	case string:
		*budget -= len(v)
	}
	return value, nil
}

// foreign finds a reference that leads outside the document, and what is nested
// so deeply that nobody wrote it.
func foreign(value any, depth int) string {
	if depth > maxDepth {
		return "what is nested more than 100 times"
	}
	switch v := value.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok && !strings.HasPrefix(ref, "#") {
			return ref
		}
		for _, inner := range v {
			if found := foreign(inner, depth+1); found != "" {
				return found
			}
		}
	case []any:
		for _, inner := range v {
			if found := foreign(inner, depth+1); found != "" {
				return found
			}
		}
	}
	return ""
}

// withTextVersion mends what many get wrong in YAML: version: 1.0 is a number.
func withTextVersion(text []byte, root map[string]any) ([]byte, error) {
	info := asMap(root["info"])
	if _, isText := info["version"].(string); isText || info["version"] == nil {
		return text, nil
	}
	info["version"] = fmt.Sprint(info["version"])
	return json.Marshal(root)
}

// reader makes an Entry of a document.
type reader struct {
	doc     *openapi3.T
	schemas schemas
	taken   map[string]bool // names of methods
	skipped []Skipped
	size    int // bytes of methods so far
}

func (r *reader) entry(address string) (Entry, []Skipped, error) {
	info := r.doc.Info
	if info == nil {
		info = &openapi3.Info{}
	}
	e := Entry{SourceName: address, Name: info.Title, Description: info.Description, Version: info.Version, Protocol: upstream.ProtocolREST}
	if e.Name == "" {
		e.Name = "OpenAPI tool"
	}
	if e.SourceName == "" {
		e.SourceName = line(e.Name, maxName)
	}
	if r.doc.ExternalDocs != nil {
		e.DocumentationURL = r.doc.ExternalDocs.URL
	}
	for _, tag := range r.doc.Tags {
		if tag != nil {
			e.Tags = append(e.Tags, tag.Name)
		}
	}
	e.tidy()
	var err error
	if e.GatewayURL, err = r.server(address); err != nil {
		return e, nil, err
	}
	if err = r.operations(&e); err != nil {
		return e, nil, err
	}
	if len(e.Operations) == 0 {
		return e, r.skipped, services.Errorf(services.Invalid, "it has no operation that can be called")
	}
	r.secure(&e, address)
	return e, r.skipped, nil
}

// server is the first server's address, resolved against the document's.
func (r *reader) server(address string) (string, error) {
	relative := "/"
	if len(r.doc.Servers) > 0 && r.doc.Servers[0] != nil {
		s := r.doc.Servers[0]
		relative = s.URL
		for name, v := range s.Variables {
			if v != nil {
				relative = strings.ReplaceAll(relative, "{"+name+"}", v.Default)
			}
		}
	}
	resolved, err := resolve(address, relative)
	switch {
	case err != nil || strings.ContainsAny(resolved, "{}"):
		return "", services.Errorf(services.Invalid, "its servers say no address such as https://api.example.com")
	case badAddress(resolved) != "":
		return "", services.Errorf(services.Invalid, "%s", badAddress(resolved))
	case strings.ContainsAny(resolved, "?#"):
		return "", services.Errorf(services.Invalid, "its server's address has a query")
	}
	return strings.TrimRight(resolved, "/"), nil
}

func resolve(base, relative string) (string, error) {
	u, err := url.Parse(relative)
	if err != nil {
		return "", err
	}
	if u.IsAbs() {
		return relative, nil
	}
	at, err := url.Parse(base)
	if err != nil || !at.IsAbs() {
		return "", errors.New("relative to nothing")
	}
	return at.ResolveReference(u).String(), nil
}

var verbs = []string{"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD"}

func (r *reader) operations(e *Entry) error {
	paths := r.doc.Paths.Map()
	count := 0
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path]
		if item == nil {
			continue
		}
		for _, verb := range verbs {
			op := item.GetOperation(verb)
			if op == nil {
				continue
			}
			if count++; count > maxOperations {
				return services.Errorf(services.Invalid, "it has more than %d operations", maxOperations)
			}
			name := r.name(op, verb, path)
			made, why := r.operation(name, verb, path, item, op)
			if why != "" {
				r.skipped = append(r.skipped, Skipped{Name: name, Reason: why})
				continue
			}
			e.Operations = append(e.Operations, made)
			r.size += len(made.InputSchema) + len(made.OutputSchema) + len(made.Description)
			if r.size > maxMethods {
				return services.Errorf(services.Invalid, "its schemas are too large: %d MB for all methods together at most", maxMethods/1_000_000)
			}
		}
	}
	return nil
}

var (
	notInNames  = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
	inPath      = regexp.MustCompile(`\{([^{}]*)\}`)
	longestName = 64
)

// name is the operation's id, or made of its verb and path; each is given once.
func (r *reader) name(op *openapi3.Operation, verb, path string) string {
	name := strings.Trim(notInNames.ReplaceAllString(op.OperationID, "_"), "_")
	if name == "" {
		name = strings.TrimRight(strings.ToLower(verb)+"_"+strings.Trim(notInNames.ReplaceAllString(path, "_"), "_"), "_")
	}
	name = name[:min(len(name), longestName)]
	for base, n := name, 2; r.taken[name]; n++ {
		suffix := fmt.Sprintf("_%d", n)
		name = base[:min(len(base), longestName-len(suffix))] + suffix
	}
	r.taken[name] = true
	return name
}

func (r *reader) operation(name, verb, path string, item *openapi3.PathItem, op *openapi3.Operation) (upstream.Operation, string) {
	made := upstream.Operation{Verb: verb, Path: path, In: map[string]string{}}
	made.Name, made.Title = name, line(op.Summary, 200)
	made.Description = clean(strings.TrimSpace(op.Summary+"\n\n"+op.Description), maxDescription)
	made.Annotations = annotations(verb)
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#") {
		return made, "its path is not one"
	}
	at := "/paths/" + escape(path)
	if ref, ok := asMap(r.schemas.at(at))["$ref"].(string); ok {
		at = strings.TrimPrefix(ref, "#")
	}
	in := newObject(&r.schemas, forInput)
	for _, p := range r.parameters(at, strings.ToLower(verb), item, op) {
		if why := p.add(in, &made); why != "" {
			return made, why
		}
	}
	for _, match := range inPath.FindAllStringSubmatch(path, -1) {
		if made.In[match[1]] != "path" {
			return made, "its path has {" + line(match[1], 50) + "}, which no parameter gives"
		}
	}
	if op.RequestBody != nil {
		node, _ := r.schemas.at(at + "/" + strings.ToLower(verb) + "/requestBody").(map[string]any)
		if why := body(r.schemas.follow(node), in, &made); why != "" {
			return made, why
		}
	}
	var err error
	if made.InputSchema, err = in.schema(); err != nil {
		return made, line(err.Error(), 300)
	}
	made.OutputSchema, made.Accept = r.output(at + "/" + strings.ToLower(verb) + "/responses")
	if len(made.InputSchema)+len(made.OutputSchema) > maxMethod {
		return made, "its schemas are too large"
	}
	return made, ""
}

// annotations are what HTTP says of a verb: RFC 9110, section 9.2.
func annotations(verb string) *upstream.Annotations {
	a := &upstream.Annotations{Destructive: true, OpenWorld: true}
	switch verb {
	case "GET", "HEAD":
		a.ReadOnly, a.Idempotent, a.Destructive = true, true, false
	case "PUT", "DELETE":
		a.Idempotent = true
	case "POST":
		a.Destructive = false
	}
	return a
}

// parameter is a parameter as the document has it.
type parameter struct {
	node map[string]any
	s    *schemas
}

// parameters are the path's and the operation's; the latter win.
func (r *reader) parameters(at, verb string, item *openapi3.PathItem, op *openapi3.Operation) []parameter {
	var all []parameter
	seen := map[string]bool{}
	take := func(pointer string, n int) {
		list, _ := r.schemas.at(pointer).([]any)
		for i := range min(n, len(list)) {
			node, _ := list[i].(map[string]any)
			p := parameter{r.schemas.follow(node), &r.schemas}
			if id := p.text("in") + " " + p.text("name"); !seen[id] {
				seen[id] = true
				all = append(all, p)
			}
		}
	}
	take(at+"/"+verb+"/parameters", len(op.Parameters))
	take(at+"/parameters", len(item.Parameters))
	return all
}

func (p parameter) text(member string) string {
	text, _ := p.node[member].(string)
	return text
}

// add makes the parameter an argument.
func (p parameter) add(in *object, made *upstream.Operation) string {
	name, place := p.text("name"), p.text("in")
	required, _ := p.node["required"].(bool)
	switch {
	case place == "header" && slices.Contains([]string{"accept", "content-type", "authorization"}, strings.ToLower(name)):
		return "" // the specification ignores them
	case name == "" || len(name) > 128 || strings.ContainsAny(name, "\r\n\x00"):
		return "one of its parameters has no name"
	case !slices.Contains([]string{"path", "query", "header", "cookie"}, place):
		return fmt.Sprintf("its parameter %.50s is in %.20q", name, place)
	case place == "header" && !headerName.MatchString(name):
		return fmt.Sprintf("its parameter %.50s is not a header", name)
	case made.In[name] != "" && required:
		return fmt.Sprintf("it has two parameters named %.50s", name)
	case made.In[name] != "":
		return ""
	}
	schema := p.node["schema"]
	if content, ok := p.node["content"].(map[string]any); ok && schema == nil {
		for _, media := range content {
			if m, ok := media.(map[string]any); ok {
				schema = m["schema"]
			}
		}
	}
	made.In[name] = place
	in.add(name, schema, p.text("description"), required || place == "path")
	return ""
}

// body makes the request's body arguments of their own if it is an object whose
// members have no other's name, and else one argument.
func body(node map[string]any, in *object, made *upstream.Operation) string {
	content, _ := node["content"].(map[string]any)
	required, _ := node["required"].(bool)
	media, ok := jsonMedia(content)
	if !ok {
		if required && len(content) > 0 {
			return "its body is not JSON"
		}
		return ""
	}
	schema := media["schema"]
	members, isObject := in.s.members(schema)
	for name := range members {
		isObject = isObject && made.In[name] == ""
	}
	if required && isObject && len(members) > 0 {
		made.Body = "*"
		in.merge(schema)
		return ""
	}
	made.Body = "body"
	for n := 2; made.In[made.Body] != ""; n++ {
		made.Body = fmt.Sprintf("body_%d", n)
	}
	description, _ := node["description"].(string)
	in.add(made.Body, schema, description, required)
	return ""
}

// jsonMedia gives the JSON of a content object.
func jsonMedia(content map[string]any) (map[string]any, bool) {
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		base, _, _ := strings.Cut(strings.ToLower(kind), ";")
		if base = strings.TrimSpace(base); base == "application/json" || strings.HasSuffix(base, "+json") || base == "*/*" {
			media, ok := content[kind].(map[string]any)
			return media, ok
		}
	}
	return nil, false
}

// output is the schema of the JSON that a success answers. MCP takes objects only.
func (r *reader) output(pointer string) (json.RawMessage, string) {
	responses, _ := r.schemas.at(pointer).(map[string]any)
	for _, status := range []string{"200", "201", "2XX", "2xx", "default"} {
		response, ok := responses[status].(map[string]any)
		if !ok {
			continue
		}
		content, _ := r.schemas.follow(response)["content"].(map[string]any)
		media, ok := jsonMedia(content)
		if !ok {
			if len(content) > 0 {
				return nil, "*/*"
			}
			continue
		}
		if _, isObject := r.schemas.members(media["schema"]); !isObject || status == "default" {
			return nil, ""
		}
		out := newObject(&r.schemas, forOutput)
		out.merge(media["schema"])
		schema, err := out.schema()
		if err != nil {
			return nil, ""
		}
		return schema, ""
	}
	return nil, ""
}
