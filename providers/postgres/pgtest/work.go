package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

const (
	prefix  = "uaol-pgtest-"
	durable = "UAOL_TEST_DURABLE" // for benchmarks of what must reach the disk
	memory  = "/dev/shm"
	room    = 4 << 30 // bytes; a test process takes about 100 MB
)

// place is where clusters of tests live: in memory on Linux when there is room,
// because a cluster and each database are 300 small files or more (a new
// database takes 20 ms there, 300 ms on ext4). What is to be durable is on disk:
// in memory fsync costs nothing.
func place() string {
	if set(durable) {
		return os.TempDir()
	}
	var stat unix.Statfs_t
	if unix.Access(memory, unix.W_OK|unix.X_OK) == nil && unix.Statfs(memory, &stat) == nil &&
		stat.Bavail*uint64(stat.Bsize) > room {
		return memory
	}
	return os.TempDir()
}

// workDir is a cluster's place while its process lives. The lock beside it is
// the kernel's and tells other processes, in any container, that it does.
type workDir struct {
	path string
	lock *flock.Flock
}

func newWorkDir() (*workDir, error) {
	for {
		file, err := os.CreateTemp(place(), prefix+"*.lock")
		if err != nil {
			return nil, fmt.Errorf("a place for the cluster: %w", err)
		}
		lock := flock.New(file.Name())
		ok, err := lock.TryLock()
		err = errors.Join(err, file.Close())
		if err != nil {
			return nil, fmt.Errorf("a place for the cluster: %w", err)
		}
		// A sweep of another process may have been quicker: then once more.
		if _, err := os.Stat(file.Name()); !ok || err != nil {
			_ = lock.Close()
			continue
		}
		w := &workDir{path: strings.TrimSuffix(file.Name(), ".lock"), lock: lock}
		if err := os.Mkdir(w.path, 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("a place for the cluster: %w", err), w.remove())
		}
		return w, nil
	}
}

// remove deletes the directory, the cluster if it lies elsewhere, the socket's
// directory and the lock.
func (w *workDir) remove() error {
	var errs []error
	if server, err := newServer(w.path, nil); err == nil {
		if cluster, err := server.Cluster(); err == nil {
			errs = append(errs, os.RemoveAll(cluster))
		}
		if cfg, err := pgconn.ParseConfig(server.URL()); err == nil {
			errs = append(errs, os.RemoveAll(cfg.Host))
		}
	}
	errs = append(errs, os.RemoveAll(w.path), os.Remove(w.lock.Path()), w.lock.Close())
	return errors.Join(errs...)
}

// sweep removes what processes left behind that were killed or had no Main.
func sweep() {
	locks, _ := filepath.Glob(filepath.Join(memory, prefix+"*.lock"))
	more, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*.lock"))
	for _, path := range append(locks, more...) {
		lock := flock.New(path, flock.SetFlag(os.O_RDWR))
		if ok, err := lock.TryLock(); err != nil || !ok {
			_ = lock.Close() // it lives, or is another user's
			continue
		}
		_ = (&workDir{path: strings.TrimSuffix(path, ".lock"), lock: lock}).remove()
	}
}
