package upstream

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// fake is an MCP server by hand: it opens sessions properly and leaves the
// answers to tools/call and tools/list to the test.
func fake(call func(w http.ResponseWriter, r *http.Request, id json.RawMessage)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message rpcMessage
		_ = json.NewDecoder(r.Body).Decode(&message)
		switch message.Method {
		case "initialize":
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Mcp-Session-Id", "s")
			_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"f","version":"1"}}}`, message.ID)
		case "tools/call", "tools/list":
			call(w, r, message.ID)
		case "server/discover":
			w.WriteHeader(http.StatusBadRequest)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	})
}

func say(contentType, format string) func(http.ResponseWriter, *http.Request, json.RawMessage) {
	return func(w http.ResponseWriter, _ *http.Request, id json.RawMessage) {
		w.Header().Set("Content-Type", contentType)
		_, _ = fmt.Fprint(w, strings.ReplaceAll(format, "ID", string(id)))
	}
}

func status(code int, body string) func(http.ResponseWriter, *http.Request, json.RawMessage) {
	return func(w http.ResponseWriter, _ *http.Request, id json.RawMessage) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "ID", string(id)))
	}
}

// cutAfter sends what it is told, then breaks the connection.
func cutAfter(header, body string) func(http.ResponseWriter, *http.Request, json.RawMessage) {
	return func(w http.ResponseWriter, _ *http.Request, _ json.RawMessage) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(connection, header+body)
		_ = connection.Close()
	}
}

func flood(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
	w.Header().Set("Content-Type", "text/event-stream")
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n"); err != nil {
			return
		}
	}
}

func hang(_ http.ResponseWriter, r *http.Request, _ json.RawMessage) { <-r.Context().Done() }

func TestFailuresHaveTheirKinds(t *testing.T) {
	const result = `{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"ok"}],"new":{"x":1.0}}}`
	const events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
	secret := `{"jsonrpc":"2.0","id":ID,"error":{"code":-32050,"message":"no https://bob:hunter2@db/x\n` + strings.Repeat("long ", 200) + `"}}`
	big := strings.Repeat("x", 200_000)
	for name, test := range map[string]struct {
		answer    func(http.ResponseWriter, *http.Request, json.RawMessage)
		kind      services.Kind // "" for a success
		delivered bool
		code      int64
		status    int
	}{
		"result":              {answer: say("application/json; charset=utf-8", result)},
		"result in a stream":  {answer: say("text/event-stream", "event: message\r\ndata: "+result+"\r\n\r\n")},
		"several data lines":  {answer: say("text/event-stream", ": hi\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":ID,\"result\":{\"content\":[{\"text\":\"ok\"}]}}\n\n")},
		"noise before":        {answer: say("text/event-stream", "event: other\ndata: x\n\ndata:\n\ndata: {\"method\":\"n\"}\n\ndata: {\"id\":999,\"result\":{}}\n\ndata: "+result+"\n\n")},
		"JSON-RPC error":      {answer: say("application/json", secret), kind: services.Upstream, code: -32050},
		"error in a stream":   {answer: say("text/event-stream", "data: "+secret+"\n\n"), kind: services.Upstream, code: -32050},
		"null id error":       {answer: say("application/json", `{"id":null,"error":{"code":-32700,"message":"parse"}}`), kind: services.Upstream, code: -32700},
		"500":                 {answer: status(500, "<html>"), kind: services.Upstream, status: 500},
		"502":                 {answer: status(502, ""), kind: services.Upstream, status: 502},
		"401":                 {answer: status(401, ""), kind: services.Upstream, status: 401},
		"429":                 {answer: status(429, ""), kind: services.Upstream, status: 429},
		"404 twice":           {answer: status(404, ""), kind: services.Upstream, status: 404},
		"400 with an error":   {answer: status(400, secret), kind: services.Upstream, status: 400, code: -32050},
		"599":                 {answer: status(599, ""), kind: services.Upstream, status: 599},
		"202":                 {answer: status(202, ""), kind: services.Upstream},
		"garbage":             {answer: say("application/json", "<html>"), kind: services.Upstream},
		"empty":               {answer: say("application/json", ""), kind: services.Upstream},
		"array":               {answer: say("application/json", "[1]"), kind: services.Upstream},
		"HTML":                {answer: say("text/html", "<html>"), kind: services.Upstream},
		"no type":             {answer: say("", "x"), kind: services.Upstream},
		"not UTF-8":           {answer: say("application/json", "{\"id\":ID,\"result\":{\"a\":\"\xff\"}}"), kind: services.Upstream},
		"neither":             {answer: say("application/json", `{"jsonrpc":"2.0","id":ID}`), kind: services.Upstream},
		"result is a number":  {answer: say("application/json", `{"jsonrpc":"2.0","id":ID,"result":5}`), kind: services.Upstream},
		"error is a text":     {answer: say("application/json", `{"jsonrpc":"2.0","id":ID,"error":"boom"}`), kind: services.Upstream},
		"someone else's":      {answer: say("application/json", `{"jsonrpc":"2.0","id":1,"result":{}}`), kind: services.Upstream},
		"garbage in a stream": {answer: say("text/event-stream", "data: {oops\n\n"), kind: services.Upstream},
		"wants input":         {answer: say("application/json", `{"id":ID,"result":{"resultType":"input_required"}}`), kind: services.Upstream},
		"too large":           {answer: say("application/json", `{"id":ID,"result":{"a":"`+big+`"}}`), kind: services.Upstream},
		"too large an event":  {answer: say("text/event-stream", "data: "+big+"\n\n"), kind: services.Upstream},
		"endless stream":      {answer: flood, kind: services.Upstream},
		"redirect away": {answer: func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
			http.Redirect(w, r, "http://10.0.0.1/", http.StatusTemporaryRedirect)
		}, kind: services.Upstream, status: 307},
		"redirect to GET": {answer: func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
			http.Redirect(w, r, "/", http.StatusFound)
		}, kind: services.Upstream, status: 302},
		"redirect loop": {answer: func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		}, kind: services.Upstream, status: 307},
		"hang":            {answer: hang, kind: services.Timeout, delivered: true},
		"cut at once":     {answer: cutAfter("", ""), kind: services.Timeout, delivered: true},
		"cut in the body": {answer: cutAfter("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n", `{"id":`), kind: services.Timeout, delivered: true},
		"cut in a stream": {answer: cutAfter(events, ": hello\n\n"), kind: services.Timeout, delivered: true},
		"cut in an event": {answer: cutAfter(events, `data: {"id":`), kind: services.Timeout, delivered: true},
		"an ended stream": {answer: say("text/event-stream", ": bye\n\n"), kind: services.Timeout, delivered: true},
		"hang in a stream": {answer: func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, kind: services.Timeout, delivered: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, fake(test.answer))
			c, target := client(t, Limits{CallTimeout: 2 * time.Second, MaxAnswer: 100_000}), targetAt(server.URL, ProtocolMCP)
			raw, err := c.Call(t.Context(), target, "m", nil, nil)
			checkFailure(t, raw, err, test.kind, test.delivered, test.code, test.status)
			if test.delivered {
				_, err := c.List(t.Context(), target)
				require.False(t, Delivered(err), "a listing may be repeated")
			}
		})
	}
}

func checkFailure(t *testing.T, raw json.RawMessage, err error, kind services.Kind, delivered bool, code int64, status int) {
	t.Helper()
	require.Equal(t, kind, services.KindOf(err), "%s %v", raw, err)
	require.Equal(t, delivered, Delivered(err), err)
	if kind == "" {
		require.Equal(t, "ok", textOf(t, raw))
		return
	}
	var e *services.Error
	require.ErrorAs(t, err, &e)
	require.NotContains(t, e.Message, "hunter2")
	require.NotContains(t, e.Message, "\n")
	require.Less(t, len(e.Message), 2*longestMessage)
	details, _ := e.Details.(upstreamDetails)
	require.Equal(t, status, details.Status)
	if code != 0 {
		require.NotNil(t, details.Code, err)
		require.Equal(t, code, *details.Code)
	} else {
		require.Nil(t, details.Code, err)
	}
}

func TestOneBadAnswerLeavesTheOthersAlone(t *testing.T) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	server := serve(t, fake(func(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
		if r.Header.Get("Idempotency-Key") == "slow" {
			close(inside)
			<-goOn
			say("application/json", `{"id":ID,"result":{"content":[{"text":"ok"}]}}`)(w, r, id)
			return
		}
		say("application/json", "garbage")(w, r, id)
	}))
	c, target := client(t, Limits{}), targetAt(server.URL, ProtocolMCP)
	good := make(chan error, 1)
	go func() {
		good <- second(c.Call(t.Context(), target, "m", nil, map[string]any{"idempotencyKey": "slow"}))
	}()
	<-inside
	_, err := c.Call(t.Context(), target, "m", nil, nil)
	require.True(t, services.Is(err, services.Upstream), err)
	close(goOn)
	require.NoError(t, <-good)
}

// TestNothingIsSentTwice kills a reused connection after the request was read.
// With the canonical header net/http would send such a request again by itself.
func TestNothingIsSentTwice(t *testing.T) {
	var calls atomic.Int64
	server := serve(t, fake(func(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
		if calls.Add(1) == 1 {
			say("application/json", `{"id":ID,"result":{"content":[{"text":"ok"}]}}`)(w, r, id)
			return
		}
		cutAfter("", "")(w, r, id)
	}))
	for _, protocol := range []string{ProtocolMCP, ProtocolJSONRPC} {
		calls.Store(0)
		c, target := client(t, Limits{}), targetAt(server.URL, protocol)
		meta := map[string]any{"idempotencyKey": "once"}
		if protocol == ProtocolMCP {
			_, err := c.Call(t.Context(), target, "m", nil, meta)
			require.NoError(t, err)
		} else {
			_, err := c.List(t.Context(), target)
			require.NoError(t, err)
		}
		_, err := c.Call(t.Context(), target, "m", nil, meta)
		require.True(t, Delivered(err), err)
		require.EqualValues(t, 2, calls.Load())
	}
}

func TestRedirectOnTheSameHostIsFollowed(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/old", http.RedirectHandler("/new", http.StatusTemporaryRedirect))
	mux.Handle("/new", fake(say("application/json", `{"id":ID,"result":{"content":[{"text":"ok"}]}}`)))
	server := serve(t, mux)
	raw, err := client(t, Limits{}).Call(t.Context(), targetAt(server.URL+"/old", ProtocolMCP), "m", json.RawMessage(`{"a":1}`), nil)
	require.NoError(t, err)
	require.Equal(t, "ok", textOf(t, raw))
}

// TestResumedStream ends a stream early, as SEP-1699 lets a server do.
func TestResumedStream(t *testing.T) {
	const result = "id: 2\ndata: {\"id\":%s,\"result\":{\"content\":[{\"text\":\"ok\"}]}}\n\n"
	var asked atomic.Value
	asked.Store(json.RawMessage("0"))
	handler := fake(func(w http.ResponseWriter, _ *http.Request, id json.RawMessage) {
		asked.Store(id)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "id: 1\nretry: 10\ndata:\n\n")
	})
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			handler.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if r.Header.Get("Last-Event-ID") == "1" && r.Header.Get("Mcp-Session-Id") == "s" {
			_, _ = fmt.Fprintf(w, result, asked.Load())
		}
	}))
	raw, err := client(t, Limits{}).Call(t.Context(), targetAt(server.URL, ProtocolMCP), "m", nil, nil)
	require.NoError(t, err)
	require.Equal(t, "ok", textOf(t, raw))
}

// TestServersQuestionsInACallAreDeclined has a server that waits for an answer
// to its own questions before it answers the call.
func TestServersQuestionsInACallAreDeclined(t *testing.T) {
	replies := make(chan string, 2)
	handler := fake(func(w http.ResponseWriter, _ *http.Request, id json.RawMessage) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"sampling/createMessage\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\n\n")
		w.(http.Flusher).Flush()
		_, _ = fmt.Fprintf(w, "data: {\"id\":%s,\"result\":{\"content\":[{\"text\":%q}]}}\n\n", id, <-replies+"\n"+<-replies)
	})
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"method"`) {
			replies <- string(body)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		handler.ServeHTTP(w, r)
	}))
	raw, err := client(t, Limits{}).Call(t.Context(), targetAt(server.URL, ProtocolMCP), "m", nil, nil)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{ // each goes on a request of its own, in whatever order
		`{"error":{"code":-32601,"message":"not supported by this client"},"id":"q","jsonrpc":"2.0"}`,
		`{"id":7,"jsonrpc":"2.0","result":{}}`,
	}, strings.Split(textOf(t, raw), "\n"))
}

// TestFailuresBeforeWriting has servers that do not get as far as a tools/call.
func TestFailuresBeforeWriting(t *testing.T) {
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	silent := rawServer(t, func(net.Conn) bool { return true })
	rude := rawServer(t, func(net.Conn) bool { return false })
	limits := Limits{CallTimeout: 2 * time.Second, SessionTimeout: 200 * time.Millisecond, ConnectTimeout: 200 * time.Millisecond}
	for name, test := range map[string]struct {
		url       string
		protocols []string
		kind      services.Kind
		says      string
	}{
		"refused":      {"http://" + closed.Addr().String(), []string{"mcp", "sse", "json-rpc", "rest"}, services.Unavailable, "connection refused"},
		"unknown name": {"http://nowhere.invalid", []string{"mcp", "sse", "json-rpc", "rest"}, services.Unavailable, "does not resolve"},
		"TLS hangs":    {"https://" + silent, []string{"mcp", "sse", "json-rpc", "rest"}, services.Timeout, "in time"},
		"TLS is cut":   {"https://" + rude, []string{"mcp", "sse", "json-rpc", "rest"}, services.Unavailable, ""},
		"mute server":  {"http://" + silent, []string{"mcp", "sse"}, services.Timeout, "session"},
	} {
		for _, protocol := range test.protocols {
			t.Run(name+" "+protocol, func(t *testing.T) {
				t.Parallel()
				_, err := client(t, limits).Call(t.Context(), targetAt(test.url+"?token=hunter2", protocol), "m", nil, nil)
				require.Equal(t, test.kind, services.KindOf(err), err)
				require.False(t, Delivered(err), err)
				require.ErrorContains(t, err, test.says)
				require.NotContains(t, err.Error(), "hunter2")
			})
		}
	}
}

// rawServer accepts connections and keeps those that keep wants to.
func rawServer(t *testing.T, keep func(net.Conn) bool) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	var kept []net.Conn
	go func() {
		defer close(ended)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if keep(connection) {
				kept = append(kept, connection)
			} else {
				_ = connection.Close()
			}
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
		for _, connection := range kept {
			_ = connection.Close()
		}
	})
	return listener.Addr().String()
}

// TestHalfWrittenIsNotDelivered stops reading before the body is through, so
// that the tool can't have understood the call.
func TestHalfWrittenIsNotDelivered(t *testing.T) {
	begun := make(chan struct{})
	address := rawServer(t, func(connection net.Conn) bool {
		_ = connection.(*net.TCPConn).SetReadBuffer(4096)
		_, _ = bufio.NewReaderSize(connection, 16).ReadByte()
		close(begun)
		return true
	})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-begun
		leave()
	}()
	huge := json.RawMessage(`{"a":"` + strings.Repeat("x", 16<<20) + `"}`)
	_, err := client(t, Limits{}).Call(ctx, targetAt("http://"+address, ProtocolJSONRPC), "m", huge, nil)
	require.True(t, services.Is(err, services.Unavailable), "%.300v", err)
	require.False(t, Delivered(err))
}

func TestHandshakeFailures(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.Handler
		status  int
		code    int64
	}{
		"401":         {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }), 401, 0},
		"500":         {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }), 500, 0},
		"404":         {http.NotFoundHandler(), 404, 0},
		"web page":    {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }), 0, 0},
		"flood":       {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { flood(w, r, nil) }), 0, 0},
		"other JSON":  {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { say("application/json", `{"a":1}`)(w, r, nil) }), 0, 0},
		"no MCP":      {bareHandler(func(id, _ string) string { return `{"id":` + id + `,"error":{"code":-32601,"message":"what?"}}` }), 0, -32601},
		"old version": {bareHandler(func(id, _ string) string { return `{"id":` + id + `,"result":{"protocolVersion":"1999-01-01"}}` }), 0, 0},
	} {
		for _, protocol := range []string{ProtocolMCP, ProtocolSSE} {
			if protocol == ProtocolSSE && test.code != 0 {
				continue
			}
			t.Run(name+" "+protocol, func(t *testing.T) {
				t.Parallel()
				server := serve(t, test.handler)
				_, err := client(t, Limits{MaxAnswer: 100_000, SessionTimeout: 5 * time.Second}).Call(t.Context(), targetAt(server.URL, protocol), "m", nil, nil)
				checkFailure(t, nil, err, services.Upstream, false, test.code, test.status)
			})
		}
	}
}

// bareHandler answers every JSON-RPC request the same way.
func bareHandler(answer func(id, method string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message rpcMessage
		_ = json.NewDecoder(r.Body).Decode(&message)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0",`+answer(string(message.ID), message.Method)[1:])
	})
}
