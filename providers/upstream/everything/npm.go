package everything

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pack is an npm package. Versions are pinned so that a test fails for our
// changes only.
type pack struct{ scope, name, version string }

func reference(server string) pack { return pack{"@modelcontextprotocol/", server, "2026.8.31"} }

var supergateway = pack{"", "supergateway", "3.4.3"}

const installTimeout = 5 * time.Minute

func installed(t testing.TB, p pack) (main string) {
	t.Helper()
	modules := Modules(t, p.scope+p.name+"@"+p.version)
	return filepath.Join(modules, filepath.FromSlash(p.scope), p.name, "dist", "index.js")
}

// Modules gives a directory of node's modules with npm packages, each name@version, in the
// user's cache. Without npm the test is skipped, except where CI is set.
func Modules(t testing.TB, packages ...string) (dir string) {
	t.Helper()
	for _, program := range []string{"npm", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("install %s: CI runs this test", program)
			}
			t.Skipf("%s is not installed, so what npm has can't run", program)
		}
	}
	dir, err := install(t.Context(), packages)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// install puts packages into the user's cache once. They are put aside and renamed, so that
// tests may do this at the same time.
func install(ctx context.Context, packages []string) (modules string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache directory: %w", err)
	}
	parent := filepath.Join(cache, "uaol-tests")
	var names []string
	for _, p := range packages {
		names = append(names, strings.ReplaceAll(path.Base(p), "@", "-"))
	}
	place := filepath.Join(parent, strings.Join(names, "+"))
	modules = filepath.Join(place, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("make a cache directory: %w", err)
	}
	aside, err := os.MkdirTemp(parent, "installing-")
	if err != nil {
		return "", fmt.Errorf("make a cache directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(aside) }()
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", append([]string{"install", "--prefix", aside, "--no-audit", "--no-fund", "--ignore-scripts"}, packages...)...)
	npm.Dir = aside
	if output, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install: %w\n%s", err, output)
	}
	if err := os.Rename(aside, place); err != nil {
		if _, other := os.Stat(modules); other != nil {
			return "", fmt.Errorf("keep what npm installed: %w", err)
		}
	}
	if _, err := os.Stat(modules); err != nil {
		return "", fmt.Errorf("npm installed nothing: %w", err)
	}
	return modules, nil
}
