package migrations_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/migrations"
	"uaol/services"
)

// TestWhatWaitedBeforeIsFound: steps that waited for somebody before it was written
// whom they ask.
func TestWhatWaitedBeforeIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, migrations.Up(t.Context(), b.url))
	const asks = 8 // the version that brought it
	require.NoError(t, migrations.Down(t.Context(), b.url, int(migrations.Latest(services.Jobs))-asks+1, services.Jobs))
	for _, sql := range []string{
		`INSERT INTO uaol_jobs.jobs (job_id, organization_id, account_id, definition, plan, cost, status, end_time) VALUES
			('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000c', '', '', 0, 'Queued', NULL),
			('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000c', '', '', 0, 'Failed', now())`,
		`INSERT INTO uaol_jobs.steps (job_id, position, item, status, attempt, seq, start_time, detail)
			SELECT j.job_id, s.position, -1, s.status, 1, 1, now(), s.detail FROM uaol_jobs.jobs j, (VALUES
				(0, 'Unknown', NULL), (1, 'Success', NULL), (2, 'Waiting', '2026-01-01T00:00:00Z'), (3, 'Retrying', '2026-01-01T00:00:00Z'),
				(4, 'Waiting', '{"expires_at":"2026-01-01T00:00:00Z","message":"Go on?"}'),
				(5, 'Waiting', '{"expires_at":"2026-01-01T00:00:00Z","call":{"parameters":{"x":"y","job_id":"z"}},"digest":"d"}'),
				(6, 'Waiting', '{"expires_at":"2026-01-01T00:00:00Z","job_id":"00000000-0000-0000-0000-000000000003"}')) AS s (position, status, detail)`,
	} {
		_, err := b.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, migrations.Up(t.Context(), b.url))
	b.ready(t)
	rows, err := b.pool.Query(t.Context(), `SELECT position || ' ' || asks FROM uaol_jobs.steps WHERE asks IS NOT NULL ORDER BY 1`)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	const whose = " 00000000-0000-0000-0000-00000000000a"
	require.Equal(t, []string{"0" + whose, "4" + whose, "5" + whose}, found)
}
