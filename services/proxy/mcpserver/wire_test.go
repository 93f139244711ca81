package mcpserver_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// TestWhatTheStatelessProtocolRefuses: requests that do not say of themselves what they
// have to, or say two things.
func TestWhatTheStatelessProtocolRefuses(t *testing.T) {
	t.Parallel()
	b := together(t)
	c := raw{b.user(t), "/mcp"}
	whole := object{"io.modelcontextprotocol/protocolVersion": stateless, "io.modelcontextprotocol/clientCapabilities": object{}}
	echo := func(meta object) object {
		return object{"name": "new__echo", "arguments": object{"text": "a"}, "_meta": meta}
	}
	text := http.Header{"Mcp-Param-Text": {"a"}}
	and := func(name, value string) http.Header {
		all := text.Clone()
		if all[name] = []string{value}; value == "" {
			delete(all, name)
		}
		return all
	}
	for name, x := range map[string]struct {
		method string
		params object
		header http.Header
		status int
		code   string
	}{
		"all is well":              {"tools/call", echo(whole), text, 200, ""},
		"base64":                   {"tools/call", echo(whole), and("Mcp-Param-Text", "=?base64?YQ==?="), 200, ""},
		"no _meta":                 {"server/discover", object{"_meta": object{}}, nil, 400, "-32602"},
		"no version":               {"server/discover", object{"_meta": object{"io.modelcontextprotocol/clientCapabilities": object{}}}, nil, 400, "-32602"},
		"no capabilities":          {"server/discover", object{"_meta": object{"io.modelcontextprotocol/protocolVersion": stateless}}, nil, 400, "-32602"},
		"another version":          {"server/discover", object{"_meta": object{"io.modelcontextprotocol/protocolVersion": "v9", "io.modelcontextprotocol/clientCapabilities": object{}}}, http.Header{"Mcp-Protocol-Version": {"v9"}}, 400, "-32022"},
		"two versions":             {"server/discover", object{"_meta": whole}, http.Header{"Mcp-Protocol-Version": {"2025-11-25"}}, 400, "-32020"},
		"no header of a version":   {"server/discover", object{"_meta": whole}, http.Header{"Mcp-Protocol-Version": nil}, 400, "-32020"},
		"no header of the method":  {"tools/call", echo(whole), and("Mcp-Method", ""), 400, "-32020"},
		"another method":           {"tools/call", echo(whole), and("Mcp-Method", "tools/list"), 400, "-32020"},
		"another name":             {"tools/call", echo(whole), and("Mcp-Name", "old__echo"), 400, "-32020"},
		"no header of an argument": {"tools/call", echo(whole), nil, 400, "-32020"},
		"another argument":         {"tools/call", echo(whole), and("Mcp-Param-Text", "b"), 400, "-32020"},
		"initialize":               {"initialize", object{"_meta": whole}, nil, 404, "-32601"},
		"ping":                     {"ping", nil, nil, 404, "-32601"},
		"unknown":                  {"unknown/method", nil, nil, 404, "-32601"},
		"a level that is none":     {"tools/list", object{"_meta": object{"io.modelcontextprotocol/protocolVersion": stateless, "io.modelcontextprotocol/clientCapabilities": object{}, "io.modelcontextprotocol/logLevel": "loud"}}, nil, 400, "-32602"},
		"unknown tool":             {"tools/call", object{"name": "new__none", "_meta": whole}, nil, 200, "-32602"},
		"no tool":                  {"tools/call", object{"name": "", "_meta": whole}, nil, 400, "-32020"},
		"a foreign state":          {"tools/call", object{"name": "new__echo", "arguments": object{"text": "a"}, "requestState": "AAAA", "_meta": whole}, text, 200, "-32602"},
		"a cursor of nobody's":     {"tools/list", object{"cursor": "%", "_meta": whole}, nil, 200, "-32602"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for key, values := range x.header {
				header[key] = values
			}
			if _, set := x.header["Mcp-Method"]; !set && name == "no header of the method" {
				header["Mcp-Method"] = nil
			}
			got := c.modern(t, x.method, x.params, header)
			require.Equal(t, x.status, got.status, got.body)
			require.Equal(t, x.code, got.at("error.code"), got.body)
			require.Equal(t, "1", got.at("id"), got.body)
		})
	}
	got := c.modern(t, "server/discover", object{"_meta": object{"io.modelcontextprotocol/protocolVersion": "v9", "io.modelcontextprotocol/clientCapabilities": object{}}}, http.Header{"Mcp-Protocol-Version": {"v9"}})
	require.Equal(t, "v9", got.at("error.data.requested"))
	require.Equal(t, stateless, got.at("error.data.supported.0"))
}

// TestBodiesThatAreNone are refused, and lose nothing.
func TestBodiesThatAreNone(t *testing.T) {
	t.Parallel()
	b := together(t)
	c := raw{b.user(t), "/mcp"}
	for body, code := range map[string]string{
		``: "-32700", `{`: "-32700", "\xff": "-32700", `[]`: "-32600", `"a"`: "-32600", `{}`: "-32600",
		`{"jsonrpc":"1.0","id":1,"method":"ping"}`:                                                  "-32600",
		`{"jsonrpc":"2.0","id":null,"method":"ping"}`:                                               "-32600",
		`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`:                                                "-32600",
		`{"jsonrpc":"2.0","id":[1],"method":"ping"}`:                                                "-32600",
		`{"jsonrpc":"2.0","id":1,"method":7}`:                                                       "-32600",
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`:                                      "-32602",
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}`:                        "-32602",
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"uaol/maxCredits":"x"}}}`: "-32602",
		`{"jsonrpc":"2.0","id":1}`:                                                                  "-32600",
		`{"jsonrpc":"2.0","id":"x","result":{}}`:                                                    "-32600",
		`{"jsonrpc":"2.0","id":1,"method":"resources/nonsense"}`:                                    "-32601",
	} {
		got := c.post(t, body, nil)
		require.Equal(t, code, got.at("error.code"), "%q: %s", body, got.body)
		if code == "-32700" || code == "-32600" {
			require.Equal(t, http.StatusBadRequest, got.status, "%q", body)
		}
	}
	require.Equal(t, http.StatusUnsupportedMediaType, c.post(t, `{}`, http.Header{"Content-Type": {"text/plain"}}).status)
	require.Equal(t, "{}", c.post(t, `{"jsonrpc":"2.0","id":"a","method":"ping"}`, nil).at("result"))
	require.Equal(t, http.StatusAccepted, c.post(t, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil).status)
}

// TestWhoMayCome: nobody without credentials, and no foreign page.
func TestWhoMayCome(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	require.Equal(t, http.StatusUnauthorized, raw{world.New(b.world.Gateway), "/mcp"}.post(t, ping, nil).status)
	host := b.world.Gateway[len("http://"):]
	for origin, status := range map[string]int{
		"http://" + host: 200, "http://localhost:5173": 200, "http://evil.example.com": 403, "null": 403, "file://": 403, "http://localhost.evil.example.com": 403,
	} {
		require.Equal(t, status, raw{user, "/mcp"}.post(t, ping, http.Header{"Origin": {origin}}).status, origin)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.world.Gateway+"/mcp", nil)
	require.NoError(t, err)
	request.Header = user.Header.Clone()
	request.Header.Set("X-Uaol-Origin", "x") // which only a gateway of ours may say
	request.Host = "rebound.example.com"
	response, err := world.HTTP.Do(request)
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, http.StatusForbidden, response.StatusCode)
}

// TestWhatCallsAreRefusedFor: in JSON-RPC, with the REST interface's codes; what a model
// can mend is a result.
func TestWhatCallsAreRefusedFor(t *testing.T) {
	t.Parallel()
	b := together(t)
	dear, _ := b.register(t, "dear", b.boxes[sessions].url, 20_000)
	user := b.user(t)
	c := raw{user, "/mcp"}
	text := http.Header{"Mcp-Param-Text": {"a"}}
	got := c.modern(t, "tools/call", object{"name": "old__echo", "arguments": object{"text": 7}}, http.Header{"Mcp-Param-Text": {"7"}})
	require.Equal(t, "true", got.at("result.isError"), got.body)
	require.Contains(t, got.at("result.content.0.text"), "arguments.text")
	got = c.modern(t, "tools/call", object{"name": "old__echo", "arguments": []int{1}}, nil)
	require.Equal(t, "-32602", got.at("error.code"), got.body)
	meta := func(most any) object {
		return object{"io.modelcontextprotocol/protocolVersion": stateless, "io.modelcontextprotocol/clientCapabilities": object{}, "uaol/maxCredits": most}
	}
	got = c.modern(t, "tools/call", object{"name": "old__echo", "arguments": object{"text": "a"}, "_meta": meta(6)}, text)
	require.Equal(t, "402 COST_ABOVE_LIMIT", got.at("error.code")+" "+got.at("error.data.code"), got.body)
	got = c.modern(t, "tools/call", object{"name": "old__echo", "arguments": object{"text": "a"}, "_meta": meta(7)}, text)
	require.Equal(t, "7", got.at("result._meta.uaol/credits"), got.body)
	got = raw{user, "/mcp/t/" + dear}.modern(t, "tools/call", object{"name": "echo", "arguments": object{"text": "a"}}, text)
	require.Equal(t, "402 INSUFFICIENT_CREDITS", got.at("error.code")+" "+got.at("error.data.code"), got.body)
	require.NotContains(t, c.modern(t, "tools/list", nil, nil).body, "dear", "what can't be paid is not listed")
	require.Equal(t, "9993", credits(t, user))
}

// TestSessions: begin, level, end.
func TestSessions(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	c := raw{user, "/mcp"}
	begin := func(version string) (rpc, http.Header) {
		got := c.post(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, version), nil)
		require.Equal(t, http.StatusOK, got.status, got.body)
		return got, http.Header{"Mcp-Session-Id": {got.header.Get("Mcp-Session-Id")}, "Mcp-Protocol-Version": {got.at("result.protocolVersion")}}
	}
	for said, want := range map[string]string{"2024-11-05": "2024-11-05", "2025-03-26": "2025-03-26", "2025-06-18": "2025-06-18", sessions: sessions, stateless: sessions, "1999": sessions} {
		got, _ := begin(said)
		require.Equal(t, want, got.at("result.protocolVersion"))
	}
	_, session := begin(sessions)
	require.Regexp(t, `^[\x21-\x7e]+$`, session.Get("Mcp-Session-Id"))
	require.Equal(t, "-32602", c.post(t, `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"loud"}}`, session).at("error.code"))
	require.Equal(t, "{}", c.post(t, `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`, session).at("result"))
	logs := c.post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"old__progress"}}`, session)
	require.Contains(t, logs.body, `"detail"`)
	require.Equal(t, http.StatusNotFound, raw{b.user(t), "/mcp"}.post(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, session).status, "it is its maker's")
	ended := user.With("Mcp-Session-Id", session.Get("Mcp-Session-Id")).Do(t, http.MethodDelete, "/mcp", nil)
	require.Equal(t, http.StatusNoContent, ended.Status, ended)
	require.Equal(t, http.StatusNotFound, c.post(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, session).status)
	require.Equal(t, http.StatusBadRequest, c.post(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, http.Header{"Mcp-Protocol-Version": {"1999"}}).status)
	require.Equal(t, "{}", c.post(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil).at("result"), "who keeps no session is served too")
}
