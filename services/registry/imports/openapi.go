package imports

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

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
	if slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return part == "." || part == ".." }) {
		return made, "its path leads elsewhere"
	}
	if len(item.Servers) > 0 || op.Servers != nil && len(*op.Servers) > 0 {
		return made, "it has an address of its own; import it from a document of that server"
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
