package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Querier is a pool or a transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Exec runs a statement and counts the rows it touched.
func Exec(ctx context.Context, q Querier, sql string, args ...any) (int64, error) {
	var n int64
	err := again(ctx, q, func() error {
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
	err := again(ctx, q, func() error {
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
	err := again(ctx, q, func() error {
		rows, err := q.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		values, err = pgx.CollectRows(rows, to)
		return err
	})
	return values, classify(err)
}

// InTx runs f in a transaction, again from its start when the database asks
// for that (SQLSTATE 40001, 40P01): f must have no other effects.
func InTx(ctx context.Context, pool *pgxpool.Pool, f func(tx pgx.Tx) error) error {
	err := again(ctx, pool, func() error { return pgx.BeginFunc(ctx, pool, f) })
	return classify(err)
}

// patience bounds how long a serialization failure is tried again. It is a time
// and no number of attempts: of those who want the same row one gets on at each
// round, so how many rounds the last of them needs is how many they were.
const patience = 10 * time.Second

// again repeats f while the database says that trying again may help. Inside a
// transaction only the whole of it can be repeated, by InTx.
func again(ctx context.Context, q Querier, f func() error) error {
	_, inTx := q.(pgx.Tx)
	began := time.Now()
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || inTx || !retryable(err) || time.Since(began) > patience {
			return err
		}
		pause := time.Millisecond << min(attempt, 8)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(pause)):
		}
	}
}
