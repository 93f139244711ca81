package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/providers/instance"
	"uaol/providers/tlsfiles/tlsfilestest"
)

const (
	newEra = "2026-07-28"
	oldEra = "2025-11-25"
)

// helper is an MCP server that asks, waits and answers at length.
type helper struct {
	url           string
	entered, left chan struct{} // of wait
	release       chan struct{}
}

func startHelper(t testing.TB) *helper {
	t.Helper()
	h := &helper{entered: make(chan struct{}, 10), left: make(chan struct{}, 10), release: make(chan struct{})}
	server := mcp.NewServer(&mcp.Implementation{Name: "helper", Version: "1"}, nil)
	said := func(text string) *mcp.CallToolResult {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
	}
	mcp.AddTool(server, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, in struct {
		Text string `json:"text"`
	}) (*mcp.CallToolResult, any, error) {
		return said(in.Text), nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "ask"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		answer, err := r.Session.Elicit(ctx, &mcp.ElicitParams{Message: "Who are you?", RequestedSchema: map[string]any{
			"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}},
		}})
		if err != nil {
			return nil, nil, err
		}
		return said(fmt.Sprint(answer.Action, " ", answer.Content["name"])), nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "wait"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		h.entered <- struct{}{}
		select {
		case <-ctx.Done():
			h.left <- struct{}{}
			return nil, nil, ctx.Err()
		case <-h.release:
			return said("waited"), nil, nil
		}
	})
	http := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	t.Cleanup(func() { http.CloseClientConnections(); http.Close() })
	h.url = http.URL
	return h
}

// alone lets nothing of a home's server remain after the test.
func alone(t testing.TB, home string) instance.Place {
	t.Helper()
	place := instance.At(filepath.Join(home, ".uaol"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		seat, err := place.Claim(ctx, func() {})
		require.NoError(t, err)
		if seat != nil {
			seat.Leave()
		}
	})
	return place
}

// said is what a bridge says to people.
type saying struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *saying) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *saying) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// bridge is `uaol mcp` as a client starts it.
type bridgeProcess struct {
	*mcp.ClientSession
	command *exec.Cmd
	said    *saying
	changed chan struct{} // the tools have changed
}

// serveMCP starts `uaol mcp` and connects to it as the SDK's client of an era.
func serveMCP(t testing.TB, home, era string, variables []string, args ...string) *bridgeProcess {
	t.Helper()
	b, err := tryMCP(t, home, era, variables, args...)
	require.NoError(t, err, b.said)
	return b
}

// tryMCP is serveMCP for what may fail. As people do it tries again while a busy machine
// takes longer to start a server than clients wait.
func tryMCP(t testing.TB, home, era string, variables []string, args ...string) (b *bridgeProcess, err error) {
	said := &saying{}
	for range 5 {
		if b, err = connectMCP(t, home, era, said, variables, args); err == nil || !strings.Contains(err.Error(), "not ready yet") {
			break
		}
	}
	return b, err
}

func connectMCP(t testing.TB, home, era string, said *saying, variables, args []string) (*bridgeProcess, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &bridgeProcess{command: exec.Command(path, append([]string{"mcp"}, args...)...), said: said, changed: make(chan struct{}, 100)}
	b.command.Dir, b.command.Stderr = home, b.said
	b.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.command.Env = append([]string{asUAOL + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + home, "UAOL_ADDR=127.0.0.1:1"}, variables...)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada"}}, nil
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { b.changed <- struct{}{} },
	})
	b.ClientSession, err = client.Connect(t.Context(), &mcp.CommandTransport{Command: b.command}, &mcp.ClientSessionOptions{ProtocolVersion: era})
	if err != nil {
		return b, err
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, nil
}

// calls calls a method and gives its text.
func (b *bridgeProcess) calls(t testing.TB, name string, arguments map[string]any) string {
	t.Helper()
	got, err := b.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
	require.NoError(t, err, b.said)
	require.False(t, got.IsError, "%+v", got.Content)
	return got.Content[0].(*mcp.TextContent).Text
}

func (b *bridgeProcess) names(t testing.TB) (names []string) {
	t.Helper()
	listed, err := b.ListTools(t.Context(), nil)
	require.NoError(t, err, b.said)
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
	}
	return names
}

var startedServer = regexp.MustCompile(`started a server on \S+ \(pid ([0-9]+)\)`)

// servers are the processes that bridges have started.
func servers(t testing.TB, all ...*bridgeProcess) (pids []int) {
	t.Helper()
	for _, b := range all {
		for _, m := range startedServer.FindAllStringSubmatch(b.said.String(), -1) {
			pid, err := strconv.Atoi(m[1])
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestThreeAtOnceFromNothing: three clients start `uaol mcp` at the same moment on a
// machine without anything, one server comes of it, and whoever of them is killed, and the
// server too, the sessions of the others go on.
func TestThreeAtOnceFromNothing(t *testing.T) {
	t.Parallel()
	home, h := openHome(t), startHelper(t)
	place := alone(t, home)
	all := make([]*bridgeProcess, 3)
	errs := make([]error, 3)
	var starts sync.WaitGroup
	for i := range all {
		starts.Go(func() { all[i], errs[i] = tryMCP(t, home, []string{oldEra, newEra, oldEra}[i], nil) })
	}
	starts.Wait()
	for i, b := range all {
		require.NoError(t, errs[i], b.said)
		require.Empty(t, b.names(t))
	}
	first := servers(t, all...)
	require.Len(t, first, 1, "one server")
	made := 0
	for _, b := range all {
		made += strings.Count(b.said.String(), "Made operator@localhost an admin")
	}
	require.Equal(t, 1, made, "one key")
	key, err := os.ReadFile(filepath.Join(home, ".uaol", "operator.key"))
	require.NoError(t, err)

	// Other commands use it too, and the clients hear of what they do.
	said := uaol(t, home, "connect", h.url, "--yes", "--name", "helper")
	require.Contains(t, said, "Approved")
	for _, b := range all {
		<-b.changed
		require.Equal(t, []string{"helper__ask", "helper__echo", "helper__wait"}, b.names(t))
		require.Equal(t, "hello", b.calls(t, "helper__echo", map[string]any{"text": "hello"}))
	}

	// Whoever has started it is killed: nobody else notices.
	killed := 0
	for i, b := range all {
		if len(servers(t, b)) > 0 {
			killed = i
			require.NoError(t, syscall.Kill(-b.command.Process.Pid, syscall.SIGKILL), "with all that is of its group")
		}
	}
	left := append(append([]*bridgeProcess{}, all[:killed]...), all[killed+1:]...)
	for _, b := range left {
		require.Equal(t, "still", b.calls(t, "helper__echo", map[string]any{"text": "still"}))
	}
	require.Empty(t, servers(t, left...))

	// The server is killed: the next request brings another one.
	require.NoError(t, syscall.Kill(first[0], syscall.SIGKILL))
	require.Eventually(t, func() bool { return processEnded(first[0]) }, time.Minute, time.Millisecond)
	var lists sync.WaitGroup
	for _, b := range left {
		lists.Go(func() {
			if _, err := b.ListTools(t.Context(), nil); err != nil {
				t.Errorf("%v\n%s", err, b.said)
			}
		})
	}
	lists.Wait()
	for _, b := range left {
		require.Equal(t, "again", b.calls(t, "helper__echo", map[string]any{"text": "again"}))
	}
	require.Len(t, servers(t, left...), 1, "one server again")
	for _, b := range left {
		require.NotContains(t, b.said.String(), "began another", "the sessions are what they were")
	}
	again, err := os.ReadFile(filepath.Join(home, ".uaol", "operator.key"))
	require.NoError(t, err)
	require.Equal(t, string(key), string(again))
	require.NotEmpty(t, place.Address())
}

// processEnded reports whether a process is gone, though nobody may have waited for it.
func processEnded(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(text), ") Z ")
}

// TestBridgeCarriesEverything that clients of both eras do: questions of tools, large
// messages, cancellations; one tool and a profile alone.
func TestBridgeCarriesEverything(t *testing.T) {
	t.Parallel()
	home, h := openHome(t), startHelper(t)
	alone(t, home)
	program := startProgram(t, filepath.Join(home, ".uaol"), "HOME="+home)
	uaol(t, home, "connect", h.url, "--yes", "--name", "helper")
	require.NoError(t, os.MkdirAll(filepath.Join(home, "elsewhere"), 0o755))
	key := strings.TrimSpace(string(contents(t, filepath.Join(home, ".uaol", "operator.key"))))
	program.do(t, key, "POST", "/profiles", `{"name":"desk","tools":[{"tool":"helper","methods":["echo"],"prefix":""}]}`, nil)
	for _, era := range []string{newEra, oldEra} {
		t.Run(era, func(t *testing.T) {
			b := serveMCP(t, home, era, nil)
			require.Equal(t, era, b.InitializeResult().ProtocolVersion)
			require.Equal(t, []string{"helper__ask", "helper__echo", "helper__wait"}, b.names(t))
			require.Equal(t, "accept Ada", b.calls(t, "helper__ask", nil))
			large := strings.Repeat("é\n<", 350_000) // 2 MB as JSON
			require.Equal(t, large, b.calls(t, "helper__echo", map[string]any{"text": large}))

			ctx, cancel := context.WithCancel(t.Context())
			gone := make(chan error, 1)
			go func() {
				_, err := b.CallTool(ctx, &mcp.CallToolParams{Name: "helper__wait"})
				gone <- err
			}()
			<-h.entered
			cancel()
			require.Error(t, <-gone)
			<-h.left
			require.Equal(t, "hello", b.calls(t, "helper__echo", map[string]any{"text": "hello"}))
			require.Empty(t, servers(t, b), "it uses the one that runs")
			require.NoError(t, b.Close())

			_, err := tryMCP(t, home, era, nil, "--tool", "nothing")
			require.ErrorContains(t, err, "there is no tool nothing")
			_, err = tryMCP(t, home, era, nil, "--profile", "nothing")
			require.ErrorContains(t, err, "operator@localhost has no profile nothing; set UAOL_API_KEY")
			one := serveMCP(t, home, era, nil, "--tool", "helper")
			require.Equal(t, []string{"ask", "echo", "wait"}, one.names(t))
			desk := serveMCP(t, filepath.Join(home, "elsewhere"), era, []string{"UAOL_URL=" + program.base, "UAOL_API_KEY=" + key}, "--profile", "desk")
			require.Equal(t, []string{"echo"}, desk.names(t))
			require.Equal(t, "hello", desk.calls(t, "echo", map[string]any{"text": "hello"}))
		})
	}
	_, err := os.Stat(filepath.Join(home, "elsewhere", ".uaol"))
	require.ErrorIs(t, err, os.ErrNotExist, "with UAOL_URL nothing happens on a data directory")
}

func contents(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return text
}

// TestServersComeAndGo: a server that is restarted, killed in the middle of a call, ended
// for good, and one that stays in the place of one that does not.
func TestServersComeAndGo(t *testing.T) {
	t.Parallel()
	home, h := openHome(t), startHelper(t)
	place := alone(t, home)
	dir := filepath.Join(home, ".uaol")
	program := startProgram(t, dir, "HOME="+home)
	uaol(t, home, "connect", h.url, "--yes", "--name", "helper")
	older, newer := serveMCP(t, home, oldEra, nil), serveMCP(t, home, newEra, nil)
	both := []*bridgeProcess{older, newer}
	works := func(what string) {
		t.Helper()
		for _, b := range both {
			require.Equal(t, what, b.calls(t, "helper__echo", map[string]any{"text": what}))
		}
	}
	works("at first")

	// Restarted elsewhere, with a certificate of which no client has heard.
	require.NoError(t, program.Process.Signal(syscall.SIGTERM))
	_, _ = program.Process.Wait()
	files := tlsfilestest.NewAuthority(t).Issue(t, home, "server")
	program = startProgram(t, dir, "HOME="+home, "UAOL_TLS_CERT="+files.Cert, "UAOL_TLS_KEY="+files.Key)
	require.Eventually(t, func() bool { return strings.HasPrefix(place.Address(), "https://") }, time.Minute, time.Millisecond)
	works("restarted")
	require.Empty(t, servers(t, both...))

	// Killed in the middle of calls: nobody knows whether the tool has done its work.
	for _, b := range both {
		lost := make(chan error, 1)
		go func() {
			_, err := b.CallTool(t.Context(), &mcp.CallToolParams{Name: "helper__wait"})
			lost <- err
		}()
		<-h.entered
		program.kill()
		require.ErrorContains(t, <-lost, "whether the tool did its work is unknown")
		program = startProgram(t, dir, "HOME="+home)
	}
	works("after a kill")

	// Gone for good: a request starts one that belongs to nobody, and a server that stays
	// takes its place.
	require.NoError(t, program.Process.Signal(syscall.SIGTERM))
	_, _ = program.Process.Wait()
	works("from nobody")
	require.Len(t, servers(t, both...), 1)
	passing := place.Address()
	program = startProgram(t, dir, "HOME="+home)
	require.NotEqual(t, passing, program.base)
	works("with one that stays")
	require.Equal(t, program.base, place.Address())
	require.Len(t, servers(t, both...), 1)
	for _, b := range both {
		require.NotContains(t, b.said.String(), "began another", "sessions live in no server")
	}
}

// TestServersThatNobodyUsesEnd by themselves, some time after the last client.
func TestServersThatNobodyUsesEnd(t *testing.T) {
	t.Parallel()
	home := openHome(t)
	place := alone(t, home)
	b := serveMCP(t, home, oldEra, []string{"UAOL_MCP_LINGER=2s"})
	require.Empty(t, b.names(t))
	other := serveMCP(t, home, newEra, nil)
	require.NoError(t, b.Close())
	require.Empty(t, other.names(t), "somebody uses it still")
	taken, err := place.Taken()
	require.NoError(t, err)
	require.True(t, taken)
	require.NoError(t, other.Close())
	require.Eventually(t, func() bool {
		taken, err := place.Taken()
		return err == nil && !taken
	}, time.Minute, 10*time.Millisecond)
	require.Empty(t, postgresIn(t, filepath.Join(home, ".uaol")))
	require.NotContains(t, string(contents(t, place.Log())), "/console/enter", "nobody looks at what it says")
}

// TestServersThatCantStart are told of, in answers and not by silence.
func TestServersThatCantStart(t *testing.T) {
	t.Parallel()
	home := openHome(t)
	alone(t, home)
	b, err := tryMCP(t, home, oldEra, []string{"JWT_EXPIRES_IN=soon"})
	require.ErrorContains(t, err, `no server can be started: JWT_EXPIRES_IN holds "soon"`)
	require.NotEmpty(t, b.said.String())
}

// TestKeysStayWithTheServerThatIsMeant, wherever it sends a bridge.
func TestKeysStayWithTheServerThatIsMeant(t *testing.T) {
	t.Parallel()
	var others atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { others.Add(1) }))
	t.Cleanup(other.Close)
	named := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(named.Close)
	home := openHome(t)
	_, err := tryMCP(t, home, oldEra, []string{"UAOL_URL=" + named.URL, "UAOL_API_KEY=" + adminKey})
	require.ErrorContains(t, err, "Something that is not UAOL answered with status 307")
	require.Zero(t, others.Load())
	_, said, err := try(t, home, []string{"UAOL_URL=" + named.URL}, "mcp")
	require.Error(t, err)
	require.Equal(t, "uaol: an API key of "+named.URL+" is needed: set UAOL_API_KEY\n", said)
}

// TestBridgeEnds with its input and on SIGTERM, without a word on standard output but
// messages.
func TestBridgeEnds(t *testing.T) {
	t.Parallel()
	home := openHome(t)
	alone(t, home)
	another := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"success":true,"data":{"services":["gateway"],"version":"1"}}`))
	}))
	t.Cleanup(another.Close) // a server of another data directory has the usual port
	addr := "UAOL_ADDR=" + strings.TrimPrefix(another.URL, "http://")
	require.NoError(t, serveMCP(t, home, oldEra, []string{addr}).Close())
	start := func() (*exec.Cmd, *bufio.Reader, func()) {
		command := exec.Command(self(t), "mcp")
		command.Dir = home
		command.Env = []string{asUAOL + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + home, addr}
		in, err := command.StdinPipe()
		require.NoError(t, err)
		out, err := command.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, command.Start())
		t.Cleanup(func() { _ = command.Process.Kill() })
		_, err = in.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}` + "\n"))
		require.NoError(t, err)
		said := bufio.NewReader(out)
		line, err := said.ReadString('\n')
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(line, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"`), line)
		return command, said, func() { require.NoError(t, in.Close()) }
	}
	for name, end := range map[string]func(*exec.Cmd, func()){
		"its input": func(_ *exec.Cmd, closed func()) { closed() },
		"SIGTERM":   func(c *exec.Cmd, _ func()) { require.NoError(t, c.Process.Signal(syscall.SIGTERM)) },
	} {
		command, said, closed := start()
		began := time.Now()
		end(command, closed)
		rest, err := said.ReadString('\n')
		require.Error(t, err)
		require.Empty(t, rest, name)
		require.NoError(t, command.Wait(), name)
		require.Less(t, time.Since(began), 3*time.Second, name)
	}
}

// bearer is an HTTP client that sends a key.
func bearer(key string) *http.Client { return &http.Client{Transport: keyed(key)} }

type keyed string

func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(k))
	return http.DefaultTransport.RoundTrip(r)
}
