package acceptance

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services/billing/chain"
	"uaol/services/billing/receipts"
)

// receiptsCanBeChecked by whoever has them: of a call and of a job, once the
// ledger has sealed what they name.
func receiptsCanBeChecked(t *testing.T, s *suite) {
	alice := s.user(t)
	me := alice.Do(t, http.MethodGet, "/auth/me", nil).Text("data.id")
	tool := s.tool(t, alice, "/mcp", 7)
	require.Equal(t, http.StatusOK, call(t, alice, tool, "echo", object{"text": "x"}).Status)
	var made string
	require.Eventually(t, func() bool {
		made = alice.Do(t, http.MethodGet, "/proxy/calls?tool="+tool, nil).Text("data.0.callId")
		return made != ""
	}, time.Minute, 20*time.Millisecond)
	job := alice.Do(t, http.MethodPost, "/jobs", workflow(
		step("good", tool, "echo", object{"text": "x"}), step("bad", tool, "fails", object{"after": "{{good.result}}"})))
	jobID := job.Text("data.job_id")
	ended(t, alice, jobID)

	key, err := chain.ParsePublic(s.nobody().Do(t, http.MethodGet, "/receipts/key", nil).Text("data.publicKey"))
	require.NoError(t, err)
	for id, want := range map[string]receipts.Receipt{
		made:  {Kind: "call", Held: 7, Charged: 7},
		jobID: {Kind: "job", Held: 14, Charged: 7, Released: 7},
	} {
		var got receipts.Receipt
		require.Eventually(t, func() bool { // calls are settled in the background, and seals follow
			answer := alice.Do(t, http.MethodGet, "/receipts/"+id, nil)
			if answer.Status != http.StatusOK {
				return false
			}
			got, err = receipts.Parse(answer.Body)
			require.NoError(t, err)
			require.NoError(t, got.Verify(chain.NewTrusted(key)), "at any time")
			return got.Sealed && !got.Open
		}, time.Minute, 50*time.Millisecond)
		require.Equal(t, want, receipts.Receipt{Kind: got.Kind, Held: got.Held, Charged: got.Charged, Released: got.Released})
		require.Len(t, got.Charges, 1)
		require.Equal(t, tool, got.Charges[0].Tool.String())
		require.Contains(t, string(got.Charges[0].Facts), `"method":"echo"`)

		require.Equal(t, me, got.Account.String())
		require.True(t, got.Committed(), "its entries commit to who asked")

		got.Charged--
		require.Error(t, got.Verify(chain.NewTrusted(key)))
		refused(t, s.user(t).Do(t, http.MethodGet, "/receipts/"+id, nil), http.StatusNotFound, "NOT_FOUND")
	}
	history := alice.Do(t, http.MethodGet, "/credits/history?limit=1", nil)
	require.Equal(t, fmt.Sprint(credits(t, alice)), history.Text("data.0.balance"), "what is left is what the last entry says")
	usage := alice.Do(t, http.MethodGet, "/credits/usage?by=tool", nil)
	require.Equal(t, tool, usage.Text("data.0.key"))
	require.Equal(t, "14", usage.Text("data.0.credits"))
}

// creditsAreTheAdmins: nobody gives themselves credits or a tier, and 200
// deductions at once are 200.
func creditsAreTheAdmins(t *testing.T, s *suite) {
	alice := s.user(t)
	id := alice.Do(t, http.MethodGet, "/auth/me", nil).Text("data.id")
	for path, body := range map[string]object{
		"/credits/refund": {"amount": 1_000_000}, "/credits/deduct": {"amount": 1}, "/credits/grant": {"userId": id, "amount": 1, "reason": "I like it"},
	} {
		refused(t, alice.Do(t, http.MethodPost, path, body), http.StatusForbidden, "AUTHORIZATION_ERROR")
	}
	refused(t, alice.Do(t, http.MethodPut, "/billing/tier", object{"tier": "Enterprise"}), http.StatusForbidden, "AUTHORIZATION_ERROR")
	require.Equal(t, 10_000, credits(t, alice))

	// An amount that nobody has is refused; none is lost among many.
	admin := s.admin()
	counts, _ := atOnce(t, 200, admin, "/credits/deduct", object{"userId": id, "amount": 60})
	require.Equal(t, map[int]int{http.StatusOK: 166, http.StatusPaymentRequired: 34}, counts)
	require.Equal(t, 40, credits(t, alice))
	refund := admin.Do(t, http.MethodPost, "/credits/refund", object{"userId": id, "amount": "60"})
	require.Equal(t, http.StatusOK, refund.Status, refund)
	require.Equal(t, "60", refund.Text("data.refunded"))
	require.Equal(t, "100", refund.Text("data.newBalance"))
	refused(t, admin.Do(t, http.MethodPost, "/credits/refund", object{"userId": id, "amount": 9_901}), http.StatusConflict, "CONFLICT")
	grant := admin.Do(t, http.MethodPost, "/credits/grant", object{"userId": id, "amount": 5, "reason": "a good idea"})
	require.Equal(t, http.StatusOK, grant.Status, grant)
	require.Equal(t, 105, credits(t, alice))
}
