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
	program, err := Install(t.Context(), pkg, version)
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

// Install builds a program once per user and version, and gives its path.
func Install(ctx context.Context, pkg, version string) (string, error) {
	return once(pkg, version, func(aside string) error {
		build := exec.CommandContext(ctx, "go", "install", pkg+"@"+version)
		build.Dir = aside // not in the module: its versions are not the program's
		build.Env = append(os.Environ(), "GOBIN="+aside, "GOFLAGS=")
		return ran(build)
	})
}

// Required does as Install does where module proxies have the version and no list of
// versions, which `go install` wants to see. The package is its module's root.
func Required(ctx context.Context, pkg, version string) (string, error) {
	return once(pkg, version, func(aside string) error {
		needs := "module program\n\ngo 1.26\n\nrequire " + pkg + " " + version + "\n"
		if err := os.WriteFile(filepath.Join(aside, "go.mod"), []byte(needs), 0o600); err != nil {
			return err
		}
		build := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-o", nameOf(pkg), pkg)
		build.Dir = aside
		build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
		return ran(build)
	})
}

func ran(build *exec.Cmd) error {
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", build.Args[1], err, out[max(0, len(out)-500):])
	}
	return nil
}

// once builds aside and renames, so that tests may do this at the same time.
func once(pkg, version string, build func(aside string) error) (string, error) {
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
	if err := build(aside); err != nil {
		return "", errors.Join(err, os.RemoveAll(aside))
	}
	return program, errors.Join(os.Rename(filepath.Join(aside, name), program), os.RemoveAll(aside))
}
