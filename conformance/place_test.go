package conformance

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

type object = map[string]any

// place is a UAOL with an admin and a user, whose tools may be on this machine.
type place struct {
	gateway     string
	key         string // the user's
	admin, user world.Client
}

func open(t *testing.T) place {
	t.Helper()
	w := world.Together(t, world.Settings{"TOOL_EGRESS_ALLOW": "127.0.0.1,localhost"})
	return place{gateway: w.Gateway, admin: world.New(w.Gateway).As(w.AdminKey)}.of(t, "ada@example.com")
}

// of is the place with somebody new as its user.
func (p place) of(t *testing.T, email string) place {
	t.Helper()
	nobody := world.New(p.gateway)
	registered := nobody.Do(t, http.MethodPost, "/auth/register", object{"email": email, "password": password})
	require.Equal(t, http.StatusCreated, registered.Status, registered)
	p.key = registered.Text("data.user.apiKey")
	require.NotEmpty(t, p.key, registered)
	p.user = nobody.As(p.key)
	return p
}

const password = "correct horse"

// tool registers a server of tools, each call of which costs a credit, and has it approved.
func (p place) tool(t *testing.T, endpoint string) (id string) {
	t.Helper()
	made := p.user.Do(t, http.MethodPost, "/tools", object{"name": "conformance", "gateway_url": endpoint, "credit_cost_per_call": 1})
	require.Equal(t, http.StatusCreated, made.Status, made)
	id = made.Text("data.tool_id")
	approved := p.admin.Do(t, http.MethodPost, "/tools/"+id+"/approve", nil)
	require.Equal(t, http.StatusOK, approved.Status, approved)
	return id
}

// forward serves what the user has on an address of its own: the suite has no key, so
// this adds it to each request, and changes nothing else.
func (p place) forward(t *testing.T) (address string) {
	t.Helper()
	to, err := url.Parse(p.gateway)
	require.NoError(t, err)
	forwarder := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // what the suite calls us is part of what it asks about
			r.Out.Header.Set("X-API-Key", p.key)
		},
		FlushInterval: -1,
	})
	t.Cleanup(func() {
		forwarder.CloseClientConnections()
		forwarder.Close()
	})
	return forwarder.URL
}
