package compare

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"uaol/acceptance/world"
	"uaol/bench/fleet"
	"uaol/services"
)

// side is one of those that are compared.
type side struct {
	name, version string
	from          string // how it is had
	start         func(t testing.TB, upstream string) (running, error)
	ours          bool     // it is an error if it fails
	revisions     []string // that it races in; nil for the newest that it speaks
	why           string   // it can't be started; "" of one that can
	onlyRaces     bool     // the suite runs through another side that is the same
}

// direct is the name of the side that all others are measured by.
const direct = "direct"

// running is a side that serves an upstream's tools.
type running struct {
	endpoint string
	bare     string      // endpoint with the tools' own names; "" where endpoint has them or none has
	header   http.Header // what it wants of everybody
	used     func(testing.TB) time.Duration
}

// sides are all that take part.
func sides(t testing.TB) []side {
	t.Helper()
	all := []side{
		{name: direct, from: "nothing is between", ours: true, start: func(_ testing.TB, upstream string) (running, error) {
			return running{endpoint: upstream, used: func(testing.TB) time.Duration { return 0 }}, nil
		}},
		{name: "naive", version: "Go SDK " + sdkVersion(t), from: "this package", ours: true, start: startNaive("naive")},
		{name: "naive stateless", version: "Go SDK " + sdkVersion(t), from: "this package", ours: true, start: startNaive("naive-stateless")},
		{name: "UAOL", version: commit(t), from: "this repository", ours: true, start: startUAOL(1), revisions: []string{stateless, sessions}},
		{name: "UAOL free", version: commit(t), from: "this repository", ours: true, start: startUAOL(0), revisions: []string{stateless, sessions}, onlyRaces: true},
	}
	if os.Getenv("UAOL_COMPARE_PEERS") != "" {
		for _, p := range peers {
			all = append(all, p.side(t))
		}
	}
	if only := os.Getenv("UAOL_COMPARE_ONLY"); only != "" {
		all = slices.DeleteFunc(all, func(s side) bool { return !slices.Contains(strings.Split(only, ","), s.name) })
	}
	return all
}

func startNaive(as string) func(testing.TB, string) (running, error) {
	return func(t testing.TB, upstream string) (running, error) {
		endpoint, p := self(t, as, upstream)
		return running{endpoint: endpoint, used: func(testing.TB) time.Duration { return p.Used() }}, nil
	}
}

// startUAOL runs everything in one process, with a tool that costs so many credits a call.
func startUAOL(price int) func(testing.TB, string) (running, error) {
	return func(t testing.TB, upstream string) (running, error) { return runUAOL(t, upstream, price) }
}

func runUAOL(t testing.TB, upstream string, price int) (running, error) {
	t.Helper()
	at, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	const many = "100000000" // what is limited is counted, and nobody comes that far
	f := fleet.Start(t, fleet.Options{Together: true, Env: map[string]string{
		"TOOL_EGRESS_ALLOW": at.Host, "DATABASE_POOL_MAX": "20", "UAOL_ADDRESS_RATE_LIMIT": many,
		"UAOL_CALLS_PER_USER_MINUTE": many, "UAOL_CALLS_PER_ORGANIZATION_MINUTE": many,
		"UAOL_CALLS_PER_TOOL_MINUTE": many, "UAOL_CALLS_PER_USER_AND_TOOL_MINUTE": many,
	}})
	base := f.URLs(services.Gateway)[0]
	nobody := world.New(base)
	must := func(c world.Client, path string, body any, status int) world.Answer {
		t.Helper()
		answer := c.Do(t, http.MethodPost, path, body)
		if answer.Status != status {
			t.Fatalf("%s: %s", path, answer)
		}
		return answer
	}
	key := must(nobody, "/auth/register", object{"email": "ada@example.com"}, http.StatusCreated).Text("data.user.apiKey")
	user, admin := nobody.As(key), nobody.As(fleet.AdminKey)
	id := must(user, "/tools", object{"name": "up", "gateway_url": upstream, "credit_cost_per_call": price}, http.StatusCreated).Text("data.tool_id")
	must(admin, "/tools/"+id+"/approve", object{}, http.StatusOK)
	must(user, "/profiles", object{"name": "bare", "tools": []object{{"tool": id, "prefix": ""}}}, http.StatusCreated)
	return running{
		endpoint: base + "/mcp", bare: base + "/mcp/p/bare",
		header: http.Header{"Authorization": {"Bearer " + key}},
		used:   f.Used,
	}, nil
}

// commit is what UAOL stands at here.
func commit(t testing.TB) string {
	out, err := exec.CommandContext(t.Context(), "git", "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(out))
}

func sdkVersion(t testing.TB) string {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/modelcontextprotocol/go-sdk").Output()
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(out))
}
