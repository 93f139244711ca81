package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// BenchmarkMCP holds calls through /mcp, in both eras, against the same calls by the REST
// route, made directly, and through a gateway that is naively built of the SDK's server
// and client, with nothing of what UAOL does on the way. All take turns.
//
//	mcp-through-naive/x     calls a second through /mcp by those through the naive gateway
//	session-through-naive/x the same for clients with sessions
func BenchmarkMCP(b *testing.B) {
	tool := fastTool(b)
	at, err := url.Parse(tool)
	require.NoError(b, err)
	const many = "100000000"
	w := world.Together(b, world.Settings{
		"TOOL_EGRESS_ALLOW": at.Host, "DATABASE_POOL_MAX": "20", "RATE_LIMIT_PER_MINUTE": many,
		"UAOL_CALLS_PER_USER_MINUTE": many, "UAOL_CALLS_PER_ORGANIZATION_MINUTE": many,
		"UAOL_CALLS_PER_TOOL_MINUTE": many, "UAOL_CALLS_PER_USER_AND_TOOL_MINUTE": many,
	})
	durability(b, w.Database)
	made := world.New(w.Gateway).Do(b, http.MethodPost, "/auth/register", object{"email": email()})
	require.Equal(b, http.StatusCreated, made.Status, made)
	token := made.Text("data.token")
	enrich(b, w.Database)
	charged := benchTool(b, w, token, tool, 1)
	benchTool(b, w, token, tool, 0) // of the same name
	tools := world.New(w.Gateway).As(token).Do(b, http.MethodGet, "/tools/my/tools", nil)
	free := tools.Text("data.0.slug") + "__echo"
	naive, sessions := naiveGateway(b, tool, true), naiveGateway(b, tool, false)
	const arguments = `"arguments":{"text":"hello","times":3}`
	const introduced = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	older := func(name string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + name + `",` + arguments + `}}`
	}
	newer := func(name string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + name + `",` + arguments + `,` + introduced + `}}`
	}
	modern := func(name string) http.Header {
		return http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {name}}
	}
	ways := []way{
		{name: "direct", url: tool, body: older("echo")},
		{name: "rest", url: w.Gateway + "/proxy/" + charged + "/call", body: `{"method":"echo","params":{"text":"hello","times":3}}`, token: token},
		{name: "mcp", url: w.Gateway + "/mcp", body: newer("fast__echo"), token: token, header: modern("fast__echo")},
		{name: "mcp-free", url: w.Gateway + "/mcp", body: newer(free), token: token, header: modern(free)},
		{name: "session", url: w.Gateway + "/mcp", body: older("fast__echo"), token: token, header: session(b, w.Gateway+"/mcp", token)},
		{name: "naive", url: naive, body: newer("echo"), header: modern("echo")},
		{name: "naive-session", url: sessions, body: older("echo"), header: session(b, sessions, "")},
	}
	paid := whenPaid(b, w.Database)
	for _, connections := range []int{1, 32} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			by := race(b, ways, connections, paid)
			b.ReportMetric(by["mcp"].rate()/by["naive"].rate(), "mcp-through-naive/x")
			b.ReportMetric(by["mcp-free"].rate()/by["naive"].rate(), "mcp-free-through-naive/x")
			b.ReportMetric(by["session"].rate()/by["naive-session"].rate(), "session-through-naive/x")
			b.ReportMetric(by["mcp"].rate()/by["rest"].rate(), "mcp-through-rest/x")
			for _, name := range []string{"rest", "mcp", "mcp-free", "session", "naive", "naive-session"} {
				b.ReportMetric(by[name].each(by[name].allocs)-by["direct"].each(by["direct"].allocs), name+"-allocs")
				b.ReportMetric((by[name].each(by[name].bytes)-by["direct"].each(by["direct"].bytes))/1024, name+"-KB")
			}
		})
	}
}

// session begins one at an MCP server, with the headers that name it.
func session(b *testing.B, at, token string) http.Header {
	client := world.New(at).As(token)
	answer := client.With("Accept", "application/json, text/event-stream").Do(b, http.MethodPost, "", json.RawMessage(
		`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`))
	require.Equal(b, http.StatusOK, answer.Status, answer)
	return http.Header{"Mcp-Session-Id": {answer.Header.Get("Mcp-Session-Id")}, "Mcp-Protocol-Version": {"2025-11-25"}}
}

// naiveGateway passes a tool's methods on by the SDK's server and client.
func naiveGateway(b *testing.B, tool string, stateless bool) (at string) {
	upstream, err := mcp.NewClient(&mcp.Implementation{Name: "naive", Version: "1"}, nil).Connect(b.Context(), &mcp.StreamableClientTransport{
		Endpoint: tool, HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, DisableStandaloneSSE: true,
	}, nil)
	require.NoError(b, err)
	b.Cleanup(func() { _ = upstream.Close() })
	listed, err := upstream.ListTools(b.Context(), nil)
	require.NoError(b, err)
	speaks := "2025-11-25"
	if stateless {
		speaks = "2026-07-28"
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "naive", Version: "1"}, &mcp.ServerOptions{SupportedProtocolVersions: []string{speaks}})
	for _, tool := range listed.Tools {
		server.AddTool(tool, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return upstream.CallTool(ctx, &mcp.CallToolParams{Name: r.Params.Name, Arguments: r.Params.Arguments})
		})
	}
	at = listen(b, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: stateless}))
	b.Cleanup(func() {
		for session := range server.Sessions() { // which the benchmark has left open
			_ = session.Close()
		}
	})
	return at
}

// BenchmarkList lists 500 methods of a caller's by one request.
func BenchmarkList(b *testing.B) {
	tool := manyMethods(b, 500)
	at, err := url.Parse(tool)
	require.NoError(b, err)
	w := world.Together(b, world.Settings{"TOOL_EGRESS_ALLOW": at.Host, "RATE_LIMIT_PER_MINUTE": "100000000"})
	made := world.New(w.Gateway).Do(b, http.MethodPost, "/auth/register", object{"email": email()})
	require.Equal(b, http.StatusCreated, made.Status, made)
	caller := world.New(w.Gateway).As(made.Text("data.token"))
	benchTool(b, w, made.Text("data.token"), tool, 1)
	body := json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		answer := caller.Do(b, http.MethodPost, "/mcp", body)
		took = append(took, time.Since(begun))
		if tools, _ := answer.At("result.tools").([]any); len(tools) != 500 {
			b.Fatalf("%d methods: %v", len(tools), answer)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

// manyMethods is a server with so many methods.
func manyMethods(b *testing.B, n int) (at string) {
	server := mcp.NewServer(&mcp.Implementation{Name: "many", Version: "1"}, nil)
	for i := range n {
		server.AddTool(&mcp.Tool{
			Name: fmt.Sprintf("method_%03d", i), Description: "is one of many, and tells in two lines or so what it does and when it is best called by a model that has to choose",
			InputSchema: json.RawMessage(`{"type":"object","required":["text"],"properties":{"text":{"type":"string","description":"what to say"},"times":{"type":"integer","minimum":1,"maximum":10}}}`),
		}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{}, nil
		})
	}
	return listen(b, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
}
