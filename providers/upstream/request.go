package upstream

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"uaol/services"
)

// request is one JSON-RPC request for a tool: tools/call or tools/list.
type request struct {
	method    string
	tool      string          // for tools/call
	arguments json.RawMessage // for tools/call
	key       string          // the idempotency key, for tools/call
	meta      map[string]any  // further members of _meta
	cursor    string          // for tools/list
	headers   http.Header     // what the tool's definition adds
	mirrors   []Mirror
	changed   func() // is told of notifications/tools/list_changed
	life      *life  // of a call; nil for what takes several requests
}

// reply is the result of a request. Its bytes are good until its buffer is freed.
type reply struct {
	raw      json.RawMessage
	received int64
	buffer   *bytes.Buffer
}

// body writes the request as JSON-RPC. introduction is members of _meta, as JSON
// without the braces, in which the stateless protocol says who is calling.
func (r *request) body(id int64, introduction string) ([]byte, error) {
	b := make([]byte, 0, 160+len(r.tool)+len(r.arguments)+len(introduction)+len(r.key))
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendInt(b, id, 10)
	b = append(b, `,"method":"`...)
	b = append(b, r.method...)
	b = append(b, `","params":{`...)
	if r.method == "tools/call" {
		b = appendText(append(b, `"name":`...), r.tool)
		b = append(append(b, `,"arguments":`...), r.arguments...)
	} else if r.cursor != "" {
		b = appendText(append(b, `"cursor":`...), r.cursor)
	}
	b, err := r.appendMeta(b, introduction)
	return append(b, '}', '}'), err
}

func (r *request) appendMeta(b []byte, introduction string) ([]byte, error) {
	if introduction == "" && r.key == "" && len(r.meta) == 0 {
		return b, nil
	}
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(append(b, `"_meta":{`...), introduction...)
	member := func(name string) {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
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

// allMeta is _meta for what the SDK sends.
func (r *request) allMeta() map[string]any {
	if r.key == "" && len(r.meta) == 0 {
		return nil
	}
	all := make(map[string]any, len(r.meta)+1)
	for name, value := range r.meta {
		all[name] = value
	}
	if r.key != "" {
		all["idempotencyKey"] = r.key
	}
	return all
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
