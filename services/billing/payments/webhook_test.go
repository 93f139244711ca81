package payments

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/providers/postgres"
	"uaol/services"
)

// purchase is a payment of 500 for 1000 credits, and what happens to it.
type purchase struct {
	organization uuid.UUID
	id           string
}

func newPurchase() purchase {
	return purchase{organization: uuid.New(), id: "pi_" + uuid.NewString()[:8]}
}

func (p purchase) metadata() object {
	return object{"organization_id": p.organization.String(), "credits": "1000", "pack": "small"}
}

func (p purchase) session(at int64) []byte {
	return event("checkout.session.completed", at, object{
		"id": "cs_" + p.id, "object": "checkout.session", "mode": "payment", "payment_status": "paid", "payment_intent": p.id,
		"amount_total": 500, "currency": "usd", "metadata": p.metadata(),
	})
}

func (p purchase) intent(at int64) []byte {
	return event("payment_intent.succeeded", at, object{
		"id": p.id, "object": "payment_intent", "status": "succeeded", "amount": 500, "amount_received": 500, "currency": "usd", "metadata": p.metadata(),
	})
}

func (p purchase) refunded(at, total int64) []byte {
	return event("charge.refunded", at, object{
		"id": "ch_" + p.id, "object": "charge", "payment_intent": p.id, "amount": 500, "amount_refunded": total, "currency": "usd", "metadata": p.metadata(),
	})
}

func (p purchase) refund(kind string, at int64, id string, amount int64, status string) []byte {
	return event(kind, at, object{"id": id + p.id, "object": "refund", "payment_intent": p.id, "amount": amount, "currency": "usd", "status": status})
}

func (p purchase) dispute(kind string, at int64, id string, amount int64, status string) []byte {
	return event("charge.dispute."+kind, at, object{"id": id + p.id, "object": "dispute", "payment_intent": p.id, "amount": amount, "currency": "usd", "status": status})
}

func TestPurchase(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	p := newPurchase()
	first := p.session(10)
	b.deliver(t, first, first)
	require.EqualValues(t, 1000, b.credits(t, p.organization))
	b.deliver(t, p.intent(10), p.session(10), p.intent(11)) // the same facts under other ids
	lines := b.lines(t, p.organization)
	require.Len(t, lines, 1)
	require.Regexp(t, `^payment/`+p.id+`/evt_\d+$`, lines[0].Operation)
	require.JSONEq(t, fmt.Sprintf(`{"payment":%q,"credits":1000,"amount":500,"currency":"usd","paid":true,"refunded":0,"disputed":0,"event":%q,"type":"checkout.session.completed"}`,
		p.id, lines[0].Operation[len("payment/"+p.id+"/"):]), lines[0].Facts)

	b.deliver(t, p.refunded(20, 1)) // a share of 2 credits
	require.EqualValues(t, 998, b.credits(t, p.organization))
	b.deliver(t, p.dispute("created", 30, "dp", 499, "needs_response"))
	require.EqualValues(t, 0, b.credits(t, p.organization))
	b.deliver(t, p.dispute("closed", 40, "dp", 499, "won"))
	require.EqualValues(t, 998, b.credits(t, p.organization))

	again := eventOf(lines[0].Operation[len("payment/"+p.id+"/"):], "charge.refunded", 50, object{"id": "ch", "object": "charge", "payment_intent": p.id, "amount_refunded": 500})
	b.deliver(t, again)
	row, err := b.service.store.payment(t.Context(), p.id)
	require.NoError(t, err)
	require.EqualValues(t, 998, row.Credited, "an id counts once, whatever comes under it")
}

// TestOrder delivers what happened to a payment in every order, with repetitions
// and under other ids: the outcome is the same.
func TestOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	for name, story := range map[string]struct {
		events func(p purchase) [][]byte
		want   int64
	}{
		"refunded in parts": {func(p purchase) [][]byte {
			return [][]byte{p.session(1), p.intent(1), p.refunded(5, 100), p.refunded(6, 250)}
		}, 500},
		"all refunded": {func(p purchase) [][]byte { return [][]byte{p.intent(1), p.refunded(5, 100), p.refunded(6, 500)} }, 0},
		"single refunds": {func(p purchase) [][]byte {
			return [][]byte{p.intent(1), p.refund("refund.created", 5, "re_1", 100, "pending"), p.refunded(5, 100), p.refund("refund.updated", 6, "re_1", 100, "succeeded"),
				p.refund("refund.created", 7, "re_2", 50, "succeeded"), p.refunded(7, 150)}
		}, 700},
		"a refund fails": {func(p purchase) [][]byte {
			return [][]byte{p.session(1), p.refund("refund.created", 5, "re_1", 500, "succeeded"), p.refunded(5, 500), p.refund("refund.failed", 6, "re_1", 500, "failed"),
				p.refund("refund.created", 7, "re_2", 200, "succeeded"), p.refunded(7, 200)}
		}, 600},
		"dispute won": {func(p purchase) [][]byte {
			return [][]byte{p.session(1), p.dispute("created", 5, "dp", 500, "needs_response"), p.dispute("funds_withdrawn", 5, "dp", 500, "needs_response"),
				p.dispute("closed", 9, "dp", 500, "won"), p.dispute("funds_reinstated", 9, "dp", 500, "won")}
		}, 1000},
		"dispute lost, all in a second": {func(p purchase) [][]byte {
			return [][]byte{p.intent(1), p.dispute("created", 5, "dp", 500, "needs_response"), p.dispute("updated", 5, "dp", 500, "under_review"), p.dispute("closed", 5, "dp", 500, "lost")}
		}, 0},
		"a late word about a dispute that is over": {func(p purchase) [][]byte {
			return [][]byte{p.intent(1), p.dispute("created", 4, "dp", 500, "needs_response"), p.dispute("closed", 5, "dp", 500, "won"), p.dispute("updated", 6, "dp", 500, "under_review")}
		}, 1000},
		"an inquiry": {func(p purchase) [][]byte {
			return [][]byte{p.intent(1), p.dispute("created", 5, "dp", 500, "warning_needs_response"), p.dispute("closed", 6, "dp", 500, "warning_closed")}
		}, 1000},
		"two disputes and a refund": {func(p purchase) [][]byte {
			return [][]byte{p.session(1), p.refunded(3, 50), p.dispute("created", 5, "dp_1", 100, "needs_response"), p.dispute("closed", 6, "dp_1", 100, "won"),
				p.dispute("created", 7, "dp_2", 100, "needs_response"), p.dispute("closed", 8, "dp_2", 100, "lost")}
		}, 700},
		"more goes back than came": {func(p purchase) [][]byte {
			return [][]byte{p.session(1), p.refunded(3, 400), p.dispute("closed", 6, "dp_1", 500, "lost")}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				p := newPurchase()
				all := story.events(p)
				order := rapid.Permutation(append(all, rapid.SliceOfN(rapid.SampledFrom(all), 0, 3).Draw(r, "again")...)).Draw(r, "order")
				for i, payload := range order {
					if rapid.Bool().Draw(r, "other id") { // a replay in the dashboard keeps the id; another endpoint's need not
						payload = bytes.Replace(payload, []byte(`"id":"evt_`), fmt.Appendf(nil, `"id":"evt_r%d_%s`, i, p.id), 1)
					}
					b.deliver(r, payload)
					if sum := b.credits(r, p.organization); sum < 0 || sum > 1000 {
						r.Fatalf("%d credits for a payment of 1000", sum)
					}
				}
				require.Equal(r, story.want, b.credits(r, p.organization))
				row, err := b.service.store.payment(context.Background(), p.id)
				require.NoError(r, err)
				require.Equal(r, story.want, row.Credited)
			})
		})
	}
}

func TestWorth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := payment{
			Paid: true, Credits: rapid.Int64Range(1, mostCredits).Draw(t, "credits"), Amount: rapid.Int64Range(1, mostMoney).Draw(t, "amount"),
			Refunded: rapid.Int64Range(0, 2*mostMoney).Draw(t, "refunded"),
		}
		worth := p.worth()
		require.GreaterOrEqual(t, worth, int64(0))
		require.LessOrEqual(t, worth, p.Credits)
		more := p
		more.Disputed = rapid.Int64Range(0, mostMoney).Draw(t, "disputed")
		require.LessOrEqual(t, more.worth(), worth, "more money back is never worth more")
		if p.Refunded > 0 && p.Refunded < p.Amount {
			require.Less(t, float64(worth), float64(p.Credits)*(1-float64(p.Refunded)/float64(p.Amount))*(1+1e-9)+1e-6, "rounded for the platform")
		}
		if p.Refunded >= p.Amount {
			require.Zero(t, worth)
		}
	})
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	p := newPurchase()
	payload := p.session(1)
	good := sign(payload, time.Now())
	for name, test := range map[string]struct {
		payload   []byte
		signature string
		want      string
	}{
		"none":         {payload, "", "The signature is not Stripe's"},
		"nonsense":     {payload, "t=x,v1=y", "The signature is not Stripe's"},
		"wrong":        {payload, "t=" + strconv.FormatInt(time.Now().Unix(), 10) + ",v1=00", "The signature is not Stripe's"},
		"changed body": {bytes.Replace(payload, []byte("1000"), []byte("9999"), 1), good, "The signature is not Stripe's"},
		"old":          {payload, sign(payload, time.Now().Add(-tolerance-2*time.Second)), "The signature is more than 5 minutes old"},
		"no event":     {[]byte(`{}`), sign([]byte(`{}`), time.Now()), "This is no event of Stripe's"},
		"no JSON":      {[]byte(`{`), sign([]byte(`{`), time.Now()), "This is no event of Stripe's"},
		"no object":    {[]byte(`{"object":"event","id":"evt_x"}`), sign([]byte(`{"object":"event","id":"evt_x"}`), time.Now()), "This is no event of Stripe's"},
	} {
		err := b.service.Webhook(t.Context(), test.payload, test.signature)
		require.Equal(t, services.Invalid, services.KindOf(err), name)
		require.ErrorContains(t, err, test.want, name)
		require.NotContains(t, err.Error(), "MARKER")
	}
	odd := event("charge.refunded", 1, object{"object": "charge", "amount_refunded": "much"})
	require.True(t, services.Is(b.service.Webhook(t.Context(), odd, sign(odd, time.Now())), services.Invalid))
	require.Empty(t, b.lines(t, p.organization))
	require.NoError(t, b.service.Webhook(t.Context(), payload, sign(payload, time.Now().Add(-tolerance+30*time.Second))))
	require.EqualValues(t, 1000, b.credits(t, p.organization))
}

// TestOthers: what is not ours has no effect and no error.
func TestOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	p := newPurchase()
	b.deliver(t,
		event("customer.created", 1, object{"id": "cus_1", "object": "customer"}),
		event("something.new", 1, object{"id": "x"}),
		event("invoice.payment_failed", 1, object{"id": "in_1", "object": "invoice"}),
		event("payment_intent.succeeded", 1, object{"id": "pi_foreign", "object": "payment_intent", "status": "succeeded", "amount_received": 5, "metadata": object{}}),
		event("payment_intent.succeeded", 1, object{"id": "pi_foreign", "object": "payment_intent", "status": "succeeded", "metadata": object{"organization_id": p.organization, "credits": "-5"}}),
		event("payment_intent.succeeded", 1, object{"id": "pi_foreign", "object": "payment_intent", "status": "succeeded", "metadata": object{"organization_id": "me", "credits": "5"}}),
		event("checkout.session.completed", 1, object{"id": "cs_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_foreign"}),
		event("checkout.session.completed", 1, object{"id": "cs_2", "object": "checkout.session", "mode": "setup", "metadata": p.metadata()}),
		event("checkout.session.completed", 1, object{"id": "cs_3", "object": "checkout.session", "mode": "payment", "payment_status": "unpaid", "payment_intent": p.id, "amount_total": 500, "metadata": p.metadata()}),
		event("charge.refunded", 1, object{"id": "ch_1", "object": "charge", "amount_refunded": 5}),
		event("charge.refunded", 1, object{"id": "ch_2", "object": "charge", "payment_intent": "pi_foreign", "customer": "cus_foreign", "amount_refunded": 5}),
		event("invoice.paid", 1, object{"id": "in_2", "object": "invoice"}),
		event("invoice.paid", 1, object{"id": "in_3", "object": "invoice", "subscription": "sub_foreign", "lines": object{"data": []object{{"id": "il", "period": object{"start": 1, "end": 2}}}}}),
		event("customer.subscription.deleted", 1, object{"id": "sub_foreign", "object": "subscription", "status": "canceled", "customer": "cus_foreign"}),
	)
	var all int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM book`).Scan(&all))
	require.Zero(t, all)
	// A payment that takes days (a debit) counts when it has succeeded.
	b.deliver(t, event("checkout.session.async_payment_succeeded", 9, object{"id": "cs_3", "object": "checkout.session", "mode": "payment", "payment_status": "paid",
		"payment_intent": object{"id": p.id, "object": "payment_intent"}, "amount_total": 500, "metadata": p.metadata()}))
	require.EqualValues(t, 1000, b.credits(t, p.organization))
}

// TestAtOnce: twenty deliveries of one event, and of one payment's events, count once.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	p, q := newPurchase(), newPurchase()
	same := p.session(1)
	var wait sync.WaitGroup
	send := func(payload []byte) {
		wait.Go(func() { assert.NoError(t, b.service.Webhook(t.Context(), payload, sign(payload, time.Now()))) })
	}
	for i := range 20 {
		send(same)
		send([][]byte{q.session(1), q.intent(1), q.refunded(3, 100), q.dispute("created", 4, "dp", 100, "under_review")}[i%4])
	}
	wait.Wait()
	require.Len(t, b.lines(t, p.organization), 1)
	require.EqualValues(t, 1000, b.credits(t, p.organization))
	require.EqualValues(t, 600, b.credits(t, q.organization))
}

// TestCrash: what was not written down as a whole was not written down.
func TestCrash(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	p := newPurchase()
	b.deliver(t, p.refunded(5, 100))
	payload := p.session(1)
	b.ledger.fail = 1
	require.ErrorIs(t, b.service.Webhook(t.Context(), payload, sign(payload, time.Now())), errCrash)
	require.Empty(t, b.lines(t, p.organization))
	row, err := b.service.store.payment(t.Context(), p.id)
	require.NoError(t, err)
	require.False(t, row.Paid)
	b.deliver(t, payload, payload)
	require.EqualValues(t, 800, b.credits(t, p.organization))

	// Months after, the event's id is forgotten, but not the payment.
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_billing.stripe_events SET received_at = now() - interval '91 days'`)
	require.NoError(t, err)
	foreign := newPurchase()
	b.deliver(t, foreign.refunded(5, 100), foreign.refund("refund.created", 5, "re", 100, "succeeded"))
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_billing.payments SET created_at = now() - interval '91 days'`)
	require.NoError(t, err)
	require.NoError(t, b.service.Prune(t.Context()))
	left, err := postgres.Values[string](t.Context(), b.pool, `SELECT payment_id FROM uaol_billing.payments`)
	require.NoError(t, err)
	require.Equal(t, []string{p.id}, left)
	var events, reversals int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM uaol_billing.stripe_events), (SELECT count(*) FROM uaol_billing.reversals)`).Scan(&events, &reversals))
	require.Equal(t, [2]int{2, 0}, [2]int{events, reversals})
	b.deliver(t, payload)
	require.EqualValues(t, 800, b.credits(t, p.organization))
}
