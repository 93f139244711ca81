package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Place is a data directory's place for the one server that everybody on this machine
// finds by it. All that is kept in it is the kernel's (flock), so that nothing outlives
// whoever has died.
type Place struct{ dir string }

// At is the place of a data directory.
func At(dataDir string) Place { return Place{filepath.Join(dataDir, "server")} }

// Log is the file for what a server says that nobody looks at.
func (p Place) Log() string { return filepath.Join(p.dir, "log") }

const (
	lockPoll  = 20 * time.Millisecond
	mostLooks = 10 // at a lock whose holder may be gone at once
)

// Seat is held by the server that has the place.
type Seat struct {
	file  *os.File
	claim *os.File // of one that nobody sends away
}

// Address is where the server that has the place listens; "" where there is none. What
// it says may be old: a connection to it has to be proved.
func (p Place) Address() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "seat"))
	if err != nil {
		return ""
	}
	return string(text)
}

// TryTake takes the place for a server that gives way to one that claims it. nil where
// somebody has it or claims it.
func (p Place) TryTake() (*Seat, error) {
	claimed, err := p.Claimed()
	if err != nil || claimed {
		return nil, err
	}
	file, err := p.lock("seat", syscall.LOCK_EX)
	if err != nil || file == nil {
		return nil, err
	}
	s := &Seat{file: file}
	return s, s.clear()
}

// Claim takes the place for a server that stays. It waits for one that gives way; nil
// where another one has claimed the place already.
func (p Place) Claim(ctx context.Context, waiting func()) (*Seat, error) {
	claim, err := p.lock("claim", syscall.LOCK_EX)
	for looks := 0; err == nil && claim == nil && looks < mostLooks; looks++ { // somebody may be looking at it
		if err = rest(ctx); err == nil {
			claim, err = p.lock("claim", syscall.LOCK_EX)
		}
	}
	if err != nil || claim == nil {
		return nil, err
	}
	for looks := 1; ; looks++ {
		file, err := p.lock("seat", syscall.LOCK_EX)
		if err == nil && file != nil {
			s := &Seat{file, claim}
			return s, s.clear()
		}
		if looks == mostLooks {
			waiting()
		}
		if err == nil {
			err = rest(ctx)
		}
		if err != nil {
			return nil, errors.Join(err, claim.Close())
		}
	}
}

// Claimed reports whether a server that stays has the place or waits for it.
func (p Place) Claimed() (bool, error) {
	file, err := p.lock("claim", syscall.LOCK_SH)
	if err != nil || file == nil {
		return file == nil, err
	}
	return false, file.Close()
}

// Taken reports whether a server has the place, or is about to be started on it.
func (p Place) Taken() (bool, error) {
	file, err := p.lock("seat", syscall.LOCK_SH)
	if err != nil || file == nil {
		return file == nil, err
	}
	return false, file.Close()
}

// Await waits until the server that is about to have the place listens, or nobody is about
// to any more. gone is closed when the one that was started has ended; it may be nil.
func (p Place) Await(ctx context.Context, gone <-chan struct{}) error {
	for {
		if err := rest(ctx); err != nil {
			return err
		}
		select {
		case <-gone:
			return nil
		default:
		}
		if p.Address() != "" {
			return nil
		}
		claimed, err := p.Claimed()
		taken, err2 := p.Taken()
		if err = errors.Join(err, err2); err != nil || !claimed && !taken {
			return err
		}
	}
}

// Use says that somebody uses the server of the place, for as long as release is not
// called.
func (p Place) Use(ctx context.Context) (release func(), err error) {
	return p.wait(ctx, "users", syscall.LOCK_SH) // a server may be looking
}

// Alone waits until nobody else does a thing.
func (p Place) Alone(ctx context.Context, thing string) (release func(), err error) {
	return p.wait(ctx, thing, syscall.LOCK_EX)
}

func (p Place) wait(ctx context.Context, name string, how int) (release func(), err error) {
	for {
		file, err := p.lock(name, how)
		if err == nil && file != nil {
			return func() { _ = file.Close() }, nil
		}
		if err == nil {
			err = rest(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
}

// Used reports whether somebody uses the server.
func (p Place) Used() (bool, error) {
	file, err := p.lock("users", syscall.LOCK_EX)
	if err != nil || file == nil {
		return file == nil, err
	}
	return false, file.Close()
}

// lock locks one of the place's files, which closing it unlocks; nil where somebody
// else has it locked.
func (p Place) lock(name string, how int) (*os.File, error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w; set UAOL_DATA_DIR to a place that can be written", err)
	}
	// NOFOLLOW: root may write into a directory that another user owns.
	file, err := os.OpenFile(filepath.Join(p.dir, name), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	switch err := syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB); {
	case err == nil:
		return file, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, file.Close()
	default:
		return nil, errors.Join(fmt.Errorf("lock the data directory: %w", err), file.Close())
	}
}

func rest(ctx context.Context) error {
	timer := time.NewTimer(lockPoll)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Inherit is the seat that whoever has started this process took for it. It is held by
// both until the other one lets go of its own, so that it is never free in between.
func Inherit(fd uintptr) (*Seat, error) {
	syscall.CloseOnExec(int(fd)) // what this process starts has no part in it
	s := &Seat{file: os.NewFile(fd, "seat")}
	if s.file == nil {
		return nil, fmt.Errorf("file %d is none", fd)
	}
	if err := syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("file %d is no seat: %w", fd, err)
	}
	return s, nil
}

// File is the seat for a process that is started on it.
func (s *Seat) File() *os.File { return s.file }

// Say writes down where the server listens.
func (s *Seat) Say(url string) error {
	_, err := s.file.WriteAt([]byte(url), 0)
	return errors.Join(err, s.file.Truncate(int64(len(url))))
}

// clear takes away what the one before has left, which would only mislead.
func (s *Seat) clear() error { return s.file.Truncate(0) }

// Pass lets go of the seat in this process alone; another one has inherited it.
func (s *Seat) Pass() { _ = s.file.Close() }

// Leave gives the place back.
func (s *Seat) Leave() {
	_ = s.clear()
	_ = s.file.Close()
	if s.claim != nil {
		_ = s.claim.Close()
	}
}
