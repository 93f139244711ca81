package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"uaol/app"
	"uaol/migrations"
	"uaol/providers/config"
	"uaol/providers/postgres"
	"uaol/providers/postgres/dialect"
)

// Bounds of what is well.
const (
	slowDatabase = 20 * time.Millisecond // for SELECT 1
	clockApart   = time.Second
	clockTooFar  = 20 * time.Second // service tokens allow for 30
)

func database(ctx context.Context, p *Patient) []Finding {
	cfg, ok := read[postgres.Config](p)
	if !ok {
		return nil
	}
	url, release, err := p.Database(ctx)
	if err != nil {
		return []Finding{failed("read the log of the server that runs on this data directory, or remove what keeps PostgreSQL from starting there", "%s", postgres.Cause(err))}
	}
	if url == "" {
		return []Finding{well("embedded, made at the first start in %s", cfg.DataDir)}
	}
	defer func() { _ = release() }()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return []Finding{failed("start it, or correct DATABASE_URL; from this machine its host and port must be open", "no connection: %s", postgres.Cause(err))}
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return slices.Concat([]Finding{kindOf(ctx, conn, cfg)}, pool(ctx, conn, cfg, processes(p)), pooler(ctx, conn, cfg), tables(ctx, conn, p), clock(ctx, conn))
}

func kindOf(ctx context.Context, conn *pgx.Conn, cfg postgres.Config) Finding {
	var version string
	var took [3]time.Duration
	for i := range took {
		begun := time.Now()
		if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
			return failed("look at the database's own log", "it does not answer: %s", postgres.Cause(err))
		}
		took[i] = time.Since(begun)
	}
	fastest := slices.Min(took[:])
	words := strings.Fields(version)
	found := dialect.Name(version)
	if len(words) > 1 {
		found = strings.Join(words[:2], " ")
	}
	_, encrypted := conn.PgConn().Conn().(*tls.Conn)
	host := conn.Config().Host
	remote := !strings.HasPrefix(host, "/") && !loopback(host)
	found = fmt.Sprintf("%s, %s for a statement", found, fastest.Round(10*time.Microsecond))
	switch {
	case encrypted:
		found += ", TLS"
	case remote:
		found += ", no TLS"
	}
	switch {
	case remote && !encrypted && cfg.Production():
		return failed("add sslmode=verify-full (or require) to DATABASE_URL", "%s", found)
	case remote && !encrypted:
		return warned("add sslmode=verify-full (or require) to DATABASE_URL", "%s", found)
	case fastest > slowDatabase:
		return warned("bring the database nearer: every request waits for it several times", "%s", found)
	}
	return well("%s", found)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// processes is how many of them the settings name; 1 where everything is in one.
func processes(p *Patient) int {
	others := map[string]bool{}
	for _, service := range app.Services() {
		for _, address := range addressesOf(p, service) {
			others[address] = true
		}
	}
	return len(others) + 1 // the gateway has no such variable, or it is this one
}

// pool compares what processes may take with what the server gives.
func pool(ctx context.Context, conn *pgx.Conn, cfg postgres.Config, processes int) []Finding {
	var text string
	if err := conn.QueryRow(ctx, "SELECT current_setting('max_connections')").Scan(&text); err != nil {
		return nil // CockroachDB has no such bound
	}
	most, err := strconv.Atoi(text)
	if err != nil {
		return nil
	}
	mine := int(min(cfg.PoolMax, 100))
	f := well("at most %d of the server's %d connections for each process", mine, most)
	switch {
	case mine > most-3: // superuser_reserved_connections
		f = failed(fmt.Sprintf("set DATABASE_POOL_MAX to %d or less, or raise max_connections", max(most/2, 1)), "%s", f.Found)
	case processes > 1 && processes*mine > most-3:
		f = warned("set DATABASE_POOL_MAX lower, raise max_connections, or put a pooler before it", "%s, and the settings name %d of these", f.Found, processes)
	case 2*mine > most:
		f = warned("two processes use them up: set DATABASE_POOL_MAX lower, raise max_connections, or put a pooler before it", "%s", f.Found)
	}
	f.Check = "connections"
	return []Finding{f}
}

// pooler finds one by the number of the server's process: a pooler tells its own.
func pooler(ctx context.Context, conn *pgx.Conn, cfg postgres.Config) []Finding {
	var pid uint32
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil || pid == conn.PgConn().PID() {
		return nil
	}
	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil || dialect.Cockroach(version) {
		return nil // its numbers are of sessions
	}
	f := well("there is one; nothing of a connection is relied on")
	if cfg.Embedded() || conn.Config().DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		f = warned("if it pools transactions, add pgbouncer=true to DATABASE_URL, and set UAOL_MIGRATE_DATABASE_URL to the server itself", "there is one, and statements are prepared on connections")
	}
	f.Check = "pooler"
	return []Finding{f}
}

func tables(ctx context.Context, conn *pgx.Conn, p *Patient) []Finding {
	states, err := migrations.Status(ctx, conn, migrations.Owners()...)
	if err != nil {
		return []Finding{{Check: "migrations", Status: Fail, Found: postgres.Cause(err), Do: "let the database's user read uaol_<service>.schema_migrations"}}
	}
	var dirty, behind, newer []string
	for _, s := range states {
		is := fmt.Sprintf("%s is at %d of %d", s.Service, s.Version, s.Latest)
		switch {
		case s.Dirty:
			dirty = append(dirty, is)
		case s.Version < s.Latest:
			behind = append(behind, is)
		case s.Version > s.Latest:
			newer = append(newer, is)
		}
	}
	f := well("all %d services' tables are up to date", len(states))
	switch cfg, ok := read[migrations.Config](p); {
	case len(dirty) > 0:
		f = failed("mend what the step left by hand, then run `uaol migrate up`", "a step was interrupted: %s", strings.Join(dirty, ", "))
	case len(behind) > 0 && ok && cfg.AtStart():
		f = warned("start a server, which applies them, or run `uaol migrate up`", "behind: %s", strings.Join(behind, ", "))
	case len(behind) > 0:
		f = failed("run `uaol migrate up`", "behind: %s", strings.Join(behind, ", "))
	case len(newer) > 0:
		f = warned("upgrade this machine's uaol, unless the newer one is being taken back", "newer than this binary: %s", strings.Join(newer, ", "))
	}
	f.Check = "migrations"
	return []Finding{f}
}

func clock(ctx context.Context, conn *pgx.Conn) []Finding {
	begun := time.Now()
	var now time.Time
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return nil
	}
	f := apart(now.Sub(begun.Add(time.Since(begun)/2)), "the database's clock", 0)
	f.Check = "clocks"
	return []Finding{f}
}

// apart judges a difference to this machine's clock that is known up to some slack.
func apart(difference time.Duration, whose string, slack time.Duration) Finding {
	off := max(difference.Abs()-slack, 0)
	word := "ahead of"
	if difference < 0 {
		word = "behind"
	}
	const do = "let all machines keep time by NTP: leases, tokens and limits go by it"
	switch {
	case off > clockTooFar:
		return failed(do, "%s is %s %s this machine's", whose, off.Round(time.Second), word)
	case off > clockApart:
		return warned(do, "%s is %s %s this machine's", whose, off.Round(100*time.Millisecond), word)
	}
	return well("%s and this machine's agree", whose)
}

// causeOf is what an error comes to, without what may be a secret in it.
func causeOf(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &dns):
		return "its name cannot be looked up"
	case errors.As(err, &certificate):
		return "its certificate is not trusted"
	case errors.As(err, &op):
		if op.Timeout() {
			return "no answer in time"
		}
		return op.Err.Error()
	}
	return config.Redact(err.Error())
}
