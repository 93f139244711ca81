package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/events"
	"uaol/providers/peers/peerstest"
	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/billing"
	"uaol/services/proxy"
	"uaol/services/registry"
)

// realTools is an MCP server made with the SDK, and the real proxy before it.
type realTools struct {
	url     string
	proxy   *proxy.Service
	entered chan struct{} // a call that waits has begun
	release chan struct{}

	mu   sync.Mutex
	keys []string // idempotency keys, as they came
}

func (r *realTools) came() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.keys...)
}

func withRealTools(t testing.TB, b *bench, limits ...upstream.Limits) *realTools {
	t.Helper()
	r := &realTools{entered: make(chan struct{}, 100), release: make(chan struct{})}
	server := mcp.NewServer(&mcp.Implementation{Name: "tools", Version: "1"}, nil)
	says := func(text string, failed bool) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}, IsError: failed}, nil
	}
	add := func(name string, annotations *mcp.ToolAnnotations, handle mcp.ToolHandler) {
		server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`), Annotations: annotations},
			func(ctx context.Context, in *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				key, _ := in.Params.Meta["idempotencyKey"].(string)
				r.mu.Lock()
				r.keys = append(r.keys, key)
				r.mu.Unlock()
				return handle(ctx, in)
			})
	}
	add("echo", nil, func(_ context.Context, in *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return says(string(in.Params.Arguments), false)
	})
	add("fails", nil, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return says("no such city", true)
	})
	add("nul", nil, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return says("a\x00b", false) })
	waits := func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		r.entered <- struct{}{}
		select {
		case <-r.release:
		case <-ctx.Done():
		}
		return says("done", false)
	}
	add("waits", nil, waits)
	add("lookup", &mcp.ToolAnnotations{ReadOnlyHint: true}, waits)
	listening := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	client := upstream.New(b.policy, zap.NewNop(), append(limits, upstream.Limits{})[0])
	cfg := proxy.Config{HoldSeconds: 300, View: 15 * time.Minute}
	till := proxy.NewTill(cfg, b.meter, proxy.NewRepository(b.pool), zap.NewNop())
	till.Start()
	r.proxy = proxy.NewService(b.catalog, till, client, nil, proxy.DigestKey("a key for digests"), cfg, zap.NewNop())
	t.Cleanup(func() {
		r.proxy.Close()
		require.NoError(t, till.Stop(context.Background()))
		require.NoError(t, client.Close())
		for session := range server.Sessions() {
			_ = session.Close()
		}
		listening.CloseClientConnections()
		listening.Close()
	})
	r.url = listening.URL
	return r
}

func TestAJobThroughTheRealProxy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := withRealTools(t, b)
	five, three := b.toolAt(t, 5, r.url), b.toolAt(t, 3, r.url)
	b.start(t, through(r.proxy))
	job, err := b.service.Create(t.Context(), b.caller, Request{Input: json.RawMessage(`{"x":"{{a.result}}"}`), Definition: definition(t,
		stepJSON{ID: "c", Tool: three, Action: "echo", Params: map[string]any{"both": "{{a.result.content.0.text}} {{b.result.content.0.type}}", "whole": "{{b.result.content.0}}"}},
		stepJSON{ID: "a", Tool: five, Action: "echo", Params: map[string]any{"n": json.Number("9007199254740993"), "s": "{{input.x}} <&>"}},
		stepJSON{ID: "b", Tool: three, Action: "echo"})})
	require.NoError(t, err)
	got := b.ended(t, job.ID)
	require.Equal(t, Success, got.Status, "%v", got.ErrorMessage)
	var output map[string]struct {
		Content []struct{ Text string }
	}
	require.NoError(t, json.Unmarshal(got.FinalOutput, &output))
	require.Equal(t, map[string]any{
		"both": `{"n":9007199254740993,"s":"{{a.result}} <&>"} text`, "whole": map[string]any{"type": "text", "text": "{}"},
	}, decoded(t, output["c"].Content[0].Text))
	require.ElementsMatch(t, []string{job.ID.String() + "/a", job.ID.String() + "/b", job.ID.String() + "/c"}, r.came())
	require.EqualValues(t, 11, b.spent(t))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM uaol_billing.journal WHERE kind = 'hold'`), "the job's, and none of the proxy's")
	require.EqualValues(t, 3, b.number(t, `SELECT count(*) FROM uaol_billing.journal WHERE kind = 'settle'`))
}

func TestWhatTheRealProxyRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action  string
		change  func(t *testing.T, b *bench, tool uuid.UUID)
		message string
	}{
		"isError":        {"fails", nil, "Step b failed: the tool says: no such city"},
		"unknown method": {"nope", nil, `Step b failed: The tool answered with an error: unknown tool "nope"`},
		"a newer version": {"echo", func(t *testing.T, b *bench, tool uuid.UUID) {
			b.newVersion(t, tool)
			require.NoError(t, b.catalog.Approve(t.Context(), admin, tool, registry.Decision{Unpinned: true}))
		}, "has changed since (version 1, now 2)"},
		"an approval that was undone": {"echo", func(t *testing.T, b *bench, tool uuid.UUID) {
			require.NoError(t, b.catalog.Disable(t.Context(), admin, tool, registry.Decision{}))
		}, "Step b failed: Tool not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := withRealTools(t, b)
			good, bad := b.toolAt(t, 5, r.url), b.toolAt(t, 3, r.url)
			job := b.create(t, stepJSON{ID: "a", Tool: good, Action: "echo"}, stepJSON{ID: "b", Tool: bad, Action: c.action, Needs: []string{"a"}}, stepJSON{ID: "c", Tool: good, Action: "echo", Needs: []string{"b"}})
			if c.change != nil {
				c.change(t, b, bad)
			}
			b.start(t, through(r.proxy))
			got := b.ended(t, job.ID)
			require.Equal(t, Failed, got.Status)
			require.Contains(t, failureOf(t, got), c.message)
			require.Equal(t, map[string]Status{"a": Success, "b": Failed, "c": Skipped}, statuses(b.steps(t, job.ID)))
			require.EqualValues(t, 5, b.spent(t))
		})
	}
}

func TestAJobGoesOnWithAVersionWhileTheNextOneWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := withRealTools(t, b)
	tool := b.toolAt(t, 5, r.url)
	job := b.create(t, stepJSON{ID: "a", Tool: tool, Action: "echo"})
	b.newVersion(t, tool)
	b.start(t, through(r.proxy))
	require.Equal(t, Success, b.ended(t, job.ID).Status)
	require.EqualValues(t, 5, b.spent(t))
}

// newVersion changes a tool's price, as its owner may.
func (b *bench) newVersion(t testing.TB, tool uuid.UUID) {
	t.Helper()
	price := int64(99)
	_, err := b.catalog.Update(t.Context(), b.caller, tool, registry.Change{Price: &price})
	require.NoError(t, err)
}

func TestAnEngineDiesDuringARealCall(t *testing.T) {
	t.Parallel()
	for action, again := range map[string]bool{"lookup": true, "waits": false} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := withRealTools(t, b)
			first := b.start(t, through(r.proxy), handingBackIn(time.Millisecond))
			job := b.create(t, stepJSON{ID: "a", Tool: b.toolAt(t, 5, r.url), Action: action})
			receive(t, r.entered)
			first.kill()
			close(r.release)
			b.expire(t, job.ID)
			b.start(t, through(r.proxy))
			if again {
				require.Equal(t, Success, b.ended(t, job.ID).Status)
				require.Equal(t, []string{job.ID.String() + "/a", job.ID.String() + "/a"}, r.came(), "the same key both times")
				require.EqualValues(t, 5, b.spent(t))
				return
			}
			b.waits(t, job.ID, "a", Unknown)
			require.NoError(t, b.service.Decide(t.Context(), b.caller, job.ID, DecideRequest{Step: "a", Decision: Fail}))
			require.Contains(t, failureOf(t, b.ended(t, job.ID)), "OUTCOME_UNKNOWN")
			require.Len(t, r.came(), 1)
			require.Zero(t, b.spent(t))
		})
	}
}

// TestJobDirectory runs billing's view of this service over both of its bodies.
func TestJobDirectory(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"local", "remote"} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var directory billing.JobDirectory = b.service
			if body == "remote" {
				client, err := NewClient(ClientConfig{URL: peerstest.Serve(t, routes(NewHandler(b.service), b.pool, events.Outlet{}).Routes.Operations...)}, peerstest.Tokens(t))
				require.NoError(t, err)
				t.Cleanup(client.peer.Close)
				directory = client
			}
			tool := b.tool(t, 0)
			over := b.create(t, stepJSON{ID: "a", Tool: tool})
			b.start(t)
			b.ended(t, over.ID)
			g := newGate(t)
			b.tools.answers(g.pass)
			open := b.create(t, stepJSON{ID: "a", Tool: tool}).ID
			g.wait(t)
			never := uuid.New()
			ended, err := directory.Ended(t.Context(), billing.EndedRequest{JobIDs: []uuid.UUID{open, never, over.ID}})
			require.NoError(t, err)
			require.Equal(t, []uuid.UUID{never, over.ID}, ended)
			ended, err = directory.Ended(t.Context(), billing.EndedRequest{})
			require.NoError(t, err)
			require.Empty(t, ended)
		})
	}
}

// known is an Authenticator whose bearer tokens are account ids.
type known struct{}

func (known) Authenticate(_ context.Context, c services.Credentials) (services.Caller, string, error) {
	id, err := uuid.Parse(c.Bearer)
	if err != nil {
		id = uuid.NewSHA1(uuid.Nil, []byte(c.GuestID))
		return services.Caller{Account: id, Organization: id, Role: services.RoleGuest, OrgRole: services.OrgOwner, Personal: true}, c.GuestID, nil
	}
	return services.Caller{Account: id, Organization: id, Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}, "", nil
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	api.Mount(router, api.Guards{Authenticator: known{}}, true, routes(NewHandler(b.service), b.pool, events.Outlet{}).Routes.Operations...)
	me := uuid.New()
	b.caller = services.Caller{Account: me, Organization: me, Role: services.RoleUser, OrgRole: services.OrgOwner, Personal: true}
	ask := func(who, method, path, body string) (int, map[string]any) {
		request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(api.GuestHeader, "guest")
		if who != "" {
			request.Header.Set("Authorization", "Bearer "+who)
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, request)
		return w.Code, object(t, w.Body.String())
	}
	tool := b.tool(t, 1)
	body := `{"workflow_definition":` + string(definition(t, stepJSON{ID: "a", Tool: tool})) + `}`

	for _, bad := range []string{`{}`, ``, `{"workflow_definition":{}}`, `{"workflow_definition":{"steps":"abc"}}`, `{"workflow_definition":null}`, `{"workflow_definition":{"steps":[]}}`} {
		status, answer := ask(me.String(), http.MethodPost, "/jobs", bad)
		require.Equal(t, http.StatusBadRequest, status, bad)
		require.Equal(t, "workflow_definition with steps is required", answer["error"].(map[string]any)["message"], bad)
		require.Equal(t, "VALIDATION_ERROR", answer["error"].(map[string]any)["code"])
	}
	status, answer := ask(me.String(), http.MethodPost, "/jobs", `{"workflow_definition":`+string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 20_000)}))+`}`)
	require.Equal(t, http.StatusPaymentRequired, status)
	require.Equal(t, "INSUFFICIENT_CREDITS", answer["error"].(map[string]any)["code"])

	ids := make([]string, 3)
	for i := range ids {
		status, answer := ask(me.String(), http.MethodPost, "/jobs", body)
		require.Equal(t, http.StatusCreated, status)
		job := answer["data"].(map[string]any)
		for _, field := range []string{"job_id", "user_id", "workflow_definition", "status", "start_time", "end_time", "final_output", "error_message", "retry_count", "created_at", "updated_at"} {
			require.Contains(t, job, field)
		}
		require.Equal(t, "Queued", job["status"])
		require.Equal(t, me.String(), job["user_id"])
		ids[i] = job["job_id"].(string)
	}
	status, _ = ask("", http.MethodPost, "/jobs", body)
	require.Equal(t, http.StatusCreated, status, "guests too")

	var listed []string
	for cursor := ""; ; {
		status, answer := ask(me.String(), http.MethodGet, "/jobs?limit=2&cursor="+cursor, "")
		require.Equal(t, http.StatusOK, status)
		for _, job := range answer["data"].([]any) {
			listed = append(listed, job.(map[string]any)["job_id"].(string))
		}
		next, more := answer["nextCursor"].(string)
		if !more {
			break
		}
		cursor = next
	}
	require.Equal(t, []string{ids[2], ids[1], ids[0]}, listed, "newest first")
	for _, query := range []string{"limit=abc", "limit=0", "limit=201", "cursor=!"} {
		status, _ := ask(me.String(), http.MethodGet, "/jobs?"+query, "")
		require.Equal(t, http.StatusBadRequest, status, query)
	}

	status, answer = ask(uuid.NewString(), http.MethodGet, "/jobs/"+ids[0], "")
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "Access denied", answer["error"].(map[string]any)["message"])
	status, _ = ask(me.String(), http.MethodGet, "/jobs/"+uuid.NewString(), "")
	require.Equal(t, http.StatusNotFound, status)
	status, _ = ask(me.String(), http.MethodGet, "/jobs/nonsense", "")
	require.Equal(t, http.StatusBadRequest, status)

	status, answer = ask(me.String(), http.MethodPost, "/jobs/"+ids[0]+"/cancel", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"success": true, "message": "Job cancellation requested"}, answer)
	b.start(t)
	for i, id := range ids {
		want := Success
		if i == 0 {
			want = Cancelled
		}
		require.Equal(t, want, b.ended(t, uuid.MustParse(id)).Status)
	}
	_, answer = ask(me.String(), http.MethodPost, "/jobs/"+ids[0]+"/cancel", "")
	require.Equal(t, "Job has already ended", answer["message"])
	status, answer = ask(me.String(), http.MethodGet, "/jobs/"+ids[1], "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, answer["data"].(map[string]any)["final_output"], "a", fmt.Sprint(answer))
	_, answer = ask(me.String(), http.MethodGet, "/jobs/"+ids[1]+"/steps", "")
	require.Equal(t, "Success", answer["data"].([]any)[0].(map[string]any)["status"])
}
