// Package everything gets MCP's reference servers, from npm and from its Go SDK, and
// runs them, for tests.
package everything

import (
	"fmt"
	"strings"
	"testing"

	"uaol/providers/goprogram"
)

// The reference servers.
const (
	Everything = "server-everything"
	Memory     = "server-memory"
	Filesystem = "server-filesystem"
)

// Start runs server-everything on a free port and gives the URL of its streamable
// HTTP endpoint. It has the tools echo {message} and get-sum {a,b}. The server
// stops when the test ends. Without npm the test is skipped, except where CI is set.
func Start(t testing.TB) string {
	t.Helper()
	main, port := Install(t, Everything), freePort(t)
	run(t, port, []string{fmt.Sprintf("PORT=%d", port)}, "node", main, "streamableHttp")
	return endpoint(port)
}

// StartBehind is Start for the servers that speak over standard input and output
// alone: supergateway, as people who share such a server run it, speaks HTTP for
// them, with a process of the server for each session. env is NAME=value.
func StartBehind(t testing.TB, server string, env []string, args ...string) string {
	t.Helper()
	main, gateway, port := Install(t, server), installed(t, supergateway), freePort(t)
	command := []string{"node", quoted(main)} // supergateway gives it to a shell
	for _, arg := range args {
		command = append(command, quoted(arg))
	}
	run(t, port, env, "node", gateway, "--stdio", strings.Join(command, " "), "--outputTransport", "streamableHttp", "--stateful",
		"--port", fmt.Sprint(port), "--logLevel", "none")
	return endpoint(port)
}

// StartConformance runs the server with which the Go SDK shows that it conforms, in the
// version that go.mod has. It keeps sessions, or speaks the stateless protocol.
func StartConformance(t testing.TB, stateless bool) string {
	t.Helper()
	program, port := goprogram.Built(t, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"), freePort(t)
	run(t, port, nil, program, fmt.Sprintf("-http=127.0.0.1:%d", port), fmt.Sprintf("-stateless=%t", stateless))
	return endpoint(port)
}

// Install gives the main file of one of the servers, for node to run. Without npm
// the test is skipped, except where CI is set.
func Install(t testing.TB, server string) string {
	t.Helper()
	return installed(t, reference(server))
}

// Those of npm listen on every interface and have no setting for it.
func endpoint(port int) string { return fmt.Sprintf("http://127.0.0.1:%d/mcp", port) }

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
