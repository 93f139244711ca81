package mcpserver

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services/proxy"
)

// FuzzMessage: whatever comes is read or refused, and what is written of it is JSON.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__b","arguments":{"x":[1,{"y":null}]},"_meta":{"progressToken":"t","uaol/maxCredits":3}}}`,
		`{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}`, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{},"_meta":{},"inputResponses":{},"requestState":"s"}}`, `[]`, `{`, `{"id":{}}`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, fault := readMessage(body)
		if fault != nil {
			require.NotEmpty(t, fault.Message)
			return
		}
		require.True(t, m.method != "" || m.id != nil)
		if m.id != nil {
			require.True(t, isID(m.id))
		}
		for _, part := range []json.RawMessage{m.params.plain, m.params.arguments, m.params.input} {
			if part != nil {
				require.True(t, json.Valid(part), "%s", part)
			}
		}
		if m.params.all != nil {
			require.True(t, json.Valid(with(m.params.plain, "name", json.RawMessage(`"x"`))))
			require.True(t, json.Valid(finished(m.params.all, true, "complete", &proxy.Call{})))
			require.True(t, json.Valid(laid{layout: layout{prefix: "a"}}.readdressed(m.params.all)))
			inputOf(m.params.all)
		}
	})
}

// TestResultsAreSpliced: what a tool's server says of itself goes, what it says of its
// result stays, and ours is added.
func TestResultsAreSpliced(t *testing.T) {
	t.Parallel()
	call := &proxy.Call{Credits: 3}
	for result, want := range map[string]string{
		`{}`: `{"_meta":{"uaol/credits":3,"uaol/call":"00000000-0000-0000-0000-000000000000"}}`,
		`{"content":[],"_meta":{"a":1,"uaol/credits":9}}`:                                                             `{"_meta":{"uaol/credits":3,"uaol/call":"00000000-0000-0000-0000-000000000000","a":1},"content":[]}`,
		`{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"x"}},"structuredContent":7}`: `{"_meta":{"uaol/credits":3,"uaol/call":"00000000-0000-0000-0000-000000000000"},"structuredContent":7}`,
		// What it says in our place, however it writes that:
		`{"\u005fmeta":{"uaol\/credits":0,"uaol\/call":"x","uaol/job":"y","b\/c":2}}`: `{"_meta":{"uaol/credits":3,"uaol/call":"00000000-0000-0000-0000-000000000000","b/c":2}}`,
	} {
		got := string(finished(json.RawMessage(result), false, "complete", call))
		require.JSONEq(t, want, got)
		require.Equal(t, 1, strings.Count(got, "uaol"+"/call")+strings.Count(got, `uaol\/call`), got)
	}
	modern := finished(json.RawMessage(`{"content":[],"resultType":"x"}`), true, "complete", nil)
	require.JSONEq(t, `{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":`+serverInfo+`},"content":[]}`, string(modern))
}

// TestKeysAreWhatTheyMean, however a client's JSON writes them.
func TestKeysAreWhatTheyMean(t *testing.T) {
	t.Parallel()
	m, fault := readMessage([]byte(`{"jsonrpc":"2.0","id":1,"\u006dethod":"tools/call","params":{"name":"a","_meta":{"uaol\/maxCredits":1,"uaol\/idempotencyKey":"k","io.modelcontextprotocol\/protocolVersion":"2026-07-28"}}}`))
	require.Nil(t, fault)
	require.Equal(t, "tools/call", m.method)
	require.EqualValues(t, 1, *m.params.meta.maxCredits)
	require.Equal(t, "k", m.params.meta.key)
	require.Equal(t, stateless, m.params.meta.version)
}
