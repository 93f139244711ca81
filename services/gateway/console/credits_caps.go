package console

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

const capsPath = creditsPath + "/caps"

// spendCap is how many credits may be spent in a day or a month, by everybody, one member
// or one key.
type spendCap struct {
	Scope   string    `json:"scope"`
	Subject string    `json:"subjectId"`
	Period  string    `json:"period"`
	Amount  int64     `json:"amount"`
	Spent   int64     `json:"spent"`
	Start   time.Time `json:"periodStart"`
	Whose   string    `json:"-"`
}

// Reached reports whether nothing more may be spent.
func (c spendCap) Reached() bool { return c.Spent >= c.Amount }

// Left is how much may still be spent.
func (c spendCap) Left() int64 { return max(c.Amount-c.Spent, 0) }

// capped is whom a cap can be set for.
type capped struct {
	Value string // scope:subject, as the form sends it
	Name  string
}

type capsData struct {
	Caps    []spendCap
	Next    string
	Members []capped
	Keys    []capped
	Form    filled
}

func capsPage(v *visit, form filled) (view, error) {
	data := capsData{Form: form.In("cap")}
	var who *people
	var spent []usageRow
	err := together(
		func() (err error) {
			data.Next, err = v.list(path(some("cursor", v.asked("cursor")), "billing", "caps"), &data.Caps)
			return err
		},
		func() (err error) { who, err = v.whoIsThere(); return err },
		func() error { return v.get("/credits/usage?by=key&limit=50", &spent) },
	)
	if err != nil {
		return view{}, err
	}
	for i, c := range data.Caps {
		data.Caps[i].Whose = c.whose(who)
		if c.Scope == "organization" && v.who.Organization.Personal {
			data.Caps[i].Whose = "Everything of yours"
		}
	}
	for _, m := range who.Members {
		data.Members = append(data.Members, capped{"member:" + m.Account, m.Says()})
	}
	for _, key := range who.Keys {
		data.Keys = append(data.Keys, capped{"key:" + key.ID, key.Name + " (" + key.Masked + ")"})
	}
	for _, row := range spent { // others' keys, of which no more is known
		if row.Key != "" && !who.Known(row.Key) {
			data.Keys = append(data.Keys, capped{"key:" + row.Key, "A member's key …" + shortened(row.Key)})
		}
	}
	slices.SortFunc(data.Keys, func(a, b capped) int { return strings.Compare(a.Name, b.Name) })
	if data.Next != "" {
		data.Next = capsPath + "?" + some("cursor", data.Next).Encode()
	}
	return view{Template: "credits-caps", Title: "Spend caps", Section: "credits", Data: data}, nil
}

func (c spendCap) whose(who *people) string {
	switch c.Scope {
	case "member":
		return who.Of(c.Subject)
	case "key":
		return "Key " + who.Of(c.Subject)
	}
	return "Everybody together"
}

func setCap(v *visit) error {
	scope, subject, _ := strings.Cut(v.form("whose"), ":")
	amount, err := v.number("amount")
	if err == nil {
		body := map[string]any{"scope": scope, "period": v.form("period"), "amount": amount}
		if subject != "" {
			body["subjectId"] = subject
		}
		err = v.send(http.MethodPut, "/billing/caps", body, nil)
	}
	if err != nil {
		return v.refill(err, capsPath, "cap", capsPage)
	}
	return v.to(capsPath, "The cap is set: "+creditsText(amount)+" a "+v.form("period")+".")
}

func removeCap(v *visit) error {
	query := some("scope", v.form("scope"), "subjectId", v.form("subject"), "period", v.form("period"))
	if err := v.send(http.MethodDelete, path(query, "billing", "caps"), nil, nil); err != nil {
		return err
	}
	return v.to(capsPath, "The cap is removed.")
}
