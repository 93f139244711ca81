package auth

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is auth's SQL: what accounts are here, the rest beside the use
// cases it serves.
type Repository struct {
	pool   *pgxpool.Pool
	outbox events.Outbox
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository {
	return &Repository{pool: pool, outbox: events.NewOutbox(services.Auth)}
}

func (r *Repository) byID(ctx context.Context, id uuid.UUID) (Account, error) {
	return postgres.One[Account](ctx, r.pool, `SELECT `+accountColumns+` FROM uaol_auth.accounts a WHERE a.account_id = $1`, id)
}

func (r *Repository) byEmail(ctx context.Context, q postgres.Querier, email string) (Account, error) {
	return postgres.One[Account](ctx, q, `SELECT `+accountColumns+` FROM uaol_auth.accounts a WHERE a.email = $1`, email)
}

// registration is a user about to be stored.
type registration struct {
	ID           uuid.UUID
	Email        string
	Verified     bool // a provider or an invitation proved the address
	PasswordHash *string
	Key          string      // its first API key; "" for none
	GuestID      string      // the guest that becomes this user; "" for nobody
	Invitation   []byte      // its hash; nil for none
	Session      *newSession // its first sign-in; its account is set here
	Admin        bool
}

// register makes a user with its organisation, first key and first sign-in;
// kind Conflict when the e-mail is taken.
func (r *Repository) register(ctx context.Context, in registration) (account Account, happened events.Event, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		var err error
		account, happened, err = r.registerIn(ctx, tx, in)
		return err
	})
	return account, happened, err
}

// registerIn is register in the caller's transaction.
func (r *Repository) registerIn(ctx context.Context, tx pgx.Tx, in registration) (account Account, happened events.Event, err error) {
	if account, err = r.addUser(ctx, tx, in); err != nil {
		return account, happened, err
	}
	if in.Key != "" {
		if _, err = r.addKey(ctx, tx, storedKey{account: account.ID, organization: account.Organization, name: defaultKey, secret: in.Key}); err != nil {
			return account, happened, err
		}
	}
	if in.Session != nil {
		in.Session.account = account.ID // the guest's, if it was one
		if err = r.addSession(ctx, tx, *in.Session); err != nil {
			return account, happened, err
		}
	}
	if in.Invitation != nil {
		if err = r.join(ctx, tx, account.ID, in.Email, in.Invitation); err != nil {
			return account, happened, err
		}
	}
	happened = events.New("user.registered", account.ID.String(), account.Organization, map[string]any{"admin": in.Admin})
	return account, happened, r.outbox.Append(ctx, tx, happened)
}

func (r *Repository) addUser(ctx context.Context, tx pgx.Tx, in registration) (Account, error) {
	if in.GuestID != "" {
		account, err := postgres.One[Account](ctx, tx, `
			UPDATE uaol_auth.accounts AS a
			SET kind = 'user', email = $2, password_hash = $3, email_verified_at = CASE WHEN $4 THEN now() END,
				guest_id = NULL, guest_expires_at = NULL, updated_at = now()
			WHERE guest_id = $1 AND kind = 'guest' AND guest_expires_at > now()
			RETURNING `+accountColumns, in.GuestID, in.Email, in.PasswordHash, in.Verified)
		if err == nil {
			_, err = postgres.Exec(ctx, tx, `UPDATE uaol_auth.organizations SET name = $2 WHERE organization_id = $1`, account.Organization, in.Email)
		}
		if !services.Is(err, services.NotFound) {
			return account, err
		}
	}
	organization := newID()
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1, $2, true)`, organization, in.Email); err != nil {
		return Account{}, err
	}
	return postgres.One[Account](ctx, tx, `
		INSERT INTO uaol_auth.accounts AS a (account_id, organization_id, kind, email, password_hash, email_verified_at, admin)
		VALUES ($1, $2, 'user', $3, $4, CASE WHEN $5 THEN now() END, $6) RETURNING `+accountColumns,
		in.ID, organization, in.Email, in.PasswordHash, in.Verified, in.Admin)
}

// invited reports whether an invitation is for this address and still counts.
func (r *Repository) invited(ctx context.Context, email string, invitation []byte) (bool, error) {
	return postgres.Value[bool](ctx, r.pool, `
		SELECT EXISTS (SELECT 1 FROM uaol_auth.invitations WHERE hash = $1 AND email = $2 AND expires_at > now())`, invitation, email)
}

// join uses an invitation up; kind Invalid when it no longer counts. It proves
// nothing about the address: whoever invites is given the secret.
func (r *Repository) join(ctx context.Context, tx pgx.Tx, account uuid.UUID, email string, invitation []byte) error {
	type row struct {
		Organization *uuid.UUID `db:"organization_id"`
		Role         string     `db:"role"`
	}
	used, err := postgres.One[row](ctx, tx, `
		DELETE FROM uaol_auth.invitations WHERE hash = $1 AND email = $2 AND expires_at > now()
		RETURNING organization_id, role`, invitation, email)
	if services.Is(err, services.NotFound) {
		return services.Faults(services.Fault{Path: "body.invitation", Message: "is not valid for this e-mail address, or no longer"})
	}
	if err != nil || used.Organization == nil {
		return err
	}
	_, err = postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.members (organization_id, account_id, role) VALUES ($1, $2, $3)
		ON CONFLICT (organization_id, account_id) DO NOTHING`, *used.Organization, account, used.Role)
	return err
}

// ensureKey gives an account a key that was chosen for it; errTaken when it is
// another's, errRevoked when it was revoked.
func (r *Repository) ensureKey(ctx context.Context, tx pgx.Tx, account Account, key string) error {
	type row struct {
		Owner   uuid.UUID `db:"account_id"`
		Revoked bool      `db:"revoked"`
	}
	known, err := postgres.One[row](ctx, tx, `
		SELECT account_id, revoked_at IS NOT NULL AS revoked FROM uaol_auth.api_keys WHERE hash = $1`, keyHash(key))
	switch {
	case services.Is(err, services.NotFound):
		if _, err = r.addKey(ctx, tx, storedKey{account: account.ID, organization: account.Organization, name: defaultKey, secret: key}); err != nil {
			if postgres.Violates(err, "api_keys_hash") {
				return errTaken
			}
			return err
		}
		return r.recordCommand(ctx, tx, "admin.key", account)
	case err == nil && known.Owner != account.ID:
		err = errTaken
	case err == nil && known.Revoked:
		err = errRevoked
	}
	return err
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
