package upstream

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/upstream/everything"
)

func TestReferenceServer(t *testing.T) {
	target := targetAt(everything.Start(t), ProtocolMCP)
	c := client(t, Limits{})
	methods, err := c.List(t.Context(), target)
	require.NoError(t, err)
	names := map[string]Method{}
	for _, m := range methods {
		names[m.Name] = m
	}
	require.Contains(t, names, "echo")
	require.Contains(t, names, "get-sum")
	require.Contains(t, string(names["echo"].InputSchema), "message")

	raw, err := c.Call(t.Context(), target, "echo", json.RawMessage(`{"message":"héllo <b>&"}`), nil)
	require.NoError(t, err)
	require.Contains(t, textOf(t, raw), "héllo <b>&")
	raw, err = c.Call(t.Context(), target, "get-sum", json.RawMessage(`{"a":2,"b":40}`), map[string]any{"idempotencyKey": "k"})
	require.NoError(t, err)
	require.Contains(t, textOf(t, raw), "42")
}
