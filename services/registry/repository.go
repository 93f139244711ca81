package registry

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is the registry's SQL.
type Repository struct {
	pool   *pgxpool.Pool
	outbox events.Outbox
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository {
	return &Repository{pool: pool, outbox: events.NewOutbox(services.Registry)}
}

const columns = `tool_id, slug, name, gateway_url, credit_cost_per_call, developer_id, organization_id,
	protocol, status, version, created_at, updated_at`

func (r *Repository) byIDs(ctx context.Context, ids []uuid.UUID) ([]Tool, error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return postgres.All[Tool](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_registry.tools WHERE tool_id = ANY ($1::text[]::uuid[])`, texts)
}

// approved lists tools by name, after the given one.
func (r *Repository) approved(ctx context.Context, afterName string, afterID uuid.UUID, limit int) ([]Tool, error) {
	return postgres.All[Tool](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_registry.tools
		WHERE status = 'Approved' AND (name, tool_id) > ($1, $2::uuid)
		ORDER BY name, tool_id LIMIT $3`, afterName, afterID, limit)
}

// owned lists an organisation's tools, newest first, before the given one.
func (r *Repository) owned(ctx context.Context, organization uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Tool, error) {
	return postgres.All[Tool](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_registry.tools
		WHERE organization_id = $1 AND (created_at, tool_id) < ($2::timestamptz, $3::uuid)
		ORDER BY created_at DESC, tool_id DESC LIMIT $4`, organization, before, beforeID, limit)
}

// insert adds a tool; kind Conflict when its slug is taken.
func (r *Repository) insert(ctx context.Context, t Tool) (Tool, events.Event, error) {
	return r.change(ctx, "tool.registered", `
		INSERT INTO uaol_registry.tools (tool_id, slug, name, gateway_url, credit_cost_per_call, developer_id, organization_id, protocol, status)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'Pending') RETURNING `+columns,
		t.ID, t.Slug, t.Name, t.GatewayURL, t.Price, t.Developer, t.Organization, t.Protocol)
}

// update writes a tool's definition if it is still at the version it was read
// at; a change of what is called needs a new approval. Otherwise the status
// stays what it is by now: an admin may have decided since the tool was read.
func (r *Repository) update(ctx context.Context, t Tool, status Status, version int64) (Tool, events.Event, error) {
	return r.change(ctx, "tool.updated", `
		UPDATE uaol_registry.tools
		SET name = $2, gateway_url = $3, credit_cost_per_call = $4, protocol = $5,
			status = CASE WHEN version = $7 THEN status ELSE $6 END, version = $7, updated_at = now()
		WHERE tool_id = $1 AND version = $8 RETURNING `+columns,
		t.ID, t.Name, t.GatewayURL, t.Price, t.Protocol, status, version, t.Version)
}

// setStatus decides about a tool; kind NotFound when there is none.
func (r *Repository) setStatus(ctx context.Context, id uuid.UUID, status Status) (Tool, events.Event, error) {
	return r.change(ctx, "tool."+map[Status]string{Approved: "approved", Disabled: "disabled"}[status], `
		UPDATE uaol_registry.tools SET status = $2, updated_at = now() WHERE tool_id = $1 RETURNING `+columns, id, status)
}

// change runs a statement that writes one tool, with its event.
func (r *Repository) change(ctx context.Context, kind, sql string, args ...any) (changed Tool, happened events.Event, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		var txErr error
		if changed, txErr = postgres.One[Tool](ctx, tx, sql, args...); txErr != nil {
			return txErr
		}
		happened = events.New(kind, changed.ID.String(), changed.Organization, map[string]any{"version": changed.Version, "status": changed.Status})
		return r.outbox.Append(ctx, tx, happened)
	})
	return changed, happened, err
}
