package registry

import (
	"context"
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

// Export implements services.Keeper.
func (s *Service) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return services.PartOf(in, "tools", func(h services.Holding, after *place) ([]Tool, error) {
		if after == nil {
			after = &place{}
		}
		return s.repository.held(ctx, h, *after, exportPage)
	}, func(t Tool) place { return place{t.CreatedAt.Time, t.ID} })
}

// Erase implements services.Keeper. Tools that were never approved go. Others
// may be named by other people's jobs: they stay, disabled, as nobody's.
func (s *Service) Erase(ctx context.Context, who services.Person) error {
	happened, err := s.repository.erase(ctx, who)
	s.bus.Publish(happened...)
	return err
}

func (r *Repository) held(ctx context.Context, h services.Holding, after place, limit int) ([]Tool, error) {
	return postgres.All[Tool](ctx, r.pool, `
		SELECT `+columns+` FROM uaol_registry.tools
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR developer_id = $2::uuid) AND (created_at, tool_id) > ($3::timestamptz, $4::uuid)
		ORDER BY created_at, tool_id LIMIT $5`, h.Organization, h.Maker, after.At, after.ID, limit)
}

// erase is one transaction: whoever sees a tool's end sees its event. A tool at
// its first version that waits for approval was never approved.
func (r *Repository) erase(ctx context.Context, who services.Person) (happened []events.Event, err error) {
	organizations := postgres.UUIDs(who.Organizations)
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		happened = nil
		if _, err := postgres.Exec(ctx, tx, `
			DELETE FROM uaol_registry.tools WHERE organization_id = ANY ($1::text[]::uuid[]) AND status = 'Pending' AND version = 1`, organizations); err != nil {
			return err
		}
		changed, err := postgres.All[Tool](ctx, tx, `
			UPDATE uaol_registry.tools SET status = 'Disabled', name = 'Erased tool', slug = right(replace(tool_id::text, '-', ''), 24),
				gateway_url = '', developer_id = $2, organization_id = $2, version = version + 1, updated_at = now()
			WHERE organization_id = ANY ($1::text[]::uuid[]) RETURNING `+columns, organizations, uuid.Nil)
		if err != nil {
			return err
		}
		for _, tool := range changed {
			happened = append(happened, events.New("tool.disabled", tool.ID.String(), uuid.Nil,
				map[string]any{"version": tool.Version, "status": tool.Status}))
		}
		if err := r.outbox.Append(ctx, tx, happened...); err != nil || who.Guest {
			return err
		}
		_, err = postgres.Exec(ctx, tx, `
			UPDATE uaol_registry.tools SET developer_id = $2 WHERE developer_id = $1`, who.Account, uuid.Nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return happened, nil
}
