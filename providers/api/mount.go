package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"uaol/services"
)

// Guards are what stands before an operation's handler.
type Guards struct {
	Authenticator services.Authenticator // nil: only public operations can be used
	Service       ServiceGuard           // nil: internal operations refuse everybody
	Limit         func(c *gin.Context, caller services.Caller) error
	Attempt       func(c *gin.Context, secret string, try func() error) error // counts credentials that are wrong
	LimitTo       func(c *gin.Context, caller services.Caller, what string, perMinute int) error
	Auditor       services.Auditor // nil: operations that are audited refuse everybody
	Public        string           // the URL under which clients reach us; "" for what each calls us
}

// ServiceGuard reads what other services of ours say.
type ServiceGuard interface {
	// VerifyPeer refuses a connection that can't be a service's of ours.
	VerifyPeer(r *http.Request) error
	// VerifyService tells for whom a service of ours acts.
	VerifyService(token, audience string) (services.Caller, error)
	// VerifyOrigin tells where a request comes from that the gateway passed on.
	VerifyOrigin(token string) (services.Origin, error)
}

// Mount adds the operations to the router, under all paths they answer on.
func Mount(router gin.IRouter, guards Guards, bare bool, operations ...Operation) {
	names := &naming{}
	api := newAPI(&adapter{router: router, guards: guards}, names)
	for i := range operations {
		for _, path := range operations[i].Paths(bare) {
			op := operations[i]
			op.Path = path
			names.prefix = op.tag()
			op.mount(router, guards, api)
		}
	}
}

func (op *Operation) mount(router gin.IRouter, guards Guards, api huma.API) {
	if op.raw != nil {
		raw := op.raw
		router.Handle(op.Method, GinPath(op.Path), guards.admit(op), func(c *gin.Context) {
			raw(c, services.CallerFrom(c.Request.Context()))
		})
		return
	}
	op.register(op, api)
}

// Document is the OpenAPI description of the operations.
func Document(title, version string, operations []Operation) *huma.OpenAPI {
	names := &naming{}
	api := newAPI(nowhere{}, names)
	api.OpenAPI().Info = &huma.Info{Title: title, Version: version}
	for i := range operations {
		for _, path := range operations[i].Paths(false) {
			op := operations[i]
			op.Path = path
			names.prefix = op.tag()
			if op.register == nil {
				described := op.huma()
				api.OpenAPI().AddOperation(&described)
			} else {
				op.register(&op, api)
			}
		}
	}
	describeErrors(api.OpenAPI())
	return api.OpenAPI()
}

// describeErrors puts the contract's form of errors in the place of the library's own.
func describeErrors(document *huma.OpenAPI) {
	schemas := document.Components.Schemas
	said := &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemas.Schema(reflect.TypeFor[ErrorBody](), true, "Error")},
	}}
	for _, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Head, item.Patch} {
			if op == nil {
				continue
			}
			if op.Responses == nil {
				op.Responses = map[string]*huma.Response{}
			}
			op.Responses["default"] = said
		}
	}
	delete(schemas.Map(), "ErrorModel")
	delete(schemas.Map(), "ErrorDetail")
}

func newAPI(a huma.Adapter, names *naming) huma.API {
	cfg := huma.DefaultConfig("UAOL", "")
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", names.of)
	cfg.Components.SecuritySchemes = securitySchemes
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.CreateHooks = nil // they would add $schema members and Link headers
	cfg.AllowAdditionalPropertiesByDefault = true
	cfg.Transformers = []huma.Transformer{contractErrors}
	return huma.NewAPI(cfg, a)
}

// naming keeps equally named types of different packages apart: types that have
// a name go by their package, bodies that have none by their operation's tag.
type naming struct{ prefix string }

func (n *naming) of(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() == "" {
		return camel(n.prefix) + huma.DefaultSchemaNamer(t, hint)
	}
	name := strings.NewReplacer("[]", "List[", "[*", "[OrNull[").Replace(t.PkgPath() + "." + t.Name())
	var whole strings.Builder
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '[' || r == ']' || r == ',' }) {
		pkg, base, qualified := cutLast(part, ".")
		if !qualified {
			base = part
		}
		if service, ok := strings.CutPrefix(pkg, "uaol/services/"); ok {
			whole.WriteString(camel(service))
		}
		whole.WriteString(camel(base))
	}
	return whole.String()
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

// camel joins the parts of a path or a word in one name.
func camel(text string) string {
	var whole strings.Builder
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '/' || r == '-' }) {
		whole.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return whole.String()
}

// nowhere is an adapter for operations that are described but not served here.
type nowhere struct{}

func (nowhere) Handle(*huma.Operation, func(huma.Context))   {}
func (nowhere) ServeHTTP(http.ResponseWriter, *http.Request) {}

// adapter puts huma's handlers on gin, behind the guards.
type adapter struct {
	router gin.IRouter
	guards Guards
}

func (a *adapter) ServeHTTP(http.ResponseWriter, *http.Request) {}

func (a *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	ours := operationOf(op)
	a.router.Handle(op.Method, GinPath(op.Path), a.guards.admit(ours), func(c *gin.Context) {
		if ours.atHand != nil && ours.atHand(c, services.CallerFrom(c.Request.Context())) {
			return
		}
		handler(&requestContext{humaContext: humagin.NewContext(op, c), gin: c})
	})
}

// GinPath is a path with {name} parameters in the router's form.
func GinPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// GuestHeader names a guest's session, in requests and in answers.
const GuestHeader = "X-Guest-Id"

// OrganizationHeader says for which of the caller's organisations a request is.
const OrganizationHeader = "X-Organization"

// OriginHeader carries the gateway's word about where a request comes from.
const OriginHeader = "X-Uaol-Origin"

// RequestHeader carries the id under which a request is logged everywhere.
const RequestHeader = "X-Request-Id"

// KeyHeader makes the same request again the same request, where an operation says so.
const KeyHeader = "Idempotency-Key"

// StoppingHeader says, in answers between services of ours, that the process which
// gives them is about to stop: others are to be asked from now on.
const StoppingHeader = "X-Uaol-Stopping"

// Credentials reads what a request says about its caller.
func Credentials(r *http.Request) services.Credentials {
	var c services.Credentials
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		c.Bearer = strings.TrimSpace(token)
		c.Foreign = !strings.EqualFold(scheme, "Bearer") || c.Bearer == ""
	}
	c.APIKey = r.Header.Get("X-API-Key")
	c.GuestID = r.Header.Get(GuestHeader)
	c.Organization = r.Header.Get(OrganizationHeader)
	return c
}

// requestContext is humagin's, in the contract's terms: an empty body is {},
// and errors are plain JSON with the contract's statuses.
type requestContext struct {
	humaContext
	gin *gin.Context
}

type humaContext = huma.Context // under its own name it would hide its method Context

func (r *requestContext) Unwrap() huma.Context { return r.humaContext }

func (r *requestContext) SetStatus(status int) { r.humaContext.SetStatus(contractStatus(status)) }

func (r *requestContext) SetHeader(name, value string) {
	if value == "application/problem+json" || value == "application/json" {
		value = "application/json; charset=utf-8"
	}
	r.humaContext.SetHeader(name, value)
}

func (r *requestContext) BodyReader() io.Reader {
	if r.gin.Request.ContentLength == 0 {
		return strings.NewReader("{}")
	}
	if r.gin.Request.ContentLength < 0 { // chunked: empty only once it has been read
		return &emptyObject{body: r.gin.Request.Body}
	}
	return r.gin.Request.Body
}

// emptyObject reads as {} when its body turns out to be empty.
type emptyObject struct {
	body io.Reader
	read bool
}

func (e *emptyObject) Read(p []byte) (int, error) {
	n, err := e.body.Read(p)
	if n == 0 && errors.Is(err, io.EOF) && !e.read {
		e.read, e.body = true, bytes.NewReader(nil)
		return copy(p, "{}"), nil
	}
	e.read = e.read || n > 0
	return n, err
}

// noteFailure tells the access log what really went wrong.
func noteFailure(ctx huma.Context, err error) {
	if r, ok := ctx.(*requestContext); ok && err != nil {
		_ = r.gin.Error(err)
	}
}
