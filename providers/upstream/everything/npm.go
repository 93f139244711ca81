package everything

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// pack is an npm package. Versions are pinned so that a test fails for our
// changes only.
type pack struct{ scope, name, version string }

func reference(server string) pack { return pack{"@modelcontextprotocol/", server, "2026.8.31"} }

var supergateway = pack{"", "supergateway", "3.4.3"}

const installTimeout = 3 * time.Minute

func installed(t testing.TB, p pack) (main string) {
	t.Helper()
	for _, program := range []string{"npm", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("install %s: CI runs this test", program)
			}
			t.Skipf("%s is not installed, so MCP's reference servers can't run", program)
		}
	}
	main, err := p.install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return main
}

// install puts a package into the user's cache once and gives its main file.
// It is built aside and renamed, so that tests may do this at the same time.
func (p pack) install(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache directory: %w", err)
	}
	parent := filepath.Join(cache, "uaol-tests")
	place := filepath.Join(parent, p.name+"-"+p.version)
	main := filepath.Join(place, "node_modules", filepath.FromSlash(p.scope), p.name, "dist", "index.js")
	if _, err := os.Stat(main); err == nil {
		return main, nil
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
	npm := exec.CommandContext(ctx, "npm", "install", "--prefix", aside, "--no-audit", "--no-fund", "--ignore-scripts",
		p.scope+p.name+"@"+p.version)
	npm.Dir = aside
	if output, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install: %w\n%s", err, output)
	}
	if err := os.Rename(aside, place); err != nil {
		if _, other := os.Stat(main); other != nil {
			return "", fmt.Errorf("keep what npm installed: %w", err)
		}
	}
	if _, err := os.Stat(main); err != nil {
		return "", fmt.Errorf("npm installed no %s: %w", filepath.Base(main), fs.ErrNotExist)
	}
	return main, nil
}
