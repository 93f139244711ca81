package mcpserver

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"uaol/providers/upstream"
)

// message is a JSON-RPC message of a client. Its members are parts of the body as it
// came.
type message struct {
	id     json.RawMessage // nil for a notification
	method string          // "" for an answer
	params params
	result json.RawMessage // of an answer to what we asked
	fault  json.RawMessage
}

// params are a request's, as far as the endpoint reads them.
type params struct {
	name      string // of a method or a prompt
	uri       string // of a resource
	cursor    *string
	arguments json.RawMessage
	input     json.RawMessage // answers to what was asked in an earlier round
	state     string          // that came with the question
	task      string
	meta      meta
	plain     json.RawMessage // all of them but _meta, inputResponses and requestState
	all       json.RawMessage
}

// meta is what a request says of itself.
type meta struct {
	there        bool
	version      string
	capabilities json.RawMessage
	level        string
	progress     json.RawMessage // the token, a text or a number
	maxCredits   *int64
	key          string // of the request: the same one is the same call
}

// Our members of _meta.
const (
	metaCredits    = "uaol/credits"        // of a method: what a call costs; of a result: what it has cost
	metaCall       = "uaol/call"           // of a result: the call's id in GET /proxy/calls/{callId}
	metaJob        = "uaol/job"            // of a workflow's result: the job's id in GET /jobs/{jobId}
	metaMaxCredits = "uaol/maxCredits"     // of a call: the most that it may cost
	metaKey        = "uaol/idempotencyKey" // of a call: the same one is the same call
)

// MCP's own.
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaLevel        = "io.modelcontextprotocol/logLevel"
	metaServer       = "io.modelcontextprotocol/serverInfo"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
	metaProgress     = "progressToken"
)

// readMessage reads a body that holds one message.
func readMessage(body []byte) (m message, fault *upstream.RPCError) {
	if !json.Valid(body) || !utf8.Valid(body) {
		return m, &upstream.RPCError{Code: jsonrpc.CodeParseError, Message: "The body is not JSON"}
	}
	good, unread := true, ""
	object := upstream.Members(body, func(key, value []byte) {
		switch string(key) {
		case "jsonrpc":
			good = good && string(value) == `"2.0"`
		case "id":
			m.id = value
		case "method":
			good = good && json.Unmarshal(value, &m.method) == nil && m.method != ""
		case "params":
			unread = m.params.read(value)
		case "result":
			m.result = value
		case "error":
			m.fault = value
		}
	})
	switch {
	case !object:
		fault = invalidRequest("The body must be one JSON-RPC message")
	case !good:
		fault = invalidRequest("The message is not JSON-RPC 2.0")
	case m.method == "" && (m.id == nil || m.result == nil && m.fault == nil):
		fault = invalidRequest("The message is neither a request nor an answer")
	case m.id != nil && !isID(m.id):
		fault = invalidRequest("The id must be a text or a whole number")
		m.id = nil
	case unread != "":
		fault = invalidParams(unread + " is not what it has to be")
	}
	return m, fault
}

// isID reports whether a value may be a request's id: JSON-RPC's null is none in MCP.
func isID(id json.RawMessage) bool {
	if id[0] == '"' {
		return true
	}
	return (id[0] == '-' || id[0] >= '0' && id[0] <= '9') && !strings.ContainsAny(string(id), ".eE")
}

// read reads a request's parameters; a fault is the path of what can't be read.
func (p *params) read(value json.RawMessage) (fault string) {
	p.all, p.plain = value, value
	strange := false
	as := func(key string, value []byte, to any) {
		if json.Unmarshal(value, to) != nil {
			fault = "params." + key
		}
	}
	object := upstream.Members(value, func(key, value []byte) {
		switch name := string(key); name {
		case "name":
			as(name, value, &p.name)
		case "uri":
			as(name, value, &p.uri)
		case "cursor":
			as(name, value, &p.cursor)
		case "requestState":
			strange = true
			as(name, value, &p.state)
		case "inputResponses":
			p.input, strange = value, true
		case "arguments":
			p.arguments = value
		case "taskId":
			as(name, value, &p.task)
		case "_meta":
			strange = true
			if at := p.meta.read(value); at != "" {
				fault = "params." + at
			}
		}
	})
	if !object {
		return "params"
	}
	if strange {
		p.plain = without(value, "_meta", "inputResponses", "requestState")
	}
	return fault
}

func (m *meta) read(value json.RawMessage) (fault string) {
	as := func(key string, value []byte, to any) {
		if json.Unmarshal(value, to) != nil {
			fault = "_meta[" + strconv.Quote(key) + "]"
		}
	}
	m.there = upstream.Members(value, func(key, value []byte) {
		switch name := string(key); name {
		case metaVersion:
			as(name, value, &m.version)
		case metaCapabilities:
			m.capabilities = value
		case metaLevel:
			as(name, value, &m.level)
		case metaProgress:
			if m.progress = value; !isID(value) {
				fault = "_meta." + name
			}
		case metaMaxCredits:
			as(name, value, &m.maxCredits)
		case metaKey:
			as(name, value, &m.key)
		}
	})
	if !m.there {
		return "_meta"
	}
	return fault
}

// without is an object without some of its members.
func without(object json.RawMessage, names ...string) json.RawMessage {
	rest := make([]byte, 0, len(object))
	rest = append(rest, '{')
	upstream.Members(object, func(key, value []byte) {
		for _, name := range names {
			if string(key) == name {
				return
			}
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		rest = append(append(append(append(rest, '"'), key...), '"', ':'), value...)
	})
	return append(rest, '}')
}

func invalidRequest(text string) *upstream.RPCError {
	return &upstream.RPCError{Code: jsonrpc.CodeInvalidRequest, Message: text}
}

func invalidParams(text string) *upstream.RPCError {
	return &upstream.RPCError{Code: jsonrpc.CodeInvalidParams, Message: text}
}
