package mcpserver_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

func twoReplicas(t testing.TB) *bench {
	return setup(t, func(t testing.TB, s world.Settings) *world.World { return world.Replicas(t, s, 2) })
}

// at is the same caller at one of the replicas.
func (b *bench) at(c world.Client, i int) world.Client {
	c.Base = b.world.Replicas[i]
	return c
}

// initialized begins a session of a client that can be asked.
func initialized(t testing.TB, c raw) http.Header {
	t.Helper()
	got := c.post(t, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"x","version":"1"}}}`, nil)
	require.Equal(t, http.StatusOK, got.status, got.body)
	return http.Header{"Mcp-Session-Id": {got.header.Get("Mcp-Session-Id")}, "Mcp-Protocol-Version": {"2025-11-25"}}
}

// stream sends a request and gives its events as they come.
func (c raw) stream(t testing.TB, body string, more http.Header) (events <-chan map[string]any, end func()) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.Base+c.path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header = c.Header.Clone()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	for name, values := range more {
		request.Header[name] = values
	}
	return follow(t, request)
}

// listen opens the stream of a session.
func (c raw) listen(t testing.TB, more http.Header) (events <-chan map[string]any, end func()) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Base+c.path, nil)
	require.NoError(t, err)
	request.Header = c.Header.Clone()
	request.Header.Set("Accept", "text/event-stream")
	for name, values := range more {
		request.Header[name] = values
	}
	return follow(t, request)
}

// follow reads the events of an answer.
func follow(t testing.TB, request *http.Request) (events <-chan map[string]any, end func()) {
	t.Helper()
	response, err := world.HTTP.Do(request)
	require.NoError(t, err)
	told := make(chan map[string]any, 100)
	go func() {
		defer close(told)
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			text := strings.TrimPrefix(lines.Text(), "data: ")
			var event map[string]any
			if json.Unmarshal([]byte(text), &event) == nil {
				told <- event
			}
		}
	}()
	return told, func() { _ = response.Body.Close() }
}

// TestSessionsLiveInNoReplica: begun at one, used and ended at the other.
func TestSessionsLiveInNoReplica(t *testing.T) {
	t.Parallel()
	b := twoReplicas(t)
	user := b.user(t)
	one, other := raw{b.at(user, 0), "/mcp"}, raw{b.at(user, 1), "/mcp"}
	session := initialized(t, one)
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	require.Equal(t, "new__ask", other.post(t, list, session).at("result.tools.0.name"))
	require.Equal(t, http.StatusNoContent, b.at(user, 1).With("Mcp-Session-Id", session.Get("Mcp-Session-Id")).Do(t, http.MethodDelete, "/mcp", nil).Status)
	world.Until(t, "the other replica has heard that the session is over", func() bool {
		return one.post(t, list, session).status == http.StatusNotFound
	})
}

// TestAnswersComeToTheOtherReplica: what a tool asks on a stream of one replica is
// answered at the other.
func TestAnswersComeToTheOtherReplica(t *testing.T) {
	t.Parallel()
	b := twoReplicas(t)
	user := b.user(t)
	one, other := raw{b.at(user, 0), "/mcp"}, raw{b.at(user, 1), "/mcp"}
	session := initialized(t, one)
	for _, tool := range []string{"new__ask", "old__ask"} {
		events, end := one.stream(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q}}`, tool), session)
		question := receive(t, events)
		require.Equal(t, "elicitation/create", question["method"])
		id := fmt.Sprint(question["id"])
		answer := fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"action":"accept","content":{"name":"Bob"}}}`, id)
		stranger := raw{b.at(b.user(t), 1), "/mcp"}
		require.Equal(t, http.StatusBadRequest, stranger.post(t, answer, initialized(t, stranger)).status, "others answer nothing")
		require.Equal(t, http.StatusAccepted, other.post(t, answer, session).status)
		result := receive(t, events)
		text, err := json.Marshal(result)
		require.NoError(t, err)
		require.Equal(t, "accept Bob", rpc{object: result}.at("result.content.0.text"), string(text))
		end()
	}
}

// TestRoundsComeToTheOtherReplica: what a tool asks a client of the stateless protocol at
// one replica is answered at the other, whether the call goes on there or not.
func TestRoundsComeToTheOtherReplica(t *testing.T) {
	t.Parallel()
	b := twoReplicas(t)
	user := b.user(t)
	one, other := raw{b.at(user, 0), "/mcp"}, raw{b.at(user, 1), "/mcp"}
	for tool, key := range map[string]string{"new__ask": "who", "old__ask": "q1"} {
		asked := one.modern(t, "tools/call", object{"name": tool}, nil)
		require.Equal(t, "input_required", asked.at("result.resultType"), asked.body)
		require.Equal(t, "elicitation/create", asked.at("result.inputRequests."+key+".method"), asked.body)
		state := asked.at("result.requestState")
		answers := object{key: object{"action": "accept", "content": object{"name": "Bob"}}}
		for what, refused := range map[string]rpc{
			"another's state":        raw{b.at(b.user(t), 1), "/mcp"}.modern(t, "tools/call", object{"name": tool, "requestState": state, "inputResponses": answers}, nil),
			"for another call":       other.modern(t, "tools/call", object{"name": tool, "arguments": object{"x": 1}, "requestState": state, "inputResponses": answers}, nil),
			"a changed one":          other.modern(t, "tools/call", object{"name": tool, "requestState": state[:len(state)-4] + "AAAA", "inputResponses": answers}, nil),
			"for another tool's ask": other.modern(t, "tools/call", object{"name": map[string]string{"new__ask": "old__ask", "old__ask": "new__ask"}[tool], "requestState": state, "inputResponses": answers}, nil),
		} {
			require.Equal(t, "-32602", refused.at("error.code"), "%s: %s", what, refused.body)
		}
		again := other.modern(t, "tools/call", object{"name": tool, "requestState": state}, nil)
		require.Equal(t, "input_required", again.at("result.resultType"), "what is not answered is asked again: %s", again.body)
		got := one.modern(t, "tools/call", object{"name": tool, "requestState": again.at("result.requestState"), "inputResponses": answers}, nil)
		require.Equal(t, "accept Bob", got.at("result.content.0.text"), got.body)
		require.Equal(t, "complete", got.at("result.resultType"))
		if tool == "old__ask" { // the other one makes a call of each round
			// An answer that was lost on the way is had again, wherever the client comes.
			for _, lost := range []raw{one, other} {
				same := lost.modern(t, "tools/call", object{"name": tool, "requestState": again.at("result.requestState"), "inputResponses": answers}, nil)
				require.Equal(t, got.at("result"), same.at("result"), same.body)
				same = lost.modern(t, "tools/call", object{"name": tool, "requestState": state, "inputResponses": answers}, nil)
				require.Equal(t, "input_required", same.at("result.resultType"), "that round brought another: %s", same.body)
			}
		}
	}
	require.Equal(t, "9986", credits(t, user))
}

// TestCancellationsComeToTheOtherReplica end a request that is under way at the first.
func TestCancellationsComeToTheOtherReplica(t *testing.T) {
	t.Parallel()
	b := twoReplicas(t)
	user := b.user(t)
	one, other := raw{b.at(user, 0), "/mcp"}, raw{b.at(user, 1), "/mcp"}
	session := initialized(t, one)
	ended := make(chan error, 1)
	go func() {
		_, err := world.Client{Base: one.Base, Header: session}.With("Authorization", one.Header.Get("Authorization")).
			Try(t, http.MethodPost, "/mcp", world.Raw(`{"jsonrpc":"2.0","id":"long","method":"tools/call","params":{"name":"old__slow"}}`))
		ended <- err
	}()
	receive(t, b.boxes[sessions].entered)
	require.Equal(t, http.StatusAccepted, other.post(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"long"}}`, session).status)
	receive(t, b.boxes[sessions].left)
	require.NoError(t, receive(t, ended))
}

// TestWhoAnswersNothingKeepsFewPlaces: of many calls that ask one client, only so many
// wait for it.
func TestWhoAnswersNothingKeepsFewPlaces(t *testing.T) {
	t.Parallel()
	b := together(t)
	c := raw{b.user(t), "/mcp"}
	waiting := 0
	for range 10 {
		got := c.modern(t, "tools/call", object{"name": "old__ask"}, nil)
		if got.at("result.resultType") == "input_required" {
			waiting++
			continue
		}
		require.Contains(t, got.at("result.content.0.text"), "answer them first", got.body)
	}
	require.Equal(t, 8, waiting)
}
