package pages

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/acceptance/world"
)

// sql changes the bundle's database, and gives how many rows.
func (b *bundle) sql(t *testing.T, text string, args ...any) int64 {
	t.Helper()
	db, err := pgx.Connect(t.Context(), b.world.Database)
	require.NoError(t, err)
	defer db.Close(t.Context())
	tag, err := db.Exec(t.Context(), text, args...)
	require.NoError(t, err)
	return tag.RowsAffected()
}

// id is p's account.
func (p person) id(t *testing.T) string {
	t.Helper()
	return p.Do(t, http.MethodGet, "/auth/me", nil).Text("data.id")
}

// TestAnAdminSeesToAnAccount: an admin finds somebody, gives and takes credits, which the
// account then has, is refused what can't be, and finds all of that in the audit log.
func TestAnAdminSeesToAnAccount(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, b.admin())
	tab.Press("nav", "Platform")
	tab.Sees("main", "Newest accounts", ada.email, "auth", "Ready")
	tab.Pictures("admin")
	tab.Press("main .tabs", "Accounts")
	tab.Fill("#q", strings.ToUpper(ada.email[:6]))
	tab.Press("main", "Look")
	tab.Sees("main", ada.email, "Show all")
	require.Equal(t, 1, tab.Count("main tbody tr"))
	tab.Pictures("admin-accounts")
	tab.Press("main table", ada.email)
	tab.Sees("h1", ada.email)
	tab.Sees(".tiles", "10,000", "Free")
	require.Equal(t, ada.id(t), browser.Run[string](tab, `location.pathname.split('/').pop()`))
	tab.Pictures("admin-account")

	tab.Fill("#grant-amount", "0")
	tab.Fill("#grant-reason", "a gift")
	tab.Press("[aria-labelledby=grant-title]", "Give")
	tab.Sees("[aria-labelledby=grant-title]", "Valid amount is required")
	require.Equal(t, "a gift", browser.Run[string](tab, `document.querySelector('#grant-reason').value`), "what was typed is still there")
	tab.Put("#grant-amount", "1,500")
	tab.Press("[aria-labelledby=grant-title]", "Give")
	tab.Sees("main", "1,500 credits were given to "+ada.email, "11,500")
	require.Equal(t, "11500", ada.credits(t))
	tab.Fill("#deduct-amount", "400")
	tab.Press("[aria-labelledby=deduct-title]", "Take")
	tab.Press("#sure", "Do it")
	tab.Sees("main", "400 credits were taken from "+ada.email, "11,100")
	require.Equal(t, "11100", ada.credits(t))
	tab.Fill("#refund-amount", "500")
	tab.Press("[aria-labelledby=refund-title]", "Give back")
	tab.Sees("[aria-labelledby=refund-title]", "Only what was charged can be refunded")
	tab.Put("#refund-amount", "400")
	tab.Press("[aria-labelledby=refund-title]", "Give back")
	tab.Sees("main", "400 credits were given back to "+ada.email)
	require.Equal(t, "11500", ada.credits(t))
	require.Equal(t, "a gift", ada.Do(t, http.MethodGet, "/credits/history?kind=grant&limit=1", nil).Text("data.0.facts.reason"))
	tab.Put("#tier", "Pro")
	tab.Press("[aria-labelledby=tier-title]", "Set the plan")
	tab.Sees("main", ada.email+" is on the plan Pro now")
	require.Equal(t, "Pro", ada.Do(t, http.MethodGet, "/billing/subscription", nil).Text("data.tier"))

	tab.Go("/console/admin/audit")
	tab.Fill("#action", "credits.grant")
	tab.Press("main", "Show")
	tab.Sees("main", "credits.grant", "Show all")
	require.Equal(t, 2, tab.Count("main tbody tr"), "the one that was refused too")
	tab.Pictures("admin-audit")
	exported := browser.Run[string](tab, `fetch(document.querySelector('a[download]').href).then(r => r.text().then(text => r.headers.get('content-disposition') + '\n' + text))`)
	require.Contains(t, exported, `attachment; filename="audit.jsonl"`)
	require.Contains(t, exported, `"action":"credits.deduct"`)
	tab.Fill("#action", "nothing.such")
	tab.Press("main", "Show")
	tab.Sees("main", "No act fits")
	require.Empty(t, tab.Problems())
}

// TestAnAdminMakesAnAdmin, who then sees these pages, and may not make herself another.
func TestAnAdminMakesAnAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada, root := b.somebody(t), b.admin()
	hers := b.enter(t, ada)
	require.Zero(t, hers.Count(`a[href^="/console/admin"]`))
	tab := b.enter(t, root)
	tab.Go("/console/admin/accounts/" + ada.id(t))
	tab.Press("[aria-labelledby=admin-title]", "Make an admin")
	tab.Sees("#sure", "Nobody has proved that this address is theirs")
	tab.Press("#sure", "Cancel")
	require.Equal(t, http.StatusForbidden, ada.Do(t, http.MethodGet, "/accounts", nil).Status)
	tab.Press("[aria-labelledby=admin-title]", "Make an admin")
	tab.Press("#sure", "Do it")
	tab.Sees("main", ada.email+" is an admin of the platform now")
	require.Equal(t, http.StatusOK, ada.Do(t, http.MethodGet, "/accounts", nil).Status, "at once")
	hers.Go("/console")
	hers.Press("nav", "Platform")
	hers.Sees("main", "Newest accounts")
	hers.Go("/console/admin/accounts/" + ada.id(t))
	hers.Sees("[aria-labelledby=admin-title]", "nobody does it to themselves")
	require.Zero(t, hers.Count("[aria-labelledby=admin-title] form"))

	tab.Press("[aria-labelledby=admin-title]", "No admin any more")
	tab.Press("#sure", "Do it")
	tab.Sees("main", ada.email+" is no admin of the platform any more")
	require.Equal(t, http.StatusForbidden, ada.Do(t, http.MethodGet, "/accounts", nil).Status, "at once")
	hers.Go("/console/admin/accounts")
	hers.Sees("main", "This is for admins of the platform")
}

// TestWhoIsNoAdminSeesNothing: neither a page nor what it is made of.
func TestWhoIsNoAdminSeesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada, bob := b.somebody(t), b.somebody(t)
	client := b.cookies(t, ada)
	for _, page := range []string{"", "/accounts", "/accounts/" + bob.id(t), "/invitations", "/audit", "/audit/export", "/ledger", "/events", "/configuration"} {
		answer, err := client.Get(b.world.Gateway + "/console/admin" + page)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusForbidden, answer.StatusCode, page)
		require.Contains(t, string(text), "This is for admins of the platform", page)
		require.NotContains(t, string(text), bob.email, page)
	}
	event := "/0199c0de-0000-7000-8000-000000000001"
	for _, asked := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, "/accounts", nil}, {http.MethodGet, "/accounts/" + bob.id(t), nil}, {http.MethodPut, "/accounts/" + ada.id(t), object{"admin": true}},
		{http.MethodGet, "/invitations", nil}, {http.MethodGet, "/audit", nil}, {http.MethodGet, "/audit/export", nil},
		{http.MethodGet, "/ledger", nil}, {http.MethodPost, "/ledger/verify", nil}, {http.MethodGet, "/configuration", nil},
		{http.MethodGet, "/events/jobs", nil}, {http.MethodGet, "/events/billing/counts", nil}, {http.MethodPost, "/events/auth" + event + "/retry", nil},
	} {
		require.Equal(t, http.StatusForbidden, ada.Do(t, asked.method, asked.path, asked.body).Status, asked.path)
	}
}

// TestTheLedgerIsChecked: while it goes on, without scripts, and when somebody has changed
// the books.
func TestTheLedgerIsChecked(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for range 3 {
		b.somebody(t)
	}
	root := b.admin()
	tab := b.enter(t, root) // whose month is entered too
	world.Until(t, "all is sealed", func() bool {
		return root.Do(t, http.MethodGet, "/ledger", nil).At("data.unsealed") == json.Number("0")
	})
	tab.Go("/console/admin/ledger")
	tab.Sees("[aria-labelledby=seal-title]", "Root", "Head", root.Do(t, http.MethodGet, "/ledger", nil).Text("data.seal.digest"))
	tab.Press("main", "Verify")
	tab.Sees("#verified", "Nothing is wrong", "0 faults", "Organisations", "Seals")
	require.Equal(t, "/console/admin/ledger", browser.Run[string](tab, `location.pathname`), "without leaving the page")
	tab.Until(`!document.querySelector('[data-verify] button').disabled && document.querySelector('[data-stop]').hidden`)
	tab.Pictures("admin-ledger")

	tab.Scripts(false)
	tab.Go("/console/admin/ledger")
	tab.Click("[data-verify] button")
	tab.Sees("#verified", "Nothing is wrong", "0 faults")
	require.Equal(t, "/console/admin/ledger/verify", browser.Run[string](tab, `location.pathname`))
	tab.Scripts(true)

	require.Positive(t, b.sql(t, `UPDATE uaol_billing.journal SET facts = '{"reason":"another"}' WHERE kind = 'grant'`))
	tab.Go("/console/admin/ledger")
	tab.Press("main", "Verify")
	tab.Sees("#verified", "The books do not add up", "organisation")
	tab.Pictures("admin-ledger-bad")
	require.Empty(t, tab.Problems())
}

// TestAnInvitationToThePlatform: where nobody else may register, whoever was sent the link may.
func TestAnInvitationToThePlatform(t *testing.T) {
	t.Parallel()
	b := setup(t, world.Settings{"REGISTRATION": "invite"})
	tab := b.enter(t, b.admin())
	tab.Go("/console/admin/invitations")
	tab.Sees("main", "None")
	tab.Fill("#email", "eve@example.com")
	tab.Put("#days", "91")
	browser.Run[bool](tab, `(() => { document.querySelector('form[action$="/invitations"]').noValidate = true; return true })()`)
	tab.Press("main", "Invite")
	tab.Sees("[aria-labelledby=invite-title]", "must be at most 90")
	tab.Put("#days", "3")
	tab.Press("main", "Invite")
	tab.Sees("main", "eve@example.com", "no letter was sent")
	tab.Pictures("admin-invited")
	link := browser.Run[string](tab, `document.querySelector('.snippet pre').textContent`)
	tab.Press("main", "Done")
	tab.Sees("[aria-labelledby=open-title]", "eve@example.com")
	tab.Pictures("admin-invitations")

	eve := b.open(t)
	eve.Go(strings.TrimPrefix(link, b.world.Gateway))
	eve.Sees("h1", "Make an account")
	eve.Fill("#email", "eve@example.com")
	eve.Fill("#password", password)
	eve.Press("main form", "Make an account")
	eve.Sees("main", "Welcome")
	require.NotEmpty(t, b.signedIn(t, "eve@example.com").id(t))

	tab.Go("/console/admin/invitations")
	tab.Sees("main", "None")
	tab.Fill("#email", "bob@example.com")
	tab.Press("main", "Invite")
	tab.Press("main", "Done")
	tab.Press("main", "Withdraw")
	tab.Press("#sure", "Do it")
	tab.Sees("main", "The invitation is withdrawn", "None")
	require.Empty(t, b.admin().Do(t, http.MethodGet, "/invitations", nil).At("data"))
}

// TestARefusedEventIsTriedAgain.
func TestARefusedEventIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	require.EqualValues(t, 1, b.sql(t, `UPDATE uaol_auth.outbox SET refused = 'the message is too large' WHERE type = 'user.registered' AND subject = $1`, ada.id(t)))
	tab := b.enter(t, b.admin())
	tab.Go("/console/admin")
	tab.Sees("main", "1 event was refused")
	tab.Press("main", "1 event")
	tab.Sees("h2", "By service")
	tab.Sees("[aria-labelledby=events-title]", "Events of auth that are refused", "user.registered", "the message is too large", ada.id(t))
	tab.Pictures("admin-events")
	tab.Press("[aria-labelledby=events-title]", "Try again")
	tab.Sees("main", "The event waits to be published", "None")
	counts := b.admin().Do(t, http.MethodGet, "/events/auth/counts", nil)
	require.EqualValues(t, "0", counts.At("data.refused"))
	require.Equal(t, "none", counts.Text("data.broker"))
	tab.Put("#state", "pending")
	tab.Press("main .filters", "Show")
	tab.Sees("[aria-labelledby=events-title]", ada.id(t))
	require.Empty(t, tab.Problems())
}

// TestTheConfigurationIsShown, and no secret of it.
func TestTheConfigurationIsShown(t *testing.T) {
	t.Parallel()
	b := setup(t, world.Settings{"UAOL_SIGNUPS_PER_HOUR": "77"})
	tab := b.enter(t, b.admin())
	tab.Go("/console/admin/configuration")
	tab.Sees("main", "UAOL_SIGNUPS_PER_HOUR", "77", "STRIPE_SECRET_KEY", "not set")
	require.NotContains(t, browser.Run[string](tab, `document.documentElement.outerHTML`), b.world.AdminKey)
	tab.Pictures("admin-configuration")
	all := tab.Count("main tbody tr td:first-child")
	tab.Fill("#q", "signups")
	tab.Press("main", "Look")
	tab.Sees("h2", "1 setting")
	tab.Sees("main table", "UAOL_SIGNUPS_PER_HOUR", "environment")
	tab.Go("/console/admin/configuration?set=yes")
	require.Less(t, tab.Count("main tbody tr td:first-child"), all)
	tab.Go("/console/admin/configuration?q=no+such+setting")
	tab.Sees("main", "Nothing like that")
}

// TestNothingRunsForAdmins: what people write about themselves stays text on the pages of
// the platform's admins.
func TestNothingRunsForAdmins(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tab := b.enter(t, b.admin())
	for _, word := range payloads {
		ada := b.somebody(t)
		name := word[:min(len(word), 90)]
		hostile := ada.With("User-Agent", strings.ToValidUTF8(strings.ReplaceAll(word, "\u202e", ""), ""))
		named := hostile.Do(t, http.MethodPut, "/users/profile", object{"name": strings.ToValidUTF8(name, "")})
		require.Equal(t, http.StatusOK, named.Status, named)
		b.sql(t, `UPDATE uaol_auth.outbox SET refused = $1, data = jsonb_build_object($1::text, $1::text) WHERE subject = $2`, word, ada.id(t))
		for _, page := range []string{"", "/accounts", "/accounts/" + ada.id(t), "/audit", "/audit?action=", "/events?service=auth&state=refused", "/configuration?q=x"} {
			tab.Go("/console/admin" + page)
			tab.Until(`document.documentElement.dataset.scripts == 'on'`)
			require.Nil(t, browser.Run[any](tab, `(() => { for (const n of document.querySelectorAll('details')) n.open = true; return window.taken ?? null })()`), page)
			require.Zero(t, tab.Count(`main script, main iframe, main style, base, [onerror], [onload], [onfocus], main a[href^="javascript:" i]`), page)
		}
		require.Empty(t, tab.Problems())
	}
}
