package auth

import (
	"context"

	"github.com/google/uuid"

	"uaol/providers/postgres"
	"uaol/services"
	"uaol/services/auth/oauth"
)

// verifyAccess tells whose access token it is that a program shows at a protected
// resource. Nobody is the platform's admin by one: people let programs act for them in
// an organisation, not for the platform.
func (s *Service) verifyAccess(ctx context.Context, in VerifyRequest, organization *uuid.UUID) (Verified, error) {
	var verified Verified
	var err error
	if oauth.IsAccessToken(in.Bearer) {
		verified, err = s.verifyOwn(ctx, in, organization)
	} else {
		verified, err = s.verifyForeign(ctx, in, organization)
	}
	if verified.Caller.Admin() {
		verified.Caller.Role = services.RoleUser
	}
	return verified, err
}

var errOtherOrganization = services.Errorf(services.Forbidden, "This token is for another organisation; leave X-Organization out, or let the program in for that one")

// verifyOwn is for tokens that we gave. They are for the organisation that their
// account has chosen, for as long as it is in it.
func (s *Service) verifyOwn(ctx context.Context, in VerifyRequest, organization *uuid.UUID) (Verified, error) {
	found, err := s.repository.byAccessToken(ctx, in)
	verified, err := found.verified(err, nil, "Invalid token")
	if err != nil {
		return Verified{}, err
	}
	if organization != nil && *organization != verified.Caller.Organization {
		return Verified{}, errOtherOrganization
	}
	s.used.session(verified.Caller.Session)
	return verified, nil
}

// errUnlinked is no 401, after which a program would only get the same token again.
const errUnlinked = "Nobody here is known as this account of %s; sign in with it here once, at /auth/oidc in a browser, then try again"

// verifyForeign is for tokens of an issuer that the operator accepts. Whoever it says
// that it is must have signed in here with it; scopes are those that it names.
func (s *Service) verifyForeign(ctx context.Context, in VerifyRequest, organization *uuid.UUID) (Verified, error) {
	said, err := s.issuers.Verify(ctx, in.Bearer, oauth.Covering(in.Resource, in.Family)...)
	if err != nil {
		return Verified{}, err
	}
	found, err := s.repository.byIdentity(ctx, said.Issuer, said.Subject, organization)
	if services.Is(err, services.NotFound) {
		return Verified{}, services.Errorf(services.Forbidden, errUnlinked, said.Issuer).WithCode("ACCOUNT_NOT_LINKED")
	}
	verified, err := found.verified(err, organization, "Invalid token")
	if err == nil {
		verified.Caller.Scopes = services.Scopes(oauth.Known(said.Scopes))
		if verified.Caller.Scopes == "" {
			verified.Caller.Scopes = "none" // "" would be everything
		}
	}
	return verified, err
}

// byAccessToken finds the account of a token that was given for a resource, or above it. The role
// is of the membership in which it was given: it does not count again for somebody who
// left and came back.
func (r *Repository) byAccessToken(ctx context.Context, in VerifyRequest) (credential, error) {
	return postgres.One[credential](ctx, r.pool, `
		SELECT s.session_id, `+accountColumns+`, NULL::uuid AS key_id, NULL::uuid AS key_organization_id, g.scopes,
			g.organization_id AS acting, m.role AS org_role
		FROM uaol_auth.oauth_tokens t
		JOIN uaol_auth.oauth_grants g ON g.grant_id = t.grant_id
		JOIN uaol_auth.sessions s ON s.session_id = g.grant_id
		JOIN uaol_auth.accounts a ON a.account_id = s.account_id
		LEFT JOIN uaol_auth.members m
			ON m.account_id = a.account_id AND m.organization_id = g.organization_id AND g.created_at >= m.created_at
		WHERE t.hash = $1 AND t.kind = 'access' AND t.expires_at > now() AND s.expires_at > now()
			AND g.resource = any($2::text[])`,
		keyHash(in.Bearer), oauth.Covering(in.Resource, in.Family))
}

// byIdentity finds the account that a provider's identity is linked with.
func (r *Repository) byIdentity(ctx context.Context, issuer, subject string, organization *uuid.UUID) (credential, error) {
	return postgres.One[credential](ctx, r.pool, `
		SELECT NULL::uuid AS session_id, `+accountColumns+`, NULL::uuid AS key_id, NULL::uuid AS key_organization_id, NULL::text AS scopes,
			coalesce($1::uuid, a.organization_id) AS acting, m.role AS org_role
		FROM uaol_auth.identities i
		JOIN uaol_auth.accounts a ON a.account_id = i.account_id
		LEFT JOIN uaol_auth.members m ON m.account_id = a.account_id AND m.organization_id = coalesce($1::uuid, a.organization_id)
		WHERE i.issuer = $2 AND i.subject = $3`, organization, issuer, subject)
}
