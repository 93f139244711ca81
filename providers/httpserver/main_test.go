package httpserver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hasty is patience that tests can wait for.
var hasty = patience{header: 300 * time.Millisecond, idle: 10 * time.Second, body: 300 * time.Millisecond, answer: 300 * time.Millisecond, rest: 300 * time.Millisecond}

// serve is the edge before a router, on a real socket.
func serve(t testing.TB, wait patience, router http.HandlerFunc, change ...func(*httptest.Server)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = newHTTP(wait, zap.NewNop(), edge(nil, wait, []string{"*"}, router))
	for _, f := range change {
		f(server)
	}
	if server.EnableHTTP2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

func overHTTP2(s *httptest.Server) { s.EnableHTTP2 = true }

// dial opens a connection that gives up after a while, so that no test waits for ever.
func dial(t testing.TB, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}
