package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"uaol/services"
)

// credentials finds user:password@ in URLs and keeps the scheme.
var credentials = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@]+@`)

// Answer is what a tool answered to a call.
type Answer struct {
	Result     json.RawMessage // MCP's result object as the tool wrote it; until Close
	Structured json.RawMessage // its structuredContent; nil where there is none
	Failed     bool            // it says isError
	Asks       bool            // it wants something first, and the same request again with that
	Received   int64           // bytes of the whole answer

	buffer *bytes.Buffer
}

// Close gives the answer's memory back.
func (a *Answer) Close() {
	if a.buffer != nil {
		freeBuffer(a.buffer)
		a.buffer, a.Result, a.Structured = nil, nil, nil
	}
}

// judged reads what the caller of a method wants to know of its result.
func judged(result json.RawMessage, mcp, askable bool) (*Answer, error) {
	a := &Answer{Result: result}
	var fault error
	object := Members(result, func(key, value []byte) {
		switch string(plainKey(key)) {
		case "isError":
			if a.Failed = string(value) == "true"; !a.Failed && string(value) != "false" && string(value) != "null" {
				fault = garbage("its isError is neither true nor false")
			}
		case "structuredContent":
			if a.Structured = value; isNull(value) {
				a.Structured = nil
			}
		case "resultType":
			switch {
			case !mcp || string(value) == `"complete"` || isNull(value):
			case string(value) != `"input_required"`:
				fault = garbage("its resultType is unknown")
			case askable:
				a.Asks = true
			default:
				fault = garbage("it asks for further input, which only interactive clients can give")
			}
		}
	})
	if !object {
		return nil, garbage("its result is not an object")
	}
	return a, fault
}

// buffers hold requests and answers while they are under way.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keptBuffer is the largest buffer that is kept for later, in bytes.
const keptBuffer = 1 << 20

func newBuffer() *bytes.Buffer {
	buffer, _ := buffers.Get().(*bytes.Buffer)
	buffer.Reset()
	return buffer
}

func freeBuffer(buffer *bytes.Buffer) {
	if buffer.Cap() <= keptBuffer {
		buffers.Put(buffer)
	}
}

// rpcMessage is any JSON-RPC message; what it is follows from what is present.
// Its members are parts of the message's own bytes.
type rpcMessage struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// parseMessage reads one message and keeps the bytes of its result as they are.
func parseMessage(data []byte) (rpcMessage, error) {
	var message rpcMessage
	if !utf8.Valid(data) {
		return message, garbage("it is not UTF-8")
	}
	if !json.Valid(data) {
		return message, garbage("it is not a JSON-RPC message")
	}
	good := true
	object := Members(data, func(key, value []byte) {
		switch string(plainKey(key)) {
		case "id":
			message.ID = value
		case "method":
			good = good && json.Unmarshal(value, &message.Method) == nil
		case "params":
			message.Params = value
		case "result":
			message.Result = value
		case "error":
			message.Error = value
		}
	})
	if !object || !good {
		return message, garbage("it is not a JSON-RPC message")
	}
	return message, nil
}

// outcome is the result of an answer, or what it says went wrong.
func (m rpcMessage) outcome() (json.RawMessage, error) {
	if !isNull(m.Error) {
		var e RPCError
		if json.Unmarshal(m.Error, &e) != nil {
			return nil, garbage("its error is not a JSON-RPC error")
		}
		return nil, e
	}
	if m.Result == nil {
		return nil, garbage("it has neither a result nor an error")
	}
	return m.Result, nil
}

// readAll reads an answer's body up to limit bytes.
func readAll(into *bytes.Buffer, body io.Reader, limit int64) ([]byte, error) {
	for {
		into.Grow(bytes.MinRead)
		space := into.AvailableBuffer()
		n, err := body.Read(space[:cap(space)])
		_, _ = into.Write(space[:n]) // where it stands already
		switch {
		case int64(into.Len()) > limit:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return into.Bytes(), nil
		case err != nil:
			return nil, err
		}
	}
}

// refusal is what an answer with a failing HTTP status says.
type refusal struct {
	status int
	said   *RPCError // nil when the body is no such error
	text   string    // the beginning of any other body; not for showing
	wants  []string  // scopes that the token lacks
}

// readRefusal reads it; what can't be read changes nothing.
func readRefusal(response *http.Response) refusal {
	data, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	var e RPCError
	r := refusal{status: response.StatusCode, wants: lacking(response)}
	if parsed, err := parseMessage(data); err == nil && !isNull(parsed.Error) && json.Unmarshal(parsed.Error, &e) == nil {
		r.said = &e
		return r
	}
	r.text = string(data)
	return r
}

// fault is the refusal as its caller hears of it.
func (r refusal) fault() *services.Error {
	err := statusFault(r.status, r.said)
	if details, ok := err.Details.(upstreamDetails); ok && len(r.wants) > 0 {
		details.wants = r.wants
		err = err.WithDetails(details)
	}
	return err
}

// lacking are the scopes that a server wants besides those that the token has: RFC 6750,
// section 3.1.
func lacking(response *http.Response) []string {
	if response.StatusCode != http.StatusForbidden {
		return nil
	}
	challenges, err := oauthex.ParseWWWAuthenticate(response.Header.Values("WWW-Authenticate"))
	if err != nil {
		return nil
	}
	for _, one := range challenges {
		if one.Scheme == "bearer" && one.Params["error"] == "insufficient_scope" {
			return strings.Fields(one.Params["scope"])
		}
	}
	return nil
}

// aboutSession reports a refusal by the transport that names the session. A
// code of the tool's own is never taken for one.
func (r refusal) aboutSession() bool {
	said := r.text
	if r.said != nil {
		if r.said.Code != -32000 && r.said.Code != -32001 && r.said.Code != jsonrpc.CodeInvalidRequest {
			return false
		}
		said = r.said.Message
	}
	return strings.Contains(strings.ToLower(said), "session")
}

func mediaType(response *http.Response) string {
	header := response.Header.Get("Content-Type")
	if header == "application/json" || header == "text/event-stream" {
		return header
	}
	kind, _, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	return kind
}

func isObject(raw json.RawMessage) bool {
	i := skipSpace(raw, 0)
	return i < len(raw) && raw[i] == '{'
}

func isNull(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}
