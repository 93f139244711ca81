package registry

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/egress"
	"uaol/providers/postgres"
	"uaol/providers/upstream"
	"uaol/services"
)

// OriginalTool is a tool of the original's as it arrives here, with its id.
type OriginalTool struct {
	ID           uuid.UUID
	Organization uuid.UUID // its developer's personal one
	Developer    uuid.UUID
	Name         string
	GatewayURL   string
	Protocol     string // "" for the original's own, bare JSON-RPC
	Price        int64
	Status       Status // Pending, Approved or Disabled
	Trusted      bool   // an approved one is in force here too, with methods that nobody has pinned
	CreatedAt    time.Time
}

// What a tool's name and address may have, in characters: as much as when it is
// registered.
const (
	longestName    = 100
	longestAddress = 2048
)

// Checked is the tool as it can be here; kind Invalid, saying why, for one that
// nobody could register.
func (t OriginalTool) Checked(policy *egress.Policy) (OriginalTool, error) {
	t.Name = strings.TrimSpace(postgres.Text(t.Name))
	if runes := []rune(t.Name); len(runes) > longestName {
		t.Name = string(runes[:longestName-1]) + "…"
	}
	if t.Protocol == "" {
		t.Protocol = upstream.ProtocolJSONRPC
	}
	switch t.Status {
	case Pending, Approved, Disabled:
	default:
		return t, services.Errorf(services.Invalid, "there is no status %.40q", string(t.Status))
	}
	if t.Protocol != upstream.ProtocolJSONRPC && t.Protocol != upstream.ProtocolREST {
		return t, services.Errorf(services.Invalid, "the original has no protocol %.40q", t.Protocol)
	}
	if len(t.GatewayURL) > longestAddress {
		return t, services.Errorf(services.Invalid, "its address has more than %d characters", longestAddress)
	}
	if err := (&Tool{Name: t.Name}).check(); err != nil {
		return t, err
	}
	return t, t.definition().check(policy)
}

func (t OriginalTool) definition() Definition {
	return Definition{GatewayURL: t.GatewayURL, Protocol: t.Protocol, Price: t.Price, Visibility: Public}
}

// KnownTools gives those of the ids that are tools here.
func (r *Repository) KnownTools(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	found, err := postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT tool_id FROM uaol_registry.tools WHERE tool_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
	known := make(map[uuid.UUID]bool, len(found))
	for _, id := range found {
		known[id] = true
	}
	return known, err
}

// BringTool stores a tool that arrives and was checked; kind Conflict when it is
// here by now. One that is not in force waits for an admin.
func (r *Repository) BringTool(ctx context.Context, t OriginalTool) error {
	for slug := slugOf(t.Name); ; slug = another(slugOf(t.Name)) {
		if err := r.bring(ctx, t, slug); !postgres.Violates(err, "tools_slug") {
			return err
		}
	}
}

func (r *Repository) bring(ctx context.Context, t OriginalTool, slug string) error {
	definition, prices, err := written(t.definition())
	if err != nil {
		return err
	}
	status, happens, inForce := t.Status, "tool.registered", false
	if t.Status == Approved {
		if status = Pending; t.Trusted {
			status, happens, inForce = Approved, "tool.approved", true
		}
	}
	_, _, err = r.change(ctx, happens, t.ID, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_registry.tools (tool_id, slug, name, visibility, gateway_url, credit_cost_per_call, method_costs,
				developer_id, organization_id, protocol, status, search, approved_version, pending_version, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11, $12::text::tsvector,
				CASE WHEN $13 THEN 1 END, CASE WHEN NOT $13 THEN 1 END, $14)`,
			t.ID, slug, t.Name, string(Public), t.GatewayURL, t.Price, prices, t.Developer, t.Organization, t.Protocol, string(status),
			indexOf(t.Name, slug, "", nil), inForce, t.CreatedAt); err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_registry.versions (tool_id, version, status, definition, created_by, created_at, decided_at, reason)
			VALUES ($1, 1, CASE WHEN $2 THEN 'Approved' ELSE 'Pending' END, $3::jsonb, $4, $5, CASE WHEN $2 THEN now() END, $6)`,
			t.ID, inForce, definition, t.Developer, t.CreatedAt, t.origin()); err != nil {
			return err
		}
		act := submitted
		switch {
		case inForce: // its server is looked at soon
			act = approved
			if _, err := postgres.Exec(ctx, tx, `INSERT INTO uaol_registry.health (tool_id) VALUES ($1)`, t.ID); err != nil {
				return err
			}
		case status == Disabled:
			act = disabled
		}
		return r.decided(ctx, tx, Decided{ToolID: t.ID, Version: 1, Act: act, Reason: t.origin()})
	})
	return err
}

// origin is what a tool's history says of where it came from.
func (t OriginalTool) origin() string {
	return "brought from the original, where it was " + strings.ToLower(string(t.Status))
}
