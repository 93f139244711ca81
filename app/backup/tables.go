package backup

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"uaol/migrations"
	"uaol/providers/postgres"
	"uaol/services"
)

// table is one of ours with its columns in their order.
type table struct {
	Schema  string   `db:"nspname"`
	Name    string   `db:"relname"`
	Columns []string `db:"columns"`
}

func (t table) String() string { return t.Schema + "." + t.Name }

// copying is its name with its columns, as COPY wants it.
func (t table) copying() string {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = pgx.Identifier{c}.Sanitize()
	}
	return pgx.Identifier{t.Schema, t.Name}.Sanitize() + " (" + strings.Join(columns, ", ") + ")"
}

// leftOut are tables that are about one database and not about what is kept in it.
func leftOut(t table) bool {
	return t.Name == "schema_migrations" || t.Name == "schema_lock" || t.String() == "uaol_storage.backups" || t.String() == "uaol_database.commits"
}

// tablesOf lists our tables, those that others refer to first. It asks the catalog and
// not the information schema, which shows only what its reader may read: a table that may
// not be read has to be an error. Generated columns fill themselves.
func tablesOf(ctx context.Context, q postgres.Querier) ([]table, error) {
	all, err := postgres.All[table](ctx, q, `
		SELECT n.nspname::text, c.relname::text, array_agg(a.attname::text ORDER BY a.attnum) AS columns
		FROM pg_catalog.pg_namespace n
		JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		WHERE n.nspname LIKE 'uaol\_%' GROUP BY n.nspname, c.relname ORDER BY 1, 2`)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, leftOut)
	type reference struct {
		From string `db:"origin"`
		To   string `db:"target"`
	}
	references, err := postgres.All[reference](ctx, q, `
		SELECT DISTINCT fn.nspname || '.' || f.relname AS origin, tn.nspname || '.' || t.relname AS target
		FROM pg_catalog.pg_constraint x
		JOIN pg_catalog.pg_class f ON f.oid = x.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
		JOIN pg_catalog.pg_class t ON t.oid = x.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
		WHERE x.contype = 'f' AND fn.nspname LIKE 'uaol\_%'`)
	if err != nil {
		return nil, err
	}
	var ordered []table
	done := map[string]bool{}
	for len(ordered) < len(all) {
		before := len(ordered)
		for _, t := range all {
			waits := slices.ContainsFunc(references, func(r reference) bool { return r.From == t.String() && r.To != r.From && !done[r.To] })
			if !done[t.String()] && !waits {
				done[t.String()], ordered = true, append(ordered, t)
			}
		}
		if len(ordered) == before {
			return nil, fmt.Errorf("tables refer to each other in a circle, which no order of copying serves")
		}
	}
	return ordered, nil
}

// plainly makes a transaction read and write texts in one form whatever the database's
// settings are, and lets it take its time.
func plainly(ctx context.Context, tx pgx.Tx) error {
	for name, value := range map[string]string{
		"datestyle": "ISO, MDY", "intervalstyle": "postgres", "extra_float_digits": "1", "bytea_output": "hex",
		"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
	} {
		if _, err := postgres.Value[string](ctx, tx, `SELECT set_config($1, $2, true)`, name, value); err != nil {
			return err
		}
	}
	return nil
}

// copyOut writes a table as text, which every release of PostgreSQL and CockroachDB reads.
func copyOut(ctx context.Context, tx pgx.Tx, t table, to io.Writer) (rows int64, err error) {
	tag, err := tx.Conn().PgConn().CopyTo(ctx, to, "COPY "+t.copying()+" TO STDOUT")
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t, err)
	}
	return tag.RowsAffected(), nil
}

func copyIn(ctx context.Context, tx pgx.Tx, t table, from io.Reader) (rows int64, err error) {
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, from, "COPY "+t.copying()+" FROM STDIN")
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t, err)
	}
	return tag.RowsAffected(), nil
}

func countRows(ctx context.Context, q postgres.Querier, t table) (int64, error) {
	return postgres.Value[int64](ctx, q, "SELECT count(*) FROM "+pgx.Identifier{t.Schema, t.Name}.Sanitize())
}

// filled names our tables that have rows, the first few of them.
func filled(ctx context.Context, q postgres.Querier) (names []string, err error) {
	all, err := tablesOf(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		some, err := postgres.Value[bool](ctx, q, "SELECT EXISTS (SELECT 1 FROM "+pgx.Identifier{t.Schema, t.Name}.Sanitize()+")")
		if err != nil {
			return nil, err
		}
		if some {
			names = append(names, t.String())
		}
		if len(names) == 3 {
			break
		}
	}
	return names, nil
}

// schemasOf gives the version of each of our schemas; an interrupted migration is an error.
func schemasOf(ctx context.Context, q postgres.Querier) (map[string]uint, error) {
	names, err := postgres.Values[string](ctx, q, `SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname LIKE 'uaol\_%' ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	versions := map[string]uint{}
	for _, name := range names {
		type state struct {
			Version int64 `db:"version"`
			Dirty   bool  `db:"dirty"`
		}
		s, err := postgres.One[state](ctx, q, "SELECT version, dirty FROM "+pgx.Identifier{name, "schema_migrations"}.Sanitize())
		switch {
		case services.Is(err, services.NotFound):
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case s.Dirty:
			return nil, fmt.Errorf("a migration of %s was interrupted: run `uaol migrate up` first", name)
		default:
			versions[name] = uint(s.Version)
		}
	}
	return versions, nil
}

// known refuses schemas that are newer than what this binary brings.
func known(versions map[string]uint) error {
	for name, version := range versions {
		latest := migrations.Latest(services.Name(strings.TrimPrefix(name, "uaol_")))
		if version > latest {
			return fmt.Errorf("%s is at version %d and this binary knows %d", name, version, latest)
		}
	}
	return nil
}

// snapshot is how one moment of a database is read while work goes on in it.
var snapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
