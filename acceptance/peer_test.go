package acceptance

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// peer is ToolHive, a gateway for MCP servers in Go. Later versions want a newer
// Go or modules that can't be had everywhere.
const (
	peerModule  = "github.com/stacklok/toolhive/cmd/thv"
	peerVersion = "v0.47.0"
)

// toolhive runs ToolHive's proxy, which neither authenticates, validates nor
// records here, in front of a tool. It is built once, which takes minutes: only
// with UAOL_TEST_PEER=1.
func toolhive(b *testing.B, tool string) (url string, runs bool) {
	b.Helper()
	if os.Getenv("UAOL_TEST_PEER") == "" {
		return "", false
	}
	cache, err := os.UserCacheDir()
	require.NoError(b, err)
	place := filepath.Join(cache, "uaol-tests", "thv-"+peerVersion)
	program := filepath.Join(place, "thv")
	if _, err := os.Stat(program); err != nil {
		install := exec.CommandContext(b.Context(), "go", "install", peerModule+"@"+peerVersion)
		install.Env = append(os.Environ(), "GOBIN="+place, "GOFLAGS=")
		if output, err := install.CombinedOutput(); err != nil {
			b.Logf("no peer: %s can't be built: %.300s", peerModule, output)
			return "", false
		}
	}
	free, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	port := free.Addr().(*net.TCPAddr).Port
	require.NoError(b, free.Close())
	home := b.TempDir()
	proxy := exec.CommandContext(b.Context(), program, "proxy", "bench", "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--target-uri", tool)
	proxy.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TOOLHIVE_DOCKER_SOCKET=" + noContainers(b)}
	var said strings.Builder
	proxy.Stderr = &said
	require.NoError(b, proxy.Start())
	b.Cleanup(func() { _ = proxy.Process.Kill(); _ = proxy.Wait() })
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			_ = conn.Close()
			return "http://" + at + "/", true
		}
		if time.Now().After(deadline) {
			b.Logf("no peer: it does not listen: %.500s", said.String())
			return "", false
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// noContainers answers what ToolHive asks a container engine before it does
// anything, although its proxy needs none.
func noContainers(b *testing.B) (socket string) {
	dir, err := os.MkdirTemp("", "thv") // a socket's path must be short
	require.NoError(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "unix", socket)
	require.NoError(b, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		if r.Method != http.MethodHead {
			_, _ = w.Write([]byte("[]"))
		}
	})}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return socket
}
