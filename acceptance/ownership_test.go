package acceptance

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

func jobsAreTheirOwners(t *testing.T, s *suite) {
	alice, bob := s.user(t), s.user(t)
	tool := s.tool(t, alice, "/mcp", 1)
	job := alice.Do(t, http.MethodPost, "/jobs", workflow(step("a", tool, "echo", object{"text": "mine"})))
	require.Equal(t, http.StatusCreated, job.Status, job)
	path := "/jobs/" + job.Text("data.job_id")
	ended(t, alice, job.Text("data.job_id"))
	for name, other := range map[string]world.Client{"bob": bob, "a guest": s.nobody(), "a named guest": s.nobody().Guest(email())} {
		for _, r := range []struct{ method, path string }{
			{http.MethodGet, path}, {http.MethodGet, path + "/steps"}, {http.MethodPost, path + "/cancel"},
		} {
			answer := other.Do(t, r.method, r.path, nil)
			refused(t, answer, http.StatusForbidden, "AUTHORIZATION_ERROR", name, r)
			require.Equal(t, "Access denied", answer.Text("error.message"))
		}
		require.Empty(t, other.Do(t, http.MethodGet, "/jobs", nil).At("data"), name)
	}
	refused(t, alice.Do(t, http.MethodGet, "/jobs/00000000-0000-4000-8000-000000000000", nil), http.StatusNotFound, "NOT_FOUND")
}

func toolsAreTheirOwners(t *testing.T, s *suite) {
	alice, bob := s.user(t), s.user(t)
	tool := s.tool(t, alice, "/mcp", 1)
	path := "/tools/" + tool
	change := object{"name": "Bob's"}
	refused(t, bob.Do(t, http.MethodPut, path, change), http.StatusBadRequest, "VALIDATION_ERROR")
	refused(t, bob.Do(t, http.MethodDelete, path, nil), http.StatusBadRequest, "VALIDATION_ERROR")
	refused(t, s.nobody().Do(t, http.MethodPut, path, change), http.StatusUnauthorized, "AUTHENTICATION_ERROR")
	refused(t, s.nobody().Do(t, http.MethodDelete, path, nil), http.StatusUnauthorized, "AUTHENTICATION_ERROR")
	require.Equal(t, "a tool", s.nobody().Do(t, http.MethodGet, path, nil).Text("data.name"))

	// A new name needs no new approval; a new price does, and the old one goes on
	// until it has one.
	renamed := alice.Do(t, http.MethodPut, path, object{"name": "renamed"})
	require.Equal(t, "renamed", renamed.Text("data.name"), renamed)
	require.Equal(t, "Approved", renamed.Text("data.status"))
	dearer := alice.Do(t, http.MethodPut, path, object{"credit_cost_per_call": 5})
	require.Equal(t, "Approved", dearer.Text("data.status"), dearer)
	require.Equal(t, json.Number("1"), dearer.At("data.credit_cost_per_call"), dearer)
	require.Equal(t, json.Number("2"), dearer.At("data.pending_version"), dearer)
	before := credits(t, alice)
	require.Equal(t, http.StatusOK, call(t, alice, tool, "echo", object{"text": "x"}).Status)
	require.Equal(t, before-1, credits(t, alice))
	require.Equal(t, http.StatusOK, alice.Do(t, http.MethodDelete, path, nil).Status)
	require.Equal(t, "Disabled", s.nobody().Do(t, http.MethodGet, path, nil).Text("data.status"))
}

func onlyAdminsApprove(t *testing.T, s *suite) {
	alice := s.user(t)
	tool := s.tool(t, alice, "/mcp", 1)
	unknown := "00000000-0000-4000-8000-000000000000"
	for _, verb := range []string{"approve", "disable"} {
		refused(t, alice.Do(t, http.MethodPost, "/tools/"+tool+"/"+verb, nil), http.StatusForbidden, "AUTHORIZATION_ERROR", verb)
		refused(t, s.nobody().Do(t, http.MethodPost, "/tools/"+tool+"/"+verb, nil), http.StatusUnauthorized, "AUTHENTICATION_ERROR", verb)
		answer := s.admin().Do(t, http.MethodPost, "/tools/"+unknown+"/"+verb, nil)
		refused(t, answer, http.StatusNotFound, "NOT_FOUND", verb)
		require.Equal(t, "Tool not found", answer.Text("error.message"))
	}
	require.Equal(t, http.StatusOK, s.admin().Do(t, http.MethodPost, "/tools/"+tool+"/disable", nil).Status)
	refused(t, call(t, alice, tool, "echo", object{}), http.StatusNotFound, "NOT_FOUND")
}
