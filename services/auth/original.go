package auth

import (
	"context"
	"encoding/hex"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/postgres"
)

// OriginalUser is a user of the original's as it arrives here: with its id, and
// with the key that its programs have. Nobody ever proved the address there, so
// it counts as unproved here.
type OriginalUser struct {
	ID           uuid.UUID
	Organization uuid.UUID // its personal one
	Email        string    // as OriginalEmail spells it
	Key          string    // its API key; "" for none
	CreatedAt    time.Time
}

// OriginalEmail is an address as accounts store it; ok is false for what is none.
func OriginalEmail(raw string) (email string, ok bool) {
	email, err := normalEmail(postgres.Text(raw))
	return email, err == nil
}

// The bounds of a key that is taken over. Only its fast hash is stored, so one that
// could be guessed must not be: the same is asked of UAOL_ADMIN_API_KEY.
const (
	shortestKey = 32
	longestKey  = 1024
)

// OriginalKeyFits reports whether a key can be taken over: nobody can guess it, a
// header can carry it, and it is not taken for a token.
func OriginalKeyFits(key string) bool {
	return len(key) >= shortestKey && len(key) <= longestKey && !looksLikeJWT(key) &&
		!strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || unicode.IsSpace(r) })
}

// KnownUsers is what is here already of some that arrive.
type KnownUsers struct {
	Accounts map[uuid.UUID]KnownUser
	Emails   map[string]uuid.UUID // whose an address is
	Keys     map[string]uuid.UUID // whose a key is, or was
	Leaving  map[uuid.UUID]bool   // accounts that were deleted and are being erased
}

// KnownUser is an account that is here.
type KnownUser struct {
	ID           uuid.UUID `db:"account_id"`
	Organization uuid.UUID `db:"organization_id"`
	Email        string    `db:"email"`
}

// KnownUsers looks for accounts by id, by address and by key.
func (r *Repository) KnownUsers(ctx context.Context, ids []uuid.UUID, emails, keys []string) (k KnownUsers, err error) {
	k = KnownUsers{Accounts: map[uuid.UUID]KnownUser{}, Emails: map[string]uuid.UUID{}, Keys: map[string]uuid.UUID{}, Leaving: map[uuid.UUID]bool{}}
	accounts, err := postgres.All[KnownUser](ctx, r.pool, `
		SELECT account_id, organization_id, coalesce(email, '') AS email FROM uaol_auth.accounts WHERE account_id = ANY ($1::text[]::uuid[])
		UNION
		SELECT account_id, organization_id, coalesce(email, '') AS email FROM uaol_auth.accounts WHERE email = ANY ($2::text[])`,
		postgres.UUIDs(ids), emails)
	if err != nil {
		return k, err
	}
	for _, a := range accounts {
		k.Accounts[a.ID], k.Emails[a.Email] = a, a.ID
	}
	leaving, err := postgres.Values[uuid.UUID](ctx, r.pool, `
		SELECT account_id FROM uaol_auth.erasures WHERE account_id = ANY ($1::text[]::uuid[])`, postgres.UUIDs(ids))
	if err != nil {
		return k, err
	}
	for _, id := range leaving {
		k.Leaving[id] = true
	}
	by := map[string]string{}
	for _, key := range keys {
		by[string(keyHash(key))] = key
	}
	type row struct {
		Hash  []byte    `db:"hash"`
		Owner uuid.UUID `db:"account_id"`
	}
	rows, err := postgres.All[row](ctx, r.pool, `
		SELECT hash, account_id FROM uaol_auth.api_keys WHERE hash IN (SELECT decode(x.hash, 'hex') FROM unnest($1::text[]) AS x (hash))`, hashes(keys))
	for _, found := range rows {
		k.Keys[by[string(found.Hash)]] = found.Owner
	}
	return k, err
}

// BringUsers stores users that arrive, all of them or none: kind Conflict when an
// id, an address or a key among them is here by now. No event tells of it, so that
// nobody is sent a letter.
func (r *Repository) BringUsers(ctx context.Context, users []OriginalUser) error {
	var ids, organizations, emails, created, acts []string
	var keyIDs, owners, homes, keys, prefixes []string
	for _, u := range users {
		at := u.CreatedAt.UTC().Format(time.RFC3339Nano)
		ids, organizations, emails = append(ids, u.ID.String()), append(organizations, u.Organization.String()), append(emails, u.Email)
		created, acts = append(created, at), append(acts, newID().String())
		if u.Key != "" {
			keyIDs, owners, homes = append(keyIDs, newID().String()), append(owners, u.ID.String()), append(homes, u.Organization.String())
			keys, prefixes = append(keys, u.Key), append(prefixes, keyPrefix(u.Key))
		}
	}
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_auth.organizations (organization_id, name, personal, created_at)
			SELECT id::uuid, email, true, created::timestamptz FROM unnest($1::text[], $2::text[], $3::text[]) AS x (id, email, created)`,
			organizations, emails, created); err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_auth.accounts (account_id, organization_id, kind, email, created_at)
			SELECT id::uuid, organization::uuid, 'user', email, created::timestamptz
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS x (id, organization, email, created)`,
			ids, organizations, emails, created); err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_auth.api_keys (key_id, account_id, organization_id, name, hash, prefix)
			SELECT id::uuid, owner::uuid, organization::uuid, $1::text, decode(hash, 'hex'), prefix
			FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS x (id, owner, organization, hash, prefix)`,
			defaultKey, keyIDs, owners, homes, hashes(keys), prefixes); err != nil {
			return err
		}
		_, err := postgres.Exec(ctx, tx, `
			INSERT INTO uaol_auth.audit (act_id, created_at, action, account_id, organization_id, key_id, address, user_agent, request_id, outcome, details)
			SELECT act::uuid, now(), 'user.import', id::uuid, organization::uuid, $1, '', 'uaol on the server', '', 'done', '{}'::jsonb
			FROM unnest($2::text[], $3::text[], $4::text[]) AS x (act, id, organization)`, uuid.Nil, acts, ids, organizations)
		return err
	})
}

// hashes are keys as they are stored, in hex.
func hashes(keys []string) []string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = hex.EncodeToString(keyHash(key))
	}
	return texts
}
