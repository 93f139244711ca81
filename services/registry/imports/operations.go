package imports

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"uaol/providers/upstream"
)

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
