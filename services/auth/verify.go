package auth

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth/oauth"
)

// Verify implements Verifier.
func (s *Service) Verify(ctx context.Context, in VerifyRequest) (Verified, error) {
	organization, err := readOrganization(in.Organization)
	if err != nil {
		return Verified{}, err
	}
	switch {
	case in.Bearer != "" && in.Resource != "" && (oauth.IsAccessToken(in.Bearer) || s.issuers.Issued(in.Bearer)):
		return s.verifyAccess(ctx, in, organization)
	case in.Bearer != "":
		return s.verifyBearer(ctx, in.Bearer, organization)
	case in.APIKey != "":
		return s.verifyKey(ctx, in.APIKey, organization, "Invalid API key")
	case in.Guest && s.guests:
		return s.welcome(ctx, in.GuestID, organization, in.Address)
	}
	return Verified{}, nil
}

func readOrganization(text string) (*uuid.UUID, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // none was named
	}
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return nil, services.Faults(services.Fault{Path: "header.X-Organization", Message: "is not a UUID"})
	}
	return &id, nil
}

func (s *Service) verifyBearer(ctx context.Context, text string, organization *uuid.UUID) (Verified, error) {
	if !looksLikeJWT(text) {
		return s.verifyKey(ctx, text, organization, "Invalid token")
	}
	t, err := s.signer.read(text)
	if err != nil {
		return Verified{}, services.Errorf(services.Unauthenticated, "Invalid token").Because(err)
	}
	found, err := s.repository.bySession(ctx, t, organization)
	if err == nil {
		s.used.session(t.ID)
	}
	return found.verified(err, organization, "Invalid token")
}

func (s *Service) verifyKey(ctx context.Context, key string, organization *uuid.UUID, refusal string) (Verified, error) {
	found, err := s.repository.byKey(ctx, keyHash(key), organization)
	if err == nil && found.KeyID != nil {
		s.used.key(*found.KeyID)
	}
	return found.verified(err, organization, refusal)
}

// credential is a session or a key with all that it decides.
type credential struct {
	Account
	Session         *uuid.UUID `db:"session_id"`
	KeyID           *uuid.UUID `db:"key_id"`
	KeyOrganization *uuid.UUID `db:"key_organization_id"`
	Scopes          *string    `db:"scopes"`
	Acting          uuid.UUID  `db:"acting"`   // the organisation that was named, or the key's, or the personal one
	OrgRole         *string    `db:"org_role"` // in a shared one
}

// verified turns a look-up into an answer: not found is a refusal, any other
// error stays what it is (a database that is down is not a bad token).
func (c credential) verified(err error, named *uuid.UUID, refusal string) (Verified, error) {
	if services.Is(err, services.NotFound) {
		return Verified{}, services.Errorf(services.Unauthenticated, "%s", refusal)
	}
	if err != nil {
		return Verified{}, err
	}
	caller := c.Caller()
	if c.Acting != caller.Organization || c.Kind == ServiceAccount {
		if c.OrgRole == nil {
			if named == nil { // the key outlived its place in the organisation
				return Verified{}, services.Errorf(services.Unauthenticated, "%s", refusal)
			}
			return Verified{}, errNotMember
		}
		caller.Organization, caller.OrgRole, caller.Personal = c.Acting, services.OrgRole(*c.OrgRole), false
	}
	if c.KeyOrganization != nil && *c.KeyOrganization != caller.Organization {
		return Verified{}, services.Errorf(services.Forbidden, "This API key belongs to another organisation; leave X-Organization out, or use a key of that one")
	}
	if c.Session != nil {
		caller.Session = *c.Session
	}
	if c.KeyID != nil {
		caller.Key = *c.KeyID
		if caller.Admin() && !caller.Personal { // an organisation's key decides nothing about the platform
			caller.Role = services.RoleUser
		}
	}
	if c.Scopes != nil {
		caller.Scopes = services.Scopes(*c.Scopes)
	}
	return Verified{Caller: caller}, nil
}

// errNotMember is the same for organisations that do not exist.
var errNotMember = services.Errorf(services.Forbidden, "You are not a member of this organisation")

const accountColumns = `a.account_id, a.organization_id, a.kind, a.name, a.email, a.email_verified_at, a.password_hash, a.admin, a.created_at`

const credentialColumns = accountColumns + `, k.key_id, k.organization_id AS key_organization_id, k.scopes,
	coalesce($1::uuid, k.organization_id, a.organization_id) AS acting, m.role AS org_role`

// membership is looked up in the same statement: a request costs one at most. A
// key is of the membership that it was made in: it does not count again for
// somebody who left and came back.
const membership = ` LEFT JOIN uaol_auth.members m
	ON m.account_id = a.account_id AND m.organization_id = coalesce($1::uuid, k.organization_id, a.organization_id)
		AND (k.created_at IS NULL OR k.created_at >= m.created_at) `

const keyCounts = `k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())`

// bySession finds the account of a token whose session goes on, and whose key
// still counts if it was got with one.
func (r *Repository) bySession(ctx context.Context, t token, organization *uuid.UUID) (credential, error) {
	return postgres.One[credential](ctx, r.pool, `
		SELECT s.session_id, `+credentialColumns+`
		FROM uaol_auth.sessions s
		JOIN uaol_auth.accounts a ON a.account_id = s.account_id
		LEFT JOIN uaol_auth.api_keys k ON k.key_id = s.key_id`+membership+`
		WHERE s.session_id = $2 AND s.account_id = $3 AND s.expires_at > now() AND (s.key_id IS NULL OR (`+keyCounts+`))`,
		organization, t.ID, t.Account)
}

func (r *Repository) byKey(ctx context.Context, hash []byte, organization *uuid.UUID) (credential, error) {
	return postgres.One[credential](ctx, r.pool, `
		SELECT NULL::uuid AS session_id, `+credentialColumns+`
		FROM uaol_auth.api_keys k
		JOIN uaol_auth.accounts a ON a.account_id = k.account_id`+membership+`
		WHERE k.hash = $2 AND `+keyCounts, organization, hash)
}
