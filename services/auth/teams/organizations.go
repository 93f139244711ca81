package teams

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Organization is one that the caller is in.
type Organization struct {
	ID        uuid.UUID        `json:"id" db:"organization_id"`
	Name      string           `json:"name" db:"name"`
	Personal  bool             `json:"personal" db:"personal" doc:"the caller's own, which nobody else can be in"`
	Role      services.OrgRole `json:"role" db:"role" doc:"the caller's"`
	CreatedAt services.Time    `json:"createdAt" db:"created_at"`
}

// maxOwned bounds how many shared organisations an account may make.
const maxOwned = 20

// Organizations lists those the caller is in, newest first. A key reaches one.
func (s *Service) Organizations(ctx context.Context, caller services.Caller, before time.Time, beforeID uuid.UUID, limit int) ([]Organization, error) {
	if caller.Key != uuid.Nil {
		one, err := s.Organization(ctx, caller, caller.Organization)
		if err != nil || !one.CreatedAt.Before(before) {
			return nil, err
		}
		return []Organization{one}, nil
	}
	return s.repository.organizations(ctx, caller.Account, before, beforeID, limit)
}

// Organization gives one that the caller is in.
func (s *Service) Organization(ctx context.Context, caller services.Caller, id uuid.UUID) (Organization, error) {
	return s.role(ctx, s.repository.pool, caller, id, services.OrgViewer)
}

// Create makes a shared organisation, which the caller owns.
func (s *Service) Create(ctx context.Context, caller services.Caller, name string) (Organization, error) {
	if caller.Key != uuid.Nil {
		return Organization{}, errWithKey
	}
	name, err := named(name)
	if err != nil {
		return Organization{}, err
	}
	made := Organization{ID: services.NewID(ctx, caller.Account, uuid.Nil, "organization"), Name: name, Role: services.OrgOwner}
	happened := events.New("organization.created", made.ID.String(), made.ID, nil)
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		if err := s.host.StillCounts(ctx, tx, caller); err != nil {
			return err
		}
		made.CreatedAt, err = s.repository.create(ctx, tx, caller.Account, made.ID, name)
		if err != nil {
			return err
		}
		return s.repository.outbox.Append(ctx, tx, happened)
	})
	if postgres.Violates(err, "organizations_pkey") { // the same request has made it
		made, err = s.Organization(ctx, caller, made.ID)
		if err == nil && made.Name != name || services.Is(err, services.NotFound) {
			return Organization{}, services.ErrRepeated
		}
		return made, err
	}
	if services.Is(err, services.NotFound) {
		return Organization{}, services.Errorf(services.Conflict, "An account may own at most %d shared organisations", maxOwned)
	}
	if err != nil {
		return Organization{}, err
	}
	s.bus.Publish(happened)
	services.NoteCaller(ctx, acting(caller, made))
	return made, nil
}

// Rename gives an organisation another name.
func (s *Service) Rename(ctx context.Context, caller services.Caller, id uuid.UUID, name string) (Organization, error) {
	name, err := named(name)
	if err != nil {
		return Organization{}, err
	}
	err = s.change(ctx, caller, id, services.OrgAdmin, func(tx pgx.Tx, _ Organization) ([]events.Event, error) {
		return nil, s.repository.rename(ctx, tx, id, name)
	})
	if err != nil {
		return Organization{}, err
	}
	return s.Organization(ctx, caller, id)
}

// named gives a name without the spaces around it.
func named(name string) (string, error) {
	if name = strings.TrimSpace(name); name == "" || strings.ContainsFunc(name, unicode.IsControl) {
		return "", services.Faults(services.Fault{Path: "body.name", Message: "must be a line of text"})
	}
	return name, nil
}

// End removes an organisation with all that auth has of it. What the other
// services have of it they erase after that.
func (s *Service) End(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	for {
		err := s.change(ctx, caller, id, services.OrgOwner, func(tx pgx.Tx, _ Organization) ([]events.Event, error) {
			if err := s.repository.end(ctx, tx, id); err != nil {
				return nil, err
			}
			return []events.Event{
				events.New("organization.deleted", id.String(), id, nil), s.host.AccessChanged(caller.Account, id),
			}, s.host.Erase(ctx, tx, id)
		})
		if !postgres.Violates(err, "api_keys_organization_id_fkey") { // a member made a key just now
			return err
		}
	}
}

// Acts lists what the audit log has of an organisation, newest first.
func (s *Service) Acts(ctx context.Context, caller services.Caller, id uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]services.Act, error) {
	if _, err := s.role(ctx, s.repository.pool, caller, id, services.OrgAdmin); err != nil {
		return nil, err
	}
	return s.host.Acts(ctx, id, before, beforeID, limit)
}

func (r *Repository) organizations(ctx context.Context, account uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Organization, error) {
	return postgres.All[Organization](ctx, r.pool, `
		SELECT `+organizationColumns+` FROM uaol_auth.organizations o
		LEFT JOIN uaol_auth.members m ON m.organization_id = o.organization_id AND m.account_id = $1
		WHERE o.organization_id IN (
				SELECT organization_id FROM uaol_auth.members WHERE account_id = $1
				UNION ALL SELECT organization_id FROM uaol_auth.accounts WHERE account_id = $1)
			AND (o.personal OR m.role IS NOT NULL) AND (o.created_at, o.organization_id) < ($2::timestamptz, $3::uuid)
		ORDER BY o.created_at DESC, o.organization_id DESC LIMIT $4`, account, before, beforeID, limit)
}

// create counts what the account owns, which is locked: of two organisations made
// at once, the second one comes after the first. Kind NotFound for enough.
func (r *Repository) create(ctx context.Context, tx pgx.Tx, account, id uuid.UUID, name string) (services.Time, error) {
	return postgres.Value[services.Time](ctx, tx, `
		WITH made AS (
			INSERT INTO uaol_auth.organizations (organization_id, name, personal)
			SELECT $2::uuid, $3::text, false
			WHERE (SELECT count(*) FROM uaol_auth.members WHERE account_id = $1 AND role = 'owner') < $4
				OR EXISTS (SELECT 1 FROM uaol_auth.organizations WHERE organization_id = $2::uuid)
			RETURNING organization_id
		)
		INSERT INTO uaol_auth.members (organization_id, account_id, role) SELECT organization_id, $1, 'owner' FROM made
		RETURNING created_at`, account, id, name, maxOwned)
}

func (r *Repository) rename(ctx context.Context, tx pgx.Tx, id uuid.UUID, name string) error {
	_, err := postgres.Exec(ctx, tx, `UPDATE uaol_auth.organizations SET name = $2 WHERE organization_id = $1`, id, name)
	return err
}

// end removes a locked organisation. Invitations go first: whoever uses one now
// is waited for, and nobody can after that. Members, and the provider keys, go
// with its row.
func (r *Repository) end(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	for _, sql := range []string{
		`DELETE FROM uaol_auth.invitations WHERE organization_id = $1`,
		`DELETE FROM uaol_auth.api_keys WHERE organization_id = $1`,
		`DELETE FROM uaol_auth.accounts WHERE organization_id = $1 AND kind = 'service'`,
		`DELETE FROM uaol_auth.organizations WHERE organization_id = $1`,
	} {
		if _, err := postgres.Exec(ctx, tx, sql, id); err != nil {
			return err
		}
	}
	return nil
}
