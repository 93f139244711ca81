package billing

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v85/webhook"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/services"
	"uaol/services/billing/payments"
)

const signing = "whsec_nobody_knows"

// nowhere is a Stripe that only tells things.
const nowhere = "http://127.0.0.1:1"

// shopping is billing with a Stripe.
func (b *bench) shopping(t testing.TB, stripe string, pages payments.Pages) *Handler {
	t.Helper()
	cfg, err := config.Parse[payments.Config](config.Of(map[string]string{
		"STRIPE_SECRET_KEY": "sk_test_nobody", "STRIPE_WEBHOOK_SECRET": signing, "UAOL_STRIPE_URL": stripe,
		"UAOL_STRIPE_PRICE_PRO": "price_pro",
	}))
	require.NoError(t, err)
	service := payments.New(cfg, pages, b.pool, NewPaid(plans(t)))
	t.Cleanup(service.Close)
	h := b.handler(t)
	h.payments = service
	return h
}

// shop is its routes.
func (b *bench) shop(t testing.TB) *site {
	t.Helper()
	return b.shopAt(t, nowhere, payments.Pages{Frontend: "http://localhost"})
}

func (b *bench) shopAt(t testing.TB, stripe string, pages payments.Pages) *site {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	s := &site{engine: gin.New()}
	api.Mount(s.engine, api.Guards{Authenticator: s, Auditor: s}, true, b.shopping(t, stripe, pages).operations()...)
	return s
}

// tells sends an event as Stripe does, without any token.
func (s *site) tells(t testing.TB, id, kind string, object map[string]any) {
	t.Helper()
	s.caller = services.Caller{}
	payload, err := json.Marshal(map[string]any{"id": id, "object": "event", "type": kind, "created": time.Now().Unix(), "data": map[string]any{"object": object}})
	require.NoError(t, err)
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: payload, Secret: signing})
	request := httptest.NewRequest(http.MethodPost, "/billing/webhook/stripe", strings.NewReader(string(payload)))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Stripe-Signature", signed.Header)
	recorder := httptest.NewRecorder()
	s.engine.ServeHTTP(recorder, request)
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	require.JSONEq(t, `{"received":true}`, recorder.Body.String())
}

// TestPaymentsBecomeCredits in the real ledger: once, however often Stripe tells;
// what goes back is taken back, as a debt where it is spent already.
func TestPaymentsBecomeCredits(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	s := b.shop(t)
	b.balance(t, caller)
	session := map[string]any{
		"id": "cs_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1",
		"amount_total": 500, "currency": "usd", "customer": "cus_1",
		"metadata": map[string]string{"organization_id": caller.Organization.String(), "credits": "10000"},
	}
	charge := map[string]any{"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "amount": 500, "amount_refunded": 500, "refunded": true, "currency": "usd"}
	for range 3 {
		s.tells(t, "evt_1", "checkout.session.completed", session)
	}
	s.tells(t, "evt_2", "checkout.session.completed", session) // sent anew by hand
	require.Equal(t, Balance{Tier: Free, Available: 20_000}, b.balance(t, caller))

	b.hold(t, caller, OwnerJob, 15_000)
	for range 2 {
		s.tells(t, "evt_3", "charge.refunded", charge)
	}
	require.Equal(t, Balance{Tier: Free, Held: 15_000, Debt: 5_000}, b.balance(t, caller))
	_, err := b.service.Hold(t.Context(), HoldRequest{ID: uuid.New(), Caller: caller, Owner: OwnerCall, Amount: 1, Lifetime: time.Minute})
	require.ErrorContains(t, err, "owes 5000 credits")

	// What it buys next pays that first.
	session["id"], session["payment_intent"] = "cs_2", "pi_2"
	s.tells(t, "evt_4", "checkout.session.completed", session)
	require.Equal(t, Balance{Tier: Free, Available: 5_000, Held: 15_000}, b.balance(t, caller))
	b.audit(t)
}

// TestSubscriptionsBringTheirTier and its credits, with the invoice; and end with
// the subscription.
func TestSubscriptionsBringTheirTier(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	s := b.shop(t)
	b.balance(t, caller)
	b.hold(t, caller, OwnerJob, 4_000)
	now := time.Now()
	mine := map[string]string{"organization_id": caller.Organization.String(), "tier": "Pro"}
	period := map[string]any{"start": now.Add(-time.Hour).Unix(), "end": now.AddDate(0, 1, 0).Unix()}
	price := map[string]any{"id": "price_pro", "object": "price"}
	subscription := map[string]any{
		"id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1", "metadata": mine,
		"items": map[string]any{"object": "list", "data": []any{map[string]any{"id": "si_1", "price": price,
			"current_period_start": period["start"], "current_period_end": period["end"]}}},
	}
	invoice := map[string]any{
		"id": "in_1", "object": "invoice", "status": "paid", "customer": "cus_1", "amount_paid": 2_000, "currency": "usd",
		"parent": map[string]any{"type": "subscription_details", "subscription_details": map[string]any{"subscription": "sub_1", "metadata": mine}},
		"lines": map[string]any{"object": "list", "data": []any{map[string]any{"id": "il_1", "object": "line_item", "amount": 2_000, "period": period,
			"parent":  map[string]any{"type": "subscription_item_details", "subscription_item_details": map[string]any{"subscription": "sub_1"}},
			"pricing": map[string]any{"type": "price_details", "price_details": map[string]any{"price": "price_pro"}}}}},
	}
	for i := range 2 { // in the order in which they should not come
		s.tells(t, fmt.Sprint("evt_a", i), "invoice.paid", invoice)
		s.tells(t, fmt.Sprint("evt_b", i), "customer.subscription.created", subscription)
	}
	require.Equal(t, Balance{Tier: Pro, Available: 100_000, Held: 4_000}, b.balance(t, caller), "what was left of the month ends with it")
	subscription["status"] = "canceled"
	for i := range 2 {
		s.tells(t, fmt.Sprint("evt_c", i), "customer.subscription.deleted", subscription)
	}
	require.Equal(t, Balance{Tier: Free, Held: 4_000}, b.balance(t, caller), "the month's Free credits were given before")
	b.audit(t)
}

// TestPeopleComeBackToWhereTheyBought: to the frontend, or to the console at the address
// that the operator has set, or else that this client calls us by. No other page is taken.
func TestPeopleComeBackToWhereTheyBought(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	var told url.Values
	stripe := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"id":"x_1","url":"https://stripe.test"}`
		if r.Method == http.MethodGet {
			answer = `{"object":"list","data":[],"has_more":false}`
		} else if r.ParseForm() == nil {
			told = r.Form
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(stripe.Close)
	for public, base := range map[string]string{"": "http://example.com", "https://uaol.test": "https://uaol.test"} {
		s := b.shopAt(t, stripe.URL, payments.Pages{Frontend: "http://frontend.test/", Public: public})
		for _, request := range []struct{ path, body string }{
			{"/billing/checkout", `"pack":"starter",`}, {"/billing/subscribe", `"tier":"Pro",`}, {"/billing/portal", ``},
		} {
			for returnTo, page := range map[string]string{``: "http://frontend.test/billing", `"return_to":"/console",`: base + "/console/credits"} {
				status, answer := s.do(t, caller, http.MethodPost, request.path, `{`+request.body+returnTo+`"x":1}`)
				require.Equal(t, http.StatusOK, status, "%s %s", request, answer)
				if request.path == "/billing/portal" {
					require.Equal(t, page, told.Get("return_url"))
					continue
				}
				require.Equal(t, page+"?checkout=success&session_id={CHECKOUT_SESSION_ID}", told.Get("success_url"))
				require.Equal(t, page+"?checkout=cancelled", told.Get("cancel_url"))
			}
			for _, elsewhere := range []string{"https://evil.test", "//evil.test", "/console/", "/console/../x", "/", "/Console"} {
				status, answer := s.do(t, caller, http.MethodPost, request.path, `{`+request.body+`"return_to":"`+elsewhere+`"}`)
				require.Equal(t, http.StatusBadRequest, status, elsewhere)
				require.Contains(t, string(answer), "body.return_to")
			}
		}
	}
}
