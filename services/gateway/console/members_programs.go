package console

import (
	"net/http"
	"time"
)

const programsPath = membersPath + "/programs"

// program is a service account with its keys.
type program struct {
	member
	Keys []apiKey
}

type serviceAccountsData struct {
	Accounts []program
	More     string
	Roles    []role
	New      keyForm
	For      string // the account that the form for a key was sent for
	Form     filled
}

func serviceAccountsPage(v *visit, form filled) (view, error) {
	if v.who.Organization.Personal {
		return organizationsPage(v, form)
	}
	data := serviceAccountsData{Roles: rolesFor("admin"), New: v.keyForm(form.In("key")), For: v.r.PathValue("account"), Form: form.In("account")}
	var accounts []member
	next, err := v.list(path(some("cursor", v.asked("cursor")), "organizations", v.who.Organization.ID, "service-accounts"), &accounts)
	if err != nil {
		return view{}, err
	}
	data.Accounts = make([]program, len(accounts))
	var asks []func() error
	for i, account := range accounts {
		data.Accounts[i].member = account
		asks = append(asks, func() (err error) { data.Accounts[i].Keys, err = v.keysOf(account.Account); return err })
	}
	if next != "" {
		data.More = programsPath + "?" + some("cursor", next).Encode()
	}
	return view{Template: "programs", Title: "Service accounts", Section: "members", Data: data}, together(asks...)
}

func makeServiceAccount(v *visit) error {
	var made member
	body := map[string]string{"name": v.form("name"), "role": v.form("role")}
	if err := v.send(http.MethodPost, v.here("service-accounts"), body, &made); err != nil {
		return v.refill(err, programsPath, "account", serviceAccountsPage)
	}
	return v.to(programsPath, made.Says()+" is made. Give it a key.")
}

func deleteServiceAccount(v *visit) error {
	if err := v.send(http.MethodDelete, v.here("service-accounts", v.r.PathValue("account")), nil, nil); err != nil {
		return err
	}
	return v.to(programsPath, "The service account is deleted, with its keys.")
}

func makeServiceKey(v *visit) error {
	var made newKey
	body, err := v.keyAsked()
	if err == nil {
		err = v.send(http.MethodPost, v.here("service-accounts", v.r.PathValue("account"), "keys"), body, &made)
	}
	if err != nil {
		return v.refill(err, programsPath, "key", serviceAccountsPage)
	}
	made.Organization = v.who.Organization.ID
	return v.showKey(made, "members", programsPath)
}

func revokeServiceKey(v *visit) error {
	if err := v.send(http.MethodDelete, v.here("service-accounts", v.r.PathValue("account"), "keys", v.r.PathValue("key")), nil, nil); err != nil {
		return err
	}
	return v.to(programsPath, "The key is revoked.")
}

// act is one entry of an organisation's audit log.
type act struct {
	Time      time.Time         `json:"time"`
	Action    string            `json:"action"`
	Account   string            `json:"account"`
	Key       string            `json:"key"`
	Address   string            `json:"address"`
	UserAgent string            `json:"userAgent"`
	Outcome   string            `json:"outcome"`
	Details   map[string]string `json:"details"`
	Who       string            `json:"-"`
	With      string            `json:"-"` // the key's name
}

// Program is what it was done with, shortly.
func (a act) Program() string { return programOf(a.UserAgent) }

type logData struct {
	Acts []act
	More string
}

func organizationLog(v *visit) (view, error) {
	var data logData
	var next string
	var who *people
	err := together(
		func() (err error) {
			next, err = v.list(path(some("cursor", v.asked("cursor")), "organizations", v.who.Organization.ID, "audit"), &data.Acts)
			return err
		},
		func() (err error) { who, err = v.whoIsThere(); return err },
	)
	if err != nil {
		return view{}, err
	}
	for i, a := range data.Acts {
		if a.Account != "" {
			data.Acts[i].Who = who.Of(a.Account)
		}
		if a.Key != "" {
			data.Acts[i].With = who.Of(a.Key)
		}
	}
	if next != "" {
		data.More = membersPath + "/log?" + some("cursor", next).Encode()
	}
	return view{Template: "log", Title: "Audit log", Section: "members", Data: data}, nil
}
