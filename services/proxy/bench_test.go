package proxy

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/billing/billingtest"
	"uaol/services/registry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const patience = 60 * time.Second

// bench is what a test of this package works with; all of it is real.
type bench struct {
	pool    *pgxpool.Pool
	catalog *registry.Service
	meter   *billing.Service
	client  *upstream.Client
	till    *Cashier
	service *Service
	keys    *Once
	caller  services.Caller
	box     *toolbox
	shelf   *shelf // instead of the catalog, once a test lays offers out
}

func setup(t testing.TB) *bench { return setupWith(t, upstream.Limits{}) }

func setupWith(t testing.TB, limits upstream.Limits) *bench {
	t.Helper()
	b := &bench{pool: pgtest.New(t), caller: user(), box: newToolbox(t)}
	policy, err := egress.New(egress.Config{Allow: []string{"127.0.0.1"}})
	require.NoError(t, err)
	b.catalog = registry.NewService(registry.NewRepository(b.pool), policy, nil, nil, events.NewBus())
	b.meter = billingtest.New(t, b.pool)
	b.client = upstream.New(policy, zap.NewNop(), limits)
	t.Cleanup(func() { require.NoError(t, b.client.Close()) })
	b.serve(t, b.catalog, b.meter, nil)
	return b
}

// serve makes the proxy that the test calls.
func (b *bench) serve(t testing.TB, catalog registry.Catalog, meter billing.Meter, limiter Limiter) {
	t.Helper()
	cfg := Config{HoldSeconds: 300, View: 15 * time.Minute}
	till := NewTill(cfg, meter, NewRepository(b.pool), zap.NewNop())
	till.Start()
	service := NewService(catalog, till, b.client, limiter, DigestKey("a key for digests"), cfg, zap.NewNop())
	t.Cleanup(func() {
		service.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, till.Stop(ctx))
	})
	b.till, b.service, b.keys = till, service, NewOnce(service, NewRepository(b.pool), zap.NewNop())
}

// records gives the calls that were recorded, the first first.
func (b *bench) records(t testing.TB) []Call {
	t.Helper()
	require.NoError(t, b.till.Flush(context.Background()))
	calls, err := postgres.All[Call](context.Background(), b.pool, `
		SELECT call_id, organization_id, account_id, key_id, tool_id, version, method, digest, shape, outcome, code, bytes_out, bytes_in, credits, job_id, step, trace_id
		FROM uaol_proxy.calls ORDER BY created_at, call_id`)
	require.NoError(t, err)
	return calls
}

func user() services.Caller {
	return services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
}

// tool registers an approved tool.
func (b *bench) tool(t testing.TB, price int64, url, protocol string) uuid.UUID {
	t.Helper()
	id := b.pending(t, price, url, protocol)
	require.NoError(t, b.catalog.Approve(t.Context(), admin, id, registry.Decision{Unpinned: true}))
	return id
}

func (b *bench) pending(t testing.TB, price int64, url, protocol string) uuid.UUID {
	t.Helper()
	name := "tool " + uuid.NewString()
	tool, err := b.catalog.Register(t.Context(), user(), registry.Change{Name: &name, GatewayURL: &url, Price: &price, Protocol: &protocol})
	require.NoError(t, err)
	return tool.ID
}

func (b *bench) number(t testing.TB, sql string, args ...any) int64 {
	t.Helper()
	n, err := postgres.Value[int64](context.Background(), b.pool, sql, args...)
	require.NoError(t, err)
	return n
}

// spent tells what the caller has paid; nothing may stay held, and the account
// is what its entries add up to.
func (b *bench) spent(t testing.TB) int64 {
	t.Helper()
	require.NoError(t, b.till.Flush(context.Background()))
	balance, err := b.meter.Balance(context.Background(), billing.BalanceRequest{Caller: b.caller})
	require.NoError(t, err)
	require.Zero(t, balance.Held, "nothing stays held")
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_billing.holds WHERE state = 'open'`))
	require.Zero(t, b.number(t, `
		SELECT count(*) FROM uaol_billing.accounts a WHERE (available, held) <> (
			SELECT coalesce(sum(CASE WHEN kind IN ('grant', 'purchase', 'release', 'refund', 'receive') THEN amount WHEN kind IN ('settle', 'owe') THEN 0 ELSE -amount END), 0)::bigint, coalesce(sum(CASE kind WHEN 'hold' THEN amount WHEN 'settle' THEN -amount WHEN 'release' THEN -amount ELSE 0 END), 0)::bigint
			FROM uaol_billing.journal e WHERE e.organization_id = a.organization_id)`))
	return 10_000 - balance.Available
}

// entries counts what the ledger holds of a kind.
func (b *bench) entries(t testing.TB, kind string) int64 {
	t.Helper()
	return b.number(t, `SELECT count(*) FROM uaol_billing.journal WHERE kind = $1`, kind)
}

// toolbox is an MCP server made with the SDK, and a server that misbehaves.
type toolbox struct {
	mcp, odd string // their addresses
	calls    atomic.Int64
	entered  chan struct{} // a call that hangs has begun
	release  chan struct{}
	mu       sync.Mutex
	keys     []string // Idempotency-Key headers at the odd server
}

func newToolbox(t testing.TB) *toolbox {
	t.Helper()
	box := &toolbox{entered: make(chan struct{}, 100), release: make(chan struct{})}
	server := mcp.NewServer(&mcp.Implementation{Name: "toolbox", Version: "1"}, nil)
	add := func(name string, annotations *mcp.ToolAnnotations, handle mcp.ToolHandler) {
		server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`), Annotations: annotations},
			func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				box.calls.Add(1)
				return handle(ctx, r)
			})
	}
	says := func(text string, failed bool) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}, IsError: failed}, nil
	}
	add("echo", &mcp.ToolAnnotations{ReadOnlyHint: true}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return says(string(r.Params.Arguments), false)
	})
	add("key", &mcp.ToolAnnotations{IdempotentHint: true}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		key, _ := r.Params.Meta["idempotencyKey"].(string)
		return says(key, false)
	})
	add("fails", nil, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return says("no such city", true)
	})
	add("hang", nil, func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		box.entered <- struct{}{}
		select {
		case <-box.release:
		case <-ctx.Done():
		}
		return says("late", false)
	})
	good := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	odd := httptest.NewServer(http.HandlerFunc(box.misbehave))
	box.mcp, box.odd = good.URL, odd.URL
	t.Cleanup(func() {
		close(box.release)
		for session := range server.Sessions() {
			_ = session.Close()
		}
		for _, s := range []*httptest.Server{good, odd} {
			s.CloseClientConnections()
			s.Close()
		}
	})
	return box
}

// misbehave is a REST tool whose methods say how it fails.
func (box *toolbox) misbehave(w http.ResponseWriter, r *http.Request) {
	box.calls.Add(1)
	box.mu.Lock()
	box.keys = append(box.keys, strings.Join(r.Header["Idempotency-Key"], ","))
	box.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/status500":
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"error":"it broke"}`))
	case "/status503":
		w.WriteHeader(http.StatusServiceUnavailable)
	case "/garbage":
		_, _ = w.Write([]byte(`{"content":`))
	case "/odd":
		_, _ = w.Write([]byte(`{"content":[],"isError":"yes"}`))
	case "/cut":
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	case "/list":
		_, _ = w.Write([]byte(`[1]`))
	case "/hang":
		box.entered <- struct{}{}
		select {
		case <-box.release:
		case <-r.Context().Done():
		}
	default:
		_, _ = w.Write([]byte(`{"n":9007199254740993}`))
	}
}

// closed is an address at which nobody listens.
func closed(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	return server.URL
}

func textOf(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	var result struct{ Content []struct{ Text string } }
	require.NoError(t, json.Unmarshal(raw, &result), string(raw))
	require.NotEmpty(t, result.Content, string(raw))
	return result.Content[0].Text
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

func bodyOf(text string) io.Reader {
	if text == "" {
		return http.NoBody
	}
	return strings.NewReader(text)
}

// admin is who decides about tools.
var admin = services.Caller{Account: uuid.New(), Role: services.RoleAdmin}
