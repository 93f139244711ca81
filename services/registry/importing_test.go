package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/api"
	"uaol/providers/egress"
	"uaol/services"
	"uaol/services/registry/credentials"
	"uaol/services/registry/imports"
)

// setupImports is a bench that may reach registries on loopback.
func setupImports(t testing.TB) *bench {
	t.Helper()
	b := setup(t)
	policy, err := egress.New(egress.Config{Allow: []string{"127.0.0.1"}})
	require.NoError(t, err)
	b.service.policy = policy
	sub, err := NewSubregistry(b.service.repository, credentials.Config{PublicURL: "https://tools.uaol.example/"})
	require.NoError(t, err)
	api.Mount(b.engine, api.Guards{Authenticator: header{}, Auditor: header{}}, false, slices.Concat(b.handler.importOperations(), sub.operations())...)
	return b
}

// remoteRegistry is somebody else's registry.
type remoteRegistry struct {
	*httptest.Server
	mu      sync.Mutex
	servers []remoteServer
	asked   []string                                                 // the lists' queries
	instead func(w http.ResponseWriter, r *http.Request, n int) bool // answers the nth request, if it says so
}

type remoteServer struct {
	name, title, url string
	updated          time.Time
	deleted          bool
}

func newRegistry(t testing.TB, n int) *remoteRegistry {
	t.Helper()
	r := &remoteRegistry{}
	for i := range n {
		r.servers = append(r.servers, remoteServer{name: fmt.Sprintf("com.example/s%05d", i), title: fmt.Sprintf("Server %d", i), url: fmt.Sprintf("https://s%d.example.com/mcp", i), updated: time.Now().Add(-24 * time.Hour)})
	}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *remoteRegistry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, request.URL.RawQuery)
	if r.instead != nil && r.instead(w, request, len(r.asked)) {
		return
	}
	query := request.URL.Query()
	since, _ := time.Parse(time.RFC3339, query.Get("updated_since"))
	from, _ := strconv.Atoi(query.Get("cursor"))
	var page struct {
		Servers  []map[string]any  `json:"servers"`
		Metadata map[string]string `json:"metadata"`
	}
	page.Servers = []map[string]any{}
	for i := from; i < len(r.servers); i++ {
		if len(page.Servers) == onePage {
			page.Metadata = map[string]string{"nextCursor": strconv.Itoa(i)}
			break
		}
		s := r.servers[i]
		if s.updated.Before(since) {
			continue
		}
		status := "active"
		if s.deleted {
			status = "deleted"
		}
		page.Servers = append(page.Servers, map[string]any{
			"server": map[string]any{"name": s.name, "title": s.title, "description": "About " + s.title, "version": "1.0.0", "remotes": []map[string]any{{"type": "streamable-http", "url": s.url}}},
			"_meta":  map[string]any{"io.modelcontextprotocol.registry/official": map[string]any{"status": status, "updatedAt": s.updated, "isLatest": true}},
		})
	}
	_ = json.NewEncoder(w).Encode(page)
}

func (r *remoteRegistry) change(i int, change func(s *remoteServer)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.servers[i])
	r.servers[i].updated = time.Now().Add(time.Hour)
}

func (b *bench) importFrom(t testing.TB, caller services.Caller, in Import) Imported {
	t.Helper()
	out, err := b.service.Import(t.Context(), caller, in)
	require.NoError(t, err)
	return out
}

// count is a number that the database gives.
func (b *bench) count(t testing.TB, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func (b *bench) counts(t testing.TB) [4]int {
	t.Helper()
	return [4]int{
		b.count(t, `SELECT count(*) FROM uaol_registry.tools`), b.count(t, `SELECT count(*) FROM uaol_registry.versions`),
		b.count(t, `SELECT count(*) FROM uaol_registry.decisions`), b.count(t, `SELECT count(*) FROM uaol_registry.outbox`),
	}
}

func TestRegistryIsImported(t *testing.T) {
	t.Parallel()
	b, caller := setupImports(t), admin()
	n := 2500
	if text := os.Getenv("UAOL_TEST_IMPORTS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	r := newRegistry(t, n)
	begun := time.Now()
	out := b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL + "/v0.1/servers"})
	t.Logf("%d servers imported in %s", n, time.Since(begun).Round(time.Millisecond))
	require.Equal(t, n, out.Imported)
	require.Equal(t, n/onePage, out.Pages)
	require.Empty(t, out.Skipped)
	require.Len(t, out.Tools, maxShown)
	require.Less(t, time.Since(begun), 2*time.Minute)
	require.NotContains(t, r.asked[0], "updated_since")

	stored := b.counts(t)
	require.Equal(t, [4]int{n, n, n, n / onePage}, stored, "one event tells of a page's new tools")
	tool, err := b.service.Tool(t.Context(), out.Tools[7].ID)
	require.NoError(t, err)
	require.Equal(t, Pending, tool.Status)
	require.Equal(t, "Server 7", tool.Name)
	require.Equal(t, "https://s7.example.com/mcp", tool.GatewayURL)
	require.Equal(t, caller.Organization, tool.Organization)
	require.NotNil(t, tool.PendingVersion)

	again := b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL, Since: time.Unix(1, 0)})
	require.Equal(t, Imported{Unchanged: n, Pages: n / onePage, Skipped: []imports.Skipped{}, Tools: []ImportedTool{}}, again)
	require.Equal(t, stored, b.counts(t), "a repetition leaves no trace")

	next := b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL + "/"})
	require.Contains(t, r.asked[len(r.asked)-1], "updated_since=", "the next one asks for what is new alone")
	require.Equal(t, 1, next.Pages)
	require.Zero(t, next.Unchanged)
}

func TestWhatChangesAtItsSourceWaits(t *testing.T) {
	t.Parallel()
	b, caller, r := setupImports(t), admin(), newRegistry(t, 3)
	out := b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL})
	approved, texts, pending := out.Tools[0].ID, out.Tools[1].ID, out.Tools[2].ID
	b.servers.serve("https://s0.example.com/mcp", method("a", "A"))
	require.NoError(t, b.service.Approve(t.Context(), admin(), approved, Decision{}))
	require.NoError(t, b.service.Approve(t.Context(), admin(), texts, Decision{Unpinned: true}))

	r.change(0, func(s *remoteServer) { s.url = "https://moved.example.com/mcp" })
	r.change(1, func(s *remoteServer) { s.title = "Renamed" })
	r.change(2, func(s *remoteServer) { s.url = "https://elsewhere.example.com/mcp" })
	out = b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL})
	require.Equal(t, 3, out.Updated)

	offers, err := b.service.Offers(t.Context(), ToolsRequest{IDs: []uuid.UUID{approved}})
	require.NoError(t, err)
	require.Equal(t, "https://s0.example.com/mcp", offers[0].GatewayURL, "calls go where an admin said")
	tool, err := b.service.Tool(t.Context(), approved)
	require.NoError(t, err)
	require.Equal(t, Approved, tool.Status)
	require.EqualValues(t, 2, *tool.PendingVersion)
	require.Contains(t, b.outbox(t, approved), "tool.updated", "every process forgets what it knows")

	tool, err = b.service.Tool(t.Context(), texts)
	require.NoError(t, err)
	require.Equal(t, "Renamed", tool.Name)
	require.Nil(t, tool.PendingVersion, "nothing that is called has changed")
	require.Equal(t, Approved, tool.Status)

	tool, err = b.service.Tool(t.Context(), pending)
	require.NoError(t, err)
	require.Equal(t, "https://elsewhere.example.com/mcp", tool.GatewayURL)
	require.EqualValues(t, 2, *tool.PendingVersion)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_registry.versions WHERE tool_id = $1 AND status = 'Pending'`, pending), "one version waits at a time")

	b.servers.serve("https://moved.example.com/mcp", method("a", "A"))
	require.NoError(t, b.service.Approve(t.Context(), admin(), approved, Decision{}))
	offers, err = b.service.Offers(t.Context(), ToolsRequest{IDs: []uuid.UUID{approved}})
	require.NoError(t, err)
	require.Equal(t, "https://moved.example.com/mcp", offers[0].GatewayURL)
}

// TestWhatOthersDecidedStays imports over an owner's price and an admin's no.
func TestWhatOthersDecidedStays(t *testing.T) {
	t.Parallel()
	b, caller, r := setupImports(t), admin(), newRegistry(t, 2)
	out := b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL})
	priced, disabled := out.Tools[0].ID, out.Tools[1].ID
	price := int64(7)
	_, err := b.service.Update(t.Context(), caller, priced, Change{Price: &price})
	require.NoError(t, err)
	require.NoError(t, b.service.Disable(t.Context(), admin(), disabled, Decision{Reason: "no"}))
	r.change(0, func(s *remoteServer) { s.url = "https://moved.example.com/mcp" })
	r.change(1, func(s *remoteServer) { s.url = "https://moved.example.com/mcp" })
	b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL})

	tool, err := b.service.Tool(t.Context(), priced)
	require.NoError(t, err)
	definition, err := b.service.repository.definition(t.Context(), priced, *tool.PendingVersion)
	require.NoError(t, err)
	require.EqualValues(t, 7, definition.Price)
	require.Equal(t, "https://moved.example.com/mcp", definition.GatewayURL)
	tool, err = b.service.Tool(t.Context(), disabled)
	require.NoError(t, err)
	require.Equal(t, Disabled, tool.Status)
}

func TestWhatItsSourceTakesBackIsDisabled(t *testing.T) {
	t.Parallel()
	b, caller, r := setupImports(t), admin(), newRegistry(t, 2)
	out := b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL})
	id := out.Tools[0].ID
	require.NoError(t, b.service.Approve(t.Context(), admin(), id, Decision{Unpinned: true}))
	_, err := b.pool.Exec(t.Context(), `INSERT INTO uaol_registry.differences (tool_id, name, kind) VALUES ($1, 'look', 'added')`, id)
	require.NoError(t, err)
	r.change(0, func(s *remoteServer) { s.deleted = true })
	for i, disabled := range []int{1, 0} {
		out = b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL})
		require.Equal(t, disabled, out.Disabled, i)
	}
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.differences`)+b.count(t, `SELECT count(*) FROM uaol_registry.health`), "nobody looks at it any more")
	offers, err := b.service.Offers(t.Context(), ToolsRequest{IDs: []uuid.UUID{id}})
	require.NoError(t, err)
	require.Empty(t, offers)
	require.Equal(t, "tool.disabled", b.outbox(t, id)[len(b.outbox(t, id))-1])
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.happened[len(b.happened)-1]
	require.Equal(t, [2]string{"tool.disabled", id.String()}, [2]string{last.Type, last.Subject}, "this process forgets it at once")
}

func TestImportThatBreaksOffIsRepeated(t *testing.T) {
	t.Parallel()
	b, caller, r := setupImports(t), admin(), newRegistry(t, 350)
	r.instead = func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n == 3 {
			w.WriteHeader(http.StatusForbidden)
		}
		return n == 3
	}
	_, err := b.service.Import(t.Context(), caller, Import{Format: formatRegistry, URL: r.URL})
	require.True(t, services.Is(err, services.Upstream), err)
	require.Equal(t, 200, b.count(t, `SELECT count(*) FROM uaol_registry.tools`), "the pages before are in")
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.imports`), "what is missing is not forgotten")
	out := b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL})
	require.Equal(t, 150, out.Imported)
	require.Equal(t, 200, out.Unchanged)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_registry.imports WHERE updated_since < now()`))
}

// TestPagesAtATime imports as the command line does: what was updated while it
// went on comes with the next import.
func TestPagesAtATime(t *testing.T) {
	t.Parallel()
	b, caller, r := setupImports(t), admin(), newRegistry(t, 350)
	cursor, calls := "", 0
	for {
		out := b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL, Cursor: cursor, Pages: 2})
		calls++
		if cursor = out.Next; cursor == "" {
			break
		}
		require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.imports`))
		r.mu.Lock()
		r.servers[0].title, r.servers[0].updated = "Updated meanwhile", time.Now()
		r.mu.Unlock()
	}
	require.Equal(t, 2, calls)
	require.Equal(t, 350, b.count(t, `SELECT count(*) FROM uaol_registry.tools`))
	out := b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL})
	require.Equal(t, 1, out.Updated)
	_, err := b.service.Import(t.Context(), caller, Import{Format: formatRegistry, URL: r.URL, Cursor: "nonsense"})
	require.True(t, services.Is(err, services.Invalid))
}

// TestPartialImportsMoveNothing asks for what is new since a moment of the
// caller's: what lies before it may not be in yet.
func TestPartialImportsMoveNothing(t *testing.T) {
	t.Parallel()
	b, caller, r := setupImports(t), admin(), newRegistry(t, 5)
	b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL, Since: time.Now()})
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.imports`))
	require.Equal(t, 5, b.importFrom(t, caller, Import{Format: formatRegistry, URL: r.URL}).Imported)
}

func TestDryRunKeepsNothing(t *testing.T) {
	t.Parallel()
	b, r := setupImports(t), newRegistry(t, 120)
	out := b.importFrom(t, admin(), Import{Format: formatRegistry, URL: r.URL, DryRun: true})
	require.Equal(t, 120, out.Imported)
	require.Equal(t, [4]int{}, b.counts(t))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.imports`))
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.happened)
}

func TestEqualNamesGetTheirOwnSlugs(t *testing.T) {
	t.Parallel()
	b, r := setupImports(t), newRegistry(t, 150)
	for i := range r.servers {
		r.servers[i].title = "Server"
	}
	b.register(t, user(), "Server")
	require.Equal(t, 150, b.importFrom(t, admin(), Import{Format: formatRegistry, URL: r.URL}).Imported)
	require.Equal(t, 151, b.count(t, `SELECT count(DISTINCT slug) FROM uaol_registry.tools`))
}

func TestTwoImportsAtOnce(t *testing.T) {
	t.Parallel()
	b, r := setupImports(t), newRegistry(t, 400)
	var all sync.WaitGroup
	errs := make([]error, 4)
	imported := make([]int, 4)
	for i := range errs {
		all.Go(func() {
			out, err := b.service.Import(context.WithoutCancel(t.Context()), admin(), Import{Format: formatRegistry, URL: r.URL})
			errs[i], imported[i] = err, out.Imported
		})
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, 400, imported[0]+imported[1]+imported[2]+imported[3], "each is new once")
	stored := b.counts(t)
	require.Equal(t, []int{400, 400}, stored[:2])
}

func TestWhatCannotBeTakenIsSkipped(t *testing.T) {
	t.Parallel()
	b := setupImports(t)
	document := `{"servers":[
		{"server":{"name":"a/private","version":"1","remotes":[{"type":"sse","url":"http://10.0.0.1/sse"}]}},
		{"server":{"name":"a/host","version":"1","remotes":[{"type":"sse","url":"https://a.example.com/sse","headers":[{"name":"Host","value":"x"}]}]}},
		{"server":{"name":"a/template","version":"1","remotes":[{"type":"sse","url":"https://a.example.com/sse","headers":[{"name":"X-A","value":"{{secret.oauth_client_secret}}"}]}]}},
		{"server":{"name":"a/nul","version":"1","packages":[{"registryType":"npm","identifier":"x","transport":{"type":"stdio"},"packageArguments":[{"type":"positional","value":"a\u0000b"}]}]}},
		{"server":{"name":"a/loader","version":"1","packages":[{"registryType":"npm","identifier":"x","transport":{"type":"stdio"},"environmentVariables":[{"name":"LD_PRELOAD","value":"x"}]}]}},
		{"server":{"name":"a/good","title":"a\u0000b \u202e c","description":"d\u0000e","version":"1","remotes":[{"type":"sse","url":"https://a.example.com/sse"}]}}]}`
	out := b.importFrom(t, admin(), Import{Format: formatRegistry, URL: "https://registry.example.com", Document: []byte(document)})
	require.Equal(t, 1, out.Imported)
	require.Equal(t, "ab \u202e c", out.Tools[0].Name, "hidden characters stay for the review to flag")
	require.Len(t, out.Skipped, 5)
}

func TestWhoMayImport(t *testing.T) {
	t.Parallel()
	b, r := setupImports(t), newRegistry(t, 1)
	viewer := user()
	viewer.OrgRole = services.OrgViewer
	server := `{"name":"com.example/x","version":"1","remotes":[{"type":"streamable-http","url":"https://x.example.com/mcp"}]}`
	command := `{"mcpServers":{"cmd":{"command":"x"},"web":{"url":"https://web.example.com/mcp"}}}`
	body := func(format, document string) string {
		return fmt.Sprintf(`{"format":%q,"document":%s}`, format, document)
	}
	registry := fmt.Sprintf(`{"format":"mcp-registry","url":%q}`, r.URL)
	require.Equal(t, 401, b.do(t, services.Caller{}, "POST", "/tools/import", body(formatServer, server), nil).Status)
	require.Equal(t, 403, b.do(t, viewer, "POST", "/tools/import", body(formatServer, server), nil).Status)
	require.Equal(t, 403, b.do(t, user(), "POST", "/tools/import", registry, nil).Status)
	require.Equal(t, 403, b.do(t, user(), "POST", "/tools/import", `{"format":"mcp-registry","url":"https://registry.example.com","document":{"servers":[]}}`, nil).Status)
	require.Empty(t, r.asked)
	require.Equal(t, 200, b.do(t, user(), "POST", "/tools/import", body(formatServer, server), nil).Status)
	require.Equal(t, 200, b.do(t, admin(), "POST", "/tools/import", registry, nil).Status)

	var out Imported
	require.Equal(t, 200, b.do(t, user(), "POST", "/tools/import", body(formatMCPServers, command), &out).Status)
	require.Equal(t, 1, out.Imported)
	require.Equal(t, []imports.Skipped{{Name: "cmd", Reason: "it is a command to be run here, which only a platform admin may import"}}, out.Skipped)
	require.Equal(t, 200, b.do(t, admin(), "POST", "/tools/import", body(formatMCPServers, command), &out).Status)
	require.Equal(t, 2, out.Imported)

	for text, path := range map[string]string{
		`{}`:                                       "body.format",
		`{"format":"zip"}`:                         "body.format",
		`{"format":"openapi"}`:                     "body.document",
		`{"format":"openapi","document":{}}`:       "body.document",
		`{"format":"openapi","document":"a: ["}`:   "body.document",
		`{"format":"server.json","document":null}`: "body.document",
		`{"format":"openapi","url":"http://10.0.0.1/x","document":{}}`:  "body.document",
		`{"format":"openapi","url":"http://10.0.0.1/openapi.json"}`:     "body.url",
		`{"format":"openapi","url":"file:///etc/passwd"}`:               "body.url",
		`{"format":"openapi","document":{},"credit_cost_per_call":-1}`:  "body.credit_cost_per_call",
		`{"format":"openapi","document":{},"credit_cost_per_call":1.5}`: "body.credit_cost_per_call",
	} {
		got := b.do(t, admin(), "POST", "/tools/import", text, nil)
		require.Equal(t, 400, got.Status, text)
		require.Contains(t, got.Text, path, text)
	}
}

// TestOrganisationsImportApart imports the same names for two organisations:
// nobody's import changes another's tool.
func TestOrganisationsImportApart(t *testing.T) {
	t.Parallel()
	b, one, other := setupImports(t), user(), user()
	file := func(host string) []byte {
		return fmt.Appendf(nil, `{"mcpServers":{"mine":{"url":"https://%s.example.com/mcp"}}}`, host)
	}
	mine := b.importFrom(t, one, Import{Format: formatMCPServers, Document: file("one")}).Tools[0]
	theirs := b.importFrom(t, other, Import{Format: formatMCPServers, Document: file("other")})
	require.Equal(t, 1, theirs.Imported)
	require.NotEqual(t, mine.ID, theirs.Tools[0].ID)
	require.NotEqual(t, mine.Slug, theirs.Tools[0].Slug)
	tool, err := b.service.Tool(t.Context(), mine.ID)
	require.NoError(t, err)
	require.Equal(t, "https://one.example.com/mcp", tool.GatewayURL)
	require.Equal(t, one.Organization, tool.Organization)
}

// vault notes the secrets that are given to it.
type vault struct {
	*servers
	given map[string]string
	tool  credentials.Tool // the last one
	fails error
}

func (v *vault) Set(_ context.Context, _ services.Caller, tool credentials.Tool, in credentials.SetRequest) (credentials.Entry, error) {
	v.given[tool.Name+"/"+in.Name] = in.Value
	v.tool = tool
	return credentials.Entry{}, v.fails
}

func TestSecretsOfAFileAreKeptApart(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-0815"
	b := setupImports(t)
	v := &vault{servers: b.servers, given: map[string]string{}}
	b.service.wallet = v
	file := `{"format":"mcp-servers","document":{"mcpServers":{"mine":{"url":"https://mine.example.com/mcp","headers":{"Authorization":"Bearer ` + secret + `"}}}}}`
	for _, dry := range []bool{true, false} {
		text := file
		if dry {
			text = strings.Replace(file, `{`, `{"dry_run":true,`, 1)
		}
		got := b.do(t, user(), "POST", "/tools/import", text, nil)
		require.Equal(t, 200, got.Status)
		require.NotContains(t, got.Text, secret)
		require.Equal(t, !dry, len(v.given) > 0)
	}
	require.Equal(t, map[string]string{"mine/Authorization": secret}, v.given)
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.versions WHERE definition::text LIKE '%'||$1||'%'`, secret))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.outbox WHERE data::text LIKE '%'||$1||'%'`, secret))

	// They are for the program that the file names.
	b.do(t, admin(), "POST", "/tools/import", `{"format":"mcp-servers","document":{"mcpServers":{"mine":{"command":"mine","args":["x"],"env":{"API_TOKEN":"`+secret+`"}}}}}`, nil)
	called, err := b.service.Credentialed(t.Context(), admin(), v.tool.ID, 0)
	require.NoError(t, err)
	require.Equal(t, "stdio:mine x", called.GatewayURL)
	require.Equal(t, called.GatewayURL, v.tool.GatewayURL)

	v.fails = services.Errorf(services.Unavailable, "closed")
	var out Imported
	b.do(t, user(), "POST", "/tools/import", file, &out)
	require.Equal(t, []string{"Authorization"}, out.Tools[0].Missing, "what could not be stored is to be given")
}

func TestFetching(t *testing.T) {
	t.Parallel()
	b := setupImports(t)
	document := func(w http.ResponseWriter) {
		_, _ = w.Write([]byte(`{"openapi":"3.0.0","info":{"title":"T","version":"1"},"servers":[{"url":"https://api.example.com"}],"paths":{"/x":{"get":{"responses":{}}}}}`))
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { document(w) }))
	t.Cleanup(elsewhere.Close)
	asked := map[string]int{}
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		n := asked[r.URL.Path]
		mu.Unlock()
		switch {
		case r.URL.Path == "/busy" && n < 3:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader([]int{0, 429, 503}[n])
		case r.URL.Path == "/never":
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(500)
		case r.URL.Path == "/gone":
			w.WriteHeader(404)
		case r.URL.Path == "/inside":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case r.URL.Path == "/flood":
			for range 11 {
				_, _ = w.Write(make([]byte, 1_000_000))
			}
		default:
			document(w)
		}
	}))
	t.Cleanup(server.Close)
	for path, want := range map[string]struct {
		kind  services.Kind
		tries int
	}{
		"/good": {"", 1}, "/busy": {"", 3}, "/never": {services.Upstream, fetchTries}, "/gone": {services.Upstream, 1},
		"/inside": {services.Upstream, 1}, "/flood": {services.Upstream, 1},
	} {
		_, err := b.service.Import(t.Context(), user(), Import{Format: formatOpenAPI, URL: server.URL + path})
		require.Equal(t, want.kind, services.KindOf(err), "%s: %v", path, err)
		require.Equal(t, want.tries, asked[path], path)
	}
	closed, err := egress.New(egress.Config{})
	require.NoError(t, err)
	f := newFetcher(closed)
	t.Cleanup(f.close)
	_, _, err = f.get(t.Context(), server.URL+"/good")
	require.True(t, services.Is(err, services.Invalid), "the address is looked at when it is dialled too: %v", err)
	require.Equal(t, 1, asked["/good"])
}

func TestOpenAPIBecomesOneTool(t *testing.T) {
	t.Parallel()
	b, caller := setupImports(t), user()
	text, err := os.ReadFile("imports/testdata/petshop.yaml")
	require.NoError(t, err)
	quoted, err := json.Marshal(string(text))
	require.NoError(t, err)
	var out Imported
	got := b.do(t, caller, "POST", "/tools/import", fmt.Sprintf(`{"format":"openapi","document":%s,"name":"Pets","credit_cost_per_call":0,"visibility":"organization"}`, quoted), &out)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, "Pets", out.Tools[0].Name)
	require.NoError(t, b.service.Approve(t.Context(), admin(), out.Tools[0].ID, Decision{}))
	offers, err := b.service.Offers(t.Context(), ToolsRequest{IDs: []uuid.UUID{out.Tools[0].ID}})
	require.NoError(t, err)
	require.True(t, offers[0].Pinned)
	require.Len(t, offers[0].Methods, 5)
	require.Len(t, offers[0].Operations, 5)
	require.Zero(t, offers[0].Price)
	require.Equal(t, Organization, offers[0].Visibility)
	shown, err := b.service.Show(t.Context(), caller, out.Tools[0].ID)
	require.NoError(t, err)
	require.NotEqual(t, Healthy, shown.Health.Status, "nobody has asked the server yet")
}
