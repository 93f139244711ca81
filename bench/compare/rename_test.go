package compare

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesAreMadeBare sends what the suite would through the forwarder, to somebody who
// has put something before all names.
func TestNamesAreMadeBare(t *testing.T) {
	n := names{Tools: "up__", Prompts: "p-", Resources: "up+"}
	var asked []byte
	var header http.Header
	var host, answer, kind string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ = io.ReadAll(r.Body)
		header, host = r.Header, r.Host
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, answer)
	}))
	defer gateway.Close()
	address := forward(t, gateway.URL+"/mcp", http.Header{"X-Api-Key": {"k"}}, n)
	send := func(body, method, name string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Mcp-Method", method)
		request.Header.Set("Mcp-Name", name)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(text)
	}

	kind, answer = "application/json", `{"id":1,"jsonrpc":"2.0","result":{"tools":[{"name":"up__a"},{"name":"other"}],"prompts":[{"name":"p-b"}],"resources":[{"uri":"up+test://c"}],"n":12345678901234567890}}`
	said := send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"uri":"test://c"}}}`, "tools/call", "a")
	require.JSONEq(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up__a","arguments":{"uri":"test://c"}}}`, string(asked))
	require.Equal(t, []string{"up__a", "k", strings.TrimPrefix(gateway.URL, "http://")}, []string{header.Get("Mcp-Name"), header.Get("X-Api-Key"), host})
	require.JSONEq(t, `{"id":1,"jsonrpc":"2.0","result":{"tools":[{"name":"a"},{"name":"other"}],"prompts":[{"name":"b"}],"resources":[{"uri":"test://c"}],"n":12345678901234567890}}`, said)
	require.Contains(t, said, "12345678901234567890")

	kind, answer = "text/event-stream", "id: 7\ndata: {\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"up+test://c\"}}\n\n: still there\n\n"
	said = send(`{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"b"}}}`, "completion/complete", "")
	require.JSONEq(t, `{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p-b"}}}`, string(asked))
	require.Equal(t, "id: 7\ndata: {\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"test://c\"}}\n\n: still there\n\n", said)

	kind, answer = "application/json", `{ "jsonrpc": "2.0" , "id": 1, "result": {} }`
	odd := `{ "method": "tools/list" , "params": {} `
	require.Equal(t, answer, send(odd, "tools/list", ""), "what has no names stays as it is")
	require.Equal(t, odd, string(asked))
}

// TestForeignHostsStayForeign: the suite asks what becomes of requests under a name that
// is not the server's.
func TestForeignHostsStayForeign(t *testing.T) {
	var host string
	gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { host = r.Host }))
	defer gateway.Close()
	address := forward(t, gateway.URL+"/mcp", nil, names{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader(nil))
	require.NoError(t, err)
	request.Host = "evil.example.com"
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, "evil.example.com", host)
}

// TestFigures reckons with turns whose outcome is known.
func TestFigures(t *testing.T) {
	lane := Lane{Turns: []Turn{
		{Took: 1, Calls: []int64{1000, 2000, 3000, 4000}, Errors: 1, Used: 0.004},
		{Took: 2, Calls: []int64{5000, 6000}, Used: 0.002},
	}}
	f := lane.figures()
	require.Equal(t, []any{6, 1, 2.5, int64(4000), int64(6000), int64(1000)},
		[]any{f.Calls, f.Errors, f.Rate, f.P50.Microseconds(), f.P99.Microseconds(), f.Each.Microseconds()})
	twice := Lane{Turns: []Turn{{Took: 1, Calls: make([]int64, 8)}, {Took: 1, Calls: make([]int64, 2)}}}
	require.Equal(t, 0.5, lane.beside(twice))
	require.Zero(t, Lane{Turns: []Turn{{Took: 1, Errors: 9}}}.figures().Rate)
}

// TestTableTellsOfAll prints results, of which some did not run.
func TestTableTellsOfAll(t *testing.T) {
	turn := Turn{Took: 1, Calls: []int64{500}}
	e := entrant{Name: "direct", Protocol: stateless}
	r := Results{
		Machine: "a machine", Sides: []Side{{Name: "direct"}, {Name: "gone", Version: "v1", Why: "it can't be had"}},
		Race: []Lane{{entrant: e, Connections: 1, Turns: []Turn{turn}}, {entrant: e, Connections: 32, Turns: []Turn{turn}}},
	}
	var out bytes.Buffer
	r.tell(&out)
	require.Contains(t, out.String(), "| direct |  |  |  | 2026-07-28 | 1 | 1.000 | 0.50 | 0.50 |  | 1 | 1.000 | 0.50 | 0.50 |  | 0 |")
	require.Contains(t, out.String(), "gone v1 did not take part: it can't be had")
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var again Results
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, r.Race, again.Race)
}
