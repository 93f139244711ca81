package unreliable_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres/pgtest"
	"uaol/providers/postgres/pgtest/unreliable"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// TestWithoutFaults everything comes through as it is, in every way to ask.
func TestWithoutFaults(t *testing.T) {
	t.Parallel()
	url, _, proxy := pgtest.Unreliable(t, unreliable.Faults{})
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		conn := connect(t, url+"&default_query_exec_mode="+mode)
		_, err := conn.Exec(t.Context(), "CREATE TEMPORARY TABLE things (id int, name text)")
		require.NoError(t, err)
		n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"things"}, []string{"id", "name"}, pgx.CopyFromRows([][]any{{1, "a"}, {2, "b"}}))
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		for range 3 {
			var name string
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT name FROM things WHERE id = $1", 2).Scan(&name))
			require.Equal(t, "b", name)
			require.Equal(t, "42P01", code(conn.QueryRow(t.Context(), "SELECT 1 FROM nothing WHERE $1", true).Scan(new(int))))
		}
		batch := &pgx.Batch{}
		for i := range 10 {
			batch.Queue("SELECT $1::int", i)
		}
		results := conn.SendBatch(t.Context(), batch)
		for i := range 10 {
			var got int
			require.NoError(t, results.QueryRow().Scan(&got))
			require.Equal(t, i, got)
		}
		require.NoError(t, results.Close())
	}
	require.Zero(t, proxy.Seen().Refused)
	require.NotZero(t, proxy.Seen().Statements)
}

// TestRefused statements and COMMITs have no effect, and the rest of their transaction
// fails as it does after a real conflict.
func TestRefused(t *testing.T) {
	t.Parallel()
	url, sound, proxy := pgtest.Unreliable(t, unreliable.Faults{Refused: 1})
	direct, conn := connect(t, sound), connect(t, url)
	_, err := direct.Exec(t.Context(), "CREATE TABLE things (id int)")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "INSERT INTO things VALUES ($1)", 1)
	require.Equal(t, "40001", code(err), err)
	_, err = conn.Exec(t.Context(), "INSERT INTO things VALUES (1)")
	require.Equal(t, "40001", code(err), err)

	_, err = conn.Exec(t.Context(), "begin")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "INSERT INTO things VALUES ($1)", 1)
	require.Equal(t, "40001", code(err), err)
	_, err = conn.Exec(t.Context(), "INSERT INTO things VALUES ($1)", 1)
	require.Equal(t, "25P02", code(err), "the transaction has failed: %v", err)
	_, err = conn.Exec(t.Context(), "rollback")
	require.NoError(t, err)

	_, err = conn.Exec(t.Context(), "begin")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "commit")
	require.Equal(t, "40001", code(err), err)
	require.EqualValues(t, 'I', conn.PgConn().TxStatus(), "it has ended")
	var n int
	require.NoError(t, direct.QueryRow(t.Context(), "SELECT count(*) FROM things").Scan(&n))
	require.Zero(t, n)
	require.EqualValues(t, 4, proxy.Seen().Refused)
}

// TestCut connections are gone for their client, and of the COMMITs some took effect
// and others did not.
func TestCut(t *testing.T) {
	t.Parallel()
	url, sound, proxy := pgtest.Unreliable(t, unreliable.Faults{Cut: 1})
	direct := connect(t, sound)
	_, err := direct.Exec(t.Context(), "CREATE TABLE things (id int)")
	require.NoError(t, err)
	const commits = 20
	for i := range commits {
		conn := connect(t, url)
		_, err := conn.Exec(t.Context(), "begin")
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "INSERT INTO things VALUES ($1)", i)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "commit")
		require.Error(t, err)
		require.Empty(t, code(err))
		require.True(t, conn.IsClosed())
	}
	require.EqualValues(t, commits, proxy.Seen().Cut)
	var n int
	require.NoError(t, direct.QueryRow(t.Context(), "SELECT count(*) FROM things").Scan(&n))
	require.Greater(t, n, 0)
	require.Less(t, n, commits)
}
