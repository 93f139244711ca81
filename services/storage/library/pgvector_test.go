package library

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/migrations"
	"uaol/migrations/atomic"
	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
	"uaol/services/storage/retrieval"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// pglite is PostgreSQL for WebAssembly with pgvector in it: a PostgreSQL that has the
// extension, on a machine that can't install one. Versions are pinned together.
var pglite = []string{"@electric-sql/pglite@0.5.14", "@electric-sql/pglite-socket@0.2.17", "@electric-sql/pglite-pgvector@0.0.15"}

// withPgvector gives a database that has the extension and storage's tables.
func withPgvector(t *testing.T) *pgxpool.Pool {
	t.Helper()
	for _, program := range []string{"npm", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			require.Empty(t, os.Getenv("CI"), "install %s: CI runs this test", program)
			t.Skipf("%s is not installed, so no PostgreSQL with pgvector can be had", program)
		}
	}
	dir, err := os.MkdirTemp("", "v") // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	server := exec.Command("node", installed(t), "--path="+filepath.Join(dir, ".s.PGSQL.5432"), "--extensions=@electric-sql/pglite-pgvector:vector")
	server.Stderr = os.Stderr
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	cfg, err := pgxpool.ParseConfig("host=" + dir + " user=postgres dbname=postgres sslmode=disable pool_max_conns=1")
	require.NoError(t, err)
	cfg.AfterConnect = postgres.KnowUUIDs
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.Eventually(t, func() bool { return pool.Ping(t.Context()) == nil }, time.Minute, 100*time.Millisecond)
	for _, sql := range []string{`CREATE EXTENSION vector`, `CREATE SCHEMA uaol_storage`} {
		_, err = pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	ups, err := fs.Glob(migrations.FS, "storage/*.up.sql")
	require.NoError(t, err)
	for _, name := range ups {
		sql, err := fs.ReadFile(migrations.FS, name)
		require.NoError(t, err)
		statements := []string{string(sql)}
		if strings.HasPrefix(statements[0], atomic.Outside) {
			statements = atomic.Statements(statements[0])
		}
		for _, statement := range statements {
			_, err = pool.Exec(t.Context(), statement)
			require.NoError(t, err, name)
		}
	}
	return pool
}

// installed lets npm fetch the packages into the user's cache, once, and gives the
// server's program.
func installed(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	place := filepath.Join(cache, "uaol-tests", "pglite-0.5.14")
	main := filepath.Join("node_modules", "@electric-sql", "pglite-socket", "dist", "scripts", "server.js")
	if _, err := os.Stat(filepath.Join(place, main)); err == nil {
		return filepath.Join(place, main)
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(place), 0o755))
	aside, err := os.MkdirTemp(filepath.Dir(place), "installing-")
	require.NoError(t, err)
	defer os.RemoveAll(aside)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", append([]string{"install", "--prefix", aside, "--no-audit", "--no-fund", "--ignore-scripts"}, pglite...)...)
	npm.Dir = aside
	output, err := npm.CombinedOutput()
	require.NoError(t, err, string(output))
	_ = os.Rename(aside, place) // unless another test was quicker
	require.FileExists(t, filepath.Join(place, main))
	return filepath.Join(place, main)
}

// fill stores passages with vectors for an organisation, some of another model.
func fill(t testing.TB, pool *pgxpool.Pool, organization uuid.UUID, documents, passages, dimension int) (contents []uuid.UUID) {
	t.Helper()
	source := rand.New(rand.NewPCG(1, 2))
	for d := range documents {
		content := uuid.New()
		contents = append(contents, content)
		model := "one"
		if d == documents-1 {
			model = "another"
		}
		_, err := pool.Exec(t.Context(), `INSERT INTO uaol_storage.contents (content_id, organization_id, store, state, sha256, size) VALUES ($1, $2, 'directory', 'kept', $3, 1)`,
			content, organization, content.String())
		require.NoError(t, err)
		_, err = pool.Exec(t.Context(), `INSERT INTO uaol_storage.documents (content_id, organization_id, filename, status, model) VALUES ($1, $2, 'x', 'read', $3)`, content, organization, model)
		require.NoError(t, err)
		var ordinals []int32
		var lists []string
		for i := range passages {
			ordinals, lists = append(ordinals, int32(i)), append(lists, literal(random(source, dimension), "{", "}"))
		}
		_, err = pool.Exec(t.Context(), `
			INSERT INTO uaol_storage.passages (content_id, ordinal, organization_id, content, terms, above, found_by, vector)
			SELECT $1, ordinal, $2, 'x', '{}', '{}', '{}', list::real[] FROM unnest($3::integer[], $4::text[]) AS v (ordinal, list)`, content, organization, ordinals, lists)
		require.NoError(t, err)
	}
	return contents
}

func random(source *rand.Rand, dimension int) []float32 {
	v := make([]float32, dimension)
	for i := range v {
		v[i] = float32(source.NormFloat64())
	}
	return v
}

// here is the ranking that is made here, of vectors that come from the database.
func here(t testing.TB, r *Repository, s scope, model string, asked []float32) []key {
	t.Helper()
	near := retrieval.NewNearest[key](asked, depth, key.compare)
	require.NoError(t, r.each(t.Context(), s, model, near.See))
	return near.Ranking()
}

// TestPgvector: a database that has pgvector ranks as we do.
func TestPgvector(t *testing.T) {
	t.Parallel()
	pool := withPgvector(t)
	r := NewRepository(pool)
	there, err := r.hasPgvector(t.Context())
	require.NoError(t, err)
	require.True(t, there)
	organization := uuid.New()
	contents := fill(t, pool, organization, 6, 60, 48)
	fill(t, pool, uuid.New(), 2, 60, 48)
	source := rand.New(rand.NewPCG(7, 7))
	for i := range 10 {
		asked := random(source, 48)
		for name, s := range map[string]scope{"all": {organization: organization}, "some": {organization, contents[1:3]}, "none": {organization, []uuid.UUID{}}, "another's": {uuid.New(), contents}} {
			got, err := r.nearestThere(t.Context(), s, "one", asked, depth)
			require.NoError(t, err)
			require.Equal(t, here(t, r, s, "one", asked), append([]key{}, got...), "%d, %s", i, name)
			require.Len(t, got, map[string]int{"all": depth, "some": depth}[name], name)
		}
	}
	got, err := r.nearestThere(t.Context(), scope{organization: organization}, "one", random(source, 3), depth)
	require.NoError(t, err)
	require.Empty(t, got, "vectors of another length are not compared")
	found, err := NewService(r, nil, fixed{random(source, 48)}, NewBell(), zap.NewNop()).byMeaning(t.Context(), scope{organization: organization}, "x")
	require.NoError(t, err)
	require.Len(t, found, depth)
}

type fixed struct{ vector []float32 }

func (fixed) Model() string { return "one" }

func (f fixed) Embed(context.Context, []string) ([][]float32, error) {
	return [][]float32{f.vector}, nil
}

// TestVectorsTravel: what comes over the wire is what was stored, in each mode of
// execution, and what is no vector is not taken for one.
func TestVectorsTravel(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	r := NewRepository(pool)
	there, err := r.hasPgvector(t.Context())
	require.NoError(t, err)
	require.False(t, there)
	organization := uuid.New()
	fill(t, pool, organization, 3, 40, 16)
	stored := map[key][]float32{}
	rows, err := pool.Query(t.Context(), `SELECT p.content_id, p.ordinal, p.vector FROM uaol_storage.passages p JOIN uaol_storage.documents d USING (content_id) WHERE d.model = 'one'`)
	require.NoError(t, err)
	var k key
	var v []float32
	_, err = pgx.ForEachRow(rows, []any{&k.Content, &k.Ordinal, &v}, func() error { stored[k] = append([]float32{}, v...); return nil })
	require.NoError(t, err)
	seen := map[key][]float32{}
	require.NoError(t, r.each(t.Context(), scope{organization: organization}, "one", func(k key, v []float32) { seen[k] = append([]float32{}, v...) }))
	require.Len(t, seen, 80)
	require.Equal(t, stored, seen)
	for _, wire := range []string{"", "x", "{", "{}", "{1,NULL}", "{1,x}", strings.Repeat("\x00", 20), strings.Repeat("\x01", 28)} {
		_, ok := unpacked([]byte(wire), nil)
		require.False(t, ok, "%q", wire)
	}
}

// BenchmarkNearest is how long it takes to find the nearest of an organisation's
// passages where the database can't.
func BenchmarkNearest(b *testing.B) {
	for _, size := range []int{1000, 10000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			pool := pgtest.New(b)
			organization := uuid.New()
			fill(b, pool, organization, 11, size/10, 384)
			asked := random(rand.New(rand.NewPCG(7, 7)), 384)
			r := NewRepository(pool)
			for b.Loop() {
				if len(here(b, r, scope{organization: organization}, "one", asked)) != depth {
					b.Fatal("they are not found")
				}
			}
		})
	}
}
