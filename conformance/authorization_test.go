package conformance

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
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

var (
	ticketForm       = regexp.MustCompile(`name="ticket" value="([^"]+)"`)
	organizationForm = regexp.MustCompile(`name="organization" value="([^"]+)"`)
)

// letIn does what the user does on the page: she signs in, allows it, and is sent to the
// suite.
func (p place) letIn(t *testing.T, page string) {
	t.Helper()
	browser := world.New(p.gateway)
	visit := func(method, path string, form url.Values) world.Answer {
		var body any
		if form != nil {
			browser, body = browser.With("Content-Type", "application/x-www-form-urlencoded"), world.Raw(form.Encode())
		}
		answer := browser.Do(t, method, path, body)
		for _, cookie := range (&http.Response{Header: answer.Header}).Cookies() {
			browser = browser.With("Cookie", cookie.Name+"="+cookie.Value)
		}
		return answer
	}
	read := func(form *regexp.Regexp, page world.Answer) string {
		found := form.FindSubmatch(page.Body)
		require.NotNil(t, found, page)
		return string(found[1])
	}
	asked := visit(http.MethodGet, strings.TrimPrefix(page, p.gateway), nil)
	in := visit(http.MethodPost, "/oauth/sign-in", url.Values{"ticket": {read(ticketForm, asked)}, "email": {"ada@example.com"}, "password": {password}})
	require.Equal(t, http.StatusSeeOther, in.Status, in)
	consent := visit(http.MethodGet, "/oauth/"+in.Header.Get("Location"), nil)
	sent := visit(http.MethodPost, "/oauth/authorize",
		url.Values{"ticket": {read(ticketForm, consent)}, "decision": {"allow"}, "organization": {read(organizationForm, consent)}})
	require.Equal(t, http.StatusSeeOther, sent.Status, sent)
	back, err := http.Get(sent.Header.Get("Location"))
	require.NoError(t, err)
	defer back.Body.Close()
	require.Equal(t, http.StatusOK, back.StatusCode)
}
