package payments

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

func TestReconcile(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := setup(t, s.URL)
	for _, list := range []string{"payment_intents", "checkout/sessions", "disputes", "invoices", "subscriptions"} {
		s.lists["/v1/"+list] = nil
	}
	then := time.Now().Add(-time.Hour).Unix()
	there := func(p purchase, status string, refunded int64) object {
		return object{"id": p.id, "object": "payment_intent", "status": status, "amount": 500, "amount_received": 500, "currency": "usd", "created": then,
			"metadata": p.metadata(), "latest_charge": object{"id": "ch_" + p.id, "created": then, "amount_refunded": refunded}}
	}

	good, lost, unpaid, unknown, refunded, disputed, early := newPurchase(), newPurchase(), newPurchase(), newPurchase(), newPurchase(), newPurchase(), newPurchase()
	b.deliver(t, good.session(then), unpaid.session(then), unknown.session(then), refunded.session(then), disputed.session(then), early.session(then))
	young := newPurchase()
	fresh := there(young, "succeeded", 0)
	fresh["latest_charge"] = object{"id": "ch", "created": time.Now().Unix()}
	s.lists["/v1/payment_intents"] = []object{
		there(good, "succeeded", 0), there(lost, "succeeded", 0), there(unpaid, "canceled", 0), there(refunded, "succeeded", 200), there(disputed, "succeeded", 0),
		{"id": "pi_magazine", "status": "succeeded", "created": then}, fresh,
	}
	s.answers["GET /v1/payment_intents/"+early.id] = func(url.Values) (int, any) { return http.StatusOK, there(early, "succeeded", 0) }
	forgotten := newPurchase()
	s.lists["/v1/checkout/sessions"] = []object{
		{"id": "cs_1", "mode": "payment", "payment_status": "paid", "payment_intent": good.id, "metadata": good.metadata(), "created": then},
		{"id": "cs_2", "mode": "payment", "payment_status": "unpaid", "payment_intent": "pi_x", "metadata": good.metadata(), "created": then},
		{"id": "cs_3", "mode": "payment", "payment_status": "paid", "payment_intent": forgotten.id, "metadata": forgotten.metadata(), "created": then, "amount_total": 500, "currency": "usd"},
	}
	s.lists["/v1/disputes"] = []object{
		{"id": "dp_1", "payment_intent": disputed.id, "amount": 500, "currency": "usd", "status": "needs_response", "created": then},
		{"id": "dp_2", "payment_intent": "pi_magazine", "amount": 500, "currency": "usd", "status": "lost", "created": then},
		{"id": "dp_3", "payment_intent": good.id, "amount": 500, "currency": "usd", "status": "won", "created": then},
	}

	fine, stale, gone, unheard := newContract(uuid.New()), newContract(uuid.New()), newContract(uuid.New()), newContract(uuid.New())
	twice := newContract(fine.organization)
	b.deliver(t, fine.says("created", then, "active", "price_pro"), stale.says("created", then, "active", "price_pro"), gone.says("created", then, "active", "price_pro"),
		twice.says("created", then, "active", "price_pro"), fine.paid("in_1", then, period("il", 2000, "price_pro", then, then+day)))
	sub := func(c contract, status string) object {
		return object{"id": c.id, "status": status, "created": then, "metadata": c.metadata()}
	}
	s.lists["/v1/subscriptions"] = []object{sub(fine, "active"), sub(stale, "canceled"), sub(unheard, "active"), sub(twice, "active"), {"id": "sub_magazine", "status": "active"}}
	bill := func(c contract, id string) object {
		return object{"id": id + c.id, "status": "paid", "created": then, "lines": object{"data": []object{period("il", 2000, "price_pro", then, then+day)}},
			"parent": object{"subscription_details": object{"subscription": c.id, "metadata": c.metadata()}}, "status_transitions": object{"paid_at": then}}
	}
	s.lists["/v1/invoices"] = []object{bill(fine, "in_1"), bill(fine, "in_2"), {"id": "in_magazine", "status": "paid"}}

	report, err := b.service.Reconcile(t.Context(), ago())
	require.NoError(t, err)
	found := map[string]FindingKind{}
	for _, f := range report.Findings {
		require.NotContains(t, found, f.Object)
		require.NotNil(t, f.Organization, f.Message)
		found[f.Object] = f.Kind
	}
	require.Equal(t, map[string]FindingKind{
		lost.id: NotCredited, forgotten.id: NotCredited, unpaid.id: NotPaid, unknown.id: NotPaid, refunded.id: RefundDiffers, disputed.id: DisputeDiffers,
		"in_2" + fine.id: MonthNotCounted, stale.id: SubscriptionDiffers, gone.id: SubscriptionDiffers, unheard.id: SubscriptionDiffers, twice.id: SubscribedTwice,
	}, found, report.String())
	require.Equal(t, [3]int{9, 2, 4}, [3]int{report.Payments, report.Invoices, report.Subscriptions}, report.String())
	require.Contains(t, report.String(), "11 things differ:\n")
	require.Contains(t, report.String(), "- "+unpaid.id+": 1000 credits were given, but at Stripe it is canceled (organisation "+unpaid.organization.String()+")\n")
	text, err := json.Marshal(report)
	require.NoError(t, err)
	var back Report
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, report.Findings, back.Findings)

	// The lost events arrive: nothing differs any more.
	b.deliver(t, lost.intent(then), forgotten.session(then), refunded.refunded(then, 200), disputed.dispute("created", then, "dp_1", 500, "needs_response"),
		fine.paid("in_2", then, period("il", 2000, "price_pro", then, then+day)), stale.says("deleted", then, "canceled", "price_pro"), unheard.says("created", then, "active", "price_pro"))
	s.mu.Lock()
	s.lists["/v1/payment_intents"] = append(s.lists["/v1/payment_intents"], there(forgotten, "succeeded", 0), there(unknown, "succeeded", 0))
	s.lists["/v1/payment_intents"][2] = there(unpaid, "succeeded", 0)
	s.lists["/v1/disputes"][0]["id"] = "dp_1" + disputed.id
	s.lists["/v1/subscriptions"] = []object{sub(fine, "active"), sub(stale, "canceled"), sub(unheard, "active"), sub(gone, "active")}
	s.mu.Unlock()
	b.deliver(t, twice.says("deleted", then, "canceled", "price_pro"))
	report, err = b.service.Reconcile(t.Context(), ago())
	require.NoError(t, err)
	require.Empty(t, report.Findings, report.String())
	require.Contains(t, report.String(), "nothing differs.")

	s.mu.Lock()
	s.answers["GET /v1/disputes"] = func(url.Values) (int, any) { return 403, failure("invalid_request_error", "", "Not with "+key) }
	s.mu.Unlock()
	_, err = b.service.Reconcile(t.Context(), ago())
	require.Equal(t, services.Upstream, services.KindOf(err))
	require.NotContains(t, err.Error(), "MARKER")
}
