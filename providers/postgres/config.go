// Package postgres gives the process its one database pool, for PostgreSQL,
// Supabase and CockroachDB, and the few helpers its repositories query with.
package postgres

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/config"
)

// Config says where the database is and how many connections this process may hold.
type Config struct {
	config.Process
	URL          string        `env:"DATABASE_URL" secret:"true" want:"a URL such as postgres://user:password@host:5432/database" doc:"the database: postgres://, postgresql:// or cockroachdb://; without it, development runs a private PostgreSQL of its own"`
	PoolMin      int32         `env:"DATABASE_POOL_MIN" envDefault:"2" want:"a whole number from 0 to 100" doc:"connections kept open"`
	PoolMax      int32         `env:"DATABASE_POOL_MAX" envDefault:"20" want:"a whole number from 1 to 100" doc:"connections at most; more than 100 is taken as 100, because the original's 10000 used up the server's"`
	Ping         time.Duration `env:"UAOL_DATABASE_TIMEOUT" envDefault:"10s" doc:"how long the start waits for the database to answer"`
	PasswordFile string        `env:"UAOL_DATABASE_PASSWORD_FILE" want:"a readable file that holds the password and nothing else" doc:"file with the database's password in the place of the URL's; read for each new connection, so that it may change"`
	Plaintext    bool          `env:"UAOL_DATABASE_PLAINTEXT" want:"true or false" doc:"lets production speak to a database on another machine without TLS, on a private network"`
	Statement    time.Duration `env:"UAOL_STATEMENT_TIMEOUT" envDefault:"30s" want:"a duration such as 30s, or 0 for none" doc:"how long one statement may take; migrations and commands are not bound by it"`
	Archive      string        `env:"UAOL_POSTGRES_ARCHIVE" doc:"file or URL of a PostgreSQL archive for the embedded database, with #sha256=… unless a .sha256 lies beside it"`

	Image bool `env:"UAOL_CONTAINER" want:"true or false" doc:"set in our container image, which brings no database"`

	parsed *pgxpool.Config
	route  route
}

// mostConnections is a pool's limit: PostgreSQL takes 100 by default in all.
const mostConnections = 100

// Check parses the URL and refuses what could only fail later: no host, no
// database, a driver's guess instead of a statement.
func (c *Config) Check() error {
	if err := c.Process.Check(); err != nil {
		return err
	}
	if c.PoolMin < 0 {
		return &config.Fault{Variable: "DATABASE_POOL_MIN", Value: fmt.Sprint(c.PoolMin), Want: "a whole number from 0 to 100"}
	}
	if c.PoolMax < 1 {
		return &config.Fault{Variable: "DATABASE_POOL_MAX", Value: fmt.Sprint(c.PoolMax), Want: "a whole number from 1 to 100"}
	}
	if c.Statement < 0 || c.Statement%time.Millisecond != 0 {
		return &config.Fault{Variable: "UAOL_STATEMENT_TIMEOUT", Value: c.Statement.String(), Want: "a duration such as 30s, or 0 for none"}
	}
	if c.PasswordFile != "" {
		if _, err := readPassword(c.PasswordFile); err != nil {
			return c.passwordFault()
		}
	}
	if c.URL == "" {
		if c.Production() {
			want := "a URL such as postgres://user:password@host:5432/database, because production runs no embedded database"
			if c.Image {
				want += " (to run this image with one: docker compose -f deploy/compose.yaml up)"
			}
			return &config.Fault{Variable: "DATABASE_URL", Want: want}
		}
		return nil
	}
	normal, route, err := normalize(c.URL)
	if err != nil {
		return c.fault(err.Error())
	}
	parsed, err := pgxpool.ParseConfig(normal)
	if err != nil {
		// The library's error quotes the URL; its own redaction is not relied on.
		return c.fault("")
	}
	if c.Production() && !c.Plaintext {
		if err := RefusePlaintext("DATABASE_URL", c.URL, &parsed.ConnConfig.Config); err != nil {
			return err
		}
	}
	c.URL, c.parsed, c.route = normal, parsed, route // not before: what is shown in an error is what was written
	return nil
}

func (c *Config) fault(reason string) error {
	want := "a URL such as postgres://user:password@host:5432/database"
	if reason != "" {
		want += " (" + reason + ")"
	}
	return &config.Fault{Variable: "DATABASE_URL", Value: c.URL, Want: want}
}

// Pooled reports that the URL leads through a pooler in transaction mode, which keeps
// nothing of a session.
func (c Config) Pooled() bool { return c.route == transaction }

// Embedded reports whether this process runs its own PostgreSQL.
func (c Config) Embedded() bool { return c.URL == "" }

// normalize checks a URL's parts and gives CockroachDB's scheme the name that
// drivers know. The kind of database is asked of the server, never read here.
func normalize(raw string) (string, route, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", unknown, fmt.Errorf("it is not a URL")
	}
	switch u.Scheme {
	case "postgres", "postgresql":
	case "cockroachdb", "cockroach", "crdb-postgres":
		u.Scheme = "postgresql"
	default:
		return "", unknown, fmt.Errorf("the scheme must be postgres, postgresql or cockroachdb")
	}
	if u.Hostname() == "" && u.Query().Get("host") == "" {
		return "", unknown, fmt.Errorf("the host is missing")
	}
	if strings.Trim(u.Path, "/") == "" {
		return "", unknown, fmt.Errorf("the database's name is missing")
	}
	if strings.Contains(u.EscapedPath(), "@") {
		return "", unknown, fmt.Errorf("characters such as / and @ in a password or a name must be written as %%2F and %%40")
	}
	route := routeOf(u)
	throughPooler(u, route)
	return u.String(), route, nil
}

// Address is what logs and errors may say of a database.
type Address struct{ Host, Database string }

func addressOf(c *pgx.ConnConfig) Address {
	host := c.Host
	if !strings.HasPrefix(host, "/") {
		host = fmt.Sprintf("%s:%d", host, c.Port)
	}
	return Address{Host: host, Database: c.Database}
}
