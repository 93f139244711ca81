package auth

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/mail"
	"uaol/providers/mail/mailtest"
	"uaol/services"
	"uaol/services/auth/oidc"
)

func TestPasswordReset(t *testing.T) {
	t.Parallel()
	b, server := mailing(t)
	ada := b.made(t, "ada@example.com")
	next(t, server)
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET email_verified_at = now()`)
	require.NoError(t, err)
	var secrets []string
	for range 2 {
		got := b.do(t, "POST", "/auth/password/forgot", `{"email":" Ada@example.com"}`)
		require.Equal(t, 200, got.Status, got.Text)
		to, subject, secret := next(t, server)
		require.Equal(t, "ada@example.com", to)
		require.Equal(t, "Choose a new password", subject)
		secrets = append(secrets, secret)
	}
	for range 11 { // she is locked out
		b.login(t, "ada@example.com", "wrong horse")
	}
	_, status := b.login(t, "ada@example.com", "correct horse")
	require.Equal(t, 429, status)

	reset := func(secret, password string) answer {
		return b.do(t, "POST", "/password/reset", `{"token":"`+secret+`","password":"`+password+`"}`)
	}
	for _, bad := range []answer{reset("lnk_"+secrets[0][5:], "battery staple"), reset("x", "battery staple"), reset(secrets[0], "short"), reset("", "battery staple")} {
		require.Equal(t, 400, bad.Status, bad.Text)
	}
	got := reset(secrets[1], "battery staple")
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, 400, reset(secrets[1], "another horse").Status, "once")
	require.Equal(t, 400, reset(secrets[0], "another horse").Status, "other links have died")
	require.Equal(t, 401, b.asks(t, bearer(ada.Token)...), "all sign-ins have ended")
	require.Equal(t, 200, b.asks(t, "X-API-Key", ada.Key), "keys stay")
	_, status = b.login(t, "ada@example.com", "correct horse")
	require.Equal(t, 401, status)
	token, status := b.login(t, "ada@example.com", "battery staple")
	require.Equal(t, 200, status, "the failed tries are forgiven")
	require.Contains(t, b.do(t, "GET", "/users/profile", "", bearer(token)...).Text, `"emailVerified":true`)
	to, subject, secret := next(t, server)
	require.Equal(t, "ada@example.com", to)
	require.Equal(t, "Your password has changed", subject)
	require.Empty(t, secret)
}

// TestAResetOfAnUnprovedAddress leaves nothing to whoever registered it first.
func TestAResetOfAnUnprovedAddress(t *testing.T) {
	t.Parallel()
	b, server := mailing(t)
	attacker := b.made(t, "ada@example.com")
	next(t, server)
	require.Equal(t, 200, b.do(t, "POST", "/auth/password/forgot", `{"email":"ada@example.com"}`).Status)
	_, _, secret := next(t, server)
	got := b.do(t, "POST", "/auth/password/reset", `{"token":"`+secret+`","password":"battery staple"}`)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, 401, b.asks(t, "X-API-Key", attacker.Key))
	require.Equal(t, 401, b.asks(t, bearer(attacker.Token)...))
	_, status := b.login(t, "ada@example.com", "correct horse")
	require.Equal(t, 401, status)
	_, status = b.login(t, "ada@example.com", "battery staple")
	require.Equal(t, 200, status)
}

// TestForgettingTellsNothing: the answer is the same, and what the request does
// until it is given is the same: it puts one task into the queue and asks the
// database nothing.
func TestForgettingTellsNothing(t *testing.T) {
	t.Parallel()
	b, server := setup(t), mailtest.New(t, mailtest.Options{})
	post := b.writeWith(t, mail.Config{URL: server.URL(), From: "no-reply@example.com"})
	b.signInWith(t, oidc.Config{Frontend: "http://localhost:8080"})
	b.made(t, "ada@example.com")
	require.Len(t, post.tasks, 1, "her address is to be confirmed")

	var answers []string
	for i, email := range []string{"ada@example.com", "nobody@example.com", "not an address", "ada@example.com"} {
		statements := b.pool.Stat().AcquireCount()
		require.NoError(t, b.profiles.profiles.ForgotPassword(t.Context(), email))
		require.Equal(t, statements, b.pool.Stat().AcquireCount(), email)
		require.Len(t, post.tasks, 2*i+2)
		got := b.do(t, "POST", "/auth/password/forgot", `{"email":"`+email+`"}`)
		require.Equal(t, 200, got.Status, got.Text)
		require.Len(t, post.tasks, 2*i+3)
		answers = append(answers, got.Text)
	}
	for _, text := range answers {
		require.Equal(t, answers[0], text)
	}

	// Nor does it show how many letters there have been.
	require.Equal(t, 200, b.do(t, "POST", "/auth/password/forgot", `{"email":"ada@example.com"}`).Status)
	require.Equal(t, 200, b.do(t, "POST", "/auth/password/forgot", `{"email":"ada@example.com"}`).Status)
	stop := deliver(t, post)
	stop()
	require.Equal(t, 5, b.count(t, `SELECT count(*) FROM uaol_auth.links WHERE purpose = 'reset'`), "of six in an hour")
}

func TestALinkIsUsedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	secret := newSecret()
	require.NoError(t, b.repository.addLink(t.Context(), ada.Account.ID, resetPassword, "ada@example.com", secret))
	errs := make([]error, 5)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = b.profiles.profiles.ResetPassword(t.Context(), secret, "battery staple") })
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

func TestLinksEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada := b.made(t, "ada@example.com")
	for what, life := range map[purpose]string{verifyEmail: "24 hours", changeEmail: "24 hours", resetPassword: "1 hour"} {
		secret := newSecret()
		require.NoError(t, b.repository.addLink(t.Context(), ada.Account.ID, what, "ada@example.com", secret))
		good, err := b.repository.linkGood(t.Context(), secret, what)
		require.NoError(t, err)
		require.True(t, good)
		_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.links SET expires_at = expires_at - $2::interval WHERE purpose = $1`, string(what), life)
		require.NoError(t, err)
		good, err = b.repository.linkGood(t.Context(), secret, what)
		require.NoError(t, err)
		require.False(t, good, what)
	}
	require.ErrorContains(t, b.profiles.profiles.ConfirmEmail(t.Context(), newSecret()), "is not valid")
	require.NoError(t, NewHousekeeper(Config{AuditDays: 1}, b.repository).Sweep(t.Context()))
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.links`))
}
