package console

import (
	"crypto/rand"
	"net/http"
	"slices"
)

type provider struct {
	Name       string `json:"provider"`
	Configured bool   `json:"configured"`
}

// Title is what people call the provider.
func (p provider) Title() string {
	switch p.Name {
	case "google":
		return "Google"
	case "outlook":
		return "Microsoft"
	case "icloud":
		return "Apple"
	}
	return "single sign-on"
}

// providers are those that one can sign in with.
func (v *visit) providers() ([]provider, error) {
	var all []provider
	nobody := *v
	nobody.session = session{}
	err := nobody.get("/auth/oauth-config", &all)
	return slices.DeleteFunc(all, func(p provider) bool { return !p.Configured }), err
}

// beginProvider sends the browser to a provider. What it comes back to has a secret of
// this browser's in its path, so that nobody is signed in by somebody else's link.
func beginProvider(v *visit) (view, error) {
	offered, err := v.providers()
	if err != nil {
		return view{}, err
	}
	asked := provider{Name: v.r.PathValue("provider"), Configured: true}
	if !slices.Contains(offered, asked) {
		return v.signInView(signInData{Problem: "Nobody has set up here how to sign in with " + asked.Title()})
	}
	state := rand.Text()
	v.console.keep(v.w, v.r, beganCookie, state, beganLife)
	query := some("return_to", Prefix+"/sign-in/"+state, "guest", v.session.guest)
	http.Redirect(v.w, v.r, path(query, "auth", v.r.PathValue("provider")), http.StatusSeeOther)
	return view{}, errAnswered
}

func endProvider(v *visit) (view, error) {
	began := v.console.cookie(v.r, beganCookie)
	v.console.keep(v.w, v.r, beganCookie, "", 0)
	if began == "" || began != v.r.PathValue("state") {
		return v.signInView(signInData{Problem: "This sign-in is over, or did not begin in this browser; please begin again"})
	}
	token := v.asked("token")
	if token == "" {
		return v.signInView(signInData{Problem: v.asked("error")})
	}
	v.signedIn(token)
	http.Redirect(v.w, v.r, Prefix, http.StatusSeeOther)
	return view{}, errAnswered
}
