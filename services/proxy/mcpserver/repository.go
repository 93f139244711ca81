package mcpserver

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is the endpoint's SQL.
type Repository struct{ pool *pgxpool.Pool }

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository { return &Repository{pool: pool} }

// put lays a letter down; of two to one address the first counts.
func (r *Repository) put(ctx context.Context, address string, sealed []byte) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_proxy.letters (address, body) VALUES ($1, $2) ON CONFLICT (address) DO NOTHING`, address, sealed)
	return err
}

// lying gives the letters to some addresses. They stay, so that one whose taker dies is
// not lost, until they are swept.
func (r *Repository) lying(ctx context.Context, addresses []string) ([]letter, error) {
	return postgres.All[letter](ctx, r.pool, `
		SELECT address, body FROM uaol_proxy.letters WHERE address = ANY ($1::text[])`, addresses)
}

// sweep removes letters and sessions whose time is up, some at once, and counts them.
func (r *Repository) sweep(ctx context.Context, limit int) (int64, error) {
	n, err := postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.letters WHERE address IN (
			SELECT address FROM uaol_proxy.letters WHERE created_at < now() - $1 * interval '1 second' ORDER BY created_at LIMIT $2)`,
		int64(letterFor.Seconds()), limit)
	if err != nil {
		return n, err
	}
	m, err := postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.sessions WHERE session_id IN (
			SELECT session_id FROM uaol_proxy.sessions WHERE expires_at < now() ORDER BY expires_at LIMIT $1)`, limit)
	if err != nil {
		return n + m, err
	}
	s, err := postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.subscriptions WHERE (session_id, uri) IN (
			SELECT session_id, uri FROM uaol_proxy.subscriptions WHERE expires_at < now() ORDER BY expires_at LIMIT $1)`, limit)
	if err != nil {
		return n + m + s, err
	}
	p, err := postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.parked WHERE call_id IN (
			SELECT call_id FROM uaol_proxy.parked WHERE lease_until < now() - $1 * interval '1 second' ORDER BY lease_until LIMIT $2)`,
		int64(letterFor.Seconds()), limit)
	return n + m + s + p, err
}

// sessionState is what a session's client has changed of it.
type sessionState struct {
	Ended bool   `db:"ended"`
	Level string `db:"level"` // of log messages; "" for none said
}

// session gives a session's state; the zero one of a session that nobody changed.
func (r *Repository) session(ctx context.Context, id uuid.UUID) (sessionState, error) {
	state, err := postgres.One[sessionState](ctx, r.pool, `SELECT ended, level FROM uaol_proxy.sessions WHERE session_id = $1`, id)
	if services.Is(err, services.NotFound) {
		return sessionState{}, nil
	}
	return state, err
}

// change writes a session's state down. An end is for good.
func (r *Repository) change(ctx context.Context, id uuid.UUID, state sessionState, until time.Time) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_proxy.sessions (session_id, ended, level, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (session_id) DO UPDATE SET ended = uaol_proxy.sessions.ended OR excluded.ended, level = excluded.level`,
		id, state.Ended, state.Level, until)
	return err
}

// park says that a call waits for its client, and that its process is there.
func (r *Repository) park(ctx context.Context, ids []uuid.UUID, lease time.Duration) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_proxy.parked (call_id, lease_until)
		SELECT id::uuid, now() + $2 * interval '1 millisecond' FROM unnest($1::text[]) AS p (id)
		ON CONFLICT (call_id) DO UPDATE SET lease_until = excluded.lease_until`, postgres.UUIDs(ids), lease.Milliseconds())
	return err
}

// parked reports whether the process of a call that waits for its client is there.
func (r *Repository) parked(ctx context.Context, id uuid.UUID) (bool, error) {
	return postgres.Value[bool](ctx, r.pool, `
		SELECT EXISTS (SELECT 1 FROM uaol_proxy.parked WHERE call_id = $1 AND lease_until >= now())`, id)
}
