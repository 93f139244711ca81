// Package atomic is a driver of golang-migrate's whose steps happen wholly or not
// at all: a file and the version that it leads to are one transaction. The
// library's own drivers write down that a version is on its way, run the file, and
// write that it is there; a process that dies in between leaves a state that a
// person has to look at. Here there is none.
//
// What PostgreSQL refuses in a transaction (CREATE INDEX CONCURRENTLY) stands in a
// file of its own that begins with Outside. Its statements are run one by one and
// may be run again: the version follows the last one.
package atomic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Outside begins a file whose statements run outside of a transaction.
const Outside = "-- outside a transaction"

// A step that changes a table waits for whoever reads it, and all others wait
// behind the step. So it waits for a moment only, lets them pass and tries again.
const (
	patience = 3 * time.Second
	attempts = 20
)

const createSchema = "CREATE SCHEMA IF NOT EXISTS "

const closing = 5 * time.Second // for giving the lock back once the run is cancelled

// Config is what a Driver works on.
type Config struct {
	Schema    string // where the tables are, and the version
	Cockroach bool   // it has no advisory locks
	Files     fs.FS  // the migrations, <version>_<name>.up.sql
	// Lease is how long the next waits for a holder that died, where the lock is a
	// row; 40 seconds when it is not set. Connections end their locks at once.
	Lease time.Duration
}

// Driver is one run's. Its lock is held by a connection, or by a row that expires.
type Driver struct {
	ctx     context.Context // golang-migrate has none: the run's
	cancel  context.CancelCauseFunc
	conn    *pgx.Conn
	cfg     Config
	held    lock
	version int // what the table says, as far as this run knows
	body    string
}

var _ database.Driver = (*Driver)(nil)

// New connects. The connection must be a direct one: a pooler in transaction mode
// gives a session's lock to somebody else.
func New(ctx context.Context, to *pgx.ConnConfig, cfg Config) (*Driver, error) {
	to = to.Copy()
	to.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is asked twice
	conn, err := pgx.ConnectConfig(ctx, to)
	if err != nil {
		return nil, err
	}
	d := &Driver{conn: conn, cfg: cfg, version: database.NilVersion}
	d.ctx, d.cancel = context.WithCancelCause(ctx)
	if cfg.Cockroach {
		// Otherwise each change of a table commits what came before it.
		// Older ones do not know the setting, and do not do that.
		_, _ = conn.Exec(ctx, "SET autocommit_before_ddl = off")
		d.held = &lease{to: to, schema: pgx.Identifier{cfg.Schema}.Sanitize(), table: d.name("schema_lease"), lost: d.cancel, lasts: cmp.Or(cfg.Lease, lasting)}
	} else {
		d.held = &session{conn: conn, schema: cfg.Schema}
	}
	return d, nil
}

// Close ends the connection, and with it what it may still hold.
func (d *Driver) Close() error {
	d.cancel(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), closing)
	defer cancel()
	return d.conn.Close(ctx)
}

// Lock waits until no other process migrates these tables. What the versions need
// is there afterwards.
func (d *Driver) Lock() error {
	if err := d.held.take(d.ctx); err != nil {
		return errors.Join(err, context.Cause(d.ctx))
	}
	if err := d.prepare(); err != nil {
		return errors.Join(err, d.Unlock())
	}
	return nil
}

// prepare makes the version's table unless it is there: whoever may not create
// anything can still find that nothing is to be done.
func (d *Driver) prepare() error {
	var there bool
	err := d.conn.QueryRow(d.ctx, `SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = $1 AND table_name = 'schema_migrations')`,
		d.cfg.Schema).Scan(&there)
	if err != nil {
		return err
	}
	if !there {
		if _, err := d.conn.Exec(d.ctx, createSchema+pgx.Identifier{d.cfg.Schema}.Sanitize()); err != nil {
			return err
		}
		_, err := d.conn.Exec(d.ctx, `CREATE TABLE IF NOT EXISTS `+d.name("schema_migrations")+` (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)`)
		return err
	}
	version, dirty, err := d.Version()
	if err == nil && dirty {
		err = d.mend(version)
	}
	return err
}

// Unlock lets the next process in.
func (d *Driver) Unlock() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), closing)
	defer cancel()
	return d.held.give(ctx)
}

// Version is the newest step that was taken; database.NilVersion when none was.
func (d *Driver) Version() (int, bool, error) {
	var dirty bool
	err := d.conn.QueryRow(d.ctx, `SELECT version, dirty FROM `+d.name("schema_migrations")+` LIMIT 1`).Scan(&d.version, &dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		d.version, err = database.NilVersion, nil
	}
	return d.version, dirty, err
}

// Run keeps the file until its version is known.
func (d *Driver) Run(file io.Reader) error {
	text, err := io.ReadAll(file)
	d.body = string(text)
	return err
}

// SetVersion is called before a file is run (dirty) and after it. The first says
// nothing that counts; with the second both happen.
func (d *Driver) SetVersion(version int, dirty bool) error {
	if dirty {
		d.body = ""
		return nil
	}
	if strings.HasPrefix(d.body, Outside) {
		return d.outside(version)
	}
	for attempt := 1; ; attempt++ {
		err := d.inside(version)
		var pg *pgconn.PgError
		switch {
		case err == nil:
			d.version = version
			return nil
		case !errors.As(err, &pg) || attempt == attempts:
		case pg.Code == "55P03", pg.Code == "40001", pg.Code == "40P01": // somebody was in the way, and nothing was done
			if pause(d.ctx, time.Second) == nil {
				continue
			}
		case strings.HasPrefix(pg.Code, "XXA"):
			// CockroachDB alone: committed, but what it does after that has failed.
			_, marked := d.conn.Exec(d.ctx, `UPDATE `+d.name("schema_migrations")+` SET dirty = true`)
			err = errors.Join(err, marked)
		}
		return d.explain(version, err)
	}
}

// inside is the file and its version in one transaction.
func (d *Driver) inside(version int) error {
	tx, err := d.conn.Begin(d.ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(d.ctx)) }() // after a commit there is nothing to roll back
	if !d.cfg.Cockroach {
		if _, err := tx.Exec(d.ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", patience.Milliseconds())); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(d.ctx, d.body); err != nil {
		return err
	}
	if err := d.move(tx, version); err != nil {
		return err
	}
	return tx.Commit(d.ctx)
}

// outside runs statement by statement, then says that it is done.
func (d *Driver) outside(version int) error {
	for _, statement := range Statements(d.body) {
		if _, err := d.conn.Exec(d.ctx, statement); err != nil {
			return d.explain(version, err)
		}
	}
	if err := d.move(d.conn, version); err != nil {
		return d.explain(version, err)
	}
	d.version = version
	return nil
}

// Statements are those of a file that runs outside of a transaction: each ends
// with a semicolon at the end of a line. The migrations' lint holds files to it.
func Statements(file string) (statements []string) {
	for s := range strings.SplitSeq(file, ";\n") {
		s = strings.TrimSpace(s)
		if s != "" && s != Outside {
			statements = append(statements, s)
		}
	}
	return statements
}

type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// move writes the version, if it is still the one that this run has seen. So the
// lock saves work, but nothing depends on it.
func (d *Driver) move(q querier, version int) error {
	table := d.name("schema_migrations")
	var done pgconn.CommandTag
	var err error
	switch {
	case d.version < 0 && version < 0:
		return nil
	case d.version < 0:
		done, err = q.Exec(d.ctx, `INSERT INTO `+table+` (version, dirty) SELECT $1, false WHERE NOT EXISTS (SELECT 1 FROM `+table+`)`, version)
	case version < 0:
		done, err = q.Exec(d.ctx, `DELETE FROM `+table+` WHERE version = $1`, d.version)
	default:
		done, err = q.Exec(d.ctx, `UPDATE `+table+` SET version = $2, dirty = false WHERE version = $1`, d.version, version)
	}
	if err == nil && done.RowsAffected() != 1 {
		return fmt.Errorf("another process has migrated %s meanwhile; run it again", d.cfg.Schema)
	}
	return err
}

// explain adds where in the file an error is.
func (d *Driver) explain(version int, err error) error {
	where := fmt.Sprintf("version %d", version)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Position > 0 {
		if text := []rune(d.body); int(pg.Position) <= len(text) {
			where += fmt.Sprintf(", line %d", 1+strings.Count(string(text[:pg.Position-1]), "\n"))
		}
	}
	return fmt.Errorf("%s: %w", where, errors.Join(err, context.Cause(d.ctx)))
}

func (d *Driver) name(table string) string { return pgx.Identifier{d.cfg.Schema, table}.Sanitize() }

// Open is not how this driver is made.
func (d *Driver) Open(string) (database.Driver, error) {
	return nil, errors.New("use atomic.New: a URL does not say whose tables are meant")
}

// Drop is refused: nobody deletes everything by way of a migration.
func (d *Driver) Drop() error { return errors.New("take the steps back instead") }

// pause waits, unless the run is over.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
