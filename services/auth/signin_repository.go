package auth

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// signIn is a sign-in at a provider that is under way.
type signIn struct {
	Browser    []byte `db:"browser_hash"`
	Provider   string `db:"provider"`
	Nonce      string `db:"nonce"`
	Verifier   string `db:"verifier"`
	ReturnTo   string `db:"return_to"`
	Invitation string `db:"invitation"` // its hash in hex; "" for none
	GuestID    string `db:"guest_id"`
}

// invitationHash is nil for none.
func (s signIn) invitationHash() []byte {
	hash, err := hex.DecodeString(s.Invitation)
	if err != nil || len(hash) == 0 {
		return nil
	}
	return hash
}

func (r *Repository) addSignIn(ctx context.Context, state []byte, in signIn) error {
	_, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_auth.sign_ins (state_hash, browser_hash, provider, nonce, verifier, return_to, invitation, guest_id, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + $9 * interval '1 second')`,
		state, in.Browser, in.Provider, in.Nonce, in.Verifier, in.ReturnTo, in.Invitation, in.GuestID, int64(signInLife/time.Second))
	return err
}

// takeSignIn uses a sign-in up; kind NotFound unless this browser began it, with
// this provider, and not too long ago.
func (r *Repository) takeSignIn(ctx context.Context, state, browser []byte, provider string) (signIn, error) {
	return postgres.One[signIn](ctx, r.pool, `
		DELETE FROM uaol_auth.sign_ins
		WHERE state_hash = $1 AND browser_hash = $2 AND provider = $3 AND expires_at > now()
		RETURNING browser_hash, provider, nonce, verifier, return_to, invitation, guest_id`,
		state, browser, provider)
}

func (r *Repository) lockAccount(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Account, error) {
	return postgres.One[Account](ctx, tx, `SELECT `+accountColumns+` FROM uaol_auth.accounts a WHERE a.account_id = $1 FOR UPDATE`, id)
}

func (r *Repository) lockByEmail(ctx context.Context, tx pgx.Tx, email string) (Account, error) {
	return postgres.One[Account](ctx, tx, `SELECT `+accountColumns+` FROM uaol_auth.accounts a WHERE a.email = $1 FOR UPDATE`, email)
}

func (r *Repository) proveEmail(ctx context.Context, tx pgx.Tx, account uuid.UUID) error {
	_, err := postgres.Exec(ctx, tx, `UPDATE uaol_auth.accounts SET email_verified_at = now(), updated_at = now() WHERE account_id = $1`, account)
	return err
}

// storedIdentity is an identity with its tokens, sealed.
type storedIdentity struct {
	ID       uuid.UUID  `db:"identity_id"`
	Account  uuid.UUID  `db:"account_id"`
	Provider string     `db:"provider"`
	Issuer   string     `db:"issuer"`
	Subject  string     `db:"subject"`
	Email    string     `db:"email"` // "" for none
	Tokens   []byte     `db:"tokens"`
	Expires  *time.Time `db:"tokens_expire_at"`
}

const storedColumns = `identity_id, account_id, provider, issuer, subject, coalesce(email, '') AS email, tokens, tokens_expire_at`

// ownerOf finds whose an identity is; if it is not known here, whose the e-mail
// address is, the zero id for nobody's. Nothing is locked yet.
func (r *Repository) ownerOf(ctx context.Context, tx pgx.Tx, issuer, subject, email string) (owner uuid.UUID, known bool, err error) {
	owner, err = postgres.Value[uuid.UUID](ctx, tx, `SELECT account_id FROM uaol_auth.identities WHERE issuer = $1 AND subject = $2`, issuer, subject)
	if !services.Is(err, services.NotFound) {
		return owner, err == nil, err
	}
	owner, err = postgres.Value[uuid.UUID](ctx, tx, `SELECT account_id FROM uaol_auth.accounts WHERE email = $1`, email)
	if services.Is(err, services.NotFound) {
		err = nil
	}
	return owner, false, err
}

func (r *Repository) lockIdentity(ctx context.Context, tx pgx.Tx, account uuid.UUID, issuer, subject string) (storedIdentity, error) {
	return postgres.One[storedIdentity](ctx, tx, `
		SELECT `+storedColumns+` FROM uaol_auth.identities WHERE account_id = $1 AND issuer = $2 AND subject = $3 FOR UPDATE`, account, issuer, subject)
}

func (r *Repository) addIdentity(ctx context.Context, tx pgx.Tx, account uuid.UUID, in storedIdentity) error {
	_, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.identities (identity_id, account_id, provider, issuer, subject, email, tokens, tokens_expire_at)
		VALUES ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8)`,
		in.ID, account, in.Provider, in.Issuer, in.Subject, in.Email, in.Tokens, in.Expires)
	return err
}

func (r *Repository) updateIdentity(ctx context.Context, tx pgx.Tx, in storedIdentity) error {
	_, err := postgres.Exec(ctx, tx, `
		UPDATE uaol_auth.identities SET provider = $2, email = nullif($3, ''), tokens = $4, tokens_expire_at = $5, last_used_at = now()
		WHERE identity_id = $1`, in.ID, in.Provider, in.Email, in.Tokens, in.Expires)
	return err
}

func (r *Repository) identity(ctx context.Context, account, id uuid.UUID) (storedIdentity, error) {
	return postgres.One[storedIdentity](ctx, r.pool, `
		SELECT `+storedColumns+` FROM uaol_auth.identities WHERE identity_id = $1 AND account_id = $2`, id, account)
}

func (r *Repository) identities(ctx context.Context, account uuid.UUID) ([]Identity, error) {
	return postgres.All[Identity](ctx, r.pool, `
		SELECT identity_id, provider, issuer, email, tokens_expire_at, created_at, last_used_at FROM uaol_auth.identities
		WHERE account_id = $1 ORDER BY created_at DESC, identity_id DESC`, account)
}

func (r *Repository) removeIdentity(ctx context.Context, tx pgx.Tx, account, id uuid.UUID) (storedIdentity, error) {
	return postgres.One[storedIdentity](ctx, tx, `
		DELETE FROM uaol_auth.identities WHERE identity_id = $1 AND account_id = $2 RETURNING `+storedColumns, id, account)
}

// hasWayIn reports whether an account can be signed in to. A key with scopes
// does not count: nothing could be mended with it.
func (r *Repository) hasWayIn(ctx context.Context, tx pgx.Tx, account uuid.UUID) (bool, error) {
	return postgres.Value[bool](ctx, tx, `
		SELECT a.password_hash IS NOT NULL
			OR EXISTS (SELECT 1 FROM uaol_auth.identities i WHERE i.account_id = a.account_id)
			OR EXISTS (SELECT 1 FROM uaol_auth.api_keys k WHERE k.account_id = a.account_id AND k.scopes = '' AND `+keyCounts+`)
		FROM uaol_auth.accounts a WHERE a.account_id = $1`, account)
}

// endSessionsOf ends the sessions that were begun through a provider, but the
// caller's.
func (r *Repository) endSessionsOf(ctx context.Context, tx pgx.Tx, caller services.Caller, provider string) error {
	_, err := postgres.Exec(ctx, tx, `
		DELETE FROM uaol_auth.sessions WHERE account_id = $1 AND method = $2 AND session_id <> $3`, caller.Account, provider, caller.Session)
	return err
}

// replaceTokens stores new tokens in place of the ones that were used to get
// them; false when those are not there any more.
func (r *Repository) replaceTokens(ctx context.Context, id uuid.UUID, old, fresh []byte, expires *time.Time) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_auth.identities SET tokens = $3, tokens_expire_at = $4 WHERE identity_id = $1 AND tokens = $2`, id, old, fresh, expires)
	return n == 1, err
}

func (r *Repository) resealTokens(ctx context.Context, id uuid.UUID, old, fresh []byte) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, `UPDATE uaol_auth.identities SET tokens = $3 WHERE identity_id = $1 AND tokens = $2`, id, old, fresh)
	return n == 1, err
}

func (r *Repository) sealedAfter(ctx context.Context, last uuid.UUID, limit int) ([]storedIdentity, error) {
	return postgres.All[storedIdentity](ctx, r.pool, `
		SELECT `+storedColumns+` FROM uaol_auth.identities WHERE identity_id > $1 AND tokens IS NOT NULL ORDER BY identity_id LIMIT $2`, last, limit)
}
