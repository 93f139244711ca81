package billing

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
)

// exportPage is how many entries are handed out at a time.
const exportPage = 500

// exportedAccount is an organisation's credits.
type exportedAccount struct {
	Organization uuid.UUID     `json:"organization" db:"organization_id"`
	Tier         Tier          `json:"tier" db:"tier"`
	Available    int64         `json:"available" db:"available"`
	Held         int64         `json:"held" db:"held"`
	CreatedAt    services.Time `json:"createdAt" db:"created_at"`
}

// exportedEntry is one thing that happened to credits.
type exportedEntry struct {
	Organization uuid.UUID     `json:"organization" db:"organization_id"`
	Operation    string        `json:"operation" db:"operation_id"`
	Kind         string        `json:"kind" db:"kind"`
	Available    int64         `json:"available" db:"available"`
	Held         int64         `json:"held" db:"held"`
	CreatedAt    services.Time `json:"createdAt" db:"created_at"`
}

type entryKey struct{ Operation, Kind string }

// secondSection begins the cursors of the entries.
const secondSection = "entries:"

// Export implements services.Keeper: the accounts, then their entries.
func (s *Service) Export(ctx context.Context, in services.ExportRequest) (services.Part, error) {
	after, ok := strings.CutPrefix(in.After, secondSection)
	if !ok {
		accounts, err := s.repository.exported(ctx, in.Person.Organizations)
		part := services.Part{Section: "credits", Items: []json.RawMessage{}, Next: secondSection}
		for _, a := range accounts {
			item, err := json.Marshal(a)
			if err != nil {
				return part, err
			}
			part.Items = append(part.Items, item)
		}
		return part, err
	}
	in.After = after
	part, err := services.PartOf(in, "creditEntries", func(h services.Holding, after *entryKey) ([]exportedEntry, error) {
		if after == nil {
			after = &entryKey{}
		}
		return s.repository.entries(ctx, h, *after, exportPage)
	}, func(e exportedEntry) entryKey { return entryKey{e.Operation, e.Kind} })
	if part.Next != "" {
		part.Next = secondSection + part.Next
	}
	return part, err
}

// Erase implements services.Keeper. What was paid stays in the books, as
// nobody's; the organisations' credits can't be spent any more. Holds end by
// themselves, and must have: kind Conflict until then.
func (s *Service) Erase(ctx context.Context, who services.Person) error {
	if err := s.repository.closeAccounts(ctx, who.Organizations); err != nil {
		return err
	}
	open, err := s.repository.openHolds(ctx, who)
	if err != nil {
		return err
	}
	if err := s.repository.disown(ctx, who); err != nil {
		return err
	}
	if open > 0 { // what ends them writes the name once more
		return services.Errorf(services.Conflict, "%d holds have to end first", open)
	}
	return nil
}

func (r *Repository) exported(ctx context.Context, organizations []uuid.UUID) ([]exportedAccount, error) {
	return postgres.All[exportedAccount](ctx, r.pool, `
		SELECT organization_id, tier, available, held, created_at FROM uaol_billing.accounts
		WHERE organization_id = ANY ($1::text[]::uuid[]) ORDER BY organization_id`, postgres.UUIDs(organizations))
}

func (r *Repository) entries(ctx context.Context, h services.Holding, after entryKey, limit int) ([]exportedEntry, error) {
	return postgres.All[exportedEntry](ctx, r.pool, `
		SELECT organization_id, operation_id, kind, available, held, created_at FROM uaol_billing.entries
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR account_id = $2::uuid) AND (operation_id, kind) > ($3, $4)
		ORDER BY operation_id, kind LIMIT $5`, h.Organization, h.Maker, after.Operation, after.Kind, limit)
}

// closeAccounts also closes accounts that were never opened: a request under
// way must not open them with the credits of a new one.
func (r *Repository) closeAccounts(ctx context.Context, organizations []uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_billing.accounts AS a (organization_id, tier, available, held, closed_at)
		SELECT id, $2, 0, 0, now() FROM unnest($1::text[]::uuid[]) AS ids (id) ORDER BY id
		ON CONFLICT (organization_id) DO UPDATE SET closed_at = coalesce(a.closed_at, excluded.closed_at)`,
		postgres.UUIDs(organizations), Free)
	return err
}

// disown takes the names out of the books, and the caps of who is gone. Open
// holds keep theirs: they are still written to.
func (r *Repository) disown(ctx context.Context, who services.Person) error {
	organizations := postgres.UUIDs(who.Organizations)
	for _, sql := range []string{
		`DELETE FROM uaol_billing.caps WHERE organization_id = ANY ($1::text[]::uuid[])`,
		`UPDATE uaol_billing.entries SET account_id = NULL WHERE organization_id = ANY ($1::text[]::uuid[]) AND account_id IS NOT NULL`,
		`UPDATE uaol_billing.holds SET account_id = '00000000-0000-0000-0000-000000000000', key_id = NULL
			WHERE organization_id = ANY ($1::text[]::uuid[]) AND state = 'closed'`,
	} {
		if _, err := postgres.Exec(ctx, r.pool, sql, organizations); err != nil {
			return err
		}
	}
	if who.Guest {
		return nil
	}
	for _, sql := range []string{
		`DELETE FROM uaol_billing.caps WHERE scope = 'member' AND subject_id = $1`,
		`UPDATE uaol_billing.entries SET account_id = NULL WHERE account_id = $1`,
		`UPDATE uaol_billing.holds SET account_id = '00000000-0000-0000-0000-000000000000', key_id = NULL
			WHERE account_id = $1 AND state = 'closed'`,
	} {
		if _, err := postgres.Exec(ctx, r.pool, sql, who.Account); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) openHolds(ctx context.Context, who services.Person) (int, error) {
	return postgres.Value[int](ctx, r.pool, `
		SELECT count(*) FROM uaol_billing.holds
		WHERE state = 'open' AND (account_id = $1 OR organization_id = ANY ($2::text[]::uuid[]))`,
		who.Account, postgres.UUIDs(who.Organizations))
}
