package upstream

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"uaol/services"
)

// restRequest is what a REST tool is sent for a method.
func restRequest(base *url.URL, operations []Operation, r *request) (outgoing, error) {
	if len(operations) == 0 {
		if r.tool == "." || r.tool == ".." {
			return outgoing{}, services.Errorf(services.Invalid, "method must not be a path")
		}
		return outgoing{
			verb: http.MethodPost, address: base.JoinPath(url.PathEscape(r.tool)).String(), kind: jsonType, key: r.key,
			body: slices.Clone(r.arguments), // sending may go on when the call has returned
		}, nil
	}
	i := slices.IndexFunc(operations, func(o Operation) bool { return o.Name == r.tool })
	if i < 0 {
		return outgoing{}, services.Errorf(services.NotFound, "The tool has no method %.100s", r.tool)
	}
	return operations[i].request(base, r)
}

// request puts a call's arguments where the document wants them. Parameters are
// written in OpenAPI's default styles: simple in paths and headers, form and
// exploded in queries and cookies.
func (o Operation) request(base *url.URL, r *request) (outgoing, error) {
	var arguments map[string]json.RawMessage
	if err := json.Unmarshal(r.arguments, &arguments); err != nil {
		return outgoing{}, services.Errorf(services.Invalid, "params must be a JSON object")
	}
	path, query, header := o.Path, base.Query(), http.Header{}
	var cookies []string
	for _, name := range sorted(o.In) {
		value, given := arguments[name]
		delete(arguments, name)
		if !given || isNull(value) {
			if o.In[name] == "path" {
				return outgoing{}, services.Faults(services.Fault{Path: "body.params." + name, Message: "is required"})
			}
			continue
		}
		texts := written(value)
		switch o.In[name] {
		case "path":
			text := strings.Join(texts, ",")
			if text == "" || text == "." || text == ".." {
				return outgoing{}, services.Faults(services.Fault{Path: "body.params." + name, Message: "can't stand in the address's path"})
			}
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(text))
		case "query":
			query[name] = texts
		case "header":
			text := strings.Join(texts, ",")
			if strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
				return outgoing{}, services.Faults(services.Fault{Path: "body.params." + name, Message: "can't stand in a header"})
			}
			header.Set(name, text)
		case "cookie":
			for _, text := range texts {
				cookies = append(cookies, name+"="+url.QueryEscape(text))
			}
		}
	}
	if len(cookies) > 0 {
		header.Set("Cookie", strings.Join(cookies, "; "))
	}
	address := *base
	address.RawQuery = query.Encode()
	escaped := strings.TrimRight(base.EscapedPath(), "/") + "/" + strings.TrimLeft(path, "/")
	plain, err := url.PathUnescape(escaped)
	if err != nil || strings.Contains(escaped, "{") {
		return outgoing{}, services.Errorf(services.Invalid, "the method's path %.100q can't be filled in, import the tool again", o.Path)
	}
	address.Path, address.RawPath = plain, escaped
	out := outgoing{verb: o.Verb, address: address.String(), accept: o.Accept, key: r.key, header: header}
	switch {
	case o.Body == "*":
		if out.body, err = encode(arguments); err != nil {
			return outgoing{}, err
		}
		out.kind = jsonType
	case o.Body != "":
		if body, given := arguments[o.Body]; given {
			out.body, out.kind = body, jsonType
		}
	}
	return out, nil
}

func sorted(in map[string]string) []string {
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// written is a value as text, or several for a list.
func written(value json.RawMessage) []string {
	var list []json.RawMessage
	if json.Unmarshal(value, &list) == nil {
		texts := make([]string, 0, len(list))
		for _, each := range list {
			texts = append(texts, asParameter(each))
		}
		return texts
	}
	return []string{asParameter(value)}
}

func asParameter(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}
