package postgres

import (
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"uaol/providers/config"
)

// RefusePlaintext is the fault of a variable whose URL may speak to another machine
// without TLS, in production. All that the library would try counts: sslmode=prefer,
// which is its default too, and allow go on without TLS where the server, or somebody
// on the way, refuses it.
func RefusePlaintext(variable, value string, to *pgconn.Config) error {
	attempts := append([]*pgconn.FallbackConfig{{Host: to.Host, TLSConfig: to.TLSConfig}}, to.Fallbacks...)
	for _, attempt := range attempts {
		if attempt.TLSConfig == nil && !here(attempt.Host) {
			return &config.Fault{Variable: variable, Value: value, Want: "sslmode=verify-full (or require) in it, because production speaks to " +
				attempt.Host + " with TLS only, or on a private network UAOL_DATABASE_PLAINTEXT=true"}
		}
	}
	return nil
}

// here reports whether a host is this machine: a socket or a loopback address.
func here(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
