package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"go.uber.org/zap"
)

// Carry copies everything from the database at one address to the new one at another,
// of a later release; what it does not copy has to be an error.
type Carry func(ctx context.Context, from, to string) error

// A cluster of a later release is made beside the one that is there. It is called
// carried only once it is complete, and then takes the other's place.
const (
	carrying = ".carrying"
	carried  = ".carried"
	aside    = ".old-" // and the release
)

// upgraded gives what to run for a site: if there are programs of a later release than
// its data, that is carried over to them first. When that fails, the data stays as it is
// and so do its programs.
func (s *Server) upgraded(ctx context.Context, at site, old programs) programs {
	if s.cfg.Carry == nil || !initialized(at.dir) {
		return old
	}
	later, ok := installed(ctx, s.cfg.SearchDirs, 0)
	if !ok || later.major <= old.major {
		return old
	}
	s.log.Info("carrying the data over to a later PostgreSQL", zap.String("cluster", at.dir), zap.String("from", old.version), zap.String("to", later.version))
	if err := s.carry(ctx, at, old, later); err != nil {
		s.log.Warn("the data stays with its PostgreSQL, because it could not be carried over", zap.String("version", old.version), zap.Error(err))
		return old
	}
	s.log.Info("the data is carried over; what it was is kept and may be removed", zap.String("kept", at.dir+aside+strconv.Itoa(old.major)), zap.String("version", later.version))
	return later
}

func (s *Server) carry(ctx context.Context, at site, old, later programs) (err error) {
	if _, err := os.Lstat(at.dir + aside + strconv.Itoa(old.major)); err == nil {
		return fmt.Errorf("%s is there already: move it away", at.dir+aside+strconv.Itoa(old.major))
	}
	fresh := site{dir: at.dir + carrying, user: at.user}
	if err := os.RemoveAll(fresh.dir); err != nil { // of one that was cut short
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(fresh.dir))
		}
	}()
	next := &Server{cfg: s.cfg, log: s.log.With(zap.String("for", "carrying over")), dataDir: s.dataDir, sockets: socketDir(fresh.dir), wait: s.wait, logName: "postgres.carrying.log"}
	if err := next.initialize(ctx, fresh, later); err != nil {
		return err
	}
	if err := s.launch(ctx, at, old); err != nil {
		return err
	}
	if err = next.launch(ctx, fresh, later); err == nil {
		err = s.cfg.Carry(ctx, s.URL(), next.URL())
		clean, e := next.halt(ctx)
		if err = errors.Join(err, e); err == nil && !clean {
			err = errors.New("the new cluster did not stop in good order")
		}
	}
	_, e := s.halt(ctx)
	if err = errors.Join(err, e); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.dataDir, next.logName)); err != nil {
		return err
	}
	if err := os.Rename(fresh.dir, at.dir+carried); err != nil {
		return err
	}
	return replaceBy(at.dir)
}

// replaceBy puts a cluster that was carried over in its place, also where an earlier
// process got no further than that.
func replaceBy(dir string) error {
	if !initialized(dir + carried) {
		return nil
	}
	old, err := dataMajor(dir)
	if err != nil {
		return err
	}
	if old != 0 {
		if err := os.Rename(dir, dir+aside+strconv.Itoa(old)); err != nil {
			return fmt.Errorf("put the old cluster aside: %w", err)
		}
	}
	if err := os.Rename(dir+carried, dir); err != nil {
		return fmt.Errorf("put the new cluster in its place: %w", err)
	}
	return syncDir(filepath.Dir(dir))
}

// settle ends what was begun of carrying over, wherever this directory's cluster may be.
func (s *Server) settle() error {
	for _, dir := range []string{filepath.Join(s.dataDir, "postgres"), filepath.Join(away, hash(s.dataDir, 12))} {
		if err := replaceBy(dir); err != nil {
			return err
		}
	}
	return nil
}
