package registry

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is the registry's SQL. The head of a tool in tools is what writers
// lock first, before its versions.
type Repository struct {
	pool   *pgxpool.Pool
	outbox events.Outbox
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository {
	return &Repository{pool: pool, outbox: events.NewOutbox(services.Registry)}
}

const selectTools = `
	SELECT t.tool_id, t.slug, t.name, t.description, t.tags, t.documentation_url, t.visibility, t.gateway_url,
		t.credit_cost_per_call, t.method_costs, t.developer_id, t.organization_id, t.protocol, t.status, t.version,
		t.pending_version, t.created_at, t.updated_at, t.revision,
		h.healthy, h.latency_ms, h.error AS health_error, h.checked_at, h.since
	FROM uaol_registry.tools t LEFT JOIN uaol_registry.health h ON h.tool_id = t.tool_id`

// toolRow is a row of selectTools.
type toolRow struct {
	Tool
	Revision  int64      `db:"revision"`
	Healthy   *bool      `db:"healthy"`
	LatencyMS *int64     `db:"latency_ms"`
	LastError *string    `db:"health_error"`
	CheckedAt *time.Time `db:"checked_at"`
	Since     *time.Time `db:"since"`
}

func (row toolRow) tool() Tool {
	t := row.Tool
	t.revision = row.Revision
	t.Health = Health{Status: Unknown, CheckedAt: services.At(row.CheckedAt), Since: services.At(row.Since)}
	if row.LastError != nil {
		t.Health.LastError, t.Health.LatencyMS = *row.LastError, *row.LatencyMS
	}
	if row.Healthy != nil {
		t.Health.Status = map[bool]HealthStatus{true: Healthy, false: Unhealthy}[*row.Healthy]
	}
	return t
}

func toolsOf(rows []toolRow, err error) ([]Tool, error) {
	tools := make([]Tool, len(rows))
	for i, row := range rows {
		tools[i] = row.tool()
	}
	return tools, err
}

func (r *Repository) byIDs(ctx context.Context, ids []uuid.UUID) ([]Tool, error) {
	return toolsOf(postgres.All[toolRow](ctx, r.pool, selectTools+` WHERE t.tool_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids)))
}

// one gives a tool; kind NotFound when there is none.
func (r *Repository) one(ctx context.Context, q postgres.Querier, id uuid.UUID) (Tool, error) {
	row, err := postgres.One[toolRow](ctx, q, selectTools+` WHERE t.tool_id = $1`, id)
	if services.Is(err, services.NotFound) {
		return Tool{}, errNotFound
	}
	return row.tool(), err
}

// definition is what a version of a tool fixes, with that version's number.
func (r *Repository) definition(ctx context.Context, id uuid.UUID, version int64) (Definition, error) {
	return postgres.Value[Definition](ctx, r.pool, `
		SELECT definition FROM uaol_registry.versions WHERE tool_id = $1 AND version = $2`, id, version)
}

// Search says which tools are looked for.
type Search struct {
	Caller   services.Caller
	Status   Status
	Question string    // a tsquery; "" for all
	Owner    uuid.UUID // their organisation or account; the zero one for all
	Own      bool      // of the caller's organisation alone
	After    string    // the name and the id of the tool before
	AfterID  uuid.UUID
	Limit    int
}

const (
	seen = ` WHERE t.status = $1 AND (t.name, t.tool_id) > ($2, $3::uuid)
		AND ($4 OR t.visibility = 'public' OR t.organization_id = $5 AND (t.visibility = 'organization' OR t.developer_id = $6))
		AND (NOT $7 OR t.organization_id = $5)
		AND ($8::uuid IS NULL OR t.organization_id = $8::uuid OR t.developer_id = $8::uuid)`
	byName = ` ORDER BY t.name, t.tool_id LIMIT $9`
)

// search lists tools by name, after the given one.
func (r *Repository) search(ctx context.Context, in Search) ([]Tool, error) {
	var owner *uuid.UUID
	if in.Owner != uuid.Nil {
		owner = &in.Owner
	}
	args := []any{string(in.Status), in.After, in.AfterID, in.Caller.Admin(), in.Caller.Organization, in.Caller.Account, in.Own, owner, in.Limit}
	if in.Question == "" {
		return toolsOf(postgres.All[toolRow](ctx, r.pool, selectTools+seen+byName, args...))
	}
	return toolsOf(postgres.All[toolRow](ctx, r.pool, selectTools+seen+` AND t.search @@ $10::text::tsquery`+byName, append(args, in.Question)...))
}

// owned lists an organisation's tools, newest first, before the given one.
func (r *Repository) owned(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]Tool, error) {
	return toolsOf(postgres.All[toolRow](ctx, r.pool, selectTools+`
		WHERE t.organization_id = $1 AND (t.visibility <> 'private' OR t.developer_id = $2) AND (t.created_at, t.tool_id) < ($3::timestamptz, $4::uuid)
		ORDER BY t.created_at DESC, t.tool_id DESC LIMIT $5`, caller.Organization, caller.Account, before, beforeID, limit))
}

// insert adds a tool with its first version; kind Conflict when its slug is taken.
func (r *Repository) insert(ctx context.Context, t Tool, d Definition) (Tool, events.Event, error) {
	definition, prices, err := written(d)
	if err != nil {
		return Tool{}, events.Event{}, err
	}
	return r.change(ctx, "tool.registered", t.ID, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_registry.tools (tool_id, slug, name, description, tags, documentation_url, visibility, gateway_url, credit_cost_per_call,
				method_costs, developer_id, organization_id, protocol, status, search, pending_version)
			VALUES ($1, $2, $3, $4, $5::text[], $6, $7, $8, $9, $10::jsonb, $11, $12, $13, 'Pending', $14::text::tsvector, 1)`,
			t.ID, t.Slug, t.Name, t.Description, t.Tags, t.DocumentationURL, string(d.Visibility), d.GatewayURL, d.Price,
			prices, t.Developer, t.Organization, d.Protocol, indexOf(t.Name, t.Slug, t.Description, t.Tags)); err != nil {
			return err
		}
		return r.submit(ctx, tx, t.ID, 1, definition, t.Developer)
	})
}

// submit adds a version that waits for a decision, instead of one that did.
func (r *Repository) submit(ctx context.Context, tx pgx.Tx, id uuid.UUID, version int64, definition string, by uuid.UUID) error {
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.versions SET status = 'Superseded' WHERE tool_id = $1 AND status = 'Pending'`, id); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_registry.versions (tool_id, version, status, definition, created_by)
		VALUES ($1, $2, 'Pending', $3::jsonb, $4)`, id, version, definition, by); err != nil {
		return err
	}
	return r.decided(ctx, tx, Decided{ToolID: id, Version: version, Act: submitted, Account: &by})
}

// update writes what a tool says of itself, and its proposed definition unless
// that is nil, if its owner has not changed it since it was read: kind Conflict
// otherwise. What an admin has decided since then stands. A narrower visibility
// counts at once.
func (r *Repository) update(ctx context.Context, t Tool, visibility Visibility, proposed *Definition, by uuid.UUID) (Tool, events.Event, error) {
	return r.change(ctx, "tool.updated", t.ID, func(tx pgx.Tx) error {
		n, err := postgres.Exec(ctx, tx, `
			UPDATE uaol_registry.tools SET name = $3, description = $4, tags = $5::text[], documentation_url = $6, search = $7::text::tsvector,
				visibility = CASE WHEN strpos('private organization public', $8::text) < strpos('private organization public', visibility)
					THEN $8::text ELSE visibility END,
				revision = revision + 1, updated_at = now()
			WHERE tool_id = $1 AND revision = $2`,
			t.ID, t.revision, t.Name, t.Description, t.Tags, t.DocumentationURL, indexOf(t.Name, t.Slug, t.Description, t.Tags), string(visibility))
		switch {
		case err != nil:
			return err
		case n == 0:
			return errOvertaken
		case proposed == nil:
			return nil
		}
		definition, prices, err := written(*proposed)
		if err != nil {
			return err
		}
		version, err := postgres.Value[int64](ctx, tx, `
			UPDATE uaol_registry.tools SET latest_version = latest_version + 1, pending_version = latest_version + 1,
				version = CASE WHEN approved_version IS NULL THEN latest_version + 1 ELSE version END,
				status = CASE WHEN approved_version IS NULL THEN 'Pending' ELSE status END,
				gateway_url = CASE WHEN approved_version IS NULL THEN $2::text ELSE gateway_url END,
				credit_cost_per_call = CASE WHEN approved_version IS NULL THEN $3::bigint ELSE credit_cost_per_call END,
				method_costs = CASE WHEN approved_version IS NULL THEN $4::jsonb ELSE method_costs END,
				protocol = CASE WHEN approved_version IS NULL THEN $5::text ELSE protocol END,
				visibility = CASE WHEN approved_version IS NULL THEN $6::text ELSE visibility END
			WHERE tool_id = $1 RETURNING latest_version`,
			t.ID, proposed.GatewayURL, proposed.Price, prices, proposed.Protocol, string(proposed.Visibility))
		if err != nil {
			return err
		}
		return r.submit(ctx, tx, t.ID, version, definition, by)
	})
}

// written is a definition, and its methods' prices alone, as the database takes them.
func written(d Definition) (definition, prices string, err error) {
	if d.Prices == nil {
		d.Prices = map[string]int64{}
	}
	whole, err := json.Marshal(d)
	if err != nil {
		return "", "", services.Errorf(services.Invalid, "The tool's definition can't be written as JSON").Because(err)
	}
	part, err := json.Marshal(d.Prices)
	return string(whole), string(part), err
}

// change is one transaction that writes a tool, with its event.
func (r *Repository) change(ctx context.Context, kind string, id uuid.UUID, f func(tx pgx.Tx) error) (changed Tool, happened events.Event, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		var txErr error
		if changed, txErr = r.one(ctx, tx, id); txErr != nil {
			return txErr
		}
		happened = events.New(kind, id.String(), changed.Organization, map[string]any{"version": changed.Version, "status": changed.Status})
		return r.outbox.Append(ctx, tx, happened)
	})
	return changed, happened, err
}

var errOvertaken = services.Errorf(services.Conflict, "The tool was changed at the same time; read it again and repeat")
