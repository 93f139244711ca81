package pgtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/migrations"
	"uaol/providers/postgres"
	"uaol/services"
)

// TestCollector: what the product asks is noted once, with who asked; what a test asks is not.
func TestCollector(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "statements")
	file, err := os.Create(name)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	cfg, err := pgxpool.ParseConfig(URL(t))
	require.NoError(t, err)
	postgres.Equip(cfg, &collector{file: file, seen: map[Statement]bool{}})
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer pool.Close()
	for range 2 {
		_, err = pool.Exec(t.Context(), "SELECT 'a test'")
		require.NoError(t, err)
		_, err = postgres.Exec(t.Context(), pool, "SELECT 'a test, by way of the product'")
		require.NoError(t, err)
		_, err = migrations.Status(t.Context(), pool, services.Auth)
		require.NoError(t, err)
	}
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NotContains(t, string(text), "a test")
	var ours []Statement
	for line := range strings.Lines(string(text)) {
		var s Statement
		require.NoError(t, json.Unmarshal([]byte(line), &s))
		if s.From == "migrations.Status" {
			ours = append(ours, s)
		}
	}
	require.Equal(t, []Statement{{SQL: `SELECT version, dirty FROM "uaol_auth"."schema_migrations" LIMIT 1`, From: "migrations.Status"}}, ours)
}
