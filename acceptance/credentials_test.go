package acceptance

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

func guests(t *testing.T, s *suite) {
	tool := s.tool(t, s.user(t), "/mcp", 1)
	made := s.nobody().Do(t, http.MethodPost, "/jobs", workflow(step("a", tool, "echo", object{"text": "x"})))
	require.Equal(t, http.StatusCreated, made.Status, made)
	session := made.Header.Get("X-Guest-Id")
	require.NotEmpty(t, session)

	guest := s.nobody().Guest(session)
	listed := guest.Do(t, http.MethodGet, "/jobs", nil)
	require.Equal(t, made.Text("data.job_id"), listed.Text("data.0.job_id"), "the new session made the job")
	require.Equal(t, session, listed.Header.Get("X-Guest-Id"))
	require.Equal(t, "Success", ended(t, guest, made.Text("data.job_id")).Text("data.status"))

	chosen := "guest-" + email()
	require.Equal(t, chosen, s.nobody().Guest(chosen).Do(t, http.MethodGet, "/jobs", nil).Header.Get("X-Guest-Id"))
	require.NotEqual(t, session, s.nobody().Do(t, http.MethodGet, "/jobs", nil).Header.Get("X-Guest-Id"))
	require.Empty(t, s.user(t).Do(t, http.MethodGet, "/jobs", nil).Header.Get("X-Guest-Id"), "a user is no guest")

	// What is for users is not for guests, named or not.
	for _, r := range userRoutes {
		refused(t, s.nobody().Do(t, r.method, r.path, r.body), http.StatusUnauthorized, "AUTHENTICATION_ERROR", r)
		refused(t, guest.Do(t, r.method, r.path, r.body), http.StatusUnauthorized, "AUTHENTICATION_ERROR", r)
	}
}

func guestsBecomeUsers(t *testing.T, s *suite) {
	tool := s.tool(t, s.user(t), "/mcp", 1)
	guest := s.nobody().Guest("guest-" + email())
	job := guest.Do(t, http.MethodPost, "/jobs", workflow(step("a", tool, "echo", object{"text": "x"})))
	require.Equal(t, http.StatusCreated, job.Status, job)
	answer := guest.Do(t, http.MethodPost, "/auth/register", object{"email": email()})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	user := s.nobody().As(answer.Text("data.token"))
	require.Equal(t, job.Text("data.user_id"), answer.Text("data.user.id"))
	require.Equal(t, job.Text("data.job_id"), user.Do(t, http.MethodGet, "/jobs", nil).Text("data.0.job_id"))
}

type route struct {
	method, path string
	body         any
}

const someID = "00000000-0000-4000-8000-000000000000"

var userRoutes = []route{
	{http.MethodGet, "/auth/me", nil},
	{http.MethodPost, "/auth/logout", nil},
	{http.MethodGet, "/tools/my/tools", nil},
	{http.MethodPost, "/tools", object{}},
	{http.MethodPut, "/tools/" + someID, object{}},
	{http.MethodDelete, "/tools/" + someID, nil},
	{http.MethodPost, "/proxy/" + someID + "/call", object{}},
	{http.MethodGet, "/proxy/" + someID + "/tools", nil},
	{http.MethodGet, "/credits/balance", nil},
	{http.MethodGet, "/billing/subscription", nil},
	{http.MethodGet, "/storage/files", nil},
	{http.MethodPost, "/storage/upload", object{}},
}

var openRoutes = []route{
	{http.MethodGet, "/tools", nil},
	{http.MethodGet, "/tools/" + someID, nil},
	{http.MethodPost, "/auth/register", object{"email": "somebody@example.com"}},
	{http.MethodPost, "/auth/login", object{}},
	{http.MethodGet, "/jobs", nil},
	{http.MethodPost, "/jobs", object{}},
	{http.MethodGet, "/jobs/" + someID, nil},
	{http.MethodPost, "/jobs/" + someID + "/cancel", nil},
}

// badCredentials are refused on every route, whoever it is for: nobody becomes
// a guest without noticing.
func badCredentials(t *testing.T, s *suite) {
	const forged = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
	bad := map[string]world.Client{
		"forged":      s.nobody().As(forged),
		"no JWT":      s.nobody().As("abc"),
		"unknown key": s.nobody().As("uaol_00000000000000000000000000"),
		"basic":       s.nobody().With("Authorization", "Basic YTpi"),
		"no scheme":   s.nobody().With("Authorization", forged),
		"empty":       s.nobody().With("Authorization", "Bearer "),
		"bad API key": s.nobody().With("X-API-Key", "uaol_00000000000000000000000000"),
		"with guest":  s.nobody().As(forged).Guest("guest-1"),
	}
	for name, client := range bad {
		for _, routes := range [][]route{userRoutes, openRoutes} {
			for _, r := range routes {
				answer := client.Do(t, r.method, r.path, r.body)
				refused(t, answer, http.StatusUnauthorized, "AUTHENTICATION_ERROR", name, r)
				require.Empty(t, answer.Header.Get("X-Guest-Id"))
			}
		}
	}
}

func signingOut(t *testing.T, s *suite) {
	answer := s.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": email()})
	key := answer.Text("data.user.apiKey")
	user := s.nobody().As(answer.Text("data.token"))
	require.Equal(t, http.StatusOK, user.Do(t, http.MethodPost, "/auth/logout", nil).Status)
	// Other processes may know the token for a moment longer.
	world.Until(t, "the token is useless", func() bool {
		return user.Do(t, http.MethodGet, "/auth/me", nil).Status == http.StatusUnauthorized
	})
	for _, client := range []world.Client{s.nobody().As(key), s.nobody().With("X-API-Key", key)} {
		require.Equal(t, http.StatusOK, client.Do(t, http.MethodGet, "/auth/me", nil).Status, "the key still counts")
	}
	again := s.nobody().Do(t, http.MethodPost, "/auth/login", object{"apiKey": key})
	require.Equal(t, http.StatusOK, s.nobody().As(again.Text("data.token")).Do(t, http.MethodGet, "/auth/me", nil).Status, again)
}

func passwords(t *testing.T, s *suite) {
	address, password := email(), "correct horse battery"
	answer := s.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": address, "password": password})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	right := s.nobody().Do(t, http.MethodPost, "/auth/login", object{"email": address, "password": password})
	require.Equal(t, http.StatusOK, right.Status, right)
	for _, wrong := range []object{
		{"email": address}, {"email": address, "password": ""}, {"email": address, "password": "wrong"}, {"email": email(), "password": password},
	} {
		refused(t, s.nobody().Do(t, http.MethodPost, "/auth/login", wrong), http.StatusUnauthorized, "AUTHENTICATION_ERROR", wrong)
	}
	taken := s.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": address})
	refused(t, taken, http.StatusBadRequest, "VALIDATION_ERROR")
	require.Equal(t, "User with this email already exists", taken.Text("error.message"))
	faulty(t, s.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": email(), "password": "short"}), "body.password")
}

func internalRoutesAreClosed(t *testing.T, s *suite) {
	for _, path := range []string{"/internal/billing/hold", "/internal/auth/verify", "/internal/jobs/events?after=0", "/internal/proxy/call"} {
		for _, client := range []world.Client{s.nobody(), s.user(t), s.admin()} {
			answer := client.Do(t, http.MethodPost, path, object{})
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusNotFound}, answer.Status, answer)
			require.Equal(t, false, answer.At("success"), answer)
		}
	}
}

// headersComeOnce also where the gateway passes on what another process answers.
func headersComeOnce(t *testing.T, s *suite) {
	client := s.nobody().With("Origin", "https://app.example.com").With("X-Request-Id", "a-request.1")
	for _, path := range []string{"/jobs", "/tools", "/jobs/nope", "/nope"} {
		answer := client.Do(t, http.MethodGet, path, nil)
		require.Equal(t, []string{"a-request.1"}, answer.Header.Values("X-Request-Id"), path)
		require.Len(t, answer.Header.Values("Access-Control-Allow-Origin"), 1, path)
		require.Len(t, answer.Header.Values("Access-Control-Expose-Headers"), 1, path)
		require.LessOrEqual(t, len(answer.Header.Values("Content-Type")), 1, path)
	}
	require.Len(t, client.Do(t, http.MethodGet, "/jobs", nil).Header.Values("X-Guest-Id"), 1)
	require.NotEmpty(t, s.nobody().Do(t, http.MethodGet, "/tools", nil).Header.Get("X-Request-Id"))

	preflight := client.With("Access-Control-Request-Method", "PUT").With("Access-Control-Request-Headers", "authorization,content-type,x-guest-id,x-api-key").
		Do(t, http.MethodOptions, "/tools/"+someID, nil)
	require.Equal(t, http.StatusNoContent, preflight.Status, preflight)
	require.Len(t, preflight.Header.Values("Access-Control-Allow-Origin"), 1)
	require.NotEmpty(t, preflight.Header.Get("Access-Control-Allow-Headers"))
}
