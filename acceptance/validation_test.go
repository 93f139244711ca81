package acceptance

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

func malformedInput(t *testing.T, s *suite) {
	alice := s.user(t)
	tool := s.tool(t, alice, "/mcp", 1)
	for _, path := range []string{"/auth/register", "/auth/login", "/tools", "/jobs", "/proxy/" + tool + "/call", "/storage/upload"} {
		for _, text := range []string{`{"a":`, `{bad`, `nope`} {
			answer := alice.Do(t, http.MethodPost, path, world.Raw(text))
			faulty(t, answer, "body")
			require.Contains(t, answer.Text("error.message"), "malformed JSON", path)
		}
		for _, text := range []string{`[]`, `"text"`, `7`, `null`} {
			refused(t, alice.Do(t, http.MethodPost, path, world.Raw(text)), http.StatusBadRequest, "VALIDATION_ERROR", path, text)
		}
		large := `{"a":"` + strings.Repeat("x", 16<<20) + `"}`
		refused(t, alice.Do(t, http.MethodPost, path, world.Raw(large)), http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", path)
		form := alice.With("Content-Type", "application/x-www-form-urlencoded").Do(t, http.MethodPost, path, world.Raw("name=x"))
		refused(t, form, http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", path)
	}
	// An empty body counts as {}.
	for path, message := range map[string]string{
		"/auth/register": "Email is required", "/tools": "Name and gateway_url are required", "/proxy/" + tool + "/call": "Method is required",
		"/jobs": "workflow_definition with steps is required", "/storage/upload": "Filename and data are required",
	} {
		for _, body := range []any{nil, object{}, world.Raw("")} {
			answer := alice.Do(t, http.MethodPost, path, body)
			refused(t, answer, http.StatusBadRequest, "VALIDATION_ERROR", path)
			require.Equal(t, message, answer.Text("error.message"), path)
		}
	}
	for _, r := range []route{
		{http.MethodGet, "/tools/nope", nil}, {http.MethodPut, "/tools/nope", object{}}, {http.MethodDelete, "/tools/1", nil},
		{http.MethodPost, "/proxy/nope/call", object{"method": "x"}}, {http.MethodGet, "/proxy/nope/tools", nil},
	} {
		faulty(t, alice.Do(t, r.method, r.path, r.body), "path.toolId")
	}
	faulty(t, s.admin().Do(t, http.MethodPost, "/tools/nope/approve", nil), "path.toolId")
	faulty(t, alice.Do(t, http.MethodGet, "/jobs/nope", nil), "path.jobId")
	faulty(t, alice.Do(t, http.MethodPost, "/jobs/nope/cancel", nil), "path.jobId")
	faulty(t, alice.Do(t, http.MethodGet, "/storage/files/file_1", nil), "path.fileId")
	for _, path := range []string{"/jobs", "/tools", "/tools/my/tools", "/storage/files"} {
		for _, limit := range []string{"abc", "0", "-1", "201", "1.5", "99999999999999999999"} {
			faulty(t, alice.Do(t, http.MethodGet, path+"?limit="+limit, nil), "query.limit")
		}
		faulty(t, alice.Do(t, http.MethodGet, path+"?cursor=nope", nil), "query.cursor")
		require.Equal(t, http.StatusOK, alice.Do(t, http.MethodGet, path+"?limit=2&unknown=1", nil).Status)
	}
	// The messages of the contract are for what is missing, others say what is wrong.
	long := alice.Do(t, http.MethodPost, "/tools", object{"name": strings.Repeat("x", 101), "gateway_url": s.tools.URL})
	faulty(t, long, "body.name")
	require.NotContains(t, long.Text("error.message"), "required")
	faulty(t, alice.Do(t, http.MethodPost, "/tools", object{"name": 5, "gateway_url": 6, "protocol": "soap"}), "body.name", "body.gateway_url", "body.protocol")
}

func unknownRoutes(t *testing.T, s *suite) {
	for _, r := range []route{
		{http.MethodGet, "/nope", nil}, {http.MethodPost, "/nope", object{}}, {http.MethodGet, "/auth/nope", nil},
		{http.MethodGet, "/jobs/a/b/c", nil}, {http.MethodGet, "/tools/", nil}, {http.MethodGet, "/%2e%2e/etc/passwd", nil},
	} {
		refused(t, s.nobody().Do(t, r.method, r.path, r.body), http.StatusNotFound, "NOT_FOUND", r)
	}
	for _, r := range []route{
		{http.MethodDelete, "/health", nil}, {http.MethodDelete, "/jobs", nil}, {http.MethodPatch, "/tools", object{}}, {http.MethodGet, "/auth/register", nil},
	} {
		refused(t, s.nobody().Do(t, r.method, r.path, r.body), http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", r)
	}
}

func workflowsAreChecked(t *testing.T, s *suite) {
	alice := s.user(t)
	tool := s.tool(t, alice, "/mcp", 1)
	const at = "body.workflow_definition"
	steps := func(value any) world.Answer {
		return alice.Do(t, http.MethodPost, "/jobs", object{"workflow_definition": object{"steps": value}})
	}
	for _, none := range []any{"abc", []any{}, nil, 7, object{}} {
		answer := steps(none)
		faulty(t, answer, at+".steps")
		require.Equal(t, "workflow_definition with steps is required", answer.Text("error.message"))
	}
	good := step("a", tool, "echo", object{"text": "x"})
	needs := func(s object, ids ...any) object { s["depends_on"] = ids; return s }
	for name, test := range map[string]struct {
		steps []any
		paths []string
	}{
		"unknown tool":   {[]any{good, step("b", someID, "echo", nil)}, []string{".steps[1].tool_id"}},
		"no UUID":        {[]any{step("b", "nope", "echo", nil)}, []string{".steps[0].tool_id"}},
		"duplicate id":   {[]any{good, good}, []string{".steps[1].id"}},
		"bad id":         {[]any{step("a b", tool, "echo", nil), step("input", tool, "echo", nil)}, []string{".steps[0].id", ".steps[1].id"}},
		"cycle":          {[]any{needs(step("a", tool, "echo", nil), "b"), needs(step("b", tool, "echo", nil), "a")}, []string{".steps"}},
		"own reference":  {[]any{step("a", tool, "echo", object{"text": "{{a.result}}"})}, []string{".steps"}},
		"unknown step":   {[]any{needs(step("a", tool, "echo", nil), "x")}, []string{".steps[0].depends_on[0]"}},
		"unknown result": {[]any{step("a", tool, "echo", object{"text": []any{"{{x.result}}"}})}, []string{".steps[0].parameters.text[0]"}},
		"several":        {[]any{object{}, 5}, nil},
		"all of a step": {[]any{object{"id": 1, "tool_id": 2, "action": 3, "parameters": 4, "depends_on": 5}},
			[]string{".steps[0].id", ".steps[0].tool_id", ".steps[0].action", ".steps[0].parameters", ".steps[0].depends_on"}},
	} {
		answer := steps(test.steps)
		if test.paths == nil {
			refused(t, answer, http.StatusBadRequest, "VALIDATION_ERROR", name)
			continue
		}
		var paths []string
		for _, path := range test.paths {
			paths = append(paths, at+path)
		}
		faulty(t, answer, paths...)
	}
	require.Equal(t, 10_000, credits(t, alice), "nothing was held")
	require.Empty(t, alice.Do(t, http.MethodGet, "/jobs", nil).At("data"))
}

func addressesAreChecked(t *testing.T, s *suite) {
	alice := s.user(t)
	register := func(url string) world.Answer {
		return alice.Do(t, http.MethodPost, "/tools", object{"name": "x", "gateway_url": url})
	}
	private := []string{"http://169.254.169.254/", "http://10.0.0.1/", "http://[::ffff:169.254.169.254]/", "http://[fd00::1]/", "http://0.0.0.0/"}
	if !s.elsewhere { // there the loopback may be open
		private = append(private, "http://127.0.0.1:22/", "http://[::1]:5432/", "http://localhost:22/", s.world.Gateway)
	}
	for _, url := range private {
		answer := register(url)
		faulty(t, answer, "body.gateway_url")
		require.Contains(t, answer.Text("error.message"), "TOOL_EGRESS_ALLOW", url)
	}
	for _, url := range []string{"not a url", "ftp://example.com/", "file:///etc/passwd", "http://", "//example.com", "http://user:secret@example.com/", "javascript:alert(1)"} {
		answer := register(url)
		faulty(t, answer, "body.gateway_url")
		require.NotContains(t, answer.Text("error.message"), "secret")
	}
}
