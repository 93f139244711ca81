package upstream

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// TestProtocolEras has a server of the SDK that speaks no version but one, and
// looks at what it is asked: the stateless protocol first and, for a server that
// is older, not again when its session is made anew.
func TestProtocolEras(t *testing.T) {
	for _, version := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) {
			box := newToolbox(t)
			old := version < stateless
			var mu sync.Mutex
			var asked []string
			handler := box.http(nil)
			if !old {
				handler = box.http(&mcp.StreamableHTTPOptions{Stateless: true})
			}
			server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				var message struct {
					ID     json.RawMessage
					Method string
					Params map[string]any
				}
				_ = json.Unmarshal(body, &message)
				mu.Lock()
				asked = append(asked, message.Method)
				mu.Unlock()
				if old && message.Method == "server/discover" { // as servers do that have never heard of it
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusBadRequest)
					_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}`))
					return
				}
				if old && message.Method == "initialize" { // and offers the only version that it knows
					message.Params["protocolVersion"] = version
					body, _ = json.Marshal(map[string]any{"jsonrpc": "2.0", "id": message.ID, "method": "initialize", "params": message.Params})
				}
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				handler.ServeHTTP(w, r)
			}))
			c, target := client(t, Limits{}), targetAt(server.URL, ProtocolMCP)
			for range 2 {
				raw, err := c.Call(t.Context(), target, "echo", json.RawMessage(`{"n":1}`), nil)
				require.NoError(t, err)
				require.Equal(t, `{"n":1}`, textOf(t, raw))
				_, err = c.List(t.Context(), target)
				require.NoError(t, err)
				slot, err := c.sessions.acquire(t.Context(), keyOf(target, nil), target)
				require.NoError(t, err)
				require.Equal(t, version, slot.session.(*streamable).version)
				c.sessions.drop(slot)
				c.sessions.release(slot)
			}
			mu.Lock()
			defer mu.Unlock()
			require.Equal(t, "server/discover", asked[0])
			discovered := 0
			for _, method := range asked {
				if method == "server/discover" {
					discovered++
				}
			}
			if old {
				require.Equal(t, 1, discovered, "%v", asked)
			} else {
				require.Equal(t, 3, discovered, "calls' session twice, as it was dropped, and that of lists once: %v", asked)
				require.False(t, slices.Contains(asked, "initialize"))
			}
		})
	}
}
