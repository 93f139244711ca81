package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var linkForm = regexp.MustCompile(`(http\S+)/console/enter\?link=(lnk_[A-Za-z2-7]{34})`)

// invited waits until a server has invited its operator, and gives where and with what.
func (p *program) invited(t testing.TB) (base, secret string) {
	t.Helper()
	var said []string
	require.Eventually(t, func() bool {
		said = linkForm.FindStringSubmatch(p.said.String())
		return said != nil
	}, time.Minute, 10*time.Millisecond, "%s", p.said)
	return said[1], said[2]
}

// enters signs in by a link and gives who that is.
func (p *program) enters(t testing.TB, secret string) (token, email string) {
	t.Helper()
	var signedIn struct{ Token string }
	p.do(t, "", http.MethodPost, "/auth/login", `{"link":"`+secret+`"}`, &signedIn)
	return signedIn.Token, p.whoIs(t, signedIn.Token)
}

func (p *program) whoIs(t testing.TB, token string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+"/auth/me", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var me struct{ Data struct{ Email string } }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&me))
	return me.Data.Email
}

// TestServeInvitesItsOperator to the console, by a link that works once; commands make
// further ones for whoever has an account, while the server runs and when it does not.
func TestServeInvitesItsOperator(t *testing.T) {
	t.Parallel()
	home := openHome(t)
	dir := filepath.Join(home, ".uaol")
	p := startProgram(t, dir, "HOME="+home)
	base, secret := p.invited(t)
	named := strings.Replace(p.base, "127.0.0.1", "localhost", 1)
	require.Equal(t, named, base)
	require.Contains(t, p.said.String(), "\nOpen "+base+"/console/enter?link="+secret+" to sign in to the console as operator@localhost (once, within 10 minutes)\n")
	require.Contains(t, p.said.String(), "Made operator@localhost an admin of it")
	token, email := p.enters(t, secret)
	require.Equal(t, operator, email)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+"/audit", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, "an admin")
	response, err = http.Post(p.base+"/auth/login", "application/json", strings.NewReader(`{"link":"`+secret+`"}`))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "once")

	p.do(t, "", http.MethodPost, "/auth/register", `{"email":"ada@example.com"}`, nil)
	link := linkForm.FindStringSubmatch(uaol(t, home, "admin", "link", "--email", "ada@example.com"))
	require.NotNil(t, link)
	require.Equal(t, named, link[1], "where the server is")
	_, email = p.enters(t, link[2])
	require.Equal(t, "ada@example.com", email)

	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	_ = p.Wait()
	link = linkForm.FindStringSubmatch(uaol(t, home, "admin", "link", "--email", "ada@example.com"))
	require.NotNil(t, link)
	require.Equal(t, "http://localhost:1", link[1], "where it would be, by UAOL_ADDR")
	again := startProgram(t, dir, "HOME="+home, "UAOL_PUBLIC_URL=https://uaol.example.com")
	_, email = again.enters(t, link[2])
	require.Equal(t, "ada@example.com", email)
	base, secret = again.invited(t)
	require.Equal(t, "https://uaol.example.com", base)
	_, email = again.enters(t, secret)
	require.Equal(t, operator, email)
	require.NotContains(t, again.said.String(), "Made operator", "there is one")
}

// TestSpokenAddresses: only what is this machine's own gets another name.
func TestSpokenAddresses(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"http://127.0.0.1:3000": "http://localhost:3000", "https://[::1]:3443": "https://localhost:3443",
		"http://192.0.2.1:3000": "http://192.0.2.1:3000", "http://127.0.0.2:3000": "http://127.0.0.2:3000", "https://uaol.example.com": "https://uaol.example.com",
	} {
		require.Equal(t, want, spoken(base))
	}
}
