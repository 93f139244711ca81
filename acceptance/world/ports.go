package world

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports below those that systems give to outgoing connections and to listeners
// on port 0, so that between finding one free and using it only another World
// can take it.
const firstPort, ports = 20_000, 10_000

// given are the addresses that this test binary has been given.
var given sync.Map

// freeAddress is one that nobody listens on. Processes must know each other's
// addresses before any of them listens, so port 0 will not do.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(ports)))
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatalf("world: %v", err)
		}
		if _, taken := given.LoadOrStore(address, true); taken {
			continue
		}
		return address
	}
	t.Fatal("world: no free port")
	return ""
}
