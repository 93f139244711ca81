package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"uaol/migrations"
	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/storage"
)

// Restore makes a deployment of a backup: in a database without any row of ours, with
// stores and secrets as o.Env has them. All rows come in one transaction that ends when
// the file has proved whole, so one that is cut short leaves empty tables, and files'
// contents that the next attempt writes anew.
func Restore(ctx context.Context, from *Reader, o Options) (Manifest, error) {
	if err := from.fits(); err != nil {
		return Manifest{}, err
	}
	conn, err := pgx.Connect(ctx, o.URL)
	if err != nil {
		return Manifest{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := empty(ctx, conn); err != nil {
		return Manifest{}, err
	}
	if err := settle(o.Env, from.Header); err != nil {
		return Manifest{}, err
	}
	archive, closed, err := archiveOf(ctx, o.Env)
	if err != nil {
		return Manifest{}, err
	}
	defer closed()
	if err := renew(ctx, conn, o.URL, from.Schemas); err != nil {
		return Manifest{}, err
	}
	var m Manifest
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
		m, err = o.load(ctx, tx, from, archive)
		return err
	}); err != nil {
		return Manifest{}, err
	}
	return m, migrations.Up(ctx, o.URL)
}

// fits refuses what a newer release has written.
func (r *Reader) fits() error {
	if err := known(r.Schemas); err != nil {
		return fmt.Errorf("the backup was made by uaol %s, which is newer (%w): restore it with that release or a later one", r.Version, err)
	}
	return nil
}

// empty refuses a database with anything of ours in it.
func empty(ctx context.Context, conn *pgx.Conn) error {
	names, err := filled(ctx, conn)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return services.Errorf(services.Conflict, "the database has data already (in %s): a restore needs one without; name it with DATABASE_URL or UAOL_DATA_DIR", strings.Join(names, ", "))
	}
	return nil
}

// renew makes empty tables of the versions that the backup was made of. What is there is
// empty too, and possibly of other versions or half made.
func renew(ctx context.Context, conn *pgx.Conn, url string, versions map[string]uint) error {
	names, err := postgres.Values[string](ctx, conn, `SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname LIKE 'uaol\_%' ORDER BY 1`)
	if err != nil {
		return err
	}
	there, err := schemasOf(ctx, conn)
	if err == nil && maps.Equal(there, versions) && len(names) == len(versions) {
		return nil
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "DROP SCHEMA "+pgx.Identifier{name}.Sanitize()+" CASCADE"); err != nil {
			return err
		}
	}
	return migrations.To(ctx, url, byService(versions))
}

func byService(versions map[string]uint) map[services.Name]uint {
	by := map[services.Name]uint{}
	for name, version := range versions {
		by[services.Name(strings.TrimPrefix(name, "uaol_"))] = version
	}
	return by
}

// load brings everything in, and counts it.
func (o Options) load(ctx context.Context, tx pgx.Tx, from *Reader, archive *storage.Archive) (Manifest, error) {
	if err := plainly(ctx, tx); err != nil {
		return Manifest{}, err
	}
	tables, err := tablesOf(ctx, tx)
	if err != nil {
		return Manifest{}, err
	}
	var at Progress
	m, err := from.Each(func(p Part, body io.Reader) error {
		if p.Table == "" {
			at.Table = ""
			err := archive.Put(ctx, tx, p.Content, body)
			if errors.Is(err, errBroken) {
				return nil // it was lost before
			}
			at.Contents, at.Bytes = at.Contents+1, at.Bytes+p.Size
			o.progress(at)
			return err
		}
		at.Table = p.Table
		o.progress(at)
		t, err := into(tables, p)
		if err != nil {
			return err
		}
		n, err := copyIn(ctx, tx, t, body)
		at.Rows += n
		return err
	})
	if err != nil {
		return Manifest{}, err
	}
	return m, verifyRows(ctx, tx, tables, m)
}

// into finds the table that a part is of: what a file names is looked for among what is
// there, and never put into SQL by itself.
func into(tables []table, p Part) (table, error) {
	i := slices.IndexFunc(tables, func(t table) bool { return t.String() == p.Table })
	if i < 0 {
		return table{}, fmt.Errorf("%w: there is no table %q", ErrDamaged, p.Table)
	}
	t := tables[i]
	for _, c := range p.Columns {
		if !slices.Contains(t.Columns, c) {
			return table{}, fmt.Errorf("%w: %s has no column %q", ErrDamaged, t, c)
		}
	}
	t.Columns = p.Columns
	return t, nil
}

// verifyRows holds the tables against what was copied. More rows than that are of a
// server that has begun to work on the same database.
func verifyRows(ctx context.Context, tx pgx.Tx, tables []table, m Manifest) error {
	for _, t := range tables {
		n, err := countRows(ctx, tx, t)
		if err != nil {
			return err
		}
		if n != m.Tables[t.String()].Rows {
			return fmt.Errorf("%s has %d rows and should have %d: stop whatever else uses the database, then restore again", t, n, m.Tables[t.String()].Rows)
		}
	}
	return nil
}

// Verify reads a backup to its end.
func Verify(from *Reader) (Manifest, error) {
	return from.Each(func(Part, io.Reader) error { return nil })
}
