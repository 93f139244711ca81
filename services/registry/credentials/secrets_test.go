package credentials

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

func TestSecretsAreGivenAndNotReadAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, ada := user(), user()
	tool := b.tool(t, owner)
	at := "/tools/" + tool.ID.String() + "/secrets"

	var entries []Entry
	b.do(t, ada, http.MethodGet, at, "", &entries)
	require.Equal(t, []Entry{
		{Name: "KEY", Wanted: true, Missing: true, Given: []Given{}}, {Name: "ZONE", Wanted: true, Missing: true, Given: []Given{}},
	}, entries)
	require.Equal(t, Required{ToolID: tool.ID, Missing: []string{"KEY", "ZONE"}}, b.required(t, tool, ada))

	var entry Entry
	set := b.do(t, ada, http.MethodPut, at+"/KEY", `{"value":"value-of-ada"}`, &entry)
	require.Equal(t, http.StatusOK, set.Status, set.Text)
	require.False(t, entry.Missing)
	require.Len(t, entry.Given, 1)
	require.Equal(t, ofUser, entry.Given[0].Scope, "the default")
	require.True(t, entry.Given[0].Set && entry.Given[0].Current)
	require.Equal(t, Required{ToolID: tool.ID, Missing: []string{"ZONE"}}, b.required(t, tool, ada))
	b.give(t, owner, tool, ofTool, "ZONE", "Europe/Berlin")

	c := b.carried(t, tool, ada)
	require.Equal(t, map[string]string{"X-Key": "k value-of-ada"}, c.Headers)
	require.Equal(t, map[string]string{"zone": "Europe/Berlin"}, c.Arguments)
	require.Empty(t, c.Env)

	read := b.do(t, ada, http.MethodGet, at+"/KEY", "", &entry)
	list := b.do(t, ada, http.MethodGet, at, "", &entries)
	for _, a := range []answer{set, read, list} {
		require.NotContains(t, a.Text, "value-of-ada")
		require.NotContains(t, a.Text, "Berlin")
	}
	require.Len(t, entries, 2)
	require.Empty(t, entries[1].Given, "what the tool's own organisation gave is for its eyes")
	require.False(t, entries[1].Missing, "but it is there")

	require.Equal(t, http.StatusOK, b.do(t, ada, http.MethodDelete, at+"/KEY", "", nil).Status)
	require.Equal(t, http.StatusOK, b.do(t, ada, http.MethodDelete, at+"/KEY", "", nil).Status, "it may be repeated")
	require.Equal(t, []string{"KEY"}, b.required(t, tool, ada).Missing)
	require.Equal(t, http.StatusNotFound, b.do(t, ada, http.MethodGet, at+"/OTHER", "", nil).Status)
	require.Equal(t, []string{"tool.credentials", "tool.credentials", "tool.credentials", "tool.credentials"}, b.outbox(t, tool.ID))
	require.Len(t, b.happened, 4)
}

func TestTheNearestCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, ada := user(), user()
	tool := b.tool(t, owner, func(tool *Tool) { tool.Inject = Injection{Env: map[string]string{"KEY": "{{secret.KEY}}"}} })
	bob := colleague(ada, services.OrgMember)
	key := func(caller services.Caller) string { return b.carried(t, tool, caller).Env["KEY"] }

	b.give(t, owner, tool, ofTool, "KEY", "tool's")
	require.Equal(t, "tool's", key(ada))
	require.Equal(t, "tool's", key(services.Caller{}), "the platform has the tool's own")
	b.give(t, ada, tool, ofOrganization, "KEY", "organisation's")
	require.Equal(t, "organisation's", key(ada))
	require.Equal(t, "organisation's", key(bob))
	require.Equal(t, "tool's", key(user()))
	b.give(t, bob, tool, ofUser, "KEY", "bob's")
	require.Equal(t, "bob's", key(bob))
	require.Equal(t, "organisation's", key(ada))
	require.Equal(t, "tool's", key(services.Caller{}))
	elsewhere := bob
	elsewhere.Organization = uuid.New()
	require.Equal(t, "bob's", key(elsewhere), "it is the account's, in whichever organisation")

	// What other tools' templates say with the same name is theirs.
	other := b.tool(t, owner)
	require.Equal(t, []string{"KEY", "ZONE"}, b.required(t, other, bob).Missing)

	same := b.carried(t, tool, ada).Identity
	require.Equal(t, same, b.carried(t, tool, ada).Identity)
	require.NotEqual(t, same, b.carried(t, tool, bob).Identity)
	require.NotContains(t, same, "organisation")
}

func TestWhoMayGiveWhat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, org := user(), user()
	owner.Personal, org.Personal = false, false
	tool, hidden := b.tool(t, owner), b.tool(t, owner)
	b.tools.hides[hidden.ID] = true
	guest := services.Caller{Account: uuid.New(), Organization: uuid.New(), Role: services.RoleGuest, OrgRole: services.OrgOwner, Personal: true}
	program := colleague(org, services.OrgOwner)
	program.Key = uuid.New() // a key of the organisation
	platform := user()
	platform.Role = services.RoleAdmin
	for name, test := range map[string]struct {
		caller                   services.Caller
		tool, organization, user int
	}{
		"nobody":                             {services.Caller{}, 401, 401, 401},
		"a guest":                            {guest, 401, 401, 401},
		"the tool's owner":                   {owner, 200, 200, 200},
		"the tool's organisation's member":   {colleague(owner, services.OrgMember), 200, 403, 200},
		"the tool's organisation's viewer":   {colleague(owner, services.OrgViewer), 403, 403, 200},
		"another organisation's owner":       {org, 403, 200, 200},
		"another organisation's admin":       {colleague(org, services.OrgAdmin), 403, 200, 200},
		"another organisation's member":      {colleague(org, services.OrgMember), 403, 403, 200},
		"another organisation's program":     {program, 403, 200, 403},
		"the platform's admin, of elsewhere": {platform, 403, 200, 200},
	} {
		for scope, want := range map[Scope]int{ofTool: test.tool, ofOrganization: test.organization, ofUser: test.user} {
			at := "/tools/" + tool.ID.String() + "/secrets/KEY"
			a := b.do(t, test.caller, http.MethodPut, at, fmt.Sprintf(`{"value":"x","scope":%q}`, scope), nil)
			require.Equal(t, want, a.Status, "%s, PUT for %s: %s", name, scope, a.Text)
			a = b.do(t, test.caller, http.MethodDelete, at+"?scope="+string(scope), "", nil)
			require.Equal(t, want, a.Status, "%s, DELETE for %s: %s", name, scope, a.Text)
			if want == 401 || !test.caller.Owns(owner.Organization) {
				for _, request := range []struct{ method, path string }{
					{http.MethodPut, "/secrets/KEY"}, {http.MethodDelete, "/secrets/KEY?scope=" + string(scope)}, {http.MethodGet, "/secrets/KEY"},
					{http.MethodGet, "/secrets"}, {http.MethodPost, "/authorize"}, {http.MethodGet, "/authorization"}, {http.MethodDelete, "/authorization"},
				} {
					body := ""
					if request.method == http.MethodPut || request.method == http.MethodPost {
						body = fmt.Sprintf(`{"value":"x","scope":%q}`, scope)
					}
					a := b.do(t, test.caller, request.method, "/tools/"+hidden.ID.String()+request.path, body, nil)
					want := http.StatusNotFound
					if !test.caller.Known() || test.caller.Role == services.RoleGuest {
						want = http.StatusUnauthorized
					}
					require.Equal(t, want, a.Status, "%s, %s: %s", name, request, a.Text)
				}
			}
		}
	}
	b.give(t, org, tool, ofOrganization, "KEY", "x")
	require.Equal(t, http.StatusOK, b.do(t, colleague(org, services.OrgMember), http.MethodDelete, "/tools/"+tool.ID.String()+"/secrets/KEY", "", nil).Status)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_registry.secrets WHERE scope = 'organization'`), "one's own is forgotten, not the organisation's")
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_registry.secrets WHERE tool_id = $1`, hidden.ID))
}

// TestASecretGoesOnlyWhereItWasGivenFor: what people gave for one address is
// not sent to another that a later version of the tool has.
func TestASecretGoesOnlyWhereItWasGivenFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, ada := user(), user()
	tool := b.tool(t, owner)
	b.give(t, owner, tool, ofTool, "KEY", "tool's")
	b.give(t, ada, tool, ofUser, "KEY", "ada's")
	b.give(t, ada, tool, ofOrganization, "ZONE", "ada's organisation's")

	for _, same := range []string{"https://weather.example.com/other", "https://WEATHER.example.com:443/mcp?x=1", "https://weather.example.com./mcp"} {
		tool.GatewayURL = same
		require.Equal(t, "k ada's", b.carried(t, tool, ada).Headers["X-Key"], same)
	}
	for _, other := range []string{
		"http://weather.example.com/mcp", "https://weather.example.com:8443/mcp", "https://evil.example.com/mcp", "https://weather.example.com.evil.com/mcp",
		"https://evil.example.com/https://weather.example.com/mcp",
	} {
		moved := tool
		moved.GatewayURL, moved.Version = other, 2
		require.Equal(t, Required{ToolID: tool.ID, Changed: []string{"KEY", "ZONE"}}, b.required(t, moved, ada), "and not the tool's own instead: %s", other)
		entries, err := b.service.Entries(t.Context(), ada, moved)
		require.NoError(t, err)
		require.True(t, entries[0].Missing && !entries[0].Given[0].Current)
	}
	moved := tool
	moved.GatewayURL, moved.Version = "https://new.example.com/mcp", 2
	moved.Inject = Injection{Headers: tool.Inject.Headers}
	require.Equal(t, []string{"KEY"}, b.required(t, moved, user()).Changed, "nor the tool's own: who moved it need not be who gave them")
	b.give(t, owner, moved, ofTool, "KEY", "tool's new one")
	require.Equal(t, "k tool's new one", b.carried(t, moved, user()).Headers["X-Key"])
	require.Equal(t, []string{"KEY"}, b.required(t, moved, ada).Changed, "and not the tool's instead of ada's")
	b.give(t, ada, moved, ofUser, "KEY", "ada's new one")
	require.Equal(t, "k ada's new one", b.carried(t, moved, ada).Headers["X-Key"])
	require.Equal(t, "k ada's", b.carried(t, tool, ada).Headers["X-Key"], "each at its own address")

	var entries []Entry
	b.do(t, ada, http.MethodGet, "/tools/"+tool.ID.String()+"/secrets", "", &entries)
	require.Len(t, entries[0].Given, 1, "once for a scope")
	require.True(t, entries[0].Given[0].Current)
	require.NoError(t, b.service.Delete(t.Context(), ada, tool, ofUser, "KEY"))
	require.Equal(t, "k tool's", b.carried(t, tool, ada).Headers["X-Key"])
	require.Equal(t, "k tool's new one", b.carried(t, moved, ada).Headers["X-Key"], "forgotten everywhere")
}

// TestAClientsSecretGoesToItsServerAlone, and to no other that a later version names.
func TestAClientsSecretGoesToItsServerAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, evil := user(), startScript(t)
	tool := b.tool(t, owner, func(tool *Tool) {
		tool.Inject = Injection{}
		tool.OAuth = &OAuth{Grant: clientCredentials, ClientID: clientID, TokenURL: "https://as.example.com/t"}
	})
	b.give(t, owner, tool, ofTool, clientSecret, secretly)
	moved := tool
	moved.OAuth = &OAuth{Grant: clientCredentials, ClientID: clientID, TokenURL: evil.URL + "/t"}
	require.Equal(t, []string{clientSecret}, b.required(t, moved, owner).Changed)
	entries, err := b.service.Entries(t.Context(), owner, moved)
	require.NoError(t, err)
	require.True(t, entries[0].Missing && !entries[0].Given[0].Current)
	require.Empty(t, evil.seen)
	evil.answer("/t", map[string]any{"access_token": "x"})
	b.give(t, owner, moved, ofTool, clientSecret, "for the other one")
	require.Equal(t, "Bearer x", b.carried(t, moved, owner).Headers["Authorization"])
	_, basic := evil.form(t)
	require.Equal(t, clientID+":for+the+other+one", basic)
}

// TestAVersionThatWaitsHasItsOwnSecrets: its owner gives them before it is
// approved, and what is called goes on with its own.
func TestAVersionThatWaitsHasItsOwnSecrets(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"at another address": "https://new.example.com/mcp", "at the same": "https://weather.example.com/v2"} {
		b := setup(t)
		owner, ada := user(), user()
		tool := b.tool(t, owner, func(tool *Tool) { tool.Inject = Injection{Env: map[string]string{"KEY": "{{secret.KEY}}"}} })
		b.give(t, owner, tool, ofTool, "KEY", "of the old")
		waits := tool
		waits.GatewayURL, waits.Version, waits.Proposed = address, 2, true
		waits.Inject = Injection{Env: map[string]string{"KEY": "{{secret.KEY}}", "NEW": "{{secret.NEW}}"}}
		b.tools.waits[tool.ID] = waits
		at := "/tools/" + tool.ID.String() + "/secrets"

		missing := b.required(t, waits, services.Caller{})
		_, err := b.service.For(t.Context(), waits, services.Caller{})
		require.ErrorContains(t, err, `with "scope": "tool" and "version": 2`)
		var entries []Entry
		b.do(t, owner, http.MethodGet, at+"?version=2", "", &entries)
		require.Len(t, entries, 2)
		require.True(t, entries[1].Missing && entries[1].Wanted)
		b.do(t, owner, http.MethodGet, at, "", &entries)
		require.Len(t, entries, 1)
		var entry Entry
		b.do(t, owner, http.MethodGet, at+"/NEW?version=2", "", &entry)
		require.True(t, entry.Missing)

		for caller, status := range map[*services.Caller]int{&owner: 200, &ada: 409} {
			a := b.do(t, *caller, http.MethodPut, at+"/NEW", `{"value":"of the new","scope":"tool","version":2}`, nil)
			require.Equal(t, status, a.Status, a.Text)
		}
		a := b.do(t, owner, http.MethodPut, at+"/NEW", `{"value":"x","version":2}`, nil)
		require.Equal(t, 400, a.Status, a.Text)
		require.Contains(t, a.Text, "body.scope")
		a = b.do(t, owner, http.MethodPut, at+"/NEW", `{"value":"x","scope":"tool","version":3}`, nil)
		require.Equal(t, 409, a.Status, a.Text)

		if name == "at the same" {
			require.Equal(t, Required{ToolID: tool.ID, Missing: []string{"NEW"}}, missing)
			require.Equal(t, map[string]string{"KEY": "of the old", "NEW": "of the new"}, b.carried(t, waits, services.Caller{}).Env)
			continue
		}
		require.Equal(t, Required{ToolID: tool.ID, Missing: []string{"NEW"}, Changed: []string{"KEY"}}, missing, "nothing of the old goes there")
		a = b.do(t, owner, http.MethodPut, at+"/KEY", `{"value":"of the new","scope":"tool","version":2}`, nil)
		require.Equal(t, 200, a.Status, a.Text)
		require.Equal(t, map[string]string{"KEY": "of the new", "NEW": "of the new"}, b.carried(t, waits, services.Caller{}).Env)
		require.Equal(t, map[string]string{"KEY": "of the old"}, b.carried(t, tool, ada).Env, "nor anything of the new to the old")
	}
}

// TestAnAddressCantBeChangedInTheIndex: the value is sealed for it.
func TestAnAddressCantBeChangedInTheIndex(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, ada := user(), user()
	tool := b.tool(t, owner, func(tool *Tool) { tool.Inject = Injection{Env: map[string]string{"A": "{{secret.KEY}}"}} })
	b.give(t, ada, tool, ofUser, "KEY", "ada's")
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_registry.secrets SET origin = 'https://evil.example.com:443'`)
	require.NoError(t, err)
	tool.GatewayURL = "https://evil.example.com/"
	_, err = b.service.For(t.Context(), tool, ada)
	require.ErrorContains(t, err, "not this one's")
}

func TestSecretsAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := user()
	tool := b.tool(t, owner, func(tool *Tool) {
		tool.OAuth = &OAuth{Grant: authorizationCode, ClientID: "x", AuthorizeURL: "https://a.example.com/", TokenURL: "https://a.example.com/"}
	})
	bare := b.tool(t, owner, func(tool *Tool) { tool.Inject = Injection{} })
	for name, test := range map[string]struct {
		tool           Tool
		secret, body   string
		status         int
		path, contains string
	}{
		"good":                       {tool, "KEY", `{"value":"x y"}`, 200, "", ""},
		"longest":                    {tool, "ZONE", `{"value":"` + strings.Repeat("x", maxValue) + `"}`, 200, "", ""},
		"lines, not for a header":    {tool, "ZONE", `{"value":"a\nb"}`, 200, "", ""},
		"empty":                      {tool, "KEY", `{"value":""}`, 400, "body.value", "1 to 16384"},
		"none":                       {tool, "KEY", `{}`, 400, "body", ""},
		"too long":                   {tool, "ZONE", `{"value":"` + strings.Repeat("x", maxValue+1) + `"}`, 400, "body.value", "1 to 16384"},
		"a header's line":            {tool, "KEY", `{"value":"very-secret\r\nHost: evil"}`, 400, "body.value", "header"},
		"a header's tab":             {tool, "KEY", `{"value":"very-secret\t"}`, 400, "body.value", "header"},
		"a header's C1":              {tool, "KEY", `{"value":"very-secret\u0085"}`, 400, "body.value", "header"},
		"NUL":                        {tool, "ZONE", `{"value":"very-secret\u0000"}`, 400, "body.value", "NUL"},
		"not a text":                 {tool, "KEY", `{"value":1234567890}`, 400, "body.value", ""},
		"a list":                     {tool, "KEY", `{"value":["very-secret"]}`, 400, "body.value", ""},
		"broken":                     {tool, "KEY", `{"value":"very-secret`, 400, "", ""},
		"an unknown scope":           {tool, "KEY", `{"value":"very-secret","scope":"everybody"}`, 400, "body.scope", ""},
		"a name of letters only":     {tool, "K-Y", `{"value":"very-secret"}`, 400, "path.name", "letters, digits"},
		"a name that is a path":      {tool, "a.b", `{"value":"very-secret"}`, 400, "path.name", "letters, digits"},
		"a name too long":            {tool, strings.Repeat("K", 65), `{"value":"very-secret"}`, 400, "path.name", ""},
		"not wanted":                 {tool, "OTHER", `{"value":"very-secret"}`, 400, "path.name", "KEY, ZONE"},
		"not wanted by a bare one":   {bare, "OTHER", `{"value":"very-secret"}`, 400, "path.name", "no secrets"},
		"not wanted yet, the tool's": {bare, "OTHER", `{"value":"very-secret","scope":"tool"}`, 200, "", ""},
		"the client's, the tool's":   {tool, clientSecret, `{"value":"very-secret","scope":"tool"}`, 200, "", ""},
		"the client's, one's own":    {tool, clientSecret, `{"value":"very-secret"}`, 400, "body.scope", "must be tool"},
	} {
		a := b.do(t, owner, http.MethodPut, "/tools/"+test.tool.ID.String()+"/secrets/"+test.secret, test.body, nil)
		require.Equal(t, test.status, a.Status, "%s: %s", name, a.Text)
		require.Contains(t, a.Text, test.path, name)
		require.Contains(t, a.Error.Message+a.Text, test.contains, name)
		require.NotContains(t, a.Text, "very-secret", name)
		require.NotContains(t, a.Text, "1234567890", name)
	}
}

func TestThereIsAMostOfSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := user()
	tool := b.tool(t, owner)
	for i := range maxSecrets {
		b.give(t, owner, tool, ofTool, fmt.Sprintf("S%d", i), "x")
	}
	_, err := b.service.Set(t.Context(), owner, tool, SetRequest{Name: "ONE_MORE", Value: "x", Scope: ofTool})
	require.Equal(t, services.Conflict, services.KindOf(err))
	b.give(t, owner, tool, ofTool, "S7", "another value")
	b.give(t, owner, tool, ofUser, "KEY", "another's count")
	moved := tool
	moved.GatewayURL = "https://new.example.com/mcp"
	b.give(t, owner, moved, ofTool, "ONE_MORE", "another address's count")
}

// TestASecretGivenWhileItIsForgottenStays: whoever was told that it is stored
// finds it, or is told to give it again.
func TestASecretGivenWhileItIsForgottenStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := user()
	tool := b.tool(t, owner, func(tool *Tool) { tool.Inject = Injection{Env: map[string]string{"A": "{{secret.KEY}}"}} })
	b.give(t, owner, tool, ofTool, "KEY", "first")
	places, err := b.service.repository.forget(t.Context(), place{Tool: tool.ID, Scope: ofTool, Holder: tool.ID, Name: "KEY"}, changed(tool))
	require.NoError(t, err)
	require.Len(t, places, 1)
	b.give(t, owner, tool, ofTool, "KEY", "second")
	require.NoError(t, b.service.repository.drop(t.Context(), places[0]))
	require.Equal(t, "second", b.carried(t, tool, owner).Env["A"])
}

// TestValuesAreReadAgainBeforeTheyGo: the template may have changed since the
// value was given.
func TestValuesAreReadAgainBeforeTheyGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := user()
	tool := b.tool(t, owner, func(tool *Tool) { tool.Inject = Injection{Arguments: map[string]string{"a": "{{secret.KEY}}"}} })
	b.give(t, owner, tool, ofTool, "KEY", "a\r\nX-Admin: yes")
	require.Equal(t, "a\r\nX-Admin: yes", b.carried(t, tool, owner).Arguments["a"])
	tool.Inject = Injection{Headers: map[string]string{"X-Key": "{{secret.KEY}}"}}
	_, err := b.service.For(t.Context(), tool, owner)
	require.Equal(t, CodeRequired, asError(t, err).Code)
	require.NotContains(t, err.Error(), "X-Admin")
}

// TestSecretsShowNowhere looks into every table, the log, the events and what
// is audited.
func TestSecretsShowNowhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, ada := user(), user()
	tool := b.tool(t, owner)
	const plain = "plain-text-of-a-secret"
	at := "/tools/" + tool.ID.String() + "/secrets/"
	for _, scope := range []Scope{ofTool, ofOrganization, ofUser} {
		for _, name := range []string{"KEY", "ZONE"} {
			a := b.do(t, owner, http.MethodPut, at+name, fmt.Sprintf(`{"value":"%s","scope":%q}`, plain, scope), nil)
			require.Equal(t, 200, a.Status, a.Text)
			require.NotContains(t, a.Text, plain)
		}
	}
	c := b.carried(t, tool, ada)
	require.Contains(t, c.Headers["X-Key"], plain)
	require.NotContains(t, c.Identity, plain)
	require.Equal(t, 200, b.do(t, owner, http.MethodDelete, at+"KEY?scope=user", "", nil).Status)
	require.Empty(t, b.traces(t, plain))
	for _, entry := range b.logged.All() {
		require.NotContains(t, fmt.Sprint(entry.Message, entry.ContextMap()), plain)
	}
	told, err := json.Marshal(b.happened)
	require.NoError(t, err)
	require.NotContains(t, string(told), plain)
	acts, err := json.Marshal(b.auditor.acts)
	require.NoError(t, err)
	require.NotContains(t, string(acts), plain)
	last := b.auditor.acts[len(b.auditor.acts)-1]
	require.Equal(t, "secret.delete", last.Action)
	require.Equal(t, services.Done, last.Outcome)
	require.Equal(t, map[string]string{"toolId": tool.ID.String(), "name": "KEY", "scope": "user"}, last.Details)
	require.Equal(t, "secret.set", b.auditor.acts[0].Action)
}

// traces finds where in the database a text stands, plain or in hexadecimal.
func (b *bench) traces(t testing.TB, text string) (found []string) {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `
		SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE 'uaol\_%'`)
	require.NoError(t, err)
	type table struct{ Schema, Name string }
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	require.NoError(t, err)
	require.Greater(t, len(tables), 20)
	for _, at := range tables {
		name := pgx.Identifier{at.Schema, at.Name}.Sanitize()
		if b.count(t, `SELECT count(*) FROM `+name+` x WHERE position($1 IN x::text) > 0 OR position(encode(convert_to($1, 'UTF8'), 'hex') IN x::text) > 0`, text) > 0 {
			found = append(found, name)
		}
	}
	return found
}
