package imports

import (
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"uaol/services/registry/credentials"
)

// secure takes over how callers prove who they are: the first of the document's
// alternatives that can be carried. Its own secrets are people's to give. What
// can't be carried is said, and the tool is made without: its owner may know how.
func (r *reader) secure(e *Entry, address string) {
	alternatives := r.doc.Security
	if len(alternatives) == 0 {
		alternatives = r.anyOperations()
	}
	reason := ""
	for _, schemes := range alternatives {
		way := Entry{}
		why := ""
		for _, name := range slices.Sorted(maps.Keys(schemes)) {
			scheme, known := r.scheme(name)
			if !known {
				why = "its security scheme " + line(name, 50) + " is not described"
			} else if why == "" {
				why = way.carry(name, scheme, schemes[name], address)
			}
		}
		if why != "" {
			reason = why
			continue
		}
		e.Inject, e.OAuth = way.Inject, way.OAuth
		for name := range e.Inject.Arguments {
			for i := range e.Operations {
				e.Operations[i].In[name] = "query"
			}
		}
		return
	}
	if reason != "" {
		r.skipped = append(r.skipped, Skipped{Name: "security", Reason: reason})
	}
}

// anyOperations are the alternatives of the first operation that has some.
func (r *reader) anyOperations() openapi3.SecurityRequirements {
	paths := r.doc.Paths.Map()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for _, verb := range verbs {
			if paths[path] == nil {
				continue
			}
			if op := paths[path].GetOperation(verb); op != nil && op.Security != nil && len(*op.Security) > 0 {
				return *op.Security
			}
		}
	}
	return nil
}

func (r *reader) scheme(name string) (*openapi3.SecurityScheme, bool) {
	if r.doc.Components == nil {
		return nil, false
	}
	ref := r.doc.Components.SecuritySchemes[name]
	if ref == nil || ref.Value == nil {
		return nil, false
	}
	return ref.Value, true
}

// carry puts a scheme's credentials where they go.
func (e *Entry) carry(name string, s *openapi3.SecurityScheme, scopes []string, address string) (why string) {
	secret := placeholder(secretName(name))
	switch {
	case s.Type == "apiKey" && s.In == "header" && headerName.MatchString(s.Name):
		put(&e.Inject.Headers, s.Name, secret)
	case s.Type == "apiKey" && s.In == "query" && s.Name != "":
		put(&e.Inject.Arguments, s.Name, secret)
	case s.Type == "apiKey" && s.In == "cookie" && headerName.MatchString(s.Name):
		put(&e.Inject.Headers, "Cookie", s.Name+"="+secret)
	case s.Type == "http" && strings.EqualFold(s.Scheme, "bearer"):
		put(&e.Inject.Headers, "Authorization", "Bearer "+secret)
	case s.Type == "http" && strings.EqualFold(s.Scheme, "basic"):
		put(&e.Inject.Headers, "Authorization", "Basic "+secret) // base64 of user:password
	case s.Type == "oauth2" && s.Flows != nil:
		return e.authorize(s.Flows, scopes, address)
	default:
		return "its security scheme " + line(name, 50) + " is of a kind that calls can't carry"
	}
	return ""
}

func (e *Entry) authorize(flows *openapi3.OAuthFlows, scopes []string, address string) string {
	o := &credentials.OAuth{Scopes: scopes}
	var flow *openapi3.OAuthFlow
	switch {
	case flows.ClientCredentials != nil:
		o.Grant, flow = "client_credentials", flows.ClientCredentials
	case flows.AuthorizationCode != nil:
		o.Grant, flow = "authorization_code", flows.AuthorizationCode
		if o.AuthorizeURL = flow.AuthorizationURL; o.AuthorizeURL != "" {
			var err error
			if o.AuthorizeURL, err = resolve(address, flow.AuthorizationURL); err != nil {
				return "its authorization address is not a URL"
			}
		}
	default:
		return "its OAuth flows need a person at a browser of their own"
	}
	var err error
	if o.TokenURL, err = resolve(address, flow.TokenURL); err != nil || !isHTTP(o.TokenURL) {
		return "its token address is not a URL"
	}
	e.OAuth = o
	return ""
}
