package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"

	"uaol/migrations"
)

const (
	layout = "1"                // changes with what a template holds besides the migrations
	unused = 7 * 24 * time.Hour // after which a template is removed
)

// template is the directory of a cluster whose database is migrated, made once
// for a release of PostgreSQL and a set of migrations.
func template(ctx context.Context, version string) (string, error) {
	base, err := cacheDir()
	if err != nil {
		return "", err
	}
	sum, err := hashFiles(migrations.FS)
	if err != nil {
		return "", fmt.Errorf("the migrations: %w", err)
	}
	dir := filepath.Join(base, strings.Join([]string{"postgres", version, layout, sum}, "-"))
	if used(dir) {
		return dir, nil
	}
	lock := flock.New(filepath.Join(base, "lock"))
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return "", fmt.Errorf("waiting for another test process to make the template: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if used(dir) {
		return dir, nil
	}
	prune(base)
	return dir, build(ctx, dir)
}

// cacheDir belongs to this user, whose postgres executes what is in it.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err == nil {
		dir := filepath.Join(base, "uaol-pgtest")
		if os.MkdirAll(dir, 0o700) == nil {
			return dir, nil
		}
	}
	dir := filepath.Join(os.TempDir(), "uaol-pgtest-cache-"+strconv.Itoa(os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("a directory for the template: %w", err)
	}
	var info unix.Stat_t
	if err := unix.Lstat(dir, &info); err != nil {
		return "", fmt.Errorf("a directory for the template: %w", err)
	}
	if int(info.Uid) != os.Getuid() || uint32(info.Mode) != unix.S_IFDIR|0o700 {
		return "", fmt.Errorf("%s is not a directory of this user for that user alone: remove it", dir)
	}
	return dir, nil
}

// hashFiles covers names and contents.
func hashFiles(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		if err == nil {
			_, err = fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		}
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
}

// used notes that a template is still wanted, and tells whether it is there.
func used(dir string) bool {
	now := time.Now()
	return os.Chtimes(dir, now, now) == nil
}

func prune(base string) {
	entries, _ := os.ReadDir(base) // what cannot be removed now stays for later
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.IsDir() && time.Since(info.ModTime()) > unused {
			_ = os.RemoveAll(filepath.Join(base, entry.Name()))
		}
	}
}

// build makes a cluster, migrates its database and copies the result.
func build(ctx context.Context, dir string) (err error) {
	work, err := newWorkDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, work.remove()) }()
	server, err := newServer(work.path, nil)
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	err = migrations.Up(ctx, server.URL())
	if err = errors.Join(err, server.Stop(ctx)); err != nil {
		return fmt.Errorf("make the template: %w", err)
	}
	made, err := server.Cluster()
	if err != nil {
		return err
	}
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := copyTree(made, fresh); err != nil {
		return fmt.Errorf("keep the template: %w", err)
	}
	return os.Rename(fresh, dir)
}

// copyTree copies directories and files; a cluster at rest has nothing else.
func copyTree(from, to string) error {
	buffer := make([]byte, 1<<20)
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		name = filepath.Join(to, name)
		if entry.IsDir() {
			return os.Mkdir(name, 0o700)
		}
		return copyFile(path, name, buffer)
	})
}

func copyFile(from, to string, buffer []byte) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	// Without ReadFrom, which would ask the kernel: that is slower for small files.
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, buffer)
	return errors.Join(err, out.Close())
}
