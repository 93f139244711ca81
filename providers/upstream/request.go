package upstream

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"uaol/services"
)

// request is one JSON-RPC request for a tool.
type request struct {
	method    string
	tool      string          // for tools/call
	arguments json.RawMessage // for tools/call
	params    json.RawMessage // for all else: an object without _meta; nil for an empty one
	subject   string          // what it is about, which a header tells in the stateless protocol
	input     json.RawMessage // answers to what the tool asked in an earlier round
	state     json.RawMessage // what it wants back with them, a JSON text
	key       string          // the idempotency key
	meta      map[string]any  // further members of _meta
	headers   http.Header     // what the tool's definition adds
	mirrors   []Mirror
	changed   func() // is told of notifications/tools/list_changed
	talk      *Talk
	questions atomic.Int32 // that the tool has asked
	life      *life        // of a call; nil for what takes several requests
}

// reply is the result of a request. Its bytes are good until its buffer is freed.
type reply struct {
	raw      json.RawMessage
	received int64
	buffer   *bytes.Buffer
}

// callRequest is tools/call.
const callRequest = "tools/call"

// body writes the request as JSON-RPC. introduction is members of _meta, as JSON
// without the braces, in which the stateless protocol says who is calling.
func (r *request) body(id int64, introduction string) ([]byte, error) {
	b := make([]byte, 0, 256+len(r.tool)+len(r.arguments)+len(r.params)+len(introduction)+len(r.key))
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendInt(b, id, 10)
	b = append(b, `,"method":"`...)
	b = append(b, r.method...)
	b = append(b, `","params":`...)
	b, err := r.appendParams(b, id, introduction)
	return append(b, '}'), err
}

// appendParams writes the request's parameters. The token tells the request in
// notifications of how far it is.
func (r *request) appendParams(b []byte, token int64, introduction string) ([]byte, error) {
	params := bytes.TrimSpace(r.params)
	switch {
	case r.method == callRequest:
		b = appendText(append(b, `{"name":`...), r.tool)
		b = append(append(b, `,"arguments":`...), r.arguments...)
	case isNull(params):
		b = append(b, '{')
	default:
		b = append(b, bytes.TrimSpace(params[:len(params)-1])...)
	}
	for _, member := range []struct {
		name  string
		value json.RawMessage
	}{{"inputResponses", r.input}, {"requestState", r.state}} {
		if introduction != "" && !isNull(member.value) { // servers with sessions know neither
			b = append(appendText(comma(b), member.name), ':')
			b = append(b, member.value...)
		}
	}
	b, err := r.appendMeta(b, token, introduction)
	return append(b, '}'), err
}

// comma separates a member from the one before it.
func comma(b []byte) []byte {
	if b[len(b)-1] == '{' {
		return b
	}
	return append(b, ',')
}

func (r *request) appendMeta(b []byte, token int64, introduction string) ([]byte, error) {
	if introduction == "" && r.key == "" && len(r.meta) == 0 && !r.wantsProgress() {
		return b, nil
	}
	b = append(append(comma(b), `"_meta":{`...), introduction...)
	member := func(name string) { b = append(appendText(comma(b), name), ':') }
	if introduction != "" {
		member(mcp.MetaKeyClientCapabilities)
		b = append(b, r.can().json()...)
		if r.talk != nil && r.talk.Level != "" {
			member(mcp.MetaKeyLogLevel)
			b = appendText(b, r.talk.Level)
		}
	}
	if r.wantsProgress() {
		member("progressToken")
		b = strconv.AppendInt(b, token, 10)
	}
	if r.key != "" {
		member("idempotencyKey")
		b = appendText(b, r.key)
	}
	for name, value := range r.meta {
		if name == "idempotencyKey" && r.key != "" {
			continue
		}
		encoded, err := encode(value)
		if err != nil {
			return nil, err
		}
		member(name)
		b = append(b, encoded...)
	}
	return append(b, '}'), nil
}

// introductionOf is how each request of the stateless protocol says who calls, but for
// what its client can be asked.
func introductionOf(version string) (string, error) {
	members, err := encode(map[string]any{mcp.MetaKeyProtocolVersion: version, mcp.MetaKeyClientInfo: clientName})
	if err != nil {
		return "", err
	}
	return string(members[1 : len(members)-1]), nil
}

func encode(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, services.Errorf(services.Invalid, "the call can't be written as JSON").Because(err)
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}
