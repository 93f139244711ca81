package contract

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// person is who sent a request with a token, read off its note: alice unless
// it is another user or nobody's token.
func person(r recording) string {
	switch r.Number {
	case 25, 97:
		return "invalid"
	case 64, 65, 66, 103, 182:
		return "bob"
	}
	return "alice"
}

// echo is the recorded id of the tool that most recordings use.
const echo = "5659ff18-999f-4d60-92d9-eb3c14b97b99"

// before and after a recording something may have to happen that was not recorded.
var before = map[int]func(*testing.T, *replay){
	79:  registerOtherTools,
	98:  waitForJobs,
	182: registerDearTool,
}

var after = map[int]func(*testing.T, *replay){
	29: keyWasReplaced,
	30: signInAgain, // ours makes a token useless when its user signs out
	31: signInAgain,
	65: approveEcho,
	66: approveUnknown,

	169: ownerFetches,
}

// keyWasReplaced: ours replaces a key when it is asked to, so another one is
// replaced once more and what came out is used from here on.
func keyWasReplaced(t *testing.T, p *replay) {
	r := p.all[29-1]
	answer := p.send(t, r, "alice")
	require.NotEmpty(t, answer.Text("data.apiKey"), answer)
	for recorded := range p.known {
		if strings.HasPrefix(recorded, "uaol_7cf6f81c") {
			p.known[recorded] = answer.Text("data.apiKey")
		}
	}
}

func signInAgain(t *testing.T, p *replay) {
	r := p.all[18-1] // with the API key
	answer := p.send(t, r, "alice")
	require.Empty(t, p.differences(r, answer))
	p.token["alice"] = answer.Text("data.token")
}

// unpinned approves a tool without reading its methods. Some of the recorded ones
// list others than are called, some can't be asked.
var unpinned = map[string]any{"unpinned": true}

// approveEcho does as an admin what any user could do in the original.
func approveEcho(t *testing.T, p *replay) {
	r := p.all[65-1]
	answer := p.admin(r).Do(t, r.Method, p.ours(r.Path), unpinned)
	require.Empty(t, p.differences(r, answer))
}

func approveUnknown(t *testing.T, p *replay) {
	r := p.all[66-1]
	answer := p.admin(r).Do(t, r.Method, p.ours(r.Path), nil)
	require.Equal(t, http.StatusNotFound, answer.Status, answer)
}

// otherTools are the tools of recordings 79 to 84 by their addresses; ours
// registers only those that may be called.
var otherTools = []struct {
	recorded, address string
	registered        bool
}{
	{"ef8e7bf4-9dd6-43e7-b038-a98349fddb06", "http://127.0.0.1:9900/err", true},
	{"4afa6d5d-3187-4e05-b54a-46d2ea04d8c4", "http://127.0.0.1:9900/500", true},
	{"75a7977e-7d74-4cc7-8258-34aa4741bd7f", "http://127.0.0.1:1/", true},
	{"2a800d91-1802-46dc-8014-4368648373fc", "http://127.0.0.1:22/", false},
	{"05bea5e4-6642-4549-a711-64d22a15589b", "http://169.254.169.254/", false},
	{"da63ee81-8c8a-48a0-a883-7f8a281c5bca", "http://127.0.0.1:3005/health", false},
}

func registerOtherTools(t *testing.T, p *replay) {
	for _, tool := range otherTools {
		answer := p.register(t, fmt.Sprintf(`{"name":"other","gateway_url":"%s"}`, tool.address))
		if !tool.registered {
			require.Equal(t, http.StatusBadRequest, answer.Status, answer)
			require.Contains(t, answer.Text("error.message"), "TOOL_EGRESS_ALLOW")
			continue
		}
		p.approve(t, tool.recorded, answer)
	}
}

// dear is the id by which the large bodies name a tool of 100 credits a call:
// ours gives an account 10,000 credits, the original gave 100.
const dear = "00000000-0000-4000-8000-000000000100"

func registerDearTool(t *testing.T, p *replay) {
	p.approve(t, dear, p.register(t, `{"name":"dear","gateway_url":"http://127.0.0.1:9900/","credit_cost_per_call":100}`))
}

func (p *replay) register(t *testing.T, body string) world.Answer {
	r := p.all[51-1]
	client, path := p.client(r)
	return client.As(p.token["alice"]).Do(t, http.MethodPost, path, world.Raw(p.withProtocol(r, p.ours(body))))
}

func (p *replay) approve(t *testing.T, recorded string, registered world.Answer) {
	require.Equal(t, http.StatusCreated, registered.Status, registered)
	p.known[recorded] = registered.Text("data.tool_id")
	answer := p.admin(p.all[65-1]).Do(t, http.MethodPost, "/tools/"+p.known[recorded]+"/approve", unpinned)
	require.Equal(t, http.StatusOK, answer.Status, answer)
}

// waitForJobs waits as long as the recorded client did: until all have ended.
func waitForJobs(t *testing.T, p *replay) {
	client, path := p.client(p.all[107-1])
	path, _, _ = strings.Cut(path, "?")
	for _, c := range []world.Client{client.As(p.token["alice"]), client.Guest("guest-30c3ac")} {
		world.Until(t, "all jobs have ended", func() bool {
			answer := c.Do(t, http.MethodGet, path, nil)
			return answer.At("data.0") != nil && !strings.Contains(string(answer.Body), `"status":"Queued"`) &&
				!strings.Contains(string(answer.Body), `"status":"Running"`)
		})
	}
}

// large are bodies of which only the size was recorded.
var large = map[int]func() string{
	95:  func() string { return steps(2000, echo, "") },
	182: func() string { return steps(150, dear, "") },
	183: func() string { return steps(150, echo, strings.Repeat("x", 1200)) },
}

func steps(n int, tool, parameter string) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"id":"s%d","tool_id":"%s","action":"echo","parameters":{"a":"%s"}}`, i, tool, parameter))
	}
	return `{"workflow_definition":{"steps":[` + strings.Join(list, ",") + `]}}`
}
