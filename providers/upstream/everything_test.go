package upstream

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
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

// TestReferenceServers runs the servers that know standard input and output
// alone: so, and behind a gateway to streamable HTTP, as many are offered.
func TestReferenceServers(t *testing.T) {
	const text = "wrote <the first> program & more"
	for _, protocol := range []string{ProtocolStdio, ProtocolMCP} {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		require.NoError(t, err)
		memory, note := filepath.Join(dir, "memory.json"), filepath.Join(dir, "note.txt")
		for server, c := range map[string]struct {
			env, args   []string
			write, what string
			read, which string
			keeps       string // the server's own file
		}{
			everything.Memory: {
				[]string{"MEMORY_FILE_PATH=" + memory}, nil,
				"create_entities", fmt.Sprintf(`{"entities":[{"name":"Ada","entityType":"person","observations":[%q]}]}`, text),
				"read_graph", `{}`, memory,
			},
			everything.Filesystem: {
				nil, []string{dir},
				"write_file", fmt.Sprintf(`{"path":%q,"content":%q}`, note, text),
				"read_text_file", fmt.Sprintf(`{"path":%q}`, note), note,
			},
		} {
			t.Run(server+" over "+protocol, func(t *testing.T) {
				target := Target{ToolID: uuid.New(), Protocol: protocol, Version: 1}
				if protocol == ProtocolStdio {
					target.Env = c.env
					target.Command = &Command{Path: "node", Args: append([]string{everything.Install(t, server)}, c.args...)}
				} else {
					target.URL = everything.StartBehind(t, server, c.env, c.args...)
				}
				own := client(t, Limits{})
				own.Inherit(os.LookupEnv)
				methods, err := own.List(t.Context(), target)
				require.NoError(t, err)
				var names []string
				for _, m := range methods {
					names = append(names, m.Name)
					require.NotEmpty(t, m.InputSchema, m.Name)
				}
				require.Subset(t, names, []string{c.write, c.read})

				_, err = own.Call(t.Context(), target, c.write, json.RawMessage(c.what), nil)
				require.NoError(t, err)
				raw, err := own.Call(t.Context(), target, c.read, json.RawMessage(c.which), nil)
				require.NoError(t, err)
				require.Contains(t, textOf(t, raw), text)
				kept, err := os.ReadFile(c.keeps)
				require.NoError(t, err)
				require.Contains(t, string(kept), text)
			})
		}
	}
}

// TestReferenceServerOverStdio is TestReferenceServer without HTTP.
func TestReferenceServerOverStdio(t *testing.T) {
	own := client(t, Limits{})
	own.Inherit(os.LookupEnv)
	target := Target{ToolID: uuid.New(), Protocol: ProtocolStdio, Command: &Command{Path: "node", Args: []string{everything.Install(t, everything.Everything), "stdio"}}}
	methods, err := own.List(t.Context(), target)
	require.NoError(t, err)
	require.NotEmpty(t, methods)
	raw, err := own.Call(t.Context(), target, "get-sum", json.RawMessage(`{"a":2,"b":40}`), nil)
	require.NoError(t, err)
	require.Contains(t, textOf(t, raw), "42")
}
