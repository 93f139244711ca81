package world

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Tools is a server of tools: MCP on /mcp, with the methods echo and fails;
// HTTP status 500 on /500.
type Tools struct {
	URL   string
	Calls atomic.Int64 // of echo and fails

	parent atomic.Pointer[string]
}

// Traceparent is what the latest request said of its trace.
func (s *Tools) Traceparent() string {
	if said := s.parent.Load(); said != nil {
		return *said
	}
	return ""
}

// Host is host:port, for TOOL_EGRESS_ALLOW.
func (s *Tools) Host() string { return s.URL[len("http://"):] }

// StartTools runs a server of tools. host is the name by which UAOL reaches this
// machine; 127.0.0.1 serves on the loopback alone.
func StartTools(t testing.TB, host string) *Tools {
	t.Helper()
	s := &Tools{}
	server := mcp.NewServer(&mcp.Implementation{Name: "acceptance", Version: "1"}, nil)
	anything := map[string]any{"type": "object"}
	server.AddTool(&mcp.Tool{Name: "echo", Description: "gives its text back", InputSchema: anything}, s.echo)
	server.AddTool(&mcp.Tool{Name: "fails", Description: "says isError", InputSchema: anything}, s.fails)
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	mux.HandleFunc("/500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	local := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if said := r.Header.Get("Traceparent"); said != "" {
			s.parent.Store(&said)
		}
		mux.ServeHTTP(w, r)
	}))
	if host != "127.0.0.1" {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
		if err != nil {
			t.Fatalf("tools: %v", err)
		}
		_ = local.Listener.Close() // it is not used
		local.Listener = listener
	}
	local.Start()
	t.Cleanup(func() { closeServer(local, server) })
	_, port, err := net.SplitHostPort(local.Listener.Addr().String())
	if err != nil {
		t.Fatalf("tools: %v", err)
	}
	s.URL = "http://" + net.JoinHostPort(host, port)
	return s
}

// echo gives the argument text back: texts as they are, all else as JSON.
func (s *Tools) echo(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	s.Calls.Add(1)
	var in struct {
		Text json.RawMessage `json:"text"`
	}
	if err := json.Unmarshal(r.Params.Arguments, &in); err != nil {
		return nil, err
	}
	var text string
	if json.Unmarshal(in.Text, &text) != nil {
		text = string(bytes.TrimSpace(in.Text))
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
}

func (s *Tools) fails(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	s.Calls.Add(1)
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "no such city"}}}, nil
}

// ServeMCP serves an MCP server on this machine alone, for one test.
func ServeMCP(t testing.TB, server *mcp.Server) (url string) {
	t.Helper()
	local := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	t.Cleanup(func() { closeServer(local, server) })
	return local.URL
}

// closeServer ends the sessions of clients that outlive the test, too: before, for a
// server waits for their streams; and after, for they may have begun another.
func closeServer(local *httptest.Server, server *mcp.Server) {
	end := func() {
		for session := range server.Sessions() {
			_ = session.Close()
		}
	}
	end()
	local.CloseClientConnections()
	local.Close()
	end()
}
