package mcpserver

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"uaol/providers/api"
	"uaol/providers/upstream"
	"uaol/services"
)

// Headers of MCP over HTTP.
const (
	sessionHeader = "Mcp-Session-Id"
	versionHeader = "Mcp-Protocol-Version"
	methodHeader  = "Mcp-Method"
	nameHeader    = "Mcp-Name"
)

// The versions of the protocol that are spoken, the newest first.
const stateless = "2026-07-28"

var versions = []string{stateless, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

const newestWithSessions = "2025-11-25"

// request is a client's message on its way to an answer.
type request struct {
	endpoint *Endpoint
	caller   services.Caller
	shelf    shelf
	http     *http.Request
	message
	reply *reply

	modern  bool   // it is of the stateless protocol
	version string // of the protocol
	can     upstream.Capabilities
	level   string // of log messages that the client wants; "" for none
	session session
	state   sessionState
	laid    laid // the tool that the request is for
	nested  bool // it came by call_tool: no header can repeat its arguments
}

// find tells the era of a request by what it says of itself.
func (q *request) find() {
	header := q.http.Header.Get(versionHeader)
	q.modern = q.params.meta.version != "" || header >= stateless && q.method != "initialize" || q.params.meta.capabilities != nil
	q.reply.modern = q.modern
}

// serve answers the request.
func (q *request) serve(ctx context.Context) {
	var fault *upstream.RPCError
	status := 0
	if q.modern {
		fault = q.introduced()
	} else {
		status, fault = q.inSession(ctx)
	}
	if fault != nil {
		if status == 0 {
			status = http.StatusBadRequest
		}
		q.reply.failWith(status, fault)
		return
	}
	switch {
	case q.method == "":
		q.answered(ctx)
	case q.id == nil:
		q.notified(ctx)
	default:
		q.asked(ctx)
	}
}

// introduced checks what a request of the stateless protocol says of itself, in its
// headers and in its body.
func (q *request) introduced() *upstream.RPCError {
	header, is := q.http.Header, q.params.meta
	if q.method == "" {
		return invalidRequest("This protocol has no answers from clients")
	}
	version := header.Get(versionHeader)
	for _, name := range []string{versionHeader, methodHeader, nameHeader} {
		if len(header.Values(name)) > 1 { // others on the way may read another one
			return &upstream.RPCError{Code: mcp.CodeHeaderMismatch, Message: "The header " + name + " comes more than once"}
		}
	}
	switch {
	case q.id == nil: // what notifications say of themselves is not laid down
		q.version = stateless
		return nil
	case !is.there || is.version == "":
		return invalidParams("_meta must have " + metaVersion)
	case is.capabilities == nil || is.capabilities[0] != '{':
		return invalidParams("_meta must have " + metaCapabilities + ", an object")
	case version != is.version:
		return mismatch(versionHeader, version, is.version)
	case is.version != stateless:
		fault := &upstream.RPCError{Code: mcp.CodeUnsupportedProtocolVersion, Message: "Unsupported protocol version"}
		fault.Data = mustJSON(map[string]any{"supported": versions, "requested": is.version})
		return fault
	case header.Get(methodHeader) != q.method:
		return mismatch(methodHeader, header.Get(methodHeader), q.method)
	}
	if subject, named := q.subject(); named {
		said, ok := upstream.PlainText(header.Get(nameHeader))
		if !ok || said != subject || header.Get(nameHeader) == "" {
			return mismatch(nameHeader, header.Get(nameHeader), subject)
		}
	}
	if is.level != "" {
		if _, ok := upstream.LogLevel(is.level); !ok {
			return invalidParams("The log level is unknown: " + is.level)
		}
	}
	q.version, q.can, q.level = is.version, upstream.CapabilitiesOf(is.capabilities), is.level
	return nil
}

// subject is what a header has to name.
func (q *request) subject() (string, bool) {
	switch q.method {
	case "tools/call", "prompts/get":
		return q.params.name, true
	case "resources/read":
		return q.params.uri, true
	case "tasks/get", "tasks/update", "tasks/cancel":
		return q.params.task, true
	}
	return "", false
}

func mismatch(header, is, want string) *upstream.RPCError {
	if is == "" {
		return &upstream.RPCError{Code: mcp.CodeHeaderMismatch, Message: "The header " + header + " is missing"}
	}
	return &upstream.RPCError{Code: mcp.CodeHeaderMismatch, Message: "The header " + header + " does not say what the body says: " + want}
}

// inSession finds what the request's client said when it began. Who has no session is
// served too, as far as that needs none.
func (q *request) inSession(ctx context.Context) (status int, fault *upstream.RPCError) {
	version := q.http.Header.Get(versionHeader)
	if q.method == "initialize" {
		return 0, nil
	}
	if q.version = version; version == "" {
		q.version = "2025-03-26" // whose clients did not say
	} else if !slices.Contains(versions, version) {
		return http.StatusBadRequest, invalidRequest("Unsupported protocol version; supported are " + strings.Join(versions, ", "))
	}
	id := q.http.Header.Get(sessionHeader)
	if id == "" {
		return 0, nil
	}
	var err error
	if q.session, q.state, err = q.endpoint.sessions.of(ctx, q.caller, id); err != nil {
		return api.StatusOf(err), faultOf(err, nil)
	}
	q.can, q.level = q.session.Can, q.state.Level
	if q.level == "" {
		q.level = "info" // older clients hear of log messages unless they say otherwise
	}
	return 0, nil
}

// asked answers a request.
func (q *request) asked(ctx context.Context) {
	serve, status := q.older(), http.StatusOK
	if q.modern {
		serve, status = q.newer(), http.StatusNotFound
	}
	if serve == nil {
		serve = q.both()
	}
	if serve == nil {
		q.reply.failWith(status, &upstream.RPCError{Code: jsonrpc.CodeMethodNotFound, Message: "Method not found: " + shortened(q.method)})
		return
	}
	serve(ctx)
}

// newer, older and both give what answers a request; nil where its era has no such
// method.
func (q *request) newer() func(context.Context) {
	switch q.method {
	case "server/discover":
		return q.discover
	case "subscriptions/listen":
		return q.subscribe
	case "tasks/get":
		return q.ofTask(q.getTask)
	case "tasks/update":
		return q.ofTask(q.updateTask)
	case "tasks/cancel":
		return q.ofTask(q.cancelTask)
	}
	return nil
}

func (q *request) older() func(context.Context) {
	switch q.method {
	case "initialize":
		return q.initialize
	case "ping":
		return func(context.Context) { q.complete("", notCached) }
	case "logging/setLevel":
		return q.setLevel
	case "resources/subscribe":
		return q.subscribeResource
	case "resources/unsubscribe":
		return q.unsubscribeResource
	}
	return nil
}

func (q *request) both() func(context.Context) {
	switch q.method {
	case "tools/list":
		return q.listTools
	case "tools/call":
		return q.callTool
	case "resources/list":
		return q.listResources
	case "resources/templates/list":
		return q.listTemplates
	case "resources/read":
		return q.readResource
	case "prompts/list":
		return q.listPrompts
	case "prompts/get":
		return q.getPrompt
	case "completion/complete":
		return q.completeArgument
	}
	return nil
}

// notified takes what a client only tells.
func (q *request) notified(ctx context.Context) {
	if q.method == "notifications/cancelled" && !q.modern {
		q.cancelled(ctx)
	}
	q.accepted()
}

func (q *request) accepted() { q.reply.accept() }

// complete ends the request with a result that has these members.
func (q *request) complete(members string, cacheFor int) {
	text := make([]byte, 0, len(members)+192)
	text = append(text, '{')
	if q.modern {
		text = append(append(text, `"resultType":"complete","_meta":{"`+metaServer+`":`+serverInfo+`}`...), cacheable(cacheFor)...)
		if members != "" {
			text = append(text, ',')
		}
	}
	q.reply.result(append(append(text, members...), '}'))
}

// fail ends the request with an error of ours.
func (q *request) fail(err error) { q.reply.fail(faultOf(err, nil)) }

// readBody reads a request's body.
func readBody(r *http.Request) ([]byte, error) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if kind = strings.ToLower(strings.TrimSpace(kind)); kind != "" && kind != "application/json" {
		return nil, services.Errorf(services.Unsupported, "Content-Type must be application/json")
	}
	var body bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= maxBody {
		body.Grow(int(n) + bytes.MinRead)
	}
	_, err := body.ReadFrom(r.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) || body.Len() > maxBody {
		return nil, services.Errorf(services.TooLarge, "The body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return nil, services.Errorf(services.Invalid, "The body cannot be read").Because(err)
	}
	return body.Bytes(), nil
}

func shortened(text string) string { return text[:min(len(text), 200)] }
