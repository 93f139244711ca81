package pages

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
)

// organization makes a shared organisation in the browser, which looks at it then.
func organization(tab *browser.Tab, name string) {
	tab.T.Helper()
	tab.Go("/console/members")
	tab.Sees("main", "yours alone")
	tab.Fill("#name", name)
	tab.Press("main", "Make it")
	tab.Sees("main", name+" is made")
	tab.Sees("h1", name)
}

// TestInvitation: somebody makes an organisation and invites somebody, who has no account
// yet, makes one by the link, is a member, gets another role, and is removed.
func TestInvitation(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	organization(tab, "Acme")
	ada = b.signedIn(t, ada.email)
	acme := ada.Do(t, http.MethodGet, "/organizations", nil).Text("data.0.id")
	members := func() string {
		return string(ada.Do(t, http.MethodGet, "/organizations/"+acme+"/members", nil).Body)
	}
	tab.Fill("#email", "Grace")
	browser.Run[bool](tab, `(() => { document.querySelector('#email').type = 'text'; return true })()`)
	tab.Press("main form[action$=invitations]", "Invite")
	tab.Sees("[aria-labelledby=invite-title] .fault", "e-mail")
	tab.Fill("#email", "grace@example.com")
	tab.Click("[name=role][value=viewer]")
	tab.Press("main form[action$=invitations]", "Invite")
	tab.Sees("main", "For grace@example.com, as viewer of Acme", "Hand it over yourself")
	tab.Pictures("invitation")
	link := strings.TrimPrefix(secret(tab, "Link"), b.world.Gateway)

	other := b.open(t)
	other.Go(link)
	other.Until(`location.pathname == "/console/sign-in"`)
	other.Press("main", "Make an account")
	other.Sees("h1", "Make an account")
	other.Fill("#email", "grace@example.com")
	other.Fill("#password", password)
	other.Press("main form", "Make an account")
	other.Sees("main", "you are in Acme as viewer")
	other.Sees("h1", "Acme")
	require.Zero(t, other.Count("#invite-title"), "a viewer invites nobody")
	require.Contains(t, members(), `"email":"grace@example.com","role":"viewer"`)

	tab.Press("main", "Done")
	tab.Sees("main table", "grace@example.com")
	require.NotContains(t, tab.Text("main"), "Withdraw", "it is used up")
	tab.Put(`[aria-label="Role of grace@example.com"]`, "admin")
	tab.Press("main table tr:first-child", "Set")
	tab.Sees("main", "grace@example.com is admin now.")
	require.Contains(t, members(), `"email":"grace@example.com","role":"admin"`)
	other.Go("/console/members")
	other.Sees("main", "You are admin here", "Invite somebody")
	other.Go("/console/members/log")
	other.Sees("main", "member.role", "invitation.create", ada.email)

	tab.Press("main table tr:first-child", "Remove")
	sure(tab)
	tab.Sees("main", "The membership has ended")
	require.NotContains(t, members(), "grace@example.com")
	other.Go("/console/members")
	other.Sees("main", "yours alone")
}

// TestJoining: who has an account joins by the link with it; an invitation is for nobody
// else, and a withdrawn one for nobody at all. Somebody leaves, and the last owner ends it.
func TestJoining(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada, grace, mallory := b.somebody(t), b.somebody(t), b.somebody(t)
	tab := b.enter(t, ada)
	organization(tab, "Acme")
	inviting := func(email string) (link string) {
		tab.Go("/console/members")
		tab.Fill("#email", email)
		tab.Press("main form[action$=invitations]", "Invite")
		return strings.TrimPrefix(secret(tab, "Link"), b.world.Gateway)
	}
	link := inviting(grace.email)
	thief := b.enter(t, mallory)
	thief.Go(link)
	thief.Press("main", "Join")
	thief.Sees("main .fault", "is not valid for your e-mail address")

	other := b.open(t)
	other.Go(link)
	other.Fill("#email", grace.email)
	other.Fill("#password", grace.password)
	other.Press("main form", "Sign in")
	other.Sees("h1", "Join an organisation")
	other.Press("main", "Join")
	other.Sees("main", "You are in Acme now, as member")

	withdrawn := inviting(mallory.email)
	tab.Go("/console/members")
	tab.Press("main", "Withdraw")
	sure(tab)
	tab.Sees("main", "The invitation is withdrawn.")
	thief.Go(withdrawn)
	thief.Press("main", "Join")
	thief.Sees("main .fault", "or no longer")

	tab.Press("main", "Leave the organisation")
	sure(tab)
	tab.Sees("main", "The last owner can't leave")
	other.Press("main", "Leave the organisation")
	sure(other)
	other.Sees("main", "You have left Acme.", "yours alone")
	tab.Go("/console/members")
	tab.Fill("#rename", "Acme & Sons")
	tab.Press("main", "Rename")
	tab.Sees("h1", "Acme & Sons")
	tab.Press("main", "End it")
	tab.Fill("#confirm", "Acme")
	tab.Press("main", "End the organisation")
	sure(tab)
	tab.Sees("main .fault", "must be the organisation’s name")
	tab.Fill("#confirm", "Acme & Sons")
	tab.Press("main", "End the organisation")
	sure(tab)
	tab.Sees("main", "Acme & Sons has ended")
	require.Nil(t, b.signedIn(t, ada.email).Do(t, http.MethodGet, "/organizations", nil).At("data.1"), "only the personal one is left")
}

// TestServiceAccount: an organisation's program gets a key for one thing alone, which ends
// with the account.
func TestServiceAccount(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tab := b.enter(t, b.somebody(t))
	organization(tab, "Acme")
	tab.Press("main", "Service accounts")
	tab.Sees("main", "No service accounts")
	tab.Fill("#name", "nightly")
	tab.Press("main", "Make it")
	tab.Sees("main", "nightly is made. Give it a key.")
	tab.Press("main", "Make a key for it")
	tab.Fill("details [name=name]", "pipeline")
	tab.Click(`details [name=scope][value="jobs:read"]`)
	tab.Press("main details", "Make the key")
	tab.Sees("main", "“pipeline”, for Acme", "Copy it now")
	key := secret(tab, "API key")
	require.Equal(t, http.StatusOK, b.as(key).Do(t, http.MethodGet, "/jobs", nil).Status)
	require.Equal(t, http.StatusForbidden, b.as(key).Do(t, http.MethodGet, "/workflows", nil).Status)
	tab.Press("main", "I have copied it")
	tab.Sees("main table", "pipeline", "jobs:read")
	tab.Pictures("service-accounts")
	tab.Press("main", "Delete")
	sure(tab)
	tab.Sees("main", "The service account is deleted", "No service accounts")
	require.Equal(t, http.StatusUnauthorized, b.as(key).Do(t, http.MethodGet, "/jobs", nil).Status)
}

// TestNoBarriersInAnOrganisation: axe finds nothing on the pages that only a shared
// organisation has, or that say more in one.
func TestNoBarriersInAnOrganisation(t *testing.T) {
	t.Parallel()
	program := axe(t)
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	organization(tab, "Acme")
	ada = b.signedIn(t, ada.email)
	acme := ada.Do(t, http.MethodGet, "/organizations", nil).Text("data.0.id")
	at := ada.With("X-Organization", acme)
	require.Equal(t, http.StatusCreated, at.Do(t, http.MethodPost, "/organizations/"+acme+"/invitations", object{"email": "grace@example.com"}).Status)
	robot := at.Do(t, http.MethodPost, "/organizations/"+acme+"/service-accounts", object{"name": "robot"}).Text("data.accountId")
	require.Equal(t, http.StatusCreated, at.Do(t, http.MethodPost, "/organizations/"+acme+"/service-accounts/"+robot+"/keys", object{"name": "key"}).Status)
	require.Equal(t, http.StatusOK, at.Do(t, http.MethodPut, "/billing/caps", object{"scope": "member", "subjectId": robot, "period": "day", "amount": 5}).Status)
	for path, says := range map[string]string{
		"/console/members": "grace@example.com", "/console/members/programs": "robot", "/console/members/log": "cap.set",
		"/console/credits": "you can move here", "/console/credits/caps": "robot", "/console/keys": "Acme",
	} {
		for _, width := range []int{1440, 390} {
			for _, theme := range []string{"light", "dark"} {
				tab.Looks(width, theme)
				tab.Go(path)
				tab.Sees("main", says)
				require.Empty(t, barriers(t, tab, program, theme), "%s %d %s", path, width, theme)
				require.LessOrEqual(t, browser.Run[int](tab, `document.documentElement.scrollWidth`), width, path)
			}
		}
	}
}
