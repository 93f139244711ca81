package pages

import (
	"encoding/json"
	"net/http"
	"net/url"
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
		"/console/sign-in/{state}/auth/callback": {"/console/sign-in/x/auth/callback?error=" + url.QueryEscape(word), "begin again"},
		"/console/tools":                         {"/console/tools", word},
		"/console/tools/new":                     {"/console/tools/new", "Register"},
		"/console/tools/review":                  {"/console/tools/review", ""},
		"/console/tools/consent":                 {"/console/tools/consent?error=" + url.QueryEscape(word), "says no"},
		"/console/tools/{tool}":                  {"/console/tools/" + ids["tool"], word},
		"/console/tools/{tool}/call":             {"/console/tools/" + ids["tool"] + "/call?method=echo", word},
		"/console/tools/{tool}/edit":             {"/console/tools/" + ids["tool"] + "/edit", word},
		"/console/tools/{tool}/history":          {"/console/tools/" + ids["tool"] + "/history", "approved"},
		"/console/tools/{tool}/review":           {"/console/tools/" + ids["pending"] + "/review", word},
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
		"/console/credits":                       {"/console/credits", "Left to spend"},
		"/console/credits/usage.csv":             {"", ""},
		"/console/credits/history":               {"/console/credits/history", "Charged"},
		"/console/credits/caps":                  {"/console/credits/caps", "Set a cap"},
		"/console/credits/plans":                 {"/console/credits/plans", "Enterprise"},
		"/console/keys":                          {"/console/keys", "Make a key"},
		"/console/account":                       {"/console/account", "Sign-ins"},
		"/console/account/export":                {"", ""},
		"/console/members":                       {"/console/members", "Make an organisation"},
		"/console/members/organizations":         {"/console/members/organizations", "Join one"},
		"/console/members/join":                  {"/console/members/join?invitation=" + url.QueryEscape(word), "Join an organisation"},
		"/console/members/programs":              {"/console/members/programs", "Make an organisation"},
		"/console/members/log":                   {"/console/members/log", "key.create"},
		"/console/files":                         {"/console/files", word},
		"/console/files/search":                  {"/console/files/search?q=" + url.QueryEscape(word), "A question, or words"},
		"/console/files/{file}":                  {"/console/files/" + ids["file"], word},
		"/console/files/{file}/content":          {"", ""},
		"/console/files/{file}/text":             {"", ""},
		"/console/chat":                          {"/console/chat", "Conversations"},
		"/console/chat/files":                    {"/console/chat/files?file=" + ids["file"], "Attached"},
		"/console/chat/{conversation}":           {"/console/chat/" + ids["conversation"], word},
		"/console/chat/{conversation}/export":    {"", ""},
		"/console/admin":                         {"/console/admin", "Newest seal"},
		"/console/admin/accounts":                {"/console/admin/accounts", "Since"},
		"/console/admin/accounts/{account}":      {"/console/admin/accounts/" + ids["account"], "Give credits"},
		"/console/admin/invitations":             {"/console/admin/invitations", "Open invitations"},
		"/console/admin/audit":                   {"/console/admin/audit", "key.create"},
		"/console/admin/audit/export":            {"", ""},
		"/console/admin/ledger":                  {"/console/admin/ledger", "Newest seal"},
		"/console/admin/events":                  {"/console/admin/events", "Refused for good"},
		"/console/admin/configuration":           {"/console/admin/configuration", "LOG_LEVEL"},
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
	key := u.Do(t, http.MethodPost, "/auth/keys", object{"name": string([]rune(word)[:min(len([]rune(word)), 90)]), "scopes": []string{"jobs:read"}})
	require.Equal(t, http.StatusCreated, key.Status, key)
	stored := u.Do(t, http.MethodPost, "/storage/upload", object{"filename": word, "contentType": "text/plain", "data": []byte(word)})
	require.Equal(t, http.StatusOK, stored.Status, stored)
	ids["file"] = stored.Text("data.fileId")
	pending := u.Do(t, http.MethodPost, "/tools", object{"name": word, "gateway_url": b.tools.URL + "/mcp", "description": word})
	require.Equal(t, http.StatusCreated, pending.Status, pending)
	ids["pending"] = pending.Text("data.tool_id")
	ids["account"] = u.Do(t, http.MethodGet, "/auth/me", nil).Text("data.id")
	ids["conversation"] = b.talk(t, u, word, ids["tool"], ids["file"])
	return ids
}

// talk leads a conversation about a file, in which a call of the tool waits for a word.
func (b *bundle) talk(t *testing.T, u person, word, tool, file string) (conversation string) {
	t.Helper()
	u.keyed(t)
	slug := u.Do(t, http.MethodGet, "/tools/"+tool, nil).Text("data.slug")
	arguments, err := json.Marshal(object{"text": word})
	require.NoError(t, err)
	b.model.says(func(in asked) []piece {
		if in.N == 0 {
			return []piece{{text: "# " + word + "\n\n" + word + " [1]\n\n```\n" + word + "\n```\n\n| " + word + " |\n|---|\n| x |\n"}}
		}
		return []piece{{text: word}, {calls: []wish{{slug + "__echo", string(arguments)}}}}
	})
	said := u.Do(t, http.MethodPost, "/chat", object{"message": word, "fileIds": []string{file}})
	require.Equal(t, http.StatusOK, said.Status, said)
	conversation = said.Text("data.conversationId")
	said = u.Do(t, http.MethodPost, "/chat", object{"message": word, "conversationId": conversation, "tools": []string{tool}})
	require.Equal(t, http.StatusOK, said.Status, said)
	require.NotEmpty(t, said.Text("data.confirmations.0.id"), said)
	return conversation
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
