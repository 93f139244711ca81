package acceptance

import (
	"crypto/rand"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
	"uaol/providers/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestOneProcess(t *testing.T) {
	if url := os.Getenv("UAOL_TEST_URL"); url != "" {
		host := os.Getenv("UAOL_TEST_HOST")
		if host == "" {
			host = "127.0.0.1"
		}
		t.Cleanup(world.HTTP.CloseIdleConnections)
		w := &world.World{Gateway: url, AdminKey: os.Getenv("UAOL_TEST_ADMIN_KEY")}
		run(t, &suite{world: w, tools: world.StartTools(t, host), elsewhere: true})
		return
	}
	run(t, newSuite(t, world.Together))
}

func TestSevenProcesses(t *testing.T) {
	if os.Getenv("UAOL_TEST_URL") != "" {
		t.Skip("another UAOL is asked")
	}
	run(t, newSuite(t, world.Apart))
}

// TestADatabaseEach runs seven processes that have no database in common: the first
// thing to do when one server is too small for all.
func TestADatabaseEach(t *testing.T) {
	if os.Getenv("UAOL_TEST_URL") != "" {
		t.Skip("another UAOL is asked")
	}
	run(t, newSuite(t, world.Divided))
}

// TestTwoOfEach runs two processes of each service behind a balancer, with a Redis and
// a NATS.
func TestTwoOfEach(t *testing.T) {
	if os.Getenv("UAOL_TEST_URL") != "" {
		t.Skip("another UAOL is asked")
	}
	run(t, newSuite(t, world.InProduction))
}

type starter func(testing.TB, world.Settings) *world.World

func newSuite(t *testing.T, start starter) *suite {
	tools := world.StartTools(t, "127.0.0.1")
	return &suite{tools: tools, start: start, world: start(t, world.Settings{"TOOL_EGRESS_ALLOW": tools.Host()})}
}

// suite is a UAOL with the tools that it may call.
type suite struct {
	world     *world.World
	tools     *world.Tools
	start     starter // makes another UAOL of the same kind
	elsewhere bool    // not started here
}

func run(t *testing.T, s *suite) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"from account to result", func(t *testing.T, s *suite) { scenario(t, s) }},
		{"jobs are their owner's", jobsAreTheirOwners},
		{"tools are their owner's", toolsAreTheirOwners},
		{"only admins approve", onlyAdminsApprove},
		{"guests", guests},
		{"guests become users", guestsBecomeUsers},
		{"bad credentials", badCredentials},
		{"signing out", signingOut},
		{"passwords", passwords},
		{"deleting an account", deletion},
		{"programs are let in", programs},
		{"internal routes are closed", internalRoutesAreClosed},
		{"headers come once", headersComeOnce},
		{"malformed input", malformedInput},
		{"unknown routes", unknownRoutes},
		{"workflows are checked", workflowsAreChecked},
		{"addresses are checked", addressesAreChecked},
		{"prices", prices},
		{"too few credits", tooFewCredits},
		{"failures cost nothing", failuresCostNothing},
		{"failed jobs refund", failedJobsRefund},
		{"jobs come to their end", jobsComeToTheirEnd},
		{"repeats make one thing", repeatsMakeOneThing},
		{"calls never overdraw", callsNeverOverdraw},
		{"jobs never overdraw", jobsNeverOverdraw},
		{"receipts can be checked", receiptsCanBeChecked},
		{"credits are the admins", creditsAreTheAdmins},
		{"the console is served", consoleIsServed},
		{"rate limit", rateLimit},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

func (s *suite) nobody() world.Client { return world.New(s.world.Gateway) }

func (s *suite) admin() world.Client { return s.nobody().As(s.world.AdminKey) }

func email() string { return strings.ToLower(rand.Text()) + "@example.com" }

// user makes an account and gives its client.
func (s *suite) user(t *testing.T) world.Client {
	t.Helper()
	answer := s.nobody().Do(t, http.MethodPost, "/auth/register", object{"email": email()})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	return s.nobody().As(answer.Text("data.token"))
}

type object map[string]any

// tool registers a tool on a path of the tool server, approves it and gives its id.
func (s *suite) tool(t *testing.T, owner world.Client, path string, price int) string {
	t.Helper()
	answer := owner.Do(t, http.MethodPost, "/tools", object{"name": "a tool", "gateway_url": s.tools.URL + path, "credit_cost_per_call": price})
	require.Equal(t, http.StatusCreated, answer.Status, answer)
	id := answer.Text("data.tool_id")
	answer = s.admin().Do(t, http.MethodPost, "/tools/"+id+"/approve", object{"unpinned": path != "/mcp"}) // others can't be asked what they offer
	require.Equal(t, http.StatusOK, answer.Status, answer)
	return id
}

func credits(t *testing.T, c world.Client) int {
	t.Helper()
	answer := c.Do(t, http.MethodGet, "/credits/balance", nil)
	n, err := strconv.Atoi(answer.Text("data.credits"))
	require.NoError(t, err, answer)
	return n
}

func call(t testing.TB, c world.Client, tool, method string, params any) world.Answer {
	t.Helper()
	return c.Do(t, http.MethodPost, "/proxy/"+tool+"/call", object{"method": method, "params": params})
}

func step(id, tool, action string, parameters object) object {
	return object{"id": id, "tool_id": tool, "action": action, "parameters": parameters}
}

func workflow(steps ...object) object { return object{"workflow_definition": object{"steps": steps}} }

// ended waits for a job's end.
func ended(t *testing.T, c world.Client, id string) (job world.Answer) {
	t.Helper()
	world.Until(t, "job "+id+" has ended", func() bool {
		job = c.Do(t, http.MethodGet, "/jobs/"+id, nil)
		return job.At("data.end_time") != nil
	})
	return job
}

// refused checks an error's status, code and form.
func refused(t *testing.T, answer world.Answer, status int, code string, about ...any) {
	t.Helper()
	require.Equal(t, status, answer.Status, "%v: %v", about, answer)
	require.Equal(t, code, answer.Text("error.code"), "%v: %v", about, answer)
	require.Equal(t, false, answer.At("success"), "%v: %v", about, answer)
	require.NotEmpty(t, answer.Text("error.message"), "%v: %v", about, answer)
	require.Contains(t, answer.Header.Get("Content-Type"), "application/json", about...)
}

// faulty checks that input was refused, naming just these paths.
func faulty(t *testing.T, answer world.Answer, paths ...string) {
	t.Helper()
	refused(t, answer, http.StatusBadRequest, "VALIDATION_ERROR", paths)
	var named []string
	faults, _ := answer.At("error.details").([]any)
	for i := range faults {
		named = append(named, answer.Text("error.details."+strconv.Itoa(i)+".path"))
		require.NotEmpty(t, answer.Text("error.details."+strconv.Itoa(i)+".message"))
	}
	require.ElementsMatch(t, paths, named, answer)
}
