package prove

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// toolServer is a real MCP server on loopback that writes down every call, and
// can hold one back.
type toolServer struct {
	url  string
	http *http.Server

	mu    sync.Mutex
	calls map[string]*record // by idempotency key, which names job and step
	trap  *trap
}

// record is what became of the calls of one step.
type record struct {
	method   string
	arrivals int
	effects  int
	inFlight int
}

// trap waits for a call to hold back.
type trap struct {
	method string // "" is any
	early  bool   // the call has its effect before it is held
	caught chan *captive
}

// captive is a call that is held back.
type captive struct {
	key    string
	early  bool      // it has had its effect
	answer chan bool // false: nothing more happens, since nobody waits for it
}

func (c *captive) job() string { id, _, _ := strings.Cut(c.key, "/"); return id }

// arguments of every method; those that name results of earlier steps are not looked at.
type arguments struct {
	Fails int `json:"fails"`
}

func startToolServer() (*toolServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the proof's tool server: %w", err)
	}
	s := &toolServer{url: "http://" + listener.Addr().String(), calls: map[string]*record{}}
	server := mcp.NewServer(&mcp.Implementation{Name: "proof", Version: "1"}, nil)
	for _, method := range []string{look, book, send} {
		tool := &mcp.Tool{Name: method, InputSchema: json.RawMessage(`{"type":"object","properties":{"fails":{"type":"integer"}}}`)}
		if method == look {
			tool.Annotations = &mcp.ToolAnnotations{ReadOnlyHint: true}
		}
		server.AddTool(tool, s.handle)
	}
	server.AddReceivingMiddleware(hinted)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.http.Serve(listener) }() // ends with close
	return s, nil
}

func (s *toolServer) close() error { return s.http.Close() }

// hinted says of book that it takes idempotency keys, which MCP has no word for.
func hinted(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, request mcp.Request) (mcp.Result, error) {
		result, err := next(ctx, method, request)
		if list, ok := result.(*mcp.ListToolsResult); ok && err == nil {
			return listing{list}, nil
		}
		return result, err
	}
}

type listing struct{ *mcp.ListToolsResult }

func (l listing) MarshalJSON() ([]byte, error) {
	tools := make([]map[string]any, 0, len(l.Tools))
	for _, tool := range l.Tools {
		text, err := json.Marshal(tool)
		if err != nil {
			return nil, err
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			return nil, err
		}
		if tool.Name == book {
			members["annotations"] = map[string]any{"idempotencyKeyHint": true}
		}
		tools = append(tools, members)
	}
	return json.Marshal(map[string]any{"tools": tools})
}

// handle is every method. A call that fails has no effect.
func (s *toolServer) handle(_ context.Context, request *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in arguments
	if err := json.Unmarshal(request.Params.Arguments, &in); err != nil {
		return nil, err
	}
	key, _ := request.Params.Meta["idempotencyKey"].(string)
	arrival, held := s.arrive(key, request.Params.Name, in)
	defer s.depart(key)
	if arrival <= in.Fails {
		return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "not yet"}}}, nil
	}
	if held != nil && !<-held.answer {
		return &mcp.CallToolResult{IsError: true}, nil // nobody hears it
	}
	if held == nil || !held.early {
		s.effect(key, request.Params.Name)
	}
	return &mcp.CallToolResult{Content: []mcp.Content{}, StructuredContent: map[string]any{"arrival": arrival}}, nil
}

// arrive writes a call down, and gives the captive when it falls into the trap.
func (s *toolServer) arrive(key, method string, in arguments) (arrival int, held *captive) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.calls[key]
	if r == nil {
		r = &record{method: method}
		s.calls[key] = r
	}
	r.arrivals++
	r.inFlight++
	if t := s.trap; t != nil && (t.method == "" || t.method == method) && r.arrivals > in.Fails {
		s.trap, held = nil, &captive{key: key, early: t.early, answer: make(chan bool, 1)}
		if t.early {
			r.take(method)
		}
		t.caught <- held
		return r.arrivals, held
	}
	return r.arrivals, nil
}

func (s *toolServer) depart(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[key].inFlight--
}

// effect does what the call is for.
func (s *toolServer) effect(key, method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[key].take(method)
}

// take counts an effect; book has it once for a key, as it has promised.
func (r *record) take(method string) {
	if method == book && r.effects > 0 {
		return
	}
	r.effects++
}

// set sets a trap for the next call of a method that is to succeed.
func (s *toolServer) set(method string, early bool) *trap {
	t := &trap{method: method, early: early, caught: make(chan *captive, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trap = t
	return t
}

// widen lets the trap take any call.
func (s *toolServer) widen(t *trap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.method = ""
}

// of tells what became of a step's calls, and whether none is on its way.
func (s *toolServer) of(key string) (r record, quiet bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.calls[key]; found != nil {
		return *found, found.inFlight == 0
	}
	return record{}, true
}

// unset takes the trap away.
func (s *toolServer) unset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trap = nil
}
