package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"uaol/providers/api"
	"uaol/services"
)

const plansPath = creditsPath + "/plans"

// plan is what a tier brings; 0 means as much as one likes, except of credits.
type plan struct {
	Tier        string `json:"tier"`
	Credits     int64  `json:"credits"`
	Storage     int64  `json:"storage"`
	Calls       int64  `json:"calls"`
	Rate        int64  `json:"rate"`
	HistoryDays int64  `json:"historyDays"`
	FileDays    int64  `json:"fileDays"`
}

// pack is an amount of credits for sale.
type pack struct {
	Name     string `json:"name"`
	Credits  int64  `json:"credits"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Costs is the pack's price, as far as it is known here; else the page of the payment says it.
func (p pack) Costs() string {
	if p.Currency == "" {
		return ""
	}
	return moneyText(p.Amount, p.Currency)
}

type plansData struct {
	Plans   []plan
	Current string
	Packs   []pack
	Selling bool   // anything can be bought here
	Why     string // nothing can
}

func (v *visit) tier() (string, error) {
	var subscription struct {
		Tier string `json:"tier"`
	}
	err := v.get("/billing/subscription", &subscription)
	return subscription.Tier, err
}

// plan is that of the organisation which is looked at.
func (v *visit) plan() (plan, error) {
	var plans []plan
	var tier string
	err := together(
		func() error { return v.get("/billing/plans", &plans) },
		func() (err error) { tier, err = v.tier(); return err },
	)
	for _, p := range plans {
		if p.Tier == tier {
			return p, err
		}
	}
	return plan{Tier: tier}, err
}

// notSelling is the API's code where no operator has set payments up.
const notSelling = "BILLING_NOT_CONFIGURED"

func plansPage(v *visit) (view, error) {
	data := plansData{Selling: true}
	err := together(
		func() error { return v.get("/billing/plans", &data.Plans) },
		func() (err error) { data.Current, err = v.tier(); return err },
		func() error {
			err := v.get("/billing/packs", &data.Packs)
			if api.CodeOf(err) == notSelling {
				data.Selling, data.Why, err = false, api.MessageOf(err), nil
			}
			return err
		},
	)
	return view{Template: "credits-plans", Title: "Plans and packs", Section: "credits", Data: data}, err
}

// payment is a page elsewhere on which somebody pays.
type payment struct {
	URL  string `json:"url"`
	What string `json:"-"`
}

// goOn shows where a payment goes on: forms of these pages lead to no other site, and
// nobody should be surprised by one.
func (v *visit) goOn(p payment) error {
	v.standAt(plansPath)
	return v.render(view{Template: "pay", Title: "Go on to the payment", Section: "credits", Data: p})
}

// returning is where payments come back to.
const returning = Prefix

func checkout(v *visit) error {
	p := payment{What: "Credits are added once the payment is made."}
	if err := v.send(http.MethodPost, "/billing/checkout", map[string]string{"pack": v.form("pack"), "return_to": returning}, &p); err != nil {
		return err
	}
	return v.goOn(p)
}

func subscribe(v *visit) error {
	p := payment{What: "The plan " + v.form("tier") + " begins once the payment is made."}
	if err := v.send(http.MethodPost, "/billing/subscribe", map[string]string{"tier": v.form("tier"), "return_to": returning}, &p); err != nil {
		return err
	}
	if p.URL == "" {
		return v.to(plansPath, "The subscription has begun.")
	}
	return v.goOn(p)
}

func portal(v *visit) error {
	p := payment{What: "Cards, invoices and the plan are managed there."}
	if err := v.send(http.MethodPost, "/billing/portal", map[string]string{"return_to": returning}, &p); err != nil {
		return v.nothingBought(err)
	}
	return v.goOn(p)
}

// nothingBought says so where there is nothing to manage or to end, which is no mistake of
// anybody's: a plan may have been given.
func (v *visit) nothingBought(err error) error {
	if isKind(err, services.NotFound) {
		return v.to(plansPath, api.MessageOf(err)+".")
	}
	return err
}

func cancelSubscription(v *visit) error {
	if err := v.send(http.MethodPost, "/billing/subscription/cancel", nil, nil); err != nil {
		return v.nothingBought(err)
	}
	return v.to(plansPath, "The subscription ends with the period that is paid.")
}

// wholeUnits are currencies that have no smaller unit (Stripe's zero-decimal currencies).
var wholeUnits = []string{"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}

// moneyText writes an amount of a currency's smallest unit.
func moneyText(amount int64, currency string) string {
	name := strings.ToUpper(currency)
	if slices.Contains(wholeUnits, strings.ToLower(currency)) {
		return thousands(amount) + " " + name
	}
	cents := strconv.FormatInt(amount%100+100, 10)[1:] // two digits
	return thousands(amount/100) + "." + cents + " " + name
}
