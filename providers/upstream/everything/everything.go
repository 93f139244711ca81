// Package everything gets MCP's reference servers from npm, and runs the first
// of them, for tests.
package everything

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The reference servers.
const (
	Everything = "server-everything"
	Memory     = "server-memory"
	Filesystem = "server-filesystem"
)

// version, of all of them, is pinned so that a test fails for our changes only.
const version = "2026.8.31"

const (
	installTimeout = 3 * time.Minute
	startTimeout   = 30 * time.Second
	stopTimeout    = 5 * time.Second
)

// Start runs the server on a free port and gives the URL of its streamable HTTP
// endpoint. It has the tools echo {message} and get-sum {a,b}. The server stops
// when the test ends. Without npm the test is skipped, except where CI is set.
func Start(t testing.TB) string {
	t.Helper()
	main := Install(t, Everything)
	port, err := freePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run(t, main, port)
	return fmt.Sprintf("http://127.0.0.1:%d/mcp", port)
}

// Install gives the main file of one of the servers, for node to run. Without npm
// the test is skipped, except where CI is set.
func Install(t testing.TB, server string) string {
	t.Helper()
	for _, program := range []string{"npm", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("install %s: CI runs this test", program)
			}
			t.Skipf("%s is not installed, so MCP's reference servers can't run", program)
		}
	}
	main, err := install(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	return main
}

// install puts a server into the user's cache once and gives its main file.
// It is built aside and renamed, so that tests may do this at the same time.
func install(ctx context.Context, server string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache directory: %w", err)
	}
	parent := filepath.Join(cache, "uaol-tests")
	place := filepath.Join(parent, server+"-"+version)
	main := filepath.Join(place, "node_modules", "@modelcontextprotocol", server, "dist", "index.js")
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
		"@modelcontextprotocol/"+server+"@"+version)
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

// freePort finds a port that is free on all interfaces, for there the server listens.
func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func run(t testing.TB, main string, port int) {
	t.Helper()
	var output lockedBuffer
	server := exec.Command("node", main, "streamableHttp") // its end is the cleanup's
	server.Env = append(os.Environ(), "PORT="+strconv.Itoa(port))
	server.Stdout, server.Stderr = &output, &output
	server.WaitDelay = stopTimeout
	ownGroup(server)
	if err := server.Start(); err != nil {
		t.Fatalf("start MCP's reference server: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Wait()
	}()
	t.Cleanup(func() {
		killGroup(server)
		<-ended
	})
	if err := ready(t.Context(), port, ended); err != nil {
		t.Fatalf("MCP's reference server: %v\n%s", err, output.String())
	}
}

// ready asks until the server answers HTTP, its process ends or time is up.
func ready(ctx context.Context, port int, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	wait := 5 * time.Millisecond
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/mcp", port), nil)
		if err != nil {
			return err
		}
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
			wait = min(2*wait, 250*time.Millisecond)
		case <-ended:
			pause.Stop()
			return fmt.Errorf("ended before it answered: %w", err)
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("does not answer: %w", err)
		}
	}
}

type lockedBuffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}
