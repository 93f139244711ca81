package contract

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// limited is the recording of the rate limit, which needs a server of its own.
const limited = 184

// passes are the ways to send the recorded requests. Tools are registered as
// the original's clients do, without a protocol, so that ours speaks MCP with
// them; one pass names the protocol that the original spoke.
var passes = []struct {
	name     string
	start    func(testing.TB, world.Settings) *world.World
	ownPorts bool
	bare     bool
}{
	{name: "one process", start: world.Together},
	{name: "one process, bare JSON-RPC tools", start: world.Together, bare: true},
	{name: "gateway of seven processes", start: world.Apart},
	{name: "own ports of seven processes", start: world.Apart, ownPorts: true},
}

func TestTheRecordings(t *testing.T) {
	all := recordings(t)
	pending := readPending(t, all)
	exceptions := readExceptions(t)
	replayed := map[int]bool{}
	for _, pass := range passes {
		t.Run(pass.name, func(t *testing.T) {
			tool := startTool(t, pass.bare)
			at, err := url.Parse(tool.URL)
			require.NoError(t, err)
			settings := world.Settings{"TOOL_EGRESS_ALLOW": at.Host + ",127.0.0.1:1"}
			p := &replay{
				exceptions: exceptions, all: all, tool: tool.URL, ownPorts: pass.ownPorts, bare: pass.bare,
				world: pass.start(t, settings),
				known: map[string]string{"http://127.0.0.1:9900": tool.URL},
				token: map[string]string{"invalid": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA"},
			}
			for _, r := range all {
				if pending[r.Number] || r.Number == limited || !p.reaches(r) {
					continue
				}
				p.one(t, r)
				replayed[r.Number] = true
			}
			if !pass.ownPorts && !pass.bare { // the limit is the gateway's
				settings["RATE_LIMIT_PER_MINUTE"] = "100"
				p.world = pass.start(t, settings)
				p.limit(t, all[limited-1])
				replayed[limited] = true
			}
		})
	}
	if t.Failed() {
		return // what was not reached counts as unused
	}
	require.Empty(t, exceptions.unused(), "no replay needs these lines of exceptions.txt")
	require.Len(t, all, len(replayed)+len(pending))
	t.Logf("replayed %d, of them with exceptions %d, pending %d of %d recordings", len(replayed), len(exceptions.items), len(pending), len(all))
}

// replay sends the recorded requests to one world, in their order.
type replay struct {
	exceptions *exceptions
	all        []recording
	world      *world.World
	tool       string
	ownPorts   bool
	bare       bool
	known      map[string]string // recorded ids, keys and addresses → ours
	token      map[string]string // by person
}

// reaches tells whether a recording can be sent in this pass: what a service
// says of its own health can only be asked on its port.
func (p *replay) reaches(r recording) bool {
	return p.ownPorts || r.Service == services.Gateway || r.Path != "/health"
}

func (p *replay) one(t *testing.T, r recording) {
	t.Helper()
	if prepare, ok := before[r.Number]; ok {
		prepare(t, p)
	}
	ours := p.send(t, r, person(r))
	for _, d := range p.differences(r, ours) {
		if !p.exceptions.excuse(r.Number, d) {
			t.Errorf("%d %s %s (%s): %s\n\trecorded %d %s\n\tours %s", r.Number, r.Method, r.Path, r.Note, d, r.status(), shorten(string(r.Response)), shorten(ours.String()))
		}
	}
	p.remember(r, ours)
	if follow, ok := after[r.Number]; ok {
		follow(t, p)
	}
}

// differences compares with the recording and, where the answer shall be like
// another recording's, with that one.
func (p *replay) differences(r recording, ours world.Answer) []difference {
	found := p.comparer(false).compare(r, ours)
	if other, ok := p.exceptions.like[r.Number]; ok && ours.Status < 400 {
		found = append(found, p.comparer(true).compare(p.all[other-1], ours)...)
	}
	return found
}

func (p *replay) comparer(loose bool) *comparer {
	return &comparer{known: p.known, extras: p.exceptions.extras, loose: loose}
}

func (p *replay) client(r recording) (world.Client, string) {
	if p.ownPorts {
		service, path := ownPath(r)
		return world.New(p.world.URLs[service]), path
	}
	return world.New(p.world.Gateway), gatewayPath(r)
}

func (p *replay) send(t *testing.T, r recording, who string) world.Answer {
	t.Helper()
	client, path := p.client(r)
	for name, value := range r.headers() {
		client = client.With(name, p.ours(value))
		if strings.HasSuffix(value, "<JWT>") {
			client = client.As(p.token[who])
		}
	}
	text := r.body()
	if build, ok := large[r.Number]; ok {
		text = build()
	}
	if build, ok := forms[r.Number]; ok {
		client, text = client.With("Content-Type", "multipart/form-data; boundary="+boundary), form(build(t))
	}
	var body any
	if text != "" {
		body = world.Raw(p.withProtocol(r, p.ours(text)))
	}
	return client.Do(t, r.Method, p.ours(path), body)
}

// ours is a recorded text with our ids and addresses.
func (p *replay) ours(recorded string) string { return p.comparer(false).substitute(recorded) }

// withProtocol makes a registration name the original's protocol, in the pass
// with tools that speak nothing else.
func (p *replay) withProtocol(r recording, text string) string {
	var body map[string]any
	if !p.bare || r.Method != http.MethodPost || r.Path != "/tools" || json.Unmarshal([]byte(text), &body) != nil {
		return text
	}
	if _, ok := body["protocol"]; !ok {
		body["protocol"] = "json-rpc"
	}
	changed, err := json.Marshal(body)
	if err != nil {
		return text
	}
	return string(changed)
}

// remember keeps the tokens that alice and bob were given.
func (p *replay) remember(r recording, ours world.Answer) {
	if token := ours.Text("data.token"); token != "" {
		switch r.Number {
		case 9:
			p.token["alice"] = token
		case 10:
			p.token["bob"] = token
		}
	}
	if r.Number == 168 {
		p.known[fetched] = ours.Text("data.files.0.url")
	}
}

// admin is a client of the admin's for the service that a recording went to.
func (p *replay) admin(r recording) world.Client {
	client, _ := p.client(r)
	return client.As(p.world.AdminKey)
}

// limit sends a recording until it is refused.
func (p *replay) limit(t *testing.T, r recording) {
	t.Helper()
	p.known = maps.Clone(p.known)
	for range 150 {
		ours := p.send(t, r, "alice")
		if ours.Status == http.StatusOK {
			continue
		}
		for _, d := range p.differences(r, ours) {
			if !p.exceptions.excuse(r.Number, d) {
				t.Errorf("%d: %s, ours %s", r.Number, d, ours)
			}
		}
		require.NotEmpty(t, ours.Header.Get("Retry-After"))
		return
	}
	t.Error("150 requests passed a limit of 100")
}

func shorten(text string) string {
	if len(text) > 400 {
		return text[:400] + "…"
	}
	return text
}
