package console

import (
	"net/http"
	"strings"
)

const adminInvitationsPath = adminPath + "/invitations"

type adminInvitationsData struct {
	Invitations []invitation
	More        string
	Form        filled
}

func adminInvitations(v *visit, form filled) (view, error) {
	data := adminInvitationsData{Form: form}
	next, err := v.list(path(some("cursor", v.asked("cursor")), "invitations"), &data.Invitations)
	if err != nil {
		return view{}, err
	}
	if next != "" {
		data.More = adminInvitationsPath + "?" + some("cursor", next).Encode()
	}
	return view{Template: "admin-invitations", Title: "Invitations", Section: "admin", Data: data}, nil
}

func inviteToPlatform(v *visit) error {
	body := map[string]any{"email": strings.TrimSpace(v.form("email"))}
	var made shownInvitation
	days, err := v.number("days")
	if err == nil {
		body["expiresInDays"] = days
		err = v.send(http.MethodPost, "/invitations", body, &made)
	}
	if err != nil {
		return v.refill(err, adminInvitationsPath, "invite", adminInvitations)
	}
	v.standAt(adminInvitationsPath)
	made.Link = v.console.base(v.r) + Prefix + "/sign-in?" + some("mode", "register", "invitation", made.Secret).Encode()
	return v.render(view{Template: "admin-invited", Title: "Invitation", Section: "admin", Data: made})
}

func withdrawFromPlatform(v *visit) error {
	if err := v.send(http.MethodDelete, path(nil, "invitations", v.r.PathValue("invitation")), nil, nil); err != nil {
		return err
	}
	return v.to(adminInvitationsPath, "The invitation is withdrawn.")
}
