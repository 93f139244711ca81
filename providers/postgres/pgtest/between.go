package pgtest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"uaol/providers/postgres/pgtest/unreliable"
)

// faulty is the variable that asks for a database that is not to be relied on.
const faulty = "UAOL_TEST_UNRELIABLE"

const unreliablePort = "6433" // of the socket's name only

// unreliable stands in front of the cluster.
func (c *cluster) unreliable() (*unreliable.Proxy, error) {
	text, _ := os.LookupEnv("UAOL_TEST_SEED")
	seed, _ := strconv.ParseUint(text, 10, 64) // 0 is one too
	listener, err := net.Listen("unix", filepath.Join(c.sockets, ".s.PGSQL."+unreliablePort))
	if err != nil {
		return nil, err
	}
	return unreliable.Start(listener, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(c.sockets, ".s.PGSQL.5432"))
	}, unreliable.Faults{Refused: 0.05, Cut: 0.05, Seed: seed}), nil
}

// Unreliable is a new database at two addresses: behind a proxy of its own that makes
// these faults, and without anything in between. All ends with the test.
func Unreliable(t testing.TB, faults unreliable.Faults) (faulty, sound string, proxy *unreliable.Proxy) {
	t.Helper()
	target, err := pgconn.ParseConfig(URL(t))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	proxy = unreliable.Start(listener, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(target.Host, ".s.PGSQL.5432"))
	}, faults)
	t.Cleanup(func() { _ = proxy.Close() })
	return "postgres://postgres@" + listener.Addr().String() + "/" + target.Database + "?sslmode=disable",
		"postgres://postgres@/" + target.Database + "?port=5432&host=" + target.Host, proxy
}
