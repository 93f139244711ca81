package proxy

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

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/services"
)

// again is a call as its caller hears of it.
type again struct {
	result   string
	failed   bool
	repeated bool
}

func (b *bench) once(t testing.TB, key string, in CallRequest) (again, error) {
	t.Helper()
	return b.onceBy(t, b.keys, key, in)
}

func (b *bench) onceBy(t testing.TB, o *Once, key string, in CallRequest) (again, error) {
	t.Helper()
	if in.Caller.Account == uuid.Nil {
		in.Caller = b.caller
	}
	answer, _, repeated, err := o.Exchange(context.Background(), key, Exchange{CallRequest: in})
	if err != nil {
		return again{repeated: repeated}, err
	}
	defer answer.Close()
	return again{string(answer.Result), answer.Failed, repeated}, nil
}

func TestARepeatedCallIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	call := CallRequest{ToolID: b.tool(t, 30, b.box.mcp, "mcp"), Method: "echo", Params: json.RawMessage(`{"n":1}`)}
	first, err := b.once(t, "k", call)
	require.NoError(t, err)
	second, err := b.once(t, "k", call)
	require.NoError(t, err)
	require.Equal(t, again{result: first.result, repeated: true}, second)
	require.False(t, first.repeated)
	require.EqualValues(t, 1, b.box.calls.Load())
	require.EqualValues(t, 30, b.spent(t))
	require.Len(t, b.records(t), 1)

	call.Params = json.RawMessage(`{"n":2}`)
	_, err = b.once(t, "k", call)
	require.Equal(t, services.Conflict, services.KindOf(err), "%v", err)
	_, err = b.once(t, "l", call)
	require.NoError(t, err)
	call.Caller = user()
	_, err = b.once(t, "k", call)
	require.NoError(t, err, "others have keys of their own")
	require.EqualValues(t, 3, b.box.calls.Load())
}

func TestManyAskForOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	call := CallRequest{ToolID: b.tool(t, 30, b.box.mcp, "mcp"), Method: "hang"}
	var all sync.WaitGroup
	results, faults := make([]again, 10), make([]error, 10)
	for i := range results {
		all.Go(func() { results[i], faults[i] = b.once(t, "k", call) })
	}
	receive(t, b.box.entered)
	b.box.release <- struct{}{}
	all.Wait()
	made := 0
	for i, got := range results {
		require.NoError(t, faults[i])
		require.Equal(t, results[0].result, got.result)
		if !got.repeated {
			made++
		}
	}
	require.Equal(t, 1, made)
	require.EqualValues(t, 1, b.box.calls.Load())
	require.EqualValues(t, 30, b.spent(t))
}

// What becomes of a key with the first call's end.
func TestWhatAKeyKeeps(t *testing.T) {
	t.Parallel()
	for method, c := range map[string]struct {
		code  string
		calls int64 // that two requests make
		spent int64
	}{
		"fine":      {calls: 1, spent: 7},
		"status500": {code: "UPSTREAM_ERROR", calls: 2},
		"garbage":   {code: "UPSTREAM_ERROR", calls: 2},
		"cut":       {code: services.CodeOutcomeUnknown, calls: 1, spent: 7},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			call := CallRequest{ToolID: b.tool(t, 7, b.box.odd, "rest"), Method: method}
			for range 2 {
				_, err := b.once(t, "k", call)
				if c.code == "" {
					require.NoError(t, err)
					continue
				}
				require.Error(t, err)
				require.Equal(t, c.code, codeOf(err))
			}
			require.Equal(t, c.calls, b.box.calls.Load())
			require.Equal(t, c.spent, b.spent(t))
		})
	}
}

func TestAFailureOfTheToolIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	call := CallRequest{ToolID: b.tool(t, 7, b.box.mcp, "mcp"), Method: "fails"}
	first, err := b.once(t, "k", call)
	require.NoError(t, err)
	second, err := b.once(t, "k", call)
	require.NoError(t, err)
	require.Equal(t, again{first.result, true, true}, second)
	require.EqualValues(t, 1, b.box.calls.Load())
	require.Zero(t, b.spent(t))
}

// What is refused before anything leaves does not use the key up.
func TestARefusalFreesTheKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	call := CallRequest{ToolID: uuid.New(), Method: "echo"}
	_, err := b.once(t, "k", call)
	require.Equal(t, services.NotFound, services.KindOf(err))
	call.ToolID = b.tool(t, 0, b.box.mcp, "mcp")
	_, err = b.once(t, "k", call)
	require.NoError(t, err)
}

func TestACallWhoseProcessDiedIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	call := CallRequest{ToolID: b.tool(t, 7, b.box.mcp, "mcp"), Method: "echo"}
	given, err := readArguments(call.Params)
	require.NoError(t, err)
	ours, err := NewRepository(b.pool).claim(t.Context(), keyed{
		Organization: b.caller.Organization, Account: b.caller.Account, Key: "k", CallID: uuid.New(), State: underWay,
		Digest: b.service.digests.of(given) + " " + call.ToolID.String() + " echo",
	}, 0)
	require.NoError(t, err)
	require.True(t, ours)
	_, err = b.once(t, "k", call)
	require.Equal(t, services.CodeOutcomeUnknown, codeOf(err), "%v", err)
	require.Zero(t, b.box.calls.Load())
}

// A call that takes longer than its lease is still heard of.
func TestALongCallKeepsItsKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	call := CallRequest{ToolID: b.tool(t, 7, b.box.mcp, "mcp"), Method: "hang"}
	o := NewOnce(b.service, NewRepository(b.pool), zap.NewNop())
	o.lease = 300 * time.Millisecond
	results := make(chan again, 2)
	for range 2 {
		go func() {
			got, err := b.onceBy(t, o, "k", call)
			if err != nil {
				got.result = err.Error()
			}
			results <- got
		}()
	}
	receive(t, b.box.entered)
	begun := time.Now()
	require.Eventually(t, func() bool { return time.Since(begun) > 2*o.lease }, patience, 10*time.Millisecond)
	b.box.release <- struct{}{}
	require.Equal(t, receive(t, results).result, receive(t, results).result)
	require.EqualValues(t, 1, b.box.calls.Load())
}

func TestALargeResultIsNotKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"text":%q}`, strings.Repeat("a", mostKept))
	}))
	t.Cleanup(large.Close)
	call := CallRequest{ToolID: b.tool(t, 7, large.URL, "rest"), Method: "large"}
	first, err := b.once(t, "k", call)
	require.NoError(t, err)
	require.Greater(t, len(first.result), mostKept)
	_, err = b.once(t, "k", call)
	require.Equal(t, CodeNotKept, codeOf(err), "%v", err)
	require.EqualValues(t, 7, b.spent(t))
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, key := range []string{"", strings.Repeat("k", 256), "a\nb", "ä"} {
		_, err := b.once(t, key, CallRequest{ToolID: uuid.New(), Method: "echo"})
		require.Equal(t, services.Invalid, services.KindOf(err), "%q", key)
	}
}

func TestKeysAreForgottenAndErased(t *testing.T) {
	t.Parallel()
	b := setup(t)
	call := CallRequest{ToolID: b.tool(t, 0, b.box.mcp, "mcp"), Method: "echo"}
	for _, key := range []string{"old", "new"} {
		_, err := b.once(t, key, call)
		require.NoError(t, err)
	}
	count := func() int64 { return b.number(t, `SELECT count(*) FROM uaol_proxy.keyed_calls`) }
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_proxy.keyed_calls SET created_at = now() - interval '25 hours' WHERE key = 'old'`)
	require.NoError(t, err)
	calls := NewCalls(Config{Days: 30}, NewRepository(b.pool))
	require.NoError(t, calls.Forget(t.Context()))
	require.EqualValues(t, 1, count())
	require.NoError(t, calls.Erase(t.Context(), services.Person{Account: uuid.New()}))
	require.EqualValues(t, 1, count())
	require.NoError(t, calls.Erase(t.Context(), services.Person{Account: b.caller.Account}))
	require.Zero(t, count())
}

func TestAKeyOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	post := b.http(t)
	path := "/proxy/" + b.tool(t, 30, b.box.mcp, "mcp").String() + "/call"
	header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"k"}}
	first := post(path, `{"method":"echo","params":{"n":1}}`, header)
	require.Equal(t, http.StatusOK, first.Code, first.Body.String())
	require.Empty(t, first.Header().Get("Idempotent-Replayed"))
	second := post(path, `{"method":"echo","params":{"n":1}}`, header)
	require.Equal(t, first.Body.String(), second.Body.String())
	require.Equal(t, "true", second.Header().Get("Idempotent-Replayed"))
	require.Equal(t, http.StatusConflict, post(path, `{"method":"echo"}`, header).Code)
	header.Set("Idempotency-Key", "")
	require.Equal(t, http.StatusBadRequest, post(path, `{"method":"echo"}`, header).Code)
	require.EqualValues(t, 1, b.box.calls.Load())
	require.EqualValues(t, 30, b.spent(t))
}

// TestHeadersOfACall say what it cost and where it is recorded, and keep it from costing
// more than its caller wants.
func TestHeadersOfACall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	post, path := b.http(t), "/proxy/"+b.tool(t, 30, b.box.mcp, "mcp").String()+"/call"
	for name, test := range map[string]struct {
		method  string
		header  http.Header
		status  int
		credits string // "" where there is no record
		says    string
	}{
		"made":                  {method: "echo", status: http.StatusOK, credits: "30"},
		"made within its limit": {method: "echo", header: http.Header{"X-Max-Credits": {"30"}}, status: http.StatusOK, credits: "30"},
		"failed":                {method: "fails", status: http.StatusOK, credits: "0"},
		"too dear":              {method: "echo", header: http.Header{"X-Max-Credits": {"29"}}, status: http.StatusPaymentRequired, credits: "0", says: CodeTooDear},
		"with a key":            {method: "echo", header: http.Header{"Idempotency-Key": {"a"}, "X-Max-Credits": {"29"}}, status: http.StatusPaymentRequired, credits: "0", says: CodeTooDear},
		"no number":             {method: "echo", header: http.Header{"X-Max-Credits": {"1.5"}}, status: http.StatusBadRequest, says: "header.X-Max-Credits"},
		"less than nothing":     {method: "echo", header: http.Header{"X-Max-Credits": {"-1"}}, status: http.StatusBadRequest, says: "header.X-Max-Credits"},
	} {
		got := post(path, `{"method":"`+test.method+`"}`, test.header)
		require.Equal(t, test.status, got.Code, "%s: %s", name, got.Body)
		require.Contains(t, got.Body.String(), test.says, name)
		require.Equal(t, test.credits, got.Header().Get("X-Credits"), name)
		if test.credits == "" {
			require.Empty(t, got.Header().Get("X-Call-Id"), name)
			continue
		}
		id := got.Header().Get("X-Call-Id")
		require.Eventually(t, func() bool {
			for _, record := range b.records(t) {
				if record.ID.String() == id && fmt.Sprint(record.Credits) == test.credits {
					return true
				}
			}
			return false
		}, 10*time.Second, 10*time.Millisecond, name)
	}
	key := http.Header{"Idempotency-Key": {"b"}}
	first, second := post(path, `{"method":"echo"}`, key), post(path, `{"method":"echo"}`, key)
	require.Equal(t, first.Header().Get("X-Call-Id"), second.Header().Get("X-Call-Id"))
	require.Equal(t, []string{"30", "0"}, []string{first.Header().Get("X-Credits"), second.Header().Get("X-Credits")}, "a repetition is charged nothing")
}

func codeOf(err error) string {
	if services.KindOf(err) == services.Upstream {
		return "UPSTREAM_ERROR"
	}
	for _, code := range []string{services.CodeOutcomeUnknown, CodeNotKept, CodeUnderWay} {
		if services.IsCode(err, code) {
			return code
		}
	}
	return fmt.Sprint(err)
}
