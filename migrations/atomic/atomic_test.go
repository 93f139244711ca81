package atomic_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/migrations/atomic"
	"uaol/providers/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	first = `CREATE TABLE uaol_x.things (id int PRIMARY KEY, name text);
INSERT INTO uaol_x.things SELECT n, n::text FROM generate_series(1, 1000) n;`
	index = atomic.Outside + `
DROP INDEX CONCURRENTLY IF EXISTS uaol_x.things_name;
CREATE UNIQUE INDEX CONCURRENTLY things_name ON uaol_x.things (name);
`
)

// bench is a database, and files that are to be applied to it.
type bench struct {
	pool  *pgxpool.Pool
	to    *pgx.ConnConfig
	files fstest.MapFS
	cfg   atomic.Config
}

func setup(t *testing.T, texts ...string) *bench {
	t.Helper()
	url := strings.NewReplacer("port=6432", "port=5432", "&default_query_exec_mode=exec", "").Replace(pgtest.URL(t))
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	to, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	b := &bench{pool: pool, to: to, files: fstest.MapFS{}}
	for i, text := range texts {
		b.files["000"+string(rune('1'+i))+"_x.up.sql"] = &fstest.MapFile{Data: []byte(text)}
		b.files["000"+string(rune('1'+i))+"_x.down.sql"] = &fstest.MapFile{Data: []byte("SELECT 1")}
	}
	b.cfg = atomic.Config{Schema: "uaol_x", Files: b.files}
	return b
}

func (b *bench) driver(t *testing.T) *atomic.Driver {
	t.Helper()
	driver, err := atomic.New(t.Context(), b.to, b.cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = driver.Close() })
	return driver
}

func (b *bench) up(ctx context.Context) error {
	source, err := iofs.New(b.files, ".")
	if err != nil {
		return err
	}
	driver, err := atomic.New(ctx, b.to, b.cfg)
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("files", source, "database", driver)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Up()
}

func (b *bench) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func (b *bench) state(t *testing.T) (version int, dirty bool) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT version, dirty FROM uaol_x.schema_migrations`).Scan(&version, &dirty))
	return version, dirty
}

func (b *bench) count(t *testing.T, sql string) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

const valid = `SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('uaol_x.things_name') AND indisvalid`

// both is what must hold with either lock; the row's is CockroachDB's and is shown
// on PostgreSQL.
func both(t *testing.T, test func(t *testing.T, row bool)) {
	t.Helper()
	for name, row := range map[string]bool{"session": false, "row": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, row)
		})
	}
}

func TestFailedFileLeavesNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, row bool) {
		b := setup(t, first, "CREATE TABLE uaol_x.more (id int);\n\nINSERT INTO uaol_x.nowhere VALUES (1);")
		b.cfg.Cockroach = row
		err := b.up(t.Context())
		require.ErrorContains(t, err, "version 2, line 3: ")
		require.ErrorContains(t, err, "nowhere")
		version, dirty := b.state(t)
		require.Equal(t, 1, version)
		require.False(t, dirty)
		require.Zero(t, b.count(t, `SELECT count(*) FROM pg_class WHERE relname = 'more'`))
		b.files["0002_x.up.sql"].Data = []byte("CREATE TABLE uaol_x.more (id int)")
		require.NoError(t, b.up(t.Context()), "nothing has to be mended before")
	})
}

// TestIndexOutside: an index that a dead process left half built is made anew.
func TestIndexOutside(t *testing.T) {
	t.Parallel()
	b := setup(t, first, index)
	b.exec(t, `CREATE SCHEMA uaol_x; CREATE TABLE uaol_x.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
		INSERT INTO uaol_x.schema_migrations VALUES (1, false);`+first+`INSERT INTO uaol_x.things VALUES (0, '1')`)
	err := b.up(t.Context())
	require.ErrorContains(t, err, "version 2: ", "the names are not unique")
	require.Zero(t, b.count(t, valid))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('uaol_x.things_name')`), "it is there, and not valid")
	version, dirty := b.state(t)
	require.Equal(t, 1, version)
	require.False(t, dirty)
	b.exec(t, `DELETE FROM uaol_x.things WHERE id = 0`)
	require.NoError(t, b.up(t.Context()))
	require.Equal(t, 1, b.count(t, valid))
	version, _ = b.state(t)
	require.Equal(t, 2, version)
}

// TestWaitersHinderNoIndex: the wait for the lock is no snapshot that an index
// outside of a transaction would have to wait for.
func TestWaitersHinderNoIndex(t *testing.T) {
	t.Parallel()
	b := setup(t, first, index)
	holder := b.driver(t)
	require.NoError(t, holder.Lock())
	b.exec(t, first)
	waited := make(chan error, 1)
	go func() { waited <- b.up(t.Context()) }()
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()`) == 1
	}, 10*time.Second, 10*time.Millisecond)
	_, _, err := holder.Version()
	require.NoError(t, err)
	require.NoError(t, holder.SetVersion(1, false))
	require.NoError(t, holder.Run(strings.NewReader(index)))
	require.NoError(t, holder.SetVersion(2, false))
	require.NoError(t, holder.Unlock())
	require.ErrorIs(t, <-waited, migrate.ErrNoChange)
	require.Equal(t, 1, b.count(t, valid))
}

// TestOneAtATime: who waits goes on as soon as the holder is done, or dead.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, row bool) {
		for name, end := range map[string]func(*atomic.Driver) error{
			"gives it back": (*atomic.Driver).Unlock,
			"dies":          (*atomic.Driver).Close,
		} {
			t.Run(name, func(t *testing.T) {
				b := setup(t, first)
				b.cfg.Cockroach, b.cfg.Lease = row, 2*time.Second
				holder := b.driver(t)
				require.NoError(t, holder.Lock())
				short, cancel := context.WithTimeout(t.Context(), 3*time.Second) // longer than a lease that is not renewed
				defer cancel()
				require.ErrorIs(t, b.up(short), context.DeadlineExceeded, "as long as it lives")
				require.NoError(t, end(holder))
				require.NoError(t, b.up(t.Context()))
			})
		}
	})
}

// TestManyAtOnce begin on a database that has nothing of ours.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, row bool) {
		b := setup(t, first, "CREATE TABLE uaol_x.more (id int)")
		b.cfg.Cockroach = row
		done := make(chan error)
		for range 8 {
			go func() { done <- b.up(t.Context()) }()
		}
		for range 8 {
			if err := <-done; !errors.Is(err, migrate.ErrNoChange) {
				require.NoError(t, err)
			}
		}
		version, dirty := b.state(t)
		require.Equal(t, 2, version)
		require.False(t, dirty)
	})
}

// TestLostLease: somebody else has taken it, so this one stops.
func TestLostLease(t *testing.T) {
	t.Parallel()
	b := setup(t, first)
	b.cfg.Cockroach, b.cfg.Lease = true, time.Second
	d := b.driver(t)
	require.NoError(t, d.Lock())
	b.exec(t, `UPDATE uaol_x.schema_lease SET holder = 'somebody else'`)
	require.NoError(t, d.Run(strings.NewReader("SELECT pg_sleep(30)")))
	require.ErrorContains(t, d.SetVersion(1, false), "the lock of the migrations was lost")
	require.NoError(t, d.Unlock())
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_x.schema_lease WHERE holder = 'somebody else'`))
}

// TestVersionMovesFromWhatWasSeen: even if the lock should fail, no file is
// applied twice.
func TestVersionMovesFromWhatWasSeen(t *testing.T) {
	t.Parallel()
	for _, seen := range []int{-1, 1} {
		b := setup(t, first)
		b.exec(t, `CREATE SCHEMA uaol_x; CREATE TABLE uaol_x.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)`)
		if seen > 0 {
			b.exec(t, `INSERT INTO uaol_x.schema_migrations VALUES (1, false)`)
		}
		d := b.driver(t)
		version, _, err := d.Version()
		require.NoError(t, err)
		require.Equal(t, seen, version)
		b.exec(t, `DELETE FROM uaol_x.schema_migrations; INSERT INTO uaol_x.schema_migrations VALUES (2, false)`)
		require.NoError(t, d.Run(strings.NewReader("CREATE TABLE uaol_x.twice (id int)")))
		require.ErrorContains(t, d.SetVersion(seen+2, false), "another process has migrated uaol_x meanwhile")
		version, _ = b.state(t)
		require.Equal(t, 2, version)
		require.Zero(t, b.count(t, `SELECT count(*) FROM pg_class WHERE relname = 'twice'`))
	}
}

// TestReadersAreLetPass: a step that waits for a long reader does not hold up the
// readers behind it for longer than its patience, and is taken in the end.
func TestReadersAreLetPass(t *testing.T) {
	t.Parallel()
	b := setup(t, first, "ALTER TABLE uaol_x.things ADD COLUMN more int")
	d := b.driver(t)
	require.NoError(t, d.Lock())
	require.NoError(t, d.Run(strings.NewReader(first)))
	require.NoError(t, d.SetVersion(1, false))
	require.NoError(t, d.Unlock())
	reader, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `SELECT FROM uaol_x.things`)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- b.up(t.Context()) }()
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 1
	}, 10*time.Second, 10*time.Millisecond)
	behind, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = b.pool.Exec(behind, `SELECT FROM uaol_x.things`)
	require.NoError(t, err, "it stands behind the step, for a moment")
	require.NoError(t, reader.Commit(t.Context()))
	require.NoError(t, <-done)
}

// TestCommittedAndFailed: CockroachDB may commit and then fail, which it says with
// SQLSTATE XXA00. Then a person has to look.
func TestCommittedAndFailed(t *testing.T) {
	t.Parallel()
	b := setup(t, first)
	require.NoError(t, b.up(t.Context()))
	b.exec(t, `CREATE FUNCTION uaol_x.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'aborted' USING ERRCODE = 'XXA00'; END $$;
		CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON uaol_x.things DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION uaol_x.fail()`)
	b.files["0002_x.up.sql"] = &fstest.MapFile{Data: []byte("UPDATE uaol_x.things SET name = '' WHERE id = 1")}
	b.cfg.Cockroach = true
	require.Error(t, b.up(t.Context()))
	_, dirty := b.state(t)
	require.True(t, dirty)
	require.ErrorContains(t, b.up(t.Context()), "see how its tables are")
}

func TestRunThatIsCancelled(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, row bool) {
		b := setup(t, first, "CREATE TABLE uaol_x.more (id int); SELECT pg_sleep(60)")
		b.cfg.Cockroach = row
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		enough := errors.New("enough")
		done := make(chan error, 1)
		go func() { done <- b.up(ctx) }()
		require.Eventually(t, func() bool {
			return b.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`) == 1
		}, 10*time.Second, 10*time.Millisecond)
		cancel(enough)
		require.ErrorIs(t, <-done, enough)
		version, dirty := b.state(t)
		require.Equal(t, 1, version)
		require.False(t, dirty)
	})
}
