package payments

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"uaol/providers/postgres"
)

// contract is a subscription and its events.
type contract struct {
	organization uuid.UUID
	id           string
	customer     string
}

func newContract(organization uuid.UUID) contract {
	id := uuid.NewString()[:8]
	return contract{organization: organization, id: "sub_" + id, customer: "cus_" + id}
}

func (c contract) metadata() object {
	return object{"organization_id": c.organization.String(), "tier": "Pro"}
}

func (c contract) says(kind string, at int64, status, price string) []byte {
	return event("customer.subscription."+kind, at, object{
		"id": c.id, "object": "subscription", "status": status, "customer": c.customer, "metadata": c.metadata(),
		"items": object{"data": []object{{"id": "si", "price": object{"id": price}, "current_period_end": at + 1000}}},
	})
}

func period(line string, amount int64, price string, from, until int64) object {
	return object{"id": line, "amount": amount, "period": object{"start": from, "end": until}, "pricing": object{"price_details": object{"price": price}}}
}

func (c contract) paid(invoice string, at int64, lines ...object) []byte {
	return event("invoice.paid", at, object{
		"id": invoice + c.id, "object": "invoice", "amount_paid": 2000, "currency": "usd", "customer": c.customer,
		"parent": object{"type": "subscription_details", "subscription_details": object{"subscription": c.id, "metadata": c.metadata()}},
		"lines":  object{"data": lines},
	})
}

const day = 24 * 60 * 60

func TestSubscription(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	c := newContract(uuid.New())
	month := period("il", 2000, "price_pro", 0, 31*day)
	b.deliver(t, c.says("created", 1, "incomplete", "price_pro"), c.paid("in_1", 1, month), c.paid("in_1", 1, month), c.says("updated", 1, "active", "price_pro"))
	require.Equal(t, []line{{c.organization, "invoice/in_1" + c.id, 0, "Pro", "1970-01-01/1970-02-01"}}, b.lines(t, c.organization))
	now, err := b.service.Subscription(t.Context(), c.organization)
	require.NoError(t, err)
	require.Equal(t, "active", now.Status)
	require.EqualValues(t, 1001, now.PeriodEnd.Unix())

	// A refund of it is written down and takes nothing back.
	_, err = b.service.store.addCustomer(t.Context(), c.organization, c.customer)
	require.NoError(t, err)
	b.deliver(t, event("charge.refunded", 2, object{"id": "ch", "object": "charge", "payment_intent": "pi_sub", "customer": c.customer, "amount_refunded": 2000}))
	row, err := b.service.store.payment(t.Context(), "pi_sub")
	require.NoError(t, err)
	require.Equal(t, c.organization, *row.Organization)
	require.EqualValues(t, 2000, row.Refunded)
	require.Len(t, b.lines(t, c.organization), 1)

	// Changed in the portal: our word on it stays behind, the price tells.
	b.deliver(t, c.says("updated", 50, "active", "price_enterprise"), c.paid("in_2", 50,
		period("il_1", -1000, "price_pro", 10*day, 31*day), period("il_2", 7000, "price_enterprise", 10*day, 31*day), period("il_3", 1, "price_other", 0, 99*day)))
	require.Equal(t, "Enterprise", b.tier(t, c.organization))
	require.Equal(t, "1970-01-11/1970-02-01", b.lines(t, c.organization)[1].Facts)

	b.deliver(t, c.says("updated", 60, "past_due", "price_enterprise"), c.says("updated", 61, "unpaid", "price_enterprise"))
	require.Equal(t, "Enterprise", b.tier(t, c.organization), "the ledger knows until when it was paid")
	b.deliver(t, c.says("deleted", 70, "canceled", "price_enterprise"), c.says("updated", 71, "active", "price_enterprise"))
	require.Equal(t, "Free", b.tier(t, c.organization))
	now, err = b.service.Subscription(t.Context(), c.organization)
	require.NoError(t, err)
	require.Equal(t, [2]string{"canceled", "Enterprise"}, [2]string{now.Status, now.Tier})
}

// TestSubscriptionOrder: whatever comes first, each month is given once and the
// tier is what it would have been.
func TestSubscriptionOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	one, two := period("il", 2000, "price_pro", 0, 31*day), period("il", 2000, "price_pro", 31*day, 59*day)
	for name, story := range map[string]struct {
		events func(c, next contract) [][]byte
		status string // what is known of the first
		tier   string
		months int
	}{
		"begun in a second": {func(c, _ contract) [][]byte {
			return [][]byte{c.says("created", 1, "incomplete", "price_pro"), c.paid("in_1", 1, one), c.says("updated", 1, "active", "price_pro")}
		}, "active", "Pro", 1},
		"two months and over": {func(c, _ contract) [][]byte {
			return [][]byte{c.says("created", 1, "active", "price_pro"), c.paid("in_1", 1, one), c.paid("in_2", 5, two), c.says("updated", 5, "active", "price_pro"), c.says("deleted", 9, "canceled", "price_pro")}
		}, "canceled", "Free", 2},
		"never paid": {func(c, _ contract) [][]byte {
			return [][]byte{c.says("created", 1, "incomplete", "price_pro"), c.says("updated", 3, "incomplete_expired", "price_pro")}
		}, "incomplete_expired", "Free", 0},
		"never paid, given up": {func(c, _ contract) [][]byte {
			return [][]byte{c.says("created", 1, "incomplete", "price_pro"), c.says("deleted", 3, "canceled", "price_pro")}
		}, "canceled", "Free", 0},
		"over, and another": {func(c, next contract) [][]byte {
			return [][]byte{c.paid("in_1", 1, one), c.says("deleted", 9, "canceled", "price_pro"), next.says("created", 10, "active", "price_enterprise"),
				next.paid("in_2", 10, period("il", 9000, "price_enterprise", 31*day, 59*day))}
		}, "canceled", "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				c := newContract(uuid.New())
				next := newContract(c.organization)
				all := story.events(c, next)
				order := rapid.Permutation(append(all, rapid.SliceOfN(rapid.SampledFrom(all), 0, 3).Draw(r, "again")...)).Draw(r, "order")
				for i, payload := range order {
					if rapid.Bool().Draw(r, "other id") {
						payload = bytes.Replace(payload, []byte(`"id":"evt_`), fmt.Appendf(nil, `"id":"evt_r%d_%s`, i, c.id), 1)
					}
					b.deliver(r, payload)
				}
				months, last, over := 0, "Free", false
				for _, l := range b.lines(r, c.organization) {
					if l.Tier == "Free" {
						over = true
					} else {
						months++
					}
					if l.Tier == "Enterprise" || story.tier != "" { // the ledger passes over an older period
						last = l.Tier
					}
					if l.Tier == "Free" {
						last = "Free"
					}
				}
				require.Equal(r, story.months, months)
				require.False(r, over && months == 0, "what gave no tier takes none away")
				if story.tier != "" {
					require.Equal(r, story.tier, last)
				} else if over {
					require.Equal(r, "Enterprise", last, "the end of the first does not end the second")
				}
				status, err := postgres.Value[string](context.Background(), b.pool, `SELECT status FROM uaol_billing.subscriptions WHERE subscription_id = $1`, c.id)
				require.NoError(r, err)
				require.Equal(r, story.status, status)
			})
		})
	}
}

// TestOwnerComesLater: what was paid counts once it is known for whom.
func TestOwnerComesLater(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	c := newContract(uuid.New())
	nobody := event("invoice.paid", 1, object{
		"id": "in_1", "object": "invoice", "amount_paid": 2000, "currency": "usd",
		"parent": object{"subscription_details": object{"subscription": c.id}},
		"lines":  object{"data": []object{period("il", 2000, "price_else", 0, 31*day)}},
	})
	b.deliver(t, nobody)
	require.Empty(t, b.lines(t, c.organization))
	b.deliver(t, event("checkout.session.completed", 1, object{"id": "cs", "object": "checkout.session", "mode": "subscription", "payment_status": "paid",
		"subscription": c.id, "customer": c.customer, "metadata": c.metadata()}))
	require.Empty(t, b.lines(t, c.organization), "for whom, but not for what")
	b.deliver(t, c.says("created", 1, "active", "price_else")) // our word on it tells the tier
	require.Equal(t, "Pro", b.tier(t, c.organization))

	// The customer tells as well whose it is.
	d := newContract(uuid.New())
	_, err := b.service.store.addCustomer(t.Context(), d.organization, d.customer)
	require.NoError(t, err)
	b.deliver(t, event("customer.subscription.created", 1, object{"id": d.id, "object": "subscription", "status": "active", "customer": d.customer,
		"items": object{"data": []object{{"price": object{"id": "price_enterprise"}}}}}),
		event("invoice.paid", 1, object{"id": "in_2", "object": "invoice", "customer": d.customer, "parent": object{"subscription_details": object{"subscription": d.id}},
			"lines": object{"data": []object{period("il", 2000, "price_enterprise", 0, 31*day)}}}))
	require.Equal(t, "Enterprise", b.tier(t, d.organization))
}

// TestOlderVersions: an endpoint may be of the version that its account had when
// it was made.
func TestOlderVersions(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	c := newContract(uuid.New())
	b.deliver(t,
		event("customer.subscription.created", 1, object{"id": c.id, "object": "subscription", "status": "active", "customer": c.customer, "metadata": c.metadata(),
			"current_period_end": 31 * day, "items": object{"data": []object{{"id": "si", "price": object{"id": "price_enterprise"}}}}}),
		event("invoice.paid", 1, object{"id": "in_1", "object": "invoice", "amount_paid": 2000, "currency": "usd", "customer": c.customer,
			"subscription": c.id, "subscription_details": object{"metadata": c.metadata()},
			"lines": object{"data": []object{{"id": "il", "amount": 2000, "period": object{"start": 0, "end": 31 * day}, "price": object{"id": "price_enterprise"}}}}}))
	require.Equal(t, []line{{c.organization, "invoice/in_1", 0, "Enterprise", "1970-01-01/1970-02-01"}}, b.lines(t, c.organization))
	now, err := b.service.Subscription(t.Context(), c.organization)
	require.NoError(t, err)
	require.Equal(t, time.Unix(31*day, 0).UTC(), now.PeriodEnd.UTC())
}
