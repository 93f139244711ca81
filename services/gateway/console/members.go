package console

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

const membersPath = Prefix + "/members"

func memberRoutes() []route {
	return []route{
		see("/members", unfilled(membersPage)),
		do("/members/rename", renameOrganization),
		do("/members/leave", leaveOrganization),
		do("/members/end", endOrganization),
		do("/members/{account}/role", changeRole),
		do("/members/{account}/remove", removeMember),
		do("/members/invitations", invite),
		do("/members/invitations/{invitation}/withdraw", withdrawInvitation),
		see("/members/organizations", unfilled(organizationsPage)),
		do("/members/organizations", makeOrganization).fromWherever(),
		see("/members/join", unfilled(joinPage)),
		do("/members/join", join).fromWherever(),
		see("/members/programs", unfilled(serviceAccountsPage)),
		do("/members/programs", makeServiceAccount),
		do("/members/programs/{account}/delete", deleteServiceAccount),
		do("/members/programs/{account}/keys", makeServiceKey),
		do("/members/programs/{account}/keys/{key}/revoke", revokeServiceKey),
		see("/members/log", organizationLog),
	}
}

// serviceAccount is the kind of members that are programs.
const serviceAccount = "service"

// member is somebody in a shared organisation.
type member struct {
	Account string    `json:"accountId"`
	Kind    string    `json:"kind"`
	Name    *string   `json:"name"`
	Email   *string   `json:"email"`
	Role    string    `json:"role"`
	Joined  time.Time `json:"joinedAt"`
}

// Says is what people know the member by.
func (m member) Says() string {
	for _, known := range []*string{m.Name, m.Email} {
		if known != nil && *known != "" {
			return *known
		}
	}
	return "…" + shortened(m.Account)
}

// Program reports whether it is a service account.
func (m member) Program() bool { return m.Kind == serviceAccount }

// role is what somebody may be in an organisation, and what that lets them do.
type role struct{ Name, Says string }

// memberRoles are the roles, each including those before it.
var memberRoles = []role{
	{"viewer", "looks at everything, changes and spends nothing"},
	{"member", "makes things and spends credits"},
	{"admin", "invites, sets caps and keys, and buys too"},
	{"owner", "may end the organisation too"},
}

// rolesFor are those that somebody of a role gives to others: only owners make owners.
func rolesFor(giver string) []role {
	if giver == "owner" {
		return memberRoles
	}
	return memberRoles[:len(memberRoles)-1]
}

// invitation is one that can still be used.
type invitation struct {
	ID      string    `json:"id"`
	Email   string    `json:"email"`
	Role    string    `json:"role"`
	By      string    `json:"invitedBy"`
	Expires time.Time `json:"expiresAt"`
}

type membersData struct {
	Members     []member
	More        string
	Invitations []invitation
	Roles       []role
	Owners      int // among those that are shown
	Form        filled
}

// here is the path of the organisation that is looked at, or of a part of it.
func (v *visit) here(parts ...string) string {
	return path(nil, append([]string{"organizations", v.who.Organization.ID}, parts...)...)
}

func membersPage(v *visit, form filled) (view, error) {
	if v.who.Organization.Personal {
		return organizationsPage(v, form)
	}
	data := membersData{Roles: rolesFor(v.who.Organization.Role), Form: form}
	var next string
	things := []func() error{func() (err error) {
		next, err = v.list(path(some("cursor", v.asked("cursor")), "organizations", v.who.Organization.ID, "members"), &data.Members)
		return err
	}}
	if v.who.Manages() {
		things = append(things, func() error { return v.get(v.here("invitations")+"?limit=200", &data.Invitations) })
	}
	if err := together(things...); err != nil {
		return view{}, err
	}
	if next != "" {
		data.More = membersPath + "?" + some("cursor", next).Encode()
	}
	return view{Template: "members", Title: "Members", Section: "members", Data: data}, nil
}

// Changes reports whether the visitor may change a member's role, or remove them.
func (d membersData) Changes(w who, m member) bool {
	return w.Manages() && (m.Role != "owner" || w.Organization.Role == "owner")
}

// Offered are the roles that a member can be given; programs are never owners.
func (d membersData) Offered(m member) []role {
	if m.Program() {
		return slices.DeleteFunc(slices.Clone(d.Roles), func(r role) bool { return r.Name == "owner" })
	}
	return d.Roles
}

func renameOrganization(v *visit) error {
	if err := v.send(http.MethodPut, v.here(), map[string]string{"name": v.form("name")}, nil); err != nil {
		return v.refill(err, membersPath, "rename", membersPage)
	}
	return v.to(membersPath, "The organisation is called "+strings.TrimSpace(v.form("name"))+" now.")
}

func changeRole(v *visit) error {
	var changed member
	if err := v.send(http.MethodPut, v.here("members", v.r.PathValue("account")), map[string]string{"role": v.form("role")}, &changed); err != nil {
		return err
	}
	return v.to(membersPath, changed.Says()+" is "+changed.Role+" now.")
}

func removeMember(v *visit) error {
	if err := v.send(http.MethodDelete, v.here("members", v.r.PathValue("account")), nil, nil); err != nil {
		return err
	}
	return v.to(membersPath, "The membership has ended, and the keys that went with it.")
}

func leaveOrganization(v *visit) error {
	if err := v.send(http.MethodDelete, v.here("members", v.who.Account), nil, nil); err != nil {
		return err
	}
	v.lookAt("")
	return v.to(membersPath, "You have left "+v.who.Organization.Name+".")
}

func endOrganization(v *visit) error {
	if v.form("confirm") != v.who.Organization.Name {
		return v.refill(mustBe("confirm", "must be the organisation’s name"), membersPath, "end", membersPage)
	}
	if err := v.send(http.MethodDelete, v.here(), nil, nil); err != nil {
		return err
	}
	v.lookAt("")
	return v.to(membersPath, v.who.Organization.Name+" has ended, with all that it had.")
}

// lookAt lets the browser look at another organisation from now on; "" is the personal one.
func (v *visit) lookAt(organization string) {
	v.console.keep(v.w, v.r, organizationCookie, organization, keepsLooks)
}
