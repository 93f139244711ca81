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

// TestAuthenticatorForgets what it knows as soon as this process changes who may
// do what.
func TestAuthenticatorForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		verifier, bus := &scripted{answer: yes}, events.NewBus()
		a := NewAuthenticator(verifier, bus)
		defer a.Close()
		ask := func() int {
			_, _, err := a.Authenticate(t.Context(), services.Credentials{Bearer: "t"})
			require.NoError(t, err)
			return int(verifier.calls.Load())
		}
		require.Equal(t, 1, ask())
		require.Equal(t, 1, ask())
		bus.Publish(events.New("job.created", "x", uuid.Nil, nil))
		require.Equal(t, 1, ask())
		bus.Publish(accessChanged(uuid.New(), uuid.Nil))
		require.Equal(t, 2, ask())
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
