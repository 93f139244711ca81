package console

import (
	"crypto/sha256"
	"encoding/base64"

	"uaol/services"
)

// errSignIn sends somebody to where one signs in.
var errSignIn = services.Errorf(services.Unauthenticated, "Please sign in")

// enter finds out who visits, and whether they may see what is for such as access says.
func (v *visit) enter(access access) error {
	if access == anybody {
		return nil
	}
	if !v.session.known() || access == members && v.session.token == "" {
		return errSignIn
	}
	err := v.know()
	if isKind(err, services.Forbidden) && v.session.organization != "" {
		// They are no longer in the organisation that they looked at last.
		v.console.keep(v.w, v.r, organizationCookie, "", 0)
		v.session.organization = ""
		err = v.know()
	}
	return err
}

// sameOrganization refuses what a form says that was made for another organisation than
// the one that is looked at now: the browser went there in another tab.
func (v *visit) sameOrganization(to route) error {
	made := v.form("for") + v.asked("for") // forms with files have it in their address
	if to.access == anybody || to.wherever || made == v.who.Organization.ID {
		return nil
	}
	return services.Errorf(services.Conflict, "You are looking at another organisation now than this page was made for, so nothing was done. Go back, look again, and repeat it if you still mean it").
		WithCode("OTHER_ORGANIZATION")
}

// who is who looks.
type who struct {
	Account       string // its id
	Email         string
	Admin         bool // of the platform
	Guest         bool
	Credits       string
	Tier          string
	Organization  organization   // that is looked at
	Organizations []organization // that they are in
}

type organization struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Role     string `json:"role"`
	Personal bool   `json:"personal"`
}

// whoseParameter is where a page that wants to be kept up to date says whose it is.
const whoseParameter = "whose"

// mark tells visitors, and the organisations that they look at, apart.
func (w who) mark(s session) string {
	sum := sha256.Sum256([]byte(w.Account + " " + w.Organization.ID + " " + s.guest))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// Manages reports whether the visitor decides about the organisation.
func (w who) Manages() bool { return w.Organization.Role == "admin" || w.Organization.Role == "owner" }

// Writes reports whether the visitor may change and spend anything.
func (w who) Writes() bool { return w.Guest || w.Organization.Role != "viewer" }

// recount reads again what the visitor has, after something was paid.
func (v *visit) recount() error {
	if v.who.Guest {
		return nil
	}
	var me struct {
		Credits string `json:"credits"`
	}
	err := v.get("/auth/me", &me)
	v.who.Credits = me.Credits
	return err
}

func (v *visit) know() error {
	if v.session.token == "" {
		v.who = who{Guest: true, Organization: organization{Personal: true, Role: "owner"}}
		return nil
	}
	var me struct {
		ID      string `json:"id"`
		Email   string `json:"email"`
		Tier    string `json:"subscriptionTier"`
		Credits string `json:"credits"`
		Admin   bool   `json:"admin"`
	}
	var organizations []organization
	err := together(
		func() error { return v.get("/auth/me", &me) },
		func() error { return v.get("/organizations?limit=200", &organizations) },
	)
	if err != nil {
		return err
	}
	v.who = who{Account: me.ID, Email: me.Email, Admin: me.Admin, Credits: me.Credits, Tier: me.Tier, Organizations: organizations}
	for _, o := range organizations {
		if o.ID == v.session.organization || v.session.organization == "" && o.Personal {
			v.who.Organization = o
		}
	}
	if v.who.Organization.ID == "" && len(organizations) == 1 { // a key's, which reaches no other
		v.who.Organization = organizations[0]
	}
	return nil
}
