package acceptance

import (
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// repeatsMakeOneThing: a request that is sent twice with one Idempotency-Key, also at the
// same time, makes one thing. What is shown just once is not shown again.
func repeatsMakeOneThing(t *testing.T, s *suite) {
	ada := s.user(t)
	personal := ada.Do(t, http.MethodGet, "/organizations", nil).Text("data.0.id")
	made := ada.Do(t, http.MethodPost, "/organizations", object{"name": "Team"})
	require.Equal(t, http.StatusCreated, made.Status, made)
	organization := "/organizations/" + made.Text("data.id")
	program := ada.Do(t, http.MethodPost, organization+"/service-accounts", object{"name": "builder"})
	require.Equal(t, http.StatusCreated, program.Status, program)

	one := object{"steps": []any{step("a", s.tool(t, ada, "/mcp", 1), "echo", nil)}}
	many := func(by world.Client, list string) int {
		all, _ := by.Do(t, http.MethodGet, list, nil).At("data").([]any)
		return len(all)
	}
	for _, test := range []struct {
		path        string
		body, other object
		list, id    string
		shown       bool // again
		by          world.Client
	}{
		{"/tools", object{"name": "Twice", "gateway_url": s.tools.URL + "/mcp"}, object{"name": "Twice", "gateway_url": s.tools.URL + "/500"}, "/tools?status=Pending&owner=" + personal, "data.tool_id", true, ada},
		{"/auth/keys", object{"name": "twice"}, object{"name": "other"}, "/auth/keys", "data.id", false, ada},
		{"/organizations", object{"name": "Twice"}, object{"name": "Other"}, "/organizations", "data.id", true, ada},
		{organization + "/service-accounts", object{"name": "twice"}, object{"name": "other"}, organization + "/service-accounts", "data.accountId", true, ada},
		{organization + "/service-accounts/" + program.Text("data.accountId") + "/keys", object{"name": "twice"}, object{"name": "other"}, organization + "/service-accounts/" + program.Text("data.accountId") + "/keys", "data.id", false, ada},
		{organization + "/invitations", object{"email": "twice@example.com"}, object{"email": "other@example.com"}, organization + "/invitations", "data.id", false, ada},
		{"/workflows", object{"name": "twice", "workflow_definition": one}, object{"name": "other", "workflow_definition": one}, "/workflows", "data.workflow_id", true, ada},
		{"/schedules", object{"cron": "@yearly", "workflow_definition": one}, object{"cron": "@monthly", "workflow_definition": one}, "/schedules", "data.schedule_id", true, ada},
		{"/invitations", object{"email": email()}, object{"email": email()}, "/invitations", "data.id", false, s.admin()},
	} {
		before := many(test.by, test.list)
		once := test.by.With("Idempotency-Key", "k")
		answers := make([]world.Answer, 4)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i], _ = once.Try(t, http.MethodPost, test.path, test.body) })
		}
		all.Wait()
		firsts, ids := 0, map[string]bool{}
		for _, a := range answers {
			if a.Status == http.StatusCreated {
				firsts++
				ids[a.Text(test.id)] = true
			} else {
				require.Equal(t, http.StatusConflict, a.Status, "%s: %v", test.path, a)
				require.Equal(t, "ALREADY_MADE", a.Text("error.code"), test.path)
			}
		}
		require.Len(t, ids, 1, test.path)
		if test.shown {
			require.Equal(t, len(answers), firsts, test.path)
		} else {
			require.Equal(t, 1, firsts, test.path)
		}
		require.Equal(t, before+1, many(test.by, test.list), test.path)

		different := once.Do(t, http.MethodPost, test.path, test.other)
		require.Equal(t, http.StatusConflict, different.Status, "%s: %v", test.path, different)
		if test.path == "/workflows" { // of which two can't have the same name
			continue
		}
		again := test.by.With("Idempotency-Key", "l").Do(t, http.MethodPost, test.path, test.body)
		require.Equal(t, http.StatusCreated, again.Status, "%s: %v", test.path, again)
		require.NotContains(t, ids, again.Text(test.id), "with another key it is another one")
	}

	var last world.Answer
	for i := range 30 { // more than may be
		last = ada.With("Idempotency-Key", "many-"+strconv.Itoa(i)).Do(t, http.MethodPost, "/organizations", object{"name": "Many"})
	}
	require.Equal(t, http.StatusConflict, last.Status)
	require.Contains(t, last.Text("error.message"), "may own at most")
	require.Equal(t, http.StatusCreated, ada.With("Idempotency-Key", "many-0").Do(t, http.MethodPost, "/organizations", object{"name": "Many"}).Status, "what there is already is no one more")
}
