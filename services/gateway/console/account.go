package console

import (
	"net/http"
	"strings"
	"time"
)

const accountPath = Prefix + "/account"

func accountRoutes() []route {
	return []route{
		see("/account", unfilled(accountPage)),
		do("/account/name", changeName),
		do("/account/email", changeEmail),
		do("/account/email/verify", verifyEmail),
		do("/account/password", changePassword),
		see("/account/export", exportAccount),
		do("/account/delete", deleteAccount),
		do("/account/sessions/end", endOtherSessions),
		do("/account/sessions/{session}/end", endSession),
		do("/account/grants/{grant}/end", endGrant),
		do("/account/identities/{identity}/end", endIdentity),
	}
}

// accountProfile is who somebody is.
type accountProfile struct {
	Email    string    `json:"email"`
	Name     *string   `json:"name"`
	Verified bool      `json:"emailVerified"`
	Created  time.Time `json:"createdAt"`
}

// signedInAt is one of an account's sign-ins.
type signedInAt struct {
	ID        string    `json:"id"`
	Method    string    `json:"method"`
	Address   string    `json:"address"`
	UserAgent string    `json:"userAgent"`
	Created   time.Time `json:"createdAt"`
	Used      time.Time `json:"lastUsedAt"`
	Expires   time.Time `json:"expiresAt"`
	Current   bool      `json:"current"`
}

// How is the way in which somebody signed in.
func (s signedInAt) How() string {
	switch s.Method {
	case "password":
		return "With a password"
	case "key":
		return "With an API key"
	case "register":
		return "By registering"
	case "link":
		return "By a link"
	}
	return "With " + provider{Name: s.Method}.Title()
}

// Program is what a browser calls itself, shortly.
func (s signedInAt) Program() string { return programOf(s.UserAgent) }

// programs are marks in the names that browsers give themselves; all contain those of
// others, so that the first that is found counts.
var programs = [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}}

var systems = [][2]string{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}}

func programOf(agent string) string {
	first := func(of [][2]string) string {
		for _, one := range of {
			if strings.Contains(agent, one[0]) {
				return one[1]
			}
		}
		return ""
	}
	program, system := first(programs), first(systems)
	switch {
	case program == "" && len(agent) > 40:
		return agent[:40] + "…"
	case program == "":
		return agent
	case system == "":
		return program
	}
	return program + " on " + system
}

// letIn is a program that somebody has let in.
type letIn struct {
	ID           string    `json:"id"`
	Client       string    `json:"clientId"`
	Name         string    `json:"clientName"`
	Host         string    `json:"clientHost"`
	Organization string    `json:"organization"`
	Resource     string    `json:"resource"`
	Created      time.Time `json:"createdAt"`
	Used         time.Time `json:"lastUsedAt"`
	Expires      time.Time `json:"expiresAt"`
	Reaches      string    `json:"-"`
}

// linkedIdentity is who a provider says that an account is.
type linkedIdentity struct {
	ID       string    `json:"id"`
	Provider string    `json:"provider"`
	Email    *string   `json:"email"`
	Used     time.Time `json:"lastUsedAt"`
}

// Title is what people call the provider.
func (i linkedIdentity) Title() string { return provider{Name: i.Provider}.Title() }

type accountData struct {
	Profile    accountProfile
	Sessions   []signedInAt
	Grants     []letIn
	Identities []linkedIdentity
	Form       filled
}

func accountPage(v *visit, form filled) (view, error) {
	data := accountData{Form: form}
	var sessions []signedInAt
	err := together(
		func() error { return v.get("/users/profile", &data.Profile) },
		func() error { return v.get("/auth/sessions", &sessions) },
		func() error { return v.get("/auth/grants", &data.Grants) },
		func() error { return v.get("/auth/identities", &data.Identities) },
	)
	for _, s := range sessions {
		if s.Method != "oauth" { // those are the grants
			data.Sessions = append(data.Sessions, s)
		}
	}
	for i, g := range data.Grants {
		data.Grants[i].Reaches = v.calls(g.Organization)
	}
	return view{Template: "account", Title: "Your account", Section: "account", Data: data}, err
}

// changeAccount sends what a form of the account's page says.
func (v *visit) changeAccount(form, method, path string, body any, done string) error {
	if err := v.send(method, path, body, nil); err != nil {
		return v.refill(err, accountPath, form, accountPage)
	}
	return v.to(accountPath, done)
}

func changeName(v *visit) error {
	return v.changeAccount("name", http.MethodPut, "/users/profile", map[string]string{"name": v.form("name")}, "Your name is changed.")
}

func changeEmail(v *visit) error {
	said, err := v.ask(v.ctx, http.MethodPost, "/users/email", map[string]string{"email": strings.TrimSpace(v.form("email")), "password": v.form("password")})
	if err != nil {
		return v.refill(err, accountPath, "email", accountPage)
	}
	return v.to(accountPath, said.Message+".") // it may wait for a letter to be opened
}

func verifyEmail(v *visit) error {
	said, err := v.ask(v.ctx, http.MethodPost, "/auth/email/verify", nil)
	if err != nil {
		return err
	}
	return v.to(accountPath, said.Message+".")
}

func changePassword(v *visit) error {
	body := map[string]string{"currentPassword": v.form("current"), "newPassword": v.form("new")}
	return v.changeAccount("password", http.MethodPut, "/users/password", body, "Your password is changed, and all other sign-ins have ended.")
}

// exportAccount hands on everything that is kept of the visitor.
func exportAccount(v *visit) (view, error) { return v.passOn("/users/export", nil) }

func deleteAccount(v *visit) error {
	body := map[string]string{"password": v.form("password"), "confirm": v.form("confirm")}
	if err := v.send(http.MethodDelete, "/users/account", body, nil); err != nil {
		return v.refill(err, accountPath, "delete", accountPage)
	}
	for _, name := range []string{tokenCookie, guestCookie, organizationCookie} {
		v.console.keep(v.w, v.r, name, "", 0)
	}
	return v.to(Prefix+"/sign-in", "Your account is deleted, with all that was yours.")
}

func endOtherSessions(v *visit) error {
	if err := v.send(http.MethodDelete, "/auth/sessions", nil, nil); err != nil {
		return err
	}
	return v.to(accountPath, "All other sign-ins have ended.")
}

func endSession(v *visit) error {
	if err := v.send(http.MethodDelete, path(nil, "auth", "sessions", v.r.PathValue("session")), nil, nil); err != nil {
		return err
	}
	return v.to(accountPath, "The sign-in has ended.")
}

func endGrant(v *visit) error {
	if err := v.send(http.MethodDelete, path(nil, "auth", "grants", v.r.PathValue("grant")), nil, nil); err != nil {
		return err
	}
	return v.to(accountPath, "The program is let in no longer.")
}

func endIdentity(v *visit) error {
	if err := v.send(http.MethodDelete, path(nil, "auth", "identities", v.r.PathValue("identity")), nil, nil); err != nil {
		return err
	}
	return v.to(accountPath, "You can sign in that way no more.")
}
