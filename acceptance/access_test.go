package acceptance

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/app"
	"uaol/providers/api"
)

// Who asks. The first two have no account of their own; viewer to owner are in
// the organisation; the platform's admin is in none but its personal one.
var asking = []string{"anonymous", "guest", "viewer", "member", "admin", "owner", "platform"}

// access says how an operation answers each of them: own is for what belongs to
// the organisation they ask for, foreign for what belongs to another one.
type access struct {
	own, foreign string // one status for each of asking, or one for all
	body         func(t *testing.T, o *organization) any
	query        func(t *testing.T, o *organization) string
	fresh        bool // it changes who may do what: each request has an organisation of its own
	passwords    bool // whose accounts have passwords
}

// TestAccess asks every operation as everybody, for what is theirs and what is
// not. A new operation without an entry in accesses fails.
func TestAccess(t *testing.T) {
	if os.Getenv("UAOL_TEST_URL") != "" {
		t.Skip("it needs a database at hand, to make platform admins")
	}
	s := newSuite(t, world.Together)
	var operations []api.Operation
	for _, op := range app.Operations() {
		if op.Access != api.Service {
			operations = append(operations, op)
		}
	}
	var names []string
	for _, op := range operations {
		names = append(names, op.Method+" "+op.Path)
	}
	for name := range accesses {
		require.Contains(t, names, name, "accesses has an entry for an operation that is gone")
	}
	shared, theirs := newOrganization(t, s, true), newOrganization(t, s, true)
	cells := 0
	for _, op := range operations {
		name := op.Method + " " + op.Path
		t.Run(name, func(t *testing.T) {
			entry, ok := accesses[name]
			require.True(t, ok, "say in accesses who may use it")
			own, foreign := statuses(t, entry.own), statuses(t, entry.foreign)
			for i, who := range asking {
				ours := func() *organization {
					if entry.fresh {
						return newOrganization(t, s, entry.passwords)
					}
					return shared
				}
				at := ours().at(who)
				answer := ask(t, op, entry, at, at)
				require.Equal(t, own[i], answer.Status, "%s, own: %s", who, answer)

				at = ours().at(who)
				answer = ask(t, op, entry, at, theirs.at(strangerTo(who)))
				require.Equal(t, foreign[i], answer.Status, "%s, foreign: %s", who, answer)
				noLeak(t, op, answer, theirs)

				// Naming the other organisation opens nothing either.
				if op.Access != api.Public && who != "anonymous" {
					path := theirs.at("owner").path(t, op) + entry.parameters(t, theirs)
					answer = at.client(who).With("X-Organization", theirs.id).Do(t, op.Method, path, entry.content(t, theirs))
					require.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, answer.Status, "%s, naming the other organisation: %s", who, answer)
					noLeak(t, op, answer, theirs)
				}
				cells += 2
			}
		})
	}
	t.Logf("%d operations, %d cells", len(operations), cells)
}

func (e access) content(t *testing.T, o *organization) any {
	if e.body == nil {
		return nil
	}
	return e.body(t, o)
}

func (e access) parameters(t *testing.T, o *organization) string {
	if e.query == nil {
		return ""
	}
	return e.query(t, o)
}

// ask sends the operation as somebody, about what belongs to somebody else.
func ask(t *testing.T, op api.Operation, entry access, who, whose place) world.Answer {
	t.Helper()
	path := whose.path(t, op) + entry.parameters(t, whose.organization) // before the client: it may make another guest
	client := who.client(who.role)
	if slices.Contains([]string{"viewer", "member", "admin", "owner"}, who.role) {
		client = client.With("X-Organization", who.id)
	}
	return client.Do(t, op.Method, path, entry.content(t, whose.organization))
}

// strangerTo is whose things are foreign to somebody.
func strangerTo(who string) string {
	if who == "guest" {
		return "guest"
	}
	return "owner"
}

// noLeak: what belongs to another organisation shows in no answer.
func noLeak(t *testing.T, op api.Operation, answer world.Answer, whose *organization) {
	t.Helper()
	if op.Access == api.Public && (strings.HasPrefix(op.Path, "/tools") || strings.HasPrefix(op.Path, "/v0.1/servers")) {
		return // tools are shown to everybody
	}
	if op.Access == api.Admin && answer.Status == http.StatusOK {
		return // the platform's admins see everybody's; nobody else is answered so
	}
	require.NotContains(t, string(answer.Body), whose.canary, "%s %s shows what is another's", op.Method, op.Path)
}

// statuses reads one status for each of asking.
func statuses(t *testing.T, text string) []int {
	t.Helper()
	var all []int
	for _, field := range strings.Fields(text) {
		var status int
		_, err := fmt.Sscanf(field, "%d", &status)
		require.NoError(t, err)
		all = append(all, status)
	}
	if len(all) == 1 {
		all = slices.Repeat(all, len(asking))
	}
	require.Len(t, all, len(asking), "one status, or one for each of %v", asking)
	return all
}
