package bridge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMessagesPassAsTheyAre: bytes are not written anew, but for lines that end too early.
func TestMessagesPassAsTheyAre(t *testing.T) {
	t.Parallel()
	const odd = `{"jsonrpc":"2.0","result":{"n":12345678901234567890.10,"t":"\u003cé\/","z":{"b":1, "a":[ ]}},"extra":true,"id":"a"}`
	const sent = `{"id":"a", "method":"tools/call","jsonrpc":"2.0","params":{"name":"x","n":1.0,"t":"<\u00e9"}}`
	e := play(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte(odd))
	})
	r := bridged(t, func(int) string { return e.URL })
	r.send(sent)
	require.Equal(t, odd, r.line())
	require.Equal(t, sent, e.requests(callTool)[0].body)
	e.becomes(func(w http.ResponseWriter, r *http.Request) {
		result(w, r, "{\r\n  \"t\": \"a\\nb\",\n\"n\": 1.0}")
	})
	r.send(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	require.Equal(t, `{"jsonrpc":"2.0","id":2,"result":{"t":"a\nb","n":1.0}}`, r.line())
}

// TestWhatHeadersSay of requests of both eras.
func TestWhatHeadersSay(t *testing.T) {
	t.Parallel()
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		if methodOf(r) == initialize {
			begins(w, r, "s1")
			return
		}
		result(w, r, `{}`)
	})
	r := bridged(t, func(int) string { return e.URL })
	r.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"grüße","arguments":{},%s}}`, meta)
	r.line()
	r.send(`{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"a+file:///b","name":"no",%s}}`, meta)
	r.line()
	r.hello()
	r.send(`{"jsonrpc":"2.0","id":3,"method":"tools/list","params":{"_meta":{"progressToken":1}}}`)
	r.line()
	for method, want := range map[string]http.Header{
		callTool:         {"Mcp-Protocol-Version": {stateless}, "Mcp-Method": {callTool}, "Mcp-Name": {"=?base64?Z3LDvMOfZQ==?="}},
		"resources/read": {"Mcp-Protocol-Version": {stateless}, "Mcp-Method": {"resources/read"}, "Mcp-Name": {"a+file:///b"}},
		initialize:       {},
		listTools:        {"Mcp-Protocol-Version": {"2025-11-25"}, "Mcp-Session-Id": {"s1"}},
	} {
		got := e.requests(method)[0].header
		for _, name := range []string{"Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id"} {
			require.Equal(t, want[name], got[name], "%s %s", method, name)
		}
		require.Equal(t, "key", got.Get("X-API-Key"))
		require.Equal(t, "application/json, text/event-stream", got.Get("Accept"))
	}
}

// TestStreamsPass: what comes before an answer, and what the client answers.
func TestStreamsPass(t *testing.T) {
	t.Parallel()
	answered := make(chan struct{})
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case methodOf(r) == callTool:
			events(w, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}`, `{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}`, `nonsense`)
			select {
			case <-answered:
			case <-r.Context().Done():
				return
			}
			events(w, `{"jsonrpc":"2.0","id":7,"result":{"done":true}}`)
		case idOf(r) == `"q"`:
			w.WriteHeader(http.StatusAccepted)
			close(answered)
		default:
			result(w, r, `{}`)
		}
	})
	r := bridged(t, func(int) string { return e.URL })
	r.send(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}`)
	require.Contains(t, r.line(), "notifications/progress")
	require.Contains(t, r.line(), "elicitation/create")
	r.send(`{"jsonrpc":"2.0","id":8,"method":"ping"}`)
	require.Equal(t, `{"jsonrpc":"2.0","id":8,"result":{}}`, r.line(), "others go on")
	r.send(`{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}`)
	require.Equal(t, `{"jsonrpc":"2.0","id":7,"result":{"done":true}}`, r.line())
}

// TestWhatMayHaveBeenDoneIsNotRepeated, and all else is.
func TestWhatMayHaveBeenDoneIsNotRepeated(t *testing.T) {
	t.Parallel()
	for how, lose := range map[string]func(http.ResponseWriter){
		"before the answer": cut,
		"in the answer": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"jsonrpc"`))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"in the stream": func(w http.ResponseWriter) {
			events(w, `{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`)
			panic(http.ErrAbortHandler)
		},
		"at the stream's end": func(w http.ResponseWriter) { events(w) },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var lost atomic.Bool
			e := play(t, func(w http.ResponseWriter, r *http.Request) {
				if lost.CompareAndSwap(false, true) {
					lose(w)
					return
				}
				result(w, r, `{}`)
			})
			next := func(r *rig) string {
				for {
					if line := r.line(); !strings.Contains(line, "notifications/progress") {
						return line
					}
				}
			}
			for i, method := range []string{"tools/call", "resources/read", "prompts/get", "completion/complete"} {
				lost.Store(false)
				r := bridged(t, func(int) string { return e.URL })
				r.send(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{"name":"x"}}`, i, method)
				line := next(r)
				require.Contains(t, line, fmt.Sprintf(`"id":%d,"error":{"code":504,`, i))
				require.Contains(t, line, `"data":{"code":"OUTCOME_UNKNOWN"}`)
				require.Len(t, e.requests(method), 1)
			}
			for i, method := range []string{"tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping", "server/discover", "logging/setLevel"} {
				lost.Store(false)
				r := bridged(t, func(int) string { return e.URL })
				r.send(`{"jsonrpc":"2.0","id":%d,"method":%q}`, i, method)
				require.Equal(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, i), next(r))
				require.Len(t, e.requests(method), 2)
			}
		})
	}
}

// TestWhatWasNeverSentIsSentAgain, to the server that is there then.
func TestWhatWasNeverSentIsSentAgain(t *testing.T) {
	t.Parallel()
	gone, e := play(t, nil), play(t, nil)
	gone.Close()
	r := bridged(t, func(n int) string {
		if n < 3 {
			return gone.URL
		}
		return e.URL
	})
	r.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`)
	require.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, r.line())
	require.Len(t, e.requests(callTool), 1)
}

// TestCancellations: in the stateless protocol the request's end, in a session a message
// that comes after the request. Nobody gets an answer then.
func TestCancellations(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case methodOf(r) == initialize:
			begins(w, r, "s1")
		case methodOf(r) == callTool && r.Header.Get("Mcp-Method") != "":
			<-r.Context().Done()
			close(left)
		case methodOf(r) == callTool:
			select {
			case <-left:
			case <-r.Context().Done():
			}
			result(w, r, `{"late":true}`)
		default:
			result(w, r, `{}`)
		}
	})
	r := bridged(t, func(int) string { return e.URL })
	r.hello()
	r.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`)
	e.await(t, callTool, 1)
	r.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	told := e.await(t, cancelled, 1)[0]
	require.Equal(t, "s1", told.header.Get("Mcp-Session-Id"))
	r.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x",%s}}`, meta)
	e.await(t, callTool, 2)
	r.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
	await(t, left)
	r.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":17}}`)
	r.send(`{"jsonrpc":"2.0","id":3,"method":"ping"}`)
	require.Equal(t, `{"jsonrpc":"2.0","id":3,"result":{}}`, r.line(), "and nothing else was answered")
	require.Len(t, e.requests(cancelled), 1, "of what is over nobody is told, nor in the stateless protocol")
}

// TestRefusals become answers in JSON-RPC, with the request's id.
func TestRefusals(t *testing.T) {
	t.Parallel()
	status, body := 0, ""
	e := play(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
	r := bridged(t, func(int) string { return e.URL })
	for _, c := range []struct {
		status  int
		body    string
		code    int64
		message string
		word    string
	}{
		{403, `{"success":false,"error":{"code":"AUTHORIZATION_ERROR","message":"no"}}`, 403, "no", "AUTHORIZATION_ERROR"},
		{404, `{"success":false,"error":{"code":"NOT_FOUND","message":"Profile not found"}}`, 404, "Profile not found", "NOT_FOUND"},
		{401, `{"success":false,"error":{"code":"AUTHENTICATION_ERROR","message":"who"}}`, 401, "who (the server does not know the API key; set UAOL_API_KEY)", "AUTHENTICATION_ERROR"},
		{413, `{"jsonrpc":"2.0","error":{"code":-32600,"message":"too large"}}`, -32600, "too large", ""},
		{400, `{"jsonrpc":"2.0","id":9,"error":{"code":-32022,"message":"v","data":{"code":"x"}}}`, -32022, "v", "x"},
		{400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"The id must be a text"}}`, -32600, "The id must be a text", ""},
		{200, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"odd"}}`, -32600, "odd", ""},
		{502, `<html>`, 502, "Something that is not UAOL answered with status 502", "UNAVAILABLE"},
		{307, ``, 307, "Something that is not UAOL answered with status 307", "UNAVAILABLE"},
		{200, `{"ok":true}`, 502, "Something that is not UAOL answered with status 502", "UNAVAILABLE"},
		{200, `{"jsonrpc":"2.0","id":"another","result":{}}`, 502, "Something that is not UAOL answered with status 502", "UNAVAILABLE"},
	} {
		status, body = c.status, c.body
		r.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`)
		id, code, message, word := r.fault()
		require.Equal(t, "9", id, c.body)
		require.Equal(t, c.code, code, c.body)
		require.Equal(t, c.message, message, c.body)
		require.Equal(t, c.word, word, c.body)
	}
}

// TestPeopleAreToldWhatTheServerSaid of what needs no answer.
func TestPeopleAreToldWhatTheServerSaid(t *testing.T) {
	t.Parallel()
	e := play(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","error":{"code":-32600,"message":"The message is neither a request nor an answer"}}`))
	})
	r := bridged(t, func(int) string { return e.URL })
	r.send(`{"jsonrpc":"2.0"}`)
	require.Equal(t, "a message of the client could not be passed on: The message is neither a request nor an answer", await(t, r.said))
}

// TestWaitingIsTold once, while requests wait for a server that does not answer.
func TestWaitingIsTold(t *testing.T) {
	t.Parallel()
	gone, e := play(t, nil), play(t, nil)
	gone.Close()
	var back atomic.Bool
	r := bridged(t, func(int) string {
		if back.Load() {
			return e.URL
		}
		return gone.URL
	})
	r.send(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	r.send(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	began := time.Now()
	require.Equal(t, "no answer from "+gone.URL+" yet; a request waits for it up to 50s", await(t, r.said))
	require.Less(t, time.Since(began), 10*time.Second)
	back.Store(true)
	r.line()
	r.line()
	require.Empty(t, r.said, "and no more")
}

// TestBatches pass in sessions of the version that has them, each message on its own.
func TestBatches(t *testing.T) {
	t.Parallel()
	version := "2025-03-26"
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		if methodOf(r) == initialize {
			result(w, r, `{"protocolVersion":"`+version+`"}`)
			return
		}
		result(w, r, `{}`)
	})
	r := bridged(t, func(int) string { return e.URL })
	const two = `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},7,{"jsonrpc":"2.0","id":2,"method":"tools/list"},{"jsonrpc":"2.0","id":3,"method":"initialize"}]`
	r.send(two)
	require.Contains(t, r.line(), "-32700", "without a session there are none")
	r.send(`{"jsonrpc":"2.0","id":0,"method":"initialize"}`)
	r.line()
	r.send(two)
	var answers []struct {
		ID     any
		Result any
		Error  struct{ Code int }
	}
	require.NoError(t, json.Unmarshal([]byte(r.line()), &answers))
	got := map[string]int{}
	for _, a := range answers {
		got[fmt.Sprint(a.ID)] = a.Error.Code
	}
	require.Equal(t, map[string]int{"1": 0, "2": 0, "3": -32600, "<nil>": -32700}, got)
	require.Len(t, answers, 4)
	e.await(t, "notifications/x", 1)
	for _, line := range []string{`[]`, `[` + strings.Repeat("1,", 100) + `1]`} {
		r.send("%s", line)
		_, code, _, _ := r.fault()
		require.EqualValues(t, -32600, code)
	}
	version = "2025-06-18"
	r.send(`{"jsonrpc":"2.0","id":0,"method":"initialize"}`)
	r.line()
	r.send(two)
	require.Contains(t, r.line(), "-32700", "later versions have none")
}

// TestKeysThatChange: who is not known any more asks with the key that there is by then.
func TestKeysThatChange(t *testing.T) {
	t.Parallel()
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-API-Key") != "k2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		result(w, r, `{}`)
	})
	r := attached(t, func(n int) (string, string) { return e.URL, fmt.Sprint("k", n) })
	r.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`)
	require.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, r.line())
	require.Len(t, e.requests(callTool), 2)
}

// TestLinesThatAreNoMessages are answered, and lose nothing.
func TestLinesThatAreNoMessages(t *testing.T) {
	t.Parallel()
	e := play(t, nil)
	r := bridged(t, func(int) string { return e.URL })
	for _, line := range []string{`{`, `[]`, "\xff", `"a"`} {
		r.send("%s", line)
		id, code, _, _ := r.fault()
		require.Equal(t, "null", id)
		require.EqualValues(t, -32700, code)
	}
	r.send("\n\r\n  ")
	r.send(`{"jsonrpc":"2.0","id":1,"method":"ping","params":%q}`, strings.Repeat("x", longestLine))
	_, code, message, _ := r.fault()
	require.EqualValues(t, -32600, code)
	require.Contains(t, message, "longer than")
	r.send(`  {"jsonrpc":"2.0","id":1,"method":"ping"}  ` + "\r")
	require.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, r.line())
}

// TestLargeMessagesPass whole, in both directions, beside small ones.
func TestLargeMessagesPass(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("ü\\n", 1<<20)
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(bodyOf(r), "large") {
			events(w, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":"%s"}`, idOf(r), large))
			return
		}
		result(w, r, `{}`)
	})
	r := bridged(t, func(int) string { return e.URL })
	for i := range 3 {
		r.send(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"large","t":"%s"}}`, i, large)
		r.send(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, 10+i)
	}
	sizes := map[bool]int{}
	for range 6 {
		line := r.line()
		require.True(t, strings.HasPrefix(line, `{"jsonrpc":"2.0","id":`) && strings.HasSuffix(line, "}"))
		sizes[len(line) > len(large)]++
	}
	require.Equal(t, map[bool]int{true: 3, false: 3}, sizes)
	require.Len(t, e.requests(callTool)[0].body, len(large)+len(`{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"large","t":""}}`))
}

// TestEndOfInput lets what was asked be answered for a moment, then tells that nobody waits.
func TestEndOfInput(t *testing.T) {
	t.Parallel()
	go1 := make(chan struct{})
	e := play(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case methodOf(r) == initialize:
			begins(w, r, "s1")
		case methodOf(r) == callTool:
			<-r.Context().Done()
		case methodOf(r) == listTools:
			<-go1
			result(w, r, `{}`)
		default:
			result(w, r, `{}`)
		}
	})
	r := bridged(t, func(int) string { return e.URL })
	r.hello()
	r.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	e.await(t, listTools, 1)
	require.NoError(t, r.in.Close())
	close(go1)
	require.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, r.line())
	r.end()

	r = bridged(t, func(int) string { return e.URL })
	r.hello()
	r.send(`{"jsonrpc":"2.0","id":"long","method":"tools/call","params":{"name":"x"}}`)
	e.await(t, callTool, 1)
	began := time.Now()
	require.NoError(t, r.in.Close())
	r.end()
	require.Less(t, time.Since(began), 5*time.Second)
	require.Contains(t, e.await(t, cancelled, 1)[0].body, `"requestId":"long"`)
}

// TestTermination ends it at once.
func TestTermination(t *testing.T) {
	t.Parallel()
	e := play(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r := bridged(t, func(int) string { return e.URL })
	r.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x",%s}}`, meta)
	e.await(t, callTool, 1)
	r.stop()
	r.end()
}
