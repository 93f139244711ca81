package upstream

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestATokenThatLacksScopes: what a server says of it is heard, and nothing else is taken
// for it.
func TestATokenThatLacksScopes(t *testing.T) {
	t.Parallel()
	for challenge, want := range map[string][]string{
		`Bearer error="insufficient_scope", scope="a b"`: {"a", "b"},
		`Bearer error="invalid_token", scope="a"`:        nil,
		`Bearer error="insufficient_scope"`:              nil,
		`Basic error="insufficient_scope", scope="a"`:    nil,
		`Bearer error="insufficient_scope, scope="a"`:    nil,
		``: nil,
	} {
		for _, status := range []int{http.StatusForbidden, http.StatusUnauthorized} {
			box := newToolbox(t)
			handler := box.http(nil)
			server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Body = io.NopCloser(bytes.NewReader(body)); !bytes.Contains(body, []byte(`"tools/call"`)) {
					handler.ServeHTTP(w, r)
					return
				}
				w.Header().Set("WWW-Authenticate", challenge)
				w.WriteHeader(status)
			}))
			err := ask(t, client(t, Limits{}), targetAt(server.URL, ProtocolMCP), Ask{Method: "echo"})
			require.Error(t, err)
			scopes, ok := Insufficient(err)
			if status != http.StatusForbidden {
				require.False(t, ok, challenge)
				continue
			}
			require.Equal(t, want, scopes, challenge)
			require.Equal(t, len(want) > 0, ok, challenge)
		}
	}
	_, ok := Insufficient(nil)
	require.False(t, ok)
}
