package registry

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// exportPage is how many tools are handed out at a time.
const exportPage = 200

type place struct {
	At time.Time
	ID uuid.UUID
}

// Exported is a tool as its people get it: with all of its versions.
type Exported struct {
	Tool
	Versions json.RawMessage `json:"versions"`
}

// Export implements services.Keeper.
func (s *Service) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "tools", func(h services.Holding, after *place) ([]Exported, error) {
		if after == nil {
			after = &place{}
		}
		return s.repository.held(ctx, h, *after, exportPage)
	}, func(t Exported) place { return place{t.CreatedAt.Time, t.ID} })
}

// Erase implements services.Keeper. Tools that were never approved go. Others
// may be named by other people's jobs: they stay, disabled, as nobody's.
func (s *Service) Erase(ctx context.Context, who services.Person) error {
	happened, err := s.repository.erase(ctx, who)
	s.bus.Publish(happened...)
	return err
}

func (r *Repository) held(ctx context.Context, h services.Holding, after place, limit int) ([]Exported, error) {
	rows, err := postgres.All[toolRow](ctx, r.pool, selectTools+`
		WHERE t.organization_id = $1 AND ($2::uuid IS NULL OR t.developer_id = $2::uuid) AND (t.created_at, t.tool_id) > ($3::timestamptz, $4::uuid)
		ORDER BY t.created_at, t.tool_id LIMIT $5`, h.Organization, h.Maker, after.At, after.ID, limit)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	type versions struct {
		ID       uuid.UUID       `db:"tool_id"`
		Versions json.RawMessage `db:"versions"`
	}
	all, err := postgres.All[versions](ctx, r.pool, `
		SELECT tool_id, jsonb_agg(jsonb_build_object('version', version, 'status', status, 'definition', definition,
			'created_at', created_at, 'decided_at', decided_at, 'reason', reason) ORDER BY version) AS versions
		FROM uaol_registry.versions WHERE tool_id = ANY ($1::text[]::uuid[]) GROUP BY tool_id`, postgres.UUIDs(ids))
	if err != nil {
		return nil, err
	}
	of := map[uuid.UUID]json.RawMessage{}
	for _, v := range all {
		of[v.ID] = v.Versions
	}
	exported := make([]Exported, len(rows))
	for i, row := range rows {
		exported[i] = Exported{Tool: row.tool(), Versions: json.RawMessage("[]")}
		if text, there := of[row.ID]; there {
			exported[i].Versions = text
		}
	}
	return exported, nil
}

// erase is one transaction: whoever sees a tool's end sees its event.
func (r *Repository) erase(ctx context.Context, who services.Person) (happened []events.Event, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) (err error) {
		if happened, err = r.eraseTools(ctx, tx, who.Organizations); err != nil || who.Guest {
			return err
		}
		return r.eraseAccount(ctx, tx, who.Account)
	})
	if err != nil {
		return nil, err
	}
	return happened, nil
}

// eraseTools ends the tools of organisations that end.
func (r *Repository) eraseTools(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (happened []events.Event, err error) {
	organizations := postgres.UUIDs(ids)
	if _, err := postgres.Exec(ctx, tx, `
		DELETE FROM uaol_registry.tools t WHERE t.organization_id = ANY ($1::text[]::uuid[]) AND NOT EXISTS (
			SELECT 1 FROM uaol_registry.versions v WHERE v.tool_id = t.tool_id AND v.status IN ('Approved', 'Superseded') AND v.decided_at IS NOT NULL)`,
		organizations); err != nil {
		return nil, err
	}
	type ended struct {
		ID      uuid.UUID `db:"tool_id"`
		Version int64     `db:"version"`
	}
	changed, err := postgres.All[ended](ctx, tx, `
		UPDATE uaol_registry.tools SET status = 'Disabled', name = 'Erased tool', slug = right(replace(tool_id::text, '-', ''), 24),
			description = '', tags = '{}', documentation_url = '', search = '', source = '', source_name = '', gateway_url = '',
			developer_id = $2, organization_id = $2, approved_version = NULL, pending_version = NULL, revision = revision + 1, updated_at = now()
		WHERE organization_id = ANY ($1::text[]::uuid[]) RETURNING tool_id, version`, organizations, uuid.Nil)
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	tools := make([]uuid.UUID, len(changed))
	for i, tool := range changed {
		tools[i] = tool.ID
		happened = append(happened, events.New("tool.disabled", tool.ID.String(), uuid.Nil, map[string]any{"version": tool.Version, "status": Disabled}))
	}
	if err := r.eraseWritings(ctx, tx, postgres.UUIDs(tools)); err != nil {
		return nil, err
	}
	return happened, r.outbox.Append(ctx, tx, happened...)
}

// eraseWritings empties what was written about tools; that there was something
// remains.
func (r *Repository) eraseWritings(ctx context.Context, tx pgx.Tx, tools []string) error {
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.versions SET created_by = $2, decided_by = NULL, reason = '', pinned = false, digest = '',
			status = CASE status WHEN 'Pending' THEN 'Superseded' ELSE status END,
			definition = jsonb_build_object('gateway_url', '', 'protocol', definition->>'protocol', 'visibility', 'private',
				'credit_cost_per_call', (definition->>'credit_cost_per_call')::bigint)
		WHERE tool_id = ANY ($1::text[]::uuid[])`, tools, uuid.Nil); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_registry.methods WHERE tool_id = ANY ($1::text[]::uuid[])`, tools); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_registry.differences WHERE tool_id = ANY ($1::text[]::uuid[])`, tools); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_registry.health WHERE tool_id = ANY ($1::text[]::uuid[])`, tools); err != nil {
		return err
	}
	_, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.decisions SET account_id = NULL, reason = '' WHERE tool_id = ANY ($1::text[]::uuid[])`, tools)
	return err
}

// eraseAccount makes nobody's what an account did in organisations that stay, and
// what it decided.
func (r *Repository) eraseAccount(ctx context.Context, tx pgx.Tx, account uuid.UUID) error {
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.tools SET developer_id = $2 WHERE developer_id = $1`, account, uuid.Nil); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.versions SET created_by = $2 WHERE created_by = $1`, account, uuid.Nil); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.versions SET decided_by = NULL WHERE decided_by = $1`, account); err != nil {
		return err
	}
	_, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_registry.decisions SET account_id = NULL WHERE account_id = $1`, account)
	return err
}
