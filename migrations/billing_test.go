package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/migrations"
	"uaol/services"
)

// TestTransfersSurviveDown: before there were transfers, the books have to add
// up all the same.
func TestTransfersSurviveDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, migrations.Up(t.Context(), b.url))
	const transfers = 3 // the version that brought them
	require.NoError(t, migrations.Down(t.Context(), b.url, int(migrations.Latest(services.Billing))-transfers, services.Billing))
	const one, two = `'00000000-0000-0000-0000-000000000001'`, `'00000000-0000-0000-0000-000000000002'`
	for _, sql := range []string{
		`INSERT INTO uaol_billing.accounts (organization_id, tier, available, held) VALUES (` + one + `, 'Free', 60, 0), (` + two + `, 'Free', 40, 0)`,
		`INSERT INTO uaol_billing.entries (organization_id, operation_id, kind, available, held) VALUES (` + one + `, 'x', 'grant', 100, 0),
			(` + one + `, 'x', 'transfer', -40, 0), (` + two + `, 'x', 'transfer', 40, 0)`,
	} {
		_, err := b.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, migrations.Down(t.Context(), b.url, 1, services.Billing))
	var wrong int
	require.NoError(t, b.pool.QueryRow(t.Context(), `
		SELECT count(*) FROM uaol_billing.accounts a
		WHERE a.available <> (SELECT sum(e.available) FROM uaol_billing.entries e WHERE e.organization_id = a.organization_id)`).Scan(&wrong))
	require.Zero(t, wrong)
	require.NoError(t, migrations.Up(t.Context(), b.url))
	b.ready(t)
}
