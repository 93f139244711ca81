package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"uaol/providers/upstream"
)

// mirrorsOf are the arguments of a method that go into headers too, as far as its list has
// come by.
func (r *running) mirrorsOf(name string) []upstream.Mirror {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mirrors[name]
}

// learn reads in a list of methods which arguments go into headers.
func (r *running) learn(list json.RawMessage) {
	if !bytes.Contains(list, []byte("x-mcp-header")) {
		return
	}
	var listed struct {
		Tools []struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"inputSchema"`
		} `json:"tools"`
	}
	_ = json.Unmarshal(list, &listed) // what can't be read has none
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tool := range listed.Tools {
		r.mirrors[tool.Name] = upstream.Mirrors(tool.Schema)
	}
}

const mostPages = 500

// learnAll asks for the list, for a client that has not, or whose list is an old one. It
// reports whether there was something to learn of the called method.
func (r *running) learnAll(ctx context.Context, way *Way, call *message) bool {
	for page, cursor := 0, ""; page < mostPages; page++ {
		params := map[string]any{"_meta": map[string]any{metaVersion: call.params.version, metaCapabilities: map[string]any{}}}
		if cursor != "" {
			params["cursor"] = cursor
		}
		text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": "uaol/list", "method": listTools, "params": params})
		if err != nil {
			return false
		}
		list, _ := read(text)
		next := ""
		err = r.exchange(ctx, way, list, &delivery{}, stamp{}, ignore, func(a answer, _ []byte, _ http.Header) {
			r.learn(a.result)
			var said struct {
				Next string `json:"nextCursor"`
			}
			_ = json.Unmarshal(a.result, &said) // then it was the last one
			next = said.Next
		})
		if err != nil || next == "" {
			break
		}
		cursor = next
	}
	return len(r.mirrorsOf(call.params.name)) > 0
}
