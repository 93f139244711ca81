package teams

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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

// lock holds an organisation until the transaction ends, so that its members
// change one after the other. Rows that refer to it, such as those of somebody
// who joins, can still be added. One that does not exist is no error.
func (r *Repository) lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	_, err := postgres.Exec(ctx, tx, `SELECT 1 FROM uaol_auth.organizations WHERE organization_id = $1 FOR NO KEY UPDATE`, id)
	return err
}

// organizationColumns are those of organisation o as account $1 sees it, whose
// membership is m. A personal one has no members: its account owns it.
const organizationColumns = `o.organization_id, o.name, o.personal, o.created_at, CASE WHEN o.personal THEN 'owner' ELSE m.role END AS role`

// organization is one that the account is in; kind NotFound when it is not.
func (r *Repository) organization(ctx context.Context, q postgres.Querier, account, id uuid.UUID) (Organization, error) {
	return postgres.One[Organization](ctx, q, `
		SELECT `+organizationColumns+` FROM uaol_auth.organizations o
		LEFT JOIN uaol_auth.members m ON m.organization_id = o.organization_id AND m.account_id = $1
		WHERE o.organization_id = $2 AND CASE WHEN o.personal
			THEN EXISTS (SELECT 1 FROM uaol_auth.accounts a WHERE a.account_id = $1 AND a.organization_id = o.organization_id)
			ELSE m.role IS NOT NULL END`, account, id)
}
