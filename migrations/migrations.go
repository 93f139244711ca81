// Package migrations holds the SQL of every service that owns tables, a folder
// and a version table each, and applies it. All of a service's tables live in
// its own schema, uaol_<service>; nothing else in the database is touched.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/cockroachdb"
	pgxmigrate "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"uaol/providers/postgres/dialect"
	"uaol/services"
)

// FS is every migration: <service>/<version>_<name>.{up,down}.sql.
//
//go:embed */*.sql
var FS embed.FS

// Schema is the schema that a service's tables live in.
func Schema(service services.Name) string { return "uaol_" + string(service) }

// Owners lists the services that own tables, by name.
func Owners() []services.Name {
	entries, _ := fs.ReadDir(FS, ".") // an embedded directory can be read
	var owners []services.Name
	for _, e := range entries {
		owners = append(owners, services.Name(e.Name()))
	}
	sort.Slice(owners, func(i, j int) bool { return owners[i] < owners[j] })
	return owners
}

// Latest is the newest version that this binary knows of a service.
func Latest(service services.Name) uint {
	entries, _ := fs.ReadDir(FS, string(service))
	var latest uint
	for _, e := range entries {
		var version uint
		if _, err := fmt.Sscanf(e.Name(), "%d_", &version); err == nil {
			latest = max(latest, version)
		}
	}
	return latest
}

// Up applies what is missing, for all services.
func Up(ctx context.Context, url string) error {
	return each(ctx, url, Owners(), func(m *migrate.Migrate) error { return m.Up() })
}

// Down takes back the newest steps of the given services.
func Down(ctx context.Context, url string, steps int, owners ...services.Name) error {
	if err := enough(ctx, url, steps, owners); err != nil {
		return err
	}
	return each(ctx, url, owners, func(m *migrate.Migrate) error { return m.Steps(-steps) })
}

// enough refuses more steps than were taken, before the first table is gone.
func enough(ctx context.Context, url string, steps int, owners []services.Name) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	states, err := Status(ctx, conn, owners...)
	if err != nil {
		return err
	}
	for _, s := range states {
		if int(s.Version) < steps {
			return services.Errorf(services.Conflict, "%s is at version %d: there are no %d steps to take back", s.Service, s.Version, steps)
		}
	}
	return nil
}

// each runs f over the services' migrations on one connection. golang-migrate
// takes its lock for the time of f, so several processes may start at once.
func each(ctx context.Context, url string, owners []services.Name, f func(*migrate.Migrate) error) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return errors.New("the database's URL cannot be read")
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	db.SetMaxIdleConns(1)
	var version string
	if err := db.QueryRowContext(ctx, "SELECT version()").Scan(&version); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	for _, owner := range owners {
		if err := one(ctx, cfg, dialect.Cockroach(version), owner, f); err != nil {
			return fmt.Errorf("migrations of %s: %w", owner, err)
		}
	}
	return nil
}

func one(ctx context.Context, cfg *pgx.ConnConfig, cockroach bool, owner services.Name, f func(*migrate.Migrate) error) error {
	source, err := iofs.New(FS, string(owner))
	if err != nil {
		return err
	}
	cfg = cfg.Copy()
	if cockroach {
		// Its driver can't qualify the version table's name; this connection
		// serves nothing else.
		cfg.RuntimeParams["search_path"] = Schema(owner)
	}
	db := stdlib.OpenDB(*cfg) // golang-migrate closes it
	if err := createSchema(ctx, db, Schema(owner)); err != nil {
		return errors.Join(err, db.Close())
	}
	driver, err := driverFor(db, cockroach, Schema(owner))
	if err != nil {
		return errors.Join(err, db.Close())
	}
	m, err := migrate.NewWithInstance(string(owner), source, "database", driver)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	defer m.Close()
	stop := context.AfterFunc(ctx, func() { m.GracefulStop <- true })
	defer stop()
	err = f(m)
	if errors.Is(err, migrate.ErrNoChange) {
		return nil
	}
	return err
}

func driverFor(db *sql.DB, cockroach bool, schema string) (database.Driver, error) {
	if cockroach {
		return cockroachdb.WithInstance(db, &cockroachdb.Config{})
	}
	return pgxmigrate.WithInstance(db, &pgxmigrate.Config{
		SchemaName:            schema,
		MigrationsTable:       `"` + schema + `"."schema_migrations"`,
		MigrationsTableQuoted: true,
	})
}

// createSchema makes the schema; two processes that do so at once may collide
// in the catalog even with IF NOT EXISTS, and then it is there.
func createSchema(ctx context.Context, db *sql.DB, schema string) error {
	var there bool
	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM information_schema.schemata WHERE schema_name = $1)", schema).Scan(&there)
	if err != nil || there {
		return err
	}
	_, err = db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize())
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "23505" || pg.Code == "42P06") {
		return nil
	}
	return err
}

// State is where one service's tables stand.
type State struct {
	Service services.Name `json:"service"`
	Version uint          `json:"version"`
	Latest  uint          `json:"latest"`
	Dirty   bool          `json:"dirty"`
}

// Ready reports whether the tables are as new as this binary. Newer ones are
// fine: the other side of a rolling upgrade made them.
func (s State) Ready() bool { return !s.Dirty && s.Version >= s.Latest }

// Rows is the part of a pool that Status reads with.
type Rows interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Status reads the state of the given services' tables.
func Status(ctx context.Context, q Rows, owners ...services.Name) ([]State, error) {
	states := make([]State, 0, len(owners))
	for _, owner := range owners {
		state := State{Service: owner, Latest: Latest(owner)}
		err := q.QueryRow(ctx, "SELECT version, dirty FROM "+pgx.Identifier{Schema(owner), "schema_migrations"}.Sanitize()+" LIMIT 1").
			Scan(&state.Version, &state.Dirty)
		var pg *pgconn.PgError
		switch {
		case err == nil, errors.Is(err, pgx.ErrNoRows):
		case errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000"):
		default:
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}

// Behind names the services whose tables are older than this binary; "" when
// there are none.
func Behind(states []State) string {
	var behind []string
	for _, s := range states {
		if !s.Ready() {
			behind = append(behind, fmt.Sprintf("%s is at %d of %d", s.Service, s.Version, s.Latest))
		}
	}
	return strings.Join(behind, ", ")
}
