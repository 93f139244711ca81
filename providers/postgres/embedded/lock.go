package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/zap"
)

const (
	lockName = "postgres.lock"

	holderServe   = "serve"   // keeps the cluster for good
	holderCommand = "command" // has it for its own duration
)

// holder is written into the lock's file by whoever holds it. Sockets lets
// another user or another path to the same directory find the server.
type holder struct {
	PID     int    `json:"pid"`
	As      string `json:"as"`
	Sockets string `json:"sockets"`
}

// lock keeps every other process off a data directory. It is the kernel's
// (flock), so that it never outlives its process.
type lock struct {
	file *flock.Flock
	path string
}

var errHeld = errors.New("held")

// heldError names the process that has the data directory, where it is known.
type heldError struct {
	dir string
	by  holder
}

func (e *heldError) Error() string {
	who := ""
	if e.by.PID != 0 {
		who = fmt.Sprintf(" (pid %d)", e.by.PID)
	}
	return fmt.Sprintf("another uaol%s is already running on %s; stop it or set UAOL_DATA_DIR", who, e.dir)
}

// tryAcquire takes the lock, or answers errHeld and who has it.
func tryAcquire(dir string, me holder) (*lock, holder, error) {
	path := filepath.Join(dir, lockName)
	file := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW), flock.SetPermissions(0o600))
	ok, err := file.TryLock()
	if err != nil {
		return nil, holder{}, fmt.Errorf("lock the data directory: %w", err)
	}
	if !ok {
		return nil, readHolder(path), errors.Join(errHeld, file.Close())
	}
	likeParent(path)
	text, err := json.Marshal(me)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return nil, holder{}, errors.Join(fmt.Errorf("lock the data directory: %w", err), file.Close())
	}
	return &lock{file: file, path: path}, me, nil
}

// readHolder is empty while the holder has not written itself down yet, or when
// what stands there is of one that died.
func readHolder(path string) holder {
	var h holder
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &h) != nil || !alive(h.PID) {
		return holder{}
	}
	return h
}

func (l *lock) release() {
	_ = os.Truncate(l.path, 0) // a stale name would only mislead
	_ = l.file.Close()
}

// acquire waits for commands, which are short, but not for a server.
func acquire(ctx context.Context, dir string, me holder, patience time.Duration, log *zap.Logger) (*lock, error) {
	deadline := time.Now().Add(patience)
	unnamed := time.Now().Add(time.Second) // for a holder to write itself down
	said := false
	for {
		l, other, err := tryAcquire(dir, me)
		if !errors.Is(err, errHeld) {
			return l, err
		}
		now := time.Now()
		switch {
		case other.As == holderServe, other.As == holderCommand && now.After(deadline):
			return nil, &heldError{dir, other}
		case other.As == "" && now.After(unnamed):
			return nil, &heldError{dir, other}
		case other.As == holderCommand && !said:
			said = true
			log.Info("waiting for another command on this data directory", zap.Int("pid", other.PID), zap.String("data", dir))
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
	}
}

// alive asks whether a process exists, whoever owns it.
func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
