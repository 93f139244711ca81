package contract

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// startTool runs the tool server that the original was recorded with: bare
// JSON-RPC on /, an error of it on /err, HTTP 500 on /500. Unless it is bare it
// also answers initialize, as the MCP servers do that ours calls by default.
func startTool(t *testing.T, bare bool) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", tool{bare: bare}.serve)
	mux.HandleFunc("POST /err", tool{bare: bare, failing: true}.serve)
	mux.HandleFunc("POST /500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

type tool struct{ bare, failing bool }

func (s tool) serve(w http.ResponseWriter, r *http.Request) {
	var request struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params struct {
			Version string `json:"protocolVersion"`
		} `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if request.ID == nil { // a notification
		w.WriteHeader(http.StatusAccepted)
		return
	}
	answer := map[string]any{"jsonrpc": "2.0", "id": request.ID}
	switch {
	case request.Method == "initialize" && !s.bare:
		answer["result"] = map[string]any{
			"protocolVersion": request.Params.Version, "capabilities": map[string]any{"tools": map[string]any{}},
			"serverInfo": map[string]any{"name": "recorded", "version": "1"},
		}
	case request.Method == "tools/list":
		answer["result"] = json.RawMessage(`{"tools":[{"name":"echo","description":"echo","inputSchema":{"type":"object"}}]}`)
	case request.Method == "tools/call" && !s.failing:
		answer["result"] = json.RawMessage(`{"content":[{"type":"text","text":"ok"}],"isError":false}`)
	default:
		answer["error"] = map[string]any{"code": -32601, "message": "no such method"}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a client that has gone is its own business
}
