package fleet

import (
	"net"
	"sync"
	"testing"
)

// Ports below those that systems give to outgoing connections; each is given once.
const firstPort, lastPort = 15_000, 19_999

var ports struct {
	sync.Mutex
	next int
}

func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range lastPort - firstPort {
		port := firstPort + ports.next
		ports.next = (ports.next + 1) % (lastPort - firstPort)
		listener, err := net.Listen("tcp", address(port))
		if err != nil {
			continue
		}
		_ = listener.Close()
		return port
	}
	t.Fatal("fleet: no free port")
	return 0
}

// FreeAddress is one at the loopback that nobody listens on.
func FreeAddress(t testing.TB) string { return address(freePort(t)) }
