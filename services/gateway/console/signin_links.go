package console

// entering is a one-time link that somebody has come with.
type entering struct {
	Link string
	Goes bool   // by itself
	As   string // who has signed in here already
}

// enterPage asks before a one-time link is used: programs that look at links must not
// use them up, and nobody is to be signed in as somebody else by a page of another site.
// It goes on by itself for who has opened the link themselves and has not signed in.
func enterPage(v *visit) (view, error) {
	data := entering{Link: v.asked("link"), Goes: v.r.Header.Get("Sec-Fetch-Site") == "none" && !v.session.known()}
	if v.session.known() && v.know() == nil {
		data.As = "a guest"
		if !v.who.Guest {
			data.As = v.who.Email
		}
	}
	return view{Template: "enter", Title: "Sign in by link", Data: data}, nil
}

func enter(v *visit) error {
	return v.begin(map[string]string{"link": v.form("link")}, signInData{})
}
