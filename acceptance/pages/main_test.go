// Package pages tests the console as people use it: in a real browser, on a whole UAOL.
package pages

import (
	"crypto/rand"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/acceptance/world"
	"uaol/providers/postgres/pgtest"
	"uaol/services/storage/documents"
)

func TestMain(m *testing.M) {
	if documents.IsWork(os.Args[1:]) { // this program reads files for the services that it runs
		os.Exit(documents.Work(os.Args[1:], os.Stdin, os.Stdout))
	}
	pgtest.Main(m)
}

type object map[string]any

// bundle is a UAOL, and the tools and the model that it may call.
type bundle struct {
	world *world.World
	tools *world.Tools
	model *model
}

// setup starts one, with further settings, for one test.
func setup(t *testing.T, settings world.Settings) *bundle {
	t.Helper()
	if testing.Short() {
		t.Skip("browsers take their time")
	}
	tools := world.StartTools(t, "127.0.0.1")
	model := startModel(t)
	all := world.Settings{"TOOL_EGRESS_ALLOW": "127.0.0.1", "RATE_LIMIT_PER_MINUTE": "100000", "UAOL_OPENAI_URL": model.url}
	for name, value := range settings {
		all[name] = value
	}
	return &bundle{world: world.Together(t, all), tools: tools, model: model}
}

// person is somebody with an account.
type person struct {
	world.Client
	email, password, key string
}

const password = "correct horse battery staple"

// somebody makes an account.
func (b *bundle) somebody(t *testing.T) person {
	t.Helper()
	email := "p-" + strings.ToLower(rand.Text()[:8]) + "@example.com"
	made := world.New(b.world.Gateway).Do(t, http.MethodPost, "/auth/register", object{"email": email, "password": password})
	require.Equal(t, http.StatusCreated, made.Status, made)
	key := made.Text("data.user.apiKey")
	return person{Client: world.New(b.world.Gateway).As(key), email: email, password: password, key: key}
}

// signedIn is somebody who has made an account in the browser, with the usual password.
func (b *bundle) signedIn(t *testing.T, email string) person {
	t.Helper()
	anybody := world.New(b.world.Gateway)
	token := anybody.Do(t, http.MethodPost, "/auth/login", object{"email": email, "password": password}).Text("data.token")
	require.NotEmpty(t, token)
	return person{Client: anybody.As(token), email: email, password: password}
}

// admin is the platform's.
func (b *bundle) admin() person {
	return person{Client: world.New(b.world.Gateway).As(b.world.AdminKey), key: b.world.AdminKey}
}

// open starts a browser in which nobody has signed in.
func (b *bundle) open(t *testing.T) *browser.Tab { return browser.Open(t, b.world.Gateway) }

// enter starts a browser in which p has signed in.
func (b *bundle) enter(t *testing.T, p person) *browser.Tab {
	t.Helper()
	tab := b.open(t)
	tab.Go("/console/sign-in")
	if p.password == "" {
		tab.Press("main", "With an API key")
		tab.Fill("#key", p.key)
		tab.Press("main", "Sign in with a key")
	} else {
		tab.Fill("#email", p.email)
		tab.Fill("#password", p.password)
		tab.Press("main form", "Sign in")
	}
	tab.Until(`location.pathname == "/console"`)
	return tab
}

// tool makes p a tool of the bundle's MCP server (methods echo and fails), approved.
func (b *bundle) tool(t *testing.T, p person, name string, price int) (id string) {
	t.Helper()
	return b.toolAt(t, p, b.tools.URL+"/mcp", name, price)
}

// toolAt makes p a tool of the MCP server at an address of this machine, approved.
func (b *bundle) toolAt(t *testing.T, p person, url, name string, price int) (id string) {
	t.Helper()
	made := p.Do(t, http.MethodPost, "/tools", object{"name": name, "gateway_url": url, "credit_cost_per_call": price})
	require.Equal(t, http.StatusCreated, made.Status, made)
	id = made.Text("data.tool_id")
	approved := b.admin().Do(t, http.MethodPost, "/tools/"+id+"/approve", nil)
	require.Equal(t, http.StatusOK, approved.Status, approved)
	return id
}
