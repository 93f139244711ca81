package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// arrival is what reached a tool's server with one call.
type arrival struct {
	header    http.Header
	arguments map[string]any
}

// guarded is a tool's server that wants credentials and notes with what it is called.
type guarded struct {
	url      string
	mu       sync.Mutex
	headers  []http.Header // of all requests
	arrivals []arrival
}

func startGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{}
	server := mcp.NewServer(&mcp.Implementation{Name: "guarded", Version: "1"}, nil)
	schema := map[string]any{"type": "object", "properties": map[string]any{"about": map[string]any{"type": "string"}, "team": map[string]any{"type": "string"}}, "required": []string{"team"}}
	server.AddTool(&mcp.Tool{Name: "look", InputSchema: schema}, g.look)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.headers = append(g.headers, r.Header.Clone())
		g.mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		for session := range server.Sessions() {
			_ = session.Close()
		}
		local.CloseClientConnections()
		local.Close()
	})
	g.url = local.URL
	return g
}

func (g *guarded) look(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	a := arrival{header: r.Extra.Header}
	if err := json.Unmarshal(r.Params.Arguments, &a.arguments); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.arrivals = append(g.arrivals, a)
	if a.arguments["about"] == "keys" {
		return nil, fmt.Errorf("incorrect key provided: %s", r.Extra.Header.Get("X-Person"))
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "looked with " + r.Extra.Header.Get("X-Person")}}, IsError: a.arguments["about"] == "nothing"}, nil
}

// last is the latest call; it also counts them all.
func (g *guarded) last(t *testing.T) (a arrival, calls int) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	require.NotEmpty(t, g.arrivals)
	return g.arrivals[len(g.arrivals)-1], len(g.arrivals)
}

// TestInjectedSecrets lets a tool's calls carry a secret of the tool, one of the
// caller's organisation and one of the caller, and looks for them everywhere else.
func TestInjectedSecrets(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]starter{"one process": world.Together, "seven processes": world.Apart} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGuarded(t)
			host := strings.TrimPrefix(g.url, "http://")
			w := start(t, world.Settings{"TOOL_EGRESS_ALLOW": host, "LOG_LEVEL": "debug"})
			injectedSecrets(t, &suite{world: w}, g)
		})
	}
}

func injectedSecrets(t *testing.T, s *suite, g *guarded) {
	o := newOrganization(t, s, false)
	in := func(who string) world.Client { return o.clients[who].With("X-Organization", o.id) }
	ada, bob, zoe := in("owner"), in("member"), s.user(t) // zoe is of another organisation

	var told []string // every answer there was
	ask := func(c world.Client, method, path string, body any, status int) world.Answer {
		t.Helper()
		answer := c.Do(t, method, path, body)
		require.Equal(t, status, answer.Status, answer)
		told = append(told, answer.String())
		for name, values := range answer.Header {
			told = append(told, name+": "+strings.Join(values, " "))
		}
		return answer
	}
	made := ask(ada, http.MethodPost, "/tools", object{"name": "Guarded", "gateway_url": g.url, "credit_cost_per_call": 0, "inject": object{
		"headers":   object{"X-Service-Key": "Key {{secret.SERVICE}}", "X-Person": "{{secret.PERSON}}"},
		"arguments": object{"team": "{{secret.TEAM}}"},
	}}, http.StatusCreated)
	tool := made.Text("data.tool_id")
	secrets := "/tools/" + tool + "/secrets/"

	const service = "canary-service-8f1d"
	give := func(c world.Client, name, scope, value string) {
		t.Helper()
		ask(c, http.MethodPut, secrets+name, object{"value": value, "scope": scope}, http.StatusOK)
	}
	give(ada, "SERVICE", "tool", service)
	give(ada, "TEAM", "organization", "canary-team-of-ada")
	give(ada, "PERSON", "user", "canary-person-ada")
	give(bob, "PERSON", "user", "canary-person-bob")
	ask(zoe, http.MethodPut, secrets+"SERVICE", object{"value": "canary-of-zoe", "scope": "tool"}, http.StatusForbidden)
	ask(s.admin(), http.MethodPost, "/tools/"+tool+"/approve", nil, http.StatusConflict) // the server is looked at with what the admin has
	give(s.admin(), "TEAM", "organization", "canary-team-of-the-admin")
	give(s.admin(), "PERSON", "user", "canary-person-the-admin")
	ask(s.admin(), http.MethodPost, "/tools/"+tool+"/approve", nil, http.StatusOK)

	call := func(c world.Client, about string, status int) world.Answer {
		t.Helper()
		return ask(c, http.MethodPost, "/proxy/"+tool+"/call", object{"method": "look", "params": object{"about": about}}, status)
	}
	for person, c := range map[string]world.Client{"ada": ada, "bob": bob} {
		require.Equal(t, "looked with [secret]", call(c, "things", http.StatusOK).Text("data.content.0.text"))
		came, _ := g.last(t)
		require.Equal(t, "Key "+service, came.header.Get("X-Service-Key"))
		require.Equal(t, "canary-person-"+person, came.header.Get("X-Person"), "each their own")
		require.Equal(t, map[string]any{"about": "things", "team": "canary-team-of-ada"}, came.arguments)
	}
	require.Contains(t, call(bob, "keys", http.StatusBadGateway).String(), "incorrect key provided: [secret]")
	call(bob, "nothing", http.StatusOK) // fails, as the tool says
	ask(bob, http.MethodGet, "/proxy/"+tool+"/tools", nil, http.StatusOK)

	forged := bob.With("X-Person", "forged").With("X-Service-Key", "forged").With("Cookie", "forged=1")
	call(forged, "things", http.StatusOK)
	came, _ := g.last(t)
	require.Equal(t, "canary-person-bob", came.header.Get("X-Person"))
	_, before := g.last(t)
	faulty(t, ask(bob, http.MethodPost, "/proxy/"+tool+"/call", object{"method": "look", "params": object{"team": "forged"}}, http.StatusBadRequest), "body.params.team")
	refused(t, call(zoe, "things", http.StatusBadRequest), http.StatusBadRequest, "CREDENTIALS_REQUIRED")
	_, after := g.last(t)
	require.Equal(t, before, after, "without its secrets nothing leaves")

	g.mu.Lock()
	for _, header := range g.headers {
		require.Empty(t, header.Get("Authorization"), "a caller's own credentials stay here")
		require.Empty(t, header.Get("X-Api-Key"))
		require.Empty(t, header.Get("Cookie"))
	}
	g.mu.Unlock()
	require.Eventually(t, func() bool { // records are written a moment later
		return strings.Count(ask(ada, http.MethodGet, "/proxy/calls?tool="+tool, nil, http.StatusOK).String(), `"method":"look"`) >= 4
	}, 10*time.Second, 20*time.Millisecond)
	ask(ada, http.MethodGet, "/tools/"+tool, nil, http.StatusOK)
	ask(ada, http.MethodGet, "/tools/"+tool+"/secrets", nil, http.StatusOK)
	log := s.world.Log.String()
	require.Contains(t, log, "/proxy/"+tool+"/call", "the log is kept")
	for _, line := range slices.Concat(told, strings.Split(log, "\n")) {
		require.NotContains(t, line, "canary-")
	}
}
