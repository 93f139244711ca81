package console

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"uaol/providers/api"
	"uaol/services"
)

func signInRoutes() []route {
	return []route{
		see("/sign-in", signInPage).forAnybody(),
		do("/sign-in", signIn).forAnybody(),
		do("/register", register).forAnybody(),
		do("/guest", beGuest).forAnybody(),
		see("/enter", enterPage).forAnybody(),
		do("/enter", enter).forAnybody(),
		see("/sign-in/with/{provider}", beginProvider).forAnybody(),
		see("/sign-in/{state}/auth/callback", endProvider).forAnybody(),
		do("/sign-out", signOut).forAnybody(),
		do("/organization", switchOrganization).forGuests().fromWherever(),
		do("/theme", chooseTheme).forAnybody(),
	}
}

type signInData struct {
	Next      string
	Providers []provider
	Email     string
	As        string // who has signed in here already
	Mode      string // "" to sign in, register to make an account
	// Invitation is what a link to one has brought, which register needs where not
	// everybody may.
	Invitation string
	Problem    string
	Faults     map[string]string
}

func signInPage(v *visit) (view, error) {
	return v.signInView(signInData{Mode: v.asked("mode"), Invitation: v.asked("invitation")})
}

func (v *visit) signInView(data signInData) (view, error) {
	var err error
	if data.Providers, err = v.providers(); err != nil {
		return view{}, err
	}
	if v.session.token != "" {
		visitor := *v
		if visitor.know() == nil {
			data.As = visitor.who.Email
		}
	}
	data.Next = ownPage(v.form("next") + v.asked("next"))
	if next, err := url.Parse(data.Next); err == nil && next.Path == joinPath {
		data.Invitation = next.Query().Get("invitation")
	}
	status := 0
	if data.Problem != "" {
		status = http.StatusUnprocessableEntity
	}
	title := "Sign in"
	if data.Mode == "register" {
		title = "Make an account"
	}
	return view{Template: "sign-in", Title: title, Data: data, Status: status}, nil
}

// ownPage is a page of the console to go to, whatever was asked for.
func ownPage(asked string) string {
	u, err := url.Parse(asked)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || strings.ContainsAny(asked, "\\\x00\r\n") ||
		u.Path != Prefix && !strings.HasPrefix(u.Path, Prefix+"/") || strings.HasPrefix(u.Path, Prefix+"/sign-") {
		return Prefix
	}
	return u.RequestURI()
}

// signIn takes an e-mail address and a password, or an API key alone.
func signIn(v *visit) error {
	body := map[string]string{"email": strings.TrimSpace(v.form("email")), "password": v.form("password")}
	if key := strings.TrimSpace(v.form("key")); key != "" {
		body = map[string]string{"apiKey": key}
	}
	return v.begin(body, signInData{Email: body["email"]})
}

// begin signs somebody in, or shows the page again with what is wrong.
func (v *visit) begin(credentials map[string]string, again signInData) error {
	var made struct {
		Token string `json:"token"`
	}
	nobody := *v
	nobody.session = session{theme: v.session.theme}
	if err := nobody.send(http.MethodPost, "/auth/login", credentials, &made); err != nil {
		return v.again(err, again)
	}
	if err := v.looksIn(made.Token); err != nil {
		return v.again(err, again)
	}
	v.signedIn(made.Token)
	return v.to(ownPage(v.form("next")), "")
}

// looksIn ends a sign-in that sees too little for any page: a key's that may do only some
// things, which has to be told before the browser keeps it.
func (v *visit) looksIn(token string) error {
	member := *v
	member.session = session{token: token}
	err := member.know()
	if !isKind(err, services.Forbidden) {
		return err
	}
	_ = member.send(http.MethodPost, "/auth/logout", nil, nil) // it ends by itself, later
	return services.Errorf(services.Forbidden, "This key may do too little to sign in with: %s. Pages need account:read and organizations:read, and what each of them is about", messageOf(err))
}

func (v *visit) again(err error, data signInData) error {
	if api.StatusOf(err) >= http.StatusInternalServerError {
		return err
	}
	data.Problem, data.Faults = messageOf(err), faultsOf(err)
	shown, viewErr := v.signInView(data)
	if viewErr != nil {
		return viewErr
	}
	return v.render(shown)
}

// signedIn lets the browser keep the token of a sign-in.
func (v *visit) signedIn(token string) {
	c := v.console
	c.keep(v.w, v.r, tokenCookie, token, max(lifeOf(token), time.Minute))
	c.keep(v.w, v.r, guestCookie, "", 0)
	c.keep(v.w, v.r, organizationCookie, "", 0)
}

func register(v *visit) error {
	again := signInData{Email: strings.TrimSpace(v.form("email")), Mode: "register", Invitation: v.form("invitation")}
	body := map[string]string{"email": again.Email, "password": v.form("password")}
	if v.form("password") == "" {
		again.Problem, again.Faults = "A password is needed to sign in here again", map[string]string{"body.password": "must not be empty"}
		shown, err := v.signInView(again)
		if err != nil {
			return err
		}
		return v.render(shown)
	}
	if invitation := strings.TrimSpace(v.form("invitation")); invitation != "" {
		body["invitation"] = invitation
	}
	var made struct {
		Token string `json:"token"`
	}
	asGuest := *v // what a guest has made stays theirs
	asGuest.session.token = ""
	if err := asGuest.send(http.MethodPost, "/auth/register", body, &made); err != nil {
		return v.again(err, again)
	}
	v.signedIn(made.Token)
	if body["invitation"] != "" {
		return v.welcomeMember(made.Token)
	}
	return v.to(ownPage(v.form("next")), "Welcome. Your account is ready, with a month's credits.")
}

// welcomeMember shows somebody who has registered with an invitation where that has led
// them: it is used up by then. One to the platform alone leads nowhere.
func (v *visit) welcomeMember(token string) error {
	asMember := *v
	asMember.session = session{token: token}
	var organizations []organization
	if err := asMember.get("/organizations", &organizations); err != nil {
		return err
	}
	for _, o := range organizations {
		if !o.Personal {
			v.lookAt(o.ID)
			return v.to(membersPath, "Welcome. Your account is ready, and you are in "+o.Name+" as "+o.Role+".")
		}
	}
	return v.to(Prefix, "Welcome. Your account is ready, with a month's credits.")
}

// beGuest lets the API make a guest, whom the browser is from then on.
func beGuest(v *visit) error {
	nobody := *v
	nobody.session = session{}
	answer, err := nobody.request(v.ctx, http.MethodGet, "/jobs?limit=1", nil, http.Header{})
	if err != nil {
		return unavailable(err)
	}
	guest := answer.Header.Get(api.GuestHeader)
	if _, err := read(answer); err != nil {
		return v.again(err, signInData{})
	}
	if guest == "" {
		return services.Errorf(services.Forbidden, "Guests are not welcome here")
	}
	v.console.keep(v.w, v.r, guestCookie, guest, guestLife)
	v.console.keep(v.w, v.r, tokenCookie, "", 0)
	v.console.keep(v.w, v.r, organizationCookie, "", 0)
	return v.to(Prefix, "You are a guest for a day. Make an account to keep what you do here.")
}

func signOut(v *visit) error {
	if v.session.token != "" {
		_ = v.send(http.MethodPost, "/auth/logout", nil, nil) // one that has ended is over too
	}
	for _, name := range []string{tokenCookie, guestCookie, organizationCookie} {
		v.console.keep(v.w, v.r, name, "", 0)
	}
	return v.to(Prefix+"/sign-in", "You are signed out.")
}

func switchOrganization(v *visit) error {
	to := v.form("to")
	for _, o := range v.who.Organizations {
		if o.ID != to {
			continue
		}
		if o.Personal {
			to = ""
		}
		v.console.keep(v.w, v.r, organizationCookie, to, keepsLooks)
		back := ownPage(v.form("back"))
		if parts := strings.Split(back, "/"); len(parts) > 3 { // one thing of the other organisation
			back = strings.Join(parts[:3], "/")
		}
		back, _, _ = strings.Cut(back, "?")
		return v.to(back, "")
	}
	return services.Errorf(services.NotFound, "You are in no such organisation")
}

func chooseTheme(v *visit) error {
	theme := v.form("theme")
	if theme != "light" && theme != "dark" {
		theme = ""
	}
	v.console.keep(v.w, v.r, themeCookie, theme, keepsLooks)
	return v.to(ownPage(v.form("back")), "")
}
