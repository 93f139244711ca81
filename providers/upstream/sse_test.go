package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// sseFake is an SSE server by hand. call decides about a tools/call: the HTTP
// status of its POST, and what then comes on the stream; "" ends the stream.
type sseFake struct {
	endpoint string
	status   int
	answer   func(id string) []string

	mu     sync.Mutex
	stream chan string
	calls  int
}

func (f *sseFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		f.hold(w, r)
		return
	}
	var message rpcMessage
	_ = json.NewDecoder(r.Body).Decode(&message)
	f.mu.Lock()
	stream := f.stream
	defer f.mu.Unlock()
	switch message.Method {
	case "initialize":
		stream <- fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2024-11-05","capabilities":{},"serverInfo":{"name":"f","version":"1"}}}`, message.ID)
	case "tools/call":
		f.calls++
		if f.status != 0 {
			w.WriteHeader(f.status)
			return
		}
		for _, said := range f.answer(string(message.ID)) {
			stream <- said
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

func (f *sseFake) hold(w http.ResponseWriter, r *http.Request) {
	stream := make(chan string, 10)
	f.mu.Lock()
	f.stream = stream
	f.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "event: endpoint\ndata: %s\n\n", f.endpoint)
	w.(http.Flusher).Flush()
	for {
		select {
		case said := <-stream:
			if said == "" {
				return
			}
			if _, err := fmt.Fprintf(w, "event: message\ndata: %s\n\n", said); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func TestSSEFailuresHaveTheirKinds(t *testing.T) {
	ok := func(id string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"result":{"content":[{"type":"text","text":"ok"}],"new":1}}`
	}
	say := func(parts ...string) func(string) []string {
		return func(id string) (said []string) {
			for _, part := range parts {
				said = append(said, strings.ReplaceAll(part, "ID", id))
			}
			return said
		}
	}
	for name, test := range map[string]struct {
		fake      *sseFake
		kind      services.Kind
		delivered bool
		code      int64
		status    int
		calls     int
	}{
		"result":         {fake: &sseFake{answer: say(ok("ID"))}},
		"JSON-RPC error": {fake: &sseFake{answer: say(`{"jsonrpc":"2.0","id":ID,"error":{"code":-32050,"message":"no"}}`)}, kind: services.Upstream, code: -32050},
		"garbage":        {fake: &sseFake{answer: say(`{oops`)}, kind: services.Upstream},
		"a number":       {fake: &sseFake{answer: say(`{"jsonrpc":"2.0","id":ID,"result":7}`)}, kind: services.Upstream},
		"cut":            {fake: &sseFake{answer: say("")}, kind: services.Timeout, delivered: true},
		"hang":           {fake: &sseFake{answer: say()}, kind: services.Timeout, delivered: true},
		"500":            {fake: &sseFake{status: 500}, kind: services.Upstream, status: 500},
		"404 twice":      {fake: &sseFake{status: 404}, kind: services.Upstream, status: 404, calls: 2},
		"too large":      {fake: &sseFake{answer: say(`{"jsonrpc":"2.0","id":ID,"result":{"a":"` + strings.Repeat("x", 300_000) + `"}}`)}, kind: services.Upstream},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := test.fake
			fake.endpoint = "/messages"
			server := serve(t, fake)
			c, target := client(t, Limits{CallTimeout: time.Second, MaxAnswer: 100_000}), targetAt(server.URL, ProtocolSSE)
			raw, err := c.Call(t.Context(), target, "m", nil, map[string]any{"idempotencyKey": "k"})
			checkFailure(t, raw, err, test.kind, test.delivered, test.code, test.status)
			fake.mu.Lock()
			require.Equal(t, max(test.calls, 1), fake.calls)
			fake.status, fake.answer = 0, say(ok("ID"))
			fake.mu.Unlock()
			raw, err = c.Call(t.Context(), target, "m", nil, nil)
			require.NoError(t, err, "the next call gets through")
			require.Equal(t, "ok", textOf(t, raw))
		})
	}
}

func TestSSEEndpointOnAnotherHost(t *testing.T) {
	reached := false
	other := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	server := serve(t, &sseFake{endpoint: other.URL + "/messages"})
	_, err := client(t, Limits{}).Call(t.Context(), targetAt(server.URL, ProtocolSSE), "m", nil, nil)
	require.True(t, services.Is(err, services.Upstream), err)
	require.ErrorContains(t, err, "another host")
	require.False(t, reached)
}

// TestSSEFloodEndsTheSession has a stream that never stops talking.
func TestSSEFloodEndsTheSession(t *testing.T) {
	ended := make(chan struct{})
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: endpoint\ndata: /messages\n\n")
		flood(w, r, nil)
		close(ended)
	}))
	_, err := client(t, Limits{MaxAnswer: 100_000}).Call(t.Context(), targetAt(server.URL, ProtocolSSE), "m", nil, nil)
	require.True(t, services.Is(err, services.Upstream), err)
	<-ended
}

// heard is a connection that remembers which messages were followed.
type heard struct {
	mcp.Connection
	followed []bool
}

func (h *heard) Write(ctx context.Context, _ jsonrpc.Message) error {
	h.followed = append(h.followed, ctx.Value(deliveryKey{}) != nil)
	return nil
}

// TestOnlyTheRequestIsFollowed: the SDK tells of a cancellation in the call's
// own context, and must not thereby undo what is known of the call.
func TestOnlyTheRequestIsFollowed(t *testing.T) {
	h := &heard{}
	tapped := &tap{Connection: h, pending: map[jsonrpc.ID]*exchange{}}
	ctx := context.WithValue(t.Context(), exchangeKey{}, &exchange{d: &delivery{}, r: &request{}})
	id, err := jsonrpc.MakeID(1.0)
	require.NoError(t, err)
	require.NoError(t, tapped.Write(ctx, &jsonrpc.Request{ID: id, Method: "tools/call"}))
	require.NoError(t, tapped.Write(ctx, &jsonrpc.Request{Method: "notifications/cancelled"}))
	require.Equal(t, []bool{true, false}, h.followed)
}
