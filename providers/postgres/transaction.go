package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/services"
)

// InTx runs f in a transaction: once, whatever becomes of connections. It runs f
// again from its start when the database asks for that (SQLSTATE 40001, 40P01) and
// when the connection ended before anything was committed, so f must have no other
// effects. With COMMIT goes a row that names the transaction; when the answer to
// that is lost, the row tells what became of it. Kind Unavailable with the code
// OUTCOME_UNKNOWN when the database stays away for too long to ask.
func InTx(ctx context.Context, pool *pgxpool.Pool, f func(tx pgx.Tx) error) error {
	return classify(again(ctx, pool, "", func() error { return attempt(ctx, pool, f) }))
}

// commit names a transaction and ends it, in one round trip.
const commit = "INSERT INTO uaol_database.commits (commit_id) VALUES ($1); COMMIT"

func attempt(ctx context.Context, pool *pgxpool.Pool, f func(tx pgx.Tx) error) (err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	released := false
	release := func() {
		if !released {
			released = true
			conn.Release() // which closes it if it is still in a transaction
		}
	}
	defer release()
	tx, err := conn.BeginTx(ctx, options(conn.Conn()))
	if err != nil {
		return lost(ctx, conn.Conn(), err)
	}
	defer func() {
		if p := recover(); p != nil {
			_ = tx.Rollback(ctx)
			panic(p)
		}
	}()
	if err := f(tx); err != nil {
		err = lost(ctx, conn.Conn(), err) // before Rollback, which may lose it too
		_ = tx.Rollback(ctx)
		return err
	}
	id := uuid.Must(uuid.NewV7())
	tag, err := conn.Exec(ctx, commit, pgx.QueryExecModeSimpleProtocol, id)
	if err == nil && tag.String() == "COMMIT" {
		return nil
	}
	if err == nil {
		return pgx.ErrTxCommitRollback // f has hidden an error
	}
	if !conn.Conn().IsClosed() && !ambiguous(err) {
		_ = tx.Rollback(ctx)
		return err // the database has refused it
	}
	release()
	return settle(ctx, pool, id, err)
}

// errLost says that a connection ended and that nothing of its transaction remains.
var errLost = errors.New("the connection was lost before anything was committed")

// lost marks an error of a transaction that was not committed as one that trying
// again may mend, when it is the connection that ended, and not by the caller's wish.
func lost(ctx context.Context, conn *pgx.Conn, err error) error {
	if conn.IsClosed() && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

// ambiguous is CockroachDB's word for a COMMIT of which it does not know the end.
func ambiguous(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "40003"
}

// asked writes a transaction's row unless it is there, and gives what it says. It may be
// repeated: a row of ours stays ours.
const asked = `INSERT INTO uaol_database.commits AS c (commit_id, lost) VALUES ($1, true)
	ON CONFLICT (commit_id) DO UPDATE SET lost = c.lost RETURNING lost`

// settle finds out what became of a COMMIT whose answer was lost, whether its caller
// still waits or not. Who writes the row first has won: if that is the COMMIT, it
// is carried out, and we wait for it if need be; if it is we, it never can be.
func settle(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID, cause error) error {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for {
		var never bool
		err := pool.QueryRow(asking, asked, id).Scan(&never)
		switch {
		case err == nil && !never:
			return nil
		case err == nil && ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			return fmt.Errorf("%w: %w", errLost, cause)
		}
		select {
		case <-time.After(rand.N(100 * time.Millisecond)):
		case <-asking.Done():
			return services.Errorf(services.Unavailable, "The database cannot be reached; whether this was stored is not known").
				WithCode(services.CodeOutcomeUnknown).Because(errors.Join(cause, err))
		}
	}
}

// commitsKept is how long a transaction's row is there to be asked for: longer than
// anybody asks, and than clocks of processes differ.
const commitsKept = time.Hour

// PruneCommits drops the rows that nobody will ask for any more.
func PruneCommits(ctx context.Context, q Querier) error {
	var before uuid.UUID // of version 7: 48 bits of milliseconds, then all else
	moment := time.Now().Add(-commitsKept).UnixMilli()
	for i := range 6 {
		before[i] = byte(moment >> (40 - 8*i))
	}
	_, err := Exec(ctx, q, "DELETE FROM uaol_database.commits WHERE commit_id < $1", before)
	return err
}
