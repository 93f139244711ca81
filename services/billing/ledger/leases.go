package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/providers/workers"
	"uaol/services"
)

type leases struct{ pool *pgxpool.Pool }

// Leases are billing's: for loops that run in one process of a deployment.
func Leases(pool *pgxpool.Pool) workers.Leases { return leases{pool: pool} }

// Take implements workers.Leases.
func (l leases) Take(ctx context.Context, name string, holder uuid.UUID, lifetime time.Duration) (fence int64, held bool, err error) {
	fence, err = postgres.Value[int64](ctx, l.pool, `
		INSERT INTO uaol_billing.leases AS l (name, holder, fence, expires_at) VALUES ($1, $2, 1, now() + $3 * interval '1 millisecond')
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
	_, err := postgres.Exec(ctx, l.pool, `
		UPDATE uaol_billing.leases SET expires_at = now() WHERE name = $1 AND holder = $2`, name, holder)
	return err
}
