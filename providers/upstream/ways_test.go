package upstream

import (
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"uaol/providers/egress"
	"uaol/services"
)

// closedClient may go nowhere near this machine, save by exceptions.
func closedClient(t *testing.T) *Client {
	t.Helper()
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	c := New(policy, zaptest.NewLogger(t), Limits{})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

const okAnswer = `{"id":ID,"result":{"content":[{"type":"text","text":"ok"}]}}`

func TestAnExceptionIsOneToolsAlone(t *testing.T) {
	server := serve(t, fake(say("application/json", okAnswer)))
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	for _, protocol := range []string{ProtocolMCP, ProtocolJSONRPC} {
		c := closedClient(t)
		opened, other := targetAt(server.URL, protocol), targetAt(server.URL, protocol)
		opened.Allow = []string{at.Host}
		raw, err := c.Call(t.Context(), opened, "m", nil, nil)
		require.NoError(t, err)
		require.Equal(t, "ok", textOf(t, raw))
		// The connection to the same address now lies idle.
		_, err = c.Call(t.Context(), other, "m", nil, nil)
		var e *services.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, CodeAddressRefused, e.Code, "%s: %v", protocol, err)
		other.ToolID, other.Allow = opened.ToolID, []string{"127.0.0.1:1"}
		_, err = c.Call(t.Context(), other, "m", nil, nil)
		require.ErrorAs(t, err, &e)
		require.Equal(t, CodeAddressRefused, e.Code, "%s: %v", protocol, err)
		_, err = c.Call(t.Context(), opened, "m", nil, nil)
		require.NoError(t, err)
	}
}

// seen collects what a server is sent.
type seen struct {
	mu       sync.Mutex
	requests []*http.Request
}

func (s *seen) of(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.mu.Unlock()
		handler.ServeHTTP(w, r)
	})
}

func (s *seen) all() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.requests...)
}

func TestHeadersAreOnEveryRequestOfTheTool(t *testing.T) {
	for _, s := range transports {
		t.Run(s.name, func(t *testing.T) {
			var got seen
			box := newToolbox(t)
			server := serve(t, got.of(s.handler(box)))
			c, target := client(t, Limits{}), targetAt(server.URL, s.protocol)
			target.Headers = http.Header{"Authorization": {"Bearer first"}, "X-Api-Key": {"k"}, "Mcp-Session-Id": {"forged"}, "Host": {"forged"}}
			target.Identity = "alice"
			_, err := c.Call(t.Context(), target, "echo", nil, nil)
			require.NoError(t, err)
			_, err = c.List(t.Context(), target)
			require.NoError(t, err)
			renewed := target
			renewed.Headers = http.Header{"Authorization": {"Bearer second"}}
			_, err = c.Call(t.Context(), renewed, "echo", nil, nil)
			require.NoError(t, err)
			require.Len(t, c.sessions.slots, 2, "one for calls and one for lists: a token that was renewed opens no new session")
			other := target
			other.Identity = "bob"
			_, err = c.Call(t.Context(), other, "echo", nil, nil)
			require.NoError(t, err)
			require.Len(t, c.sessions.slots, 3, "somebody else's credentials do")
			require.NoError(t, c.Close())
			requests, methods := got.all(), map[string]bool{}
			for _, r := range requests {
				methods[r.Method] = true
				require.Contains(t, []string{"Bearer first", "Bearer second"}, r.Header.Get("Authorization"), "%s %s", r.Method, r.URL)
				require.NotEqual(t, "forged", r.Header.Get("Mcp-Session-Id"))
				require.NotEqual(t, "forged", r.Host)
			}
			require.True(t, methods[http.MethodPost])
			if s.stateful && s.protocol != ProtocolSSE {
				require.True(t, methods[http.MethodDelete])
			}
		})
	}
}

func TestHeadersStayWithTheirHost(t *testing.T) {
	var elsewhere seen
	other := serve(t, elsewhere.of(fake(say("application/json", okAnswer))))
	away := serve(t, http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	for _, protocol := range []string{ProtocolMCP, ProtocolSSE, ProtocolJSONRPC, ProtocolREST} {
		target := targetAt(away.URL, protocol)
		target.Headers = http.Header{"X-Api-Key": {"hunter2"}}
		_, err := client(t, Limits{}).Call(t.Context(), target, "m", nil, nil)
		require.True(t, services.Is(err, services.Upstream), "%s: %v", protocol, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.Empty(t, elsewhere.all(), "another port is somebody else")
}

func TestOperationsOfADocument(t *testing.T) {
	type came struct {
		Line, Accept, Trace, Cookie, Key, Type string
		Body                                   json.RawMessage
	}
	var got came
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = came{Line: r.Method + " " + r.URL.RequestURI(), Accept: r.Header.Get("Accept"), Trace: r.Header.Get("X-Trace"),
			Cookie: r.Header.Get("Cookie"), Key: r.Header.Get("Idempotency-Key"), Type: r.Header.Get("Content-Type")}
		_ = json.NewDecoder(r.Body).Decode(&got.Body)
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = w.Write([]byte(`{"content":["a page's own"],"n":9007199254740993}`))
	}))
	operation := func(name, verb, path, body string, in map[string]string) Operation {
		return Operation{Method: Method{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, Verb: verb, Path: path, Body: body, In: in}
	}
	target := targetAt(server.URL+"/api/v1/?tenant=t", ProtocolREST)
	target.Operations = []Operation{
		operation("getPet", "GET", "/pets/{id}", "", map[string]string{"id": "path", "tag": "query", "limit": "query", "X-Trace": "header", "sid": "cookie"}),
		operation("addPet", "POST", "/pets/{id}", "*", map[string]string{"id": "path"}),
		operation("putPet", "PUT", "/pets", "pet", nil),
		operation("dropPet", "DELETE", "/pets/{id}", "", map[string]string{"id": "path"}),
	}
	c := client(t, Limits{})
	call := func(method, params string) json.RawMessage {
		got = came{}
		raw, err := c.Call(t.Context(), target, method, json.RawMessage(params), map[string]any{"idempotencyKey": "k"})
		require.NoError(t, err, method)
		return raw
	}
	raw := call("getPet", `{"id":"a/b ?c","tag":["x","y z"],"limit":5,"X-Trace":"t1","sid":"s;1","more":1}`)
	require.Equal(t, came{Line: "GET /api/v1/pets/a%2Fb%20%3Fc?limit=5&tag=x&tag=y+z&tenant=t", Accept: "application/json", Trace: "t1", Cookie: "sid=s%3B1", Key: "k"}, got)
	require.JSONEq(t, `{"content":[{"type":"text","text":"{\"content\":[\"a page's own\"],\"n\":9007199254740993}"}],"isError":false,
		"structuredContent":{"content":["a page's own"],"n":9007199254740993}}`, string(raw))
	call("addPet", `{"id":7,"name":"Rex","age":3}`)
	require.Equal(t, "POST /api/v1/pets/7?tenant=t", got.Line)
	require.JSONEq(t, `{"name":"Rex","age":3}`, string(got.Body))
	require.Equal(t, "application/json", got.Type)
	call("putPet", `{"pet":{"name":"Rex"}}`)
	require.JSONEq(t, `{"name":"Rex"}`, string(got.Body))
	require.Equal(t, "DELETE /api/v1/pets/7?tenant=t", func() string { call("dropPet", `{"id":"7"}`); return got.Line }())

	for method, params := range map[string]string{"getPet": `{}`, "addPet": `{"id":".."}`, "dropPet": `{"id":""}`} {
		_, err := c.Call(t.Context(), target, method, json.RawMessage(params), nil)
		require.True(t, services.Is(err, services.Invalid), "%s: %v", method, err)
	}
	_, err := c.Call(t.Context(), target, "getPet", json.RawMessage(`{"id":"1","X-Trace":"a\r\nb"}`), nil)
	require.True(t, services.Is(err, services.Invalid), err)
	_, err = c.Call(t.Context(), target, "nope", nil, nil)
	require.True(t, services.Is(err, services.NotFound), err)
	methods, err := c.List(t.Context(), target)
	require.NoError(t, err)
	require.Len(t, methods, 4)
}

// What has no body is followed too: a DELETE may have been done.
func TestABodylessRequestMayHaveBeenDelivered(t *testing.T) {
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cutAfter("", "")(w, r, nil)
	}))
	target := targetAt(server.URL, ProtocolREST)
	target.Operations = []Operation{
		{Method: Method{Name: "drop"}, Verb: http.MethodDelete, Path: "/x"},
		{Method: Method{Name: "get"}, Verb: http.MethodGet, Path: "/x"},
	}
	_, err := client(t, Limits{}).Call(t.Context(), target, "drop", nil, nil)
	require.True(t, Delivered(err), err)
	_, err = client(t, Limits{}).Call(t.Context(), target, "get", nil, nil)
	require.True(t, services.Is(err, services.Unavailable), err)
}

func TestArgumentsThatTheSchemaWantsInHeaders(t *testing.T) {
	schema := json.RawMessage(`{"type":"object","properties":{
		"region":{"type":"string","x-mcp-header":"Region"},"deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
		"flag":{"type":"boolean","x-mcp-header":"Flag"},"bad":{"type":"string","x-mcp-header":"a b"},"free":{"type":"string"}}}`)
	got := http.Header{}
	SetMirrors(got, Mirrors(schema), json.RawMessage(`{"region":"Zürich","deep":{"n":42.0},"flag":true,"bad":"x","free":"y"}`))
	require.Equal(t, http.Header{"Mcp-Param-Region": {"=?base64?WsO8cmljaA==?="}, "Mcp-Param-N": {"42"}, "Mcp-Param-Flag": {"true"}}, got)
	got = http.Header{}
	SetMirrors(got, Mirrors(schema), json.RawMessage(`{"region":null,"deep":7}`))
	require.Empty(t, got)
	require.Empty(t, Mirrors(json.RawMessage(`nonsense`)))
	require.Equal(t, uuid.Nil, Target{}.ToolID)
}
