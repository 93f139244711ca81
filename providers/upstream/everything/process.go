package everything

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 5 * time.Second
)

// freePort finds a port that is free on all interfaces, for there the servers listen.
func freePort(t testing.TB) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// run lets a server run with its arguments until the test ends.
func run(t testing.TB, port int, env []string, program string, args ...string) {
	t.Helper()
	var output lockedBuffer
	server := exec.Command(program, args...) // its end is the cleanup's
	server.Env = append(os.Environ(), env...)
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
