package auth

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/mail"
	"uaol/services"
)

func TestANewUserConfirmsTheAddress(t *testing.T) {
	t.Parallel()
	b, server := mailing(t)
	ada := b.made(t, "ada@example.com")
	to, subject, secret := next(t, server)
	require.Equal(t, "ada@example.com", to)
	require.Equal(t, "Confirm your e-mail address", subject)
	require.NotEmpty(t, secret)
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.links WHERE encode(hash, 'escape') LIKE '%lnk%'`), "only its hash is stored")

	confirm := `{"token":"` + secret + `"}`
	require.Equal(t, 400, b.do(t, "POST", "/auth/password/reset", `{"token":"`+secret+`","password":"battery staple"}`).Status, "it is good for one thing")
	got := b.do(t, "POST", "/email/confirm", confirm)
	require.Equal(t, 200, got.Status, got.Text)
	require.Contains(t, b.do(t, "GET", "/users/profile", "", bearer(ada.Token)...).Text, `"emailVerified":true`)
	got = b.do(t, "POST", "/auth/email/confirm", confirm)
	require.Equal(t, 400, got.Status, "once")
	require.Contains(t, string(got.Body.Error.Details), `"path":"body.token"`)

	got = b.do(t, "POST", "/auth/email/verify", "", bearer(ada.Token)...)
	require.Equal(t, "The e-mail address is confirmed already", got.Body.Message)
	server.None(t)
}

func TestTheLinkIsSentAgain(t *testing.T) {
	t.Parallel()
	b, server := mailing(t)
	ada := b.made(t, "ada@example.com")
	_, _, first := next(t, server)
	for range 5 {
		got := b.do(t, "POST", "/auth/email/verify", "", bearer(ada.Token)...)
		require.Equal(t, 200, got.Status, got.Text)
		to, _, secret := next(t, server)
		require.Equal(t, "ada@example.com", to)
		require.NotEqual(t, first, secret)
	}
	got := b.do(t, "POST", "/auth/email/verify", "", bearer(ada.Token)...)
	require.Equal(t, http.StatusTooManyRequests, got.Status, "nobody's mailbox is filled")
	server.None(t)
	require.Equal(t, 200, b.do(t, "POST", "/auth/email/confirm", `{"token":"`+first+`"}`).Status)
}

// TestProvedAddressesAreNotAskedFor again, such as those of a provider.
func TestProvedAddressesAreNotAskedFor(t *testing.T) {
	t.Parallel()
	b, server := mailing(t)
	_, happened, err := b.repository.register(t.Context(), registration{ID: newID(), Email: "ada@example.com", Verified: true})
	require.NoError(t, err)
	b.bus.Publish(happened)
	b.made(t, "bob@example.com")
	to, _, _ := next(t, server)
	require.Equal(t, "bob@example.com", to)
	server.None(t)
}

func TestEmailChangeWithMail(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"POST /users/email", "PUT /users/profile"} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			b, server := mailing(t)
			ada := b.made(t, "ada@example.com")
			_, _, verify := next(t, server)
			method, path, _ := strings.Cut(route, " ")
			change := func(body string) answer { return b.do(t, method, path, body, bearer(ada.Token)...) }

			require.Equal(t, 400, change(`{"email":"new@example.com"}`).Status)
			require.Equal(t, 400, change(`{"email":"new@example.com","password":"wrong horse"}`).Status)
			server.None(t)
			got := change(`{"email":"first@example.com","password":"correct horse"}`)
			require.Equal(t, 200, got.Status, got.Text)
			require.Contains(t, got.Body.Message, "A link was sent to the new e-mail address")
			letters := map[string]string{}
			for range 2 {
				to, subject, secret := next(t, server)
				letters[to] = secret
				require.Contains(t, subject, map[string]string{"ada@example.com": "about to change", "first@example.com": "Confirm your new"}[to])
			}
			first := letters["first@example.com"]
			require.NotEmpty(t, first)
			require.Empty(t, letters["ada@example.com"], "the old address gets no link")
			require.Contains(t, b.do(t, "GET", "/users/profile", "", bearer(ada.Token)...).Text, `"ada@example.com"`, "not yet")

			require.Equal(t, 200, change(`{"email":"New@Example.com","password":"correct horse"}`).Status)
			letters = map[string]string{}
			for range 2 {
				to, _, secret := next(t, server)
				letters[to] = secret
			}
			require.Equal(t, 400, b.do(t, "POST", "/auth/email/confirm", `{"token":"`+first+`"}`).Status, "the later address counts")
			got = b.do(t, "POST", "/auth/email/confirm", `{"token":"`+letters["new@example.com"]+`"}`)
			require.Equal(t, 200, got.Status, got.Text)

			got = b.do(t, "GET", "/users/profile", "", bearer(ada.Token)...)
			require.Contains(t, got.Text, `"email":"new@example.com"`)
			require.Contains(t, got.Text, `"emailVerified":true`)
			require.Contains(t, b.do(t, "GET", "/me", "", bearer(ada.Token)...).Text, `"new@example.com"`, "what was remembered is asked anew")
			require.Equal(t, "new@example.com", b.text(t, `SELECT name FROM uaol_auth.organizations WHERE organization_id = $1`, ada.Account.Organization))
			require.Equal(t, 400, b.do(t, "POST", "/auth/email/confirm", `{"token":"`+verify+`"}`).Status, "links to the old address are dead")
			require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.links`), "also should the account get that address again")
			_, status := b.login(t, "ada@example.com", "correct horse")
			require.Equal(t, 401, status)
			_, status = b.login(t, "new@example.com", "correct horse")
			require.Equal(t, 200, status)
			server.None(t)
		})
	}
}

// TestAnAddressOfAnotherAccount is not given away, and nobody but its owner
// learns that it has one.
func TestAnAddressOfAnotherAccount(t *testing.T) {
	t.Parallel()
	b, server := mailing(t)
	ada, bob := b.made(t, "ada@example.com"), b.made(t, "bob@example.com")
	next(t, server)
	next(t, server)
	known := b.do(t, "POST", "/users/email", `{"email":"bob@example.com","password":"correct horse"}`, bearer(ada.Token)...)
	letters := map[string]string{}
	for range 2 {
		to, _, secret := next(t, server)
		letters[to] = secret
	}
	got := b.do(t, "POST", "/auth/email/confirm", `{"token":"`+letters["bob@example.com"]+`"}`)
	require.Equal(t, 400, got.Status)
	require.Equal(t, "User with this email already exists", got.Body.Error.Message)
	unknown := b.do(t, "POST", "/users/email", `{"email":"eve@example.com","password":"correct horse"}`, bearer(ada.Token)...)
	require.Equal(t, unknown.Text, known.Text)
	require.Equal(t, unknown.Status, known.Status)
	require.Equal(t, bob.Account.ID.String(), b.text(t, `SELECT account_id::text FROM uaol_auth.accounts WHERE email = 'bob@example.com'`))
}

func TestEmailChangeWithoutMail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.made(t, "ada@example.com"), b.made(t, "bob@example.com")
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET email_verified_at = now() WHERE account_id = $1`, ada.Account.ID)
	require.NoError(t, err)
	for body, status := range map[string]int{
		`{"email":"new@example.com"}`:                                          400,
		`{"email":"new@example.com","password":"wrong horse"}`:                 400,
		`{"email":"bob@example.com","password":"correct horse"}`:               400,
		`{"email":"not an address","password":"correct horse"}`:                400,
		`{"email":"a@b.c\r\nBcc: eve@example.com","password":"correct horse"}`: 400,
	} {
		require.Equal(t, status, b.do(t, "POST", "/users/email", body, bearer(ada.Token)...).Status, body)
	}
	got := b.do(t, "POST", "/users/email", `{"email":"new@example.com","password":"correct horse"}`, bearer(ada.Token)...)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, "E-mail address changed", got.Body.Message)
	got = b.do(t, "GET", "/users/profile", "", bearer(ada.Token)...)
	require.Contains(t, got.Text, `"email":"new@example.com"`)
	require.Contains(t, got.Text, `"emailVerified":false`, "nobody has proved the new one")

	// Without a password there is nothing to prove it by.
	made, err := b.service.Register(t.Context(), RegisterRequest{Email: "carl@example.com"})
	require.NoError(t, err)
	got = b.do(t, "PUT", "/users/profile", `{"email":"karl@example.com"}`, bearer(made.Token)...)
	require.Equal(t, 400, got.Status, got.Text)
	require.Equal(t, "body.password: is needed for this; set one first", got.Body.Error.Message)

	for _, request := range [][2]string{{"/auth/email/verify", ""}, {"/auth/password/forgot", `{"email":"bob@example.com"}`}, {"/auth/password/forgot", `{"email":"nobody@example.com"}`}} {
		got = b.do(t, "POST", request[0], request[1], bearer(bob.Token)...)
		require.Equal(t, 500, got.Status, got.Text)
		require.Equal(t, "MAIL_NOT_CONFIGURED", got.Body.Error.Code)
	}
}

// TestOneAddressForOneAccount however many confirm it at once.
func TestOneAddressForOneAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var secrets []string
	for i := range 5 {
		made := b.made(t, fmt.Sprintf("user%d@example.com", i))
		secrets = append(secrets, newSecret())
		require.NoError(t, b.repository.addLink(t.Context(), made.Account.ID, changeEmail, "wanted@example.com", secrets[i]))
	}
	errs := make([]error, len(secrets))
	var group sync.WaitGroup
	for i, secret := range secrets {
		group.Go(func() { errs[i] = b.profiles.profiles.ConfirmEmail(t.Context(), secret) })
	}
	group.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.True(t, services.Is(err, services.Invalid), "%v", err)
		}
	}
	require.Equal(t, 1, won)
}

// TestLinksOfAnotherAddress do nothing, whatever raced with what.
func TestLinksOfAnotherAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.writeWith(t, mail.Config{})
	ada := b.made(t, "ada@example.com")
	for _, what := range []purpose{verifyEmail, resetPassword} {
		secret := newSecret()
		require.NoError(t, b.repository.addLink(t.Context(), ada.Account.ID, what, "old@example.com", secret))
		var err error
		if what == verifyEmail {
			err = b.profiles.profiles.ConfirmEmail(t.Context(), secret)
		} else {
			err = b.profiles.profiles.ResetPassword(t.Context(), secret, "battery staple")
		}
		require.ErrorContains(t, err, "is not valid")
	}
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE email_verified_at IS NOT NULL`))
}
