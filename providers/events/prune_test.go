package events_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
)

// figures are the counts, of the one service that tests publish for.
func (b *relayBundle) figures(t *testing.T) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(b.counts))
	families, err := registry.Gather()
	require.NoError(t, err)
	all := map[string]float64{}
	for _, family := range families {
		require.Len(t, family.Metric, 1)
		require.Equal(t, "registry", family.Metric[0].Label[0].GetValue())
		all[family.GetName()] = family.Metric[0].GetCounter().GetValue() + family.Metric[0].GetGauge().GetValue()
	}
	return all
}

// TestRetention: a week for what has been published, or where there is no broker; 30
// days for what a broker should have got and did not, which is counted when it goes.
func TestRetention(t *testing.T) {
	t.Parallel()
	const week, month = 7 * 24, 30 * 24 // hours
	for name, test := range map[string]struct {
		hours           int
		published, dead bool
		none, broker    bool // it is still there, without a broker and with one
	}{
		"young":                         {week - 1, true, false, true, true},
		"published":                     {week + 1, true, false, false, false},
		"waiting":                       {week + 1, false, false, false, true},
		"refused":                       {week + 1, false, true, false, true},
		"waiting for nearly a month":    {month - 1, false, false, false, true},
		"waiting for more than a month": {month + 1, false, false, false, false},
		"refused more than a month ago": {month + 1, false, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupRelay(t, func(*testing.T) body { return newMemory() })
			left := func() bool {
				kept, err := b.outbox.List(t.Context(), b.pool, events.Filter{}, 10)
				require.NoError(t, err)
				return len(kept) == 1
			}
			happen := func() {
				e := events.New("tool.updated", "s", uuid.New(), nil)
				require.NoError(t, b.outbox.Append(t.Context(), b.pool, e))
				_, err := b.pool.Exec(t.Context(), `UPDATE uaol_registry.outbox SET created_at = now() - $1 * interval '1 hour',
					published_at = CASE WHEN $2 THEN now() END, refused = CASE WHEN $3 THEN 'too large' END`, test.hours, test.published, test.dead)
				require.NoError(t, err)
			}
			happen()
			require.NoError(t, b.outbox.PrunePublished(t.Context(), b.pool, b.counts, b.log))
			require.Equal(t, test.broker, left(), "with a broker")
			want := map[string]float64{}
			if !test.broker && !test.published {
				want["uaol_events_lost_total"] = 1
			}
			require.Equal(t, want, b.figures(t))
			require.Equal(t, len(want), b.logs.FilterMessageSnippet("no broker has ever got").Len())
			if !test.broker {
				happen()
			}
			require.NoError(t, b.outbox.Prune(t.Context(), b.pool))
			require.Equal(t, test.none, left(), "without one")
		})
	}
}
