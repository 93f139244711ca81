package upstream

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func codeOf(t *testing.T, err error) string {
	t.Helper()
	var e *services.Error
	require.ErrorAs(t, err, &e)
	return e.Code
}

// ask makes one call through a pass.
func ask(t *testing.T, c *Client, target Target, a Ask) error {
	t.Helper()
	pass, err := c.Admit(t.Context(), target, 0)
	if err != nil {
		return err
	}
	defer pass.Done()
	answer, err := pass.Call(t.Context(), a)
	if err == nil {
		answer.Close()
	}
	return err
}

// sometimes answers with what a test says just then.
type sometimes struct {
	calls atomic.Int64
	say   atomic.Pointer[func(http.ResponseWriter, *http.Request, json.RawMessage)]
}

func (s *sometimes) now(say func(http.ResponseWriter, *http.Request, json.RawMessage)) {
	s.say.Store(&say)
}

func (s *sometimes) answer(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
	s.calls.Add(1)
	(*s.say.Load())(w, r, id)
}

func TestAToolThatKeepsFailingIsLeftAlone(t *testing.T) {
	good := say("application/json", okAnswer)
	for name, c := range map[string]struct {
		say   func(http.ResponseWriter, *http.Request, json.RawMessage)
		opens bool
	}{
		"5xx": {status(500, ""), true}, "cut": {cutAfter("", ""), true}, "hang": {hang, true},
		"4xx": {status(401, ""), false}, "garbage": {say("application/json", "x"), false},
		"an error of its own": {say("application/json", `{"id":ID,"error":{"code":-32000,"message":"no"}}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s sometimes
			s.now(good)
			server := serve(t, fake(s.answer))
			client, target := client(t, Limits{CallTimeout: 300 * time.Millisecond, Failures: 3, Rest: 200 * time.Millisecond}), targetAt(server.URL, ProtocolMCP)
			require.NoError(t, ask(t, client, target, Ask{Method: "m"}))
			s.now(c.say)
			for range 3 {
				require.NotEqual(t, CodeCircuitOpen, codeOf(t, ask(t, client, target, Ask{Method: "m"})))
			}
			before := s.calls.Load()
			err := ask(t, client, target, Ask{Method: "m"})
			if !c.opens {
				require.NotEqual(t, CodeCircuitOpen, codeOf(t, err))
				return
			}
			require.Equal(t, CodeCircuitOpen, codeOf(t, err))
			require.True(t, services.Is(err, services.Unavailable))
			require.Equal(t, before, s.calls.Load(), "nothing leaves")
			elsewhere := target
			elsewhere.URL += "/other"
			require.NotEqual(t, CodeCircuitOpen, codeOf(t, ask(t, client, elsewhere, Ask{Method: "m"})), "another address is judged by itself")
			s.now(good)
			require.Eventually(t, func() bool { return ask(t, client, target, Ask{Method: "m"}) == nil }, 10*time.Second, 10*time.Millisecond, "one probe closes it")
			require.NoError(t, ask(t, client, target, Ask{Method: "m"}))
		})
	}
}

func TestWhoLeavesSaysNothingOfTheTool(t *testing.T) {
	entered := make(chan struct{}, 10)
	server := serve(t, fake(func(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
		entered <- struct{}{}
		hang(w, r, id)
	}))
	c, target := client(t, Limits{Failures: 2, Rest: time.Hour}), targetAt(server.URL, ProtocolMCP)
	for range 4 {
		ctx, leave := context.WithCancel(t.Context())
		pass, err := c.Admit(ctx, target, 0)
		require.NoError(t, err)
		go func() {
			<-entered
			leave()
		}()
		_, err = pass.Call(ctx, Ask{Method: "m"})
		pass.Done()
		require.True(t, Delivered(err), err)
	}
	_, err := c.Admit(t.Context(), target, 0)
	require.NoError(t, err)
}

func TestOnlySoManyCallsAtOnce(t *testing.T) {
	server := serve(t, fake(say("application/json", okAnswer)))
	c, target := client(t, Limits{QueueTimeout: 100 * time.Millisecond}), targetAt(server.URL, ProtocolMCP)
	first, err := c.Admit(t.Context(), target, 1)
	require.NoError(t, err)
	_, err = c.Admit(t.Context(), target, 1)
	require.Equal(t, CodeBusy, codeOf(t, err))
	require.True(t, services.Is(err, services.Unavailable))
	other := target
	other.ToolID = targetAt("", "").ToolID
	second, err := c.Admit(t.Context(), other, 1)
	require.NoError(t, err, "each tool has its own places")
	second.Done()
	waiting := make(chan error, 1)
	patient := client(t, Limits{QueueTimeout: time.Minute})
	held, err := patient.Admit(t.Context(), target, 1)
	require.NoError(t, err)
	go func() {
		pass, err := patient.Admit(t.Context(), target, 1)
		if err == nil {
			pass.Done()
		}
		waiting <- err
	}()
	held.Done()
	require.NoError(t, <-waiting, "who waits gets the next place")
	first.Done()
}

func TestWhatIsTriedAgain(t *testing.T) {
	unavailable, broken := status(503, ""), status(500, "")
	for name, c := range map[string]struct {
		say        func(http.ResponseWriter, *http.Request, json.RawMessage)
		repeatable bool
		calls      int64
	}{
		"503":                             {unavailable, false, 1},
		"503, repeatable":                 {unavailable, true, 3},
		"500, repeatable":                 {broken, true, 1},
		"cut":                             {cutAfter("", ""), false, 1},
		"cut, repeatable":                 {cutAfter("", ""), true, 3},
		"an error of its own, repeatable": {say("application/json", `{"id":ID,"error":{"code":1,"message":"no"}}`), true, 1},
		"garbage, repeatable":             {say("application/json", "x"), true, 1},
		"out of time, repeatable":         {hang, true, 1},
		"too large an answer, repeatable": {flood, true, 1},
		"something inside, repeatable": {func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
			http.Redirect(w, r, "http://10.0.0.1/", http.StatusTemporaryRedirect)
		}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s sometimes
			s.now(c.say)
			server := serve(t, fake(s.answer))
			err := ask(t, client(t, Limits{CallTimeout: 2 * time.Second, MaxAnswer: 100_000}), targetAt(server.URL, ProtocolMCP), Ask{Method: "m", Repeatable: c.repeatable})
			require.Error(t, err)
			require.Equal(t, c.calls, s.calls.Load(), "%v", err)
		})
	}
	t.Run("what failed once", func(t *testing.T) {
		var s sometimes
		s.now(func(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
			s.now(say("application/json", okAnswer))
			cutAfter("", "")(w, r, id)
		})
		server := serve(t, fake(s.answer))
		require.NoError(t, ask(t, client(t, Limits{}), targetAt(server.URL, ProtocolMCP), Ask{Method: "m", Repeatable: true}))
		require.EqualValues(t, 2, s.calls.Load())
	})
}

func TestATimeOutOfTheToolsOwn(t *testing.T) {
	server := serve(t, fake(hang))
	begun := time.Now()
	err := ask(t, client(t, Limits{}), targetAt(server.URL, ProtocolMCP), Ask{Method: "m", Timeout: 100 * time.Millisecond})
	require.True(t, Delivered(err), err)
	require.Less(t, time.Since(begun), 10*time.Second)
}

func TestAChangedListIsHeard(t *testing.T) {
	for name, body := range map[string]string{
		"in a stream": "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\ndata: " + okAnswer + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, fake(say("text/event-stream", body)))
			changed := false
			require.NoError(t, ask(t, client(t, Limits{}), targetAt(server.URL, ProtocolMCP), Ask{Method: "m", Changed: func() { changed = true }}))
			require.True(t, changed)
		})
	}
}

// A call that was answered in part and could not be resumed may have been done.
func TestAStreamThatCanNotBeResumedLeavesTheOutcomeUnknown(t *testing.T) {
	handler := fake(func(w http.ResponseWriter, _ *http.Request, _ json.RawMessage) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("id: 1\nretry: 10\ndata:\n\n"))
	})
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	err := ask(t, client(t, Limits{}), targetAt(server.URL, ProtocolMCP), Ask{Method: "m"})
	require.True(t, Delivered(err), err)
}

func TestMembersAreFoundWhereTheyAre(t *testing.T) {
	got := map[string]string{}
	require.True(t, Members([]byte(` { "a" : 1 ,"b\"\\":"x\\\"}", "c":{"d":[1,{"e":"]"}]},"f":[ ],"g" :null } `), func(key, value []byte) { got[string(key)] = string(value) }))
	require.Equal(t, map[string]string{"a": "1", `b\"\\`: `"x\\\"}"`, "c": `{"d":[1,{"e":"]"}]}`, "f": "[ ]", "g": "null"}, got)
	require.True(t, Members([]byte(`{}`), func(_, _ []byte) { t.Error("nothing is there") }))
	for _, other := range []string{`[]`, `1`, `"{"`, `null`} {
		require.False(t, Members([]byte(other), nil))
	}
}

// FuzzMembers holds the walk against the decoder.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, ` {"a" : {"b":"\\\""} , "c":[1,"]"] }`, `{"\u0061":null,"":""}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(data, &want) == nil && want != nil
		got := map[string]json.RawMessage{}
		require.Equal(t, isObject, Members(data, func(key, value []byte) {
			var name string
			require.NoError(t, json.Unmarshal(append(append([]byte{'"'}, key...), '"'), &name))
			got[name] = value
		}))
		require.Len(t, got, len(want))
		for name, value := range want {
			require.Equal(t, string(value), string(got[name]))
		}
	})
}

// TestWhoIsAskedKeepsNobodyElseWaiting: a tool that has failed and now asks somebody
// something works again, for all others too, whether or not she ever answers.
func TestWhoIsAskedKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	var s sometimes
	s.now(say("application/json", okAnswer))
	c, target := client(t, Limits{Failures: 2, Rest: 50 * time.Millisecond}), targetAt(serve(t, fake(s.answer)).URL, ProtocolMCP)
	require.NoError(t, ask(t, c, target, Ask{Method: "m"}))
	s.now(status(500, ""))
	for range 2 {
		require.Error(t, ask(t, c, target, Ask{Method: "m"}))
	}
	s.now(func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"elicitation/create\",\"params\":{\"message\":\"Who?\"}}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	asked := make(chan struct{}, 1)
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	silent := &Talk{Can: Everything, Who: "carol", Answer: func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	var pass *Pass
	require.Eventually(t, func() (admitted bool) {
		var err error
		pass, err = c.Admit(ctx, target, 0)
		return err == nil
	}, 10*time.Second, 5*time.Millisecond, "it is the one probe")
	go func() {
		defer pass.Done()
		_, err := pass.Call(ctx, Ask{Method: "m", Talk: silent})
		ended <- err
	}()
	<-asked
	s.now(say("application/json", okAnswer))
	require.NoError(t, ask(t, c, target, Ask{Method: "m"}))
	leave()
	require.Error(t, <-ended)
	require.NoError(t, ask(t, c, target, Ask{Method: "m"}))
}
