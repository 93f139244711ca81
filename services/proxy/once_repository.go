package proxy

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/postgres"
)

// claim puts a call under its key; false when the key has one.
func (r *Repository) claim(ctx context.Context, k keyed, lease time.Duration) (bool, error) {
	n, err := postgres.Exec(ctx, r.pool, `
		INSERT INTO uaol_proxy.keyed_calls (organization_id, account_id, key, digest, call_id, state, lease_until)
		VALUES ($1, $2, $3, $4, $5, $6, now() + $7 * interval '1 millisecond')
		ON CONFLICT (account_id, organization_id, key) DO NOTHING`,
		k.Organization, k.Account, k.Key, k.Digest, k.CallID, string(k.State), lease.Milliseconds())
	return n == 1, err
}

// keyed gives the call under a key; kind NotFound.
func (r *Repository) keyed(ctx context.Context, k keyed) (keyed, error) {
	return postgres.One[keyed](ctx, r.pool, `
		SELECT organization_id, account_id, key, digest, call_id, state, result, failed, lease_until < now() AS lapsed
		FROM uaol_proxy.keyed_calls WHERE account_id = $1 AND organization_id = $2 AND key = $3`, k.Account, k.Organization, k.Key)
}

// renew says that a call goes on.
func (r *Repository) renew(ctx context.Context, k keyed, lease time.Duration) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_proxy.keyed_calls SET lease_until = now() + $5 * interval '1 millisecond'
		WHERE account_id = $1 AND organization_id = $2 AND key = $3 AND call_id = $4 AND state = 'underway'`,
		k.Account, k.Organization, k.Key, k.CallID, lease.Milliseconds())
	return err
}

// finish writes down how a call ended.
func (r *Repository) finish(ctx context.Context, k keyed) error {
	_, err := postgres.Exec(ctx, r.pool, `
		UPDATE uaol_proxy.keyed_calls SET state = $5, result = $6, failed = $7
		WHERE account_id = $1 AND organization_id = $2 AND key = $3 AND call_id = $4 AND state = 'underway'`,
		k.Account, k.Organization, k.Key, k.CallID, string(k.State), k.Result, k.Failed)
	return err
}

// free gives a key back whose call was not made.
func (r *Repository) free(ctx context.Context, k keyed) error {
	_, err := postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.keyed_calls
		WHERE account_id = $1 AND organization_id = $2 AND key = $3 AND call_id = $4 AND state = 'underway'`,
		k.Account, k.Organization, k.Key, k.CallID)
	return err
}

// forgetKeys removes some keys that are older than they are kept, and counts them.
func (r *Repository) forgetKeys(ctx context.Context, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.keyed_calls WHERE (account_id, organization_id, key) IN (
			SELECT account_id, organization_id, key FROM uaol_proxy.keyed_calls
			WHERE created_at < now() - $1 * interval '1 second' ORDER BY created_at LIMIT $2)`, int64(keptFor.Seconds()), limit)
}

// removeKeys removes some keys of an account and of organisations, and counts them.
func (r *Repository) removeKeys(ctx context.Context, account uuid.UUID, organizations []uuid.UUID, limit int) (int64, error) {
	return postgres.Exec(ctx, r.pool, `
		DELETE FROM uaol_proxy.keyed_calls WHERE (account_id, organization_id, key) IN (
			SELECT account_id, organization_id, key FROM uaol_proxy.keyed_calls
			WHERE account_id = $1 OR organization_id = ANY ($2::text[]::uuid[]) ORDER BY account_id, organization_id, key LIMIT $3)`,
		account, postgres.UUIDs(organizations), limit)
}
