package registry

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/services"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	var tool Tool
	got := b.do(t, owner, "POST", "/tools", `{"name":"My Tool","gateway_url":"https://example.com/mcp"}`, &tool)
	require.Equal(t, http.StatusCreated, got.Status, got.Text)
	require.Equal(t, "my-tool", tool.Slug)
	require.Equal(t, int64(1), tool.Price)
	require.Equal(t, "mcp", tool.Protocol)
	require.Equal(t, Pending, tool.Status)
	require.Equal(t, int64(1), tool.Version)
	require.Equal(t, owner.Account, tool.Developer)
	require.NotContains(t, got.Text, owner.Organization.String(), "clients of the contract never see organisations")
	require.Equal(t, []string{"tool.registered"}, b.outbox(t, tool.ID))

	for name, test := range map[string]struct{ body, message string }{
		"no name":          {`{"gateway_url":"https://example.com"}`, "Name and gateway_url are required"},
		"empty name":       {`{"name":"","gateway_url":"https://example.com"}`, "Name and gateway_url are required"},
		"no url":           {`{"name":"x"}`, "Name and gateway_url are required"},
		"nothing":          {``, "Name and gateway_url are required"},
		"negative price":   {`{"name":"x","gateway_url":"https://example.com","credit_cost_per_call":-1}`, "body.credit_cost_per_call: expected number >= 0"},
		"too dear":         {`{"name":"x","gateway_url":"https://example.com","credit_cost_per_call":1000000001}`, "body.credit_cost_per_call: expected number <= 1e+09"},
		"half a credit":    {`{"name":"x","gateway_url":"https://example.com","credit_cost_per_call":0.5}`, "body.credit_cost_per_call: expected integer"},
		"unknown protocol": {`{"name":"x","gateway_url":"https://example.com","protocol":"gopher"}`, `body.protocol: expected value to be one of "mcp, sse, stdio, json-rpc, rest"`},
		"loopback":         {`{"name":"x","gateway_url":"http://127.0.0.1:8080/mcp"}`, "body.gateway_url: 127.0.0.1 is not a public address; an operator can open it with TOOL_EGRESS_ALLOW, or a platform admin for this tool alone: uaol connect http://127.0.0.1:8080/mcp"},
		"metadata":         {`{"name":"x","gateway_url":"http://169.254.169.254/latest"}`, "body.gateway_url: 169.254.169.254 is not a public address; an operator can open it with TOOL_EGRESS_ALLOW, or a platform admin for this tool alone: uaol connect http://169.254.169.254/latest"},
		"no scheme":        {`{"name":"x","gateway_url":"example.com"}`, "body.gateway_url: the address must begin with http:// or https://"},
		"a NUL":            {`{"name":"x\u0000y","gateway_url":"https://example.com"}`, "A text holds a character that cannot be stored"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(t, owner, "POST", "/tools", test.body, nil)
			require.Equal(t, http.StatusBadRequest, got.Status, got.Text)
			require.Equal(t, test.message, got.Error.Message)
		})
	}
	require.Equal(t, 401, b.do(t, services.Caller{}, "POST", "/tools", `{"name":"x","gateway_url":"https://example.com"}`, nil).Status)
	var events int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM uaol_registry.outbox`).Scan(&events))
	require.Equal(t, 1, events, "what fails is not told of")
	require.Len(t, b.happened, 1)

	free := b.do(t, owner, "POST", "/tools", `{"name":"x","gateway_url":"https://example.com","credit_cost_per_call":0}`, &tool)
	require.Equal(t, http.StatusCreated, free.Status)
	require.Zero(t, tool.Price)
}

// TestLife follows one tool through its statuses; every change has its event.
func TestLife(t *testing.T) {
	t.Parallel()
	b, owner, root := setup(t), user(), admin()
	tool := b.register(t, owner, "Weather")
	path := "/tools/" + tool.ID.String()
	step := func(caller services.Caller, method, path, body string, status Status, version, pending int64) {
		t.Helper()
		got := b.do(t, caller, method, path, body, nil)
		require.Equal(t, http.StatusOK, got.Status, got.Text)
		now, err := b.service.Tool(t.Context(), tool.ID)
		require.NoError(t, err)
		require.Equal(t, status, now.Status)
		require.Equal(t, version, now.Version)
		if pending == 0 {
			require.Nil(t, now.PendingVersion)
		} else {
			require.Equal(t, &pending, now.PendingVersion)
		}
		require.Equal(t, "weather", now.Slug, "it is fixed at creation")
	}
	const unpinned = `{"unpinned":true}`
	step(owner, "PUT", path, `{"credit_cost_per_call":2}`, Pending, 2, 2)
	step(root, "POST", path+"/approve", unpinned, Approved, 2, 0)
	step(owner, "PUT", path, `{"name":"Weather, renamed"}`, Approved, 2, 0)
	step(owner, "PUT", path, `{}`, Approved, 2, 0)
	step(owner, "PUT", path, `{"gateway_url":"https://example.org/mcp"}`, Approved, 2, 3)
	step(owner, "PUT", path, `{"credit_cost_per_call":9}`, Approved, 2, 4)
	step(root, "POST", path+"/approve", unpinned, Approved, 4, 0)
	step(owner, "PUT", path, `{"protocol":"sse"}`, Approved, 4, 5)
	step(root, "POST", path+"/reject", `{"reason":"no"}`, Approved, 4, 0)
	step(owner, "PUT", path, `{"protocol":"sse"}`, Approved, 4, 6)
	for _, url := range []string{"http://127.0.0.1/mcp", "http://localhost/mcp", "file:///etc/passwd"} {
		got := b.do(t, owner, "PUT", path, `{"gateway_url":"`+url+`"}`, nil)
		require.Equal(t, http.StatusBadRequest, got.Status, "a change is checked like a registration")
		require.Contains(t, got.Error.Message, "body.gateway_url: ")
	}
	step(root, "POST", path+"/disable", "", Disabled, 4, 6)
	step(root, "POST", path+"/approve", unpinned, Approved, 6, 0)
	step(owner, "DELETE", path, "", Disabled, 6, 0)
	step(root, "POST", path+"/approve", unpinned, Approved, 6, 0)
	step(root, "POST", path+"/disable", "", Disabled, 6, 0)
	step(owner, "PUT", path, `{"protocol":"mcp"}`, Pending, 7, 7)
	step(root, "POST", path+"/reject", `{"reason":"no"}`, Rejected, 7, 0)
	step(owner, "PUT", path, `{"protocol":"sse"}`, Pending, 8, 8)
	require.Equal(t, []string{"tool.registered", "tool.updated", "tool.approved", "tool.updated", "tool.updated", "tool.updated", "tool.updated", "tool.approved",
		"tool.updated", "tool.rejected", "tool.updated", "tool.disabled", "tool.approved", "tool.disabled", "tool.approved", "tool.disabled",
		"tool.updated", "tool.rejected", "tool.updated"}, b.outbox(t, tool.ID))
	require.Len(t, b.happened, 19, "after the commit the process is told too")
	b.consistent(t)
}

func TestOthersTools(t *testing.T) {
	t.Parallel()
	b, owner, other, root := setup(t), user(), user(), admin()
	tool := b.register(t, owner, "Mine")
	path := "/tools/" + tool.ID.String()
	guest := user()
	guest.Role = services.RoleGuest
	for name, test := range map[string]struct {
		caller       services.Caller
		method, path string
		status       int
		message      string
	}{
		"update":          {other, "PUT", path, 400, "You can only update your own tools"},
		"delete":          {other, "DELETE", path, 400, "You can only delete your own tools"},
		"admin's update":  {root, "PUT", path, 400, "You can only update your own tools"},
		"owner approves":  {owner, "POST", path + "/approve", 403, "Only a platform admin may do this"},
		"owner disables":  {owner, "POST", path + "/disable", 403, "Only a platform admin may do this"},
		"guest":           {guest, "PUT", path, 401, "No token provided"},
		"nobody":          {services.Caller{}, "DELETE", path, 401, "No token provided"},
		"unknown":         {owner, "PUT", "/tools/" + uuid.NewString(), 404, "Tool not found"},
		"unknown, admin":  {root, "POST", "/tools/" + uuid.NewString() + "/approve", 404, "Tool not found"},
		"owner rejects":   {owner, "POST", path + "/reject", 403, "Only a platform admin may do this"},
		"owner's queue":   {owner, "GET", "/tools/review", 403, "Only a platform admin may do this"},
		"diff":            {other, "GET", path + "/diff", 404, "Tool not found"},
		"versions":        {other, "GET", path + "/versions", 404, "Tool not found"},
		"history":         {other, "GET", path + "/history", 404, "Tool not found"},
		"inspect":         {other, "POST", path + "/inspect", 404, "Tool not found"},
		"unknown, get":    {services.Caller{}, "GET", "/tools/" + uuid.NewString(), 404, "Tool not found"},
		"not an id":       {services.Caller{}, "GET", "/tools/7", 400, ""},
		"not an id, nuls": {services.Caller{}, "GET", "/tools/%00", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := ""
			if test.method == "PUT" {
				body = `{"name":"Stolen"}`
			}
			got := b.do(t, test.caller, test.method, test.path, body, nil)
			require.Equal(t, test.status, got.Status, got.Text)
			if test.message != "" {
				require.Equal(t, test.message, got.Error.Message)
			}
		})
	}
	now, err := b.service.Tool(t.Context(), tool.ID)
	require.NoError(t, err)
	require.Equal(t, "Mine", now.Name)
	require.Equal(t, []string{"tool.registered"}, b.outbox(t, tool.ID))
}

// TestLists pages through names and moments that are equal: each row comes once.
func TestLists(t *testing.T) {
	t.Parallel()
	b, owner, other := setup(t), user(), user()
	want := map[uuid.UUID]bool{}
	for i := range 23 {
		tool := b.register(t, owner, fmt.Sprint("Tool ", i%3)) // seven or eight of each name
		require.NoError(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
		want[tool.ID] = true
	}
	b.register(t, owner, "Not approved")
	b.register(t, other, "Another's")
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_registry.tools SET created_at = date_trunc('minute', now()) + (length(slug) % 3) * interval '1 microsecond'`)
	require.NoError(t, err)

	page := func(caller services.Caller, path string, limit int) (rows []Tool) {
		t.Helper()
		cursor := ""
		for range 30 {
			text := b.do(t, caller, "GET", fmt.Sprintf("%s?limit=%d&cursor=%s", path, limit, cursor), "", nil).Text
			var part struct {
				Data       []Tool
				NextCursor string
			}
			unmarshal(t, text, &part)
			require.LessOrEqual(t, len(part.Data), limit)
			rows = append(rows, part.Data...)
			if part.NextCursor == "" {
				return rows
			}
			require.Len(t, part.Data, limit)
			cursor = part.NextCursor
		}
		t.Fatal("no end")
		return nil
	}
	for _, limit := range []int{1, 4, 7, 23, 24, 200} {
		seen := map[uuid.UUID]bool{}
		before := ""
		for _, tool := range page(services.Caller{}, "/tools", limit) {
			require.False(t, seen[tool.ID], "twice")
			seen[tool.ID] = true
			require.LessOrEqual(t, before, tool.Name)
			before = tool.Name
		}
		require.Equal(t, want, seen)
		seen = map[uuid.UUID]bool{}
		for _, tool := range page(owner, "/tools/my/tools", limit) {
			require.False(t, seen[tool.ID], "twice")
			seen[tool.ID] = true
		}
		require.Len(t, seen, 24, "with the one that waits, without another's")
	}
	for path, message := range map[string]string{
		"/tools?limit=0":            "query.limit: expected number >= 1",
		"/tools?limit=201":          "query.limit: expected number <= 200",
		"/tools?limit=x":            "query.limit: invalid integer",
		"/tools?cursor=!":           "query.cursor: is not a cursor of this list",
		"/tools?cursor=bm9wZQ":      "query.cursor: is not a cursor of this list",
		"/tools?cursor=eyJJRCI6MX0": "query.cursor: is not a cursor of this list",
	} {
		got := b.do(t, services.Caller{}, "GET", path, "", nil)
		require.Equal(t, http.StatusBadRequest, got.Status, got.Text)
		require.Equal(t, message, got.Error.Message)
	}
	require.JSONEq(t, `{"success":true,"data":[]}`, b.do(t, user(), "GET", "/tools/my/tools", "", nil).Text)
}

var slugForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func checkSlug(t interface{ Fatalf(string, ...any) }, name, slug string) {
	if len(slug) < 1 || len(slug) > maxSlug || !slugForm.MatchString(slug) || strings.Contains(slug, "--") {
		t.Fatalf("%q gives the slug %q", name, slug)
	}
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"My Tool": "my-tool", "  a  ": "a", "---": "tool", "日本": "tool", "": "tool", "Ünïcode": "n-code", "a--b__c": "a-b-c",
		"abcdefghijklmnopqrstuvwxyz": "abcdefghijklmnopqrstuvwx", "abcdefghijklmnopqrstuvw xyz": "abcdefghijklmnopqrstuvw", "K2": "k2", "Workflow": "workflow-tool",
	} {
		require.Equal(t, want, slugOf(name), name)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9 _.\-]{0,60}`)).Draw(t, "name")
		slug := slugOf(name)
		checkSlug(t, name, slug)
		if again := slugOf(slug); again != slug {
			t.Fatalf("%q is not its own slug: %q", slug, again)
		}
		other := another(slug)
		checkSlug(t, name, other)
		if other == slug {
			t.Fatalf("%q again", slug)
		}
	})
}

func FuzzSlug(f *testing.F) {
	for _, seed := range []string{"My Tool", "", "---", "K", "\xff\xfe", strings.Repeat("a-", 40)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		checkSlug(t, name, slugOf(name))
		checkSlug(t, name, another(slugOf(name)))
	})
}

func TestSameNameAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	slugs := make([]string, 50)
	var group sync.WaitGroup
	for i := range slugs {
		group.Go(func() {
			name, url := "The same name, and a long one", "https://example.com"
			tool, err := b.service.Register(t.Context(), user(), Change{Name: &name, GatewayURL: &url})
			if err != nil {
				t.Error(err)
			}
			slugs[i] = tool.Slug
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for _, slug := range slugs {
		checkSlug(t, "", slug)
		require.False(t, seen[slug], slug)
		seen[slug] = true
	}
	require.True(t, seen["the-same-name-and-a-long"], "one got it as it is")
	var told int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM uaol_registry.outbox`).Scan(&told))
	require.Equal(t, 50, told)
}

// TestUpdatesAtOnce: an update that was overtaken says so instead of writing
// over what it has not read.
func TestUpdatesAtOnce(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	tool := b.register(t, owner, "Race")
	errs := make([]error, 20)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			price := int64(100 + i)
			_, errs[i] = b.service.Update(t.Context(), owner, tool.ID, Change{Price: &price})
		})
	}
	group.Wait()
	done := int64(0)
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			require.True(t, services.Is(err, services.Conflict), err)
		}
	}
	require.Positive(t, done)
	now, err := b.service.Tool(t.Context(), tool.ID)
	require.NoError(t, err)
	require.Equal(t, 1+done, now.Version, "each success is one version")
	require.Len(t, b.outbox(t, tool.ID), int(1+done))
}

// TestAnOvertakenChangeIsRefused: what it did not read it would write over.
func TestAnOvertakenChangeIsRefused(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	read, name := b.register(t, owner, "Race"), "Renamed"
	read, err := b.service.Tool(t.Context(), read.ID)
	require.NoError(t, err)
	_, err = b.service.Update(t.Context(), owner, read.ID, Change{Name: &name})
	require.NoError(t, err)
	read.Description = "of what it was called before"
	_, _, err = b.service.repository.update(t.Context(), read, read.Visibility, nil, owner.Account)
	require.Equal(t, errOvertaken, err)
	require.Equal(t, "Renamed", b.tool(t, read.ID).Name)
}

// TestUpdateKeepsADecision: an admin disables the tool between its owner's
// reading it and writing its new name; it stays disabled.
func TestUpdateKeepsADecision(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	read := b.register(t, owner, "Race")
	require.NoError(t, b.service.Approve(t.Context(), admin(), read.ID, Decision{Unpinned: true}))
	read, err := b.service.Tool(t.Context(), read.ID)
	require.NoError(t, err)
	require.NoError(t, b.service.Disable(t.Context(), admin(), read.ID, Decision{}))
	read.Name = "Renamed"
	written, _, err := b.service.repository.update(t.Context(), read, read.Visibility, nil, owner.Account)
	require.NoError(t, err)
	require.Equal(t, "Renamed", written.Name)
	require.Equal(t, Disabled, written.Status)
}

// TestEventsShareTheTransaction: when the event cannot be written, the change
// has not happened, and nobody is told.
func TestEventsShareTheTransaction(t *testing.T) {
	t.Parallel()
	b, owner := setup(t), user()
	tool := b.register(t, owner, "Kept")
	_, err := b.pool.Exec(t.Context(), `ALTER TABLE uaol_registry.outbox ADD CONSTRAINT closed CHECK (type = 'tool.registered') NOT VALID`)
	require.NoError(t, err)
	name := "Changed"
	_, err = b.service.Update(t.Context(), owner, tool.ID, Change{Name: &name})
	require.Error(t, err)
	require.Error(t, b.service.Approve(t.Context(), admin(), tool.ID, Decision{Unpinned: true}))
	now, err := b.service.Tool(t.Context(), tool.ID)
	require.NoError(t, err)
	require.Equal(t, tool, now)
	_, err = b.pool.Exec(t.Context(), `ALTER TABLE uaol_registry.outbox DROP CONSTRAINT closed, ADD CONSTRAINT closed CHECK (false) NOT VALID`)
	require.NoError(t, err)
	url := "https://example.com"
	_, err = b.service.Register(t.Context(), owner, Change{Name: &name, GatewayURL: &url})
	require.Error(t, err)
	var tools int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM uaol_registry.tools`).Scan(&tools))
	require.Equal(t, 1, tools)
	require.Len(t, b.happened, 1)
}

// TestOutboxIsWholeWhenReadersLook: at no moment is there a tool without its event.
func TestOutboxIsWholeWhenReadersLook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		defer cancel()
		for range 30 {
			b.register(t, user(), "x")
		}
	})
	for ctx.Err() == nil {
		var tools, told int
		err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM uaol_registry.tools), (SELECT count(*) FROM uaol_registry.outbox)`).Scan(&tools, &told)
		})
		require.NoError(t, err)
		require.Equal(t, tools, told)
	}
	group.Wait()
}
