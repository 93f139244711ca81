package migrations_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/migrations"
)

// TestEveryTableIsExplained in docs/data.md: what it holds of people, how long,
// and how that goes.
func TestEveryTableIsExplained(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, migrations.Up(t.Context(), b.url))
	rows, err := b.pool.Query(t.Context(), `
		SELECT table_schema || '.' || table_name FROM information_schema.tables
		WHERE table_schema LIKE 'uaol\_%' AND table_name <> 'schema_migrations'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), 20)

	text, err := os.ReadFile("../docs/data.md")
	require.NoError(t, err)
	var explained []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(uaol_[a-z]+\\.[a-z_]+)` \\| [^|]+ \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(string(text), -1) {
		explained = append(explained, row[1])
	}
	require.ElementsMatch(t, tables, explained)
}
