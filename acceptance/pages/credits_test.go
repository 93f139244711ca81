package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/acceptance/world"
)

// TestSpending: a call is charged; the page says of what, the history when and what is left,
// with the way to the receipt; the table is there as CSV.
func TestSpending(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tool := b.tool(t, ada, "Greeter", 7)
	for range 3 {
		require.Equal(t, http.StatusOK, ada.Do(t, http.MethodPost, "/proxy/"+tool+"/call", object{"method": "echo", "params": object{"text": "hello"}}).Status)
	}
	world.Until(t, "the calls are paid", func() bool {
		return ada.Do(t, http.MethodGet, "/credits/usage?by=tool", nil).Text("data.0.credits") == "21"
	})
	tab := b.enter(t, ada)
	tab.Go("/console/credits")
	tab.Sees(".tiles", "9,979", "21")
	tab.Sees("[aria-labelledby=by-tool]", "Greeter", "21")
	tab.Sees("[aria-labelledby=by-key]", "default", "21")
	today := time.Now().UTC().Format("Mon 2 Jan 2006")
	require.Equal(t, 30, tab.Count("#days tbody tr"))
	require.Contains(t, tab.Text("#days tbody tr:first-child"), today)
	tab.Until(`document.querySelector('.plot canvas') != null`)
	tab.Pictures("credits")
	csv := browser.Run[string](tab, `fetch([...document.querySelectorAll('[aria-labelledby=by-tool] a')].at(-1).href).then(r => r.text().then(text => r.headers.get('content-type') + '\n' + text))`)
	require.Equal(t, []string{"text/csv; charset=utf-8", "tool,credits,charges", tool + ",21,3"}, strings.Split(strings.TrimSpace(csv), "\n"))

	tab.Press("main", "History")
	tab.Sees("main table", "Charged", "Set aside", "Given", "9,979", "Greeter", "echo")
	tab.Put("#kind", "settle")
	tab.Put("#tool", tool)
	tab.Press("main", "Show")
	tab.Sees("main", "Show all")
	require.Equal(t, 3, tab.Count("main tbody tr"))
	receipt := browser.Run[string](tab, `document.querySelector('main tbody a[href^="/console/receipts/"]').href.split('/').pop()`)
	require.Equal(t, http.StatusOK, ada.Do(t, http.MethodGet, "/receipts/"+receipt, nil).Status, "the link is a receipt's")
	tab.Pictures("credits-history")
	tab.Put("#to", "2020-01-01")
	tab.Press("main", "Show")
	tab.Sees("main", "No entry fits")
}

// TestCap: a call is refused by a cap that somebody has set, and goes through once the cap
// is gone.
func TestCap(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tool := b.tool(t, ada, "Greeter", 7)
	say := func() world.Answer {
		return ada.Do(t, http.MethodPost, "/proxy/"+tool+"/call", object{"method": "echo", "params": object{"text": "hello"}})
	}
	tab := b.enter(t, ada)
	tab.Go("/console/credits/caps")
	tab.Sees("main", "No caps")
	tab.Fill("#amount", "ten")
	tab.Press("main", "Set the cap")
	tab.Sees("main .fault", "must be a whole number")
	require.Equal(t, "ten", browser.Run[string](tab, `document.querySelector('#amount').value`))
	key := ada.Do(t, http.MethodGet, "/auth/keys", nil).Text("data.0.id")
	tab.Put("#whose", "key:"+key)
	tab.Fill("#amount", "10")
	tab.Press("main", "Set the cap")
	tab.Sees("main", "The cap is set: 10 credits a day.", "Key default")
	require.Equal(t, http.StatusOK, say().Status, "7 of 10")
	refused := say()
	require.Equal(t, http.StatusPaymentRequired, refused.Status, refused)
	require.Equal(t, "SPEND_CAP_EXCEEDED", refused.Text("error.code"))
	tab.Go("/console/credits/caps")
	tab.Sees("main table", "7 since", "3")
	tab.Pictures("caps")
	tab.Press("main table", "Remove")
	sure(tab)
	tab.Sees("main", "The cap is removed.", "No caps")
	require.Equal(t, http.StatusOK, say().Status)
}

// TestTransfer: somebody moves credits to an organisation, once, and who has too few is told.
func TestTransfer(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	organization(tab, "Acme")
	tab.Go("/console/credits")
	tab.Sees("main", "You have 10,000 credits of your own")
	tab.Fill("#transfer-amount", "20000")
	tab.Press("main", "Move credits")
	tab.Sees("main [role=alert]", "Insufficient credits")
	tab.Fill("#transfer-amount", "2,500")
	tab.Press("main", "Move credits")
	tab.Sees("main", "2,500 credits were moved to Acme.", "You have 7,500 credits of your own")
	tab.Sees(".tiles", "2,500")
	require.Equal(t, "7500", ada.credits(t))
	tab.Go("/console/credits/history")
	tab.Sees("main table", "Received", "+2,500")
}

// TestNothingIsSold: without Stripe the page says so and has nothing to press.
func TestNothingIsSold(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tab := b.enter(t, b.somebody(t))
	tab.Go("/console/credits/plans")
	tab.Sees("main", "Nothing can be bought here.", "Free", "now", "100,000 a month")
	require.Zero(t, tab.Count("main form, main button"))
}

// TestBuying: with Stripe, a pack and a plan lead to a page of Stripe's by a link, which
// knows the way back here.
func TestBuying(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told url.Values
	stripe := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"id":"x_1","url":"https://checkout.stripe.test/pay"}`
		if r.Method == http.MethodGet {
			answer = `{"object":"list","data":[],"has_more":false}`
		} else if r.ParseForm() == nil {
			mu.Lock()
			told = r.Form
			mu.Unlock()
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(stripe.Close)
	said := func(name string) string {
		mu.Lock()
		defer mu.Unlock()
		return told.Get(name)
	}
	b := setup(t, world.Settings{"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_x", "UAOL_STRIPE_URL": stripe.URL, "UAOL_STRIPE_PRICE_PRO": "price_pro"})
	tab := b.enter(t, b.somebody(t))
	tab.Go("/console/credits/plans")
	tab.Sees("main", "starter", "10,000", "5.00 USD")
	tab.Pictures("plans")
	tab.Press("[aria-labelledby=packs-title] tbody", "Buy")
	tab.Sees("main", "Card numbers go to Stripe alone")
	link := browser.Run[string](tab, `document.querySelector('main a.button').href`)
	require.Equal(t, "https://checkout.stripe.test/pay", link)
	require.True(t, strings.HasPrefix(said("success_url"), b.world.Gateway+"/console/credits?checkout=success"), said("success_url"))
	tab.Pictures("pay")
	tab.Go("/console/credits?checkout=success&session_id=x")
	tab.Sees("main .note", "Thank you")
	tab.Go("/console/credits?checkout=cancelled")
	tab.Sees("main .note", "Nothing was bought")

	tab.Go("/console/credits/plans")
	tab.Press("main", "Subscribe to Pro")
	tab.Sees("main", "The plan Pro begins once the payment is made.")
	require.Equal(t, "subscription", said("mode"))
	tab.Go("/console/credits/plans")
	tab.Press("main", "Subscribe to Enterprise")
	tab.Sees("main", "Payments are not configured; set UAOL_STRIPE_PRICE_ENTERPRISE", "has not set payments up")
	tab.Problems() // the browser tells of the 503
	tab.Go("/console/credits/plans")
	tab.Press("main", "Cards and invoices")
	tab.Sees("main", "managed there")
	require.Equal(t, b.world.Gateway+"/console/credits", said("return_url"))
}
