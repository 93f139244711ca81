package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/acceptance/world"
)

// secret is the text to be copied that is shown just now: the first, or the one of a name.
func secret(tab *browser.Tab, name string) string {
	tab.T.Helper()
	tab.Sees(".snippet", name)
	return browser.Run[string](tab, `[...document.querySelectorAll('.snippet')].find(n => n.innerText.startsWith('`+name+`')).querySelector('pre').textContent`)
}

// sure says yes to the question whether somebody is.
func sure(tab *browser.Tab) {
	tab.T.Helper()
	tab.Until(`document.querySelector('#sure').open`)
	tab.Press("#sure", "Do it")
}

// as asks the API with a key or a token.
func (b *bundle) as(credential string) world.Client { return world.New(b.world.Gateway).As(credential) }

// TestKeyForAProgram: somebody makes a key for one thing alone, a program uses it for that
// and for nothing else; another secret takes the place of the first, and then it is revoked.
func TestKeyForAProgram(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	tab.Go("/console/keys")
	tab.Sees("main", "default", "Make a key")
	tab.Fill("#key-name", "watcher")
	tab.Click(`[name=access][value=some]`)
	tab.Press("main", "Make the key")
	tab.Sees("main .fault", "Choose at least one")
	require.Equal(t, "watcher", browser.Run[string](tab, `document.querySelector('#key-name').value`), "what was written stays")
	require.Nil(t, ada.Do(t, http.MethodGet, "/auth/keys", nil).At("data.1"), "there is only the registration's")

	tab.Click(`[name=access][value=all]`)
	tab.Click(`[name=scope][value="jobs:read"]`)
	require.True(t, browser.Run[bool](tab, `document.querySelector('[name=access][value=some]').checked`), "choosing one means only that")
	tab.Put("#key-days", "30")
	tab.Press("main", "Make the key")
	tab.Sees("main", "Copy it now", "jobs:read")
	tab.Pictures("key")
	first := secret(tab, "API key")
	require.Contains(t, secret(tab, "Claude Code"), first)
	require.Contains(t, secret(tab, "Cursor"), b.world.Gateway+"/mcp")
	require.Equal(t, http.StatusOK, b.as(first).Do(t, http.MethodGet, "/jobs", nil).Status)
	refused := b.as(first).Do(t, http.MethodPost, "/jobs", object{"workflow_definition": object{"steps": []object{}}})
	require.Equal(t, http.StatusForbidden, refused.Status, refused)
	require.Contains(t, refused.Text("error.message"), "jobs:write")
	require.Equal(t, http.StatusForbidden, b.as(first).Do(t, http.MethodGet, "/credits/balance", nil).Status)

	tab.Press("main", "I have copied it")
	tab.Sees("main table", "watcher", "jobs:read", "Personal")
	require.NotContains(t, browser.Run[string](tab, `document.documentElement.outerHTML`), first, "it is shown once")
	const row = `[aria-labelledby=keys-title] tbody tr:first-child`
	tab.Press(row, "New secret")
	sure(tab)
	tab.Sees("main", "Copy it now", "watcher")
	second := secret(tab, "API key")
	require.Equal(t, http.StatusUnauthorized, b.as(first).Do(t, http.MethodGet, "/jobs", nil).Status)
	require.Equal(t, http.StatusOK, b.as(second).Do(t, http.MethodGet, "/jobs", nil).Status)
	tab.Press("main", "I have copied it")
	tab.Press(row, "Revoke")
	tab.Press("#sure", "Cancel")
	require.Equal(t, http.StatusOK, b.as(second).Do(t, http.MethodGet, "/jobs", nil).Status, "nobody was sure")
	tab.Press(row, "Revoke")
	sure(tab)
	tab.Sees("main", "The key is revoked")
	require.Equal(t, http.StatusUnauthorized, b.as(second).Do(t, http.MethodGet, "/jobs", nil).Status)
}

// TestProviderKeys: a model provider's key is stored, made the default and forgotten.
func TestProviderKeys(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	tab.Go("/console/keys")
	tab.Fill("#secret", "nonsense")
	tab.Press("main", "Store the key")
	tab.Sees("main .fault", "Invalid openai API key format")
	tab.Fill("#secret", "sk-abcdefghijklmnopqrstuvwxyz")
	tab.Press("main", "Store the key")
	tab.Sees("main", "The key of OpenAI is stored", "sk-abcde...wxyz", "default")
	tab.Put("#provider", "gemini")
	tab.Fill("#secret", "abcdefghijklmnopqrstuvwxyz")
	tab.Press("main", "Store the key")
	tab.Sees("main", "The key of Google (Gemini) is stored")
	tab.Press("main", "Make default")
	tab.Sees("main", "Google (Gemini) is asked unless another is named.")
	require.Equal(t, true, ada.Do(t, http.MethodGet, "/api-keys/gemini", nil).At("data.isDefault"))
	tab.Press("[aria-labelledby=models-title] tbody tr:first-child", "Forget")
	sure(tab)
	tab.Sees("main", "The key of OpenAI is forgotten.")
	require.Nil(t, ada.Do(t, http.MethodGet, "/api-keys/openai", nil).At("data"))
}

// TestAccount: somebody changes name and password, ends other sign-ins, takes their data
// and goes.
func TestAccount(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	elsewhere := b.enter(t, ada)
	tab := b.enter(t, ada)
	tab.Press(".side", ada.email)
	tab.Sees("h1", "Your account")
	tab.Fill("#name", "Ada Lovelace")
	tab.Press("main", "Change the name")
	tab.Sees("main", "Your name is changed.")
	require.Equal(t, "Ada Lovelace", ada.Do(t, http.MethodGet, "/users/profile", nil).Text("data.name"))
	tab.Pictures("account")

	require.Equal(t, 3, tab.Count("[aria-labelledby=sessions-title] tbody tr"), "the registration's too")
	tab.Press("main", "End all others")
	sure(tab)
	tab.Sees("main", "All other sign-ins have ended.")
	elsewhere.Go("/console/keys")
	elsewhere.Sees("main", "Your sign-in has ended")

	tab.Fill("#current", "wrong")
	tab.Fill("#new", "another long password")
	tab.Press("main", "Change the password")
	tab.Sees("[aria-labelledby=password-title] .fault", "is wrong")
	tab.Fill("#current", ada.password)
	tab.Fill("#new", "another long password")
	tab.Press("main", "Change the password")
	tab.Sees("main", "Your password is changed")
	login := func(password string) int {
		return world.New(b.world.Gateway).Do(t, http.MethodPost, "/auth/login", object{"email": ada.email, "password": password}).Status
	}
	require.Equal(t, http.StatusUnauthorized, login(ada.password))
	require.Equal(t, http.StatusOK, login("another long password"))

	export := browser.Run[string](tab, `fetch('/console/account/export').then(r => r.headers.get('content-disposition') + r.headers.get('cache-control') + JSON.stringify(Object.keys(r.ok ? {ok: 1} : {})))`)
	require.Equal(t, `attachment; filename="uaol-export.json"no-store["ok"]`, export)
	require.Contains(t, browser.Run[string](tab, `fetch('/console/account/export').then(r => r.text())`), ada.email)

	tab.Press("main", "Delete it")
	tab.Fill("#delete-password", "wrong")
	tab.Press("main", "Delete my account")
	sure(tab)
	tab.Sees("[aria-labelledby=delete-title] .fault", "is wrong")
	tab.Fill("#delete-password", "another long password")
	tab.Press("main", "Delete my account")
	sure(tab)
	tab.Sees("main", "Your account is deleted")
	require.Equal(t, http.StatusUnauthorized, ada.Do(t, http.MethodGet, "/auth/me", nil).Status)
}

// TestProgramLetIn: a program that somebody has let in is listed, and can be shut out.
func TestProgramLetIn(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada, nobody := b.somebody(t), world.New(b.world.Gateway)
	program := nobody.Do(t, http.MethodPost, "/oauth/register", object{"client_name": "Notes", "redirect_uris": []string{"http://127.0.0.1/back"},
		"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none"}).Text("client_id")
	require.NotEmpty(t, program)
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636, appendix B
	asked := url.Values{"response_type": {"code"}, "client_id": {program}, "redirect_uri": {"http://127.0.0.1/back"}, "resource": {b.world.Gateway + "/mcp"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "state": {"x"}}
	back := nobody.Allow(t, "/oauth/authorize?"+asked.Encode(), ada.email, ada.password)
	token := nobody.With("Content-Type", "application/x-www-form-urlencoded").Do(t, http.MethodPost, "/oauth/token", world.Raw(url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"http://127.0.0.1/back"},
		"client_id": {program}, "code_verifier": {verifier}, "resource": {b.world.Gateway + "/mcp"},
	}.Encode())).Text("access_token")
	require.NotEmpty(t, token)
	ping := func() int {
		return b.as(token).With("Accept", "application/json, text/event-stream").Do(t, http.MethodPost, "/mcp",
			object{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": object{"protocolVersion": "2025-06-18", "capabilities": object{}, "clientInfo": object{"name": "x", "version": "1"}}}).Status
	}
	require.Equal(t, http.StatusOK, ping())

	tab := b.enter(t, ada)
	tab.Go("/console/account")
	tab.Sees("[aria-labelledby=grants-title]", "Notes", "registered itself", b.world.Gateway+"/mcp", "Personal")
	require.NotContains(t, strings.ToLower(tab.Text("[aria-labelledby=sessions-title]")), "oauth")
	tab.Press("[aria-labelledby=grants-title]", "End")
	sure(tab)
	tab.Sees("main", "The program is let in no longer.")
	require.Equal(t, http.StatusUnauthorized, ping())
}
