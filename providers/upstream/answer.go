package upstream

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// credentials finds user:password@ in URLs and keeps the scheme.
var credentials = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@]+@`)

// rpcMessage is any JSON-RPC message; what it is follows from what is present.
type rpcMessage struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

type rpcError struct {
	Code    int64  `json:"code"`
	Message string `json:"message"`
}

func (e rpcError) Error() string { return e.Message }

// parseMessage reads one message and keeps the bytes of its result as they are.
func parseMessage(data []byte) (rpcMessage, error) {
	var message rpcMessage
	if !utf8.Valid(data) {
		return message, garbage("it is not UTF-8")
	}
	if !isObject(data) || json.Unmarshal(data, &message) != nil {
		return message, garbage("it is not a JSON-RPC message")
	}
	return message, nil
}

// outcome is the result of an answer, or what it says went wrong.
func (m rpcMessage) outcome() (json.RawMessage, error) {
	if !isNull(m.Error) {
		var e rpcError
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

// asResult insists on the object that tools/call answers.
func asResult(raw json.RawMessage) (json.RawMessage, error) {
	if !isObject(raw) {
		return nil, garbage("its result is not an object")
	}
	var kind struct {
		ResultType string `json:"resultType"`
	}
	if json.Unmarshal(raw, &kind) == nil && kind.ResultType == "input_required" {
		return nil, garbage("it asks for further input, which only interactive clients can give")
	}
	return raw, nil
}

// readAll reads an answer's body up to limit bytes.
func readAll(body io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, errTooLarge
	}
	return data, nil
}

// refusal is what the body of an answer with a failing HTTP status says.
type refusal struct {
	code    *int64 // JSON-RPC; nil when the body is no such error
	message string // JSON-RPC; safe to show after presentable
	text    string // the beginning of any other body; not for showing
}

// readRefusal reads it; what can't be read changes nothing.
func readRefusal(response *http.Response) refusal {
	data, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	var e rpcError
	if parsed, err := parseMessage(data); err == nil && !isNull(parsed.Error) && json.Unmarshal(parsed.Error, &e) == nil {
		return refusal{code: &e.Code, message: e.Message}
	}
	return refusal{text: string(data)}
}

// aboutSession reports a refusal by the transport that names the session. A
// code of the tool's own is never taken for one.
func (r refusal) aboutSession() bool {
	said := r.text
	if r.code != nil {
		if *r.code != -32000 && *r.code != -32001 && *r.code != jsonrpc.CodeInvalidRequest {
			return false
		}
		said = r.message
	}
	return strings.Contains(strings.ToLower(said), "session")
}

func mediaType(response *http.Response) string {
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

func isNull(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}
