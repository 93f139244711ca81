package bridge

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const noSession = `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"There is no such session; initialize a new one"}}`

// TestLostSessionsAreBegunAnew without the client's notice, with its log level, and what
// was refused is sent again.
func TestLostSessionsAreBegunAnew(t *testing.T) {
	t.Parallel()
	var session atomic.Value
	session.Store("s1")
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case methodOf(r) == initialize:
			begins(w, r, session.Load().(string))
		case r.Header.Get("Mcp-Session-Id") != session.Load():
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(noSession))
		default:
			result(w, r, `{}`)
		}
	})
	r := bridged(t, func(int) string { return e.URL })
	r.hello()
	r.send(`{"jsonrpc":"2.0","id":"level","method":"logging/setLevel","params":{"level":"debug"}}`)
	r.line()
	session.Store("s2")
	for range 5 { // at once
		r.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`)
	}
	for range 5 {
		require.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, r.line())
	}
	require.Len(t, e.requests(initialize), 2, "one for all who have lost it")
	require.Equal(t, "s2", e.requests(initialized)[0].header.Get("Mcp-Session-Id"))
	levels := e.requests(setLevel)
	require.Len(t, levels, 2)
	require.Equal(t, "s2", levels[1].header.Get("Mcp-Session-Id"))

	session.Store("s3") // and what needs no answer
	r.send(`{"jsonrpc":"2.0","id":"q","result":{}}`)
	require.Eventually(t, func() bool {
		for _, s := range e.requests("") {
			if strings.Contains(s.body, `"q"`) && s.header.Get("Mcp-Session-Id") == "s3" {
				return true
			}
		}
		return false
	}, patience, time.Millisecond)
}

// TestSessionsThatCantBeBegunAnew: the client hears why, and nothing is asked for ever.
func TestSessionsThatCantBeBegunAnew(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case methodOf(r) == initialize && !broken.Load():
			begins(w, r, "s1")
		case broken.Load():
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(noSession))
		}
	})
	r := bridged(t, func(int) string { return e.URL })
	r.hello()
	broken.Store(true)
	r.send(`{"jsonrpc":"2.0","id":7,"method":"ping"}`)
	id, code, message, _ := r.fault()
	require.Equal(t, "7", id)
	require.EqualValues(t, -32602, code)
	require.Contains(t, message, "no such session")
}

// TestTheStreamIsHeardAgain after a server went away, and the client is told to look anew.
func TestTheStreamIsHeardAgain(t *testing.T) {
	t.Parallel()
	var streams atomic.Int64
	again := make(chan struct{})
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && streams.Add(1) == 1:
			events(w, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"first":true}}`, `no message`)
			<-again
		case r.Method == http.MethodGet && streams.Load() == 2:
			cut(w)
		case r.Method == http.MethodGet && streams.Load() == 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodGet:
			events(w)
			<-r.Context().Done()
		case methodOf(r) == initialize:
			begins(w, r, "s1")
		default:
			result(w, r, `{}`)
		}
	})
	r := bridged(t, func(int) string { return e.URL })
	r.hello()
	require.Empty(t, streams.Load(), "not before the client is ready")
	r.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	require.Contains(t, r.line(), `"first":true`)
	close(again)
	require.Equal(t, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`, r.line())
	require.EqualValues(t, 4, streams.Load())
	heard := e.requests("")
	require.Equal(t, "s1", heard[0].header.Get("Mcp-Session-Id"))
	require.Equal(t, "2025-11-25", heard[0].header.Get("Mcp-Protocol-Version"))
}

// TestServersWithoutAStream are not asked again.
func TestServersWithoutAStream(t *testing.T) {
	t.Parallel()
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case methodOf(r) == initialize:
			begins(w, r, "s1")
		default:
			result(w, r, `{}`)
		}
	})
	r := bridged(t, func(int) string { return e.URL })
	r.hello()
	r.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	require.Contains(t, await(t, r.said), "the server does not let us hear of changes")
	require.Len(t, e.requests(""), 1)
}

const acks = `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":5},"notifications":{"toolsListChanged":true}}}`

// TestSubscriptionsOutliveServers: the client hears one word that they have begun, and no
// word of their end that it has not wished.
func TestSubscriptionsOutliveServers(t *testing.T) {
	t.Parallel()
	var times atomic.Int64
	stop, left := make(chan struct{}), make(chan struct{})
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		events(w, acks)
		switch times.Add(1) {
		case 1:
			<-stop
			events(w, `{"jsonrpc":"2.0","id":5,"result":{"resultType":"complete"}}`)
		case 2:
			panic(http.ErrAbortHandler)
		default:
			events(w, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"third":true}}`)
			<-r.Context().Done()
			close(left)
		}
	})
	r := bridged(t, func(int) string { return e.URL })
	r.send(`{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},%s}}`, meta)
	require.Equal(t, acks, r.line())
	close(stop)
	const changed = `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":5}}}`
	require.Equal(t, changed, r.line())
	require.Equal(t, changed, r.line())
	require.Contains(t, r.line(), `"third":true`)
	r.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`)
	await(t, left)
	require.EqualValues(t, 3, times.Load())
}

// TestSubscriptionsThatAreRefused are answered.
func TestSubscriptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"needs notifications"}}`))
	})
	r := bridged(t, func(int) string { return e.URL })
	r.send(`{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{%s}}`, meta)
	_, code, _, _ := r.fault()
	require.EqualValues(t, -32602, code)
}

const mirrored = `{"tools":[{"name":"look","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}`

// TestArgumentsThatGoIntoHeaders are known from the list that the client asks for, or
// from one that the bridge does where the client has not.
func TestArgumentsThatGoIntoHeaders(t *testing.T) {
	t.Parallel()
	for _, listed := range []bool{true, false} {
		e := play(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case methodOf(r) == listTools && !strings.Contains(bodyOf(r), `"cursor"`):
				result(w, r, `{"tools":[],"nextCursor":"2"}`)
			case methodOf(r) == listTools:
				result(w, r, mirrored)
			case strings.Contains(bodyOf(r), `"region":`) && r.Header.Get("Mcp-Param-Region") != "=?base64?TsOu?=":
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"The header Mcp-Param-Region does not say what the argument region says"}}`))
			default:
				result(w, r, `{}`)
			}
		})
		r := bridged(t, func(int) string { return e.URL })
		if listed {
			r.send(`{"jsonrpc":"2.0","id":0,"method":"tools/list","params":{"cursor":"2",%s}}`, meta)
			r.line()
		}
		for range 2 {
			r.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{"region":"Nî"},%s}}`, meta)
			require.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, r.line(), listed)
		}
		require.Len(t, e.requests(callTool), map[bool]int{true: 2, false: 3}[listed])
		r.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"other","arguments":{"region":"x"},%s}}`, meta)
		_, code, _, _ := r.fault()
		require.EqualValues(t, -32020, code, "what can't be mended is told")
	}
}
