package acceptance

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// deletion: people take their data with them, and nothing of them is left to be
// seen, whichever process keeps it.
func deletion(t *testing.T, s *suite) {
	address := email()
	made := s.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": address, "password": "correct horse"})
	require.Equal(t, http.StatusCreated, made.Status, made)
	alice := s.nobody().As(made.Text("data.token"))
	tool := s.tool(t, alice, "/mcp", 1)
	job := alice.Do(t, http.MethodPost, "/jobs", workflow(step("a", tool, "echo", object{"text": "mine"})))
	require.Equal(t, http.StatusCreated, job.Status, job)
	id := job.Text("data.job_id")
	ended(t, alice, id)
	file := alice.Do(t, http.MethodPost, "/storage/upload", object{"filename": "mine.txt", "data": "bWluZQ=="})
	require.Equal(t, http.StatusOK, file.Status, file)

	export := alice.Do(t, http.MethodGet, "/users/export", nil)
	require.Equal(t, http.StatusOK, export.Status, export)
	require.Equal(t, address, export.Text("account.email"))
	require.Equal(t, tool, export.Text("tools.0.tool_id"))
	require.Equal(t, id, export.Text("jobs.0.job_id"))
	require.Equal(t, "Success", export.Text("jobs.0.steps.0.status"))
	require.Equal(t, "mine.txt", export.Text("files.0.filename"))
	require.NotNil(t, export.At("creditEntries.0"))

	refused(t, alice.Do(t, http.MethodDelete, "/users/account", object{"password": "wrong horse"}), http.StatusBadRequest, "VALIDATION_ERROR")
	answer := alice.Do(t, http.MethodDelete, "/users/account", object{"password": "correct horse"})
	require.Equal(t, http.StatusOK, answer.Status, answer)
	world.Until(t, "her token counts no more", func() bool {
		return alice.Do(t, http.MethodGet, "/auth/me", nil).Status == http.StatusUnauthorized
	})
	refused(t, s.nobody().Do(t, http.MethodPost, "/auth/login", object{"email": address, "password": "correct horse"}), http.StatusUnauthorized, "AUTHENTICATION_ERROR")
	world.Until(t, "her tool is nobody's", func() bool {
		answer := s.nobody().Do(t, http.MethodGet, "/tools/"+tool, nil)
		return answer.Text("data.status") == "Disabled" && answer.Text("data.name") == "Erased tool"
	})
	world.Until(t, "her job is gone", func() bool {
		return s.admin().Do(t, http.MethodGet, "/jobs/"+id, nil).Status == http.StatusNotFound
	})
}
