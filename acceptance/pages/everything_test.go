package pages

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services/gateway/console"
)

// place is a page with something on it.
type place struct {
	path string // "" for one that answers with no page of its own
	says string // text that stands there
}

// everywhere is every page of the console, with something on each that u has made. word
// stands in every text that somebody could give.
func everywhere(t *testing.T, b *bundle, u person, word string) map[string]place {
	t.Helper()
	ids := b.fill(t, u, word)
	return map[string]place{
		"/console":                               {"/console", "Jobs a second"},
		"/console/sign-in":                       {"/console/sign-in", "Sign in"},
		"/console/enter":                         {"", ""}, // a script sends it on
		"/console/sign-in/with/{provider}":       {"", ""},
		"/console/sign-in/{state}/auth/callback": {"/console/sign-in/x/auth/callback?error=" + word, "begin again"},
		"/console/tools":                         {"/console/tools", word},
		"/console/tools/new":                     {"/console/tools/new", "Register"},
		"/console/tools/review":                  {"/console/tools/review", ""},
		"/console/tools/consent":                 {"/console/tools/consent?error=" + word, "says no"},
		"/console/tools/{tool}":                  {"/console/tools/" + ids["tool"], word},
		"/console/tools/{tool}/call":             {"/console/tools/" + ids["tool"] + "/call?method=echo", word},
		"/console/tools/{tool}/edit":             {"/console/tools/" + ids["tool"] + "/edit", word},
		"/console/tools/{tool}/history":          {"/console/tools/" + ids["tool"] + "/history", "approved"},
		"/console/tools/{tool}/review":           {"/console/tools/" + ids["tool"] + "/review", word},
		"/console/receipts/{receipt}":            {"/console/receipts/" + ids["job"], "ed25519:"},
		"/console/jobs":                          {"/console/jobs", "echo"},
		"/console/jobs/waiting":                  {"/console/jobs/waiting", word},
		"/console/jobs/dead":                     {"/console/jobs/dead", "no such city"},
		"/console/jobs/{job}":                    {"/console/jobs/" + ids["job"], word},
		"/console/workflows":                     {"/console/workflows", word},
		"/console/workflows/new":                 {"/console/workflows/new", "Run once"},
		"/console/workflows/{workflow}":          {"/console/workflows/" + ids["workflow"], word},
		"/console/workflows/{workflow}/edit":     {"/console/workflows/" + ids["workflow"] + "/edit", word},
		"/console/schedules":                     {"/console/schedules", "@daily"},
		"/console/schedules/new":                 {"/console/schedules/new", "Timetable"},
		"/console/schedules/{schedule}":          {"/console/schedules/" + ids["schedule"], "Next runs"},
	}
}

// fill makes one of everything, and gives their ids.
func (b *bundle) fill(t *testing.T, u person, word string) map[string]string {
	t.Helper()
	ids := map[string]string{"tool": b.tool(t, u, word, 2)}
	steps := []object{call("a", ids["tool"], "echo", word), call("b", ids["tool"], "echo", "{{a.result.content.0.text}}")}
	ids["job"] = u.run(t, object{"said": word}, steps...)
	u.until(t, ids["job"], "Success")
	ids["waiting"] = u.run(t, nil, object{"id": "ask", "kind": "approval", "message": word, "approves": "do"}, call("do", ids["tool"], "echo", word))
	ids["dead"] = u.run(t, nil, call("bad", ids["tool"], "fails", word))
	u.until(t, ids["dead"], "Failed")
	saved := u.Do(t, http.MethodPost, "/workflows", object{"name": word, "description": word, "workflow_definition": object{"steps": steps}})
	require.Equal(t, http.StatusCreated, saved.Status, saved)
	ids["workflow"] = saved.Text("data.workflow_id")
	planned := u.Do(t, http.MethodPost, "/schedules", object{"cron": "@daily", "workflow_id": ids["workflow"], "input": object{"said": word}})
	require.Equal(t, http.StatusCreated, planned.Status, planned)
	ids["schedule"] = planned.Text("data.schedule_id")
	return ids
}

// allPlaces are everywhere's, in their order; a page that is missing there fails the test.
func allPlaces(t *testing.T, b *bundle, u person, word string) []place {
	t.Helper()
	known := everywhere(t, b, u, word)
	var all []place
	for _, pattern := range console.Pages() {
		at, there := known[pattern]
		require.True(t, there, "no test opens %s", pattern)
		delete(known, pattern)
		if at.path != "" {
			all = append(all, at)
		}
	}
	require.Empty(t, known, "there are no such pages")
	return all
}

// named is a name for a test of a page.
func (p place) named() string { return strings.ReplaceAll(strings.Trim(p.path, "/"), "/", " ") }
