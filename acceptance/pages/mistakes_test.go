package pages

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/acceptance/world"
)

// answered is what a page answered.
type answered struct {
	*http.Response
	text string
}

// asks is what a client with cookies gets to see; fields are a form's, nil for none.
func (b *bundle) asks(t *testing.T, client *http.Client, path string, fields url.Values) answered {
	t.Helper()
	var answer *http.Response
	var err error
	if fields == nil {
		answer, err = client.Get(b.world.Gateway + path)
	} else {
		answer, err = client.PostForm(b.world.Gateway+path, fields)
	}
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answered{answer, string(text)}
}

// TestAddressesThatAreNone say so in people's words, and where the page above them is.
func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada, bob := b.somebody(t), b.somebody(t)
	tool := b.tool(t, ada, "Echo", 1)
	client := b.cookies(t, bob)
	for path, says := range map[string]string{
		"/console/jobs/nonsense":                   "There is nothing at this address",
		"/console/files/nonsense":                  "There is nothing at this address",
		"/console/jobs/nonsense/cancel":            `href="/console/jobs/nonsense"`,
		"/console/tools/" + tool + "/disable":      `href="/console/tools/` + tool + `"`,
		"/console/tools/" + tool + "/a/b/c":        `href="/console/tools/` + tool + `"`,
		"/console/nowhere":                         `href="/console"`,
		"/console/tools/import":                    `href="/console/tools"`,
		"/console/keys/models/openai/default":      `href="/console/keys"`,
		"/console/workflows/run":                   `href="/console/workflows"`,
		"/console/tools/" + tool + "/nothing?a=/b": `href="/console/tools/` + tool + `"`,
	} {
		answer := b.asks(t, client, path, nil)
		require.Equal(t, http.StatusNotFound, answer.StatusCode, path)
		require.Contains(t, answer.text, says, path)
		require.NotContains(t, answer.text, "path.", path)
	}
	for path, says := range map[string]string{
		"/console/tools/" + tool + "/edit": "belongs to another organisation",
		"/console/tools/review":            "for admins of the platform",
	} {
		answer := b.asks(t, client, path, nil)
		require.Equal(t, http.StatusForbidden, answer.StatusCode, path)
		require.Contains(t, answer.text, says, path)
	}
}

// TestSignInsThatLeadNowhere are refused where they begin.
func TestSignInsThatLeadNowhere(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	key := func(scopes ...string) url.Values {
		made := ada.Do(t, http.MethodPost, "/auth/keys", object{"name": "some", "scopes": scopes})
		require.Equal(t, http.StatusCreated, made.Status, made)
		return url.Values{"key": {made.Text("data.apiKey")}}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer := b.asks(t, client, "/console/sign-in", key("jobs:read"))
	require.Equal(t, http.StatusUnprocessableEntity, answer.StatusCode)
	require.Contains(t, answer.text, "This key may do too little to sign in with")
	require.Empty(t, answer.Header.Values("Set-Cookie"))
	require.Equal(t, http.StatusSeeOther, b.asks(t, client, "/console/sign-in", key("account:read", "organizations:read", "jobs:read")).StatusCode)

	answer = b.asks(t, client, "/console/sign-in/with/google", nil)
	require.Equal(t, http.StatusUnprocessableEntity, answer.StatusCode)
	require.Contains(t, answer.text, "Nobody has set up here how to sign in with Google")

	require.NotContains(t, b.asks(t, client, "/console/sign-in", nil).text, "has signed in here")
	require.Contains(t, b.asks(t, b.cookies(t, ada), "/console/sign-in", nil).text, ada.email+" has signed in here")
}

// TestFormsSentTwice do one thing.
func TestFormsSentTwice(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	client := b.cookies(t, ada)
	organization := ada.Do(t, http.MethodGet, "/organizations", nil).Text("data.0.id")
	form := func(fields ...string) url.Values {
		sent := url.Values{"for": {organization}, "once": {"o" + strings.Join(fields, "")}}
		for i := 0; i < len(fields); i += 2 {
			sent.Set(fields[i], fields[i+1])
		}
		return sent
	}
	tool := form("name", "Twice", "gateway_url", b.tools.URL+"/mcp", "protocol", "mcp", "visibility", "public", "credit_cost_per_call", "1")
	first, second := b.asks(t, client, "/console/tools/new", tool), b.asks(t, client, "/console/tools/new", tool)
	require.Equal(t, http.StatusSeeOther, first.StatusCode, first.text)
	require.Equal(t, first.Header.Get("Location"), second.Header.Get("Location"))

	key := form("name", "twice")
	first, second = b.asks(t, client, "/console/keys", key), b.asks(t, client, "/console/keys", key)
	require.Contains(t, first.text, "uaol_")
	require.NotContains(t, second.text, "Your new key")
	require.Contains(t, second.text, "sent before, and done once")
	keys, _ := ada.Do(t, http.MethodGet, "/auth/keys", nil).At("data").([]any)
	require.Len(t, keys, 2, "and the one that registering makes")

	team := form("name", "Team")
	first, second = b.asks(t, client, "/console/members/organizations", team), b.asks(t, client, "/console/members/organizations", team)
	require.Equal(t, http.StatusSeeOther, first.StatusCode, first.text)
	require.Equal(t, http.StatusSeeOther, second.StatusCode, "though another organisation is looked at by now")
	teams, _ := b.signedIn(t, ada.email).Do(t, http.MethodGet, "/organizations", nil).At("data").([]any)
	require.Len(t, teams, 2)
}

// TestTooManyRequests: a page that is refused says for how long, in words and to programs,
// opens by itself then, and only then says what the deed before it came to.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	b := setup(t, world.Settings{"RATE_LIMIT_PER_MINUTE": "30"})
	ada := b.somebody(t)
	client := b.cookies(t, ada)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	made := b.asks(t, client, "/console/members/organizations", url.Values{"name": {"Team"}})
	require.Equal(t, http.StatusSeeOther, made.StatusCode, made.text)
	next := made.Header.Get("Location")
	for ada.Do(t, http.MethodGet, "/jobs", nil).Status == http.StatusOK {
	}
	answer := b.asks(t, client, next, nil)
	require.Equal(t, http.StatusTooManyRequests, answer.StatusCode)
	after := answer.Header.Get("Retry-After")
	require.Regexp(t, `^[1-9]$`, after, "one request becomes free every two seconds")
	require.Contains(t, answer.text, "opens by itself in "+after+" second")
	require.Equal(t, after, answer.Header.Get("Refresh"))
	require.NotContains(t, answer.text, "is made")
	require.Eventually(t, func() bool { answer = b.asks(t, client, next, nil); return answer.StatusCode == http.StatusOK }, time.Minute, 100*time.Millisecond)
	require.Contains(t, answer.text, "is made")

	tab := b.enter(t, ada)
	for ada.Do(t, http.MethodGet, "/jobs", nil).Status == http.StatusOK {
	}
	tab.Go("/console/files")
	tab.Sees("main", "opens by itself")
	tab.Sees("main", "No files yet")
	tab.Problems() // the browser tells of the 429
}

// TestTheFault: who sends a form that is wrong gets to the field that is, and hears why.
func TestTheFault(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tab := b.enter(t, b.somebody(t))
	tab.Go("/console/tools/new")
	tab.Fill("#name", "Wrong")
	tab.Fill("#address", b.tools.URL+"/mcp")
	tab.Put("#minute", "many")
	tab.Press("main", "Register")
	tab.Sees("main", "must be a whole number")
	tab.Until(`document.activeElement.id == 'minute'`)
	require.True(t, browser.Run[bool](tab, `(() => { const f = document.activeElement; return f.getAttribute('aria-invalid') == 'true' && document.getElementById(f.getAttribute('aria-describedby')).textContent.includes('whole number') && f.closest('details').open })()`))
}

// TestALivePageThatCannotGoOn says that it shows what was before.
func TestALivePageThatCannotGoOn(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	tab.Until(`document.querySelector('[data-live]') && !document.querySelector('[data-stale]')`)
	ended := b.signedIn(t, ada.email).Do(t, http.MethodDelete, "/auth/sessions", nil) // all others
	require.Equal(t, http.StatusOK, ended.Status, ended)
	tab.Until(`document.querySelector('[data-live][data-stale]')`)
	require.Contains(t, tab.Text("#told"), "What is shown is from before")
	require.Contains(t, tab.Text("#told"), "Your sign-in has ended")
}

// TestAnotherTab: a page that is live does not become somebody else's, or another
// organisation's, when the browser goes there in another tab.
func TestAnotherTab(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada, bob := b.somebody(t), b.somebody(t)
	client := b.cookies(t, ada)
	whose := func(page answered) string {
		_, rest, there := strings.Cut(page.text, `data-whose="`)
		require.True(t, there)
		mark, _, _ := strings.Cut(rest, `"`)
		return mark
	}
	live := func(client *http.Client, whose string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.world.Gateway+"/console/jobs?whose="+url.QueryEscape(whose), nil)
		require.NoError(t, err)
		r.Header.Set("Accept", "text/event-stream")
		answer, err := client.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		line, err := bufio.NewReader(answer.Body).ReadString('\n')
		require.NoError(t, err)
		return line
	}
	adas, bobs := whose(b.asks(t, client, "/console/jobs", nil)), whose(b.asks(t, b.cookies(t, bob), "/console/jobs", nil))
	require.NotEqual(t, adas, bobs)
	require.Contains(t, live(client, adas), "data:")
	require.Equal(t, "event: over\n", live(client, bobs))

	made := b.signedIn(t, ada.email).Do(t, http.MethodPost, "/organizations", object{"name": "Team"})
	require.Equal(t, http.StatusCreated, made.Status, made)
	tab := b.enter(t, ada)
	tab.Go("/console/jobs")
	tab.Until(`document.querySelector('[data-live]')`)
	browser.Run[bool](tab, `fetch('/console/organization', { method: 'POST', body: new URLSearchParams({ to: '`+made.Text("data.id")+`', back: '/console' }) }).then(() => true)`)
	browser.Run[bool](tab, `(() => { // as when somebody comes back to this tab
		Object.defineProperty(document, 'hidden', { value: true, configurable: true });
		document.dispatchEvent(new Event('visibilitychange'));
		Object.defineProperty(document, 'hidden', { value: false, configurable: true });
		document.dispatchEvent(new Event('visibilitychange'));
		return true;
	})()`)
	tab.Until(`document.querySelector('[data-live]').dataset.stale?.includes('in another organisation')`)
}

// TestCreditsStayTrue: what is left is told on an open overview, at its side too.
func TestCreditsStayTrue(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tool := b.tool(t, ada, "Dear", 7)
	tab := b.enter(t, ada)
	tab.Until(`document.querySelector('.side [data-credits]').textContent == '10,000 credits'`)
	job := ada.run(t, nil, call("a", tool, "echo", "x"))
	ada.until(t, job, "Success")
	tab.Until(`document.querySelector('.side [data-credits]').textContent == '9,993 credits'`)
	tab.Sees(".tiles", "9,993", "Left to spend")
	tab.Until(`[...document.querySelectorAll('.tile')].some(n => n.innerText.includes('Spent') && n.innerText.includes('7'))`)
}
