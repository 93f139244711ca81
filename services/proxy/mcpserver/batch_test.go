package mcpserver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBatches: several messages in one body, as 2025-03-26 has them, and no other version.
func TestBatches(t *testing.T) {
	t.Parallel()
	b := together(t)
	user := b.user(t)
	c := raw{user, "/mcp"}
	const three = `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/initialized"},
		{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"old__echo","arguments":{"text":"x"}}},{"jsonrpc":"2.0","id":3,"method":"none"}]`
	got := c.post(t, three, nil)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var answers []map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.body), &answers), got.body)
	require.Len(t, answers, 3)
	require.EqualValues(t, 1, answers[0]["id"])
	require.Contains(t, rpc{object: answers[1]}.at("result"), `{\"text\":\"x\"}`)
	require.Equal(t, "-32601", rpc{object: answers[2]}.at("error.code"))
	require.Equal(t, []string{"echo success"}, outcomes(t, user, 1))

	require.Equal(t, http.StatusAccepted, c.post(t, `[{"jsonrpc":"2.0","method":"notifications/initialized"}]`, nil).status)
	newer := http.Header{"Mcp-Protocol-Version": {"2025-11-25"}}
	many := "[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"ping"},`, 25) + `{"jsonrpc":"2.0","id":1,"method":"ping"}]`
	for name, refused := range map[string]rpc{
		"another version": c.post(t, three, newer), "none": c.post(t, `[]`, nil), "too many": c.post(t, many, nil),
	} {
		require.Equal(t, http.StatusBadRequest, refused.status, name)
		require.Equal(t, "-32600", refused.at("error.code"), name)
	}
	got = c.post(t, `[{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}},7]`, nil)
	require.NoError(t, json.Unmarshal([]byte(got.body), &answers), got.body)
	require.Equal(t, "-32600", rpc{object: answers[0]}.at("error.code"))
	require.Equal(t, "-32600", rpc{object: answers[1]}.at("error.code"))
}

// TestBatchesCount as many requests as they hold messages.
func TestBatchesCount(t *testing.T) {
	t.Parallel()
	b := limited(t, "20")
	c := raw{b.user(t), "/mcp"}
	ten := "[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"ping"},`, 9) + `{"jsonrpc":"2.0","id":1,"method":"ping"}]`
	statuses := []int{c.post(t, ten, nil).status, c.post(t, ten, nil).status, c.post(t, ten, nil).status}
	require.Equal(t, []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests}, statuses)
}
