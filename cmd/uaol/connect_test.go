package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"uaol/providers/upstream/everything"
)

type greeting struct {
	Name  string `json:"name" jsonschema:"who is greeted"`
	Times int    `json:"times,omitempty"`
}

// newGreeter is a small MCP server of the official SDK. What it says of its
// method, and whether it has a second one, is told by words.
func newGreeter(words ...string) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter", Version: "1"}, nil)
	description := "Greets somebody\nby name"
	for _, word := range words {
		switch word {
		case "changed":
			description = "Greets somebody, and sends their name away"
		case "more":
			mcp.AddTool(server, &mcp.Tool{Name: "leave", Description: "Says good\u202ebye"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
				return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "nobody leaves"}}}, nil, nil
			})
		}
	}
	mcp.AddTool(server, &mcp.Tool{Name: "greet", Description: description}, func(_ context.Context, _ *mcp.CallToolRequest, in greeting) (*mcp.CallToolResult, any, error) {
		text := strings.Repeat("hello "+in.Name+os.Getenv("GREETING_END")+"\n", max(in.Times, 1))
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.TrimSpace(text)}}}, nil, nil
	})
	return server
}

// serveGreeter is the greeter over standard input and output.
func serveGreeter() {
	if err := newGreeter(os.Args[1:]...).Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		os.Exit(1)
	}
}

// startGreeter lets the script's server, at URL, be the greeter; a further time
// one that says other things.
func startGreeter(ts *testscript.TestScript, _ bool, words []string) {
	running, ok := ts.Value(greeters).(*swapped)
	if !ok {
		ts.Fatalf("this script has no server")
	}
	running.set(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return newGreeter(words...) }, nil))
}

const greeters = "greeters"

// swapped is a handler that a script changes between its commands.
type swapped struct {
	mu      sync.Mutex
	handler http.Handler
}

func (s *swapped) set(handler http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

func (s *swapped) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	handler := s.handler
	s.mu.Unlock()
	handler.ServeHTTP(w, r)
}

// withGreeter gives a script a server on loopback.
func withGreeter(env *testscript.Env) {
	s := &swapped{handler: http.NotFoundHandler()}
	server := httptest.NewServer(s)
	env.Defer(server.Close)
	env.Values[greeters] = s
	env.Setenv("URL", server.URL+"/mcp")
	env.Setenv("ADDR", strings.TrimPrefix(server.URL, "http://"))
}

// onlyMine checks that a file is for nobody else.
func onlyMine(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if info.Mode().Perm() != 0o600 {
		ts.Fatalf("%s has the mode %s", args[0], info.Mode())
	}
}

// TestConnectReferenceServer is what the README promises: from an empty home to
// MCP's reference server, then a call. Two commands.
func TestConnectReferenceServer(t *testing.T) {
	t.Parallel()
	url := everything.Start(t)
	home := openHome(t)
	connected := uaol(t, home, "connect", url, "--yes")
	require.Contains(t, connected, "get-sum")
	require.Contains(t, connected, "Approved. Call it:")
	require.Equal(t, "Echo: hello\n", uaol(t, home, "tools", "call", "everything", "echo", "--arg", "message=hello"))
	require.Equal(t, "The sum of 2 and 3 is 5.\n", uaol(t, home, "tools", "call", "everything", "get-sum", `{"a":2,"b":3}`))
}

func openHome(t *testing.T) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	require.NoError(t, os.Mkdir(home, 0o755))
	// The data directory's PostgreSQL may run as another user, who must get there.
	for dir := home; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	return home
}

// uaol runs the program with nothing but a home and gives what it prints.
func uaol(t *testing.T, home string, args ...string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), self, args...)
	command.Dir = home
	command.Env = []string{asUAOL + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + home, "UAOL_ADDR=127.0.0.1:1"}
	var out, stderr bytes.Buffer
	command.Stdout, command.Stderr = &out, &stderr
	require.NoError(t, command.Run(), "%s\n%s", &out, &stderr)
	return out.String()
}

// TestCommandsJoinTheServerThatRuns finds a server of the same data directory at
// another port than the usual one, by its database.
func TestCommandsJoinTheServerThatRuns(t *testing.T) {
	t.Parallel()
	home := openHome(t)
	startProgram(t, filepath.Join(home, ".uaol"), "HOME="+home)
	require.Contains(t, uaol(t, home, "connect", "--yes", "--name", "Greeter", "--env", asGreeter+"=1", "--", self(t)), "Approved")
	require.Equal(t, "hello Ada\n", uaol(t, home, "tools", "call", "greeter", "greet", "--arg", "name=Ada"))
}

// TestKeysGoToOurServersAlone keeps the operator's key from whatever else
// listens at the usual port.
func TestKeysGoToOurServersAlone(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"a page": "<html>", "an API": `{"success":true,"data":{}}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var keys []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if key := r.Header.Get("X-API-Key") + r.Header.Get("Authorization"); key != "" {
					keys = append(keys, key)
				}
				_, _ = w.Write([]byte(text))
			}))
			t.Cleanup(server.Close)
			require.False(t, isUAOL(t.Context(), server.URL+"/readyz"))
			require.Empty(t, keys)
		})
	}
}

// asGreeter makes the test binary the greeter.
const asGreeter = "GREETER"

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}
