package upstream

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func TestBareJSONRPC(t *testing.T) {
	var got map[string]any
	answer := ""
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = map[string]any{}
		_ = json.NewDecoder(r.Body).Decode(&got)
		got["key"] = r.Header.Get("Idempotency-Key")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	c, target := client(t, Limits{}), targetAt(server.URL, ProtocolJSONRPC)

	answer = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ok"}],"isError":false}}`
	raw, err := c.Call(t.Context(), target, "echo", json.RawMessage(`{"a":1}`), map[string]any{"idempotencyKey": "k"})
	require.NoError(t, err)
	require.Equal(t, `{"content":[{"type":"text","text":"ok"}],"isError":false}`, string(raw))
	require.Equal(t, "2.0", got["jsonrpc"])
	require.Equal(t, "tools/call", got["method"])
	require.Equal(t, "k", got["key"])
	require.Equal(t, map[string]any{"name": "echo", "arguments": map[string]any{"a": 1.0}, "_meta": map[string]any{"idempotencyKey": "k"}}, got["params"])

	answer = `{"id":1,"result":{"odd":9007199254740993}}`
	raw, err = c.Call(t.Context(), target, "echo", nil, nil)
	require.NoError(t, err)
	require.Equal(t, `{"odd":9007199254740993}`, string(raw))
	require.Equal(t, map[string]any{"name": "echo", "arguments": map[string]any{}}, got["params"])

	answer = `{"id":1,"result":"fine"}`
	raw, err = c.Call(t.Context(), target, "echo", nil, nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"content":[{"type":"text","text":"fine"}],"isError":false}`, string(raw))

	answer = `{"id":1,"result":{"tools":[{"name":"echo","description":"echo","inputSchema":{"type":"object"}}]}}`
	methods, err := c.List(t.Context(), target)
	require.NoError(t, err)
	wire, err := json.Marshal(methods)
	require.NoError(t, err)
	require.Equal(t, `[{"name":"echo","description":"echo","inputSchema":{"type":"object"}}]`, string(wire))

	for _, bad := range []string{
		`{"id":1,"result":5}`, `{"id":1,"result":{"tools":5}}`, `{"id":1,"result":{"tools":[{}]}}`,
		`{"id":1,"result":{"tools":[{"name":"a"}],"nextCursor":"again"}}`,
	} {
		answer = bad
		_, err = c.List(t.Context(), target)
		require.True(t, services.Is(err, services.Upstream), bad)
	}
}

func TestREST(t *testing.T) {
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/sum":
			_, _ = w.Write([]byte(`{"sum":9007199254740993,"sent":` + string(body) + `,"key":"` + r.Header.Get("Idempotency-Key") + `"}`))
		case "/api/mcp":
			_, _ = io.WriteString(w, `{"content":[],"isError":true}`)
		case "/api/list":
			_, _ = io.WriteString(w, `[1,2]`)
		case "/api/plain":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "hello")
		case "/api/none":
			w.WriteHeader(http.StatusNoContent)
		case "/api/broken":
			_, _ = io.WriteString(w, `{"a":`)
		case "/api/a/b":
			_, _ = io.WriteString(w, `"`+r.URL.EscapedPath()+"?"+r.URL.RawQuery+`"`)
		default:
			http.NotFound(w, r)
		}
	}))
	c, target := client(t, Limits{}), targetAt(server.URL+"/api/?v=1", ProtocolREST)
	call := func(method string) (string, error) {
		raw, err := c.Call(t.Context(), target, method, json.RawMessage(`{"a":2}`), map[string]any{"idempotencyKey": "k"})
		return string(raw), err
	}
	got, err := call("sum")
	require.NoError(t, err)
	require.Contains(t, got, `"structuredContent":{"sum":9007199254740993,"sent":{"a":2},"key":"k"}`)
	require.Contains(t, textOf(t, json.RawMessage(got)), `"sent":{"a":2}`)
	got, err = call("mcp")
	require.NoError(t, err)
	require.Equal(t, `{"content":[],"isError":true}`, got)
	for method, said := range map[string]string{"list": "[1,2]", "plain": "hello", "none": "", "a/b": "/api/a%2Fb?v=1"} {
		got, err = call(method)
		require.NoError(t, err)
		require.Equal(t, said, textOf(t, json.RawMessage(got)), method)
		require.NotContains(t, got, "structuredContent")
	}
	for _, method := range []string{"broken", "nope"} {
		_, err = call(method)
		require.True(t, services.Is(err, services.Upstream), method)
	}
	methods, err := c.List(t.Context(), target)
	require.NoError(t, err)
	require.NotNil(t, methods)
	require.Empty(t, methods)
}

func TestPlainFailuresHaveTheirKinds(t *testing.T) {
	for name, test := range map[string]struct {
		answer    func(http.ResponseWriter, *http.Request, json.RawMessage)
		kind      services.Kind
		delivered bool
		status    int
	}{
		"500":           {answer: status(500, "no"), kind: services.Upstream, status: 500},
		"400":           {answer: status(400, "session"), kind: services.Upstream, status: 400},
		"flood":         {answer: flood, kind: services.Upstream},
		"hang":          {answer: hang, kind: services.Timeout, delivered: true},
		"cut":           {answer: cutAfter("", ""), kind: services.Timeout, delivered: true},
		"cut in a body": {answer: cutAfter("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "{"), kind: services.Timeout, delivered: true},
		"redirect": {answer: func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
			http.Redirect(w, r, "http://10.0.0.1/", http.StatusPermanentRedirect)
		}, kind: services.Upstream, status: 308},
	} {
		for _, protocol := range []string{ProtocolJSONRPC, ProtocolREST} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				t.Parallel()
				server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					test.answer(w, r, nil)
				}))
				c := client(t, Limits{CallTimeout: time.Second, MaxAnswer: 100_000})
				raw, err := c.Call(t.Context(), targetAt(server.URL, protocol), "m", nil, nil)
				checkFailure(t, raw, err, test.kind, test.delivered, 0, test.status)
			})
		}
	}
}

// TestHTTP2 has the same answers over TLS and HTTP/2.
func TestHTTP2(t *testing.T) {
	inside := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(fake(func(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
		if r.ProtoMajor == 2 && r.Header.Get("Idempotency-Key") == "hang" {
			inside <- struct{}{}
			<-r.Context().Done()
			return
		}
		say("application/json", `{"id":ID,"result":{"content":[{"text":"ok"}]}}`)(w, r, id)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	target := targetAt(server.URL, ProtocolMCP)

	_, err := client(t, Limits{}).Call(t.Context(), target, "m", nil, nil)
	require.True(t, services.Is(err, services.Unavailable), err)
	require.ErrorContains(t, err, "certificate")

	c := client(t, Limits{})
	c.ways.usual.transport.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	raw, err := c.Call(t.Context(), target, "m", nil, nil)
	require.NoError(t, err)
	require.Equal(t, "ok", textOf(t, raw))
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-inside
		leave()
	}()
	_, err = c.Call(ctx, target, "m", nil, map[string]any{"idempotencyKey": "hang"})
	require.True(t, Delivered(err), err)
}
