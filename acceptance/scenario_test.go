package acceptance

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

// TestSameAnswers runs the main scenario together and apart.
func TestSameAnswers(t *testing.T) {
	if os.Getenv("UAOL_TEST_URL") != "" {
		t.Skip("another UAOL is asked")
	}
	require.Equal(t, scenario(t, newSuite(t, world.Together)), scenario(t, newSuite(t, world.Apart)))
}

// scenario is what UAOL is for, from an account to a job's result and its
// price. It gives all answers without what differs from run to run.
func scenario(t *testing.T, s *suite) []string {
	var told []string
	ask := func(c world.Client, method, path string, body any, status int) world.Answer {
		t.Helper()
		answer := c.Do(t, method, path, body)
		require.Equal(t, status, answer.Status, answer)
		told = append(told, s.withoutChance(answer))
		return answer
	}
	registered := ask(s.nobody(), http.MethodPost, "/auth/register", object{"email": email()}, http.StatusCreated)
	require.Equal(t, "10000", registered.Text("data.user.credits"))
	alice := s.nobody().As(registered.Text("data.token"))

	tool := ask(alice, http.MethodPost, "/tools", object{"name": "Weather", "gateway_url": s.tools.URL + "/mcp", "credit_cost_per_call": 3}, http.StatusCreated)
	require.Equal(t, "Pending", tool.Text("data.status"))
	id := tool.Text("data.tool_id")

	// Nothing can be called before it was approved.
	hello := object{"method": "echo", "params": object{"text": "hello"}}
	refused(t, ask(alice, http.MethodPost, "/proxy/"+id+"/call", hello, http.StatusNotFound), http.StatusNotFound, "NOT_FOUND")
	faulty(t, ask(alice, http.MethodPost, "/jobs", workflow(step("a", id, "echo", nil)), http.StatusBadRequest), "body.workflow_definition.steps[0].tool_id")
	ask(alice, http.MethodPost, "/tools/"+id+"/approve", nil, http.StatusForbidden)
	ask(s.admin(), http.MethodPost, "/tools/"+id+"/approve", nil, http.StatusOK)
	require.Equal(t, "Approved", ask(s.nobody(), http.MethodGet, "/tools/"+id, nil, http.StatusOK).Text("data.status"))
	require.Equal(t, "Weather", ask(alice, http.MethodGet, "/tools/my/tools", nil, http.StatusOK).Text("data.0.name"))
	require.Equal(t, "echo", ask(alice, http.MethodGet, "/proxy/"+id+"/tools", nil, http.StatusOK).Text("data.0.name"))

	said := ask(alice, http.MethodPost, "/proxy/"+id+"/call", hello, http.StatusOK)
	require.Equal(t, "hello", said.Text("data.content.0.text"))
	require.Equal(t, "9997", ask(alice, http.MethodGet, "/credits/balance", nil, http.StatusOK).Text("data.credits"))

	job := ask(alice, http.MethodPost, "/jobs", workflow(
		step("both", id, "echo", object{"text": "{{one.result.content.0.text}} and {{two.result.content.0.text}}"}),
		step("one", id, "echo", object{"text": "sun"}),
		step("two", id, "echo", object{"text": "rain"}),
		step("whole", id, "echo", object{"text": "{{one.result}}"}),
	), http.StatusCreated)
	require.Equal(t, "Queued", job.Text("data.status"))
	done := ended(t, alice, job.Text("data.job_id"))
	told = append(told, s.withoutChance(done))
	require.Equal(t, "Success", done.Text("data.status"), done)
	require.Equal(t, "sun and rain", done.Text("data.final_output.both.content.0.text"))
	require.JSONEq(t, `{"content":[{"type":"text","text":"sun"}]}`, done.Text("data.final_output.whole.content.0.text"))
	require.Equal(t, done.Text("data.job_id"), ask(alice, http.MethodGet, "/jobs", nil, http.StatusOK).Text("data.0.job_id"))
	require.Equal(t, "Success", ask(alice, http.MethodGet, "/jobs/"+job.Text("data.job_id")+"/steps", nil, http.StatusOK).Text("data.0.status"))
	require.Equal(t, "9985", ask(alice, http.MethodGet, "/auth/me", nil, http.StatusOK).Text("data.credits"))
	ask(alice, http.MethodPost, "/jobs/"+job.Text("data.job_id")+"/cancel", nil, http.StatusOK)
	ask(alice, http.MethodDelete, "/tools/"+id, nil, http.StatusOK)
	world.Until(t, "every process knows that it can't be called any more", func() bool {
		for range 8 { // more than there are processes that may be asked
			if alice.Do(t, http.MethodPost, "/proxy/"+id+"/call", hello).Status != http.StatusNotFound {
				return false
			}
		}
		return true
	})
	ask(alice, http.MethodPost, "/proxy/"+id+"/call", hello, http.StatusNotFound)
	return told
}

var chance = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}` + // ids
	`|\d{4}-\d\d-\d\dT[\d:.]+Z` + // times
	`|eyJ[\w.-]+|uaol_\w+` + // tokens and keys
	`|[a-z0-9]{26}@` + // e-mail addresses
	`|"attempt":\d+`)

func (s *suite) withoutChance(answer world.Answer) string {
	text := strings.ReplaceAll(answer.String(), s.tools.URL, "(tools)")
	return chance.ReplaceAllString(text, "(differs)")
}
