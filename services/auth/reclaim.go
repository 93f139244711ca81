package auth

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"uaol/providers/events"
	"uaol/providers/postgres"
)

// decidesAlone are the shared organisations in which account $1 is the only
// person who decides; programs do not count, for whoever decides has their keys.
const decidesAlone = `
	SELECT m.organization_id FROM uaol_auth.members m
	WHERE m.account_id = $1 AND m.role IN ('admin', 'owner') AND NOT EXISTS (
		SELECT 1 FROM uaol_auth.members o JOIN uaol_auth.accounts a ON a.account_id = o.account_id
		WHERE o.organization_id = m.organization_id AND o.account_id <> m.account_id AND o.role IN ('admin', 'owner') AND a.kind <> 'service')`

// reclaim takes everything from a locked account that whoever registered it
// could come back with: its password, keys, sessions, identities and links, the
// invitations it made, and what its identities' groups gave; of its personal
// organisation and of those in which it alone decides, the keys of programs, the
// keys of model providers and the open invitations. A personal organisation has
// no members; should there be any, they go too. Its event
// names the shared organisations in which the account decides: who else is in
// them stays, and who takes over should look at it. by says what proved the
// address: a provider's name, a link or the operator. Keys go before the
// sessions that were got with them, as when one key is revoked.
func (r *Repository) reclaim(ctx context.Context, tx pgx.Tx, account Account, by string) (happened []events.Event, err error) {
	alone, err := postgres.Values[uuid.UUID](ctx, tx, decidesAlone, account.ID)
	if err != nil {
		return nil, err
	}
	for _, taken := range []string{
		`UPDATE uaol_auth.accounts SET password_hash = NULL, email_verified_at = now(), updated_at = now() WHERE account_id = $1`,
		`DELETE FROM uaol_auth.api_keys WHERE account_id = $1`,
		`DELETE FROM uaol_auth.sessions WHERE account_id = $1`,
		`DELETE FROM uaol_auth.identities WHERE account_id = $1`,
		`DELETE FROM uaol_auth.links WHERE account_id = $1`,
		`DELETE FROM uaol_auth.invitations WHERE invited_by = $1`,
		`DELETE FROM uaol_auth.members WHERE organization_id = (SELECT organization_id FROM uaol_auth.accounts WHERE account_id = $1)`,
	} {
		if _, err := postgres.Exec(ctx, tx, taken, account.ID); err != nil {
			return nil, err
		}
	}
	own := postgres.UUIDs(append(alone, account.Organization))
	for _, taken := range []string{
		`DELETE FROM uaol_auth.api_keys WHERE account_id IN (
			SELECT account_id FROM uaol_auth.accounts WHERE kind = 'service' AND organization_id = ANY ($1::text[]::uuid[]))`,
		`DELETE FROM uaol_auth.invitations WHERE organization_id = ANY ($1::text[]::uuid[])`,
		`DELETE FROM uaol_auth.provider_keys WHERE organization_id = ANY ($1::text[]::uuid[])`,
	} {
		if _, err := postgres.Exec(ctx, tx, taken, own); err != nil {
			return nil, err
		}
	}
	if _, err := r.applyRoles(ctx, tx, account.ID, nil); err != nil {
		return nil, err
	}
	decides, err := postgres.Values[uuid.UUID](ctx, tx, `
		SELECT organization_id FROM uaol_auth.members WHERE account_id = $1 AND role IN ('admin', 'owner') ORDER BY organization_id`, account.ID)
	if err != nil {
		return nil, err
	}
	happened = []events.Event{
		events.New(reclaimedType, account.ID.String(), account.Organization, map[string]any{"by": by, "organizations": decides}),
		accessChanged(account.ID, account.Organization),
	}
	for _, organization := range alone { // its programs' keys are gone too
		happened = append(happened, accessChanged(account.ID, organization))
	}
	return happened, r.outbox.Append(ctx, tx, happened...)
}

const reclaimedType = "user.reclaimed"
