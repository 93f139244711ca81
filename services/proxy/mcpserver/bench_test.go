package mcpserver_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/providers/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const patience = 20 * time.Second

const (
	stateless = "2026-07-28"
	sessions  = "2025-11-25"
)

var eras = []string{stateless, sessions}

type object map[string]any

// bench is a UAOL with a tool of each era.
type bench struct {
	world *world.World
	boxes map[string]*toolbox // by era
	admin world.Client
}

// setup starts a UAOL, by start, with its tools approved.
func setup(t testing.TB, start func(testing.TB, world.Settings) *world.World) *bench {
	t.Helper()
	b := &bench{boxes: map[string]*toolbox{}}
	for _, era := range eras {
		b.boxes[era] = newToolbox(t, era)
	}
	b.world = start(t, world.Settings{"TOOL_EGRESS_ALLOW": "127.0.0.1"})
	b.admin = world.New(b.world.Gateway).As(b.world.AdminKey)
	for era, box := range b.boxes {
		box.id, box.slug = b.register(t, map[string]string{stateless: "new", sessions: "old"}[era], box.url, 7)
	}
	return b
}

func together(t testing.TB) *bench { return setup(t, world.Together) }

// limited is a UAOL whose callers may make so many requests a minute.
func limited(t testing.TB, requests string) *bench {
	return setup(t, func(t testing.TB, s world.Settings) *world.World {
		s["RATE_LIMIT_PER_MINUTE"] = requests
		return world.Together(t, s)
	})
}

// register registers a tool and has it approved.
func (b *bench) register(t testing.TB, name, url string, price int) (id, slug string) {
	t.Helper()
	answer := b.admin.Do(t, http.MethodPost, "/tools", object{"name": name, "gateway_url": url, "credit_cost_per_call": price})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	id, slug = answer.Text("data.tool_id"), answer.Text("data.slug")
	answer = b.admin.Do(t, http.MethodPost, "/tools/"+id+"/approve", nil)
	require.Equal(t, http.StatusOK, answer.Status, answer)
	return id, slug
}

// user makes an account with a key.
func (b *bench) user(t testing.TB) world.Client {
	t.Helper()
	nobody := world.New(b.world.Gateway)
	answer := nobody.Do(t, http.MethodPost, "/auth/register", object{"email": strings.ToLower(rand.Text()) + "@example.com"})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	return nobody.As(answer.Text("data.token"))
}

func credits(t testing.TB, c world.Client) string {
	t.Helper()
	return c.Do(t, http.MethodGet, "/credits/balance", nil).Text("data.credits")
}

// outcomes are those of somebody's calls, the newest first.
func outcomes(t testing.TB, c world.Client, n int) (all []string) {
	t.Helper()
	world.Until(t, "calls are recorded", func() bool {
		all = nil
		answer := c.Do(t, http.MethodGet, "/proxy/calls", nil)
		records, _ := answer.At("data").([]any)
		for _, r := range records {
			record, _ := r.(map[string]any)
			all = append(all, fmt.Sprint(record["method"], " ", record["outcome"]))
		}
		return len(all) >= n
	})
	return all
}

// hearing is what an SDK client hears.
type hearing struct {
	mu       sync.Mutex
	asked    []string
	progress []string
	logs     []string
	answer   func(*mcp.ElicitParams) (*mcp.ElicitResult, error)
}

func (h *hearing) all() (asked, progress, logs []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.asked...), append([]string{}, h.progress...), append([]string{}, h.logs...)
}

// connect is an SDK client of an era at a path.
func connect(t testing.TB, c world.Client, path, era string, h *hearing) *mcp.ClientSession {
	t.Helper()
	options := &mcp.ClientOptions{}
	if h != nil {
		options.ElicitationHandler = func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			h.mu.Lock()
			h.asked = append(h.asked, r.Params.Message)
			h.mu.Unlock()
			if h.answer != nil {
				return h.answer(r.Params)
			}
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada"}}, nil
		}
		options.CreateMessageHandler = func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Role: "assistant", Model: "m", Content: &mcp.TextContent{Text: "Paris"}}, nil
		}
		options.ProgressNotificationHandler = func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.progress = append(h.progress, fmt.Sprint(r.Params.ProgressToken, " ", r.Params.Progress))
		}
		options.LoggingMessageHandler = func(_ context.Context, r *mcp.LoggingMessageRequest) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.logs = append(h.logs, fmt.Sprint(r.Params.Level, " ", r.Params.Data))
		}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: c.Base + path, HTTPClient: &http.Client{Transport: headers{c.Header}}, DisableStandaloneSSE: true,
	}, &mcp.ClientSessionOptions{ProtocolVersion: era})
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() })
	require.Equal(t, era, session.InitializeResult().ProtocolVersion)
	return session
}

type headers struct{ all http.Header }

func (h headers) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range h.all {
		r.Header[name] = values
	}
	return http.DefaultTransport.RoundTrip(r)
}

func textOf(t testing.TB, r *mcp.CallToolResult) string {
	t.Helper()
	require.NotEmpty(t, r.Content)
	text, ok := r.Content[0].(*mcp.TextContent)
	require.True(t, ok, "%T", r.Content[0])
	return text.Text
}

// raw is a JSON-RPC client that sends what it is told.
type raw struct {
	world.Client
	path string
}

type rpc struct {
	status int
	header http.Header
	body   string
	object map[string]any
}

func (r rpc) at(path string) string {
	text, _ := json.Marshal(r.object)
	switch value := (world.Answer{Body: text}).At(path).(type) {
	case nil:
		return ""
	case map[string]any:
		inner, _ := json.Marshal(value)
		return string(inner)
	default:
		return fmt.Sprint(value)
	}
}

// post sends a body as it is.
func (c raw) post(t testing.TB, body string, more http.Header) rpc {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.Base+c.path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header = c.Header.Clone()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	for name, values := range more {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	response, err := world.HTTP.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	got := rpc{status: response.StatusCode, header: response.Header, body: string(text)}
	last := text
	for line := range bytes.Lines(text) {
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			last = data
		}
	}
	_ = json.Unmarshal(last, &got.object)
	return got
}

// modern sends a request of the stateless protocol, with all that it has to say.
func (c raw) modern(t testing.TB, method string, params object, more http.Header) rpc {
	t.Helper()
	if params == nil {
		params = object{}
	}
	if params["_meta"] == nil {
		params["_meta"] = object{
			"io.modelcontextprotocol/protocolVersion":    stateless,
			"io.modelcontextprotocol/clientCapabilities": object{"elicitation": object{}},
		}
	}
	header := http.Header{"Mcp-Protocol-Version": {stateless}, "Mcp-Method": {method}}
	for _, name := range []string{"name", "uri"} {
		if subject, ok := params[name].(string); ok {
			header.Set("Mcp-Name", subject)
		}
	}
	for name, values := range more {
		header[http.CanonicalHeaderKey(name)] = values
	}
	body, err := json.Marshal(object{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	require.NoError(t, err)
	return c.post(t, string(body), header)
}

// toolbox is an MCP server of one era.
type toolbox struct {
	url, id, slug string
	server        *mcp.Server
	subscribed    chan string // addresses of resources
	calls         atomic.Int64
	entered       chan struct{} // slow has begun
	left          chan struct{} // slow was cancelled
	over          chan struct{} // the test is
	end           func()
}

func newToolbox(t testing.TB, era string) *toolbox {
	t.Helper()
	b := &toolbox{subscribed: make(chan string, 100), entered: make(chan struct{}, 100), left: make(chan struct{}, 100), over: make(chan struct{})}
	server := mcp.NewServer(&mcp.Implementation{Name: "toolbox", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler: func(_ context.Context, r *mcp.SubscribeRequest) error {
			b.subscribed <- r.Params.URI
			return nil
		},
		UnsubscribeHandler:        func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		SupportedProtocolVersions: []string{era},
		CompletionHandler: func(_ context.Context, r *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{r.Params.Argument.Value + "a", r.Params.Ref.Name + r.Params.Ref.URI}}}, nil
		},
	})
	b.server = server
	says := func(text string) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
	}
	add := func(name, schema string, handle mcp.ToolHandler) {
		server.AddTool(&mcp.Tool{Name: name, Description: "does " + name, InputSchema: json.RawMessage(schema)},
			func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				b.calls.Add(1)
				return handle(ctx, r)
			})
	}
	const anything = `{"type":"object"}`
	add("echo", `{"type":"object","properties":{"text":{"type":"string","x-mcp-header":"Text"}},"required":["text"]}`, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return says(string(r.Params.Arguments))
	})
	add("progress", anything, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for i := range 3 {
			_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: float64(i)})
			_ = r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: fmt.Sprint("step ", i)})
			_ = r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "debug", Data: "detail"})
		}
		return says("done")
	})
	add("ask", anything, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		params := &mcp.ElicitParams{Message: "Who?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}}}
		var answer *mcp.ElicitResult
		if era == stateless {
			answer, _ = r.Params.InputResponses["who"].(*mcp.ElicitResult)
			if answer == nil {
				return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"who": params}, RequestState: "asked"}, nil
			}
			if r.Params.RequestState != "asked" {
				return says("the state is lost")
			}
		} else {
			var err error
			if answer, err = r.Session.Elicit(ctx, params); err != nil {
				return says("not answered: " + err.Error())
			}
		}
		return says(fmt.Sprint(answer.Action, " ", answer.Content["name"]))
	})
	add("sample", anything, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		params := &mcp.CreateMessageParams{MaxTokens: 10, Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: "The capital of France?"}}}}
		if era == stateless {
			if r.Params.InputResponses["m"] == nil {
				return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"m": params}}, nil
			}
			text, _ := json.Marshal(r.Params.InputResponses["m"])
			return says(string(text))
		}
		answer, err := r.Session.CreateMessage(ctx, params)
		if err != nil {
			return says("not answered: " + err.Error())
		}
		text, _ := json.Marshal(answer)
		return says(string(text))
	})
	add("slow", anything, func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		b.entered <- struct{}{}
		select {
		case <-ctx.Done():
			if era == sessions {
				b.left <- struct{}{}
			}
		case <-b.over:
		}
		return says("late")
	})
	read := func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "of " + r.Params.URI}}}, nil
	}
	server.AddResource(&mcp.Resource{Name: "static", URI: "test://static"}, read)
	server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "one", URITemplate: "test://t/{id}"}, read)
	server.AddPrompt(&mcp.Prompt{Name: "greet", Arguments: []*mcp.PromptArgument{{Name: "whom"}}}, func(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{
			{Role: "user", Content: &mcp.TextContent{Text: "greet " + r.Params.Arguments["whom"]}},
			{Role: "user", Content: &mcp.ResourceLink{URI: "test://static", Name: "static"}},
		}}, nil
	})
	add("link", anything, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{
			&mcp.ResourceLink{URI: "test://static", Name: "static"},
			&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "test://t/1", Text: "one"}},
		}}, nil
	})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: era == stateless})
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if era == stateless { // where the SDK does not tell its methods that the client has left
			defer context.AfterFunc(r.Context(), func() { b.left <- struct{}{} })()
		}
		handler.ServeHTTP(w, r)
	}))
	b.url = local.URL + "/mcp"
	b.end = sync.OnceFunc(func() {
		close(b.over)
		for session := range server.Sessions() {
			_ = session.Close()
		}
		local.CloseClientConnections()
		local.Close()
	})
	t.Cleanup(b.end)
	return b
}

// newServerOf is a server with so many methods.
func newServerOf(t testing.TB, n int) (url string) {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "many", Version: "1"}, nil)
	for i := range n {
		server.AddTool(&mcp.Tool{Name: fmt.Sprintf("method_%03d", i), Description: "is one of many", InputSchema: json.RawMessage(`{"type":"object"}`)},
			func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "x"}}}, nil
			})
	}
	local := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(func() {
		local.CloseClientConnections()
		local.Close()
	})
	return local.URL
}

func receive[T any](t testing.TB, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
	}
	return value
}
