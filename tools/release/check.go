package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// check builds the commit twice: in directories of different names and depths, with
// caches, homes, umasks, time zones and languages of their own. All files must be
// the same, byte by byte.
func (r *Release) check(ctx context.Context) (err error) {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	modules, err := output(ctx, r.Source, nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "uaol-release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	var sums [2]string
	for i, place := range []struct {
		dir   string
		umask int
		env   []string
	}{
		{"a", 0o022, []string{"TZ=UTC", "LANG=C"}},
		{"another/place/with a longer name", 0o077, []string{"TZ=Asia/Tokyo", "LANG=de_DE.UTF-8", "GOFLAGS=-ldflags=-w", "GOAMD64=v3", "USER=somebody"}},
	} {
		home := filepath.Join(work, fmt.Sprint("home", i))
		source := filepath.Join(work, place.dir)
		if err := errors.Join(os.MkdirAll(home, 0o700), os.MkdirAll(source, 0o700)); err != nil {
			return err
		}
		before := syscall.Umask(place.umask)
		err := r.copy(ctx, source)
		if err == nil {
			env := append(place.env, "HOME="+home, "GOCACHE="+filepath.Join(home, "cache"), "GOMODCACHE="+strings.TrimSpace(modules))
			_, err = output(ctx, work, env, program, "-source", source, "-version", r.Version, "-commit", r.Commit,
				"-date", r.Date.Format(time.RFC3339), "-platforms", strings.Join(r.Platforms, ","))
		}
		syscall.Umask(before)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(source, "dist", "SHA256SUMS"))
		if err != nil {
			return err
		}
		sums[i] = string(text)
		fmt.Printf("built in %s\n", source)
	}
	return same(sums[0], sums[1])
}

// same compares two files of checksums and names what differs.
func same(a, b string) error {
	if a == b && a != "" {
		fmt.Printf("%d files are the same in both:\n%s", strings.Count(a, "\n"), a)
		return nil
	}
	in := map[string]bool{}
	for line := range strings.Lines(b) {
		in[line] = true
	}
	var differ []string
	for line := range strings.Lines(a) {
		if _, name, _ := strings.Cut(strings.TrimSpace(line), "  "); !in[line] {
			differ = append(differ, name)
		}
	}
	return fmt.Errorf("two builds of one commit differ in: %s", strings.Join(differ, ", "))
}

// copy is the commit's files alone: what lies about in a working tree is in no release.
func (r *Release) copy(ctx context.Context, to string) error {
	archive := exec.CommandContext(ctx, "git", "-C", r.Source, "archive", "--format=tar", r.Commit)
	unpack := exec.CommandContext(ctx, "tar", "-x", "-C", to)
	var err error
	if unpack.Stdin, err = archive.StdoutPipe(); err != nil {
		return err
	}
	if err := unpack.Start(); err != nil {
		return err
	}
	return errors.Join(archive.Run(), unpack.Wait())
}
