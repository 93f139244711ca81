// Package api turns typed operations into HTTP routes. A route is declared
// once, as an Operation; authentication, validation, the contract's envelope
// and the OpenAPI document all come from that one declaration.
package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"uaol/services"
)

// Access says who may use an operation.
type Access int

// The levels of access, each including the ones after it where that makes sense.
const (
	Public  Access = iota // anyone; bad credentials are refused all the same
	Guest                 // anyone, but as an account: without credentials a guest session is made
	User                  // accounts with credentials of their own
	Admin                 // platform admins
	Service               // other services of ours, with a service token
)

// MaxJSON is the most a JSON body may hold, in bytes, unless the operation
// says otherwise.
const MaxJSON = 2 << 20

// Operation is one route as data. Services export theirs without needing
// their handler, so that every process knows the whole API.
type Operation struct {
	Method  string
	Path    string // with {name} for parameters
	Summary string
	Access  Access
	Status  int               // of success
	Says    map[string]string // the contract's exact message for a fault, by its path
	MaxBody int64             // bytes
	Needs   services.OrgRole  // in the organisation the request is for; "" when it is about the account alone
	Scope   string            // that an API key with scopes must have
	Audit   string            // what the act is called in the audit log; "" for none
	Guests  int               // requests that a guest may make in a minute; 0 for no limit of its own
	Keyed   bool              // with an Idempotency-Key the same request again is the same request

	also    []string // further paths
	guests  bool     // public, and a guest's session says who it is all the same
	account bool     // about the account itself: a key of a shared organisation does not reach it
	signIn  string   // the contract's words for somebody who has not signed in

	resource  string // the path of the protected resource that it is part of; "" for none
	anonymous bool   // what its requests say of a caller is the handler's to read

	bare string // its path on its own service's port, where no gateway adds a prefix

	register func(op *Operation, api huma.API)
	raw      func(c *gin.Context, caller services.Caller)
	atHand   func(c *gin.Context, caller services.Caller) bool
}

// Option changes a new operation.
type Option func(*Operation)

// Allow sets who may use it; the default is User.
func Allow(access Access) Option { return func(op *Operation) { op.Access = access } }

// Status sets the status of success; the default is 200.
func Status(status int) Option { return func(op *Operation) { op.Status = status } }

// Says gives the contract's exact message for the fault at a path, such as
// "body.email".
func Says(path, message string) Option {
	return func(op *Operation) { op.Says[path] = message }
}

// Needs sets the role that the caller must have in the organisation the request
// is for; the default is viewer for GET and member for all else, "" is for what
// is about no organisation or about one that the path names.
func Needs(role services.OrgRole) Option { return func(op *Operation) { op.Needs = role } }

// Reads says that it changes nothing, whatever its method: what a GET may, it may.
func Reads() Option {
	return func(op *Operation) { op.Needs, op.Scope = services.OrgViewer, op.tag()+":read" }
}

// SignIn sets the contract's words for somebody without an account.
func SignIn(message string) Option { return func(op *Operation) { op.signIn = message } }

// Account says that it is about the caller's account, whatever the organisation.
// A key of a shared organisation does not reach that far.
func Account() Option {
	return func(op *Operation) { op.Needs, op.Scope, op.account = "", "account:"+op.verb(), true }
}

// AnyKey lets keys of shared organisations use an operation about the account:
// it says no more than who is calling.
func AnyKey() Option { return func(op *Operation) { op.account = false } }

// Resource says that it is part of the protected resource (RFC 9728) at a path that its
// own is or lies below: tokens that were given for that URL count, and those that were
// given for just the URL that is asked for, beside all that count elsewhere. Whatever
// its method, it needs one scope, that of writing: of a protocol that posts its
// questions too, nobody can tell more. Refusals say where to get a token.
func Resource(path string) Option {
	return func(op *Operation) { op.resource, op.Scope = path, op.tag()+":write" }
}

// Anonymous says of a public operation that its requests name no caller of ours: an
// Authorization header is for the handler, which knows other credentials.
func Anonymous() Option {
	return func(op *Operation) { op.Access, op.Needs, op.Scope, op.anonymous = Public, "", "", true }
}

// Audited records every use of it in the audit log, under this name.
func Audited(action string) Option { return func(op *Operation) { op.Audit = action } }

// GuestsPerMinute limits guests more than others.
func GuestsPerMinute(n int) Option { return func(op *Operation) { op.Guests = n } }

// MaxBody sets the most bytes its body may hold.
func MaxBody(bytes int64) Option { return func(op *Operation) { op.MaxBody = bytes } }

// KnowsGuests lets a public operation hear who a guest is that names a session; nobody
// becomes one.
func KnowsGuests() Option { return func(op *Operation) { op.guests = true } }

// Keyed says of a raw operation that an Idempotency-Key makes the same request again
// the same request; typed ones are known by their input.
func Keyed() Option { return func(op *Operation) { op.Keyed = true } }

// Also lets it answer under a further path.
func Also(path string) Option { return func(op *Operation) { op.also = append(op.also, path) } }

// Bare lets it answer under a path without the gateway's prefix too, in a
// process that does not run the gateway.
func Bare(path string) Option { return func(op *Operation) { op.bare = path } }

// Paths lists where it answers; bare says that the process has no gateway.
func (op *Operation) Paths(bare bool) []string {
	paths := append([]string{op.Path}, op.also...)
	if bare && op.bare != "" {
		paths = append(paths, op.bare)
	}
	return paths
}

// Handler is a typed operation's function. I is a huma input struct: fields
// tagged path, query or header, and a Body. O is the body on the wire: one of
// Data, Page and Message, or a type of its own.
type Handler[I, O any] func(ctx context.Context, caller services.Caller, in *I) (O, error)

// Get declares a GET operation.
func Get[I, O any](path, summary string, h Handler[I, O], options ...Option) Operation {
	return typed(http.MethodGet, path, summary, h, options)
}

// Post declares a POST operation.
func Post[I, O any](path, summary string, h Handler[I, O], options ...Option) Operation {
	return typed(http.MethodPost, path, summary, h, options)
}

// Put declares a PUT operation.
func Put[I, O any](path, summary string, h Handler[I, O], options ...Option) Operation {
	return typed(http.MethodPut, path, summary, h, options)
}

// Delete declares a DELETE operation.
func Delete[I, O any](path, summary string, h Handler[I, O], options ...Option) Operation {
	return typed(http.MethodDelete, path, summary, h, options)
}

// Raw declares an operation that reads and writes HTTP itself: uploads,
// downloads, streams.
func Raw(method, path, summary string, h func(c *gin.Context, caller services.Caller), options ...Option) Operation {
	op := newOperation(method, path, summary, options)
	op.raw = h
	return op
}

// Internal declares an operation for other services: f is a service's own
// method, called with the body as it came. Its path is below /internal/<service>/.
func Internal[I, O any](path string, f func(context.Context, I) (O, error)) Operation {
	type input struct{ Body I }
	return Post(path, "Between services", func(ctx context.Context, _ services.Caller, in *input) (O, error) {
		return f(ctx, in.Body)
	}, Allow(Service), MaxBody(64<<20))
}

// Served is the operation with a handler that reads and writes HTTP itself, for
// what must be fast; its declaration describes it.
func (op Operation) Served(h func(c *gin.Context, caller services.Caller)) Operation {
	op.raw = h
	return op
}

// AtHand lets a handler answer first where it has the answer ready; it reports whether
// it did, and writes nothing otherwise.
func (op Operation) AtHand(h func(c *gin.Context, caller services.Caller) bool) Operation {
	op.atHand = h
	return op
}

// By is the operation served by another handler: the gateway passes requests
// on for services that run elsewhere.
func (op Operation) By(h func(c *gin.Context, caller services.Caller)) Operation {
	op.raw, op.register, op.atHand = h, nil, nil
	op.Audit = "" // its own service records it
	return op
}

func newOperation(method, path, summary string, options []Option) Operation {
	op := Operation{
		Method: method, Path: path, Summary: summary,
		Access: User, Status: http.StatusOK, MaxBody: MaxJSON,
		Says: map[string]string{}, Needs: services.OrgMember,
	}
	if op.verb() == "read" {
		op.Needs = services.OrgViewer
	}
	op.Scope = op.tag() + ":" + op.verb()
	for _, option := range options {
		option(&op)
	}
	return op
}

// verb is the second half of its scope.
func (op *Operation) verb() string {
	if op.Method == http.MethodGet || op.Method == http.MethodHead {
		return "read"
	}
	return "write"
}

func typed[I, O any](method, path, summary string, h Handler[I, O], options []Option) Operation {
	op := newOperation(method, path, summary, options)
	op.Keyed = takesKey(reflect.TypeFor[I]())
	op.register = func(op *Operation, api huma.API) {
		huma.Register(api, op.huma(), func(ctx context.Context, in *I) (*struct{ Body O }, error) {
			if once, ok := any(in).(interface{ RepeatKey() string }); ok {
				ctx = services.WithRepeatKey(ctx, once.RepeatKey())
			}
			body, err := h(ctx, services.CallerFrom(ctx), in)
			if err != nil {
				return nil, toBody(err)
			}
			return &struct{ Body O }{body}, nil
		})
	}
	return op
}

// Once is embedded in inputs of operations that make something whose id comes from
// services.NewID: the same request sent again makes nothing more.
type Once struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"requests with the same one make one thing"`
}

// RepeatKey is the key that the request has.
func (o Once) RepeatKey() string { return o.Key }

// takesKey reports whether an input reads the header Idempotency-Key.
func takesKey(input reflect.Type) bool {
	if input.Kind() != reflect.Struct {
		return false
	}
	for field := range input.Fields() {
		if field.Tag.Get("header") == KeyHeader || field.Anonymous && takesKey(field.Type) {
			return true
		}
	}
	return false
}

// huma gives the operation in the library's form; ours travels along as
// metadata for the adapter and the error writer.
func (op *Operation) huma() huma.Operation {
	return huma.Operation{
		OperationID:     op.id(),
		Method:          op.Method,
		Path:            op.Path,
		Summary:         op.Summary,
		Tags:            []string{op.tag()},
		DefaultStatus:   op.Status,
		MaxBodyBytes:    op.MaxBody + 1, // the library refuses a body of just its limit
		BodyReadTimeout: -1,             // the server sees to slow bodies, of all operations
		Hidden:          op.Access == Service,
		Security:        op.security(),
		Metadata:        map[string]any{metaOperation: op},
	}
}

const metaOperation = "operation"

func operationOf(op *huma.Operation) *Operation {
	ours, _ := op.Metadata[metaOperation].(*Operation)
	return ours
}
