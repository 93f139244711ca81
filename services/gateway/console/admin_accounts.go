package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

const adminAccountsPath = adminPath + "/accounts"

// account is anybody's.
type account struct {
	ID           string    `json:"id"`
	Kind         string    `json:"kind"`
	Name         *string   `json:"name"`
	Email        *string   `json:"email"`
	Verified     bool      `json:"emailVerified"`
	Admin        bool      `json:"admin"`
	Created      time.Time `json:"createdAt"`
	Organization string    `json:"organizationId"`
	Tier         string    `json:"subscriptionTier"`
	Credits      string    `json:"credits"`
}

// Says is what people know the account by.
func (a account) Says() string {
	for _, known := range []*string{a.Email, a.Name} {
		if known != nil && *known != "" {
			return *known
		}
	}
	return "Guest …" + shortened(a.ID)
}

// Person reports whether somebody can sign in as it.
func (a account) Person() bool { return a.Kind == "user" }

// Program reports whether it is a service account.
func (a account) Program() bool { return a.Kind == serviceAccount }

// KindSays is the kind in people's words.
func (a account) KindSays() string { return accountKind(a.Kind) }

func accountKind(kind string) string {
	for _, k := range accountKinds {
		if k.Kind == kind {
			return k.One
		}
	}
	return kind
}

// accountKinds are the kinds of accounts that can be looked for.
var accountKinds = []struct{ Kind, One, Many string }{
	{"", "", "People and service accounts"}, {"user", "Person", "People"}, {serviceAccount, "Service account", "Service accounts"}, {"guest", "Guest", "Guests"},
}

type adminAccountsData struct {
	Query, Kind string
	Kinds       []struct{ Kind, One, Many string }
	Accounts    []account
	More        string
}

func adminAccounts(v *visit) (view, error) {
	data := adminAccountsData{Query: v.asked("q"), Kind: v.asked("kind"), Kinds: accountKinds}
	next, err := v.list(path(some("q", data.Query, "kind", data.Kind, "cursor", v.asked("cursor")), "accounts"), &data.Accounts)
	if err != nil {
		return view{}, err
	}
	if next != "" {
		data.More = adminAccountsPath + "?" + some("q", data.Query, "kind", data.Kind, "cursor", next).Encode()
	}
	return view{Template: "admin-accounts", Title: "Accounts", Section: "admin", Data: data}, nil
}

type adminAccountData struct {
	account
	Acts  []platformAct // the last that it did
	Names *naming       // of the accounts in them
	Plans []plan
	Self  bool // it is the visitor's own
	Base  string
	Form  filled
}

const adminActs = "10"

func (v *visit) adminAccountPath() string { return adminAccountsPath + "/" + v.r.PathValue("account") }

func adminAccount(v *visit, form filled) (view, error) {
	id := v.r.PathValue("account")
	data := adminAccountData{Form: form, Self: id == v.who.Account, Base: v.console.base(v.r)}
	err := together(
		func() error { return v.get(path(nil, "accounts", id), &data.account) },
		func() error { return v.get(path(some("account", id, "limit", adminActs), "audit"), &data.Acts) },
		func() error { return v.get("/billing/plans", &data.Plans) },
	)
	if err != nil {
		return view{}, err
	}
	if data.Names, err = v.nameAccounts(data.Acts); err != nil {
		return view{}, err
	}
	return view{Template: "admin-account", Title: data.Says(), Section: "admin", Data: data}, nil
}

// GrantCommand is how credits are given to it from a terminal.
func (d adminAccountData) GrantCommand() string {
	whose := `"userId":"` + d.ID + `"`
	if d.Program() {
		whose = `"organizationId":"` + d.Organization + `"`
	}
	return "curl -s " + d.Base + `/credits/grant -H "X-API-Key: $KEY" -H 'Content-Type: application/json' -d '{` + whose + `,"amount":100,"reason":"a gift"}'`
}

// whose names an account's own credits; a service account's are its organisation's.
func (a account) whose() map[string]any {
	if a.Program() {
		return map[string]any{"organizationId": a.Organization}
	}
	return map[string]any{"userId": a.ID}
}

// correction is what an admin does to somebody's credits.
type correction struct{ Act, Done string }

var corrections = []correction{{"grant", "given to"}, {"deduct", "taken from"}, {"refund", "given back to"}}

func correctCredits(v *visit) error {
	var of account
	if err := v.get(path(nil, "accounts", v.r.PathValue("account")), &of); err != nil {
		return err
	}
	for _, c := range corrections {
		if c.Act != v.form("act") {
			continue
		}
		left, amount, err := v.correct(of, c)
		if err != nil {
			return v.refill(err, v.adminAccountPath(), c.Act, adminAccount)
		}
		return v.to(v.adminAccountPath(), creditsText(amount)+" were "+c.Done+" "+of.Says()+", who has "+thousandsOf(left)+" now.")
	}
	return v.refill(mustBe("act", "must be grant, deduct or refund"), v.adminAccountPath(), "", adminAccount)
}

// correct carries a correction out, and gives what there is to spend after it. The form's
// key makes it one, however often it is sent.
func (v *visit) correct(of account, c correction) (left string, amount int64, err error) {
	if amount, err = v.number("amount"); err != nil {
		return "", 0, err
	}
	body := of.whose()
	body["amount"], body["reason"] = amount, strings.TrimSpace(v.form("reason"))
	body["operationId"] = uuid.NewSHA1(uuid.NameSpaceURL, []byte(c.Act+"/"+v.form("once")))
	if job := strings.TrimSpace(v.form("job")); job != "" {
		body["jobId"] = job
	}
	var said struct {
		Balance   string `json:"newBalance"`
		Remaining string `json:"remaining"`
	}
	err = v.send(http.MethodPost, "/credits/"+c.Act, body, &said)
	return said.Balance + said.Remaining, amount, err
}

func giveTier(v *visit) error {
	var of account
	if err := v.get(path(nil, "accounts", v.r.PathValue("account")), &of); err != nil {
		return err
	}
	body := of.whose()
	body["tier"] = v.form("tier")
	body["operationId"] = uuid.NewSHA1(uuid.NameSpaceURL, []byte("tier/"+v.form("once")))
	if err := v.send(http.MethodPut, "/billing/tier", body, nil); err != nil {
		return v.refill(err, v.adminAccountPath(), "tier", adminAccount)
	}
	return v.to(v.adminAccountPath(), of.Says()+" is on the plan "+v.form("tier")+" now.")
}

func makeAdmin(v *visit) error {
	admin := v.form("admin") == "yes"
	var changed account
	if err := v.send(http.MethodPut, path(nil, "accounts", v.r.PathValue("account")), map[string]bool{"admin": admin}, &changed); err != nil {
		return v.refill(err, v.adminAccountPath(), "admin", adminAccount)
	}
	if admin {
		return v.to(v.adminAccountPath(), changed.Says()+" is an admin of the platform now.")
	}
	return v.to(v.adminAccountPath(), changed.Says()+" is no admin of the platform any more.")
}
