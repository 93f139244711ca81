package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/migrations"
	"uaol/providers/config"
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
	"uaol/services/storage"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	first    = "Lp0hG6fDs3Ew9Kx5Cn1By7Rt4Zm2qJ8v"
	second   = "v8Jq2mZ4tR7yB1nC5xK9wE3sD6fG0hLp"
	password = "correct horse battery staple"
)

// site is a database, a data directory and what is set.
type site struct {
	url, dir string
	pool     *pgxpool.Pool
	set      map[string]string
}

func newSite(t testing.TB, set map[string]string) *site {
	t.Helper()
	url := strings.NewReplacer("port=6432", "port=5432", "&default_query_exec_mode=exec", "").Replace(pgtest.URL(t)) // direct: it may migrate
	pool, err := postgres.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s := &site{url: url, dir: t.TempDir(), pool: pool, set: map[string]string{}}
	for name, value := range set {
		s.set[name] = value
	}
	s.set["UAOL_DATA_DIR"] = s.dir
	return s
}

func (s *site) options() Options {
	return Options{Env: config.Of(s.set), URL: s.url, Version: "1", Passphrase: password}
}

func (s *site) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// keep stores a content with its file's row.
func (s *site) keep(t testing.TB, text string) uuid.UUID {
	t.Helper()
	id, sum := uuid.New(), sha256.Sum256([]byte(text))
	s.exec(t, `INSERT INTO uaol_storage.contents (content_id, organization_id, store, state, sha256, size) VALUES ($1, $1, 'directory', 'kept', $2, $3)`,
		id, hex.EncodeToString(sum[:]), len(text))
	archive, closed, err := archiveOf(t.Context(), s.options().Env)
	require.NoError(t, err)
	defer closed()
	require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		return archive.Put(t.Context(), tx, id, strings.NewReader(text))
	}))
	return id
}

// read gives the content of a row.
func (s *site) read(t testing.TB, id uuid.UUID) string {
	t.Helper()
	archive, closed, err := archiveOf(t.Context(), s.options().Env)
	require.NoError(t, err)
	defer closed()
	found := ""
	require.NoError(t, storage.EachKept(t.Context(), s.pool, func(k storage.Kept) error {
		if k.ID != id {
			return nil
		}
		content, err := archive.Open(t.Context(), k)
		if err != nil {
			return err
		}
		defer content.Close()
		text, err := io.ReadAll(content)
		found = string(text)
		return err
	}))
	return found
}

// picture is every row of every table of ours, in its text.
func (s *site) picture(t testing.TB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	require.NoError(t, pgx.BeginTxFunc(t.Context(), s.pool, snapshot, func(tx pgx.Tx) error {
		if err := plainly(t.Context(), tx); err != nil {
			return err
		}
		tables, err := tablesOf(t.Context(), tx)
		if err != nil {
			return err
		}
		for _, table := range tables {
			var text bytes.Buffer
			if _, err := copyOut(t.Context(), tx, table, &text); err != nil {
				return err
			}
			all[table.String()] = strings.SplitAfter(text.String(), "\n")
		}
		return nil
	}))
	return all
}

func (s *site) backup(t testing.TB, change ...func(*Options)) (name string, m Manifest) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "backup")
	o := s.options()
	for _, f := range change {
		f(&o)
	}
	m, err := Create(t.Context(), name, o)
	require.NoError(t, err)
	return name, m
}

func (s *site) restore(t testing.TB, file []byte) (Manifest, error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file), password)
	if err != nil {
		return Manifest{}, err
	}
	defer r.Close()
	return Restore(t.Context(), r, s.options())
}

func load(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return text
}

const nasty = "tab\t, line\r\nfeed, \\N \\. back\\slash, 'quote', ünïcödé 🚀, \x01"

// fill puts rows with values of all kinds into the tables.
func (s *site) fill(t testing.TB) {
	t.Helper()
	s.exec(t, `INSERT INTO uaol_storage.conversations (conversation_id, organization_id, account_id, title) SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), $1 FROM generate_series(1, 500)`, nasty)
	s.exec(t, `INSERT INTO uaol_storage.messages (conversation_id, seq, turn_id, role, content, details) SELECT conversation_id, n, gen_random_uuid(), 'user', $1, NULL FROM uaol_storage.conversations, generate_series(1, 4) n`, nasty)
	s.exec(t, `INSERT INTO uaol_storage.outbox (event_id, type, subject, organization_id, data, created_at) VALUES
		(gen_random_uuid(), '\.', '\N', gen_random_uuid(), '{"a":"\n\\"}', '2026-03-04T05:06:07.891011+14'), (gen_random_uuid(), '', '', gen_random_uuid(), 'null', '0044-03-15 BC')`)
	s.exec(t, `INSERT INTO uaol_storage.contents (content_id, organization_id, store, state, secret) VALUES (gen_random_uuid(), gen_random_uuid(), 's3', 'coming', '\x00ff5c0a09')`)
	id := s.keep(t, "a document")
	s.exec(t, `INSERT INTO uaol_storage.documents (content_id, organization_id, filename, status) VALUES ($1, $1, 'x', 'read')`, id)
	s.exec(t, `INSERT INTO uaol_storage.passages (content_id, ordinal, organization_id, content, terms, above, found_by, vector) VALUES ($1, 0, $1, '', $2, '{}', '{NULL,"NULL"}', '{0.1,-3.4028235e38,1e-45,NaN}')`, id, []string{nasty, "", "{}", `a"b,c`})
}

// TestRoundTrip: every value comes back as it was, whatever form the two databases write
// values in, and so do files' contents, under the secrets that came along.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	from := newSite(t, map[string]string{"ENCRYPTION_SECRET": first, "JWT_SECRET": second})
	to := newSite(t, nil)
	from.fill(t)
	large := strings.Repeat("0123456789abcdef", 300_000) // several frames
	contents := map[uuid.UUID]string{from.keep(t, large): large, from.keep(t, ""): ""}
	for s, style := range map[*site]string{from: "SQL, DMY", to: "German"} {
		s.exec(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = "`+style+`"', current_database()); EXECUTE format('ALTER DATABASE %I SET bytea_output = escape', current_database()); END $$`)
		s.pool.Reset()
	}
	before := from.picture(t)
	name, made := from.backup(t)
	require.EqualValues(t, 3, made.Contents)
	require.Zero(t, made.Lost)
	require.Greater(t, made.Rows(), int64(2_500))
	file := load(t, name)
	require.NotContains(t, string(file), "conversations")
	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	restored, err := to.restore(t, file)
	require.NoError(t, err)
	require.Equal(t, made, restored)
	after := to.picture(t)
	require.Equal(t, len(before), len(after))
	for table, rows := range before {
		require.ElementsMatch(t, rows, after[table], table)
	}
	for id, text := range contents {
		require.Equal(t, text, to.read(t, id))
	}
	kept, err := os.ReadFile(filepath.Join(to.dir, "secrets", "jwt"))
	require.NoError(t, err)
	require.Equal(t, second, string(kept))

	_, err = to.restore(t, file)
	require.ErrorContains(t, err, "the database has data already (in uaol_storage.contents, ")
	require.ErrorContains(t, err, "DATABASE_URL")
	require.Equal(t, after, to.picture(t), "nothing is replaced")
}

// TestOneMoment: what is written while tables are copied is in all of them or in none, and
// whoever writes does not wait. What is removed stays in the store until it is copied.
func TestOneMoment(t *testing.T) {
	t.Parallel()
	from := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	to := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	from.fill(t)
	before := from.picture(t)
	id, writes := uuid.New(), 0
	name, _ := from.backup(t, func(o *Options) {
		o.Progress = func(p Progress) {
			if p.Table == "" {
				return
			}
			writes++
			from.exec(t, `INSERT INTO uaol_jobs.outbox (event_id, type, subject, organization_id, data) VALUES (gen_random_uuid(), 'x', 'x', $1, '{}')`, id)
			from.exec(t, `INSERT INTO uaol_auth.outbox (event_id, type, subject, organization_id, data) VALUES (gen_random_uuid(), 'x', 'x', $1, '{}')`, id)
			from.exec(t, `DELETE FROM uaol_storage.messages`)
			var held bool
			require.NoError(t, from.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM uaol_storage.backups WHERE expires_at > now())`).Scan(&held))
			require.True(t, held)
		}
	})
	require.Greater(t, writes, 50)
	_, err := to.restore(t, load(t, name))
	require.NoError(t, err)
	after := to.picture(t)
	for table, rows := range before {
		require.ElementsMatch(t, rows, after[table], table)
	}
	var left int
	require.NoError(t, from.pool.QueryRow(t.Context(), `SELECT count(*) FROM uaol_storage.backups`).Scan(&left))
	require.Zero(t, left, "nothing is held back any more")
}

// TestLostContents: what no store has whole is counted and named, and all else is there.
func TestLostContents(t *testing.T) {
	t.Parallel()
	from := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	to := newSite(t, nil)
	good, gone := from.keep(t, "good"), from.keep(t, "gone")
	long := strings.Repeat("spoiled ", 100_000)
	spoiled := from.keep(t, long)
	other := from.keep(t, "one thing")
	require.NoError(t, os.Remove(filepath.Join(from.dir, "files", gone.String())))
	path := filepath.Join(from.dir, "files", spoiled.String())
	text := load(t, path)
	text[len(text)-5] ^= 1
	require.NoError(t, os.WriteFile(path, text, 0o600))
	from.exec(t, `UPDATE uaol_storage.contents SET sha256 = repeat('0', 64) WHERE content_id = $1`, other)

	name, made := from.backup(t)
	require.EqualValues(t, 1, made.Contents)
	require.EqualValues(t, 3, made.Lost)
	require.ElementsMatch(t, []uuid.UUID{gone, spoiled, other}, made.Missing)
	_, err := to.restore(t, load(t, name))
	require.NoError(t, err)
	require.Equal(t, "good", to.read(t, good))
	entries, err := os.ReadDir(filepath.Join(to.dir, "files"))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no half of a content")
}

// TestCutShort: a restore of a file that lacks its end leaves nothing, and the same
// database takes the whole one.
func TestCutShort(t *testing.T) {
	t.Parallel()
	from := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	to := newSite(t, nil)
	from.fill(t)
	from.keep(t, strings.Repeat("x", 1000))
	name, _ := from.backup(t)
	file := load(t, name)
	for _, n := range []int{len(file) - 1, len(file) - 40, len(file) / 2} {
		_, err := to.restore(t, file[:n])
		require.ErrorIs(t, err, ErrDamaged, n)
		names, err := filled(t.Context(), to.pool)
		require.NoError(t, err)
		require.Empty(t, names)
	}
	to.exec(t, `DROP TABLE uaol_jobs.schedules`) // as if migrating had been cut short
	to.exec(t, `UPDATE uaol_jobs.schema_migrations SET version = 5, dirty = true`)
	_, err := to.restore(t, file)
	require.NoError(t, err)
	states, err := migrations.Status(t.Context(), to.pool, migrations.Owners()...)
	require.NoError(t, err)
	require.Empty(t, migrations.Behind(states))
}

// TestOlderBackup: tables are made as they were, filled, and then brought up to date.
func TestOlderBackup(t *testing.T) {
	t.Parallel()
	from := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	to := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	from.fill(t)
	require.NoError(t, migrations.Down(t.Context(), from.url, 3, services.Jobs))
	_, err := Create(t.Context(), filepath.Join(t.TempDir(), "b"), from.options())
	require.ErrorContains(t, err, "the database is older than this binary (jobs is at ")

	var file bytes.Buffer
	w, err := from.options().tables(t.Context(), from.pool, &file, Header{Fingerprints: map[string]string{}}, io.Discard)
	require.NoError(t, err)
	_, err = w.close()
	require.NoError(t, err)
	_, err = to.restore(t, file.Bytes())
	require.NoError(t, err)
	states, err := migrations.Status(t.Context(), to.pool, migrations.Owners()...)
	require.NoError(t, err)
	require.Empty(t, migrations.Behind(states))
	require.Equal(t, from.picture(t)["uaol_storage.messages"], to.picture(t)["uaol_storage.messages"])
}

// TestStrangersRowsAreNoticed: a server that works on the database meanwhile makes a
// restore fail as a whole.
func TestStrangersRowsAreNoticed(t *testing.T) {
	t.Parallel()
	from := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	to := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	from.fill(t)
	name, _ := from.backup(t)
	r, err := NewReader(bytes.NewReader(load(t, name)), password)
	require.NoError(t, err)
	defer r.Close()
	o, once := to.options(), false
	o.Progress = func(Progress) {
		if !once {
			to.exec(t, `INSERT INTO uaol_auth.outbox (event_id, type, subject, organization_id, data) VALUES (gen_random_uuid(), 'x', 'x', gen_random_uuid(), '{}')`)
			once = true
		}
	}
	_, err = Restore(t.Context(), r, o)
	require.ErrorContains(t, err, "uaol_auth.outbox has 1 rows and should have 0: stop whatever else")
	names, err := filled(t.Context(), to.pool)
	require.NoError(t, err)
	require.Equal(t, []string{"uaol_auth.outbox"}, names, "the stranger's alone")
}

// TestStopped: a backup that is told to stop leaves no file and holds nothing back.
func TestStopped(t *testing.T) {
	t.Parallel()
	from := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	from.fill(t)
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	old := filepath.Join(dir, "b")
	require.NoError(t, os.WriteFile(old, []byte("older"), 0o600))
	o := from.options()
	o.Progress = func(Progress) { cancel() }
	_, err := Create(ctx, old, o)
	require.ErrorIs(t, err, context.Canceled)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "older", string(load(t, old)))
	var left int
	require.NoError(t, from.pool.QueryRow(t.Context(), `SELECT count(*) FROM uaol_storage.backups`).Scan(&left))
	require.Zero(t, left)
}

// TestEveryTableCanBeCopied: none has columns that only CockroachDB would show, which it
// gives tables without a primary key.
func TestEveryTableCanBeCopied(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	var without []string
	require.NoError(t, s.pool.QueryRow(t.Context(), `
		SELECT array_agg(n.nspname || '.' || c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname LIKE 'uaol\_%' AND c.relkind = 'r' AND NOT EXISTS (SELECT 1 FROM pg_constraint x WHERE x.conrelid = c.oid AND x.contype = 'p')`).Scan(&without))
	require.Empty(t, without)
	var sequences int
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname LIKE 'uaol\_%' AND c.relkind = 'S'`).Scan(&sequences))
	require.Zero(t, sequences, "a sequence's place would have to be carried over too")
}
