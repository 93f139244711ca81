package acceptance

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/world"
)

func prices(t *testing.T, s *suite) {
	alice := s.user(t)
	for _, price := range []any{-5, -1, 1.5, 1_000_000_001, 1e30, "abc", "5", true, []any{}} {
		answer := alice.Do(t, http.MethodPost, "/tools", object{"name": "x", "gateway_url": s.tools.URL, "credit_cost_per_call": price})
		faulty(t, answer, "body.credit_cost_per_call")
	}
	usual := alice.Do(t, http.MethodPost, "/tools", object{"name": "x", "gateway_url": s.tools.URL})
	require.Equal(t, "1", fmt.Sprint(usual.At("data.credit_cost_per_call")), usual)
	free := s.tool(t, alice, "/mcp", 0)
	require.Equal(t, "0", fmt.Sprint(alice.Do(t, http.MethodGet, "/tools/"+free, nil).At("data.credit_cost_per_call")))
	require.Equal(t, http.StatusOK, call(t, alice, free, "echo", object{"text": "x"}).Status)
	job := alice.Do(t, http.MethodPost, "/jobs", workflow(step("a", free, "echo", object{"text": "x"})))
	require.Equal(t, "Success", ended(t, alice, job.Text("data.job_id")).Text("data.status"))
	require.Equal(t, 10_000, credits(t, alice))
}

func tooFewCredits(t *testing.T, s *suite) {
	alice := s.user(t)
	dear, fair := s.tool(t, alice, "/mcp", 10_001), s.tool(t, alice, "/mcp", 3_000)
	before := s.tools.Calls.Load()
	answer := call(t, alice, dear, "echo", object{"text": "x"})
	refused(t, answer, http.StatusPaymentRequired, "INSUFFICIENT_CREDITS")
	require.Equal(t, "Insufficient credits. Required: 10001, Available: 10000", answer.Text("error.message"))
	var steps []object
	for i := range 4 {
		steps = append(steps, step(fmt.Sprint(i), fair, "echo", object{"text": "x"}))
	}
	answer = alice.Do(t, http.MethodPost, "/jobs", workflow(steps...))
	refused(t, answer, http.StatusPaymentRequired, "INSUFFICIENT_CREDITS")
	require.Equal(t, "Insufficient credits. Required: 12000, Available: 10000", answer.Text("error.message"))
	require.Equal(t, before, s.tools.Calls.Load(), "no tool was called")
	require.Equal(t, 10_000, credits(t, alice))
}

func failuresCostNothing(t *testing.T, s *suite) {
	alice := s.user(t)
	tool, broken := s.tool(t, alice, "/mcp", 10), s.tool(t, alice, "/500", 10)

	failed := call(t, alice, tool, "fails", object{})
	require.Equal(t, http.StatusOK, failed.Status, failed)
	require.Equal(t, true, failed.At("data.isError"))
	refused(t, call(t, alice, tool, "no such method", object{}), http.StatusNotFound, "NOT_FOUND")
	answer := call(t, alice, broken, "echo", object{})
	refused(t, answer, http.StatusBadGateway, "UPSTREAM_ERROR")
	require.Equal(t, "500", fmt.Sprint(answer.At("error.details.upstreamStatus")), answer)
	refused(t, call(t, alice, tool, "echo", []any{1}), http.StatusBadRequest, "VALIDATION_ERROR")
	require.Equal(t, 10_000, credits(t, alice))

	require.Equal(t, http.StatusOK, call(t, alice, tool, "echo", object{"text": "x"}).Status)
	require.Equal(t, 9_990, credits(t, alice), "success does cost")
}

// failedJobsRefund: a failed job pays only for the steps that succeeded.
func failedJobsRefund(t *testing.T, s *suite) {
	alice := s.user(t)
	tool := s.tool(t, alice, "/mcp", 10)
	job := alice.Do(t, http.MethodPost, "/jobs", workflow(
		step("good", tool, "echo", object{"text": "x"}),
		step("bad", tool, "fails", object{"after": "{{good.result}}"}),
		step("never", tool, "echo", object{"text": "{{bad.result}}"}),
	))
	require.Equal(t, http.StatusCreated, job.Status, job)
	done := ended(t, alice, job.Text("data.job_id"))
	require.Equal(t, "Failed", done.Text("data.status"))
	require.Contains(t, done.Text("data.error_message"), "no such city")
	require.Nil(t, done.At("data.final_output"))
	require.Equal(t, 9_990, credits(t, alice))
}

// atOnce sends the same request many times at the same time and counts statuses.
func atOnce(t *testing.T, n int, c world.Client, path string, body any) (counts map[int]int, answers []world.Answer) {
	t.Helper()
	answers = make([]world.Answer, n)
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { answers[i], errs[i] = c.Try(t, http.MethodPost, path, body) })
	}
	group.Wait()
	counts = map[int]int{}
	for i, answer := range answers {
		require.NoError(t, errs[i])
		counts[answer.Status]++
	}
	return counts, answers
}

func callsNeverOverdraw(t *testing.T, s *suite) {
	alice := s.user(t)
	tool := s.tool(t, alice, "/mcp", 3_000)
	counts, answers := atOnce(t, 20, alice, "/proxy/"+tool+"/call", object{"method": "echo", "params": object{"text": "x"}})
	require.Equal(t, map[int]int{http.StatusOK: 3, http.StatusPaymentRequired: 17}, counts)
	saysTooFew(t, answers)
	require.Equal(t, 1_000, credits(t, alice))
}

// jobsNeverOverdraw with a guest, who has 1,000 credits and was not there before.
func jobsNeverOverdraw(t *testing.T, s *suite) {
	tool := s.tool(t, s.user(t), "/mcp", 300)
	guest := s.nobody().Guest("guest-" + email())
	body := workflow(step("a", tool, "echo", object{"text": "x"}))
	counts, answers := atOnce(t, 20, guest, "/jobs", body)
	require.Equal(t, map[int]int{http.StatusCreated: 3, http.StatusPaymentRequired: 17}, counts)
	saysTooFew(t, answers)
	for _, answer := range answers {
		if answer.Status == http.StatusCreated {
			require.Equal(t, "Success", ended(t, guest, answer.Text("data.job_id")).Text("data.status"))
		}
	}
	require.Equal(t, "Insufficient credits. Required: 300, Available: 100", guest.Do(t, http.MethodPost, "/jobs", body).Text("error.message"))
}

// saysTooFew checks that no refusal claims that there was enough.
func saysTooFew(t *testing.T, answers []world.Answer) {
	t.Helper()
	for _, answer := range answers {
		if answer.Status != http.StatusPaymentRequired {
			continue
		}
		var required, available int
		_, err := fmt.Sscanf(answer.Text("error.message"), "Insufficient credits. Required: %d, Available: %d", &required, &available)
		require.NoError(t, err, answer)
		require.Less(t, available, required, answer)
	}
}

func rateLimit(t *testing.T, s *suite) {
	if s.elsewhere {
		t.Skip("its limit is not known")
	}
	limited := &suite{tools: s.tools, world: s.start(t, world.Settings{"RATE_LIMIT_PER_MINUTE": "10"})}
	alice, bob := limited.user(t), limited.user(t)
	answer := alice.Do(t, http.MethodGet, "/auth/me", nil)
	for range 50 {
		if answer.Status != http.StatusOK {
			break
		}
		answer = alice.Do(t, http.MethodGet, "/auth/me", nil)
	}
	refused(t, answer, http.StatusTooManyRequests, "RATE_LIMIT_ERROR")
	require.Equal(t, "Rate limit exceeded. Maximum 10 requests per minute.", answer.Text("error.message"))
	require.Regexp(t, `^[1-9]\d*$`, answer.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, bob.Do(t, http.MethodGet, "/auth/me", nil).Status, "others are not meant")
}
