package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"uaol/migrations"
	"uaol/providers/postgres"
)

// Carry copies our tables from one database to an empty one, as they are. Whatever else
// somebody has put there is an error: it would be left behind.
func Carry(ctx context.Context, from, to string) error {
	source, err := pgx.Connect(ctx, from)
	if err != nil {
		return err
	}
	defer source.Close(context.WithoutCancel(ctx))
	strangers, err := postgres.Values[string](ctx, source, `
		SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname NOT LIKE 'uaol\_%' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
		ORDER BY 1 LIMIT 3`)
	if err != nil {
		return err
	}
	if len(strangers) > 0 {
		return fmt.Errorf("the database has tables that are not ours (%s)", strings.Join(strangers, ", "))
	}
	versions, err := schemasOf(ctx, source)
	if err == nil {
		err = known(versions)
	}
	if err != nil {
		return err
	}
	if err := migrations.To(ctx, to, byService(versions)); err != nil {
		return err
	}
	target, err := pgx.Connect(ctx, to)
	if err != nil {
		return err
	}
	defer target.Close(context.WithoutCancel(ctx))
	return pgx.BeginTxFunc(ctx, source, snapshot, func(out pgx.Tx) error {
		return pgx.BeginFunc(ctx, target, func(in pgx.Tx) error { return carryAll(ctx, out, in) })
	})
}

func carryAll(ctx context.Context, out, in pgx.Tx) error {
	if err := errors.Join(plainly(ctx, out), plainly(ctx, in)); err != nil {
		return err
	}
	tables, err := tablesOf(ctx, out)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := carryTable(ctx, out, in, t); err != nil {
			return err
		}
	}
	return nil
}

func carryTable(ctx context.Context, out, in pgx.Tx, t table) error {
	reader, writer := io.Pipe()
	type result struct {
		rows int64
		err  error
	}
	copied := make(chan result, 1)
	go func() {
		rows, err := copyOut(ctx, out, t, writer)
		writer.CloseWithError(err)
		copied <- result{rows, err}
	}()
	rows, err := copyIn(ctx, in, t, reader)
	reader.CloseWithError(err) // so that the other ends too
	from := <-copied
	switch {
	case from.err != nil && !errors.Is(from.err, io.ErrClosedPipe):
		return from.err
	case err != nil:
		return err
	case rows != from.rows:
		return fmt.Errorf("%s has %d rows and should have %d", t, rows, from.rows)
	}
	return nil
}
