package events_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/providers/events"
	"uaol/providers/postgres/pgtest"
	"uaol/services"
)

// BenchmarkRelay publishes what waits in a database to NATS JetStream, of a hundred
// organisations in turn or of one alone.
func BenchmarkRelay(b *testing.B) {
	for name, organizations := range map[string]int{"of a hundred": 100, "of one": 1} {
		b.Run(name, func(b *testing.B) {
			pool, outbox, broker := pgtest.New(b), events.NewOutbox(services.Registry), newNATS(b)
			defer broker.Close()
			require.NoError(b, broker.Check(b.Context()))
			_, err := pool.Exec(b.Context(), `
				INSERT INTO uaol_registry.outbox (event_id, type, subject, organization_id, data)
				SELECT gen_random_uuid(), 'tool.updated', n::text, md5((n % $2)::text)::uuid, '{"version":1,"status":"Approved"}' FROM generate_series(1, $1) n`, b.N, organizations)
			require.NoError(b, err)
			relay := events.NewRelay(outbox, pool, events.Outlet{Kind: "nats", Broker: broker}, events.NewBus(), events.NewCounts(), zap.NewNop())
			b.ResetTimer()
			for n := 1; n > 0; {
				n, err = relay.Round(b.Context())
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
