package auth

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"uaol/providers/events"
	"uaol/providers/postgres"
	"uaol/services"
)

// Repository is auth's SQL.
type Repository struct {
	pool   *pgxpool.Pool
	outbox events.Outbox
}

// NewRepository makes a Repository.
func NewRepository(pool *pgxpool.Pool) *Repository {
	return &Repository{pool: pool, outbox: events.NewOutbox(services.Auth)}
}

const accountColumns = `a.account_id, a.organization_id, a.email, a.password_hash, a.admin, a.created_at`

// byToken finds the account of a token that was not logged out.
func (r *Repository) byToken(ctx context.Context, account, tokenID uuid.UUID) (Account, error) {
	return postgres.One[Account](ctx, r.pool, `
		SELECT `+accountColumns+` FROM uaol_auth.accounts a
		WHERE a.account_id = $1 AND NOT EXISTS (SELECT 1 FROM uaol_auth.revoked_tokens t WHERE t.token_id = $2)`, account, tokenID)
}

func (r *Repository) byKey(ctx context.Context, hash []byte) (Account, error) {
	return postgres.One[Account](ctx, r.pool, `
		SELECT `+accountColumns+` FROM uaol_auth.api_keys k JOIN uaol_auth.accounts a ON a.account_id = k.account_id
		WHERE k.hash = $1 AND k.revoked_at IS NULL`, hash)
}

func (r *Repository) byID(ctx context.Context, id uuid.UUID) (Account, error) {
	return postgres.One[Account](ctx, r.pool, `SELECT `+accountColumns+` FROM uaol_auth.accounts a WHERE a.account_id = $1`, id)
}

func (r *Repository) byEmail(ctx context.Context, email string) (Account, error) {
	return postgres.One[Account](ctx, r.pool, `SELECT `+accountColumns+` FROM uaol_auth.accounts a WHERE a.email = $1`, email)
}

// guest finds a guest whose session is not over.
func (r *Repository) guest(ctx context.Context, guestID string) (account Account, over bool, err error) {
	type row struct {
		Account
		Over bool `db:"over"`
	}
	found, err := postgres.One[row](ctx, r.pool, `
		SELECT `+accountColumns+`, a.guest_expires_at <= now() AS over FROM uaol_auth.accounts a WHERE a.guest_id = $1`, guestID)
	return found.Account, found.Over, err
}

// addGuest makes a guest and its organisation in one statement; kind Conflict
// when somebody was faster.
func (r *Repository) addGuest(ctx context.Context, guestID string, lifetime time.Duration) (Account, error) {
	return postgres.One[Account](ctx, r.pool, `
		WITH organization AS (
			INSERT INTO uaol_auth.organizations (organization_id, name, personal) VALUES ($1::uuid, 'Guest', true)
		)
		INSERT INTO uaol_auth.accounts AS a (account_id, organization_id, guest_id, guest_expires_at)
		VALUES ($2, $1::uuid, $3, now() + $4 * interval '1 second')
		RETURNING `+accountColumns, newID(), newID(), guestID, int64(lifetime/time.Second))
}

type registration struct {
	Email        string
	PasswordHash *string
	KeyHash      []byte
	KeyPrefix    string
	GuestID      string // the guest that becomes this user; "" for nobody
	Admin        bool
}

// register makes a user with its organisation and its first key; kind Conflict
// when the e-mail is taken.
func (r *Repository) register(ctx context.Context, in registration) (account Account, happened events.Event, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		var txErr error
		if account, txErr = r.addUser(ctx, tx, in); txErr != nil {
			return txErr
		}
		if txErr = r.addKey(ctx, tx, account, in.KeyHash, in.KeyPrefix); txErr != nil {
			return txErr
		}
		happened = events.New("user.registered", account.ID.String(), account.Organization, map[string]any{"admin": in.Admin})
		return r.outbox.Append(ctx, tx, happened)
	})
	return account, happened, err
}

func (r *Repository) addUser(ctx context.Context, tx pgx.Tx, in registration) (Account, error) {
	if in.GuestID != "" {
		account, err := postgres.One[Account](ctx, tx, `
			UPDATE uaol_auth.accounts AS a
			SET email = $2, password_hash = $3, guest_id = NULL, guest_expires_at = NULL, updated_at = now()
			WHERE guest_id = $1 AND email IS NULL AND guest_expires_at > now()
			RETURNING `+accountColumns, in.GuestID, in.Email, in.PasswordHash)
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
		INSERT INTO uaol_auth.accounts AS a (account_id, organization_id, email, password_hash, admin)
		VALUES ($1, $2, $3, $4, $5) RETURNING `+accountColumns, newID(), organization, in.Email, in.PasswordHash, in.Admin)
}

func (r *Repository) addKey(ctx context.Context, q postgres.Querier, account Account, hash []byte, prefix string) error {
	_, err := postgres.Exec(ctx, q, `
		INSERT INTO uaol_auth.api_keys (key_id, account_id, organization_id, name, hash, prefix)
		VALUES ($1, $2, $3, 'default', $4, $5) ON CONFLICT (hash) DO NOTHING`, newID(), account.ID, account.Organization, hash, prefix)
	return err
}

func (r *Repository) makeAdmin(ctx context.Context, account uuid.UUID) error {
	_, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_auth.accounts SET admin = true, updated_at = now() WHERE account_id = $1`, account)
	return err
}

// revoke logs a token out, and forgets those that have expired since.
func (r *Repository) revoke(ctx context.Context, t token) error {
	_, err := postgres.Exec(ctx, r.pool, `
		WITH gone AS (DELETE FROM uaol_auth.revoked_tokens WHERE expires_at < now())
		INSERT INTO uaol_auth.revoked_tokens (token_id, expires_at) VALUES ($1, $2) ON CONFLICT (token_id) DO NOTHING`, t.ID, t.Expires)
	return err
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
