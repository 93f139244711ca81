package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

const table = `CREATE TABLE things (id bigint PRIMARY KEY, name text NOT NULL)`

// process makes the pool that a process with these variables has.
func process(t testing.TB, env *config.Environment, tracers ...pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	cfg, err := config.Parse[postgres.Config](env)
	require.NoError(t, err)
	lifecycle := fxtest.NewLifecycle(t)
	pool, err := postgres.NewPool(postgres.PoolParams{
		Config: cfg, Env: env, Log: zap.NewNop(), Lifecycle: lifecycle, Tracers: tracers,
		Dialer: (&net.Dialer{}).DialContext,
		Ping: func(ctx context.Context, pool *pgxpool.Pool) (string, error) {
			return "PostgreSQL", pool.Ping(ctx)
		},
	})
	require.NoError(t, err)
	lifecycle.RequireStart()
	t.Cleanup(lifecycle.RequireStop)
	return pool
}

func processOf(t testing.TB, url string, more ...string) *pgxpool.Pool {
	t.Helper()
	settings := map[string]string{"DATABASE_URL": url, "DATABASE_POOL_MAX": "8", "DATABASE_POOL_MIN": "0"}
	for i := 0; i < len(more); i += 2 {
		settings[more[i]] = more[i+1]
	}
	return process(t, config.Of(settings))
}

func shown(t testing.TB, q postgres.Querier, setting string) string {
	t.Helper()
	value, err := postgres.Value[string](t.Context(), q, "SELECT current_setting('"+setting+"')")
	require.NoError(t, err)
	return value
}

// TestLimits: the server itself ends what takes too long.
func TestLimits(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	pool := processOf(t, server.URL("postgres", ""), "UAOL_STATEMENT_TIMEOUT", "300ms")
	require.Equal(t, "direct", postgres.Route(pool))
	require.Equal(t, "300ms", shown(t, pool, "statement_timeout"))
	require.Equal(t, "10s", shown(t, pool, "lock_timeout"))
	require.Equal(t, "1min", shown(t, pool, "idle_in_transaction_session_timeout"))
	_, err := postgres.Exec(t.Context(), pool, `SELECT pg_sleep(60)`)
	require.True(t, services.Is(err, services.Unavailable), err)
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, "57014", pg.Code)

	pool = processOf(t, server.URL("postgres", "")+"&statement_timeout=7000&lock_timeout=50")
	require.Equal(t, "7s", shown(t, pool, "statement_timeout"), "what the URL says counts")
	server.Do(table, `INSERT INTO things VALUES (1, 'one')`)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), `UPDATE things SET name = 'x'`)
	require.NoError(t, err)
	_, err = postgres.Exec(t.Context(), pool, `UPDATE things SET name = 'y'`)
	require.True(t, services.Is(err, services.Unavailable), "a lock that is not to be had: %v", err)
	require.Equal(t, "0", shown(t, processOf(t, server.URL("postgres", ""), "UAOL_STATEMENT_TIMEOUT", "0"), "statement_timeout"))
}

// TestPoolerIsFound: nothing in the URL tells of pgbouncer in transaction mode, and yet
// statements with parameters work on any of its connections, nothing is left behind in
// them, and what takes too long is ended at the server.
func TestPoolerIsFound(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	pool := processOf(t, server.Pooler("postgres", "x", ""), "UAOL_STATEMENT_TIMEOUT", "1s")
	require.Equal(t, "transaction", postgres.Route(pool))
	throughPooler(t, server, pool)
	_, err := postgres.Exec(t.Context(), pool, `SELECT pg_sleep(60)`)
	require.True(t, services.Is(err, services.Unavailable), err)
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, "57014", pg.Code, "the server was told, and answered")
	direct := processOf(t, server.URL("postgres", ""))
	require.Eventually(t, func() bool {
		n, err := postgres.Value[int](t.Context(), direct, `SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'`)
		return err == nil && n == 0
	}, 10*time.Second, 10*time.Millisecond)
	err = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		require.Equal(t, "1s", shown(t, tx, "statement_timeout"))
		require.Equal(t, "10s", shown(t, tx, "lock_timeout"))
		require.Equal(t, "1min", shown(t, tx, "idle_in_transaction_session_timeout"))
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "0", shown(t, pool, "statement_timeout"), "nothing stays in a connection of the server's")
}

// throughPooler runs transactions and single statements with parameters on more clients
// than there are connections of the server's.
func throughPooler(t *testing.T, server *pgtest.Private, pool *pgxpool.Pool) {
	t.Helper()
	server.Do(`CREATE TABLE IF NOT EXISTS things (id bigint PRIMARY KEY, name text NOT NULL)`)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 25 {
				id := int64(worker*1000 + i)
				if _, err := postgres.Exec(t.Context(), pool, `INSERT INTO things VALUES ($1, $2)`, id, fmt.Sprint(id)); err != nil {
					t.Error(err)
				}
				err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
					name, err := postgres.Value[string](t.Context(), tx, `SELECT name FROM things WHERE id = $1`, id)
					if err == nil && name != fmt.Sprint(id) {
						err = errors.New(name)
					}
					if err == nil {
						_, err = postgres.Exec(t.Context(), tx, `DELETE FROM things WHERE id = $1`, id)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// TestSupabase: its poolers' addresses, with a user's name that has the project in it,
// led to pgbouncer: transaction mode by the port, session mode with prepared statements.
func TestSupabase(t *testing.T) {
	t.Parallel()
	for port, mode := range map[string]string{"6543": "transaction", "5432": "session"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t, nil)
			pooled, err := pgconn.ParseConfig(server.Pooler("x", "x", "pool_mode = "+mode))
			require.NoError(t, err)
			url := "postgresql://postgres.abcdefghijklmnop:secret@aws-0-eu-central-1.pooler.supabase.com:" + port + "/" + pooled.Database + "?sslmode=disable"
			cfg, err := config.Parse[postgres.Config](config.Of(map[string]string{"DATABASE_URL": url}))
			require.NoError(t, err)
			pool, err := postgres.Elsewhere(t.Context(), cfg, "unix", filepath.Join(pooled.Host, ".s.PGSQL.6432"))
			require.NoError(t, err)
			defer pool.Close()
			throughPooler(t, server, pool)
			require.Equal(t, mode, postgres.Route(pool))
		})
	}
}

// refusals tells of connections that the server refused.
type refusals struct{ seen chan error }

func (r refusals) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return ctx
}
func (r refusals) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	if data.Err != nil {
		select {
		case r.seen <- data.Err:
		default:
		}
	}
}
func (r refusals) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (r refusals) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestPasswordRotates: under load the role gets another password and every connection is
// made anew, first without and then with that password where the process looks for it.
// No request fails.
func TestPasswordRotates(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"a file of its own", ".env"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t, nil)
			server.Do(table, `INSERT INTO things VALUES (1, '0')`, `CREATE ROLE app LOGIN PASSWORD 'first'`, `GRANT ALL ON things TO app`)
			server.Rules("local all all scram-sha-256")
			dir := t.TempDir()
			var env *config.Environment
			var tell func(password string)
			if kind == ".env" {
				tell = func(password string) {
					text := "DATABASE_POOL_MAX=4\nDATABASE_URL=" + server.URL("app", password) + "\n"
					require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600))
				}
				tell("first")
				var err error
				env, err = config.ReadFrom([]string{"DATABASE_POOL_MIN=0"}, dir)
				require.NoError(t, err)
			} else {
				file := filepath.Join(dir, "password")
				tell = func(password string) { require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600)) }
				tell("first")
				env = config.Of(map[string]string{"DATABASE_URL": server.URL("app", "long-ago"), "UAOL_DATABASE_PASSWORD_FILE": file, "DATABASE_POOL_MAX": "4"})
			}
			seen := refusals{seen: make(chan error, 1)}
			pool := process(t, env, seen)
			var done atomic.Int64
			ended := make(chan struct{})
			var group sync.WaitGroup
			end := sync.OnceFunc(func() { close(ended); group.Wait() })
			defer end()
			for range 8 {
				group.Go(func() {
					for {
						select {
						case <-ended:
							return
						default:
						}
						if _, err := postgres.Exec(t.Context(), pool, `UPDATE things SET name = (name::int + 1)::text WHERE id = $1`, 1); err != nil {
							t.Error(err)
							return
						}
						done.Add(1)
					}
				})
			}
			more := func() {
				from := done.Load()
				require.Eventually(t, func() bool { return done.Load() > from+20 }, 20*time.Second, time.Millisecond)
			}
			more()
			server.Do(`ALTER ROLE app PASSWORD 'second'`)
			more() // on the connections that there are
			pool.Reset()
			require.ErrorContains(t, <-seen.seen, "password authentication failed")
			tell("second")
			more()
			end()
			value, err := postgres.Value[string](t.Context(), pool, `SELECT name FROM things`)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(done.Load()), value, "each once")
		})
	}
}

// TestWrongPasswordIsSaidAtOnce at the start.
func TestWrongPasswordIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	server.Do(`CREATE ROLE app LOGIN PASSWORD 'first'`)
	server.Rules("local all all scram-sha-256")
	env := config.Of(map[string]string{"DATABASE_URL": server.URL("app", "hunter2"), "DATABASE_POOL_MIN": "0"})
	cfg, err := config.Parse[postgres.Config](env)
	require.NoError(t, err)
	lifecycle := fxtest.NewLifecycle(t)
	_, err = postgres.NewPool(postgres.PoolParams{
		Config: cfg, Env: env, Log: zap.NewNop(), Lifecycle: lifecycle, Dialer: (&net.Dialer{}).DialContext,
		Ping: func(ctx context.Context, pool *pgxpool.Pool) (string, error) { return "", pool.Ping(ctx) },
	})
	require.NoError(t, err)
	err = lifecycle.Start(t.Context())
	require.ErrorContains(t, err, `password authentication failed for user "app"`)
	require.NotContains(t, err.Error(), "hunter2")
	require.NoError(t, lifecycle.Stop(t.Context()))
}

// TestDeadConnections: connections that were cut while they lay idle cost nothing, not
// even what may be sent only once.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	address := loopback(t, 78) // a socket in the file system would say so when it is written to
	server := pgtest.Start(t, map[string]string{"listen_addresses": address.String()})
	server.Rules("host all all 127.0.0.0/8 trust")
	there, err := pgconn.ParseConfig(server.URL("postgres", ""))
	require.NoError(t, err)
	pool := processOf(t, fmt.Sprintf("postgres://postgres@%s:5432/%s?sslmode=disable", address, there.Database))
	server.Do(table, `INSERT INTO things VALUES (1, 'one')`)
	for range 5 {
		var held []*pgxpool.Conn
		for range 4 {
			conn, err := pool.Acquire(t.Context())
			require.NoError(t, err)
			held = append(held, conn)
		}
		for _, conn := range held {
			conn.Release()
		}
		server.Do(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'uaol'`)
		n, err := postgres.Exec(t.Context(), pool, `UPDATE things SET name = 'two' WHERE id = $1`, 1)
		require.NoError(t, err)
		require.Equal(t, int64(1), n)
		require.NoError(t, postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := postgres.Exec(t.Context(), tx, `UPDATE things SET name = 'one' WHERE id = $1`, 1)
			return err
		}))
	}
}

// cut ends the connection that waits for the lock.
func cut(t *testing.T, server *pgtest.Private) {
	t.Helper()
	pool := processOf(t, server.URL("postgres", "")+"&application_name=cutter")
	require.Eventually(t, func() bool {
		n, err := postgres.Value[int](t.Context(), pool, `SELECT count(pg_terminate_backend(pid))::int FROM pg_stat_activity WHERE wait_event_type = 'Lock'`)
		return err == nil && n > 0
	}, 10*time.Second, 5*time.Millisecond)
}

// TestStatementsCutInFlight: one that only reads is repeated, one that writes is not,
// since it may have been executed.
func TestStatementsCutInFlight(t *testing.T) {
	t.Parallel()
	for sql, again := range map[string]bool{
		`SELECT count(*)::int FROM things WHERE id = $1`:                                                true,
		`WITH x AS (INSERT INTO things VALUES ($1 + 1, 'two') RETURNING 1) SELECT count(*)::int FROM x`: false,
	} {
		t.Run(sql[:6], func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t, nil)
			pool := processOf(t, server.URL("postgres", ""))
			server.Do(table)
			holder, err := pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = holder.Exec(t.Context(), `LOCK TABLE things IN ACCESS EXCLUSIVE MODE`)
			require.NoError(t, err)
			answer := make(chan error, 1)
			go func() {
				_, err := postgres.Value[int](t.Context(), pool, sql, int64(1))
				answer <- err
			}()
			cut(t, server)
			if again {
				require.NoError(t, holder.Rollback(t.Context()))
				require.NoError(t, <-answer)
				return
			}
			err = <-answer
			require.True(t, services.Is(err, services.Unavailable), err)
			var pg *pgconn.PgError
			require.ErrorAs(t, err, &pg)
			require.Equal(t, "57P01", pg.Code, "it is not tried again")
			require.NoError(t, holder.Rollback(t.Context()))
		})
	}
}

// TestRestart: PostgreSQL is restarted three times, and once it crashes, under readers,
// writers and transactions. Readers and transactions see nothing of it. Of single
// statements that write, only those in flight while the server goes may be of unknown
// outcome: perhaps one on each connection, since each ends at its own moment.
func TestRestart(t *testing.T) {
	t.Parallel()
	const writers = 4
	server := pgtest.Start(t, map[string]string{"synchronous_commit": "on"}) // as servers are, so that a crash takes nothing back
	server.Do(table)
	pool := processOf(t, server.URL("postgres", ""))
	var number, reads, written, unknown atomic.Int64
	var turn atomic.Int64 // odd while the server goes, even while it is up or gone
	ended := make(chan struct{})
	var group sync.WaitGroup
	end := sync.OnceFunc(func() { close(ended); group.Wait() })
	defer end()
	loop := func(f func()) {
		group.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					f()
				}
			}
		})
	}
	for range writers {
		loop(func() {
			if _, err := postgres.Value[int](t.Context(), pool, `SELECT count(*)::int FROM things WHERE id = $1`, int64(1)); err != nil {
				t.Error(err)
			}
			reads.Add(1)
		})
	}
	for writer := range writers {
		loop(func() {
			id := number.Add(1)
			before := turn.Load()
			var err error
			single := writer%2 == 0
			if single {
				_, err = postgres.Exec(t.Context(), pool, `INSERT INTO things VALUES ($1, 'x')`, id)
			} else {
				err = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
					_, err := postgres.Exec(t.Context(), tx, `INSERT INTO things VALUES ($1, 'x')`, id)
					return err
				})
			}
			switch {
			case err == nil:
				written.Add(1)
			case single && services.Is(err, services.Unavailable):
				unknown.Add(1)
				if before%2 == 0 && before == turn.Load() {
					t.Errorf("lost while no server went: %v", err)
				}
			default:
				t.Error(err)
			}
		})
	}
	more := func() {
		r, w := reads.Load(), written.Load()
		require.Eventually(t, func() bool { return reads.Load() > r+50 && written.Load() > w+50 }, 30*time.Second, time.Millisecond)
	}
	gone := func() { turn.Add(1) }
	for range 3 {
		more()
		turn.Add(1)
		server.Restart(gone)
	}
	more()
	turn.Add(1)
	server.Crash(gone)
	more()
	end()
	rows, err := postgres.Value[int64](t.Context(), pool, `SELECT count(*) FROM things`)
	require.NoError(t, err)
	require.GreaterOrEqual(t, rows, written.Load(), "what was acknowledged is there")
	require.LessOrEqual(t, rows, written.Load()+unknown.Load())
	t.Logf("%d reads, %d writes, %d of unknown outcome", reads.Load(), written.Load(), unknown.Load())
}

// TestAway: what comes while the database is away waits for it.
func TestAway(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	server.Do(table)
	seen := refusals{seen: make(chan error, 1)}
	pool := process(t, config.Of(map[string]string{"DATABASE_URL": server.URL("postgres", ""), "DATABASE_POOL_MIN": "0"}), seen)
	answer := make(chan error, 1)
	server.Restart(func() {
		go func() {
			_, err := postgres.Exec(t.Context(), pool, `INSERT INTO things VALUES ($1, 'x')`, int64(1))
			answer <- err
		}()
		require.Error(t, <-seen.seen)
	})
	require.NoError(t, <-answer)
}

// TestOneAfterTheOther: however many wait for a database that is away, one of them tries
// at a time, and not often; when it is back nobody waits for a turn.
func TestOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg, err := pgxpool.ParseConfig("postgres://u:hunter2@/db?host=/nowhere&pool_max_conns=50")
		require.NoError(t, err)
		var tries, atOnce, most atomic.Int64
		cfg.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			tries.Add(1)
			most.Store(max(most.Load(), atOnce.Add(1)))
			defer atOnce.Add(-1)
			time.Sleep(time.Millisecond)
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		postgres.Equip(cfg)
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		require.NoError(t, err)
		defer pool.Close()
		ask := func() {
			_, err := postgres.Value[int](t.Context(), pool, `SELECT 1`)
			require.True(t, services.Is(err, services.Unavailable), err)
		}
		var all sync.WaitGroup
		go ask()
		time.Sleep(50 * time.Millisecond)
		for range 200 {
			all.Go(ask)
		}
		all.Wait()
		require.LessOrEqual(t, tries.Load(), int64(250), "twenty seconds, ten tries in each, and a last one for some")
		require.EqualValues(t, 1, most.Load())
	})
}

// TestAwayForLong: once the database has been away for twenty seconds nobody waits for it,
// and whoever comes first after it is back notices.
func TestAwayForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg, err := pgxpool.ParseConfig("postgres://u:hunter2@/db?host=/nowhere")
		require.NoError(t, err)
		cfg.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		postgres.Equip(cfg)
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		require.NoError(t, err)
		defer pool.Close()
		for _, least := range []time.Duration{20 * time.Second, 0, 0} {
			began := time.Now()
			_, err = postgres.Value[int](t.Context(), pool, `SELECT 1`)
			require.True(t, services.Is(err, services.Unavailable), err)
			require.NotContains(t, err.Error(), "hunter2")
			took := time.Since(began)
			require.GreaterOrEqual(t, took, least)
			require.Less(t, took, least+time.Second)
		}
	})
}
