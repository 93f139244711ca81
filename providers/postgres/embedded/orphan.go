package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// evict waits for the postgres of a killed process to end, and ends it when it
// hangs on. The lock is ours by now: nobody else can need that postgres.
func (s *Server) evict(ctx context.Context, at site) error {
	path := filepath.Join(at.dir, "postmaster.pid")
	pid, err := postmaster(path)
	if err != nil || pid == 0 {
		return err
	}
	if runs(pid, at.dir) {
		s.log.Warn("waiting for the PostgreSQL of a process that was killed", zap.Int("pid", pid))
		if err := s.outlast(ctx, pid, at.dir); err != nil {
			return err
		}
	}
	if pid, err = postmaster(path); err != nil || !alive(pid) {
		return err
	}
	return disown(path, pid)
}

// outlast gives the orphan its time, then asks it ever harder to end.
func (s *Server) outlast(ctx context.Context, pid int, dir string) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{
		{0, s.wait.orphan},
		{syscall.SIGINT, s.wait.fast},
		{syscall.SIGQUIT, s.wait.kill},
		{syscall.SIGKILL, s.wait.kill},
	} {
		if step.signal != 0 {
			s.log.Warn("ending a PostgreSQL that was left behind", zap.Int("pid", pid), zap.Stringer("signal", step.signal))
			_ = syscall.Kill(pid, step.signal)
		}
		for end := time.Now().Add(step.wait); time.Now().Before(end); {
			if !runs(pid, dir) {
				return nil
			}
			if err := pause(ctx, poll); err != nil {
				return fmt.Errorf("waiting for PostgreSQL (pid %d) to end: %w", pid, err)
			}
		}
	}
	return fmt.Errorf("another PostgreSQL (pid %d) runs on %s and does not end: stop it", pid, dir)
}

// postmaster reads the process id from a cluster's pid file, 0 without one.
func postmaster(path string) (int, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("PostgreSQL's pid file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	return pid, nil
}

// disown is for a pid file whose number now belongs to another program, which
// happens at every start of a container: postgres would take that for a running
// server. It takes its own parent's number for a stale one, and still checks the
// shared memory that the file names, which removing the file would prevent.
func disown(path string, pid int) error {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("PostgreSQL's pid file: %w", err)
	}
	text, err := os.ReadFile(path)
	if err == nil {
		_, rest, _ := strings.Cut(string(text), "\n")
		text = []byte(strconv.Itoa(os.Getpid()) + "\n" + rest)
		if err = f.Truncate(0); err == nil {
			_, err = f.Write(text)
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("PostgreSQL's pid file names process %d, which is none of PostgreSQL: %w", pid, err)
	}
	return nil
}

// lingering tells that a start failed only because processes of an earlier
// postgres still end.
func lingering(err error) bool {
	var ended *endedError
	if !errors.As(err, &ended) {
		return false
	}
	for _, sign := range []string{"shared memory block", "lock file", "s another postmaster", "s another postgres"} {
		if strings.Contains(ended.log, sign) {
			return true
		}
	}
	return false
}
