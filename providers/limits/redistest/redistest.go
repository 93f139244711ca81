// Package redistest runs Redis's own server for tests.
package redistest

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// listensWithin is how long the server may take to start on a busy machine.
const listensWithin = 30 * time.Second

// Start runs one on a free port of this machine, until the test ends or it is stopped.
// Where it is not installed the test is skipped with the reason; in CI it fails.
func Start(t testing.TB, options ...string) (url string, stop func()) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed; .ci/run installs it")
		}
		t.Skip("redis-server is not installed (apt-get install redis-server)")
	}
	at := freeAddress(t)
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	server := exec.Command(program, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, options...)...)
	if err := server.Start(); err != nil {
		t.Fatalf("redistest: %v", err)
	}
	stop = sync.OnceFunc(func() { _ = server.Process.Kill(); _ = server.Wait() })
	t.Cleanup(stop)
	for deadline := time.Now().Add(listensWithin); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			_ = conn.Close()
			return "redis://" + at + "/0", stop
		}
		if time.Now().After(deadline) {
			t.Fatalf("redistest: redis-server does not listen: %v", err)
		}
	}
}

// freeAddress is one that nobody listens on; 10,000 above its port is one too, which
// nodes of a cluster take for each other.
func freeAddress(t testing.TB) string {
	t.Helper()
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("redistest: %v", err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		if err := listener.Close(); err != nil {
			t.Fatalf("redistest: %v", err)
		}
		if port <= 55_535 {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		}
	}
}
