package fleet

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Tools is an MCP server (streamable HTTP, without sessions) with one method, echo,
// which notes every call: what really happened, whatever anybody was told.
type Tools struct {
	server *httptest.Server

	mu    sync.Mutex
	calls map[string]int // by the text that was given
}

func startTools(t testing.TB) *Tools {
	t.Helper()
	s := &Tools{calls: map[string]int{}}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

// URL is its MCP endpoint.
func (s *Tools) URL() string { return s.server.URL + "/mcp" }

// Host is host:port, for TOOL_EGRESS_ALLOW.
func (s *Tools) Host() string { return strings.TrimPrefix(s.server.URL, "http://") }

// Calls tells how often each text was echoed.
func (s *Tools) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]int, len(s.calls))
	for text, n := range s.calls {
		all[text] = n
	}
	return all
}

type message struct {
	ID     json.RawMessage `json:"id,omitempty"`
	Method string          `json:"method"`
	Params struct {
		ProtocolVersion string            `json:"protocolVersion"`
		Arguments       map[string]string `json:"arguments"`
	} `json:"params"`
}

func (s *Tools) serve(w http.ResponseWriter, r *http.Request) {
	var in message
	text, err := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || err != nil || json.Unmarshal(text, &in) != nil {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if len(in.ID) == 0 { // a notification
		w.WriteHeader(http.StatusAccepted)
		return
	}
	var result any
	switch in.Method {
	case "initialize":
		result = map[string]any{"protocolVersion": in.Params.ProtocolVersion, "capabilities": map[string]any{"tools": map[string]any{}},
			"serverInfo": map[string]any{"name": "fleet", "version": "1"}}
	case "tools/list":
		result = map[string]any{"tools": []any{map[string]any{"name": "echo", "description": "gives its text back",
			"inputSchema": map[string]any{"type": "object", "properties": map[string]any{"text": map[string]any{"type": "string"}}}}}}
	case "tools/call":
		said := in.Params.Arguments["text"]
		s.mu.Lock()
		s.calls[said]++
		s.mu.Unlock()
		result = map[string]any{"content": []any{map[string]any{"type": "text", "text": said}}}
	case "ping":
		result = map[string]any{}
	default:
		answer(w, map[string]any{"jsonrpc": "2.0", "id": in.ID, "error": map[string]any{"code": -32601, "message": "Method not found"}})
		return
	}
	answer(w, map[string]any{"jsonrpc": "2.0", "id": in.ID, "result": result})
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(what)
}
