package proxy

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/peers/peerstest"
	"uaol/providers/upstream"
	"uaol/services"
)

func (b *bench) internal() []api.Operation {
	return routes(NewHandler(b.service, b.keys), NewCallsHandler(nil)).Routes.Operations
}

func remote(t testing.TB, urls string) *Client {
	t.Helper()
	client, err := NewClient(ClientConfig{URL: urls}, peerstest.Tokens(t))
	require.NoError(t, err)
	t.Cleanup(client.peer.Close)
	return client
}

// TestInvoker runs the interface's contract over both of its bodies.
func TestInvoker(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		b := setupWith(t, upstream.Limits{CallTimeout: 2 * time.Second})
		invokerContract(t, b, b.service)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		b := setupWith(t, upstream.Limits{CallTimeout: 2 * time.Second})
		invokerContract(t, b, remote(t, peerstest.Serve(t, b.internal()...)))
	})
}

func invokerContract(t *testing.T, b *bench, invoker Invoker) {
	mcp, rest, dear := b.tool(t, 7, b.box.mcp, "mcp"), b.tool(t, 7, b.box.odd, "rest"), b.tool(t, 20_000, b.box.mcp, "mcp")
	gone, job := b.tool(t, 7, closed(t), "rest"), uuid.New()

	got, err := invoker.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: mcp, Version: 1, Method: "echo", Params: json.RawMessage(`{"n":9007199254740993,"s":"<&>\u2028"}`)})
	require.NoError(t, err)
	require.False(t, got.Failed)
	require.JSONEq(t, `{"n":9007199254740993,"s":"<&>\u2028"}`, textOf(t, got.Result))
	require.Contains(t, textOf(t, got.Result), "9007199254740993")
	got, err = invoker.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: mcp, Method: "fails"})
	require.NoError(t, err)
	require.True(t, got.Failed)
	got, err = invoker.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: mcp, Method: "key", Operation: "job/step", Prepaid: &job})
	require.NoError(t, err)
	require.Equal(t, "job/step", textOf(t, got.Result))
	require.EqualValues(t, 7, b.spent(t), "one of three was a direct success")

	for name, c := range map[string]struct {
		in   CallRequest
		want peerstest.Parts
	}{
		"no method":    {CallRequest{ToolID: mcp}, peerstest.Parts{Kind: services.Invalid, Message: "Method is required"}},
		"params":       {CallRequest{ToolID: mcp, Method: "echo", Params: json.RawMessage(`[]`)}, peerstest.Parts{Kind: services.Invalid, Message: "body.params: must be an object", Details: `[{"path":"body.params","message":"must be an object"}]`}},
		"unknown":      {CallRequest{ToolID: uuid.New(), Method: "echo"}, peerstest.Parts{Kind: services.NotFound, Message: "Tool not found"}},
		"too few":      {CallRequest{ToolID: dear, Method: "echo"}, peerstest.Parts{Kind: services.Insufficient, Message: "Insufficient credits. Required: 20000, Available: 9993"}},
		"nobody there": {CallRequest{ToolID: gone, Method: "x"}, peerstest.Parts{Kind: services.Unavailable, Code: upstream.CodeUnreachable, Message: "The tool can't be reached: connection refused"}},
		"HTTP 500":     {CallRequest{ToolID: rest, Method: "status500"}, peerstest.Parts{Kind: services.Upstream, Message: "The tool answered with HTTP status Internal Server Error", Details: `{"upstreamStatus":500}`}},
		"outcome unknown": {CallRequest{ToolID: rest, Method: "cut", Prepaid: &job}, peerstest.Parts{Kind: services.Timeout, Code: services.CodeOutcomeUnknown,
			Message: "The tool was called but the connection was lost before it answered; whether it did its work is unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.Caller = b.caller
			if c.want.Details == "" {
				c.want.Details = "null"
			}
			_, err := invoker.Call(t.Context(), c.in)
			require.Equal(t, c.want, peerstest.PartsOf(t, err))
		})
	}
	_, err = invoker.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: mcp, Version: 5, Method: "echo"})
	require.Equal(t, services.Conflict, services.KindOf(err))
	_, err = invoker.Call(t.Context(), CallRequest{Caller: b.caller, ToolID: rest, Method: "hang"})
	require.True(t, upstream.Delivered(err), "%v", err)
	require.EqualValues(t, 14, b.spent(t))

	methods, err := invoker.Methods(t.Context(), MethodsRequest{ToolID: mcp})
	require.NoError(t, err)
	require.True(t, Repeatable(methods, "echo"))
	require.False(t, Repeatable(methods, "hang"))
	_, err = invoker.Methods(t.Context(), MethodsRequest{ToolID: uuid.New()})
	require.Equal(t, peerstest.Parts{Kind: services.NotFound, Message: "Tool not found", Details: "null"}, peerstest.PartsOf(t, err))
	_, err = invoker.Methods(t.Context(), MethodsRequest{ToolID: gone})
	require.NoError(t, err, "a REST tool has no list that one could fail to get")

	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	for len(b.box.entered) > 0 {
		<-b.box.entered
	}
	go func() {
		_, err := invoker.Call(ctx, CallRequest{Caller: b.caller, ToolID: rest, Method: "hang"})
		done <- err
	}()
	receive(t, b.box.entered)
	leave()
	require.Error(t, receive(t, done))
	require.Eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_billing.holds WHERE state = 'open'`) == 0
	}, patience, 5*time.Millisecond, "the caller's leaving ends the hold here and there")
	require.EqualValues(t, 21, b.spent(t))
}

func TestInternalOperationsAreForServicesOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url := peerstest.Serve(t, b.internal()...)
	for _, token := range []string{"", "Bearer nonsense"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/internal/proxy/call", http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", token)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

// proxies is a proxy process that takes requests and says nothing.
func proxies(t testing.TB, asked *atomic.Int64, answer func(w http.ResponseWriter)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path != "/readyz" { // whether it is well is asked besides
			asked.Add(1)
		}
		answer(w)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func cut(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func half(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "100")
	_, _ = w.Write([]byte(`{"result":`))
}

// What was written once is never sent again, whatever addresses are left;
// what never left goes to the next one.
func TestACallIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter){"cut": cut, "half an answer": half} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			client := remote(t, proxies(t, &asked, answer)+","+proxies(t, &asked, answer)+","+proxies(t, &asked, answer))
			for i := range 6 {
				_, err := client.Call(t.Context(), CallRequest{Method: "x"})
				require.Equal(t, services.CodeOutcomeUnknown, peerstest.PartsOf(t, err).Code)
				require.EqualValues(t, i+1, asked.Load())
			}
			asked.Store(0)
			_, err := client.Methods(t.Context(), MethodsRequest{})
			require.Equal(t, services.Unavailable, services.KindOf(err))
			require.GreaterOrEqual(t, asked.Load(), int64(3), "a question may be asked again")
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int64
		client := remote(t, closed(t)+","+closed(t)+","+proxies(t, &asked, func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"result":{},"failed":true}`)) }))
		for range 4 {
			got, err := client.Call(t.Context(), CallRequest{Method: "x"})
			require.NoError(t, err)
			require.True(t, got.Failed)
		}
		require.EqualValues(t, 4, asked.Load())
	})
}

// everybody is an Authenticator that knows one caller.
type everybody struct{ caller services.Caller }

func (e everybody) Authenticate(_ context.Context, c services.Credentials) (services.Caller, string, error) {
	if c.Bearer == "" {
		return services.Caller{}, "", nil
	}
	return e.caller, "", nil
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := b.tool(t, 7, b.box.mcp, "mcp")
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	api.Mount(router, api.Guards{Authenticator: everybody{b.caller}}, true, b.internal()...)
	call := func(method, path, token, body string) (int, string) {
		request := httptest.NewRequestWithContext(t.Context(), method, path, bodyOf(body))
		request.Header.Set("Content-Type", "application/json")
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, request)
		return w.Code, w.Body.String()
	}
	path := "/proxy/" + tool.String()

	status, text := call(http.MethodPost, path+"/call", "t", `{"method":"echo","params":{"a":1}}`)
	require.Equal(t, http.StatusOK, status, text)
	require.JSONEq(t, `{"success":true,"data":{"content":[{"type":"text","text":"{\"a\":1}"}]},"untrusted":true}`, text)
	status, text = call(http.MethodPost, path+"/call", "t", `{"method":"fails"}`)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, `"isError":true`)
	for _, body := range []string{``, `{}`, `{"method":""}`} {
		status, text = call(http.MethodPost, path+"/call", "t", body)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, `"Method is required"`)
	}
	status, text = call(http.MethodPost, path+"/call", "t", `{"method":"echo","params":[]}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "body.params")
	status, text = call(http.MethodPost, "/proxy/"+uuid.NewString()+"/call", "t", `{"method":"echo"}`)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, text, "Tool not found")
	status, _ = call(http.MethodPost, "/proxy/nonsense/call", "t", `{"method":"echo"}`)
	require.Equal(t, http.StatusBadRequest, status)
	status, _ = call(http.MethodPost, path+"/call", "", `{"method":"echo"}`)
	require.Equal(t, http.StatusUnauthorized, status)
	// What only services may say is not heard from outside.
	status, _ = call(http.MethodPost, path+"/call", "t", `{"method":"echo","prepaid":"`+uuid.NewString()+`","version":9}`)
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 14, b.spent(t))

	status, text = call(http.MethodGet, path+"/tools", "t", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, `"inputSchema":{"type":"object"}`)
	require.Contains(t, text, `],"untrusted":true}`)
	status, _ = call(http.MethodGet, path+"/tools", "", "")
	require.Equal(t, http.StatusUnauthorized, status)
}
