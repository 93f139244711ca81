package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/providers/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	platformKey = "sk-platform-Zq8vN3tR5wX7yB2cD4fG6hJ9"
	ownKey      = "sk-own-1234567890abcdefghijklmnopqrstuvwxyzABCDEFGH"
)

// model is a server that speaks the protocol of models, on loopback.
type model struct {
	url string

	mu       sync.Mutex
	answer   func(asked) []string
	requests []asked
	keys     []string
	hold     chan struct{} // answers wait for it to be closed, if it is there
}

// asked is a request to a model.
type asked struct {
	N        int `json:"-"`
	Model    string
	Stream   bool
	Messages []struct {
		Role       string
		Content    string
		ToolCallID string `json:"tool_call_id"`
		ToolCalls  []struct {
			ID       string
			Function struct{ Name, Arguments string }
			Extra    json.RawMessage `json:"extra_content"`
		} `json:"tool_calls"`
	}
	Tools []struct {
		Function struct {
			Name, Description string
			Parameters        json.RawMessage
		}
	}
	MaxTokens           int `json:"max_tokens"`
	MaxCompletionTokens int `json:"max_completion_tokens"`
}

func (a asked) last() string { return a.Messages[len(a.Messages)-1].Content }

// startModel serves answers: what the function gives is sent as it is, an event each
// where the answer is streamed. An answer that begins with "HTTP " is a refusal.
func startModel(t testing.TB, answer func(asked) []string) *model {
	t.Helper()
	m := &model{answer: answer}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		var in asked
		if err := json.Unmarshal(text, &in); err != nil {
			t.Errorf("%s is no request: %v", text, err)
		}
		m.mu.Lock()
		in.N = len(m.requests)
		m.requests, m.keys = append(m.requests, in), append(m.keys, r.Header.Get("Authorization"))
		answer, hold := m.answer, m.hold
		m.mu.Unlock()
		if hold != nil {
			<-hold
		}
		pieces := answer(in)
		if len(pieces) == 1 && strings.HasPrefix(pieces[0], "HTTP ") {
			var status int
			var header, body string
			head, body, _ := strings.Cut(pieces[0], "\n")
			_, _ = fmt.Sscanf(head, "HTTP %d %s", &status, &header)
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
		if !in.Stream {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, pieces[0])
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, piece := range pieces {
			_, _ = io.WriteString(w, "data: "+piece+"\n\n")
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(server.Close)
	m.url = server.URL + "/v1"
	return m
}

func (m *model) set(answer func(asked) []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer, m.requests, m.keys = answer, nil, nil
}

func (m *model) seen() []asked {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// says is an answer, in the form that was asked for.
func says(in asked, text string) []string {
	if !in.Stream {
		return []string{fmt.Sprintf(`{"id":"1","object":"chat.completion","model":"%s-2026","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}`, in.Model, text)}
	}
	var events []string
	for i := 0; i < len(text); i += 7 {
		events = append(events, fmt.Sprintf(`{"id":"1","object":"chat.completion.chunk","model":"%s-2026","choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`, in.Model, text[i:min(i+7, len(text))]))
	}
	return append(events, `{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`,
		`{"id":"1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}`, "[DONE]")
}

type wish struct{ name, arguments string }

// calls is an answer that asks for tools.
func calls(in asked, extra string, wishes ...wish) []string {
	var all []string
	for i, w := range wishes {
		all = append(all, fmt.Sprintf(`{"index":%d,"id":"call_%d","type":"function","function":{"name":%q,"arguments":%q}%s}`, i, i, w.name, w.arguments, extra))
	}
	list := strings.Join(all, ",")
	if !in.Stream {
		return []string{`{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[` + list + `]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}`}
	}
	return []string{`{"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[` + list + `]},"finish_reason":null}]}`,
		`{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}`,
		`{"id":"1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}`, "[DONE]"}
}

// tools is an MCP server with a method that only looks and one that acts.
type tools struct {
	url string

	mu   sync.Mutex
	made []string // calls, by method and argument
}

func startTools(t testing.TB) *tools {
	t.Helper()
	s := &tools{}
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1"}, nil)
	schema := map[string]any{"type": "object", "properties": map[string]any{"what": map[string]any{"type": "string"}}}
	add := func(name, about string, hints *mcp.ToolAnnotations, answer func(what string) (string, bool)) {
		server.AddTool(&mcp.Tool{Name: name, Description: about, InputSchema: schema, Annotations: hints}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var in struct{ What string }
			_ = json.Unmarshal(r.Params.Arguments, &in)
			s.mu.Lock()
			s.made = append(s.made, name+" "+in.What)
			s.mu.Unlock()
			text, failed := answer(in.What)
			return &mcp.CallToolResult{IsError: failed, Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
		})
	}
	add("look", "looks an order up", &mcp.ToolAnnotations{ReadOnlyHint: true}, func(what string) (string, bool) { return "order " + what + " is open", false })
	add("fails", "always fails", &mcp.ToolAnnotations{ReadOnlyHint: true}, func(string) (string, bool) { return "no such order", true })
	add("cancel", "cancels an order", nil, func(what string) (string, bool) { return "cancelled " + what, false })
	local := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	t.Cleanup(func() {
		for session := range server.Sessions() {
			_ = session.Close()
		}
		local.CloseClientConnections()
		local.Close()
	})
	s.url = local.URL
	return s
}

func (s *tools) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.made...)
}

// place is a running UAOL with a model and a tool server.
type place struct {
	*world.World
	model *model
	tools *tools
}

func setup(t testing.TB, settings world.Settings) *place {
	t.Helper()
	return setupBy(t, world.Together, settings)
}

func setupBy(t testing.TB, start func(testing.TB, world.Settings) *world.World, settings world.Settings) *place {
	t.Helper()
	p := &place{model: startModel(t, func(in asked) []string { return says(in, "Hello.") }), tools: startTools(t)}
	all := world.Settings{"TOOL_EGRESS_ALLOW": strings.TrimPrefix(p.tools.url, "http://"), "LOG_LEVEL": "debug",
		"UAOL_OPENAI_URL": p.model.url, "UAOL_GEMINI_URL": p.model.url, "UAOL_ANTHROPIC_URL": p.model.url}
	for name, value := range settings {
		all[name] = value
	}
	p.World = start(t, all)
	return p
}

// user makes an account, with a key of its own for the provider if it is named.
func (p *place) user(t testing.TB, provider string) world.Client {
	t.Helper()
	made := world.New(p.Gateway).Do(t, "POST", "/auth/register", map[string]any{"email": uuid.NewString() + "@example.com"})
	require.Equal(t, http.StatusCreated, made.Status, made)
	c := world.New(p.Gateway).As(made.Text("data.token"))
	if provider != "" {
		key := map[string]string{"openai": ownKey, "claude": "sk-ant-" + ownKey, "gemini": "AIza" + strings.Repeat("x", 35)}[provider]
		stored := c.Do(t, "POST", "/api-keys", map[string]any{"provider": provider, "apiKey": key, "isDefault": true})
		require.Less(t, stored.Status, 300, stored)
	}
	return c
}

// tool registers the tool server for everybody, at a price a call.
func (p *place) tool(t testing.TB, owner world.Client, price int) string {
	t.Helper()
	made := owner.Do(t, "POST", "/tools", map[string]any{"name": "Orders", "gateway_url": p.tools.url, "credit_cost_per_call": price, "visibility": "private"})
	require.Equal(t, http.StatusCreated, made.Status, made)
	id := made.Text("data.tool_id")
	approved := world.New(p.Gateway).As(p.AdminKey).Do(t, "POST", "/tools/"+id+"/approve", nil)
	require.Equal(t, http.StatusOK, approved.Status, approved)
	return id
}

func balance(t testing.TB, c world.Client) string {
	t.Helper()
	return c.Do(t, "GET", "/credits/balance", nil).Text("data.credits")
}

// held counts holds that are open.
func (p *place) held(t testing.TB) (n int) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), p.Database)
	require.NoError(t, err)
	defer db.Close(t.Context())
	require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM uaol_billing.holds WHERE state = 'open'`).Scan(&n))
	return n
}

type object = map[string]any

// say sends a message and gives the reply.
func say(t testing.TB, c world.Client, body object) world.Answer {
	t.Helper()
	answer := c.Do(t, "POST", "/chat", body)
	require.Equal(t, http.StatusOK, answer.Status, answer)
	return answer
}

// event is one of a stream.
type event struct{ kind, data string }

// streamed sends a message and gives the events of its answer.
func streamed(t testing.TB, c world.Client, body object) (all []event) {
	t.Helper()
	answer := c.Do(t, "POST", "/chat/stream", body)
	require.Equal(t, http.StatusOK, answer.Status, answer)
	for part := range strings.SplitSeq(string(answer.Body), "\n\n") {
		if kind, data, ok := strings.Cut(part, "\ndata: "); ok {
			all = append(all, event{strings.TrimPrefix(kind, "event: "), data})
		}
	}
	return all
}
