package auth

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

func from(t testing.TB, address string) services.Origin {
	t.Helper()
	return services.Origin{Address: address}
}

// TestFailedSignInsAreLimited by account and by address, also when they all come
// at once, and for accounts that do not exist too.
func TestFailedSignInsAreLimited(t *testing.T) {
	t.Parallel()
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		t.Run(email, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.made(t, "ada@example.com")
			ctx := services.WithOrigin(t.Context(), from(t, "192.0.2.1"))
			var refused, limited atomic.Int64
			var group sync.WaitGroup
			for range 30 {
				group.Go(func() {
					_, err := b.service.Login(ctx, "", email, "wrong horse")
					switch services.KindOf(err) {
					case services.Unauthenticated:
						refused.Add(1)
					case services.Limited:
						limited.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			group.Wait()
			require.Equal(t, int64(10), refused.Load(), "guesses that were looked at")
			require.Equal(t, int64(20), limited.Load())

			if email == "ada@example.com" {
				_, err := b.service.Login(ctx, "", email, "correct horse")
				require.Equal(t, services.Limited, services.KindOf(err), "also with the right one, or limiting would tell")
				elsewhere := services.WithOrigin(t.Context(), from(t, "192.0.2.2"))
				_, err = b.service.Login(elsewhere, "", email, "correct horse")
				require.NoError(t, err, "its owner elsewhere is not locked out")
			}
			_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.attempts SET ends_at = now()`)
			require.NoError(t, err)
			_, err = b.service.Login(ctx, "", email, "wrong horse")
			require.Equal(t, services.Unauthenticated, services.KindOf(err), "its time is over")
			require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.attempts WHERE position(convert_to('ada', 'UTF8') IN bucket) > 0`))
		})
	}
}

// TestGoodSignInsAreNotCounted: signing in a thousand times is no attack.
func TestGoodSignInsAreNotCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.made(t, "ada@example.com")
	ctx := services.WithOrigin(t.Context(), from(t, "192.0.2.1"))
	for range 15 {
		_, err := b.service.Login(ctx, "", "ada@example.com", "correct horse")
		require.NoError(t, err)
	}
	require.Zero(t, b.count(t, `SELECT coalesce(sum(count), 0)::bigint FROM uaol_auth.attempts WHERE ends_at < now() + interval '16 minutes'`))
}

// TestOneAddressGuesses at many accounts, and many addresses at one.
func TestOneAddressGuesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.made(t, "ada@example.com")
	for name, quotas := range map[string]func(i int) []quota{
		"one address, many accounts": func(i int) []quota { return signIns(fmt.Sprintf("%d@example.com", i), "192.0.2.9") },
		"many addresses, one account": func(i int) []quota {
			return signIns("ada@example.com", fmt.Sprintf("198.51.%d.%d", i/200, i%200))
		},
		"one IPv6 network": func(i int) []quota {
			return signIns(fmt.Sprintf("%d@example.org", i), fmt.Sprintf("2001:db8:1:2::%x", i))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 101 {
				ok, err := b.repository.take(t.Context(), quotas(i)...)
				require.NoError(t, err)
				require.Equal(t, i < 100, ok, i)
			}
		})
	}
}

// TestNewAccountsAreLimited: each comes with credits.
func TestNewAccountsAreLimited(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Signups = 3 })
	ask := func(address, guest string) error {
		_, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: guest, Address: address})
		return err
	}
	var made atomic.Int64
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			err := ask("192.0.2.1", fmt.Sprintf("guest %d", i))
			if err == nil {
				made.Add(1)
			} else if services.KindOf(err) != services.Limited {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, int64(3), made.Load())
	require.Equal(t, 3, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
	require.Equal(t, 3, b.count(t, `SELECT count(*) FROM uaol_auth.organizations`), "who is refused leaves nothing")
	known := b.text(t, `SELECT guest_id FROM uaol_auth.accounts LIMIT 1`)
	require.NoError(t, ask("192.0.2.1", known), "those who are there go on")
	require.NoError(t, ask("192.0.2.2", "another"))

	_, err := b.service.Register(services.WithOrigin(t.Context(), from(t, "192.0.2.1")), RegisterRequest{Email: "ada@example.com"})
	require.Equal(t, services.Limited, services.KindOf(err), err)
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.attempts SET ends_at = now()`)
	require.NoError(t, err)
	_, err = b.service.Register(services.WithOrigin(t.Context(), from(t, "192.0.2.1")), RegisterRequest{Email: "ada@example.com"})
	require.NoError(t, err)
	require.NoError(t, NewHousekeeper(Config{AuditDays: 1}, b.repository).Sweep(t.Context()))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.attempts`), "the sweep forgets what is over")
}

func TestRegistrationModes(t *testing.T) {
	t.Parallel()
	for mode, refusal := range map[Registration]string{Open: "", ByInvitation: "Registration needs an invitation", Closed: "Registration is closed"} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *Config) { c.Registration = mode })
			_, err := b.service.Register(t.Context(), RegisterRequest{Email: "ada@example.com"})
			if refusal == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, refusal)
				require.Equal(t, services.Forbidden, services.KindOf(err))
			}
			invite := func(email string, lasts time.Duration) string {
				secret := "inv_" + newKey()
				_, err := b.pool.Exec(t.Context(), `
					INSERT INTO uaol_auth.invitations (invitation_id, email, role, hash, invited_by, expires_at) VALUES ($1, $2, 'member', $3, $1, $4)`,
					newID(), email, invitationHash(secret), time.Now().Add(lasts))
				require.NoError(t, err)
				return secret
			}
			if mode == Closed {
				_, err = b.service.Register(t.Context(), RegisterRequest{Email: "bob@example.com", Invitation: invite("bob@example.com", time.Hour)})
				require.EqualError(t, err, refusal, "for the invited too")
				return
			}
			for name, in := range map[string]RegisterRequest{
				"unknown":   {Email: "bob@example.com", Invitation: "inv_unknown"},
				"another's": {Email: "bob@example.com", Invitation: invite("eve@example.com", time.Hour)},
				"over":      {Email: "bob@example.com", Invitation: invite("bob@example.com", -time.Second)},
			} {
				_, err = b.service.Register(t.Context(), in)
				require.EqualError(t, err, "body.invitation: is not valid for this e-mail address, or no longer", name)
			}
			good := invite("bob@example.com", time.Hour)
			_, err = b.service.Register(t.Context(), RegisterRequest{Email: "Bob@example.com", Invitation: good})
			require.NoError(t, err)
			_, err = b.service.Register(t.Context(), RegisterRequest{Email: "bob@example.com", Invitation: good})
			require.EqualError(t, err, "body.invitation: is not valid for this e-mail address, or no longer", "it is used up")

			// Invited or not, an address makes so many accounts: each has credits.
			b.service.signups = 1
			ctx := services.WithOrigin(t.Context(), from(t, "192.0.2.1"))
			_, err = b.service.Register(ctx, RegisterRequest{Email: "one@example.com", Invitation: invite("one@example.com", time.Hour)})
			require.NoError(t, err)
			_, err = b.service.Register(ctx, RegisterRequest{Email: "two@example.com", Invitation: invite("two@example.com", time.Hour)})
			require.Equal(t, services.Limited, services.KindOf(err), err)
		})
	}
}

func TestGuestsOff(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Guests = "off" })
	got, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "g"})
	require.NoError(t, err)
	require.Equal(t, Verified{}, got)
	require.Zero(t, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
}

// TestSameWorkForUnknownAccounts: what is not there is compared like what is.
func TestSameWorkForUnknownAccounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.made(t, "ada@example.com")
	_, err := b.service.Register(t.Context(), RegisterRequest{Email: "keyonly@example.com"})
	require.NoError(t, err)
	for _, email := range []string{"ada@example.com", "keyonly@example.com", "nobody@example.com"} {
		account, err := b.repository.byEmail(t.Context(), b.pool, email)
		if err != nil {
			require.True(t, services.Is(err, services.NotFound))
		}
		same, err := b.service.matches(t.Context(), account, "wrong horse")
		require.NoError(t, err)
		require.False(t, same)
	}
	// The stand-in must cost what real hashes cost, and no password opens it.
	require.Contains(t, noPassword, "$m=19456,t=2,p=1$")
	hash, err := b.service.hash(t.Context(), "body.password", "correct horse")
	require.NoError(t, err)
	require.Contains(t, *hash, "$m=19456,t=2,p=1$")
}
