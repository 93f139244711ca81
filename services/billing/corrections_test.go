package billing

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

func admin() services.Caller {
	caller := user()
	caller.Role = services.RoleAdmin
	return caller
}

// knows lets auth know a user.
func (b *bench) knows(caller services.Caller) services.Caller {
	b.accounts[caller.Account] = Home{Organization: caller.Organization, Guest: caller.Role == services.RoleGuest}
	return caller
}

// TestCorrectionsAreAdmins: the original let everybody give back, and take, as
// much as they liked.
func TestCorrectionsAreAdmins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, plain := b.site(t), b.knows(user())
	b.settle(t, b.hold(t, plain, OwnerJob, 500), 500)
	owner := actingFor(plain, uuid.New())
	owner.OrgRole = services.OrgOwner
	guest := user()
	guest.Role = services.RoleGuest
	for _, request := range []struct{ method, path, body string }{
		{"POST", "/credits/deduct", `{"amount":1}`},
		{"POST", "/credits/refund", `{"amount":1}`},
		{"POST", "/credits/grant", `{"amount":1,"reason":"x","userId":"` + plain.Account.String() + `"}`},
		{"PUT", "/billing/tier", `{"tier":"Enterprise","userId":"` + plain.Account.String() + `"}`},
	} {
		for name, caller := range map[string]services.Caller{"a user": plain, "an owner": owner} {
			status, answer := s.do(t, caller, request.method, request.path, request.body)
			require.Equal(t, http.StatusForbidden, status, "%s, %s: %s", name, request.path, answer)
		}
		for name, caller := range map[string]services.Caller{"nobody": {}, "a guest": guest} {
			status, answer := s.do(t, caller, request.method, request.path, request.body)
			require.Equal(t, http.StatusUnauthorized, status, "%s, %s: %s", name, request.path, answer)
		}
	}
	require.Equal(t, Balance{Tier: Free, Available: 9_500}, b.balance(t, plain))
	for _, act := range s.acts {
		require.NotEqual(t, services.Done, act.Outcome)
	}
	b.audit(t)
}

func TestCorrectionAmounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, caller := b.site(t), admin()
	b.balance(t, caller)
	for _, path := range []string{"deduct", "refund", "grant"} {
		for _, bad := range []string{"", `-5`, `0`, `1.5`, `"abc"`, `1e13`, `1000000000001`, `"1000000000001"`, `"-5"`, `"1.5"`, `""`, `" 5"`, `"1e3"`, `null`, `true`, `[5]`, `{}`, `1e400`} {
			body := `{"reason":"x","userId":"` + caller.Account.String() + `"}`
			if bad != "" {
				body = `{"amount":` + bad + `,"reason":"x","userId":"` + caller.Account.String() + `"}`
			}
			status, answer := s.do(t, caller, "POST", "/credits/"+path, body)
			require.Equal(t, http.StatusBadRequest, status, "%s %s: %s", path, body, answer)
			if bad != "1e400" { // that is no number at all
				require.Contains(t, string(answer), `"Valid amount is required"`, "%s %s", path, body)
			}
		}
		status, answer := s.do(t, caller, "POST", "/credits/"+path, `{}`)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", path, answer)
		if path != "grant" { // which first wants to know to whom and why
			require.Contains(t, string(answer), `"message":"Valid amount is required"`)
		}
	}
	require.Equal(t, Balance{Tier: Free, Available: 10_000}, b.balance(t, caller))

	// What is right is answered as it was given.
	for _, test := range []struct{ path, amount, echo, balance string }{
		{"deduct", `30`, `30`, "9970"},
		{"deduct", `"30"`, `"30"`, "9940"},
		{"deduct", `"0040"`, `"0040"`, "9900"},
		{"deduct", `1e2`, `100`, "9800"},
		{"refund", `5.0`, `5`, "9805"},
		{"refund", `"95"`, `"95"`, "9900"},
		{"grant", `1000000000000`, `1000000000000`, "1000000009900"},
		{"grant", `"7"`, `"7"`, "1000000009907"},
	} {
		status, answer := s.do(t, caller, "POST", "/credits/"+test.path, `{"amount":`+test.amount+`,"reason":"x","userId":"`+caller.Account.String()+`"}`)
		require.Equal(t, http.StatusOK, status, string(answer))
		name, left := map[string]string{"deduct": "deducted", "refund": "refunded", "grant": "granted"}[test.path], "newBalance"
		if test.path == "deduct" {
			left = "remaining"
		}
		require.Equal(t, fmt.Sprintf(`{%q:%s,%q:%q}`, name, test.echo, left, test.balance), string(answer))
	}
	b.audit(t)
}

func TestWhoseCreditsAreCorrected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, caller, other, shared := b.site(t), admin(), b.knows(user()), actingFor(user(), uuid.New())
	guest := user()
	guest.Role = services.RoleGuest
	b.knows(guest)
	b.balance(t, shared)
	correct := func(path, body string) (int, string) {
		status, answer := s.do(t, caller, "POST", "/credits/"+path, body)
		return status, string(answer)
	}
	status, answer := correct("deduct", `{"amount":1}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"deducted":1,"remaining":"9999"}`, answer, "nobody named: the caller")
	status, answer = correct("deduct", `{"amount":2,"userId":"`+caller.Account.String()+`"}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"deducted":2,"remaining":"9997"}`, answer, "auth needn't be asked for oneself")
	acting := actingFor(caller, shared.Organization)
	raw, data := s.do(t, acting, "POST", "/credits/deduct", `{"amount":3}`)
	require.Equal(t, http.StatusOK, raw)
	require.JSONEq(t, `{"deducted":3,"remaining":"9994"}`, string(data), "the caller's own, whomever it acts for")
	status, answer = correct("deduct", `{"amount":4,"userId":"`+other.Account.String()+`"}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"deducted":4,"remaining":"9996"}`, answer)
	status, answer = correct("grant", `{"amount":5,"reason":"x","userId":"`+guest.Account.String()+`"}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"granted":5,"newBalance":"1005"}`, answer, "a guest is opened as one")
	status, answer = correct("grant", `{"amount":"6","reason":"x","organizationId":"`+shared.Organization.String()+`"}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"granted":"6","newBalance":"6"}`, answer)

	for _, path := range []string{"deduct", "refund", "grant"} {
		for body, want := range map[string]int{
			`"userId":"` + uuid.NewString() + `"`:                                                               http.StatusNotFound,
			`"organizationId":"` + uuid.NewString() + `"`:                                                       http.StatusNotFound,
			`"userId":"` + other.Account.String() + `","organizationId":"` + shared.Organization.String() + `"`: http.StatusBadRequest,
			`"userId":"x"`: http.StatusBadRequest,
			`"userId":"` + other.Account.String() + `","operationId":"x"`: http.StatusBadRequest,
			`"userId":"` + other.Account.String() + `","jobId":"x"`:       http.StatusBadRequest,
		} {
			status, answer := correct(path, `{"amount":1,"reason":"x",`+body+`}`)
			require.Equal(t, want, status, "%s %s: %s", path, body, answer)
		}
	}
	status, answer = correct("grant", `{"amount":1,"userId":"`+other.Account.String()+`"}`)
	require.Equal(t, http.StatusBadRequest, status, "a grant needs a reason")
	require.Contains(t, answer, `"path":"body.reason"`)
	status, answer = correct("grant", `{"amount":1,"reason":"x"}`)
	require.Equal(t, http.StatusBadRequest, status, "and somebody")
	require.Contains(t, answer, `"path":"body.userId"`)
	status, answer = correct("deduct", `{"amount":9997,"userId":"`+other.Account.String()+`"}`)
	require.Equal(t, http.StatusPaymentRequired, status, answer)
	require.Contains(t, answer, "Required: 9997, Available: 9996")

	for tier, credits := range map[Tier]int64{Pro: 99_996, Enterprise: 999_996} {
		status, data := s.do(t, caller, "PUT", "/billing/tier", `{"tier":"`+string(tier)+`","userId":"`+other.Account.String()+`"}`)
		require.Equal(t, http.StatusOK, status, string(data))
		require.JSONEq(t, `{"tier":"`+string(tier)+`"}`, string(data))
		require.Equal(t, Balance{Tier: tier, Available: credits}, b.balance(t, other))
	}
	status, _ = s.do(t, caller, "PUT", "/billing/tier", `{"tier":"Gold","userId":"`+other.Account.String()+`"}`)
	require.Equal(t, http.StatusBadRequest, status)
	b.audit(t)

	told := map[string]int{}
	for _, act := range s.acts {
		if act.Outcome == services.Done {
			require.NotEmpty(t, act.Details["organization"], "%+v", act)
			told[act.Action]++
		}
	}
	require.Equal(t, map[string]int{"credits.deduct": 4, "credits.grant": 2, "billing.tier": 2}, told, "who did what stands in the audit log")
}

// TestACorrectionCountsOnce, also when it is sent many times at once.
func TestACorrectionCountsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	caller := b.knows(admin())
	b.settle(t, b.hold(t, caller, OwnerJob, 1_000), 1_000)
	s := b.site(t)
	for path, balance := range map[string]string{"deduct": "remaining", "refund": "newBalance", "grant": "newBalance"} {
		operation := uuid.NewString()
		body := func(amount string) string {
			return `{"amount":` + amount + `,"reason":"x","userId":"` + caller.Account.String() + `","operationId":"` + operation + `"}`
		}
		var answers []string
		for _, amount := range []string{`10`, `"10"`, `10`} {
			status, answer := s.do(t, caller, "POST", "/credits/"+path, body(amount))
			require.Equal(t, http.StatusOK, status, string(answer))
			var data map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(answer, &data))
			answers = append(answers, string(data[balance]))
		}
		require.Equal(t, []string{answers[0], answers[0], answers[0]}, answers)
		status, answer := s.do(t, caller, "POST", "/credits/"+path, body(`11`))
		require.Equal(t, http.StatusConflict, status, string(answer))
	}
	require.Equal(t, Balance{Tier: Free, Available: 9_010}, b.balance(t, caller))
	operation := uuid.New()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := b.service.Deduct(t.Context(), Correction{Organization: caller.Organization, Operation: operation, Amount: 5}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, Balance{Tier: Free, Available: 9_005}, b.balance(t, caller))
	b.audit(t)
}

// TestRefundsAreOfWhatWasCharged: for a job no more than that job was, whoever
// asks at once; without one no more than everything was.
func TestRefundsAreOfWhatWasCharged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s, caller := b.site(t), admin()
	status, answer := s.do(t, caller, "POST", "/credits/refund", `{"amount":1}`)
	require.Equal(t, http.StatusConflict, status, string(answer))
	job := b.hold(t, caller, OwnerJob, 300)
	b.settle(t, job, 100)
	b.settle(t, job, 50)
	b.release(t, job)
	b.settle(t, b.hold(t, caller, OwnerJob, 1_000), 1_000)
	call := HoldRequest{ID: uuid.New(), Caller: caller, Owner: OwnerCall, Job: job, Amount: 20, Lifetime: time.Minute} // a call of the job
	_, err := b.service.Hold(t.Context(), call)
	require.NoError(t, err)
	_, err = b.service.Settle(t.Context(), whole(call))
	require.NoError(t, err)

	refund := func(amount int, job string) (int, string) {
		status, answer := s.do(t, caller, "POST", "/credits/refund", fmt.Sprintf(`{"amount":%d,"jobId":%q,"reason":"it failed"}`, amount, job))
		return status, string(answer)
	}
	status, text := refund(171, job.String())
	require.Equal(t, http.StatusConflict, status, text)
	require.Contains(t, text, "Only what was charged can be refunded: 170 credits")
	status, text = refund(1, uuid.NewString())
	require.Equal(t, http.StatusConflict, status, "a job that nobody knows: %s", text)
	var done atomic.Int64
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := b.service.Refund(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 20, Job: job})
			switch {
			case err == nil:
				done.Add(1)
			case !services.Is(err, services.Conflict):
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, int64(8), done.Load(), "eight times 20 of 170")
	status, text = refund(10, job.String())
	require.Equal(t, http.StatusOK, status, text)
	status, _ = refund(1, job.String())
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, Balance{Tier: Free, Available: 9_000}, b.balance(t, caller))

	// A deduction for the job is one of its charges; it is refunded like them.
	status, answer = s.do(t, caller, "POST", "/credits/deduct", fmt.Sprintf(`{"amount":30,"jobId":%q}`, job))
	require.Equal(t, http.StatusOK, status, string(answer))
	status, text = refund(31, job.String())
	require.Equal(t, http.StatusConflict, status, text)

	// Without a job, of everything; and then there is nothing left of the job's.
	status, answer = s.do(t, caller, "POST", "/credits/refund", `{"amount":1031}`)
	require.Equal(t, http.StatusConflict, status, string(answer))
	status, answer = s.do(t, caller, "POST", "/credits/refund", `{"amount":1030}`)
	require.Equal(t, http.StatusOK, status, string(answer))
	status, text = refund(30, job.String())
	require.Equal(t, http.StatusConflict, status, text)
	require.Contains(t, text, "Only what was charged can be refunded: 0 credits")
	require.Equal(t, Balance{Tier: Free, Available: 10_000}, b.balance(t, caller))
	b.audit(t)
}

// TestDeductionsAtOnce: the original lost 165 of 200.
func TestDeductionsAtOnce(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	b.balance(t, caller)
	_, err := b.service.Deduct(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 9_000})
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			if _, err := b.service.Deduct(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, Balance{Tier: Free, Available: 800}, b.balance(t, caller))
	require.Equal(t, 200, strings.Count(strings.Join(b.lines(t, caller.Organization), ",")+",", "deduct 1,"))
	var refused atomic.Int64
	for range 20 { // of 800
		group.Go(func() {
			_, err := b.service.Deduct(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 50})
			if services.Is(err, services.Insufficient) {
				refused.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, int64(4), refused.Load())
	require.Equal(t, Balance{Tier: Free}, b.balance(t, caller))
	b.audit(t)
}
