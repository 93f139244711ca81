// Package goprogram gets programs that tests talk to: real servers of others, that
// the go command can build.
package goprogram

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"testing"
)

// Installed builds a program once per user and version, and gives its path. Where it
// can't be had the test is skipped with the reason; in CI it fails.
func Installed(t testing.TB, pkg, version string) string {
	t.Helper()
	program, err := install(t.Context(), pkg, version)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI runs this test: %v", err)
		}
		t.Skipf("%s can't be had: %v", nameOf(pkg), err)
	}
	return program
}

var major = regexp.MustCompile(`^v[0-9]+$`)

// nameOf is what the go command calls the program of a package.
func nameOf(pkg string) string {
	if name := path.Base(pkg); !major.MatchString(name) {
		return name
	}
	return path.Base(path.Dir(pkg))
}

// Built builds a program of this module, or of one that its go.mod names, in the version
// there, and gives its path.
func Built(t testing.TB, pkg string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), nameOf(pkg))
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v: %.500s", pkg, err, out)
	}
	return program
}

// install builds aside and renames, so that tests may do this at the same time.
func install(ctx context.Context, pkg, version string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	name := nameOf(pkg)
	place := filepath.Join(cache, "uaol-tests", name+"-"+version)
	program := filepath.Join(place, name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return "", err
	}
	aside, err := os.MkdirTemp(place, "new-")
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "install", pkg+"@"+version)
	build.Dir = aside // not in the module: its versions are not the program's
	build.Env = append(os.Environ(), "GOBIN="+aside, "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("go install: %w: %.500s", err, out), os.RemoveAll(aside))
	}
	return program, errors.Join(os.Rename(filepath.Join(aside, name), program), os.RemoveAll(aside))
}
