package auth

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/services"
)

// scripted is a Verifier that counts its calls.
type scripted struct {
	calls  atomic.Int64
	answer func(VerifyRequest) (Verified, error)
}

func (s *scripted) Verify(_ context.Context, in VerifyRequest) (Verified, error) {
	s.calls.Add(1)
	return s.answer(in)
}

// cached runs f in a bubble whose clock moves only when f waits.
func cached(t *testing.T, answer func(VerifyRequest) (Verified, error), f func(t *testing.T, a *Authenticator, calls func() int)) {
	synctest.Test(t, func(t *testing.T) {
		verifier := &scripted{answer: answer}
		a := NewAuthenticator(verifier, events.NewBus())
		defer a.Close()
		f(t, a, func() int { return int(verifier.calls.Load()) })
	})
}

func yes(in VerifyRequest) (Verified, error) {
	return Verified{Caller: services.Caller{Account: uuid.NewSHA1(uuid.Nil, []byte(in.Bearer+in.APIKey+in.GuestID)), Role: services.RoleUser}, GuestID: in.GuestID}, nil
}

func TestAuthenticatorRemembersThreeSeconds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]services.Credentials{
		"token": {Bearer: "t"}, "key": {APIKey: "k"}, "guest": {GuestID: "g", Guest: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cached(t, yes, func(t *testing.T, a *Authenticator, calls func() int) {
				first, _, err := a.Authenticate(t.Context(), c)
				require.NoError(t, err)
				time.Sleep(2900 * time.Millisecond) // the bubble's clock
				again, guestID, err := a.Authenticate(t.Context(), c)
				require.NoError(t, err)
				require.Equal(t, first, again)
				require.Equal(t, c.GuestID, guestID)
				require.Equal(t, 1, calls())
				time.Sleep(101 * time.Millisecond)
				_, _, err = a.Authenticate(t.Context(), c)
				require.NoError(t, err)
				require.Equal(t, 2, calls(), "being asked for does not prolong an answer")
			})
		})
	}
}

// TestAuthenticatorForgets what it knows of an account, or of an organisation's
// callers, as soon as this process changes what they may do; also an answer that
// was under way. What it knows of others stays.
func TestAuthenticatorForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, organization := events.NewBus(), uuid.New()
		underWay := func() {}
		verifier := &scripted{answer: func(in VerifyRequest) (Verified, error) {
			v, err := yes(in)
			v.Caller.Organization = organization
			underWay()
			return v, err
		}}
		a := NewAuthenticator(verifier, bus)
		defer a.Close()
		ada, err := yes(VerifyRequest{Bearer: "ada"})
		require.NoError(t, err)
		asked := func(bearer string) int64 { // how often the verifier was
			before := verifier.calls.Load()
			_, _, err := a.Authenticate(t.Context(), services.Credentials{Bearer: bearer})
			require.NoError(t, err)
			time.Sleep(time.Millisecond) // the bubble's clock
			return verifier.calls.Load() - before
		}
		for _, bearer := range []string{"ada", "bob"} {
			require.EqualValues(t, 1, asked(bearer))
			require.EqualValues(t, 0, asked(bearer))
		}
		publish := func(e events.Event) {
			bus.Publish(e)
			time.Sleep(time.Millisecond)
		}
		publish(events.New("job.created", ada.Caller.Account.String(), organization, nil))
		require.EqualValues(t, 0, asked("ada"))
		publish(accessChanged(ada.Caller.Account, uuid.Nil))
		require.EqualValues(t, 1, asked("ada"))
		require.EqualValues(t, 0, asked("ada"))
		require.EqualValues(t, 0, asked("bob"), "nothing of hers has changed")
		publish(accessChanged(uuid.New(), organization))
		require.EqualValues(t, 1, asked("bob"))
		require.EqualValues(t, 1, asked("ada"))

		underWay = func() { bus.Publish(accessChanged(ada.Caller.Account, uuid.Nil)) }
		time.Sleep(remember)
		require.EqualValues(t, 1, asked("ada"))
		underWay = func() {}
		require.EqualValues(t, 1, asked("ada"), "the answer may be from before the change")
		require.EqualValues(t, 0, asked("ada"))
	})
}

func TestAuthenticatorKeepsOnlyYes(t *testing.T) {
	t.Parallel()
	for _, kind := range []services.Kind{services.Unauthenticated, services.Unavailable} {
		no := func(VerifyRequest) (Verified, error) { return Verified{}, services.Errorf(kind, "no") }
		cached(t, no, func(t *testing.T, a *Authenticator, calls func() int) {
			for i := range 3 {
				_, _, err := a.Authenticate(t.Context(), services.Credentials{Bearer: "t"})
				require.Equal(t, kind, services.KindOf(err))
				require.Equal(t, i+1, calls())
			}
		})
	}
}

// TestAuthenticatorAsks: which credentials lead to a question, and that equal
// texts of different kinds are different credentials.
func TestAuthenticatorAsks(t *testing.T) {
	t.Parallel()
	cached(t, yes, func(t *testing.T, a *Authenticator, calls func() int) {
		for _, c := range []services.Credentials{{}, {GuestID: "g"}} {
			caller, _, err := a.Authenticate(t.Context(), c)
			require.NoError(t, err)
			require.False(t, caller.Known())
		}
		_, _, err := a.Authenticate(t.Context(), services.Credentials{Foreign: true, APIKey: "k"})
		require.Equal(t, services.Unauthenticated, services.KindOf(err))
		require.Zero(t, calls())
		for i, c := range []services.Credentials{{Bearer: "x"}, {APIKey: "x"}, {GuestID: "x", Guest: true}, {Guest: true}, {Guest: true}} {
			_, _, err := a.Authenticate(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, i+1, calls(), "a guest without a session is made anew each time")
		}
	})
}

// TestAnswersAreKeptForWhatWasAskedFor: what was let in at one resource is asked for
// anew at another, and at none; and nothing that clients send runs into what follows it.
func TestAnswersAreKeptForWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	cached(t, yes, func(t *testing.T, a *Authenticator, calls func() int) {
		for i, c := range []services.Credentials{
			{Bearer: "t"}, {Bearer: "t", Resource: "https://u/mcp", Family: "https://u/mcp"}, {Bearer: "t", Resource: "https://u/mcp/p/a", Family: "https://u/mcp"},
			{Bearer: "t", Resource: "https://u/mcp/p/b", Family: "https://u/mcp"}, {Bearer: "t", Resource: "https://u/mcp/p/b https://u/mcp c", Family: "https://u/mcp"},
			{Bearer: "c https://u/mcp t", Resource: "https://u/mcp/p/b", Family: "https://u/mcp"}, {Bearer: "t", Organization: "https://u/mcp"}, {Bearer: "https://u/mcp t"},
			{APIKey: "t", Resource: "https://u/mcp", Family: "https://u/mcp"},
		} {
			for range 2 {
				_, _, err := a.Authenticate(t.Context(), c)
				require.NoError(t, err)
				require.Equal(t, i+1, calls(), "%+v", c)
			}
		}
	})
}
