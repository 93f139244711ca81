package pages

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"uaol/acceptance/browser"
	"uaol/acceptance/world"
	"uaol/services/gateway/console"
)

// payloads are what would run if a page took text for markup, script, address or template.
var payloads = []string{
	`<script>window.taken=1</script><img src=x onerror=window.taken=1>`,
	`"><svg onload=window.taken=1><a href="javascript:window.taken=1" autofocus onfocus=window.taken=1>`,
	`'-window.taken=1-'</textarea></title></pre><iframe srcdoc="<script>parent.taken=1</script>">`,
	`javascript:window.taken=1//{{constructor.constructor('window.taken=1')()}}${window.taken=1}`,
	"</script><style>*{background:url(https://evil.example)}</style>\u202e<base href=https://evil.example>",
}

// TestNothingRuns: whatever somebody or a tool writes into a field stays text on every page.
func TestNothingRuns(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for i, word := range payloads {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			ada := b.somebody(t)
			hostile := b.hostile(t, ada, word)
			tab := b.enter(t, ada)
			ids := b.hostileJobs(t, ada, hostile, word)
			for _, at := range append(allPlaces(t, b, ada, word), place{"/console/jobs/" + ids, "echo"}, place{"/console/tools/" + hostile, ""}) {
				tab.Go(at.path)
				tab.Until(`document.documentElement.dataset.scripts == 'on'`)
				require.Nil(t, browser.Run[any](tab, `(() => { for (const n of document.querySelectorAll('details')) n.open = true; return window.taken ?? null })()`), at.path)
				require.Zero(t, tab.Count(`main script, main iframe, main style, base, [onerror], [onload], [onfocus], main a[href^="javascript:" i]`), at.path)
				require.Empty(t, tab.Problems(), at.path)
			}
		})
	}
}

// hostile makes p a tool whose server writes the word into everything that it can.
func (b *bundle) hostile(t *testing.T, p person, word string) (id string) {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "hostile", Title: word, Version: "1"}, &mcp.ServerOptions{Instructions: word})
	schema := object{"type": "object", "title": word, "description": word, "required": []string{"text"}, "properties": object{
		"text": object{"type": "string", "title": word, "description": word, "default": word, "examples": []string{word}, "enum": []string{word, "x"}},
		word:   object{"type": "string", "description": word, "pattern": "."},
		"deep": object{"type": "object", "properties": object{word: object{"type": "array", "items": object{"type": "string", "description": word}}}},
	}}
	server.AddTool(&mcp.Tool{Name: "echo", Title: word, Description: word, InputSchema: schema}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: word}}, StructuredContent: object{word: word}}, nil
	})
	server.AddTool(&mcp.Tool{Name: "fails", Description: word, InputSchema: object{"type": "object"}}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: word}}}, nil
	})
	return b.toolAt(t, p, world.ServeMCP(t, server), word, 1)
}

// hostileJobs lets the tool answer in a job, and fail in another, which is given.
func (b *bundle) hostileJobs(t *testing.T, p person, tool, word string) (job string) {
	t.Helper()
	done := p.run(t, object{word: word}, call("a", tool, "echo", word))
	p.until(t, done, "Success")
	job = p.run(t, object{word: word}, call("a", tool, "echo", word), object{"id": "b", "tool_id": tool, "action": "fails", "parameters": object{}, "depends_on": []string{"a"}})
	p.until(t, job, "Failed")
	return job
}

// signIn gives a client that has the cookies of somebody's console.
func (b *bundle) cookies(t *testing.T, p person) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.PostForm(b.world.Gateway+"/console/sign-in", url.Values{"email": {p.email}, "password": {p.password}})
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
	return client
}

// TestOtherSites: what another site's page sends in somebody's name is not done, and no
// site can show the console in a frame of its own.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	client := b.cookies(t, ada)
	organization := ada.Do(t, http.MethodGet, "/organizations", nil).Text("data.0.id")
	tool := b.tool(t, ada, "Target", 1)
	job := ada.run(t, nil, object{"id": "ask", "kind": "approval", "message": "Go on?"}, call("a", tool, "echo", "x"))
	send := func(fields url.Values, header http.Header) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.world.Gateway+"/console/jobs/"+job+"/cancel", strings.NewReader(fields.Encode()))
		require.NoError(t, err)
		r.Header = header
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := client.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		return answer.StatusCode
	}
	good := url.Values{"for": {organization}}
	for name, header := range map[string]http.Header{
		"cross-site":                  {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		"another port":                {"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://127.0.0.1:1"}},
		"a browser without metadata":  {"Origin": {"https://evil.example"}},
		"an origin that hides itself": {"Origin": {"null"}},
	} {
		require.Equal(t, http.StatusForbidden, send(good, header), name)
	}
	require.Equal(t, http.StatusConflict, send(url.Values{}, http.Header{"Sec-Fetch-Site": {"same-origin"}}), "no page of ours sends this")
	require.Equal(t, http.StatusConflict, send(url.Values{"for": {"another"}}, http.Header{"Sec-Fetch-Site": {"same-origin"}}), "a page of another organisation")
	require.Equal(t, "Running", ada.status(t, job), "nothing was done")

	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<link rel=icon href="data:,"><iframe id=frame src="%[1]s/console/jobs/%[2]s"></iframe><form method=post target=out action="%[1]s/console/jobs/%[2]s/cancel"><input name=for value="%[3]s"></form><iframe name=out></iframe><script>document.forms[0].submit()</script>`, b.world.Gateway, job, organization)
	}))
	t.Cleanup(evil.Close)
	tab := b.enter(t, ada)
	browser.Run[bool](tab, `(() => { location.href = '`+evil.URL+`'; return true })()`)
	tab.Until(`location.port == '` + portOf(evil.URL) + `' && document.readyState == 'complete'`)
	var problems []string
	require.Eventually(t, func() bool {
		problems = append(problems, tab.Problems()...)
		return strings.Count(strings.Join(problems, "\n"), "frame-ancestors") >= 2
	}, browser.Patience, 50*time.Millisecond, "the browser refuses to show the job, and what came of the form: %v", &problems)
	require.Equal(t, "Running", ada.status(t, job), "a browser with cookies has sent it from another origin of the same site")

	require.Equal(t, http.StatusSeeOther, send(good, http.Header{"Sec-Fetch-Site": {"same-origin"}}), "the same from our own page")
	ada.until(t, job, "Cancelled")
}

func portOf(address string) string { return address[strings.LastIndex(address, ":")+1:] }

// TestHeaders: every page says what it may do, that nobody frames it and nobody keeps it.
func TestHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	client := b.cookies(t, ada)
	for _, at := range append(allPlaces(t, b, ada, "x"), place{"/console/nowhere", ""}, place{"/console/assets/old/console.js", ""}) {
		answer, err := client.Get(b.world.Gateway + at.path)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		answer.Body.Close()
		h := answer.Header
		policy := h.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"} {
			require.Contains(t, policy, directive, at.path)
		}
		require.NotContains(t, policy, "unsafe", at.path)
		require.Equal(t, "DENY", h.Get("X-Frame-Options"), at.path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), at.path)
		require.Equal(t, "no-store", h.Get("Cache-Control"), at.path)
		require.NotRegexp(t, `(?i)<[^>]+\s(on[a-z]+|style)\s*=`, string(body), at.path)
		require.NotRegexp(t, `(?i)(src|href|action)\s*=\s*["']?(https?:)?//`, strings.ReplaceAll(string(body), b.world.Gateway, ""), at.path)
	}
	for _, cookie := range client.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(b.world.Gateway, "http://"), Path: "/"}) {
		require.NotContains(t, cookie.Value, ada.key, "no key is kept in a browser")
	}
}

// TestWhoSeesPages: without a sign-in every page leads to it, with nothing of what it says.
func TestWhoSeesPages(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	all := allPlaces(t, b, ada, "secret word")
	nobody := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	stranger := b.cookies(t, b.somebody(t))
	for _, at := range all {
		if strings.HasPrefix(at.path, console.Prefix+"/sign-in") {
			continue
		}
		answer, err := nobody.Get(b.world.Gateway + at.path)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusSeeOther, answer.StatusCode, at.path)
		require.Contains(t, answer.Header.Get("Location"), "/console/sign-in", at.path)

		answer, err = stranger.Get(b.world.Gateway + at.path)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		answer.Body.Close()
		if at.says == "secret word" && !strings.Contains(at.path, "/tools") { // tools are public here
			require.NotContains(t, string(body), "secret word", at.path)
		}
	}
}

// TestLinksAsk: a link that signs in goes on by itself only for who has opened it
// themselves and is nobody yet; a page of another site could lead anybody to its own.
func TestLinksAsk(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	open := func(client *http.Client, from string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.world.Gateway+"/console/enter?link=lnk_x", nil)
		require.NoError(t, err)
		r.Header.Set("Sec-Fetch-Site", from)
		answer, err := client.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.Contains(t, open(http.DefaultClient, "none"), "data-enter")
	for _, from := range []string{"cross-site", "same-site", "same-origin", ""} {
		require.NotContains(t, open(http.DefaultClient, from), "data-enter", from)
	}
	signedIn := open(b.cookies(t, ada), "none")
	require.NotContains(t, signedIn, "data-enter")
	require.Contains(t, signedIn, ada.email, "whom it would replace")
}

// TestTypingAfterTheEnd: what somebody has written stays when their sign-in has ended, and
// so does the page when the server says no to what is asked while they write.
func TestTypingAfterTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ada := b.somebody(t)
	tab := b.enter(t, ada)
	tab.Go("/console/workflows/new")
	ended := b.signedIn(t, ada.email).Do(t, http.MethodDelete, "/auth/sessions", nil)
	require.Equal(t, http.StatusOK, ended.Status, ended)
	tab.Put("#definition", `{"steps": [], "mine": true}`)
	tab.Sees("#checked", "Sign in again in another tab")
	require.Contains(t, browser.Run[string](tab, `document.querySelector('#definition').value`), "mine")
}
