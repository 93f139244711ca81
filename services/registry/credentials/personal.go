package credentials

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// ofPerson is the condition for rows that go with somebody: what they and their
// organisations ($1) hold, and all that belongs to those organisations' tools.
const ofPerson = `holder_id = ANY ($1::text[]::uuid[])
	OR tool_id IN (SELECT t.tool_id FROM uaol_registry.tools t WHERE t.organization_id = ANY ($1::text[]::uuid[]))`

func idsOf(who services.Person) []string {
	return postgres.UUIDs(append([]uuid.UUID{who.Account}, who.Organizations...))
}

// Erase removes what somebody gave, and all that belongs to their organisations'
// tools. It may be repeated. Values that are kept outside of the database go
// first: whoever is killed in between does it again.
func (s *Service) Erase(ctx context.Context, who services.Person) error {
	if err := s.forget(ctx, who); err != nil {
		return err
	}
	return postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error { return s.repository.Erase(ctx, tx, who) })
}

// Export lists what somebody and their organisations gave, without values.
func (s *Service) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	return s.repository.Export(ctx, in)
}

func (s *Service) forget(ctx context.Context, who services.Person) error {
	places, err := postgres.All[place](ctx, s.repository.pool, `
		SELECT tool_id, scope, holder_id, name, origin FROM uaol_registry.secrets WHERE length(sealed) = 0 AND (`+ofPerson+`)`, idsOf(who))
	if err != nil {
		return err
	}
	for _, at := range places {
		if err := s.store.remove(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// Erase removes somebody's secrets, grants and consents under way, and those of
// their organisations' tools, while these still are theirs. It may be repeated.
func (r *Repository) Erase(ctx context.Context, tx postgres.Querier, who services.Person) error {
	ids := idsOf(who)
	for _, sql := range []string{
		`DELETE FROM uaol_registry.secrets WHERE ` + ofPerson,
		`DELETE FROM uaol_registry.grants WHERE ` + ofPerson,
		`DELETE FROM uaol_registry.authorizations WHERE account_id = ANY ($1::text[]::uuid[]) OR ` + ofPerson,
	} {
		if _, err := postgres.Exec(ctx, tx, sql, ids); err != nil {
			return err
		}
	}
	return nil
}

// Held is a secret or a grant as an export has it: that there is one.
type Held struct {
	Tool      uuid.UUID     `json:"tool_id" db:"tool_id"`
	Scope     Scope         `json:"scope" db:"scope"`
	Name      string        `json:"name" db:"name"` // "" for a grant
	Scopes    string        `json:"scopes,omitempty" db:"scopes"`
	CreatedAt services.Time `json:"created_at" db:"created_at"`
	UpdatedAt services.Time `json:"updated_at" db:"updated_at"`
}

type heldAt struct {
	Tool  uuid.UUID
	Scope Scope
	Name  string
}

const exportPage = 500

// Export lists what somebody and their organisations have given, without values.
func (r *Repository) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	in.Person.Organizations = append([]uuid.UUID{in.Person.Account}, in.Person.Organizations...)
	in.Person.Shared = nil // what they gave there is the account's own, or the organisation's
	return services.PartOf(in, "toolCredentials", func(h services.Holding, after *heldAt) ([]Held, error) {
		if after == nil {
			after = &heldAt{}
		}
		return postgres.All[Held](ctx, r.pool, `
			SELECT tool_id, scope, name, scopes, created_at, updated_at FROM (
				SELECT tool_id, scope, name, '' AS scopes, min(created_at) AS created_at, max(updated_at) AS updated_at
					FROM uaol_registry.secrets WHERE holder_id = $1::uuid AND NOT forgotten GROUP BY tool_id, scope, name
				UNION ALL SELECT tool_id, scope, '' AS name, scopes, created_at, updated_at FROM uaol_registry.grants WHERE holder_id = $1::uuid) AS all_of_them
			WHERE (tool_id, scope, name) > ($2::uuid, $3::text, $4::text) ORDER BY tool_id, scope, name LIMIT $5`,
			h.Organization, after.Tool, string(after.Scope), after.Name, exportPage)
	}, func(h Held) heldAt { return heldAt{h.Tool, h.Scope, h.Name} })
}
