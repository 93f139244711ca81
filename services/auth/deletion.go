package auth

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// DeleteRequest is how somebody says that they mean it.
type DeleteRequest struct {
	Password string // the current one
	Confirm  string // the e-mail address, from whom has no password
}

// Delete ends the caller's account. What auth knows goes at once, with the
// shared organisations that nobody else is in; the other services follow, see
// Eraser. Kinds: Conflict for the last platform admin, and for the only owner
// of an organisation that others are in.
func (p *Profiles) Delete(ctx context.Context, caller services.Caller, in DeleteRequest) error {
	account, err := p.user(ctx, caller)
	if err != nil {
		return err
	}
	if account.PasswordHash == nil && !strings.EqualFold(strings.TrimSpace(in.Confirm), *account.Email) {
		return services.Faults(services.Fault{Path: "body.confirm", Message: "must be the account's e-mail address"})
	}
	if err := p.prove(ctx, caller, account, "body.password", in.Password); err != nil {
		return err
	}
	happened, err := p.repository.deleteUser(ctx, account.ID)
	if services.Is(err, services.NotFound) {
		return services.Errorf(services.Unauthenticated, "Invalid token")
	}
	if err != nil {
		return err
	}
	p.bus.Publish(happened...)
	if p.post.Configured() {
		_ = p.post.send("deletion notice", p.post.deletedNotice(*account.Email)) // it is gone all the same
	}
	return nil
}

// Membership is an account's place in a shared organisation.
type Membership struct {
	Organization uuid.UUID     `json:"organization" db:"organization_id"`
	Name         string        `json:"name" db:"name"`
	Role         string        `json:"role" db:"role"`
	CreatedAt    services.Time `json:"createdAt" db:"created_at"`
	Others       bool          `json:"-" db:"others"` // other people are in it
	Owned        bool          `json:"-" db:"owned"`  // other people own it
}

// memberships lists an account's shared organisations. Service accounts are no
// people: an organisation that has nobody else ends with its last member.
func (r *Repository) memberships(ctx context.Context, q postgres.Querier, account uuid.UUID) ([]Membership, error) {
	return postgres.All[Membership](ctx, q, `
		SELECT m.organization_id, o.name, m.role, m.created_at, count(a.account_id) > 0 AS others,
			count(a.account_id) FILTER (WHERE x.role = 'owner') > 0 AS owned
		FROM uaol_auth.members m
		JOIN uaol_auth.organizations o ON o.organization_id = m.organization_id
		LEFT JOIN uaol_auth.members x ON x.organization_id = m.organization_id AND x.account_id <> m.account_id
		LEFT JOIN uaol_auth.accounts a ON a.account_id = x.account_id AND a.kind = 'user'
		WHERE m.account_id = $1 GROUP BY m.organization_id, o.name, m.role, m.created_at ORDER BY m.organization_id`, account)
}

// person is what the other services have to know of an account, by its
// memberships.
func (a Account) person(memberships []Membership) services.Person {
	who := services.Person{Account: a.ID, Guest: a.Kind == Guest, Organizations: []uuid.UUID{a.Organization}}
	for _, m := range memberships {
		if m.Others {
			who.Shared = append(who.Shared, m.Organization)
		} else {
			who.Organizations = append(who.Organizations, m.Organization)
		}
	}
	return who
}

// deleteUser is one transaction; kind NotFound when the account is gone already.
func (r *Repository) deleteUser(ctx context.Context, id uuid.UUID) (happened []events.Event, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if err := r.lockOrganizations(ctx, tx, id); err != nil {
			return err
		}
		account, err := r.lockUser(ctx, tx, id)
		if err != nil {
			return err
		}
		memberships, err := r.memberships(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := mayLeave(memberships); err != nil {
			return err
		}
		who := account.person(memberships)
		if err := r.removeUser(ctx, tx, account, who); err != nil {
			return err
		}
		happened = []events.Event{events.New("user.deleted", id.String(), account.Organization, nil), accessChanged(id, account.Organization)}
		return r.outbox.Append(ctx, tx, happened...)
	})
	return happened, err
}

// lockOrganizations holds the account's shared organisations and who is in them
// until the transaction ends: neither joins anybody, nor does another owner
// leave at the same time. Invitations come first, because whoever uses one holds
// it before the organisation.
func (r *Repository) lockOrganizations(ctx context.Context, tx pgx.Tx, account uuid.UUID) error {
	if _, err := postgres.Values[uuid.UUID](ctx, tx, `
		SELECT invitation_id FROM uaol_auth.invitations
		WHERE organization_id IN (SELECT organization_id FROM uaol_auth.members WHERE account_id = $1) OR invited_by = $1
			OR email = (SELECT email FROM uaol_auth.accounts WHERE account_id = $1)
		ORDER BY invitation_id FOR UPDATE`, account); err != nil {
		return err
	}
	if _, err := postgres.Values[uuid.UUID](ctx, tx, `
		SELECT organization_id FROM uaol_auth.organizations
		WHERE organization_id IN (SELECT organization_id FROM uaol_auth.members WHERE account_id = $1)
		ORDER BY organization_id FOR UPDATE`, account); err != nil {
		return err
	}
	_, err := postgres.Values[uuid.UUID](ctx, tx, `
		SELECT account_id FROM uaol_auth.members
		WHERE organization_id IN (SELECT organization_id FROM uaol_auth.members WHERE account_id = $1)
		ORDER BY organization_id, account_id FOR UPDATE`, account)
	return err
}

// lockUser locks an account and, if it is an admin's, all admins': of two that
// leave at the same time the second one sees that it is the last.
func (r *Repository) lockUser(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Account, error) {
	locked, err := postgres.All[Account](ctx, tx, `
		SELECT `+accountColumns+` FROM uaol_auth.accounts a
		WHERE a.account_id = $1 OR (a.admin AND (SELECT s.admin FROM uaol_auth.accounts s WHERE s.account_id = $1))
		ORDER BY a.account_id FOR UPDATE`, id)
	if err != nil {
		return Account{}, err
	}
	var account Account
	admins := 0
	for _, a := range locked {
		if a.Admin {
			admins++
		}
		if a.ID == id {
			account = a
		}
	}
	switch {
	case account.Kind != User:
		return account, services.Errorf(services.NotFound, "There is no such user")
	case account.Admin && admins == 1:
		return account, services.Errorf(services.Conflict, "The last platform admin cannot be deleted; make another one first")
	}
	return account, nil
}

// mayLeave refuses to leave people behind in an organisation that nobody owns.
func mayLeave(memberships []Membership) error {
	var left []uuid.UUID
	for _, m := range memberships {
		if m.Others && !m.Owned && m.Role == string(services.OrgOwner) {
			left = append(left, m.Organization)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return services.Errorf(services.Conflict, "You are the only owner of an organisation with other members; make one of them an owner, or end it, first").
		WithDetails(map[string]any{"organizations": left})
}

// removeUser removes what auth has of a user, and the organisations that end with
// their service accounts. Sessions, identities, links, memberships, invitations
// and provider keys go with the rows that they belong to.
func (r *Repository) removeUser(ctx context.Context, tx pgx.Tx, account Account, who services.Person) error {
	organizations := postgres.UUIDs(who.Organizations)
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.invitations WHERE email = $1`, *account.Email); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `UPDATE uaol_auth.invitations SET invited_by = $2 WHERE invited_by = $1`, account.ID, uuid.Nil); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `
		DELETE FROM uaol_auth.api_keys WHERE account_id = $1 OR organization_id = ANY ($2::text[]::uuid[])`, account.ID, organizations); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.group_roles WHERE organization_id = ANY ($1::text[]::uuid[])`, organizations); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.accounts WHERE organization_id = ANY ($1::text[]::uuid[])`, organizations); err != nil {
		return err
	}
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.organizations WHERE organization_id = ANY ($1::text[]::uuid[])`, organizations); err != nil {
		return err
	}
	if err := r.blankActs(ctx, tx, []uuid.UUID{account.ID}); err != nil {
		return err
	}
	return r.addErasures(ctx, tx, who)
}

// blankActs takes out of the audit log from where the accounts acted: that they
// acted stays.
func (r *Repository) blankActs(ctx context.Context, q postgres.Querier, accounts []uuid.UUID) error {
	_, err := postgres.Exec(ctx, q, `
		UPDATE uaol_auth.audit SET address = '', user_agent = ''
		WHERE account_id = ANY ($1::text[]::uuid[]) AND (address <> '' OR user_agent <> '')`, postgres.UUIDs(accounts))
	return err
}

// endGuests removes some guests whose time is over, and counts them. One that
// registers at this moment is a user, or becomes one when its time was not over.
func (r *Repository) endGuests(ctx context.Context, limit int) (ended int, err error) {
	type guest struct {
		Account      uuid.UUID `db:"account_id"`
		Organization uuid.UUID `db:"organization_id"`
	}
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		guests, err := postgres.All[guest](ctx, tx, `
			DELETE FROM uaol_auth.accounts WHERE kind = 'guest' AND guest_expires_at <= now() AND account_id IN (
				SELECT account_id FROM uaol_auth.accounts WHERE guest_expires_at <= now()
				ORDER BY guest_expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
			RETURNING account_id, organization_id`, limit)
		if ended = len(guests); err != nil || ended == 0 {
			return err
		}
		var accounts, organizations []uuid.UUID
		var people []services.Person
		for _, g := range guests {
			accounts, organizations = append(accounts, g.Account), append(organizations, g.Organization)
			people = append(people, services.Person{Account: g.Account, Guest: true, Organizations: []uuid.UUID{g.Organization}})
		}
		if _, err := postgres.Exec(ctx, tx, `
			DELETE FROM uaol_auth.organizations WHERE organization_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(organizations)); err != nil {
			return err
		}
		if err := r.blankActs(ctx, tx, accounts); err != nil {
			return err
		}
		return r.addErasures(ctx, tx, people...)
	})
	return ended, err
}
