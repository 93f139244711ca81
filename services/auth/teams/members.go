package teams

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Member is somebody in a shared organisation.
type Member struct {
	Account  uuid.UUID        `json:"accountId" db:"account_id"`
	Kind     string           `json:"kind" db:"kind" doc:"user or service"`
	Name     *string          `json:"name" db:"name"`
	Email    *string          `json:"email" db:"email"`
	Role     services.OrgRole `json:"role" db:"role"`
	JoinedAt services.Time    `json:"joinedAt" db:"created_at"`
}

// service is a service account's kind.
const service = "service"

var (
	errNoMember  = services.Errorf(services.NotFound, "Member not found")
	errLastOwner = services.Errorf(services.Conflict, "The last owner can't leave or be demoted; make somebody else an owner, or end the organisation")
	errNotOwner  = services.Errorf(services.Forbidden, "Only an owner makes, demotes or removes owners")
)

// Members lists who is in a shared organisation, newest first.
func (s *Service) Members(ctx context.Context, caller services.Caller, id uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Member, error) {
	if _, err := s.shared(ctx, s.repository.pool, caller, id, services.OrgViewer); err != nil {
		return nil, err
	}
	return s.repository.members(ctx, id, before, beforeID, limit)
}

// SetRole changes a member's role.
func (s *Service) SetRole(ctx context.Context, caller services.Caller, id, account uuid.UUID, role services.OrgRole) (changed Member, err error) {
	services.Note(ctx, "role", string(role))
	err = s.change(ctx, caller, id, services.OrgAdmin, func(tx pgx.Tx, in Organization) ([]events.Event, error) {
		member, err := s.member(ctx, tx, id, account)
		switch {
		case err != nil:
			return nil, err
		case in.Role != services.OrgOwner && (role == services.OrgOwner || member.Role == services.OrgOwner):
			return nil, errNotOwner
		case member.Kind == service && role == services.OrgOwner:
			return nil, services.Faults(services.Fault{Path: "body.role", Message: "can't be owner: this is a service account"})
		}
		set, err := s.repository.setRole(ctx, tx, id, account, role)
		if err == nil && !set {
			err = errLastOwner
		}
		if err == nil && !role.AtLeast(member.Role) {
			err = s.repository.withdraw(ctx, tx, id, account)
		}
		changed = member
		changed.Role = role
		return []events.Event{s.host.AccessChanged(account, id)}, err
	})
	return changed, err
}

// Remove ends a membership, or the caller's own, with its keys and whatever was
// got with them.
func (s *Service) Remove(ctx context.Context, caller services.Caller, id, account uuid.UUID) error {
	needs := services.OrgAdmin
	if account == caller.Account {
		needs = services.OrgViewer
	}
	return s.change(ctx, caller, id, needs, func(tx pgx.Tx, in Organization) ([]events.Event, error) {
		member, err := s.member(ctx, tx, id, account)
		switch {
		case err != nil:
			return nil, err
		case in.Role != services.OrgOwner && member.Role == services.OrgOwner:
			return nil, errNotOwner
		case member.Kind == service:
			return nil, services.Errorf(services.Conflict, "This is a service account; delete it with DELETE /organizations/%s/service-accounts/%s", id, account)
		}
		removed, err := s.repository.remove(ctx, tx, id, account)
		if err == nil && !removed {
			err = errLastOwner
		}
		return []events.Event{s.host.AccessChanged(account, id)}, err
	})
}

func (s *Service) member(ctx context.Context, q postgres.Querier, id, account uuid.UUID) (Member, error) {
	member, err := s.repository.member(ctx, q, id, account)
	if services.Is(err, services.NotFound) {
		err = errNoMember
	}
	return member, err
}

const memberColumns = `m.account_id, a.kind, a.name, a.email, m.role, m.created_at
	FROM uaol_auth.members m JOIN uaol_auth.accounts a ON a.account_id = m.account_id`

func (r *Repository) members(ctx context.Context, id uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Member, error) {
	return postgres.All[Member](ctx, r.pool, `
		SELECT `+memberColumns+` WHERE m.organization_id = $1 AND (m.created_at, m.account_id) < ($2::timestamptz, $3::uuid)
		ORDER BY m.created_at DESC, m.account_id DESC LIMIT $4`, id, before, beforeID, limit)
}

func (r *Repository) member(ctx context.Context, q postgres.Querier, id, account uuid.UUID) (Member, error) {
	return postgres.One[Member](ctx, q, `
		SELECT `+memberColumns+` WHERE m.organization_id = $1 AND m.account_id = $2`, id, account)
}

// othersOwn says that somebody besides account $2 owns organisation $1, which
// is locked.
const othersOwn = `EXISTS (SELECT 1 FROM uaol_auth.members x WHERE x.organization_id = $1 AND x.account_id <> $2 AND x.role = 'owner')`

// setRole tells whether it did; not for the last owner.
func (r *Repository) setRole(ctx context.Context, tx pgx.Tx, id, account uuid.UUID, role services.OrgRole) (bool, error) {
	n, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.members SET role = $3
		WHERE organization_id = $1 AND account_id = $2 AND ($3::text = 'owner' OR role <> 'owner' OR `+othersOwn+`)`, id, account, string(role))
	return n == 1, err
}

// remove tells whether it did; not for the last owner.
func (r *Repository) remove(ctx context.Context, tx pgx.Tx, id, account uuid.UUID) (bool, error) {
	n, err := postgres.Exec(ctx, tx, `
		DELETE FROM uaol_auth.members WHERE organization_id = $1 AND account_id = $2 AND (role <> 'owner' OR `+othersOwn+`)`, id, account)
	if err != nil || n == 0 {
		return false, err
	}
	if _, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.api_keys SET revoked_at = now() WHERE account_id = $2 AND organization_id = $1 AND revoked_at IS NULL`, id, account); err != nil {
		return false, err
	}
	if _, err := postgres.Exec(ctx, tx, `
		DELETE FROM uaol_auth.sessions WHERE key_id IN (
			SELECT key_id FROM uaol_auth.api_keys WHERE account_id = $2 AND organization_id = $1)`, id, account); err != nil {
		return false, err
	}
	return true, r.withdraw(ctx, tx, id, account)
}

// withdraw ends the invitations of somebody who is an admin no more, or not as
// much of one: they must not come back as somebody else.
func (r *Repository) withdraw(ctx context.Context, tx pgx.Tx, id, account uuid.UUID) error {
	_, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.invitations WHERE organization_id = $1 AND invited_by = $2`, id, account)
	return err
}
