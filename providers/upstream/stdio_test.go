//go:build unix

package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/egress"
	"uaol/services"
)

// actor is how this test binary says that it is a stdio tool, and which.
const actor = "-stdio-tool="

// act plays a stdio tool if the process was started as one.
func act() bool {
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], actor) {
		return false
	}
	box := newToolboxServer()
	box.add("env", nil, box.about)
	box.add("exit", nil, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		os.Exit(1)
		return nil, nil
	})
	switch strings.TrimPrefix(os.Args[1], actor) {
	case "stubborn": // neither the end of its input nor a request ends it
		signals := make(chan os.Signal)
		ignore(signals)
		_ = box.server.Run(background, &mcp.StdioTransport{})
		select {}
	case "dies":
		os.Exit(3)
	case "chatty":
		fmt.Fprintln(os.Stderr, "hello", strings.Repeat("x", 10_000))
		_ = box.server.Run(background, &mcp.StdioTransport{})
	case "flood":
		for {
			_, _ = io.WriteString(os.Stdout, strings.Repeat("x", 65536))
		}
	case "garbage":
		_, _ = io.WriteString(os.Stdout, "I am no server\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		_ = box.server.Run(background, &mcp.StdioTransport{})
	}
	return true
}

func stdio(t testing.TB, part string) Target {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	return Target{ToolID: uuid.New(), Protocol: ProtocolStdio, Version: 1, Command: &Command{Path: program, Args: []string{actor + part}}}
}

func stdioClient(t testing.TB, limits Limits) *Client {
	c := client(t, limits)
	c.Inherit(os.LookupEnv)
	return c
}

func TestStdioCalls(t *testing.T) {
	c, target := stdioClient(t, Limits{}), stdio(t, "box")
	raw, err := c.Call(t.Context(), target, "echo", json.RawMessage("{\"n\":\n9007199254740993}"), nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"n":9007199254740993}`, textOf(t, raw))
	require.Contains(t, textOf(t, raw), "9007199254740993")
	raw, err = c.Call(t.Context(), target, "odd", nil, nil)
	require.NoError(t, err)
	require.Contains(t, string(raw), oddResult)
	methods, err := c.List(t.Context(), target)
	require.NoError(t, err)
	require.NotEmpty(t, methods)
	_, err = c.Call(t.Context(), target, "nope", nil, nil)
	require.True(t, services.Is(err, services.Upstream), err)
	require.True(t, UnknownMethod(err))
	first := pid(t, c, target)
	require.Equal(t, first, pid(t, c, target), "one process for all calls")
	other := target
	other.Identity, other.Env = "bob", []string{"TOKEN=bobs"}
	require.NotEqual(t, first, pid(t, c, other), "and one for each credential")
}

func pid(t testing.TB, c *Client, target Target) int {
	t.Helper()
	id, err := strconv.Atoi(value(t, c, target, "pid"))
	require.NoError(t, err)
	return id
}

// value asks a process for one of its variables, or for its pid.
func value(t testing.TB, c *Client, target Target, name string) string {
	t.Helper()
	raw, err := c.Call(t.Context(), target, "env", json.RawMessage(fmt.Sprintf(`{"name":%q}`, name)), nil)
	require.NoError(t, err)
	return textOf(t, raw)
}

func TestAProcessKnowsOnlyWhatItIsGiven(t *testing.T) {
	t.Setenv("UAOL_STDIO_SECRET", "hunter2")
	t.Setenv("UAOL_STDIO_NAMED", "named")
	c, target := stdioClient(t, Limits{}), stdio(t, "box")
	target.Command.Env = []string{"UAOL_STDIO_NAMED", "HOME"}
	target.Env = []string{"TOKEN=given"}
	home := value(t, c, target, "HOME")
	names := strings.Split(value(t, c, target, "*"), ",")
	require.Subset(t, []string{"HOME", "LANG", "PATH", "TMPDIR", "TOKEN", "UAOL_STDIO_NAMED"}, names)
	require.Contains(t, names, "UAOL_STDIO_NAMED")
	require.Equal(t, "given", value(t, c, target, "TOKEN"))
	require.NotEqual(t, os.Getenv("HOME"), home)
	require.DirExists(t, home)
	require.True(t, strings.HasPrefix(value(t, c, target, "TMPDIR"), home))
	require.Equal(t, filepath.Join(home, "work"), value(t, c, target, "pwd"))
	require.NoError(t, c.Close())
	require.NoDirExists(t, home)
}

func TestClosingKillsWhatDoesNotListen(t *testing.T) {
	c, target := stdioClient(t, Limits{}), stdio(t, "stubborn")
	id := pid(t, c, target)
	child, err := strconv.Atoi(value(t, c, target, "child"))
	require.NoError(t, err)
	begun := time.Now()
	require.NoError(t, c.Close())
	require.Less(t, time.Since(begun), killAfter+5*time.Second)
	for _, process := range []int{id, child} {
		require.Eventually(t, func() bool { return gone(process) }, 10*time.Second, 10*time.Millisecond, "pid %d", process)
	}
}

// gone reports that a process has ended; one that nobody has waited for counts.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(state), ") Z ")
}

func TestAKilledProcessIsStartedAgain(t *testing.T) {
	c, target := stdioClient(t, Limits{}), stdio(t, "box")
	id := pid(t, c, target)
	require.NoError(t, syscall.Kill(id, syscall.SIGKILL))
	require.Eventually(t, func() bool { return gone(id) }, 10*time.Second, 5*time.Millisecond)
	var again int
	require.Eventually(t, func() bool {
		raw, err := c.Call(t.Context(), target, "env", json.RawMessage(`{"name":"pid"}`), nil)
		if err != nil {
			return false
		}
		again, err = strconv.Atoi(textOf(t, raw))
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
	require.NotEqual(t, id, again)
}

func TestAProcessThatDiesInACallLeavesTheOutcomeUnknown(t *testing.T) {
	c, target := stdioClient(t, Limits{}), stdio(t, "box")
	_, err := c.Call(t.Context(), target, "exit", nil, nil)
	require.True(t, Delivered(err), err)
	require.NotZero(t, pid(t, c, target))
}

func TestProcessesThatAreNoServers(t *testing.T) {
	for part, kind := range map[string]services.Kind{"dies": services.Upstream, "garbage": services.Upstream, "flood": services.Upstream} {
		t.Run(part, func(t *testing.T) {
			c := stdioClient(t, Limits{SessionTimeout: 10 * time.Second, MaxAnswer: 100_000})
			target := stdio(t, part)
			_, err := c.Call(t.Context(), target, "echo", nil, nil)
			require.Equal(t, kind, services.KindOf(err), err)
			require.False(t, Delivered(err))
		})
	}
	t.Run("backoff", func(t *testing.T) {
		c, target := stdioClient(t, Limits{}), stdio(t, "dies")
		var e *services.Error
		for range 10 { // a death is noted a moment after the call that saw it
			_, err := c.Call(t.Context(), target, "echo", nil, nil)
			if require.ErrorAs(t, err, &e); e.Code == CodeCircuitOpen {
				break
			}
		}
		require.Equal(t, CodeCircuitOpen, e.Code, e)
	})
	t.Run("no program", func(t *testing.T) {
		c, target := stdioClient(t, Limits{}), stdio(t, "box")
		target.Command = &Command{Path: "/no/such/program"}
		_, err := c.Call(t.Context(), target, "echo", nil, nil)
		require.True(t, services.Is(err, services.Unavailable), err)
		require.ErrorContains(t, err, "no such program")
		target.Command = nil
		_, err = c.Call(t.Context(), target, "echo", nil, nil)
		require.True(t, services.Is(err, services.Invalid), err)
	})
}

func TestOnlySoManyProcessesRun(t *testing.T) {
	c := stdioClient(t, Limits{Processes: 1, IdleTimeout: 200 * time.Millisecond})
	pid(t, c, stdio(t, "box"))
	other := stdio(t, "box")
	_, err := c.Call(t.Context(), other, "echo", nil, nil)
	var e *services.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, CodeBusy, e.Code)
	require.Eventually(t, func() bool {
		_, err := c.Call(t.Context(), other, "echo", nil, nil)
		return err == nil
	}, 20*time.Second, 50*time.Millisecond, "an idle process makes room")
}

func TestWhatAProcessSaysIsCutForTheLog(t *testing.T) {
	policy, err := egress.New(egress.Config{})
	require.NoError(t, err)
	core, logged := observer.New(zapcore.DebugLevel)
	c := New(policy, zap.New(core), Limits{})
	c.Inherit(os.LookupEnv)
	_, err = c.Call(t.Context(), stdio(t, "chatty"), "echo", nil, nil)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	said := logged.FilterMessage("a tool's process says").All()
	require.NotEmpty(t, said)
	line := said[0].ContextMap()["line"].(string)
	require.True(t, strings.HasPrefix(line, "hello x"), line)
	require.LessOrEqual(t, len(line), longestLine+10)
}

func TestALineWithoutAnEndIsNotKept(t *testing.T) {
	l := &lines{log: zap.NewNop()}
	for range 100 {
		n, err := l.Write([]byte(strings.Repeat("x", 100_000)))
		require.NoError(t, err)
		require.Equal(t, 100_000, n)
		require.LessOrEqual(t, len(l.line), longestLine)
	}
}
