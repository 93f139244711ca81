package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// endpoint is a server that a test plays.
type endpoint struct {
	*httptest.Server
	mu  sync.Mutex
	now http.HandlerFunc
	got []seen
}

// seen is a request that came.
type seen struct {
	verb   string
	header http.Header
	body   string
}

// play starts a server that answers by a function; nil answers each request with an empty
// result.
func play(t *testing.T, answer http.HandlerFunc) *endpoint {
	t.Helper()
	if answer == nil {
		answer = func(w http.ResponseWriter, r *http.Request) { result(w, r, `{}`) }
	}
	e := &endpoint{now: answer}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		e.mu.Lock()
		e.got = append(e.got, seen{r.Method, r.Header.Clone(), string(body)})
		answer := e.now
		e.mu.Unlock()
		answer(w, r.WithContext(context.WithValue(r.Context(), bodyKey{}, string(body))))
	}))
	t.Cleanup(func() { e.CloseClientConnections(); e.Close() })
	return e
}

// becomes changes how it answers.
func (e *endpoint) becomes(answer http.HandlerFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = answer
}

type bodyKey struct{}

func bodyOf(r *http.Request) string { text, _ := r.Context().Value(bodyKey{}).(string); return text }

// idOf is the id of the message that a request brings.
func idOf(r *http.Request) string {
	m, _ := read([]byte(bodyOf(r)))
	return string(m.id)
}

func methodOf(r *http.Request) string {
	m, _ := read([]byte(bodyOf(r)))
	return m.method
}

// result answers with a JSON message; notifications with none.
func result(w http.ResponseWriter, r *http.Request, value string) {
	if idOf(r) == "" {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, idOf(r), value)
}

// cut ends the connection in place of an answer.
func cut(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// events begins a stream.
func events(w http.ResponseWriter, messages ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, m := range messages {
		_, _ = fmt.Fprintf(w, "event: message\ndata: %s\n\n", m)
	}
	w.(http.Flusher).Flush()
}

// requests are those that came so far with a method of MCP; "" for streams.
func (e *endpoint) requests(method string) (all []seen) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.got {
		if m, _ := read([]byte(s.body)); m.method == method {
			all = append(all, s)
		}
	}
	return all
}

// await waits for so many of them.
func (e *endpoint) await(t *testing.T, method string, n int) []seen {
	t.Helper()
	require.Eventually(t, func() bool { return len(e.requests(method)) >= n }, patience, time.Millisecond, "%d of %s", n, method)
	return e.requests(method)
}

// rig is a bridge with a client that a test plays.
type rig struct {
	t     *testing.T
	in    *io.PipeWriter
	lines chan string
	ended chan error
	said  chan string // to people
	stop  context.CancelFunc
}

// bridged runs a bridge to the endpoints that at gives, one for each time that it is asked.
func bridged(t *testing.T, at func(n int) string) *rig {
	t.Helper()
	return attached(t, func(n int) (string, string) { return at(n), "key" })
}

// attached is bridged with a key for each time too.
func attached(t *testing.T, at func(n int) (url, key string)) *rig {
	t.Helper()
	in, client := io.Pipe()
	out, server := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{t: t, in: client, lines: make(chan string, 100), ended: make(chan error, 1), said: make(chan string, 100), stop: cancel}
	transport := &http.Transport{}
	var asked int
	var mu sync.Mutex
	say := func(format string, args ...any) { r.said <- fmt.Sprintf(format, args...) }
	b := &Bridge{In: in, Out: server, Say: say, Attach: func(context.Context, bool) (*Way, error) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		url, key := at(asked)
		return &Way{URL: url, Header: http.Header{"X-Api-Key": {key}}, HTTP: &http.Client{Transport: transport}}, nil
	}}
	go func() {
		r.ended <- b.Run(ctx)
		_ = server.Close()
	}()
	go func() {
		defer close(r.lines)
		said := bufio.NewReader(out)
		for {
			line, err := said.ReadString('\n')
			if err != nil {
				return
			}
			r.lines <- line[:len(line)-1]
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = client.Close()
		for range r.lines { // until it has ended
		}
		transport.CloseIdleConnections()
	})
	return r
}

func (r *rig) send(format string, args ...any) {
	r.t.Helper()
	_, err := fmt.Fprintf(r.in, format+"\n", args...)
	require.NoError(r.t, err)
}

func (r *rig) line() string {
	r.t.Helper()
	select {
	case line, ok := <-r.lines:
		require.True(r.t, ok, "the bridge has ended")
		return line
	case <-time.After(patience):
		r.t.Fatal("the bridge says nothing")
		return ""
	}
}

// await waits for what has to happen.
func await[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(patience):
		t.Fatal("it does not happen")
	}
	return got
}

// fault is the next line, which has to be an error.
func (r *rig) fault() (id string, code int64, message, word string) {
	r.t.Helper()
	var said struct {
		ID    json.RawMessage
		Error struct {
			Code    int64
			Message string
			Data    struct{ Code string }
		}
	}
	require.NoError(r.t, json.Unmarshal([]byte(r.line()), &said))
	return string(said.ID), said.Error.Code, said.Error.Message, said.Error.Data.Code
}

func (r *rig) end() {
	r.t.Helper()
	select {
	case err := <-r.ended:
		require.NoError(r.t, err)
	case <-time.After(patience):
		r.t.Fatal("the bridge does not end")
	}
}

// hello begins a session.
func (r *rig) hello() {
	r.t.Helper()
	r.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`)
	require.Contains(r.t, r.line(), `"protocolVersion"`)
}

// begins answers initialize with a session.
func begins(w http.ResponseWriter, r *http.Request, id string) {
	w.Header().Set("Mcp-Session-Id", id)
	result(w, r, `{"protocolVersion":"2025-11-25"}`)
}

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
