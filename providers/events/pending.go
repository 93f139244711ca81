package events

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/providers/workers"
	"uaol/services"
)

// pending is what no broker has got yet, as the index outbox_pending has it. There
// is no position that a late commit could be missed behind: what is not marked is
// found, and before all that is younger.
const pending = "published_at IS NULL AND refused IS NULL"

// Pending gives events that no broker has got yet, oldest first.
func (o Outbox) Pending(ctx context.Context, q postgres.Querier, limit int) ([]Event, error) {
	return postgres.All[Event](ctx, q, "SELECT event_id, type, subject, organization_id, data, created_at FROM "+o.table+
		" WHERE "+pending+" ORDER BY created_at, event_id LIMIT $1", limit)
}

// Published marks events that the broker has got.
func (o Outbox) Published(ctx context.Context, q postgres.Querier, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := postgres.Exec(ctx, q, "UPDATE "+o.table+" SET published_at = now() WHERE event_id = ANY ($1::text[]::uuid[])", postgres.UUIDs(ids))
	return err
}

// Dead notes why the broker refused events for good.
func (o Outbox) Dead(ctx context.Context, q postgres.Querier, id uuid.UUID, reason string) error {
	_, err := postgres.Exec(ctx, q, "UPDATE "+o.table+" SET refused = $2 WHERE event_id = $1", id, postgres.Text(reason))
	return err
}

// Waiting counts what no broker has got yet, up to most.
func (o Outbox) Waiting(ctx context.Context, q postgres.Querier, most int) (int64, error) {
	return postgres.Value[int64](ctx, q, "SELECT count(*) FROM (SELECT 1 FROM "+o.table+" WHERE "+pending+" LIMIT $1) w", most)
}

// leases are the lease rows of a service's outbox.
type leases struct {
	table string
	q     postgres.Querier
}

// Take implements workers.Leases.
func (l leases) Take(ctx context.Context, name string, holder uuid.UUID, lifetime time.Duration) (fence int64, held bool, err error) {
	fence, err = postgres.Value[int64](ctx, l.q, "INSERT INTO "+l.table+" AS l (name, holder, fence, expires_at)"+`
		VALUES ($1, $2, 1, now() + $3 * interval '1 millisecond')
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at,
			fence = l.fence + CASE WHEN l.holder = excluded.holder THEN 0 ELSE 1 END
		WHERE l.holder = excluded.holder OR l.expires_at <= now()
		RETURNING fence`, name, holder, lifetime.Milliseconds())
	if services.Is(err, services.NotFound) {
		return 0, false, nil
	}
	return fence, err == nil, err
}

// Drop implements workers.Leases.
func (l leases) Drop(ctx context.Context, name string, holder uuid.UUID) error {
	_, err := postgres.Exec(ctx, l.q, "UPDATE "+l.table+" SET expires_at = now() WHERE name = $1 AND holder = $2", name, holder)
	return err
}

var _ workers.Leases = leases{}
