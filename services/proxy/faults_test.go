package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/providers/upstream"
	"uaol/services"
)

// faulty is an MCP server that misbehaves once it is called.
func faulty(t testing.TB, call func(w http.ResponseWriter, r *http.Request, id string)) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		_ = json.NewDecoder(r.Body).Decode(&message)
		if message.Method == "tools/call" {
			call(w, r, string(message.ID))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"f","version":"1"}}}`, message.ID)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func answers(kind, body string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, id string) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "ID", id))
	}
}

// TestWhatAToolMayDoToACall: each misbehaviour has its status, its code and its
// price. Nothing stays held in any case.
func TestWhatAToolMayDoToACall(t *testing.T) {
	t.Parallel()
	const price = 7
	for name, c := range map[string]struct {
		call    func(http.ResponseWriter, *http.Request, string)
		url     string // instead of a server
		kind    services.Kind
		code    string
		outcome Outcome
	}{
		"hangs":               {call: func(_ http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() }, kind: services.Timeout, code: "OUTCOME_UNKNOWN", outcome: Unknown},
		"closes at once":      {call: func(w http.ResponseWriter, _ *http.Request, _ string) { cut(w) }, kind: services.Timeout, code: "OUTCOME_UNKNOWN", outcome: Unknown},
		"closes mid-body":     {call: func(w http.ResponseWriter, _ *http.Request, _ string) { half(w); panic(http.ErrAbortHandler) }, kind: services.Timeout, code: "OUTCOME_UNKNOWN", outcome: Unknown},
		"closes mid-stream":   {call: answers("text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\ndata: {\"id\":"), kind: services.Timeout, code: "OUTCOME_UNKNOWN", outcome: Unknown},
		"floods":              {call: answers("application/json", `{"id":ID,"result":{"content":["`+strings.Repeat("x", 200_000)+`"]}}`), kind: services.Upstream, code: upstream.CodeTooLarge, outcome: Failed},
		"floods with events":  {call: answers("text/event-stream", strings.Repeat("data: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\n", 10_000)), kind: services.Upstream, code: upstream.CodeTooLarge, outcome: Failed},
		"garbage":             {call: answers("application/json", "<html>"), kind: services.Upstream, code: "UPSTREAM_ERROR", outcome: Failed},
		"an error of its own": {call: answers("application/json", `{"id":ID,"error":{"code":-32000,"message":"no"}}`), kind: services.Upstream, code: "UPSTREAM_ERROR", outcome: Failed},
		"redirects inside": {call: func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusTemporaryRedirect)
		}, kind: services.Upstream, code: upstream.CodeRedirected, outcome: Failed},
		"is inside":     {url: "http://169.254.169.254/mcp", kind: services.Upstream, code: upstream.CodeAddressRefused, outcome: Failed},
		"is not there":  {url: "closed", kind: services.Unavailable, code: upstream.CodeUnreachable, outcome: Failed},
		"wants no more": {call: func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusTooManyRequests) }, kind: services.Upstream, code: "UPSTREAM_ERROR", outcome: Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, upstream.Limits{CallTimeout: 1500 * time.Millisecond, MaxAnswer: 100_000})
			url := c.url
			switch url {
			case "closed":
				url = closed(t)
			case "":
				url = faulty(t, c.call)
			}
			tool := b.offer(t, price, url, "mcp", nil)
			response := b.http(t)("/proxy/"+tool.String()+"/call", `{"method":"m"}`, nil)
			var said struct{ Error struct{ Code string } }
			require.NoError(t, json.Unmarshal(response.Body.Bytes(), &said), response.Body)
			status := map[services.Kind]int{services.Upstream: 502, services.Unavailable: 503, services.Timeout: 504}[c.kind]
			require.Equal(t, status, response.Code, response.Body)
			require.Equal(t, c.code, said.Error.Code, response.Body)
			charged := int64(0)
			if c.outcome == Unknown {
				charged = price
			}
			require.Equal(t, charged, b.spent(t))
			records := b.records(t)
			require.Len(t, records, 1)
			require.Equal(t, c.outcome, records[0].Outcome)
			require.Equal(t, c.code, records[0].Code)
			require.Equal(t, charged, records[0].Credits)
		})
	}
}

func TestATroubledToolIsNotHeldFor(t *testing.T) {
	t.Parallel()
	b := setupWith(t, upstream.Limits{Failures: 2, Rest: time.Hour, QueueTimeout: 50 * time.Millisecond})
	broken := b.offer(t, 7, b.box.odd, "rest", nil)
	for range 2 {
		require.Error(t, b.call(t, broken, "status500", ``))
	}
	before := b.entries(t, "hold")
	e := errorOf(t, b.call(t, broken, "fine", ``))
	require.Equal(t, upstream.CodeCircuitOpen, e.Code)
	require.Equal(t, services.Unavailable, e.Kind)
	require.Equal(t, before, b.entries(t, "hold"), "nothing is held for a call that does not leave")
	records := b.records(t)
	require.Equal(t, Refused, records[len(records)-1].Outcome)
}
