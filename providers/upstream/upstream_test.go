package upstream

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"uaol/providers/egress"
	"uaol/services"
)

func TestMain(m *testing.M) {
	if act() {
		return
	}
	goleak.VerifyTestMain(m)
}

func client(t testing.TB, limits Limits) *Client {
	t.Helper()
	policy, err := egress.New(egress.Config{Allow: []string{"127.0.0.1"}})
	require.NoError(t, err)
	c := New(policy, zaptest.NewLogger(t), limits)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func targetAt(url, protocol string) Target {
	return Target{ToolID: uuid.New(), URL: url, Protocol: protocol, Version: 1}
}

func serve(t testing.TB, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func textOf(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	var result struct {
		Content []struct{ Text string }
	}
	require.NoError(t, json.Unmarshal(raw, &result), string(raw))
	require.NotEmpty(t, result.Content, string(raw))
	return result.Content[0].Text
}

// toolbox is an SDK server that counts its calls.
type toolbox struct {
	server   *mcp.Server
	sessions atomic.Int64
	calls    atomic.Int64
	entered  chan struct{} // a call of "hang" has begun
	release  chan struct{} // closed to let "hang" go
}

// oddResult has what the SDK's structs would lose: a number beyond 2^53.
const oddResult = `{"big":9007199254740993,"z":1,"a":2.50}`

func newToolbox(t testing.TB) *toolbox {
	t.Helper()
	box := newToolboxServer()
	t.Cleanup(func() {
		for session := range box.server.Sessions() {
			_ = session.Close()
		}
	})
	return box
}

func newToolboxServer() *toolbox {
	box := &toolbox{entered: make(chan struct{}, 1000), release: make(chan struct{})}
	box.server = mcp.NewServer(&mcp.Implementation{Name: "toolbox", Version: "1"}, &mcp.ServerOptions{PageSize: 2})
	add, never := box.add, false
	add("echo", &mcp.ToolAnnotations{ReadOnlyHint: true, DestructiveHint: &never}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return text(string(r.Params.Arguments)), nil
	})
	add("meta", nil, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		meta, err := json.Marshal(r.Params.Meta)
		return text(string(meta)), err
	})
	add("odd", &mcp.ToolAnnotations{IdempotentHint: true}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result := text("odd")
		result.StructuredContent = json.RawMessage(oddResult)
		result.Meta = mcp.Meta{"x.example/y": "kept"}
		return result, nil
	})
	add("fails", nil, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result := text("no such city")
		result.IsError = true
		return result, nil
	})
	add("hang", nil, func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		box.entered <- struct{}{}
		select {
		case <-ctx.Done():
		case <-box.release:
		}
		return text("late"), nil
	})
	add("asks", nil, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: "p", Progress: 1})
		if err := r.Session.Ping(ctx, nil); err != nil {
			return nil, err
		}
		return text("thanks"), nil
	})
	return box
}

func (b *toolbox) add(name string, annotations *mcp.ToolAnnotations, handle mcp.ToolHandler) {
	schema := json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer","maximum":9007199254740993}}}`)
	b.server.AddTool(&mcp.Tool{Name: name, Description: "does " + name, InputSchema: schema, Annotations: annotations},
		func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			b.calls.Add(1)
			return handle(ctx, r)
		})
}

func text(said string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: said}}}
}

func (b *toolbox) http(options *mcp.StreamableHTTPOptions) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server {
		b.sessions.Add(1)
		return b.server
	}, options)
}

func (b *toolbox) sse() http.Handler {
	return mcp.NewSSEHandler(func(*http.Request) *mcp.Server {
		b.sessions.Add(1)
		return b.server
	}, nil)
}

// serve lets hanging calls go before the server closes, which waits for them.
func (b *toolbox) serve(t *testing.T, s served) *httptest.Server {
	t.Helper()
	server := serve(t, s.handler(b))
	t.Cleanup(func() { close(b.release) })
	return server
}

type served struct {
	name, protocol string
	handler        func(*toolbox) http.Handler
	stateful       bool
}

var transports = []served{
	{"stateful", ProtocolMCP, func(b *toolbox) http.Handler { return b.http(nil) }, true},
	{"stateful JSON", "", func(b *toolbox) http.Handler { return b.http(&mcp.StreamableHTTPOptions{JSONResponse: true}) }, true},
	{"stateless", ProtocolMCP, func(b *toolbox) http.Handler {
		return b.http(&mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true})
	}, false},
	{"resumable", ProtocolMCP, func(b *toolbox) http.Handler {
		return b.http(&mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)})
	}, true},
	{"sse", ProtocolSSE, func(b *toolbox) http.Handler { return b.sse() }, true},
}

func eachTransport(t *testing.T, test func(*testing.T, served, *toolbox, *Client, Target)) {
	for _, s := range transports {
		t.Run(s.name, func(t *testing.T) {
			box := newToolbox(t)
			server := serve(t, s.handler(box))
			t.Cleanup(func() {
				close(box.release)
				require.Eventually(t, func() bool { return sessionsOf(box) == 0 }, 10*time.Second, 5*time.Millisecond, "closing ends the sessions")
			})
			test(t, s, box, client(t, Limits{}), targetAt(server.URL, s.protocol))
		})
	}
}

func TestCalls(t *testing.T) {
	eachTransport(t, func(t *testing.T, s served, box *toolbox, c *Client, target Target) {
		raw, err := c.Call(t.Context(), target, "echo", json.RawMessage(`{"n":9007199254740993,"s":"<&>"}`), nil)
		require.NoError(t, err)
		require.Equal(t, `{"n":9007199254740993,"s":"<&>"}`, textOf(t, raw))

		raw, err = c.Call(t.Context(), target, "echo", nil, nil)
		require.NoError(t, err)
		require.Equal(t, `{}`, textOf(t, raw))

		raw, err = c.Call(t.Context(), target, "odd", nil, nil)
		require.NoError(t, err)
		require.Contains(t, string(raw), oddResult, "numbers and the order of members are the tool's")
		require.Contains(t, string(raw), `"x.example/y":"kept"`)

		raw, err = c.Call(t.Context(), target, "fails", nil, nil)
		require.NoError(t, err, "an error result is a result")
		require.Contains(t, string(raw), `"isError":true`)
		require.EqualValues(t, 4, box.calls.Load())
		require.False(t, Delivered(err))
	})
}

func TestMetaAndKeyReachTheTool(t *testing.T) {
	for _, s := range transports {
		t.Run(s.name, func(t *testing.T) {
			var mu sync.Mutex
			var keys []string
			handler := s.handler(newToolbox(t))
			server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				keys = append(keys, r.Header.Values("Idempotency-Key")...)
				mu.Unlock()
				handler.ServeHTTP(w, r)
			}))
			c, target := client(t, Limits{}), targetAt(server.URL, s.protocol)
			meta := map[string]any{"idempotencyKey": "op-1", "other": 2}
			raw, err := c.Call(t.Context(), target, "meta", nil, meta)
			require.NoError(t, err)
			got := map[string]any{}
			require.NoError(t, json.Unmarshal([]byte(textOf(t, raw)), &got))
			require.Equal(t, "op-1", got["idempotencyKey"])
			require.EqualValues(t, 2, got["other"])
			require.Equal(t, map[string]any{"idempotencyKey": "op-1", "other": 2}, meta, "the caller's map is left alone")
			_, err = c.Call(t.Context(), target, "meta", nil, nil)
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			require.Equal(t, []string{"op-1"}, keys, "with that one request only")
		})
	}
}

func TestJSONRPCErrorIsUpstream(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ served, _ *toolbox, c *Client, target Target) {
		for range 2 { // the session survives it
			_, err := c.Call(t.Context(), target, "nope", nil, nil)
			require.True(t, services.Is(err, services.Upstream), err)
			var e *services.Error
			require.ErrorAs(t, err, &e)
			require.EqualValues(t, -32602, *e.Details.(upstreamDetails).Code)
			require.Contains(t, e.Message, "nope")
		}
		_, err := c.Call(t.Context(), target, "echo", nil, nil)
		require.NoError(t, err)
	})
}

func TestList(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ served, _ *toolbox, c *Client, target Target) {
		methods, err := c.List(t.Context(), target)
		require.NoError(t, err)
		require.Len(t, methods, 6, "all pages")
		byName := map[string]Method{}
		for _, m := range methods {
			byName[m.Name] = m
		}
		require.Contains(t, string(byName["echo"].InputSchema), "9007199254740993")
		require.Equal(t, &Annotations{ReadOnly: true, OpenWorld: true}, byName["echo"].Annotations)
		require.Equal(t, &Annotations{Idempotent: true, Destructive: true, OpenWorld: true}, byName["odd"].Annotations)
		require.Nil(t, byName["meta"].Annotations)
		require.Equal(t, "does meta", byName["meta"].Description)
	})
}

func TestConcurrentFirstCallsShareOneSession(t *testing.T) {
	eachTransport(t, func(t *testing.T, s served, box *toolbox, c *Client, target Target) {
		var calls sync.WaitGroup
		for i := range 100 {
			calls.Go(func() {
				body, _ := json.Marshal(map[string]int{"n": i})
				raw, err := c.Call(t.Context(), target, "echo", body, nil)
				if err != nil || textOf(t, raw) != string(body) {
					t.Errorf("call %d: %s %v", i, raw, err)
				}
			})
		}
		calls.Wait()
		require.Len(t, c.sessions.slots, 1)
		if s.stateful {
			require.Eventually(t, func() bool { return sessionsOf(box) == 1 }, 10*time.Second, 5*time.Millisecond, "one session for all")
		}
	})
}

// sessionsOf counts the sessions that a server has at present.
func sessionsOf(box *toolbox) (n int64) {
	for range box.server.Sessions() {
		n++
	}
	return n
}

func TestTheFirstCallerLeavesAndTheOthersDoNotMind(t *testing.T) {
	box := newToolbox(t)
	inside, goOn := make(chan struct{}), make(chan struct{})
	handler := box.http(nil)
	var once sync.Once
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			close(inside)
			<-goOn
		})
		handler.ServeHTTP(w, r)
	}))
	c, target := client(t, Limits{}), targetAt(server.URL, ProtocolMCP)
	first, leave := context.WithCancel(t.Context())
	failed, passed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := c.Call(first, target, "echo", nil, nil)
		failed <- err
	}()
	<-inside
	go func() {
		_, err := c.Call(t.Context(), target, "echo", nil, nil)
		passed <- err
	}()
	leave()
	err := <-failed
	require.True(t, services.Is(err, services.Unavailable), err)
	require.False(t, Delivered(err))
	close(goOn)
	require.NoError(t, <-passed)
}

func TestTimeOutAndCancellationAfterWriting(t *testing.T) {
	for _, s := range transports {
		t.Run(s.name, func(t *testing.T) {
			box := newToolbox(t)
			server := box.serve(t, s)
			target := targetAt(server.URL, s.protocol)

			slow := client(t, Limits{CallTimeout: 300 * time.Millisecond})
			_, err := slow.Call(t.Context(), target, "echo", nil, nil)
			require.NoError(t, err)
			_, err = slow.Call(t.Context(), target, "hang", nil, nil)
			require.True(t, services.Is(err, services.Timeout), err)
			require.True(t, Delivered(err))
			<-box.entered

			c := client(t, Limits{})
			ctx, leave := context.WithCancel(t.Context())
			go func() {
				<-box.entered
				leave()
			}()
			_, err = c.Call(ctx, target, "hang", nil, nil)
			require.True(t, services.Is(err, services.Timeout), err)
			require.True(t, Delivered(err))
			require.ErrorContains(t, err, "given up")
			_, err = c.Call(t.Context(), target, "echo", nil, nil)
			require.NoError(t, err, "the session goes on")
			require.Len(t, c.sessions.slots, 1)
		})
	}
}

func TestCloseCutsCalls(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ served, box *toolbox, c *Client, target Target) {
		failed := make(chan error, 1)
		go func() {
			_, err := c.Call(t.Context(), target, "hang", nil, nil)
			failed <- err
		}()
		<-box.entered
		require.NoError(t, c.Close())
		err := <-failed
		require.True(t, Delivered(err), err)
		_, err = c.Call(t.Context(), target, "echo", nil, nil)
		require.True(t, services.Is(err, services.Unavailable), err)
		_, err = c.List(t.Context(), target)
		require.True(t, services.Is(err, services.Unavailable), err)
	})
}

func TestServersPingInACallIsAnswered(t *testing.T) {
	box := newToolbox(t)
	server := serve(t, box.http(nil))
	raw, err := client(t, Limits{}).Call(t.Context(), targetAt(server.URL, ProtocolMCP), "asks", nil, nil)
	require.NoError(t, err)
	require.Equal(t, "thanks", textOf(t, raw))
}

func TestIdleSessionsAreClosed(t *testing.T) {
	for _, s := range transports {
		if !s.stateful {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			box := newToolbox(t)
			server := box.serve(t, s)
			c, target := client(t, Limits{IdleTimeout: 500 * time.Millisecond}), targetAt(server.URL, s.protocol)
			_, err := c.Call(t.Context(), target, "echo", nil, nil)
			require.NoError(t, err)
			require.NotZero(t, sessionsOf(box))
			require.Eventually(t, func() bool { return sessionsOf(box) == 0 }, 10*time.Second, 5*time.Millisecond)
			_, err = c.Call(t.Context(), target, "echo", nil, nil)
			require.NoError(t, err)
		})
	}
}

// TestRestart stops a server and starts one that knows nothing on the same port.
func TestRestart(t *testing.T) {
	for _, s := range transports {
		t.Run(s.name, func(t *testing.T) {
			box := newToolbox(t)
			first := httptest.NewServer(s.handler(box))
			address := first.Listener.Addr().String()
			c, target := client(t, Limits{}), targetAt(first.URL, s.protocol)
			_, err := c.Call(t.Context(), target, "echo", nil, nil)
			require.NoError(t, err)
			first.CloseClientConnections()
			first.Close()

			_, err = c.Call(t.Context(), target, "echo", nil, nil)
			require.True(t, services.Is(err, services.Unavailable), err)
			require.ErrorContains(t, err, "connection refused")
			require.False(t, Delivered(err))

			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
			require.NoError(t, err)
			second := httptest.NewUnstartedServer(s.handler(newToolbox(t)))
			require.NoError(t, second.Listener.Close())
			second.Listener = listener
			second.Start()
			defer second.Close()
			defer second.CloseClientConnections()
			_, err = c.Call(t.Context(), target, "echo", nil, nil)
			require.NoError(t, err)
		})
	}
}

// TestLostSessionIsMadeAnew swaps the server behind a port that stays open.
func TestLostSessionIsMadeAnew(t *testing.T) {
	for _, s := range transports {
		t.Run(s.name, func(t *testing.T) {
			var now atomic.Pointer[http.Handler]
			swap := func() *toolbox {
				box := newToolbox(t)
				handler := s.handler(box)
				now.Store(&handler)
				return box
			}
			swap()
			server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*now.Load()).ServeHTTP(w, r) }))
			c, target := client(t, Limits{}), targetAt(server.URL, s.protocol)
			_, err := c.Call(t.Context(), target, "echo", nil, nil)
			require.NoError(t, err)
			box := swap()
			_, err = c.Call(t.Context(), target, "echo", nil, nil)
			require.NoError(t, err)
			require.EqualValues(t, 1, box.calls.Load())
		})
	}
}

func TestRefusedAddress(t *testing.T) {
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	c := New(policy, zaptest.NewLogger(t), Limits{})
	defer func() { require.NoError(t, c.Close()) }()
	for _, protocol := range []string{ProtocolMCP, ProtocolSSE, ProtocolJSONRPC, ProtocolREST} {
		_, err := c.Call(t.Context(), targetAt("http://127.0.0.1:1/mcp?token=secret", protocol), "x", nil, nil)
		require.True(t, services.Is(err, services.Upstream), err)
		require.ErrorContains(t, err, "TOOL_EGRESS_ALLOW")
		require.NotContains(t, err.Error(), "secret")
		require.False(t, Delivered(err))
	}
}

func TestInvalidCalls(t *testing.T) {
	c := client(t, Limits{})
	good := "http://127.0.0.1:1/"
	for name, call := range map[string]func() error{
		"no method": func() error { return second(c.Call(t.Context(), targetAt(good, "mcp"), "", nil, nil)) },
		"control":   func() error { return second(c.Call(t.Context(), targetAt(good, "mcp"), "a\nb", nil, nil)) },
		"array": func() error {
			return second(c.Call(t.Context(), targetAt(good, "mcp"), "a", json.RawMessage(`[1]`), nil))
		},
		"not JSON": func() error {
			return second(c.Call(t.Context(), targetAt(good, "mcp"), "a", json.RawMessage(`{`), nil))
		},
		"stdio":    func() error { return second(c.Call(t.Context(), targetAt(good, "stdio"), "a", nil, nil)) }, // no command
		"protocol": func() error { return second(c.List(t.Context(), targetAt(good, "soap"))) },
		"bad meta": func() error {
			return second(c.Call(t.Context(), targetAt(good, "sse"), "a", nil, map[string]any{"x": make(chan int)}))
		},
		"no URL": func() error { return second(c.Call(t.Context(), targetAt("nope", "mcp"), "a", nil, nil)) },
		"userinfo": func() error {
			return second(c.Call(t.Context(), targetAt("http://u:p@127.0.0.1", "rest"), "a", nil, nil))
		},
		"path": func() error { return second(c.Call(t.Context(), targetAt(good, "rest"), "..", nil, nil)) },
		"bad key": func() error {
			return second(c.Call(t.Context(), targetAt(good, "mcp"), "a", nil, map[string]any{"idempotencyKey": "a\r\nb"}))
		},
		"empty key": func() error {
			return second(c.Call(t.Context(), targetAt(good, "mcp"), "a", nil, map[string]any{"idempotencyKey": ""}))
		},
	} {
		require.True(t, services.Is(call(), services.Invalid), name)
	}
}

func second[T any](_ T, err error) error { return err }

func BenchmarkCall(b *testing.B) {
	server := serve(b, fake(say("application/json", `{"id":ID,"result":{"content":[{"text":"ok"}]}}`)))
	policy, err := egress.New(egress.Config{Allow: []string{"127.0.0.1"}})
	require.NoError(b, err)
	c := New(policy, zap.NewNop(), Limits{})
	defer func() { require.NoError(b, c.Close()) }()
	target := targetAt(server.URL, ProtocolMCP)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Call(b.Context(), target, "m", json.RawMessage(`{"a":1}`), nil); err != nil {
			b.Fatal(err)
		}
	}
}
