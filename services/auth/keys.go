package auth

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
	"uaol/services"
)

// Key is an API key without its secret.
type Key struct {
	ID           uuid.UUID      `json:"id" db:"key_id"`
	Name         string         `json:"name" db:"name"`
	Organization uuid.UUID      `json:"organization" db:"organization_id" doc:"whose things it reaches"`
	Prefix       string         `json:"-" db:"prefix"`
	Masked       string         `json:"maskedKey" db:"-"`
	Scopes       []string       `json:"scopes" db:"-" doc:"empty: everything"`
	ScopeText    string         `json:"-" db:"scopes"`
	CreatedAt    services.Time  `json:"createdAt" db:"created_at"`
	ExpiresAt    *services.Time `json:"expiresAt" db:"expires_at"`
	LastUsedAt   *services.Time `json:"lastUsedAt" db:"last_used_at" doc:"to the minute"`
}

// completed fills in what follows from the stored columns.
func (k Key) completed() Key {
	k.Masked, k.Scopes = k.Prefix+"…", strings.Fields(k.ScopeText)
	return k
}

// KeyRequest is what a new key shall be.
type KeyRequest struct {
	Name    string
	Scopes  []string
	Expires *time.Time
}

// defaultKey is the name of the key that registering makes, and that
// /auth/api-key speaks of.
const defaultKey = "default"

// maxKeys bounds how many keys an account may have: they are listed whole.
const maxKeys = 200

var scopeForm = regexp.MustCompile(`^[a-z][a-z-]{0,40}:(read|write)$`)

// check gives the request's scopes in one spelling.
func (in KeyRequest) check(caller services.Caller) (services.Scopes, error) {
	var faults []services.Fault
	if in.Expires != nil && !in.Expires.After(time.Now()) {
		faults = append(faults, services.Fault{Path: "body.expiresAt", Message: "lies in the past"})
	}
	scopes := slices.Clone(in.Scopes)
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	for _, scope := range scopes {
		if !scopeForm.MatchString(scope) {
			faults = append(faults, services.Fault{Path: "body.scopes", Message: "each must be like jobs:read or tools:write"})
		}
	}
	if len(faults) > 0 {
		return "", services.Faults(faults...)
	}
	joined := services.Scopes(strings.Join(scopes, " "))
	if !caller.Scopes.Include(joined) {
		return "", services.Errorf(services.Forbidden, "A key can give no scope away that it does not have")
	}
	return joined, nil
}

// Keys lists the caller's keys that still count, newest first.
func (s *Service) Keys(ctx context.Context, caller services.Caller) ([]Key, error) {
	keys, err := s.repository.keys(ctx, caller.Account)
	for i := range keys {
		keys[i] = keys[i].completed()
	}
	return keys, err
}

// DefaultKey gives the caller's key of that name; kind NotFound when there is none.
func (s *Service) DefaultKey(ctx context.Context, caller services.Caller) (Key, error) {
	keys, err := s.Keys(ctx, caller)
	for _, k := range keys {
		if k.Name == defaultKey {
			return k, err
		}
	}
	if err == nil {
		err = services.Errorf(services.NotFound, "There is no key named default; make one with POST /auth/api-key/regenerate")
	}
	return Key{}, err
}

// AddKey makes a key for the caller in the organisation it acts for. The secret
// is given only here.
func (s *Service) AddKey(ctx context.Context, caller services.Caller, in KeyRequest) (key Key, secret string, err error) {
	err = postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) (err error) {
		if _, err := s.repository.stillCounts(ctx, tx, caller); err != nil {
			return err
		}
		key, secret, err = s.repository.addKeyFor(ctx, tx, caller, caller.Account, in)
		return err
	})
	return key, secret, err
}

// stillCounts locks the caller's account and refuses a caller whose session or
// key has ended since the request began: nothing it makes may outlive them.
func (r *Repository) stillCounts(ctx context.Context, tx pgx.Tx, caller services.Caller) (Account, error) {
	account, err := r.lockAccount(ctx, tx, caller.Account)
	if err != nil {
		return account, err
	}
	counts, err := r.counts(ctx, tx, caller)
	if err == nil && !counts {
		err = services.Errorf(services.Unauthenticated, "Invalid token")
	}
	return account, err
}

// counts reports whether the caller's session and key go on.
func (r *Repository) counts(ctx context.Context, q postgres.Querier, caller services.Caller) (bool, error) {
	return postgres.Value[bool](ctx, q, `
		SELECT ($1::uuid = $3::uuid OR EXISTS (SELECT 1 FROM uaol_auth.sessions WHERE session_id = $1::uuid))
			AND ($2::uuid = $3::uuid OR EXISTS (SELECT 1 FROM uaol_auth.api_keys k WHERE k.key_id = $2::uuid AND `+keyCounts+`))`,
		caller.Session, caller.Key, uuid.Nil)
}

// addKeyFor makes a key for an account in the organisation that the caller acts
// for, with no more scopes than the caller has.
func (r *Repository) addKeyFor(ctx context.Context, q postgres.Querier, caller services.Caller, account uuid.UUID, in KeyRequest) (key Key, secret string, err error) {
	scopes, err := in.check(caller)
	if err != nil {
		return Key{}, "", err
	}
	secret = newKey()
	key, err = r.addKey(ctx, q, storedKey{
		account: account, organization: caller.Organization, name: in.Name, secret: secret, scopes: scopes, expires: in.Expires,
		by: caller.Key,
	})
	if services.Is(err, services.NotFound) {
		return Key{}, "", services.Errorf(services.Conflict, "An account may have at most %d keys; revoke some", maxKeys)
	}
	services.Note(ctx, "key", key.ID.String())
	return key.completed(), secret, err
}

// RevokeKey ends one of the caller's keys and all tokens got with it.
func (s *Service) RevokeKey(ctx context.Context, caller services.Caller, id uuid.UUID) error {
	revoked, err := s.repository.revokeKey(ctx, caller.Account, id)
	if err != nil {
		return err
	}
	if !revoked {
		return errNoKey
	}
	s.bus.Publish(accessChanged(caller.Account, caller.Organization))
	return nil
}

var errNoKey = services.Errorf(services.NotFound, "Key not found")

// RegenerateKey gives one of the caller's keys another secret. The key stays
// itself, with its scopes, its expiry and its spend caps; the old secret, and
// what was got with it, ends at once.
func (s *Service) RegenerateKey(ctx context.Context, caller services.Caller, id uuid.UUID) (key Key, secret string, err error) {
	err = s.keyChange(ctx, caller, func(tx pgx.Tx) (err error) {
		key, secret, err = s.repository.regenerate(ctx, tx, caller, id)
		return err
	})
	return key.completed(), secret, err
}

// RegenerateDefaultKey gives the key named default another secret, or makes it.
func (s *Service) RegenerateDefaultKey(ctx context.Context, caller services.Caller) (secret string, err error) {
	err = s.keyChange(ctx, caller, func(tx pgx.Tx) error {
		old, err := s.repository.defaultKey(ctx, tx, caller.Account)
		if services.Is(err, services.NotFound) {
			_, secret, err = s.repository.addKeyFor(ctx, tx, caller, caller.Account, KeyRequest{Name: defaultKey})
			return err
		}
		if err == nil {
			_, secret, err = s.repository.regenerate(ctx, tx, caller, old)
		}
		return err
	})
	return secret, err
}

// keyChange runs f in a transaction that has locked the caller's account.
func (s *Service) keyChange(ctx context.Context, caller services.Caller, f func(tx pgx.Tx) error) error {
	happened := accessChanged(caller.Account, caller.Organization)
	err := postgres.InTx(ctx, s.repository.pool, func(tx pgx.Tx) error {
		if _, err := s.repository.stillCounts(ctx, tx, caller); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		return s.repository.outbox.Append(ctx, tx, happened)
	})
	if err == nil {
		s.bus.Publish(happened)
	}
	return err
}

// storedKey is a key about to be stored.
type storedKey struct {
	account, organization uuid.UUID
	name, secret          string
	scopes                services.Scopes
	expires               *time.Time
	by                    uuid.UUID // the key it is made with, which it does not outlast
}

const keyColumns = `key_id, name, organization_id, prefix, scopes, created_at, expires_at, last_used_at`

// addKey stores a key; kind NotFound when the account has too many, Conflict when the same
// request has made one: its secret is shown to nobody twice. That comes before the limit.
func (r *Repository) addKey(ctx context.Context, q postgres.Querier, in storedKey) (Key, error) {
	key, err := postgres.One[Key](ctx, q, `
		INSERT INTO uaol_auth.api_keys AS k (key_id, account_id, organization_id, name, hash, prefix, scopes, expires_at)
		SELECT $1, $2::uuid, $3, $4, $5, $6, $7,
			least($8::timestamptz, (SELECT p.expires_at FROM uaol_auth.api_keys p WHERE p.key_id = $10))
		WHERE (SELECT count(*) FROM uaol_auth.api_keys o WHERE o.account_id = $2::uuid AND o.revoked_at IS NULL) < $9
			OR EXISTS (SELECT 1 FROM uaol_auth.api_keys s WHERE s.key_id = $1)
		RETURNING `+keyColumns,
		services.NewID(ctx, in.account, in.organization, "key"), in.account, in.organization, in.name, keyHash(in.secret), keyPrefix(in.secret), string(in.scopes), in.expires, maxKeys, in.by)
	if postgres.Violates(err, "api_keys_pkey") {
		err = services.ErrRepeated
	}
	return key, err
}

func (r *Repository) keys(ctx context.Context, account uuid.UUID) ([]Key, error) {
	return postgres.All[Key](ctx, r.pool, `
		SELECT `+keyColumns+` FROM uaol_auth.api_keys k WHERE account_id = $1 AND revoked_at IS NULL
		ORDER BY created_at DESC, key_id DESC`, account)
}

func (r *Repository) lockKey(ctx context.Context, tx pgx.Tx, account, id uuid.UUID) (Key, error) {
	return postgres.One[Key](ctx, tx, `
		SELECT `+keyColumns+` FROM uaol_auth.api_keys k
		WHERE key_id = $1 AND account_id = $2 AND revoked_at IS NULL FOR UPDATE`, id, account)
}

// defaultKey is the newest key of that name.
func (r *Repository) defaultKey(ctx context.Context, tx pgx.Tx, account uuid.UUID) (uuid.UUID, error) {
	return postgres.Value[uuid.UUID](ctx, tx, `
		SELECT key_id FROM uaol_auth.api_keys WHERE account_id = $1 AND name = $2 AND revoked_at IS NULL
		ORDER BY created_at DESC, key_id DESC LIMIT 1`, account, defaultKey)
}

// regenerate gives a key another secret and ends what was got with the old one. The
// old secret is kept as a revoked key: UAOL_ADMIN_API_KEY must not bring it back.
func (r *Repository) regenerate(ctx context.Context, tx pgx.Tx, caller services.Caller, id uuid.UUID) (key Key, secret string, err error) {
	old, err := r.lockKey(ctx, tx, caller.Account, id)
	if services.Is(err, services.NotFound) {
		return Key{}, "", errNoKey
	}
	if err != nil {
		return Key{}, "", err
	}
	if !caller.Scopes.Include(services.Scopes(old.ScopeText)) {
		return Key{}, "", services.Errorf(services.Forbidden, "A key can give no scope away that it does not have")
	}
	gone, err := postgres.Value[[]byte](ctx, tx, `SELECT hash FROM uaol_auth.api_keys WHERE key_id = $1`, id)
	if err != nil {
		return Key{}, "", err
	}
	secret = newKey()
	key, err = postgres.One[Key](ctx, tx, `
		UPDATE uaol_auth.api_keys SET hash = $2, prefix = $3, last_used_at = NULL WHERE key_id = $1 RETURNING `+keyColumns,
		id, keyHash(secret), keyPrefix(secret))
	if err != nil {
		return Key{}, "", err
	}
	if _, err := postgres.Exec(ctx, tx, `
		INSERT INTO uaol_auth.api_keys (key_id, account_id, organization_id, name, hash, prefix, created_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, now())`, newID(), caller.Account, old.Organization, old.Name, gone, old.Prefix, old.CreatedAt); err != nil {
		return Key{}, "", err
	}
	services.Note(ctx, "key", id.String())
	return key, secret, r.endGotWith(ctx, tx, caller.Account, id)
}

func (r *Repository) revokeKey(ctx context.Context, account, id uuid.UUID) (revoked bool, err error) {
	err = postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		_, err := r.lockAccount(ctx, tx, account)
		if err == nil {
			_, err = r.lockKey(ctx, tx, account, id)
		}
		if revoked = err == nil; !revoked {
			if services.Is(err, services.NotFound) {
				return nil
			}
			return err
		}
		return r.endKey(ctx, tx, account, id)
	})
	return revoked, err
}

// endKey revokes a key and ends what was got with it.
func (r *Repository) endKey(ctx context.Context, tx pgx.Tx, account, id uuid.UUID) error {
	if _, err := postgres.Exec(ctx, tx, `UPDATE uaol_auth.api_keys SET revoked_at = now() WHERE key_id = $1`, id); err != nil {
		return err
	}
	if err := r.endGotWith(ctx, tx, account, id); err != nil {
		return err
	}
	return r.outbox.Append(ctx, tx, accessChanged(account, uuid.Nil))
}

// endGotWith ends the links and the sessions that were got with a key.
func (r *Repository) endGotWith(ctx context.Context, tx pgx.Tx, account, id uuid.UUID) error {
	if _, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.links WHERE account_id = $1 AND key_id = $2`, account, id); err != nil {
		return err
	}
	_, err := postgres.Exec(ctx, tx, `DELETE FROM uaol_auth.sessions WHERE key_id = $1`, id)
	return err
}
