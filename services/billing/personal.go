package billing

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/billing/payments"
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
	Seq          int64         `json:"seq" db:"seq"`
	Operation    string        `json:"operation" db:"operation_id"`
	Kind         Kind          `json:"kind" db:"kind"`
	Amount       int64         `json:"amount" db:"amount"`
	Balance      int64         `json:"balance" db:"balance"`
	CreatedAt    services.Time `json:"createdAt" db:"created_at"`
}

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
	part, err := services.PartOf(in, "creditEntries", func(h services.Holding, after *int64) ([]exportedEntry, error) {
		if after == nil {
			after = new(int64)
		}
		return s.repository.entries(ctx, h, *after, exportPage)
	}, func(e exportedEntry) int64 { return e.Seq })
	if part.Next != "" {
		part.Next = secondSection + part.Next
	}
	return part, err
}

// custodian is billing as a services.Keeper: the ledger, and what is paid by month.
type custodian struct {
	*Service
	payments *payments.Service
}

// Erase implements services.Keeper. Subscriptions end first: nobody goes on paying
// for what is gone.
func (c custodian) Erase(ctx context.Context, who services.Person) error {
	for _, organization := range who.Organizations {
		if err := c.payments.End(ctx, organization); err != nil {
			return err
		}
	}
	return c.Service.Erase(ctx, who)
}

// Erase is the ledger's part of it. What was paid stays in the books, as
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

func (r *Repository) entries(ctx context.Context, h services.Holding, after int64, limit int) ([]exportedEntry, error) {
	return postgres.All[exportedEntry](ctx, r.pool, `
		SELECT j.organization_id, j.seq, j.operation_id, j.kind, j.amount, j.balance, j.created_at
		FROM uaol_billing.journal j LEFT JOIN uaol_billing.spenders s ON s.spender_id = j.spender_id
		WHERE j.organization_id = $1 AND ($2::uuid IS NULL OR s.account_id = $2::uuid) AND j.seq > $3
		ORDER BY j.seq LIMIT $4`, h.Organization, h.Maker, after, limit)
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

// disown takes the names out of the books, and the caps and customers of who is
// gone. The journal itself names nobody: whom its spenders stand for is forgotten,
// once no open hold needs it, and with the salt what could be tried to find it out.
func (r *Repository) disown(ctx context.Context, who services.Person) error {
	organizations := postgres.UUIDs(who.Organizations)
	for _, sql := range []string{
		`DELETE FROM uaol_billing.caps WHERE organization_id = ANY ($1::text[]::uuid[])`,
		`DELETE FROM uaol_billing.customers WHERE organization_id = ANY ($1::text[]::uuid[])`,
		`UPDATE uaol_billing.spenders s SET account_id = NULL, key_id = NULL, salt = NULL
			WHERE s.organization_id = ANY ($1::text[]::uuid[]) AND s.account_id IS NOT NULL AND ` + unheld,
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
		`UPDATE uaol_billing.spenders s SET account_id = NULL, key_id = NULL, salt = NULL WHERE s.account_id = $1 AND ` + unheld,
	} {
		if _, err := postgres.Exec(ctx, r.pool, sql, who.Account); err != nil {
			return err
		}
	}
	return nil
}

// unheld says that spender s has no open hold.
const unheld = `NOT EXISTS (SELECT 1 FROM uaol_billing.holds h WHERE h.spender_id = s.spender_id AND h.state = 'open')`

func (r *Repository) openHolds(ctx context.Context, who services.Person) (int, error) {
	return postgres.Value[int](ctx, r.pool, `
		SELECT count(*) FROM uaol_billing.holds h LEFT JOIN uaol_billing.spenders s ON s.spender_id = h.spender_id
		WHERE h.state = 'open' AND (s.account_id = $1 OR h.organization_id = ANY ($2::text[]::uuid[]))`,
		who.Account, postgres.UUIDs(who.Organizations))
}
