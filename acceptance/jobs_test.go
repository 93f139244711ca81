package acceptance

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// jobsComeToTheirEnd, and don't wait for each other: the original marked failed ones
// Retrying and never ran them again, cancelled nothing, and ran one after the other.
// That what runs survives its process is shown by uaol prove.
func jobsComeToTheirEnd(t *testing.T, s *suite) {
	alice := s.user(t)
	tool := s.tool(t, alice, "/mcp", 10)
	create := func(steps ...object) string {
		job := alice.Do(t, http.MethodPost, "/jobs", workflow(steps...))
		require.Equal(t, http.StatusCreated, job.Status, job)
		return job.Text("data.job_id")
	}
	asleep := create(object{"id": "sleep", "kind": "sleep", "duration": "10h"}, object{"id": "late", "tool_id": tool, "action": "echo", "depends_on": []any{"sleep"}})
	require.Equal(t, 9_990, credits(t, alice), "held")

	backwards := create(object{"id": "b", "tool_id": tool, "action": "echo", "parameters": object{"text": "{{a.result}}"}}, step("a", tool, "echo", object{"text": "x"}))
	done := ended(t, alice, backwards)
	require.Equal(t, "Success", done.Text("data.status"), "a step may depend on one that is written later; another job goes on meanwhile: %v", done)
	require.Equal(t, 9_970, credits(t, alice))

	failing := create(step("a", tool, "fails", nil))
	for range 2 {
		done = ended(t, alice, failing)
		require.Equal(t, "Failed", done.Text("data.status"))
		require.NotEmpty(t, done.Text("data.error_message"))
		again := alice.Do(t, http.MethodPost, "/jobs/"+failing+"/retry", nil)
		require.Equal(t, http.StatusOK, again.Status, again)
	}
	require.Equal(t, "Failed", ended(t, alice, failing).Text("data.status"))

	require.Nil(t, alice.Do(t, http.MethodGet, "/jobs/"+asleep, nil).At("data.end_time"))
	require.Equal(t, http.StatusOK, alice.Do(t, http.MethodPost, "/jobs/"+asleep+"/cancel", nil).Status)
	require.Equal(t, "Cancelled", ended(t, alice, asleep).Text("data.status"))
	require.Equal(t, 9_980, credits(t, alice), "what was held is given back")
}
