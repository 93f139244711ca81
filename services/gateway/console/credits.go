package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
)

const creditsPath = Prefix + "/credits"

func creditsRoutes() []route {
	return []route{
		see("/credits", unfilled(creditsPage)),
		do("/credits/transfer", transferCredits),
		see("/credits/usage.csv", usageCSV),
		see("/credits/history", creditsHistory),
		see("/credits/caps", unfilled(capsPage)),
		do("/credits/caps", setCap),
		do("/credits/caps/remove", removeCap),
		see("/credits/plans", plansPage),
		do("/credits/checkout", checkout),
		do("/credits/subscribe", subscribe),
		do("/credits/portal", portal),
		do("/credits/cancel", cancelSubscription),
	}
}

// lookback is for how many days usage is shown.
type lookback struct {
	Name string
	Days int
}

var lookbacks = []lookback{{"7 days", 7}, {"30 days", 30}, {"90 days", 90}}

func lookbackOf(days string) lookback {
	for _, l := range lookbacks {
		if strconv.Itoa(l.Days) == days {
			return l
		}
	}
	return lookbacks[1]
}

// from is the first moment of the first day, today's being the last.
func (l lookback) from(now time.Time) time.Time {
	return now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-l.Days)
}

// daySpent is what was spent on one day of UTC.
type daySpent struct {
	At      time.Time
	Credits int64
	Charges int64
}

// spentBy is what was spent by one tool, member or key.
type spentBy struct {
	Key     string
	Name    string
	Credits int64
	Charges int64
}

// spending is what was spent by one of the things that usage is told by.
type spending struct {
	By    string // in the API's words
	Title string
	Rows  []spentBy
	Most  int64 // credits of the largest row
	More  bool  // there are more rows than are shown
}

type creditsData struct {
	Back     lookback
	Backs    []lookback
	From     string // what usage is asked from, in the API's form
	Plan     plan
	Balance  string
	Days     []daySpent // newest first
	Spent    int64
	Charges  int64
	By       []spending
	Payment  string // what came of a payment: success, cancelled or ""
	Own      string // the visitor's personal credits, looked at from a shared organisation
	Shared   []organization
	Transfer filled
}

// usageRow is a row of GET /credits/usage.
type usageRow struct {
	Key     string `json:"key"`
	Credits int64  `json:"credits,string"`
	Charges int64  `json:"charges"`
}

const mostBars = 10

func creditsPage(v *visit, form filled) (view, error) {
	now := time.Now()
	data := creditsData{Back: lookbackOf(v.asked("days")), Backs: lookbacks, Payment: v.asked("payment") + v.asked("checkout"), Transfer: form.In("transfer")}
	data.From = data.Back.from(now).Format(time.RFC3339)
	var days []usageRow
	who := &people{}
	tools := &naming{}
	spendings := []spending{{By: "tool", Title: "By tool"}, {By: "member", Title: "By member"}, {By: "key", Title: "By API key"}}
	things := []func() error{
		func() (err error) { data.Plan, err = v.plan(); return err },
		func() error {
			return v.get(path(some("by", "day", "from", data.From, "limit", "200"), "credits", "usage"), &days)
		},
		func() (err error) { who, err = v.whoIsThere(); return err },
		func() error { return v.ownCredits(&data) },
	}
	for i := range spendings {
		things = append(things, func() error { return v.spentBy(&spendings[i], data.From) })
	}
	if err := together(things...); err != nil {
		return view{}, err
	}
	if err := v.nameTools(tools, spentKeys(spendings[0].Rows)); err != nil {
		return view{}, err
	}
	data.Balance = v.who.Credits
	data.Days = everyDay(days, data.Back, now)
	for _, d := range days {
		data.Spent, data.Charges = data.Spent+d.Credits, data.Charges+d.Charges
	}
	for _, s := range spendings {
		if s.By == "member" && v.who.Organization.Personal || len(s.Rows) == 0 {
			continue
		}
		names := &who.naming
		if s.By == "tool" {
			names = tools
		}
		data.By = append(data.By, s.named(names))
	}
	for _, o := range v.who.Organizations {
		if !o.Personal && o.Role != "viewer" {
			data.Shared = append(data.Shared, o)
		}
	}
	return view{Template: "credits", Title: "Credits", Section: "credits", Data: data}, nil
}

func (v *visit) spentBy(into *spending, from string) error {
	var rows []usageRow
	if err := v.get(path(some("by", into.By, "from", from, "limit", strconv.Itoa(mostBars+1)), "credits", "usage"), &rows); err != nil {
		return err
	}
	if into.More = len(rows) > mostBars; into.More {
		rows = rows[:mostBars]
	}
	for _, row := range rows {
		into.Rows = append(into.Rows, spentBy{Key: row.Key, Credits: row.Credits, Charges: row.Charges})
		into.Most = max(into.Most, row.Credits)
	}
	return nil
}

func spentKeys(rows []spentBy) []string {
	keys := make([]string, len(rows))
	for i, row := range rows {
		keys[i] = row.Key
	}
	return keys
}

// named says what the rows are called. Spending without a tool is a model's or a
// correction's, without a key somebody's who had signed in.
func (s spending) named(names *naming) spending {
	nothing := map[string]string{"tool": "Models and corrections", "member": "Nobody named", "key": "Signed in, without a key"}
	for i, row := range s.Rows {
		if row.Key == "" {
			s.Rows[i].Name = nothing[s.By]
		} else {
			s.Rows[i].Name = names.Of(row.Key)
		}
	}
	return s
}

// everyDay gives each day a row, the newest first, those without spending too.
func everyDay(spent []usageRow, back lookback, now time.Time) []daySpent {
	byDay := make(map[string]usageRow, len(spent))
	for _, row := range spent {
		byDay[row.Key] = row
	}
	first := back.from(now)
	days := make([]daySpent, 0, back.Days)
	for i := back.Days - 1; i >= 0; i-- {
		at := first.AddDate(0, 0, i)
		row := byDay[at.Format(time.DateOnly)]
		days = append(days, daySpent{at, row.Credits, row.Charges})
	}
	return days
}

// ownCredits asks what the visitor has of their own, who looks at a shared organisation.
func (v *visit) ownCredits(data *creditsData) error {
	if v.who.Organization.Personal {
		return nil
	}
	var balance struct {
		Credits string `json:"credits"`
	}
	err := v.in("").get("/credits/balance", &balance)
	data.Own = balance.Credits
	return err
}

// in is the same visit to another organisation; "" is the personal one.
func (v *visit) in(organization string) *visit {
	there := *v
	there.session.organization = organization
	return &there
}

// usageCSV hands the API's table on, for browsers have no credentials of the API.
func usageCSV(v *visit) (view, error) {
	query := url.Values{}
	for _, name := range []string{"by", "from", "to"} {
		if value := v.asked(name); value != "" {
			query.Set(name, value)
		}
	}
	return v.passOn(path(query, "credits", "usage.csv"), nil)
}

func transferCredits(v *visit) error {
	to := v.form("organization")
	amount, err := v.number("amount")
	if err == nil {
		// The form's key makes it one transfer, however often it is sent.
		operation := uuid.NewSHA1(uuid.NameSpaceURL, []byte("transfer/"+v.form("once")))
		body := map[string]any{"organizationId": to, "amount": amount, "operationId": operation}
		err = v.in(to).send(http.MethodPost, "/credits/transfer", body, nil)
	}
	if err != nil {
		return v.refill(err, creditsPath, "transfer", creditsPage)
	}
	return v.to(creditsPath, creditsText(amount)+" were moved to "+v.nameOf(to)+".")
}

// nameOf is what one of the visitor's organisations is called.
func (v *visit) nameOf(organization string) string {
	for _, o := range v.who.Organizations {
		if o.ID == organization {
			return o.Name
		}
	}
	return "another organisation"
}
