package migrations_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/migrations"
	"uaol/providers/config"
	"uaol/providers/postgres"
)

// TestAddress: over which connection tables are changed, or why over none.
func TestAddress(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("from/the file\n"), 0o600))
	const (
		direct = "postgres://u:p@127.0.0.1/db"
		pooler = "postgres://postgres.abc:p@x.pooler.supabase.com:6543/postgres"
	)
	for name, c := range map[string]struct {
		set         map[string]string
		want, fault string
	}{
		"the database's":         {map[string]string{"DATABASE_URL": direct}, direct, ""},
		"the file's password":    {map[string]string{"DATABASE_URL": direct, "UAOL_DATABASE_PASSWORD_FILE": file}, "postgres://u:from%2Fthe%20file@127.0.0.1/db", ""},
		"one of its own":         {map[string]string{"DATABASE_URL": pooler, "UAOL_MIGRATE_DATABASE_URL": direct}, direct, ""},
		"its own password stays": {map[string]string{"DATABASE_URL": pooler, "UAOL_MIGRATE_DATABASE_URL": direct, "UAOL_DATABASE_PASSWORD_FILE": file}, direct, ""},
		"without one":            {map[string]string{"DATABASE_URL": pooler, "UAOL_MIGRATE_DATABASE_URL": "postgres://u@127.0.0.1/db", "UAOL_DATABASE_PASSWORD_FILE": file}, "postgres://u:from%2Fthe%20file@127.0.0.1/db", ""},
		"CockroachDB's scheme":   {map[string]string{"DATABASE_URL": direct, "UAOL_MIGRATE_DATABASE_URL": "cockroachdb://u:p@127.0.0.1/db"}, "postgresql://u:p@127.0.0.1/db", ""},
		"embedded":               {nil, "", ""},
		"a pooler":               {map[string]string{"DATABASE_URL": pooler}, "", "UAOL_MIGRATE_DATABASE_URL is not set; want a direct connection"},
		"another pooler":         {map[string]string{"DATABASE_URL": pooler, "UAOL_MIGRATE_DATABASE_URL": pooler}, "", "want a direct connection"},
		"no URL":                 {map[string]string{"DATABASE_URL": direct, "UAOL_MIGRATE_DATABASE_URL": "banana"}, "", "UAOL_MIGRATE_DATABASE_URL holds"},
		"plaintext": {map[string]string{"DATABASE_URL": direct, "UAOL_MIGRATE_DATABASE_URL": "postgres://u:hunter2@db.example.com/db", "UAOL_ENV": "production"}, "",
			`UAOL_MIGRATE_DATABASE_URL holds "postgres://u:***@db.example.com/db"; want sslmode=verify-full`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := config.Of(c.set)
			database, err := config.Parse[postgres.Config](env)
			require.NoError(t, err)
			cfg, err := config.Parse[migrations.Config](env)
			var url string
			if err == nil {
				url, err = cfg.Address(database)
			}
			if c.fault != "" {
				require.ErrorContains(t, err, c.fault)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, url)
		})
	}
}
