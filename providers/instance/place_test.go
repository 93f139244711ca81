package instance

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func place(t *testing.T) Place { return At(filepath.Join(t.TempDir(), "data")) }

func TestOneServerHasThePlace(t *testing.T) {
	t.Parallel()
	p := place(t)
	require.Empty(t, p.Address())
	seat, err := p.TryTake()
	require.NoError(t, err)
	second, err := p.TryTake()
	require.NoError(t, err)
	require.Nil(t, second)
	require.NoError(t, seat.Say("http://127.0.0.1:31234"))
	require.NoError(t, seat.Say("http://127.0.0.1:3000"))
	require.Equal(t, "http://127.0.0.1:3000", p.Address())
	info, err := os.Stat(filepath.Join(p.dir, "seat"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	seat.Leave()
	require.Empty(t, p.Address())
	killed, err := p.TryTake()
	require.NoError(t, err)
	require.NoError(t, killed.Say("http://127.0.0.1:3000"))
	killed.Pass() // all that a death does
	again, err := p.TryTake()
	require.NoError(t, err)
	require.Empty(t, p.Address(), "what the one before has left does not mislead")
	again.Leave()
}

// TestSeatsAreInherited: whoever has taken one may let go of it, or die, once another
// process has it.
func TestSeatsAreInherited(t *testing.T) {
	t.Parallel()
	p := place(t)
	seat, err := p.TryTake()
	require.NoError(t, err)
	fd, err := syscall.Dup(int(seat.File().Fd()))
	require.NoError(t, err)
	seat.Pass()
	taken, err := p.Taken()
	require.NoError(t, err)
	require.True(t, taken)
	heir, err := Inherit(uintptr(fd))
	require.NoError(t, err)
	none, err := p.TryTake()
	require.NoError(t, err)
	require.Nil(t, none)
	heir.Leave()
	taken, err = p.Taken()
	require.NoError(t, err)
	require.False(t, taken)
	_, err = Inherit(1 << 20)
	require.ErrorContains(t, err, "is no seat")
}

// TestOneThatStaysTakesThePlace of one that does not, and nobody comes in between.
func TestOneThatStaysTakesThePlace(t *testing.T) {
	t.Parallel()
	p := place(t)
	passing, err := p.TryTake()
	require.NoError(t, err)
	waits, got := make(chan struct{}), make(chan *Seat)
	go func() {
		seat, err := p.Claim(context.Background(), func() { close(waits) })
		if err != nil {
			seat = nil
		}
		got <- seat
	}()
	<-waits
	claimed, err := p.Claimed()
	require.NoError(t, err)
	require.True(t, claimed)
	passing.Leave()
	none, err := p.TryTake()
	require.NoError(t, err)
	require.Nil(t, none, "the place is claimed")
	seat := <-got
	require.NotNil(t, seat)
	none, err = p.Claim(t.Context(), func() { t.Error("nobody gives way") })
	require.NoError(t, err)
	require.Nil(t, none, "one that stays is not sent away")
	seat.Leave()
	claimed, err = p.Claimed()
	require.NoError(t, err)
	require.False(t, claimed)
}

func TestClaimsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	p := place(t)
	passing, err := p.TryTake()
	require.NoError(t, err)
	defer passing.Leave()
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = p.Claim(ctx, func() { cancel(errors.New("enough")) })
	require.ErrorContains(t, err, "enough")
	claimed, err := p.Claimed()
	require.NoError(t, err)
	require.False(t, claimed)
}

func TestWhoUsesAServerIsSeen(t *testing.T) {
	t.Parallel()
	p := place(t)
	used := func() bool {
		used, err := p.Used()
		require.NoError(t, err)
		return used
	}
	require.False(t, used())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	one, err := p.Use(ctx)
	require.NoError(t, err)
	other, err := p.Use(ctx)
	require.NoError(t, err)
	one()
	require.True(t, used())
	other()
	require.False(t, used())
}

func TestAwaitEndsWhenThereIsSomethingToDo(t *testing.T) {
	t.Parallel()
	p := place(t)
	require.NoError(t, p.Await(t.Context(), nil), "nobody is about to have the place")
	seat, err := p.TryTake()
	require.NoError(t, err)
	defer seat.Leave()
	gone := make(chan struct{})
	close(gone)
	require.NoError(t, p.Await(t.Context(), gone), "the one that was started has ended")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Await(ctx, nil), context.DeadlineExceeded, "one that does not listen yet is waited for")
	require.NoError(t, seat.Say("http://127.0.0.1:1"))
	require.NoError(t, p.Await(t.Context(), nil))
}
