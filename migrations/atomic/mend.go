package atomic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
)

// mend finds out what a dirty version means. On PostgreSQL the driver that left it
// ran a file as one implicit transaction, so the tables are as before it or as
// after it. The tables of each version are made anew in a schema of another name,
// in a transaction that is rolled back, and compared with what is there. When just
// one of the versions fits, that is where the tables stand.
func (d *Driver) mend(dirty int) error {
	by := fmt.Sprintf("a migration of %s was interrupted at version %d: see how its tables are, then set the version that they have in %s.schema_migrations, with dirty = false",
		d.cfg.Schema, dirty, d.cfg.Schema)
	if d.cfg.Cockroach {
		return errors.New(by) // a file may have been applied in part
	}
	files, err := d.ups()
	if err != nil {
		return err
	}
	versions := []int{database.NilVersion}
	for _, f := range files {
		versions = append(versions, f.version)
	}
	at := slices.Index(versions, dirty)
	if at < 0 {
		return errors.New(by) // a newer release's
	}
	// Up to this version, or down to it.
	first, last := max(at-1, 0), min(at+1, len(files))
	shapes, err := d.shapes(files, last)
	if err != nil {
		return fmt.Errorf("%s: %w", by, err)
	}
	here, err := d.shape(d.conn, d.cfg.Schema)
	if err != nil {
		return err
	}
	var fit []int
	for i := first; i <= last; i++ {
		if shapes[i] == here {
			fit = append(fit, versions[i])
		}
	}
	if len(fit) != 1 {
		return fmt.Errorf("%s (%d versions look like it)", by, len(fit))
	}
	if fit[0] < 0 { // no row is how no version is said
		_, err = d.conn.Exec(d.ctx, `DELETE FROM `+d.name("schema_migrations")+` WHERE version = $1`, dirty)
		return err
	}
	_, err = d.conn.Exec(d.ctx, `UPDATE `+d.name("schema_migrations")+` SET version = $2, dirty = false WHERE version = $1`, dirty, fit[0])
	return err
}

type up struct {
	version int
	name    string
}

func (d *Driver) ups() (files []up, err error) {
	entries, err := fs.Glob(d.cfg.Files, "*.up.sql")
	for _, name := range entries {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, up{version, name})
	}
	slices.SortFunc(files, func(a, b up) int { return a.version - b.version })
	return files, err
}

// shapes are the tables' after none, one, … of the first files.
func (d *Driver) shapes(files []up, count int) ([]string, error) {
	tx, err := d.conn.Begin(d.ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(d.ctx)) }()
	probe := d.cfg.Schema + "_probe"
	if _, err := tx.Exec(d.ctx, "CREATE SCHEMA "+pgx.Identifier{probe}.Sanitize()); err != nil {
		return nil, err
	}
	var shapes []string
	for i := range count + 1 {
		if i > 0 {
			text, err := fs.ReadFile(d.cfg.Files, files[i-1].name)
			if err != nil {
				return nil, err
			}
			// Every name in a migration has its schema (the test of all SQL).
			sql := strings.ReplaceAll(string(text), d.cfg.Schema+".", probe+".")
			if strings.HasPrefix(sql, Outside) {
				sql = strings.ReplaceAll(sql, "CONCURRENTLY", "")
			}
			if _, err := tx.Exec(d.ctx, sql); err != nil {
				return nil, fmt.Errorf("%s: %w", files[i-1].name, err)
			}
		}
		shape, err := d.shape(tx, probe)
		if err != nil {
			return nil, err
		}
		shapes = append(shapes, strings.ReplaceAll(shape, probe+".", d.cfg.Schema+"."))
	}
	return shapes, nil
}

// shape is every column, index and constraint of a schema's tables.
func (d *Driver) shape(q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, schema string) (shape string, err error) {
	err = q.QueryRow(d.ctx, `
		SELECT coalesce(string_agg(line, E'\n' ORDER BY line COLLATE "C"), '') FROM (
			SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' '
				|| coalesce(pg_get_expr(def.adbin, def.adrelid), '') AS line
			FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
			LEFT JOIN pg_attrdef def ON def.adrelid = a.attrelid AND def.adnum = a.attnum
			WHERE c.relnamespace = $1::text::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'schema_migrations'
			UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
			WHERE c.relnamespace = $1::text::regnamespace AND c.relname <> 'schema_migrations'
			UNION ALL SELECT 'constraint ' || c.relname || '.' || k.conname || ' ' || pg_get_constraintdef(k.oid)
			FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
			WHERE k.connamespace = $1::text::regnamespace AND c.relname <> 'schema_migrations'
			UNION ALL SELECT 'options ' || c.relname || ' ' || c.reloptions::text FROM pg_class c
			WHERE c.relnamespace = $1::text::regnamespace AND c.reloptions IS NOT NULL) AS lines`, schema).Scan(&shape)
	return shape, err
}
