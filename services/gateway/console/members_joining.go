package console

import (
	"net/http"
	"strings"

	"uaol/services"
)

const (
	organizationsPath = membersPath + "/organizations"
	joinPath          = membersPath + "/join"
)

// mustBe is a fault of a field that the console itself asks for.
func mustBe(field, message string) error {
	return services.Faults(services.Fault{Path: "body." + field, Message: message})
}

// shownInvitation is an invitation as it is shown once.
type shownInvitation struct {
	invitation
	Secret string `json:"invitation"`
	Mailed bool   `json:"mailed"`
	Link   string `json:"-"`
}

func invite(v *visit) error {
	body := map[string]any{"email": strings.TrimSpace(v.form("email")), "role": v.form("role")}
	var made shownInvitation
	days, err := v.number("days")
	if err == nil {
		body["expiresInDays"] = days
		err = v.send(http.MethodPost, v.here("invitations"), body, &made)
	}
	if err != nil {
		return v.refill(err, membersPath, "invite", membersPage)
	}
	v.standAt(membersPath)
	made.Link = v.console.base(v.r) + joinPath + "?" + some("invitation", made.Secret).Encode()
	return v.render(view{Template: "invited", Title: "Invitation", Section: "members", Data: made})
}

func withdrawInvitation(v *visit) error {
	if err := v.send(http.MethodDelete, v.here("invitations", v.r.PathValue("invitation")), nil, nil); err != nil {
		return err
	}
	return v.to(membersPath, "The invitation is withdrawn.")
}

type organizationsData struct {
	Invitation string // that somebody has brought along
	Form       filled
}

func organizationsPage(v *visit, form filled) (view, error) {
	return view{Template: "organizations", Title: "Organisations", Section: "members", Data: organizationsData{Form: form}}, nil
}

func makeOrganization(v *visit) error {
	var made organization
	if err := v.send(http.MethodPost, "/organizations", map[string]string{"name": v.form("name")}, &made); err != nil {
		return v.refill(err, organizationsPath, "make", organizationsPage)
	}
	v.lookAt(made.ID)
	return v.to(membersPath, made.Name+" is made, and you are looking at it now. Invite somebody.")
}

// joinPage asks before an invitation is used: programs that look at links must not use it.
func joinPage(v *visit, form filled) (view, error) {
	data := organizationsData{Invitation: v.asked("invitation") + form.Value("invitation"), Form: form}
	return view{Template: "join", Title: "Join an organisation", Section: "members", Data: data}, nil
}

func join(v *visit) error {
	var joined organization
	if err := v.send(http.MethodPost, "/invitations/accept", map[string]string{"invitation": strings.TrimSpace(v.form("invitation"))}, &joined); err != nil {
		return v.refill(err, joinPath, "join", joinPage)
	}
	v.lookAt(joined.ID)
	return v.to(membersPath, "You are in "+joined.Name+" now, as "+joined.Role+", and look at it.")
}
