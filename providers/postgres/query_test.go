package postgres_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

type row struct {
	ID   int64  `db:"id"`
	Name string `db:"name"`
}

func setup(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool := pgtest.New(t)
	_, err := pool.Exec(t.Context(), `CREATE TABLE things (id bigint PRIMARY KEY, name text NOT NULL, data jsonb, CONSTRAINT short CHECK (length(name) < 10))`)
	require.NoError(t, err)
	return pool
}

func TestQueries(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	ctx := t.Context()
	n, err := postgres.Exec(ctx, pool, `INSERT INTO things VALUES (1, 'one'), (2, 'two')`)
	require.NoError(t, err)
	require.Equal(t, int64(2), n)
	one, err := postgres.One[row](ctx, pool, `SELECT name, id FROM things WHERE id = $1`, 2)
	require.NoError(t, err)
	require.Equal(t, row{2, "two"}, one)
	name, err := postgres.Value[string](ctx, pool, `SELECT name FROM things WHERE id = $1`, 1)
	require.NoError(t, err)
	require.Equal(t, "one", name)
	all, err := postgres.All[row](ctx, pool, `SELECT id, name FROM things ORDER BY id`)
	require.NoError(t, err)
	require.Equal(t, []row{{1, "one"}, {2, "two"}}, all)
	names, err := postgres.Values[string](ctx, pool, `SELECT name FROM things ORDER BY id`)
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two"}, names)

	_, err = postgres.One[row](ctx, pool, `SELECT id, name FROM things WHERE id = 3`)
	require.True(t, services.Is(err, services.NotFound), err)
	require.ErrorIs(t, err, pgx.ErrNoRows)
	_, err = postgres.Value[string](ctx, pool, `SELECT name FROM things WHERE id = 3`)
	require.True(t, services.Is(err, services.NotFound), err)
	all, err = postgres.All[row](ctx, pool, `SELECT id, name FROM things WHERE id = 3`)
	require.NoError(t, err, "an empty list is no error")
	require.Empty(t, all)
}

// TestKinds provokes each error in the server and looks at its kind.
func TestKinds(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	_, err := postgres.Exec(t.Context(), pool, `INSERT INTO things VALUES (1, 'one')`)
	require.NoError(t, err)
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	gone, end := context.WithCancel(t.Context())
	end()
	for name, test := range map[string]struct {
		ctx  context.Context
		sql  string
		args []any
		kind services.Kind
	}{
		"NUL in a text":    {nil, `INSERT INTO things VALUES (2, $1)`, []any{"a\x00b"}, services.Invalid},
		"broken UTF-8":     {nil, `INSERT INTO things VALUES (2, $1)`, []any{"a\xff"}, services.Invalid},
		"NUL in JSON":      {nil, `INSERT INTO things VALUES (2, 'x', $1::jsonb)`, []any{`{"a":"\u0000"}`}, services.Invalid},
		"out of range":     {nil, `SELECT 9223372036854775807 + id FROM things`, nil, services.Invalid},
		"twice":            {nil, `INSERT INTO things VALUES (1, 'again')`, nil, services.Conflict},
		"check":            {nil, `INSERT INTO things VALUES (2, 'much too long')`, nil, services.Internal},
		"not null":         {nil, `INSERT INTO things VALUES (2, NULL)`, nil, services.Internal},
		"no such table":    {nil, `SELECT * FROM nothing`, nil, services.Internal},
		"syntax":           {nil, `SELEKT 1`, nil, services.Internal},
		"serialization":    {nil, `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$`, nil, services.Unavailable},
		"too many clients": {nil, `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53300'; END $$`, nil, services.Unavailable},
		"shutting down":    {nil, `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '57P01'; END $$`, nil, services.Unavailable},
		"statement limit":  {nil, `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '57014'; END $$`, nil, services.Unavailable},
		"time is up":       {soon, `SELECT pg_sleep(30)`, nil, services.Unavailable},
		"cancelled":        {gone, `SELECT 1`, nil, services.Internal}, // as it is: the caller knows
	} {
		t.Run(name, func(t *testing.T) {
			ctx := test.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			_, err := postgres.Exec(ctx, pool, test.sql, test.args...)
			require.Equal(t, test.kind, services.KindOf(err), err)
			if test.ctx == gone {
				require.ErrorIs(t, err, context.Canceled)
			}
			var e *services.Error
			if errors.As(err, &e) {
				require.NotContains(t, e.Message, "things", "the driver's text is for the log")
				require.NotNil(t, errors.Unwrap(e), "which has it")
			}
		})
	}
}

func TestViolates(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	_, err := postgres.Exec(t.Context(), pool, `INSERT INTO things VALUES (1, 'much too long')`)
	require.True(t, postgres.Violates(err, "short"))
	require.False(t, postgres.Violates(err, "things_pkey"))
	_, err = postgres.Exec(t.Context(), pool, `INSERT INTO things VALUES (1, 'a'), (1, 'b')`)
	require.True(t, postgres.Violates(err, "things_pkey"), "also through the kind that it has by then")
	require.False(t, postgres.Violates(nil, "things_pkey"))
}

func TestDown(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres://u:hunter2@127.0.0.1:1/db?connect_timeout=1")
	require.NoError(t, err)
	defer pool.Close()
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = postgres.Value[int](soon, pool, `SELECT 1`)
	require.True(t, services.Is(err, services.Unavailable), err)
	require.NotContains(t, err.Error(), "hunter2")
	require.Equal(t, "connect: connection refused", postgres.Cause(err))
	err = postgres.InTx(soon, pool, func(pgx.Tx) error { t.Error("no transaction"); return nil })
	require.True(t, services.Is(err, services.Unavailable), err)
}

// TestInTxRepeats forces a serialization failure: two transactions read what
// the other writes, and each waits for the other to have read.
func TestInTxRepeats(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	_, err := pool.Exec(t.Context(), `INSERT INTO things VALUES (1, '0'), (2, '0')`)
	require.NoError(t, err)
	var read sync.WaitGroup
	read.Add(2)
	var attempts atomic.Int64
	write := func(from, to int) error {
		first := true
		return postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			attempts.Add(1)
			if _, err := tx.Exec(t.Context(), `SET TRANSACTION ISOLATION LEVEL SERIALIZABLE`); err != nil {
				return err
			}
			other, err := postgres.Value[string](t.Context(), tx, `SELECT name FROM things WHERE id = $1`, from)
			if err != nil {
				return err
			}
			if first {
				first = false
				read.Done()
				read.Wait()
			}
			_, err = postgres.Exec(t.Context(), tx, `UPDATE things SET name = $2 || '+' WHERE id = $1`, to, other)
			return err
		})
	}
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() {
			if err := write(1+i, 2-i); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.GreaterOrEqual(t, attempts.Load(), int64(3), "one of them was repeated")
	names, err := postgres.Values[string](t.Context(), pool, `SELECT name FROM things ORDER BY name`)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"0+", "0++"}, names, "as though one had come after the other")
}

// TestInTxGivesUp: what never succeeds is Unavailable after twenty seconds, and a statement alone is
// repeated likewise; what is not about order is tried once.
func TestInTxGivesUp(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	tries := 0
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		tries++
		_, err := postgres.Exec(t.Context(), tx, `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$`)
		return err
	})
	require.True(t, services.Is(err, services.Unavailable), err)
	require.Greater(t, tries, 12)
	tries = 0
	mine := services.Errorf(services.Conflict, "mine")
	err = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		tries++
		_, err := postgres.Exec(t.Context(), tx, `INSERT INTO things VALUES (9, 'rolled')`)
		require.NoError(t, err)
		return mine
	})
	require.Equal(t, mine, err)
	require.Equal(t, 1, tries)
	_, err = postgres.Value[string](t.Context(), pool, `SELECT name FROM things WHERE id = 9`)
	require.True(t, services.Is(err, services.NotFound), "it was rolled back")

	// While it waits to try again, its caller may go away.
	ctx, cancel := context.WithCancel(t.Context())
	tries = 0
	_ = postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		if tries++; tries == 3 {
			cancel()
		}
		_, err := postgres.Exec(t.Context(), tx, `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$`)
		return err
	})
	require.Equal(t, 3, tries)
}

// TestStatementsRepeat: a counter that many raise loses nothing, serializable or not.
func TestStatementsRepeat(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	_, err := pool.Exec(t.Context(), `INSERT INTO things VALUES (1, '0')`)
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := postgres.Exec(t.Context(), pool, `UPDATE things SET name = (name::int + 1)::text WHERE id = 1`); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	name, err := postgres.Value[string](t.Context(), pool, `SELECT name FROM things`)
	require.NoError(t, err)
	require.Equal(t, "20", name)
}
