package bridge

import (
	"encoding/json"
	"net/http"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"uaol/providers/upstream"
)

// message is one of a client's. Its members are parts of the line as it came.
type message struct {
	text   []byte
	id     json.RawMessage // nil for a notification
	method string          // "" for an answer
	params params
}

// params are what the bridge has to know of a request's.
type params struct {
	name, uri string
	version   string // of the stateless protocol, which each request names
	modern    bool
	requestID json.RawMessage // of a cancellation
	arguments json.RawMessage
}

// Versions and methods that are treated in a way of their own.
const (
	stateless  = "2026-07-28"
	batches    = "2025-03-26" // in whose sessions several messages may come at once
	initialize = "initialize"
	listen     = "subscriptions/listen"
	listTools  = "tools/list"
	callTool   = "tools/call"
	setLevel   = "logging/setLevel"

	initialized  = "notifications/initialized"
	cancelled    = "notifications/cancelled"
	toolsChanged = "notifications/tools/list_changed"
	acknowledged = "notifications/subscriptions/acknowledged"

	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// read reads a line; false for one that is no JSON object.
func read(line []byte) (m *message, ok bool) {
	m = &message{text: line}
	if !json.Valid(line) || !utf8.Valid(line) {
		return m, false
	}
	ok = upstream.Members(line, func(key, value []byte) {
		switch string(key) {
		case "id":
			m.id = value
		case "method":
			m.method = text(value)
		case "params":
			m.params.read(value)
		}
	})
	return m, ok
}

func (p *params) read(value []byte) {
	upstream.Members(value, func(key, value []byte) {
		switch string(key) {
		case "name":
			p.name = text(value)
		case "uri":
			p.uri = text(value)
		case "requestId":
			p.requestID = value
		case "arguments":
			p.arguments = value
		case "_meta":
			upstream.Members(value, func(key, value []byte) {
				switch string(key) {
				case metaVersion:
					p.version, p.modern = text(value), true
				case metaCapabilities:
					p.modern = true
				}
			})
		}
	})
}

// text is a JSON text's; "" for what is none.
func text(value []byte) (s string) {
	_ = json.Unmarshal(value, &s) // the server says what is wrong with it
	return s
}

func (m *message) isRequest() bool { return m.method != "" && m.id != nil }

// repeatable reports that a request may be sent again although the first may have been
// answered: it tells what there is and reaches no tool.
func (m *message) repeatable() bool {
	switch m.method {
	case initialize, "ping", "server/discover", listTools, "prompts/list", "resources/list", "resources/templates/list", setLevel, listen:
		return true
	case "":
		return true // an answer, which counts once
	}
	return m.id == nil
}

// mirror says in headers what a request of the stateless protocol says in its body.
func (m *message) mirror(to http.Header) {
	to.Set(versionHeader, m.params.version)
	to.Set(methodHeader, m.method)
	switch m.method {
	case callTool, "prompts/get":
		to.Set(nameHeader, upstream.HeaderText(m.params.name))
	case "resources/read":
		to.Set(nameHeader, upstream.HeaderText(m.params.uri))
	}
}

// Headers of MCP over HTTP.
const (
	sessionHeader = "Mcp-Session-Id"
	versionHeader = "Mcp-Protocol-Version"
	methodHeader  = "Mcp-Method"
	nameHeader    = "Mcp-Name"
)

// answer is a server's answer, as far as the bridge looks at it.
type answer struct {
	id     json.RawMessage
	method string // of what is no answer, but asks or tells something
	params json.RawMessage
	result json.RawMessage
	fault  json.RawMessage
}

func readAnswer(body []byte) (a answer, ok bool) {
	if !json.Valid(body) {
		return a, false
	}
	rpc := false
	ok = upstream.Members(body, func(key, value []byte) {
		switch string(key) {
		case "jsonrpc":
			rpc = true
		case "id":
			a.id = value
		case "method":
			a.method = text(value)
		case "params":
			a.params = value
		case "result":
			a.result = value
		case "error":
			a.fault = value
		}
	})
	return a, ok && rpc && (a.method != "" || a.result != nil || a.fault != nil)
}

// code is the error's; 0 for a result.
func (a answer) code() int64 {
	var fault upstream.RPCError
	if a.fault == nil || json.Unmarshal(a.fault, &fault) != nil {
		return 0
	}
	return fault.Code
}

// failure is an answer that the bridge gives itself.
func failure(id json.RawMessage, fault upstream.RPCError) []byte {
	text, _ := json.Marshal(fault) // its parts can be written
	return failureOf(id, text)
}

func failureOf(id, fault json.RawMessage) []byte {
	if id == nil {
		id = json.RawMessage("null")
	}
	line := make([]byte, 0, len(id)+len(fault)+40)
	line = append(append(line, `{"jsonrpc":"2.0","id":`...), id...)
	return append(append(append(line, `,"error":`...), fault...), '}')
}

var notJSON = upstream.RPCError{Code: jsonrpc.CodeParseError, Message: "The line is not a JSON-RPC message"}
