package teams

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Invitation is one that can still be used, without its secret.
type Invitation struct {
	ID        uuid.UUID        `json:"id" db:"invitation_id"`
	Email     string           `json:"email" db:"email" doc:"nobody else may use it"`
	Role      services.OrgRole `json:"role,omitempty" db:"role"`
	InvitedBy uuid.UUID        `json:"invitedBy" db:"invited_by"`
	CreatedAt services.Time    `json:"createdAt" db:"created_at"`
	ExpiresAt services.Time    `json:"expiresAt" db:"expires_at"`
}

// Invited is a new invitation with the only copy of its secret.
type Invited struct {
	Invitation
	Secret string
	Mailed bool // it is on its way to the address
}

// InviteRequest says who is invited, as what, and for how long.
type InviteRequest struct {
	Email string
	Role  services.OrgRole // unused for the platform
	Days  int
}

// maxInvitations bounds how many may be open in an organisation: each may be a
// letter to somebody who did not ask for it.
const maxInvitations = 200

var errNoInvitation = services.Errorf(services.NotFound, "Invitation not found")

// Invitations lists an organisation's that can still be used, newest first.
func (s *Service) Invitations(ctx context.Context, caller services.Caller, id uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Invitation, error) {
	if _, err := s.shared(ctx, s.repository.pool, caller, id, services.OrgAdmin); err != nil {
		return nil, err
	}
	return s.repository.invitations(ctx, &id, before, beforeID, limit)
}

// Invite asks somebody into a shared organisation.
func (s *Service) Invite(ctx context.Context, caller services.Caller, id uuid.UUID, request InviteRequest) (made Invited, err error) {
	services.Note(ctx, "role", string(request.Role))
	if request.Email, err = s.host.NormalEmail(request.Email); err != nil {
		return Invited{}, err
	}
	var name string
	secret := newSecret()
	err = s.change(ctx, caller, id, services.OrgAdmin, func(tx pgx.Tx, in Organization) ([]events.Event, error) {
		if request.Role == services.OrgOwner && in.Role != services.OrgOwner {
			return nil, errNotOwner
		}
		known, err := s.repository.isMember(ctx, tx, id, request.Email)
		if err == nil && known {
			err = services.Errorf(services.Conflict, "Somebody with this e-mail address is in the organisation already")
		}
		if err != nil {
			return nil, err
		}
		name = in.Name
		made.Invitation, err = s.repository.invite(ctx, tx, &id, caller.Account, request, secret)
		if services.Is(err, services.NotFound) {
			err = services.Errorf(services.Conflict, "An organisation may have at most %d open invitations; withdraw some", maxInvitations)
		}
		return nil, err
	})
	if err != nil {
		return Invited{}, err
	}
	made.Secret = secret
	made.Mailed = s.mail(made, `You are invited to join the organisation "`+name+`".

To join, sign in or register with this e-mail address and give this invitation:
`)
	services.Note(ctx, "invitation", made.ID.String())
	return made, nil
}

// Withdraw ends an organisation's invitation.
func (s *Service) Withdraw(ctx context.Context, caller services.Caller, id, invitation uuid.UUID) error {
	return s.change(ctx, caller, id, services.OrgAdmin, func(tx pgx.Tx, _ Organization) ([]events.Event, error) {
		return nil, s.repository.uninvite(ctx, tx, &id, invitation)
	})
}

// PlatformInvitations lists those to the platform that can still be used,
// newest first.
func (s *Service) PlatformInvitations(ctx context.Context, before time.Time, beforeID uuid.UUID, limit int) ([]Invitation, error) {
	invitations, err := s.repository.invitations(ctx, nil, before, beforeID, limit)
	for i := range invitations {
		invitations[i].Role = "" // it counts in no organisation
	}
	return invitations, err
}

// InviteToPlatform asks somebody to make an account.
func (s *Service) InviteToPlatform(ctx context.Context, caller services.Caller, request InviteRequest) (made Invited, err error) {
	if request.Email, err = s.host.NormalEmail(request.Email); err != nil {
		return Invited{}, err
	}
	request.Role = services.OrgMember // the column needs one; it counts nowhere
	made.Secret = newSecret()
	made.Invitation, err = s.repository.invite(ctx, s.repository.pool, nil, caller.Account, request, made.Secret)
	if services.Is(err, services.NotFound) {
		err = services.Errorf(services.Conflict, "There is an account with this e-mail address")
	}
	if err != nil {
		return Invited{}, err
	}
	made.Role = ""
	made.Mailed = s.mail(made, `You are invited to make an account.

To do so, register with this e-mail address and give this invitation:
`)
	services.Note(ctx, "invitation", made.ID.String())
	return made, nil
}

// WithdrawFromPlatform ends an invitation to the platform.
func (s *Service) WithdrawFromPlatform(ctx context.Context, invitation uuid.UUID) error {
	return s.repository.uninvite(ctx, s.repository.pool, nil, invitation)
}

// Accept makes the caller a member of the organisation that it is invited to.
// Who is a member already stays what it is.
func (s *Service) Accept(ctx context.Context, caller services.Caller, secret string) (joined Organization, err error) {
	if caller.Key != uuid.Nil {
		return Organization{}, errWithKey
	}
	var happened events.Event
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		id, err := s.repository.accept(ctx, tx, caller.Account, secret)
		if services.Is(err, services.NotFound) {
			return services.Faults(services.Fault{Path: "body.invitation", Message: "is not valid for your e-mail address, or no longer"})
		}
		if err != nil {
			return err
		}
		if joined, err = s.repository.organization(ctx, tx, caller.Account, id); err != nil {
			return err
		}
		happened = s.host.AccessChanged(caller.Account, id)
		return s.repository.outbox.Append(ctx, tx, happened)
	})
	if err != nil {
		return Organization{}, err
	}
	s.bus.Publish(happened)
	services.NoteCaller(ctx, acting(caller, joined))
	return joined, nil
}

// mail sends an invitation to its address, if mail is configured.
func (s *Service) mail(made Invited, text string) bool {
	return s.host.Mail(made.Email, "You are invited", text+`
`+made.Secret+`

It can be used until `+made.ExpiresAt.UTC().Format("2 January 2006, 15:04")+` UTC. If you did not expect it, you need not do anything.
`)
}

// newSecret makes an invitation's secret: 160 random bits.
func newSecret() string { return "inv_" + rand.Text() + rand.Text()[:6] }

// secretHash is all that is stored of a secret.
func secretHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

const invitationColumns = `i.invitation_id, i.email, i.role, i.invited_by, i.created_at, i.expires_at`

// invitations are an organisation's, or those to the platform.
func (r *Repository) invitations(ctx context.Context, organization *uuid.UUID, before time.Time, beforeID uuid.UUID, limit int) ([]Invitation, error) {
	return postgres.All[Invitation](ctx, r.pool, `
		SELECT `+invitationColumns+` FROM uaol_auth.invitations i
		WHERE (organization_id = $1 OR (organization_id IS NULL AND $1::uuid IS NULL)) AND expires_at > now()
			AND (created_at, invitation_id) < ($2::timestamptz, $3::uuid)
		ORDER BY created_at DESC, invitation_id DESC LIMIT $4`, organization, before, beforeID, limit)
}

// isMember reports whether the address is that of somebody in an organisation.
func (r *Repository) isMember(ctx context.Context, q postgres.Querier, id uuid.UUID, email string) (bool, error) {
	return postgres.Value[bool](ctx, q, `
		SELECT EXISTS (SELECT 1 FROM uaol_auth.accounts a JOIN uaol_auth.members m ON m.account_id = a.account_id
			WHERE a.email = $2 AND m.organization_id = $1)`, id, email)
}

// invite stores an invitation. Kind NotFound when the organisation, which is
// locked, has enough of them, or when one to the platform is for somebody who
// has an account; Conflict when the same request has made one, whose secret is shown to
// nobody twice.
func (r *Repository) invite(ctx context.Context, q postgres.Querier, organization *uuid.UUID, by uuid.UUID, in InviteRequest, secret string) (Invitation, error) {
	where := uuid.Nil
	if organization != nil {
		where = *organization
	}
	made, err := postgres.One[Invitation](ctx, q, `
		INSERT INTO uaol_auth.invitations AS i (invitation_id, organization_id, email, role, hash, invited_by, expires_at)
		SELECT $1, $2::uuid, $3::text, $4, $5, $6, now() + $7 * interval '1 day'
		WHERE ($2::uuid IS NOT NULL OR NOT EXISTS (SELECT 1 FROM uaol_auth.accounts a WHERE a.email = $3::text))
			AND (SELECT count(*) FROM uaol_auth.invitations o WHERE o.organization_id = $2::uuid AND o.expires_at > now()) < $8
			OR EXISTS (SELECT 1 FROM uaol_auth.invitations s WHERE s.invitation_id = $1)
		RETURNING `+invitationColumns,
		services.NewID(ctx, by, where, "invitation"), organization, in.Email, string(in.Role), secretHash(secret), by, in.Days, maxInvitations)
	if postgres.Violates(err, "invitations_pkey") {
		err = services.ErrRepeated
	}
	return made, err
}

func (r *Repository) uninvite(ctx context.Context, q postgres.Querier, organization *uuid.UUID, id uuid.UUID) error {
	n, err := postgres.Exec(ctx, q, `
		DELETE FROM uaol_auth.invitations
		WHERE invitation_id = $2 AND (organization_id = $1 OR (organization_id IS NULL AND $1::uuid IS NULL)) AND expires_at > now()`, organization, id)
	if err == nil && n == 0 {
		err = errNoInvitation
	}
	return err
}

// accept uses an invitation up and gives its organisation; kind NotFound when it
// no longer counts, or is not for the account's address. Its row is locked
// first, as registering does.
func (r *Repository) accept(ctx context.Context, tx pgx.Tx, account uuid.UUID, secret string) (uuid.UUID, error) {
	type row struct {
		Organization uuid.UUID `db:"organization_id"`
		Role         string    `db:"role"`
	}
	used, err := postgres.One[row](ctx, tx, `
		DELETE FROM uaol_auth.invitations
		WHERE hash = $1 AND email = (SELECT email FROM uaol_auth.accounts WHERE account_id = $2) AND expires_at > now() AND organization_id IS NOT NULL
		RETURNING organization_id, role`, secretHash(secret), account)
	if err != nil {
		return uuid.Nil, err
	}
	_, err = postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, $3)
		ON CONFLICT (organization_id, account_id) DO NOTHING`, used.Organization, account, used.Role)
	return used.Organization, err
}
