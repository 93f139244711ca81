package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/egress"
	"uaol/providers/events"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// tooling is what our jobs call.
type tooling struct {
	catalog registry.Catalog
	invoker proxy.Invoker
	tool    uuid.UUID
	action  string
	close   func()
}

type equip func(t testing.TB, pool *pgxpool.Pool, meter *billing.Service, bus *events.Bus) tooling

// withNothing calls a tool that does nothing.
func withNothing(price int64, repeatable bool) equip {
	return func(testing.TB, *pgxpool.Pool, *billing.Service, *events.Bus) tooling {
		catalog := offered(price, repeatable)
		return tooling{catalog: catalog, invoker: noop{}, tool: catalog.offer.ToolID, action: "do", close: func() {}}
	}
}

// toolServer is an MCP server of the official SDK, which keeps the first call
// that comes, for others to repeat.
type toolServer struct {
	url   string
	calls atomic.Int64

	mu     sync.Mutex
	header http.Header
	body   map[string]any
}

func startTools(t testing.TB) *toolServer {
	t.Helper()
	s := &toolServer{}
	takes, err := time.ParseDuration(cmp.Or(os.Getenv("UAOL_BENCH_TOOL_TAKES"), "0"))
	require.NoError(t, err)
	tools := mcp.NewServer(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	tools.AddTool(&mcp.Tool{Name: "do", InputSchema: json.RawMessage(`{"type":"object"}`), Annotations: &mcp.ToolAnnotations{IdempotentHint: true}},
		func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			s.calls.Add(1)
			time.Sleep(takes)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil
		})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, nil)
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.kept() == nil && r.Method == http.MethodPost {
			s.keep(r)
		}
		handler.ServeHTTP(w, r)
	}))
	s.url = listening.URL
	t.Cleanup(func() {
		for session := range tools.Sessions() {
			_ = session.Close()
		}
		listening.CloseClientConnections()
		listening.Close()
	})
	return s
}

func (s *toolServer) kept() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body
}

func (s *toolServer) keep(r *http.Request) {
	text, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(text))
	var message map[string]any
	if err != nil || json.Unmarshal(text, &message) != nil || message["method"] != "tools/call" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header, s.body = r.Header.Clone(), message
	s.header.Del("Content-Length")
}

// withCalls calls the server through the real proxy, as the registry has it.
func (s *toolServer) withCalls(price int64) equip {
	return func(t testing.TB, pool *pgxpool.Pool, meter *billing.Service, bus *events.Bus) tooling {
		t.Helper()
		policy, err := egress.New(egress.Config{Allow: []string{"127.0.0.1"}})
		require.NoError(t, err)
		client := upstream.New(policy, zap.NewNop(), upstream.Limits{})
		tools := registry.NewService(registry.NewRepository(pool), policy, client, nil, bus)
		outbox := events.NewOutbox(services.Registry)
		cache := registry.NewCache(tools, func(ctx context.Context, in events.RecentRequest) ([]events.Event, error) {
			return outbox.Recent(ctx, pool, in)
		}, bus)
		following, cancel := context.WithCancel(context.Background())
		var follower sync.WaitGroup
		follower.Go(func() { _ = cache.Run(following) })
		cfg := proxy.Config{HoldSeconds: 900, View: 15 * time.Minute}
		till := proxy.NewTill(cfg, meter, proxy.NewRepository(pool), zap.NewNop())
		till.Start()
		service := proxy.NewService(cache, till, client, nil, proxy.DigestKey("a key for digests"), cfg, zap.NewNop())
		name, protocol := "tool", "mcp"
		admin := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleAdmin}
		tool, err := tools.Register(t.Context(), admin, registry.Change{Name: &name, GatewayURL: &s.url, Price: &price, Protocol: &protocol})
		require.NoError(t, err)
		require.NoError(t, tools.Approve(t.Context(), admin, tool.ID, registry.Decision{}))
		warm(t, cache, tool.ID)
		return tooling{catalog: cache, invoker: service, tool: tool.ID, action: "do", close: func() {
			service.Close()
			_ = till.Stop(context.Background())
			cancel()
			follower.Wait()
			cache.Close()
			_ = client.Close()
		}}
	}
}

// warm waits until the registry's offer is answered from memory, as it is in a
// process that has been up for a second.
func warm(t testing.TB, cache *registry.Cache, tool uuid.UUID) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := cache.Offers(t.Context(), registry.ToolsRequest{IDs: []uuid.UUID{tool}})
		require.NoError(t, err)
		hits, _ := cache.Rate()
		return hits > 0
	}, time.Minute, 10*time.Millisecond)
}

// TestThroughputOfCalls: the same with a step that calls a tool over HTTP. River's
// worker makes the request that ours has made, itself.
func TestThroughputOfCalls(t *testing.T) {
	n := size(t, "UAOL_BENCH_CALLS", 1000)
	tools := startTools(t)
	tools.learn(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	fmt.Printf("\nProtocol-Version %q, session %t\n", tools.header.Get("Mcp-Protocol-Version"), tools.header.Get("Mcp-Session-Id") != "")
	before := tools.calls.Load()
	sides := []side{riverSide("River", n, func(ctx context.Context) error { return tools.repeat(ctx, client) })}
	for _, price := range []int64{0, 1} {
		sides = append(sides, uaolSide(fmt.Sprintf("uaol, price %d", price), n, price, tools.withCalls(price)))
	}
	compare(t, fmt.Sprintf("%d jobs of a step that calls a tool over HTTP", n), sides)
	if !alone() {
		require.EqualValues(t, 6*n*rounds(t), tools.calls.Load()-before, "nobody called twice")
	}
}

// learn lets one of our jobs call, whose request is repeated later.
func (s *toolServer) learn(t testing.TB) {
	t.Helper()
	u := startUAOL(t, newDatabase(t, true), s.withCalls(0), nil)
	t.Cleanup(u.stop) // a session that the request names goes on until then
	u.work()
	u.expect(1)
	_, err := u.service.Create(t.Context(), u.caller, request(t, u.step("a")))
	require.NoError(t, err)
	u.wait(t)
	u.succeeded(t, 1, 0)
	require.NotNil(t, s.kept())
}

var number atomic.Int64

// repeat makes the request that was kept, with an id of its own.
func (s *toolServer) repeat(ctx context.Context, client *http.Client) error {
	message := make(map[string]any, len(s.body))
	for k, v := range s.body {
		message[k] = v
	}
	message["id"] = number.Add(1) + 1_000_000
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	in, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	in.Header = s.header.Clone()
	out, err := client.Do(in)
	if err != nil {
		return err
	}
	defer out.Body.Close()
	answer, err := io.ReadAll(out.Body)
	if err == nil && (out.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"done"`))) {
		err = errors.New(out.Status + " " + string(answer))
	}
	return err
}
