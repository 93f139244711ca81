package api

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

var securitySchemes = map[string]*huma.SecurityScheme{
	"bearer": {Type: "http", Scheme: "bearer", Description: "A JWT from /auth/login, or an API key"},
	"apiKey": {Type: "apiKey", In: "header", Name: "X-API-Key"},
	"guest":  {Type: "apiKey", In: "header", Name: GuestHeader, Description: "A guest session; without it a new one is made"},
}

func (op *Operation) security() []map[string][]string {
	switch op.Access {
	case Public:
		return nil
	case Guest:
		return []map[string][]string{{"bearer": {}}, {"apiKey": {}}, {"guest": {}}, {}}
	default:
		return []map[string][]string{{"bearer": {}}, {"apiKey": {}}}
	}
}

// id is unique and stable: it names the operation in generated clients.
func (op *Operation) id() string {
	path := strings.NewReplacer("/", "-", "{", "", "}", "").Replace(strings.Trim(op.Path, "/"))
	return strings.ToLower(op.Method) + "-" + path
}

// tag groups operations in the document by the first part of their path.
func (op *Operation) tag() string {
	first, _, _ := strings.Cut(strings.Trim(op.Path, "/"), "/")
	return first
}

// service is whose an internal operation is: /internal/<service>/….
func (op *Operation) service() string {
	parts := strings.SplitN(strings.Trim(op.Path, "/"), "/", 3)
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}
