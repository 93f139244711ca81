package postgres

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Querier is a pool or a transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Exec runs a statement and counts the rows it touched.
func Exec(ctx context.Context, q Querier, sql string, args ...any) (int64, error) {
	var n int64
	err := again(ctx, q, sql, func() error {
		tag, err := q.Exec(ctx, sql, args...)
		n = tag.RowsAffected()
		return err
	})
	return n, classify(err)
}

// One gives the row as a T, by column name (tag `db`); kind NotFound when there
// is none.
func One[T any](ctx context.Context, q Querier, sql string, args ...any) (T, error) {
	return one(ctx, q, pgx.RowToStructByName[T], sql, args)
}

// Value gives the row's only column; kind NotFound when there is no row.
func Value[T any](ctx context.Context, q Querier, sql string, args ...any) (T, error) {
	return one(ctx, q, pgx.RowTo[T], sql, args)
}

// All gives the rows as Ts, by column name (tag `db`).
func All[T any](ctx context.Context, q Querier, sql string, args ...any) ([]T, error) {
	return all(ctx, q, pgx.RowToStructByName[T], sql, args)
}

// Values gives the rows' only column.
func Values[T any](ctx context.Context, q Querier, sql string, args ...any) ([]T, error) {
	return all(ctx, q, pgx.RowTo[T], sql, args)
}

func one[T any](ctx context.Context, q Querier, to pgx.RowToFunc[T], sql string, args []any) (T, error) {
	var value T
	err := again(ctx, q, sql, func() error {
		rows, err := q.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		value, err = pgx.CollectOneRow(rows, to)
		return err
	})
	return value, classify(err)
}

func all[T any](ctx context.Context, q Querier, to pgx.RowToFunc[T], sql string, args []any) ([]T, error) {
	var values []T
	err := again(ctx, q, sql, func() error {
		rows, err := q.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		values, err = pgx.CollectRows(rows, to)
		return err
	})
	return values, classify(err)
}

// Each hands rows to f one by one, as Ts by column name: for more of them than should
// be in memory. What f has seen can't be unseen: nothing is tried again after that.
func Each[T any](ctx context.Context, q Querier, f func(T) error, sql string, args ...any) error {
	var seen bool
	var own error
	err := again(ctx, q, sql, func() error {
		err := each(ctx, q, func(row T) error {
			seen = true
			own = f(row)
			return own
		}, sql, args)
		if seen && own == nil {
			own = classify(err)
		}
		if seen {
			return nil
		}
		return err
	})
	if own != nil {
		return own
	}
	return classify(err)
}

func each[T any](ctx context.Context, q Querier, f func(T) error, sql string, args []any) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := pgx.RowToStructByName[T](rows)
		if err != nil {
			return err
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// patience bounds how long something is tried again. It is a time and no number of
// attempts: of those who want the same row one gets on at each round, so how many
// rounds the last of them needs is how many they were. PostgreSQL's recovery from a crash
// under load was measured to take 8 to 13 s (make endurance), and is less than what
// clients wait for; while the database is away for longer nobody waits for it.
const patience = 20 * time.Second

// again repeats f where that is right: the statement had no effect and may have one
// now, it was never sent, or it only reads. Inside a transaction only the whole of it
// can be repeated, by InTx.
func again(ctx context.Context, q Querier, sql string, f func() error) error {
	_, inTx := q.(pgx.Tx)
	began := time.Now()
	var last error
	for attempt := 1; ; attempt++ {
		err := f()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && last != nil:
			return last // this one only says that time ran out
		case inTx, ctx.Err() != nil, time.Since(began) > patience:
			return err
		}
		last = err
		if !retryable(err) {
			if !unsent(err) && (!reads(sql) || !broken(err)) {
				return err
			}
			if connectionsOf(q).down() > patience {
				return err
			}
		}
		pause := time.Millisecond << min(attempt, 8)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(pause)):
		}
	}
}

// reads reports that a statement changes nothing, whoever else may have got its answer:
// there are no functions of our own that it could call.
func reads(sql string) bool {
	return strings.HasPrefix(strings.TrimSpace(sql), "SELECT")
}

// Text is a text as PostgreSQL takes it, whoever wrote it: UTF-8 without NUL.
func Text(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
}
