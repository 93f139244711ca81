package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"uaol/providers/config"
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

// startRegistry lets the script's server be an MCP registry of so many pages
// with a server each.
func startRegistry(ts *testscript.TestScript, _ bool, args []string) {
	pages, err := strconv.Atoi(args[0])
	ts.Check(err)
	running, ok := ts.Value(greeters).(*swapped)
	if !ok {
		ts.Fatalf("this script has no server")
	}
	running.set(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		next := ""
		if page+1 < pages {
			next = strconv.Itoa(page + 1)
		}
		_, _ = fmt.Fprintf(w, `{"servers":[{"server":{"name":"com.example/s%[1]d","title":"Server %[1]d","description":"About it","version":"1.0.0",
			"remotes":[{"type":"streamable-http","url":"https://s%[1]d.example.com/mcp"}]},
			"_meta":{"io.modelcontextprotocol.registry/official":{"status":"active","updatedAt":"2026-01-31T00:00:00Z","isLatest":true}}}],
			"metadata":{"nextCursor":%[2]q}}`, page, next)
	}))
}

// startRemote starts a server with a data directory that no command of the
// script knows, and further settings, and sets its address and its admin's key.
func startRemote(ts *testscript.TestScript, _ bool, settings []string) {
	dir := ts.MkAbs("elsewhere")
	ts.Check(os.Mkdir(dir, 0o755))
	p, err := launch(dir, settings...)
	ts.Check(err)
	ts.Defer(p.kill)
	ts.Setenv("REMOTE", p.base)
	ts.Setenv("REMOTE_ADDR", strings.TrimPrefix(p.base, "http://"))
	ts.Setenv("REMOTE_KEY", adminKey)
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
	out, said, err := try(t, home, nil, args...)
	require.NoError(t, err, "%s\n%s", out, said)
	return out
}

// try is uaol with further variables, for what may fail.
func try(t *testing.T, home string, variables []string, args ...string) (out, said string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), self(t), args...)
	command.Dir = home
	command.Env = append([]string{asUAOL + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + home, "UAOL_ADDR=127.0.0.1:1"}, variables...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	return stdout.String(), stderr.String(), err
}

// TestCommandsJoinTheServerThatRuns finds a server of the same data directory at
// another port than the usual one: by what it has written down, and else by its database.
func TestCommandsJoinTheServerThatRuns(t *testing.T) {
	t.Parallel()
	home := openHome(t)
	startProgram(t, filepath.Join(home, ".uaol"), "HOME="+home)
	require.Contains(t, uaol(t, home, "connect", "--yes", "--name", "Greeter", "--env", asGreeter+"=1", "--", self(t)), "Approved")
	for _, starts := range []bool{false, true} {
		out, said, err := try(t, home, nil, "tools", "call", "greeter", "greet", "--arg", "name=Ada")
		require.NoError(t, err, said)
		require.Equal(t, "hello Ada\n", out)
		require.Equal(t, starts, strings.Contains(said, "No server runs here"), said)
		writeDown(t, home, "")
	}
}

// TestProfilesAreTheirMakersAlone: whoever has none of a name is told who they are, before
// a client's file is written.
func TestProfilesAreTheirMakersAlone(t *testing.T) {
	t.Parallel()
	home := openHome(t)
	program := startProgram(t, filepath.Join(home, ".uaol"), "HOME="+home)
	uaol(t, home, "connect", "--yes", "--name", "Greeter", "--env", asGreeter+"=1", "--", self(t))
	program.do(t, adminKey, http.MethodPost, "/profiles", `{"name":"desk","tools":[{"tool":"greeter"}]}`, nil)
	const nobodys = "operator@localhost has no profile desk; set UAOL_API_KEY to a key of the account that made it"
	file := filepath.Join(home, ".cursor", "mcp.json")
	for _, c := range [][]string{{"--profile", "desk", nobodys}, {"--tool", "nope", "there is no tool nope"}} {
		_, said, err := try(t, home, nil, "connect", "--client", "cursor", c[0], c[1])
		require.Error(t, err)
		require.Contains(t, said, c[2])
		require.NoFileExists(t, file)
	}
	_, err := tryMCP(t, home, oldEra, nil, "--profile", "desk")
	require.ErrorContains(t, err, nobodys)
	key := []string{"UAOL_API_KEY=" + adminKey}
	_, said, err := try(t, home, key, "connect", "--client", "cursor", "--profile", "desk", "--with-key")
	require.NoError(t, err, said)
	require.Empty(t, said)
	require.Contains(t, string(contents(t, file)), adminKey)
	require.Equal(t, []string{"greeter__greet"}, serveMCP(t, home, oldEra, key, "--profile", "desk").names(t))
}

// writeDown changes what a server has written down of where it listens.
func writeDown(t *testing.T, home, url string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(home, ".uaol", "server", "seat"), []byte(url), 0o600))
}

// TestOthersAreNoServersOfOurs: with another program on the usual port commands
// serve themselves.
func TestOthersAreNoServersOfOurs(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"a page": "<html>", "an API": `{"success":true,"data":{}}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }))
			t.Cleanup(server.Close)
			require.False(t, isUAOL(t.Context(), config.Of(nil), server.URL+"/readyz"))
		})
	}
}

// TestKeysGoToOurServerAlone keeps keys from whoever else stands on the server's
// port, even one that passes everything on to the server itself.
func TestKeysGoToOurServerAlone(t *testing.T) {
	t.Parallel()
	home := openHome(t)
	program := startProgram(t, filepath.Join(home, ".uaol"), "HOME="+home)
	at, err := url.Parse(program.base)
	require.NoError(t, err)
	program.invited(t) // and so the operator's key is there
	_, said, err := try(t, home, []string{"UAOL_ADDR=" + at.Host}, "tools", "list")
	require.NoError(t, err, said)
	require.Empty(t, said, "the kept key counts")

	var keys atomic.Int64
	relay := httputil.NewSingleHostReverseProxy(at)
	impostor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-API-Key")+r.Header.Get("Authorization") != "" {
			keys.Add(1)
		}
		relay.ServeHTTP(w, r)
	}))
	t.Cleanup(impostor.Close)
	writeDown(t, home, impostor.URL)
	there := []string{"UAOL_ADDR=" + strings.TrimPrefix(impostor.URL, "http://")}
	require.True(t, isUAOL(t.Context(), config.Of(nil), impostor.URL+"/readyz"), "it looks like ours")
	for name, variables := range map[string][]string{
		"the kept key":   there,
		"a named key":    append(there, "UAOL_API_KEY="+adminKey),
		"no directory":   append(there, "UAOL_DATA_DIR=nowhere"),
		"a database too": append(there, "DATABASE_URL=postgres://127.0.0.1:1/none", "UAOL_API_KEY="+adminKey),
	} {
		_, said, err := try(t, home, variables, "tools", "list")
		require.Error(t, err, name)
		require.Contains(t, said, "the server at "+impostor.URL+" does not run on ", name)
		require.Contains(t, said, "UAOL_URL to "+impostor.URL, name)
		require.Zero(t, keys.Load(), name)
	}
	_, said, err = try(t, home, []string{"UAOL_URL=" + impostor.URL, "UAOL_API_KEY=" + adminKey}, "tools", "list")
	require.NoError(t, err, "whoever names a server means it: %s", said)
	require.NotZero(t, keys.Load())
}

// asGreeter makes the test binary the greeter.
const asGreeter = "GREETER"

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}
