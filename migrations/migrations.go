// Package migrations holds the SQL of every service that owns tables, a folder
// and a version table each, and applies it. All of a service's tables live in
// its own schema, uaol_<service>; nothing else in the database is touched.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"uaol/migrations/atomic"
	"uaol/providers/postgres/dialect"
	"uaol/services"
)

// FS is every migration: <service>/<version>_<name>.{up,down}.sql.
//
//go:embed */*.sql
var FS embed.FS

// Database owns what belongs to no service: what package postgres needs itself.
const Database services.Name = "database"

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

// To brings services that are not there yet to the given versions, and no further.
func To(ctx context.Context, url string, versions map[services.Name]uint) error {
	for _, owner := range Owners() {
		if versions[owner] == 0 {
			continue
		}
		if err := each(ctx, url, []services.Name{owner}, func(m *migrate.Migrate) error { return m.Migrate(versions[owner]) }); err != nil {
			return err
		}
	}
	return nil
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

// each runs f over the services' migrations. One process at a time changes a
// service's tables, so several may start at once.
func each(ctx context.Context, url string, owners []services.Name, f func(*migrate.Migrate) error) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return errors.New("the database's URL cannot be read")
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	var version string
	err = conn.QueryRow(ctx, "SELECT version()").Scan(&version)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
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
	files, err := fs.Sub(FS, string(owner))
	if err != nil {
		return err
	}
	source, err := iofs.New(files, ".")
	if err != nil {
		return err
	}
	driver, err := atomic.New(ctx, cfg, atomic.Config{Schema: Schema(owner), Cockroach: cockroach, Files: files})
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance(string(owner), source, "database", driver)
	if err != nil {
		return errors.Join(err, driver.Close())
	}
	defer m.Close()
	m.LockTimeout = waiting
	err = f(m)
	if errors.Is(err, migrate.ErrNoChange) {
		return nil
	}
	return err
}

// waiting is how long one process waits for another that migrates; a large index
// takes hours. Whoever can't wait so long cancels the context.
const waiting = 24 * time.Hour

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
		var version int64 // -1 for none, after an interrupted step down of an older release
		err := q.QueryRow(ctx, "SELECT version, dirty FROM "+pgx.Identifier{Schema(owner), "schema_migrations"}.Sanitize()+" LIMIT 1").
			Scan(&version, &state.Dirty)
		state.Version = uint(max(version, 0))
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
