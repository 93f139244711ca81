package conformance

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/conformance/suite"
)

// TestAuthorizationServer runs the suite's scenarios for authorization servers. No
// revision requires them: the protocol leaves these servers to others.
func TestAuthorizationServer(t *testing.T) {
	s := get(t, suite.Latest)
	p := open(t)
	port := freePort(t)
	back := fmt.Sprintf("http://127.0.0.1:%d/callback", port)
	program := world.New(p.gateway).Do(t, http.MethodPost, "/oauth/register",
		object{"client_name": "The suite", "redirect_uris": []string{back}, "token_endpoint_auth_method": "none"})
	require.Equal(t, http.StatusCreated, program.Status, program)

	dir := t.TempDir()
	command := s.Command(t.Context(), "authorization", "--url", p.gateway, "--client-id", program.Text("client_id"), "--resource", p.gateway+"/mcp",
		"-p", fmt.Sprint(port), "-o", dir)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	command.Stderr = command.Stdout
	require.NoError(t, command.Start())
	var said strings.Builder
	for scanner := bufio.NewScanner(out); scanner.Scan(); { // until it ends
		said.WriteString(scanner.Text() + "\n")
		if strings.HasPrefix(scanner.Text(), p.gateway+"/oauth/authorize?") {
			p.letIn(t, scanner.Text())
		}
	}
	ended := command.Wait()
	scenarios, err := s.Lists(t.Context(), "authorization")
	require.NoError(t, err)
	for _, scenario := range scenarios {
		t.Run(scenario, func(t *testing.T) {
			found, err := filepath.Glob(filepath.Join(dir, "authorization-server-"+scenario+"-*"))
			require.NoError(t, err)
			require.Len(t, found, 1, said.String())
			w := suite.Wanted{Scenario: scenario, Reason: "beyond the protocol"}
			note(t, s.Read(found[0], "authorization", w, ended), []byte(said.String()))
		})
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// letIn does what the user does on the page: she signs in, allows it, and is sent to the
// suite.
func (p place) letIn(t *testing.T, page string) {
	t.Helper()
	to := world.New(p.gateway).Allow(t, strings.TrimPrefix(page, p.gateway), "ada@example.com", password)
	back, err := http.Get(to.String())
	require.NoError(t, err)
	defer back.Body.Close()
	require.Equal(t, http.StatusOK, back.StatusCode)
}
