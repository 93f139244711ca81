package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"uaol/providers/postgres/embedded/child"
)

// initialize makes a cluster under another name and renames it when it is
// complete, so that one cut short is made again.
func (s *Server) initialize(ctx context.Context, at site, with programs) error {
	if initialized(at.dir) {
		return nil
	}
	if entries, _ := os.ReadDir(at.dir); len(entries) > 0 {
		return fmt.Errorf("%s holds something that is no cluster: move it away", at.dir)
	}
	began := time.Now()
	s.log.Info("making a new database cluster", zap.String("cluster", at.dir), zap.String("version", with.version))
	ctx, cancel := context.WithTimeoutCause(ctx, s.wait.initdb, fmt.Errorf("initdb took longer than %s", s.wait.initdb))
	defer cancel()
	fresh := at.dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove an unfinished cluster: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("make the cluster's directory: %w", err)
	}
	if err := hand(fresh, at.user); err != nil {
		return fmt.Errorf("give the cluster to its user: %w", err)
	}
	if err := s.initdb(ctx, fresh, at, with); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.Rename(fresh, at.dir); err != nil {
		return errors.Join(fmt.Errorf("put the cluster in its place: %w", err), os.RemoveAll(fresh))
	}
	s.log.Info("database cluster made", zap.Duration("took", time.Since(began)))
	return syncDir(filepath.Dir(at.dir))
}

func (s *Server) initdb(ctx context.Context, dir string, at site, with programs) error {
	args := []string{"-D", dir, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"}
	if s.cfg.Fast {
		args = append(args, "--no-sync", "--wal-segsize=4") // MB; 16 would be copied for every test process
	} else {
		args = append(args, "--data-checksums")
	}
	var out bytes.Buffer
	cmd := exec.Command(filepath.Join(with.dir, "initdb"), args...)
	cmd.Dir, cmd.Env = "/", environment()
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := child.Run(ctx, cmd, at.user); err != nil {
		return fmt.Errorf("initdb failed (%w): %s", err, lastLines(out.String(), 4))
	}
	return nil
}

// lastLines makes one line of the last n of text.
func lastLines(text string, n int) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

// syncDir makes a rename in dir survive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
