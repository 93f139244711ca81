package auth

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth/oidc"
)

// generic is the provider whose groups give roles.
const generic = "oidc"

// wanted is what somebody's groups give: the highest role in each organisation;
// the zero id stands for the platform.
func wanted(roles []oidc.GroupRole, groups []string) map[uuid.UUID]services.OrgRole {
	gives := map[uuid.UUID]services.OrgRole{}
	for _, r := range roles {
		if slices.Contains(groups, r.Group) && !gives[r.Organization].AtLeast(r.Role) {
			gives[r.Organization] = r.Role
		}
	}
	return gives
}

// groupRole is what groups gave to an account.
type groupRole struct {
	Organization uuid.UUID `db:"organization_id"`
	Role         string    `db:"role"`
	Replaced     *string   `db:"replaced"`
}

// lockGroupOrganizations locks the organisations in which groups give an account
// a role, or gave one. Whoever changes members locks these first.
func (r *Repository) lockGroupOrganizations(ctx context.Context, tx pgx.Tx, account uuid.UUID, wanted map[uuid.UUID]services.OrgRole) error {
	_, err := postgres.Values[uuid.UUID](ctx, tx, `
		SELECT organization_id FROM uaol_auth.organizations
		WHERE organization_id = ANY ($1::text[]::uuid[]) OR organization_id IN (SELECT organization_id FROM uaol_auth.group_roles WHERE account_id = $2)
		ORDER BY organization_id FOR NO KEY UPDATE`, postgres.UUIDs(slices.Collect(maps.Keys(wanted))), account)
	return err
}

// applyRoles gives a locked account what its groups give now, and takes back
// what they gave before; what it has otherwise stays. It tells whether anything
// changed.
func (r *Repository) applyRoles(ctx context.Context, tx pgx.Tx, account uuid.UUID, wanted map[uuid.UUID]services.OrgRole) (changed bool, err error) {
	given, err := postgres.All[groupRole](ctx, tx, `
		SELECT organization_id, role, replaced FROM uaol_auth.group_roles WHERE account_id = $1 ORDER BY organization_id`, account)
	if err != nil {
		return false, err
	}
	for _, g := range given {
		if string(wanted[g.Organization]) == g.Role {
			continue
		}
		if err := r.takeRole(ctx, tx, account, g); err != nil {
			return false, err
		}
		changed = true
	}
	for organization, role := range wanted {
		gave, err := r.giveRole(ctx, tx, account, organization, role)
		if err != nil {
			return false, err
		}
		changed = changed || gave
	}
	return changed, nil
}

// takeRole takes a role back, unless somebody has changed it since.
func (r *Repository) takeRole(ctx context.Context, tx pgx.Tx, account uuid.UUID, g groupRole) (err error) {
	switch {
	case g.Organization == uuid.Nil:
		_, err = postgres.Exec(ctx, tx, `UPDATE uaol_auth.accounts SET admin = false, updated_at = now() WHERE account_id = $1`, account)
	case g.Replaced == nil:
		err = r.endMembership(ctx, tx, account, g)
	default:
		err = r.lowerRole(ctx, tx, account, g)
	}
	if err == nil {
		_, err = postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.group_roles WHERE account_id = $1 AND organization_id = $2`, account, g.Organization)
	}
	return err
}

// endMembership ends a membership with the keys that the account made in it.
func (r *Repository) endMembership(ctx context.Context, tx pgx.Tx, account uuid.UUID, g groupRole) error {
	n, err := postgres.Exec(ctx, tx, `
		DELETE FROM uaol_auth.members WHERE organization_id = $1 AND account_id = $2 AND role = $3`, g.Organization, account, g.Role)
	if err != nil || n == 0 {
		return err
	}
	for _, made := range []string{
		`UPDATE uaol_auth.api_keys SET revoked_at = now() WHERE organization_id = $1 AND account_id = $2 AND revoked_at IS NULL`,
		`DELETE FROM uaol_auth.sessions WHERE key_id IN (
			SELECT key_id FROM uaol_auth.api_keys WHERE organization_id = $1 AND account_id = $2)`,
	} {
		if _, err := postgres.Exec(ctx, tx, made, g.Organization, account); err != nil {
			return err
		}
	}
	return r.withdrawInvitations(ctx, tx, account, g.Organization)
}

func (r *Repository) lowerRole(ctx context.Context, tx pgx.Tx, account uuid.UUID, g groupRole) error {
	n, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.members SET role = $4 WHERE organization_id = $1 AND account_id = $2 AND role = $3`,
		g.Organization, account, g.Role, *g.Replaced)
	if err != nil || n == 0 {
		return err
	}
	return r.withdrawInvitations(ctx, tx, account, g.Organization)
}

// withdrawInvitations ends those that an account made with a role that is gone.
func (r *Repository) withdrawInvitations(ctx context.Context, tx pgx.Tx, account, organization uuid.UUID) error {
	_, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.invitations WHERE organization_id = $1 AND invited_by = $2`, organization, account)
	return err
}

// giveRole gives a role, and remembers that, unless the account has it or a
// higher one already, or there is no such shared organisation.
func (r *Repository) giveRole(ctx context.Context, tx pgx.Tx, account, organization uuid.UUID, role services.OrgRole) (gave bool, err error) {
	var replaced *string
	var n int64
	if organization == uuid.Nil {
		n, err = postgres.Exec(ctx, tx, `UPDATE uaol_auth.accounts SET admin = true, updated_at = now() WHERE account_id = $1 AND NOT admin`, account)
	} else {
		replaced, n, err = r.raise(ctx, tx, account, organization, role)
	}
	if err != nil || n == 0 {
		return false, err
	}
	_, err = postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.group_roles AS g (account_id, organization_id, role, replaced) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id, organization_id) DO UPDATE SET role = excluded.role, replaced = excluded.replaced`,
		account, organization, string(role), replaced)
	return true, err
}

// raise makes an account a member with at least that role, and tells which one
// it had.
func (r *Repository) raise(ctx context.Context, tx pgx.Tx, account, organization uuid.UUID, role services.OrgRole) (replaced *string, n int64, err error) {
	had, err := postgres.Value[string](ctx, tx, `
		SELECT role FROM uaol_auth.members WHERE organization_id = $1 AND account_id = $2 FOR UPDATE`, organization, account)
	switch {
	case services.Is(err, services.NotFound):
		n, err = postgres.Exec(ctx, tx, `
			INSERT INTO uaol_auth.members (organization_id, account_id, role)
			SELECT organization_id, $2, $3 FROM uaol_auth.organizations WHERE organization_id = $1 AND NOT personal
			ON CONFLICT (organization_id, account_id) DO NOTHING`, organization, account, string(role))
		return nil, n, err
	case err != nil || services.OrgRole(had).AtLeast(role):
		return nil, 0, err
	}
	n, err = postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.members SET role = $3 WHERE organization_id = $1 AND account_id = $2`, organization, account, string(role))
	return &had, n, err
}
