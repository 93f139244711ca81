package world

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	ticketForm       = regexp.MustCompile(`name="ticket" value="([^"]+)"`)
	organizationForm = regexp.MustCompile(`name="organization" value="([^"]+)"`)
)

// Allow does in a browser what somebody does whom a program has sent to the page that asks
// for consent: she signs in and allows it. It gives the address that the browser is sent to.
func (c Client) Allow(t testing.TB, page, email, password string) *url.URL {
	t.Helper()
	browser := c
	visit := func(method, path string, form url.Values, status int) Answer {
		t.Helper()
		var body any
		if form != nil {
			browser, body = browser.With("Content-Type", "application/x-www-form-urlencoded"), Raw(form.Encode())
		}
		answer := browser.Do(t, method, path, body)
		for _, cookie := range (&http.Response{Header: answer.Header}).Cookies() {
			browser = browser.With("Cookie", cookie.Name+"="+cookie.Value)
		}
		require.Equal(t, status, answer.Status, answer)
		require.Len(t, answer.Header.Values("Content-Security-Policy"), 1, answer)
		return answer
	}
	read := func(form *regexp.Regexp, page Answer) []string {
		t.Helper()
		found := form.FindSubmatch(page.Body)
		require.NotNil(t, found, page)
		return []string{string(found[1])}
	}
	asked := visit(http.MethodGet, page, nil, http.StatusOK)
	in := visit(http.MethodPost, "/oauth/sign-in", url.Values{"ticket": read(ticketForm, asked), "email": {email}, "password": {password}}, http.StatusSeeOther)
	consent := visit(http.MethodGet, "/oauth/"+in.Header.Get("Location"), nil, http.StatusOK)
	back := visit(http.MethodPost, "/oauth/authorize",
		url.Values{"ticket": read(ticketForm, consent), "decision": {"allow"}, "organization": read(organizationForm, consent)}, http.StatusSeeOther)
	to, err := url.Parse(back.Header.Get("Location"))
	require.NoError(t, err)
	return to
}
