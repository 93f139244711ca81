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
	URL     string        `env:"DATABASE_URL" secret:"true" want:"a URL such as postgres://user:password@host:5432/database" doc:"the database: postgres://, postgresql:// or cockroachdb://; without it, development runs a private PostgreSQL of its own"`
	PoolMin int32         `env:"DATABASE_POOL_MIN" envDefault:"2" want:"a whole number from 0 to 100" doc:"connections kept open"`
	PoolMax int32         `env:"DATABASE_POOL_MAX" envDefault:"20" want:"a whole number from 1 to 100" doc:"connections at most; more than 100 is taken as 100, because the original's 10000 used up the server's"`
	Ping    time.Duration `env:"UAOL_DATABASE_TIMEOUT" envDefault:"10s" doc:"how long the start waits for the database to answer"`
	Archive string        `env:"UAOL_POSTGRES_ARCHIVE" doc:"file or URL of a PostgreSQL archive for the embedded database, with #sha256=… unless a .sha256 lies beside it"`

	Image bool `env:"UAOL_CONTAINER" want:"true or false" doc:"set in our container image, which brings no database"`

	parsed *pgxpool.Config
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
	normal, err := normalize(c.URL)
	if err != nil {
		return c.fault(err.Error())
	}
	c.parsed, err = pgxpool.ParseConfig(normal)
	if err != nil {
		// The library's error quotes the URL; its own redaction is not relied on.
		return c.fault("")
	}
	c.URL = normal // not before: what is shown in an error is what was written
	return nil
}

// throughPooler gives a URL that leads to a pooler in transaction mode the one
// query mode that needs nothing of the connection before it: Supabase's on port
// 6543, and whatever is marked pgbouncer=true, as other clients want it.
func throughPooler(u *url.URL) {
	query := u.Query()
	supabase := strings.HasSuffix(u.Hostname(), ".pooler.supabase.com") && u.Port() == "6543"
	if (supabase || query.Get("pgbouncer") == "true") && !query.Has("default_query_exec_mode") {
		query.Set("default_query_exec_mode", "exec")
	}
	for _, foreign := range []string{"pgbouncer", "connection_limit", "pool_timeout"} {
		query.Del(foreign) // the server would refuse them as settings it does not know
	}
	u.RawQuery = query.Encode()
}

func (c *Config) fault(reason string) error {
	want := "a URL such as postgres://user:password@host:5432/database"
	if reason != "" {
		want += " (" + reason + ")"
	}
	return &config.Fault{Variable: "DATABASE_URL", Value: c.URL, Want: want}
}

// Embedded reports whether this process runs its own PostgreSQL.
func (c Config) Embedded() bool { return c.URL == "" }

// normalize checks a URL's parts and gives CockroachDB's scheme the name that
// drivers know. The kind of database is asked of the server, never read here.
func normalize(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("it is not a URL")
	}
	switch u.Scheme {
	case "postgres", "postgresql":
	case "cockroachdb", "cockroach", "crdb-postgres":
		u.Scheme = "postgresql"
	default:
		return "", fmt.Errorf("the scheme must be postgres, postgresql or cockroachdb")
	}
	if u.Hostname() == "" && u.Query().Get("host") == "" {
		return "", fmt.Errorf("the host is missing")
	}
	if strings.Trim(u.Path, "/") == "" {
		return "", fmt.Errorf("the database's name is missing")
	}
	if strings.Contains(u.EscapedPath(), "@") {
		return "", fmt.Errorf("characters such as / and @ in a password or a name must be written as %%2F and %%40")
	}
	throughPooler(u)
	return u.String(), nil
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
