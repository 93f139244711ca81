package oauth

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is the SQL, which stands beside the use cases it serves.
type Repository struct {
	pool   *pgxpool.Pool
	outbox events.Outbox
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository {
	return &Repository{pool: pool, outbox: events.NewOutbox(services.Auth)}
}

func (r *Repository) client(ctx context.Context, id string) (Client, error) {
	return postgres.One[Client](ctx, r.pool, `
		SELECT client_id, name, redirect_uris, refreshes, method, secret_hash FROM uaol_auth.oauth_clients WHERE client_id = $1`, id)
}

func (r *Repository) addClient(ctx context.Context, in Client) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_auth.oauth_clients (client_id, name, redirect_uris, refreshes, method, secret_hash)
		VALUES ($1, $2, $3::text[], $4, $5, $6)`,
		in.ID, in.Name, in.Redirects, in.Refreshes, in.Method, in.Secret)
	return err
}

// Sweep forgets tokens whose time is over, and programs that nobody lets in: those that
// nobody ever has after a day, others after 90. It may be repeated.
func (r *Repository) Sweep(ctx context.Context) error {
	for _, overdue := range []string{
		`DELETE FROM uaol_auth.oauth_tokens WHERE expires_at <= now()`,
		`DELETE FROM uaol_auth.oauth_clients AS c
		WHERE (c.used_at IS NULL AND c.created_at < now() - interval '1 day' OR c.used_at < now() - interval '90 days')
			AND NOT EXISTS (SELECT 1 FROM uaol_auth.oauth_grants g WHERE g.client_id = c.client_id)`,
	} {
		if _, err := postgres.Exec(ctx, r.pool, overdue); err != nil {
			return err
		}
	}
	return nil
}
