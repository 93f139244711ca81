package acceptance

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// consoleIsServed by the gateway wherever the other services run: somebody signs in, stores
// a file, runs a workflow and sees both, and what they were charged. What pages look like
// and do in a browser is tested in package pages.
func consoleIsServed(t *testing.T, s *suite) {
	alice := s.user(t)
	tool := s.tool(t, alice, "/mcp", 10)
	key := alice.Do(t, http.MethodPost, "/auth/keys", object{"name": "console"}).Text("data.apiKey")
	organization := alice.Do(t, http.MethodGet, "/organizations", nil).Text("data.0.id")
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Timeout: time.Minute}
	t.Cleanup(browser.CloseIdleConnections)
	seen := func(answer *http.Response, err error) (at, text string) {
		t.Helper()
		require.NoError(t, err)
		defer answer.Body.Close()
		page, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode, "%s: %s", answer.Request.URL, page)
		return answer.Request.URL.Path, string(page)
	}
	base := s.world.Gateway + "/console"

	at, text := seen(browser.PostForm(base+"/sign-in", url.Values{"key": {key}}))
	require.Equal(t, "/console", at)
	require.Contains(t, text, "10,000 credits")

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "note.txt")
	require.NoError(t, err)
	_, err = io.WriteString(file, strings.Repeat("The sky is blue. ", 100_000))
	require.NoError(t, err)
	require.NoError(t, form.Close())
	_, text = seen(browser.Post(base+"/files?once=k&for="+organization, form.FormDataContentType(), &body))
	require.Contains(t, text, "note.txt")
	require.Equal(t, "note.txt", alice.Do(t, http.MethodGet, "/storage/files", nil).Text("data.0.filename"))

	definition := `{"steps":[{"id":"a","tool_id":"` + tool + `","action":"echo","parameters":{"text":"x"}}]}`
	at, _ = seen(browser.PostForm(base+"/workflows/run", url.Values{"for": {organization}, "once": {"k"}, "definition": {definition}}))
	job := strings.TrimPrefix(at, "/console/jobs/")
	require.Equal(t, "Success", ended(t, alice, job).Text("data.status"))
	_, text = seen(browser.Get(base + "/jobs/" + job))
	require.Contains(t, text, "Success")
	_, text = seen(browser.Get(base))
	require.Contains(t, text, "9,990 credits")
}
